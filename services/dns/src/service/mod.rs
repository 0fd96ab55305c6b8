//! The service around the core: content in, datagrams and connections answered.
//!
//! ```text
//! content archive ─► zones ─► authority ◄─┬─ Responder: datagrams, below the sockets
//!      primaries ─► secondaries ──┘   ▲    └─ one task a connection: messages behind their length (RFC 1035 §4.2.2)
//!          Backend ◄─ updates ◄─ requests: what is signed, transfers, notifications, updates
//! ```
//!
//! Reading order: [`Server`], `datagrams` and [`session`], `requests`, `updates`, [`secondaries`], `secondary`, `notifications`.

mod catalogs;
mod certificate;
mod clients;
mod connections;
mod datagrams;
pub mod encrypted;
mod forwarding;
mod git;
mod measured;
mod notifications;
pub mod quic;
mod replays;
mod requests;
pub mod secondaries;
mod secondary;
mod server;
mod signing;
mod updates;

pub use connections::session;
pub use datagrams::answer_datagram;
pub use server::{Policy, Server};
pub use updates::{Backend, VerifiedUpdate};

use crate::keys::Keys;
use crate::{Authority, HashKey, Loaded, Zones, content, limits};
use datagrams::Datagrams;
use log::{info, warn};
use runtime::{
    Argument, Environment, Stop,
    certificate::{Names, Seed, Way},
    connect::NetworkConnector,
    network::{Network, TcpListener, TcpOptions, UdpOptions, UdpSocket},
    tls::Trust,
};
use std::{cell::RefCell, future::Future, pin::Pin, rc::Rc};
use store::remote::{Arguments, Secret};

/// The port of DNS, over UDP and TCP.
const PORT: u16 = 53;

/// The block device with the zone files, if they are not baked in.
const CONTENT: &str = "storage";

/// The arguments of an image whose zones are in its content.
pub const CONTENT_ARGUMENTS: &[Argument] = &[
    Argument {
        name: "udp-size",
        value: "OCTETS",
        help: "largest answer over UDP, 512 to 4096; 1232 if not given, which no path has to fragment",
    },
    Argument {
        name: "key",
        value: "NAME:ALGORITHM:BASE64",
        help: "a TSIG key beside those of `_keys` files; its name says what it may do, docs/operating.md how",
    },
    signing::SEED,
    signing::KEY_DAYS,
    signing::DENIAL,
    signing::CACHE,
    clients::COOKIE_SECRET,
    clients::RATE_LIMIT,
    catalogs::CATALOG,
    catalogs::OFFER_CATALOG,
    forwarding::FORWARD_UPDATES,
    Argument { name: "axfr", value: "", help: "whoever asks gets whole zones; otherwise it takes a key" },
];

