//! The service around the core: content in, datagrams and connections answered.
//!
//! ```text
//! content archive ─► zones ─► authority ◄─┬─ Responder: datagrams, below the sockets
//!                                         └─ one task a connection: messages behind their length (RFC 1035 §4.2.2)
//! ```

mod connections;
mod datagrams;

use crate::{Authority, HashKey, Loaded, Zones, content, limits};
use connections::session;
use datagrams::Datagrams;
use log::{info, warn};
use runtime::{
    Argument, Environment, Stop,
    network::{TcpListener, TcpOptions},
};
use std::{cell::RefCell, io::ErrorKind, rc::Rc};

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
