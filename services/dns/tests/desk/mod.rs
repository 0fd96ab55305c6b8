//! Our service on the host's loopback, for other people's programs to ask: UDP, TCP, TLS, HTTPS and QUIC.

#![allow(dead_code, reason = "each test uses a part of it")]

use dns::keys::Keys;
use dns::service::{Policy, Server, answer_datagram, encrypted, quic, session};
use dns::{Authority, HashKey, Zones};
use runtime::network::Endpoints;
use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::{LocalSet, spawn_local};

/// Where it listens.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// UDP and TCP.
    pub plain: u16,
    /// DNS over TLS.
    pub tls: u16,
    /// DNS over HTTPS.
    pub https: u16,
    /// DNS over QUIC.
    pub quic: u16,
}

/// Starts the service in a thread that ends with the test. `files` are key files, `set_up` does what else there is to do.
pub fn start(
    zones: &[(&'static str, String)],
    files: Vec<(String, String)>,
    set_up: impl FnOnce(&mut Authority) + Send + 'static,
) -> Ports {
    let (ready, started) = std::sync::mpsc::channel();
    let zones = zones.to_vec();
    std::thread::spawn(move || {
        let executor =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an executor");
        LocalSet::new().block_on(&executor, async move {
            let mut loaded = Zones::new(HashKey::new([7; 24]));
            for (name, text) in &zones {
                loaded.load(name, &mut text.as_bytes()).expect("the zone is good");
            }
            let policy = Policy { open_transfers: true, port: 53 };
            let server = Rc::new(RefCell::new(Server::new(Authority::new(loaded), Keys::default(), policy)));
            for (file, text) in &files {
                server.borrow_mut().load_key_file(file, text.as_bytes()).expect("the key file is good");
            }
            set_up(server.borrow_mut().authority_mut());
            let mut listeners = Vec::new();
            for _ in 0..3 {
                listeners.push(TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
            }
            let ports: Vec<u16> =
                listeners.iter().map(|listener| listener.local_addr().expect("it is bound").port()).collect();
            let socket = UdpSocket::bind(("127.0.0.1", ports[0])).await.expect("a free port");
            for (kind, listener) in listeners.into_iter().enumerate() {
                spawn_local(connections(server.clone(), listener, kind));
            }
            let over_quic = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
            let quic_port = over_quic.local_addr().expect("it is bound").port();
            spawn_local(quic::run(server.clone(), HostSocket(over_quic)));
            let [plain, tls, https] = ports[..] else { unreachable!("there are three listeners") };
            ready.send(Ports { plain, tls, https, quic: quic_port }).expect("the test waits");
            datagrams(server, socket).await;
        });
    });
    started.recv().expect("the service starts")
}

async fn connections(server: Rc<RefCell<Server>>, listener: TcpListener, kind: usize) {
    loop {
        let (stream, peer) = listener.accept().await.expect("a connection");
        let server = server.clone();
        spawn_local(async move {
            match kind {
                0 => drop(session(stream, peer.ip(), &server).await),
                _ => encrypted::serve(stream, peer.ip(), kind == 2, server).await,
            }
        });
    }
}

/// A socket of the host's.
struct HostSocket(UdpSocket);

impl quic::Socket for HostSocket {
    async fn receive(&self, buffer: &mut [u8]) -> (usize, Endpoints) {
        let (length, theirs) = self.0.recv_from(buffer).await.expect("a datagram");
        (length, Endpoints { theirs, ours: Ipv4Addr::LOCALHOST.into() })
    }

    async fn send(&self, datagram: &[u8], ends: Endpoints) -> std::io::Result<()> {
        self.0.send_to(datagram, ends.theirs).await.map(drop)
    }
}

async fn datagrams(server: Rc<RefCell<Server>>, socket: UdpSocket) {
    let mut buffer = vec![0; 65_535];
    loop {
        let (length, peer): (usize, SocketAddr) = socket.recv_from(&mut buffer).await.expect("a datagram");
        if let Some(answer) = answer_datagram(&server, peer, &mut buffer, length).await {
            let _ = socket.send_to(&answer, peer).await;
        }
    }
}

/// A program of the given Debian package; the test fails where it is missing.
pub fn program(name: &str, package: &str) -> Command {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/bin", "/sbin", "/bin"];
    let found = folders.iter().map(|folder| PathBuf::from(folder).join(name)).find(|path| path.is_file());
    let mut command =
        Command::new(found.unwrap_or_else(|| panic!("{name} is missing: apt-get install {package}")));
    command.stdin(Stdio::null());
    command
}

/// What a program says.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// A folder that is gone at the end of the test.
pub struct Folder(pub PathBuf);

impl Folder {
    /// A new one.
    pub fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("dns-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("there is room for a folder");
        Folder(path)
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("there is room for a file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
