//! Our service on the host's loopback, with sockets of tokio's: everything but the network stack is what an image runs.

use dns::keys::Keys;
use dns::service::{Backend, Policy, Server, VerifiedUpdate, answer_datagram, secondaries, session};
use dns::{Authority, HashKey, Name, Rcode, Zones, check, primary, update};
use runtime::connect::Connect;
use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};

fn hash_key() -> HashKey {
    HashKey::new([7; 24])
}

/// What it serves.
#[derive(Default)]
pub struct Setup {
    /// Zone files.
    pub zones: Vec<(&'static str, String)>,
    /// Keys, as an argument has them.
    pub keys: Vec<String>,
    /// Whoever asks gets whole zones.
    pub open_transfers: bool,
    /// There is somebody to hand updates on to.
    pub updates: bool,
    /// It hands updates on to primaries.
    pub forwards: bool,
    /// The name of a catalog of its zones.
    pub offer_catalog: Option<&'static str>,
    /// The name of a catalog that it follows.
    pub follow_catalog: Option<&'static str>,
}

/// A zone file that is there from now on, or no longer.
pub type Change = (&'static str, Option<String>);

/// Starts the service in a thread that ends with the test; other servers are at the same port. It takes changes of its zones.
pub fn start(address: SocketAddr, setup: Setup) -> UnboundedSender<Change> {
    let ((ready, started), (sender, changes)) = (std::sync::mpsc::channel(), unbounded_channel());
    std::thread::spawn(move || {
        let executor =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an executor");
        LocalSet::new().block_on(&executor, async move {
            let listener = TcpListener::bind(address).await.expect("a free port");
            let socket = Rc::new(UdpSocket::bind(address).await.expect("a free port"));
            serve(address, (setup, changes), (listener, socket), ready).await;
        });
    });
    started.recv().expect("the service starts");
    sender
}

async fn serve(
    address: SocketAddr,
    (setup, changes): (Setup, UnboundedReceiver<Change>),
    (listener, socket): (TcpListener, Rc<UdpSocket>),
    ready: std::sync::mpsc::Sender<()>,
) {
    let (mut zones, mut keys) = (Zones::new(hash_key()), Keys::default());
    for (name, text) in &setup.zones {
        zones.load(name, &mut text.as_bytes()).expect("the zone is good");
    }
    setup.keys.iter().for_each(|key| keys.add(key).expect("the key is good"));
    let policy = Policy { open_transfers: setup.open_transfers, port: address.port() };
    let server = Rc::new(RefCell::new(Server::new(Authority::new(zones), keys, policy)));
    if setup.updates {
        let backend = Rc::new(InMemory(server.clone()));
        server.borrow_mut().set_backend(backend);
    }
    let served: Vec<_> = server.borrow().authority().zones().iter().cloned().collect();
    served.iter().for_each(|zone| server.borrow_mut().tell(zone));
    if setup.forwards {
        server.borrow_mut().forward_updates(Loopback);
    }
    let name = |text| dns::zone_name(text, &hash_key()).expect("a name");
    if let Some(catalog) = setup.follow_catalog {
        server.borrow_mut().follow_catalog(&name(catalog));
    }
    if let Some(catalog) = setup.offer_catalog {
        server.borrow_mut().offer_catalog(name(catalog));
    }
    spawn_local(change(server.clone(), changes));
    spawn_local(datagrams(server.clone(), socket));
    spawn_local(notifications(server.clone(), address));
    spawn_local(secondaries::run(server.clone(), Loopback));
    ready.send(()).expect("the test waits");
    loop {
        let (stream, peer) = listener.accept().await.expect("a connection");
        let server = server.clone();
        spawn_local(async move { session(stream, peer.ip(), &server).await });
    }
}

/// What a pull does.
async fn change(server: Rc<RefCell<Server>>, mut changes: UnboundedReceiver<Change>) {
    while let Some((file, text)) = changes.recv().await {
        let mut server = server.borrow_mut();
        match text {
            Some(text) => {
                let checked = check::zone(file, text.as_bytes(), &hash_key()).expect("the zone is good");
                let installed = primary::Server::install(&mut *server, &checked.apex, Rc::new(checked.zone));
                installed.expect("there is memory");
            }
            None => {
                let apex = dns::zone_name(file, &hash_key()).expect("a name");
                primary::Server::remove(&mut *server, &apex);
            }
        }
    }
}

async fn datagrams(server: Rc<RefCell<Server>>, socket: Rc<UdpSocket>) {
    loop {
        let mut buffer = vec![0; 65_535];
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else { continue };
        let (server, socket) = (server.clone(), socket.clone());
        spawn_local(async move {
            if let Some(answer) = answer_datagram(&server, peer, &mut buffer, length).await {
                let _ = socket.send_to(&answer, peer).await;
            }
        });
    }
}

async fn notifications(server: Rc<RefCell<Server>>, address: SocketAddr) {
    let socket = UdpSocket::bind((address.ip(), 0)).await.expect("a free port");
    let mut buffer = [0; 1500];
    loop {
        let due = server.borrow_mut().poll_notification();
        if let Some((target, message)) = due {
            let _ = socket.send_to(&message, target).await;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
            Ok((length, source)) = socket.recv_from(&mut buffer) => {
                server.borrow_mut().handle_notified(source, &buffer[..length]);
            }
        }
    }
}

/// Connects by the host's own stack.
#[derive(Clone, Copy)]
struct Loopback;

impl Connect for Loopback {
    type Stream = TcpStream;

    async fn connect(&self, host: &str, port: u16) -> std::io::Result<TcpStream> {
        TcpStream::connect((host, port)).await
    }
}

/// Carries updates out in memory: what the git side does, without a repository.
struct InMemory(Rc<RefCell<Server>>);

impl Backend for InMemory {
    fn update(&self, update: VerifiedUpdate) -> Pin<Box<dyn Future<Output = Rcode>>> {
        let server = self.0.clone();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(20)).await; // it takes its time
            carry_out(&mut server.borrow_mut(), &update).err().unwrap_or(Rcode::NoError)
        })
    }

    fn pull(&self) {}
}

fn carry_out(server: &mut Server, update: &VerifiedUpdate) -> Result<(), Rcode> {
    let key = *server.authority().zones().key();
    let mut apex = Name::root(&key);
    apex.read(&update.zone, &key).map_err(|_| Rcode::ServFail)?;
    let zone = server.authority().zones().get(&apex).ok_or(Rcode::NotAuth)?;
    let difference = update::evaluate(&update.message, &zone, &update.scope, &key)?;
    if difference.is_empty() {
        return Ok(());
    }
    let (zone, _) = zone.with(&difference, true, &key).map_err(|_| Rcode::Refused)?;
    server.install(&apex, Rc::new(zone)).map_err(|_| Rcode::ServFail)
}