/// The arguments of an image that has everything.
pub const ARGUMENTS: &[Argument] = &[
    CONTENT_ARGUMENTS[0],
    CONTENT_ARGUMENTS[1],
    CONTENT_ARGUMENTS[2],
    CONTENT_ARGUMENTS[3],
    CONTENT_ARGUMENTS[4],
    CONTENT_ARGUMENTS[5],
    CONTENT_ARGUMENTS[6],
    CONTENT_ARGUMENTS[7],
    CONTENT_ARGUMENTS[8],
    CONTENT_ARGUMENTS[9],
    CONTENT_ARGUMENTS[10],
    CONTENT_ARGUMENTS[11],
    encrypted::TLS,
    runtime::certificate::ARGUMENTS[0],
    runtime::certificate::ARGUMENTS[1],
    runtime::certificate::ARGUMENTS[2],
    runtime::certificate::ARGUMENTS[3],
    runtime::certificate::ARGUMENTS[4],
    runtime::certificate::ARGUMENTS[5],
    runtime::certificate::ARGUMENTS[6],
    runtime::certificate::ARGUMENTS[7],
    runtime::certificate::ARGUMENTS[8],
    // With zones and keys, instead of the content archive; updates are pushed to it.
    store::remote::ARGUMENTS[0],
    store::remote::ARGUMENTS[1],
    store::remote::ARGUMENTS[2],
    store::remote::ARGUMENTS[3],
    store::remote::ARGUMENTS[4],
    store::remote::ARGUMENTS[5],
    git::POLL,
    git::START_TIMEOUT,
];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Options {
    udp_size: Option<UdpOctets>,
    #[serde(default)]
    key: Vec<String>,
    #[serde(default)]
    axfr: bool,
    dnssec_seed: Option<signing::Seed>,
    dnssec_key_days: Option<u64>,
    dnssec_denial: Option<signing::DenialOption>,
    dnssec_cache: Option<u32>,
    cookie_secret: Option<clients::CookieSecrets>,
    rate_limit: Option<u16>,
    #[serde(default)]
    catalog: Vec<String>,
    offer_catalog: Option<String>,
    #[serde(default)]
    forward_updates: bool,
    #[serde(default)]
    tls: bool,
    #[serde(default)]
    quic: bool,
    tls_acme: Option<Way>,
    hostname: Option<Names>,
    cert_seed: Option<Seed>,
    account_seed: Option<Seed>,
    #[serde(default)]
    production: bool,
    acme_server: Option<String>,
    acme_ca: Option<Trust>,
    acme_profile: Option<String>,
    email: Option<String>,
    remote: Option<Secret>,
    ssh_key: Option<Secret>,
    ssh_host_key: Option<String>,
    tls_ca: Option<String>,
    allowed_signers: Option<String>,
    signing_key: Option<Secret>,
    poll: Option<git::PollSeconds>,
    start_timeout: Option<u64>,
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

/// What an image may have besides zones in its content; an image that does not name it is not linked with git and TLS.
#[derive(Clone, Copy)]
struct Connected {
    /// Takes certificate and key of TLS.
    identify: fn(&RefCell<Server>, &str) -> Result<(), Stop>,
    /// Serves over TLS and HTTP.
    encrypt: Listen,
    /// Serves over QUIC, in an image that has it.
    quic: Option<Listen>,
    /// Follows a repository; returns once its zones are there.
    follow: fn(Arguments, git::Settings, &Environment, Rc<RefCell<Server>>) -> Following,
    /// Keeps a certificate.
    certify: Certify,
}

type Listen = fn(&Rc<RefCell<Server>>, &Network) -> Result<(), Stop>;

type Certify = fn(runtime::certificate::Arguments, &Rc<RefCell<Server>>, &Network) -> Result<(), Stop>;

type Following = Pin<Box<dyn Future<Output = Result<(), Stop>>>>;

const CONNECTED: Connected =
    Connected { identify, encrypt: encrypted::start, quic: None, follow, certify: certificate::start };

fn identify(server: &RefCell<Server>, pem: &str) -> Result<(), Stop> {
    let loaded = server.borrow_mut().load_key_file("_tls.pem", pem.as_bytes());
    loaded.map(drop).map_err(|error| Stop::Failed(error.to_string()))
}

fn follow(
    remote: Arguments,
    settings: git::Settings,
    environment: &Environment,
    server: Rc<RefCell<Server>>,
) -> Following {
    let connector = NetworkConnector::new(&environment.network, TcpOptions::default());
    Box::pin(async move {
        let options = remote.options().map_err(Stop::Usage)?;
        match remote.remote(connector).map_err(Stop::Usage)? {
            Some(remote) => git::start(remote, options, settings, &server).await,
            None => Ok(()),
        }
    })
}

/// Serves until the image ends.
pub async fn serve(environment: Environment) -> Result<(), Stop> {
    run(environment, Some(CONNECTED)).await
}

/// The same over QUIC too, with the argument [`quic::QUIC`] besides [`ARGUMENTS`].
pub async fn serve_over_quic(environment: Environment) -> Result<(), Stop> {
    run(environment, Some(Connected { quic: Some(quic::start), ..CONNECTED })).await
}

/// Serves the zones of the content until the image ends: no repository, no TLS, a third of the size.
pub async fn serve_content(environment: Environment) -> Result<(), Stop> {
    run(environment, None).await
}

async fn run(mut environment: Environment, connected: Option<Connected>) -> Result<(), Stop> {
    let options: Options = environment.configuration()?;
    let mut random = [0; 24];
    platform::entropy::fill(&mut random);
    let mut keys = Keys::default();
    for key in &options.key {
        keys.add(key).map_err(Stop::Failed)?;
    }
    let key = HashKey::new(random);
    let mut identity = None;
    let zones = if options.remote.is_some() { Zones::new(key) } else { load(key, &mut keys, &mut identity)? };
    let mut authority = Authority::new(zones);
    authority.set_keepalive(limits::TCP_IDLE_SECONDS as u16 * 10);
    if let Some(UdpOctets(octets)) = options.udp_size {
        authority.set_udp_octets(octets);
    }
    clients::set_up(&mut authority, options.cookie_secret, options.rate_limit)?;
    let policy = Policy { open_transfers: options.axfr, port: PORT };
    let server = Rc::new(RefCell::new(Server::new(authority, keys, policy)));
    let signing = signing::Settings {
        seed: options.dnssec_seed,
        key_days: options.dnssec_key_days,
        denial: options.dnssec_denial,
        cache: options.dnssec_cache,
    };
    signing::start(&server, signing)?;
    catalogs::set_up(&mut server.borrow_mut(), &options.catalog, options.offer_catalog.as_deref())?;
    if let Some(connected) = connected {
        if let Some(pem) = identity {
            (connected.identify)(&server, &pem)?;
        }
        if options.tls || options.tls_acme.is_some() {
            (connected.encrypt)(&server, &environment.network)?;
        }
        if let Some(start) = connected.quic.filter(|_| options.quic) {
            start(&server, &environment.network)?;
        }
        let certificate = runtime::certificate::Arguments {
            tls_acme: options.tls_acme,
            hostname: options.hostname,
            cert_seed: options.cert_seed,
            account_seed: options.account_seed,
            production: options.production,
            acme_server: options.acme_server,
            acme_ca: options.acme_ca,
            acme_profile: options.acme_profile,
            email: options.email,
        };
        let Options { remote, ssh_key, ssh_host_key, tls_ca, allowed_signers, signing_key, .. } = options;
        let remote = Arguments { remote, ssh_key, ssh_host_key, tls_ca, allowed_signers, signing_key };
        let settings = git::Settings::new(options.poll, options.start_timeout);
        (connected.follow)(remote, settings, &environment, server.clone()).await?;
        (connected.certify)(certificate, &server, &environment.network)?;
    }
    let counted = server.clone();
    measured::start(&server);
    environment.also_count(move || counted.borrow().authority.statistics().to_string());
    environment.network.respond(PORT, Box::new(Datagrams::new(server.clone())))?;
    if options.forward_updates {
        server
            .borrow_mut()
            .forward_updates(NetworkConnector::new(&environment.network, TcpOptions::default()));
    }
    start(&server, &environment)?;
    let options = TcpOptions {
        receive_buffer: limits::TCP_RECEIVE_OCTETS,
        send_buffer: limits::TCP_SEND_OCTETS,
        connections: limits::TCP_CONNECTIONS,
        ..TcpOptions::default()
    };
    let listener = TcpListener::bind(&environment.network, PORT, options)?;
    let (zones, records) = {
        let server = server.borrow();
        (server.authority.zones().count(), server.authority.zones().records())
    };
    let after = platform::clock::since_entry() / 1_000;
    info!("serving {zones} zones, {records} records on port {PORT}, UDP and TCP, {after} us after entry");
    loop {
        let (stream, peer) = listener.accept().await;
        let server = server.clone();
        if server.borrow_mut().room(0).is_err() {
            continue; // The connection ends where its stream is dropped.
        }
        runtime::spawn(async move {
            if let Err(error) = session(stream, peer.ip(), &server).await {
                log::debug!("{peer}: {error}");
            }
        });
    }
}

/// Starts what goes on besides answering: late answers, notifications, and the zones that come from others.
fn start(server: &Rc<RefCell<Server>>, environment: &Environment) -> Result<(), Stop> {
    let network = &environment.network;
    runtime::spawn(datagrams::answer_late(server.clone(), network.clone(), PORT));
    let socket = UdpSocket::bind(network, 0, UdpOptions { datagrams: 32, bytes: 16 * 1024 })?;
    runtime::spawn(notifications::run(server.clone(), socket));
    let served: Vec<_> = server.borrow().authority.zones().iter().cloned().collect();
    served.iter().for_each(|zone| server.borrow_mut().tell(zone));
    let connector = NetworkConnector::new(network, TcpOptions::default());
    runtime::spawn(secondaries::run(server.clone(), connector));
    Ok(())
}

/// Reads every zone and key file there is. Without a zone, and without a key that says where to get one, there is nothing to
/// serve, and somebody should know.
fn load(key: HashKey, keys: &mut Keys, identity: &mut Option<String>) -> Result<Zones, Stop> {
    let mut zones = Zones::new(key);
    let has_primary = keys.iter().any(|entry| entry.primary.is_some());
    let archive = match runtime::content::open(CONTENT) {
        Ok(archive) => archive,
        // A secondary needs nothing but its keys.
        Err(_) if has_primary => return Ok(zones),
        Err(error) => return Err(error.into()),
    };
    let outcome = content::load(&mut zones, keys, archive, |read| match read {
        Ok(content::Read::Zone(loaded)) => report(&loaded),
        Ok(content::Read::Keys(warnings)) => warnings.iter().for_each(|warning| warn!("{warning}")),
        Ok(content::Read::Identity(pem)) => *identity = Some(pem),
        Err(error) => warn!("{error}"),
    });
    if let Err(error) = outcome {
        warn!("the content is not a whole tar archive: {error}");
    }
    if zones.count() == 0 && !keys.iter().any(|entry| entry.primary.is_some()) {
        return Err(Stop::Failed(
            "no zone to serve: put one file a zone, named like it, into the content, or give the --key of a primary"
                .into(),
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
