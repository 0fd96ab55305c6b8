//! The service around the core: content in, datagrams and connections answered.
//!
//! ```text
//! content archive ─► zones ─► authority ◄─┬─ Responder: datagrams, below the sockets
//!                                         └─ one task a connection: messages behind their length (RFC 1035 §4.2.2)
//! ```

use crate::{Authority, HashKey, Loaded, Transport, Zones, content, limits};
use log::{info, warn};
use runtime::{
    Argument, Environment, Stop,
    network::{Responder, TcpListener, TcpOptions, TcpStream},
};
use std::{cell::RefCell, io::ErrorKind, net::SocketAddr, rc::Rc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// The port of DNS, over UDP and TCP.
const PORT: u16 = 53;

/// The block device with the zone files, if they are not baked in.
const CONTENT: &str = "storage";

/// The arguments that only this service has.
pub const ARGUMENTS: &[Argument] = &[Argument {
    name: "udp-size",
    value: "OCTETS",
    help: "largest answer over UDP, 512 to 4096; 1232 if not given, which no path has to fragment",
}];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Options {
    udp_size: Option<UdpOctets>,
}

#[derive(serde::Deserialize)]
#[serde(try_from = "u16")]
struct UdpOctets(usize);

impl TryFrom<u16> for UdpOctets {
    type Error = String;

    fn try_from(octets: u16) -> Result<UdpOctets, String> {
        const LEAST: usize = limits::UDP_OCTETS_WITHOUT_EDNS;
        match usize::from(octets) {
            octets @ LEAST..=limits::UDP_OCTETS_MOST => Ok(UdpOctets(octets)),
            _ => Err(format!("{octets} is not between {LEAST} and {}", limits::UDP_OCTETS_MOST)),
        }
    }
}

/// What UDP and TCP share: the zones, and room for the largest answer.
struct Server {
    authority: Authority,
    scratch: Vec<u8>,
}

impl Server {
    /// An empty vector with room for `octets`. Not where memory is nearly full: then the query or connection is dropped
    /// and counted, and what the executor and the network need is left to them.
    fn room(&mut self, octets: usize) -> std::io::Result<Vec<u8>> {
        let platform::Memory { total, used } = platform::memory();
        let mut room = Vec::new();
        let full = total != 0 && total.saturating_sub(used) < octets + limits::SPARE_OCTETS;
        if !full && room.try_reserve_exact(octets).is_ok() {
            return Ok(room);
        }
        let dropped = self.authority.count_out_of_memory();
        if dropped.is_power_of_two() {
            warn!(
                "memory is full: {dropped} queries and connections over TCP dropped; give the guest more (--mem)"
            );
        }
        Err(ErrorKind::OutOfMemory.into())
    }
}

/// Serves until the image ends.
pub async fn serve(mut environment: Environment) -> Result<(), Stop> {
    let options: Options = environment.configuration()?;
    let mut random = [0; 24];
    platform::entropy::fill(&mut random);
    let mut authority = Authority::new(load(HashKey::new(random))?);
    authority.set_keepalive(limits::TCP_IDLE_SECONDS as u16 * 10);
    if let Some(UdpOctets(octets)) = options.udp_size {
        authority.set_udp_octets(octets);
    }
    let (zones, records) = (authority.zones().count(), authority.zones().records());
    let server = Rc::new(RefCell::new(Server { authority, scratch: vec![0; limits::MESSAGE_OCTETS] }));
    let counted = server.clone();
    environment.also_count(move || counted.borrow().authority.statistics().to_string());
    environment.network.respond(PORT, Box::new(Datagrams(server.clone())))?;
    let options = TcpOptions {
        receive_buffer: limits::TCP_RECEIVE_OCTETS,
        send_buffer: limits::TCP_SEND_OCTETS,
        connections: limits::TCP_CONNECTIONS,
        ..TcpOptions::default()
    };
    let listener = TcpListener::bind(&environment.network, PORT, options)?;
    let after = platform::clock::since_entry() / 1_000;
    info!("serving {zones} zones, {records} records on port {PORT}, UDP and TCP, {after} us after entry");
    loop {
        let (stream, peer) = listener.accept().await;
        let server = server.clone();
        if server.borrow_mut().room(0).is_err() {
            continue; // The connection ends where its stream is dropped.
        }
        runtime::spawn(async move {
            if let Err(error) = session(stream, &server).await {
                log::debug!("{peer}: {error}");
            }
        });
    }
}

/// Reads every zone file there is. Without a single zone there is nothing to serve, and somebody should know.
fn load(key: HashKey) -> Result<Zones, Stop> {
    let mut zones = Zones::new(key);
    let archive = runtime::content::open(CONTENT)?;
    let outcome = content::load(&mut zones, archive, |zone| match zone {
        Ok(loaded) => report(&loaded),
        Err(error) => warn!("{error}"),
    });
    if let Err(error) = outcome {
        warn!("the content is not a whole tar archive: {error}");
    }
    if zones.count() == 0 {
        return Err(Stop::Failed(
            "no zone to serve: put one file a zone, named like it, into the content".into(),
        ));
    }
    Ok(zones)
}

fn report(zone: &Loaded) {
    let Loaded { name, records, octets, warnings } = zone;
    info!("zone {name}: {records} records, {octets} octets");
    for (line, reason) in &warnings.first {
        warn!("zone {name}: line {line}: {reason}");
    }
    if warnings.count > warnings.first.len() {
        warn!("zone {name}: {} more warnings", warnings.count - warnings.first.len());
    }
}

struct Datagrams(Rc<RefCell<Server>>);

impl Responder for Datagrams {
    fn respond(&mut self, _source: SocketAddr, buffer: &mut [u8], length: usize) -> Option<usize> {
        self.0.borrow_mut().authority.answer(Transport::Udp, buffer, length)
    }
}

/// Answers the messages of one connection in their order, until the peer closes it or is silent for too long.
async fn session(mut stream: TcpStream, server: &RefCell<Server>) -> std::io::Result<()> {
    const SILENCE: Duration = Duration::from_secs(limits::TCP_IDLE_SECONDS);
    loop {
        let mut prefix = [0; 2];
        match timeout(SILENCE, stream.read_exact(&mut prefix)).await {
            // Silent for too long, or closed by the peer between two messages: the usual ends.
            Err(_) => return Ok(()),
            Ok(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Ok(read) => read?,
        };
        let length = usize::from(u16::from_be_bytes(prefix));
        let mut query = server.borrow_mut().room(length)?;
        query.resize(length, 0);
        timeout(SILENCE, stream.read_exact(&mut query)).await??;
        let Some(answer) = answer(server, &query)? else { return Ok(()) };
        timeout(SILENCE, stream.write_all(&answer)).await??;
    }
}

/// The answer to one message, behind its length. `None` where it deserves none, which over TCP ends the connection.
fn answer(server: &RefCell<Server>, query: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let mut server = server.borrow_mut();
    let Server { authority, scratch } = &mut *server;
    scratch[..query.len()].copy_from_slice(query);
    let Some(length) = authority.answer(Transport::Tcp, scratch, query.len()) else { return Ok(None) };
    let mut answer = server.room(2 + length)?;
    answer.extend_from_slice(&(length as u16).to_be_bytes());
    answer.extend_from_slice(&server.scratch[..length]);
    Ok(Some(answer))
}
