//! The network with Linux at the other end of a TAP, in a namespace of the test's own: crowds, floods, and clients that are slow.
//! `cargo xtask test` runs these where a user may make network namespaces.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use runtime::network::{Clock, Device, Fixed, Network, Received, Settings, Source, TcpListener, TcpOptions};
use std::{
    fs::File,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::fd::AsFd,
    process::Command,
    thread,
    time::{Duration, Instant},
};
use tappers::{Interface, Tap};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const MAC: [u8; 6] = [2, 0, 0, 0, 9, 2];
const INSIDE: &str = "SKERRY_TEST_NAMESPACE";
/// What `/large` is.
const LARGE: usize = 4 << 20;
/// How long a client waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `clients` against a server in a network namespace: this very test once more, in there.
#[track_caller]
fn with_server(name: &str, clients: impl FnOnce(SocketAddr) + Send + 'static, after: impl FnOnce(&Network)) {
    if std::env::var_os(INSIDE).is_none() {
        let mut again = Command::new("sh");
        let script = "ulimit -n $(ulimit -Hn) && exec unshare --user --map-root-user --net \"$@\"";
        again.args(["-c", script, "sh"]).arg(std::env::current_exe().unwrap());
        let status =
            again.args([name, "--exact", "--ignored", "--nocapture"]).env(INSIDE, "1").status().unwrap();
        assert!(status.success(), "{name} in a namespace: {status}");
        return;
    }
    let tap = Tap::new_named(Interface::new("tap").unwrap()).unwrap();
    for words in ["address add 10.9.0.1/24 dev tap", "link set tap up", "link set lo up"] {
        assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "ip {words}");
    }
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&executor, async {
        let network = serve(tap);
        let (done, finished) = tokio::sync::oneshot::channel();
        thread::spawn(move || {
            clients((SERVER, 80).into());
            let _ = done.send(());
        });
        let outcome = finished.await;
        assert!(outcome.is_ok(), "the clients' thread panicked; {}", network.counters());
        after(&network);
    });
}

/// The network on `tap`, and a server of `/` and `/large` on it.
fn serve(mut tap: Tap) -> Network {
    tap.set_nonblocking(true).unwrap();
    let device = File::from(tap.as_fd().try_clone_to_owned().unwrap());
    let settings = Settings {
        ipv4: Source::Fixed(Fixed { address: SERVER, prefix: 24, gateway: None }),
        ipv6: Source::Off,
        dns: Vec::new(),
    };
    let clock = HostClock(Instant::now());
    let network = Network::new(Box::new(HostTap(device)), Box::new(clock), platform::entropy::fill, settings);
    let options = TcpOptions {
        connections: 20_000,
        send_buffer: 256 * 1024,
        idle_timeout: None,
        ..TcpOptions::default()
    };
    let listener = TcpListener::bind(&network, 80, options).unwrap();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await;
            tokio::task::spawn_local(answer(stream));
        }
    });
    let driven = network.clone();
    tokio::task::spawn_local(async move {
        loop {
            let turn = driven.turn();
            match turn.drained && turn.quiet {
                true => tokio::time::sleep(Duration::from_millis(1)).await,
                false => tokio::task::yield_now().await,
            }
        }
    });
    network
}

/// Answers requests, for as long as there are any: as little of HTTP as clients need.
async fn answer(mut stream: runtime::network::TcpStream) {
    let mut head = Vec::new();
    while stream.read_buf(&mut head).await.is_ok_and(|length| length > 0) {
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let length = if head.starts_with(b"GET /large ") { LARGE } else { 1_024 };
        head = Vec::new();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{}", "x".repeat(length));
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

struct HostTap(File);

impl Device for HostTap {
    fn mac(&self) -> [u8; 6] {
        MAC
    }

    fn mtu(&self) -> usize {
        1_500
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<Received> {
        self.0.read(frame).ok().filter(|&length| length > 0).map(Received::from)
    }

    fn transmit(&mut self, frame: &[u8]) {
        let _ = self.0.write(frame);
    }
}

struct HostClock(Instant);

impl Clock for HostClock {
    fn monotonic(&self) -> u64 {
        3_600_000_000_000 + self.0.elapsed().as_nanos() as u64
    }
}

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&server, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Asks for a path, and reads the whole answer: bytes of its body.
fn ask(stream: &mut TcpStream, path: &str) -> usize {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "closed after {} bytes", answer.len());
        answer.extend_from_slice(&piece[..length]);
        let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
        let (_, rest) = text.split_once("content-length: ").expect("a length");
        let expect: usize = rest.lines().next().unwrap().parse().unwrap();
        if answer.len() >= head + 4 + expect {
            return expect;
        }
    }
}

#[test]
#[ignore = "needs network namespaces: cargo xtask test"]
fn ten_thousand_idle_connections_and_one_more_client() {
    with_server(
        "ten_thousand_idle_connections_and_one_more_client",
        |server| {
            let mut streams: Vec<TcpStream> = (0..10_000).map(|_| connect(server)).collect();
            streams.iter_mut().for_each(|stream| assert_eq!(ask(stream, "/"), 1_024));
            thread::sleep(Duration::from_secs(3));
            let mut other = connect(server);
            (0..100).for_each(|_| assert_eq!(ask(&mut other, "/"), 1_024));
            assert_eq!(ask(&mut other, "/large"), LARGE);
            // Each is there still, and is heard.
            streams.iter_mut().for_each(|stream| assert_eq!(ask(stream, "/"), 1_024));
        },
        |network| {
            let counters = network.counters();
            assert!(counters.rested >= network.connections() as u64 - 1, "{counters}");
            assert!(counters.grown > 0 && counters.no_memory == 0, "{counters}");
        },
    );
}

#[test]
#[ignore = "needs network namespaces: cargo xtask test"]
fn whoever_takes_nothing_keeps_nobody_else_from_it() {
    with_server(
        "whoever_takes_nothing_keeps_nobody_else_from_it",
        |server| {
            let greedy: Vec<TcpStream> = (0..200)
                .map(|_| {
                    let mut stream = connect(server);
                    write!(stream, "GET /large HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
                    stream
                })
                .collect();
            let halves: Vec<TcpStream> = (0..200)
                .map(|_| {
                    let mut stream = connect(server);
                    write!(stream, "GET / HTT").unwrap();
                    stream
                })
                .collect();
            thread::sleep(Duration::from_secs(1));
            let mut other = connect(server);
            (0..100).for_each(|_| assert_eq!(ask(&mut other, "/"), 1_024));
            assert_eq!(ask(&mut other, "/large"), LARGE);
            drop((greedy, halves));
        },
        |network| assert_eq!(network.counters().no_memory, 0),
    );
}

#[test]
#[ignore = "needs network namespaces: cargo xtask test"]
fn a_flood_of_syns_is_no_reason_to_refuse_anybody() {
    const SYNS: u64 = 100_000;
    with_server(
        "a_flood_of_syns_is_no_reason_to_refuse_anybody",
        |server| {
            assert_eq!(ask(&mut connect(server), "/"), 1_024); // the way is known
            let flood = thread::spawn(flood);
            while !flood.is_finished() {
                assert_eq!(ask(&mut connect(server), "/"), 1_024);
            }
            assert_eq!(flood.join().unwrap(), SYNS);
            assert_eq!(ask(&mut connect(server), "/"), 1_024);
        },
        |network| {
            let counters = network.counters();
            assert!(counters.openings > counters.connections + SYNS / 100, "{counters}");
            assert!(network.connections() < 2_000, "{} connections", network.connections());
        },
    );

    /// SYNs from hosts that do not exist, by a raw socket; how many.
    fn flood() -> u64 {
        use rustix::net::{AddressFamily, SocketAddrV4, SocketType, sendto, socket};
        let raw = rustix::net::RawProtocol::new(255);
        let socket =
            socket(AddressFamily::INET, SocketType::RAW, Some(rustix::net::Protocol::from_raw(raw.unwrap())))
                .unwrap();
        let mut sent = 0;
        for number in 0..SYNS as u32 {
            let packet = syn(number);
            let to = SocketAddrV4::new(SERVER, 0);
            // A full queue drops, as a wire does.
            let _ = sendto(&socket, &packet, rustix::net::SendFlags::empty(), &to);
            sent += 1;
        }
        sent
    }

    /// An IPv4 packet; the kernel completes its header's checksum.
    fn syn(number: u32) -> [u8; 40] {
        let mut packet = [0; 40];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&40_u16.to_be_bytes());
        (packet[8], packet[9]) = (64, 6);
        packet[12..16].copy_from_slice(&[10, 9, 1 + (number >> 8) as u8 % 200, number as u8 | 1]);
        packet[16..20].copy_from_slice(&SERVER.octets());
        packet[20..22].copy_from_slice(&(1_024 + (number % 60_000) as u16).to_be_bytes());
        packet[22..24].copy_from_slice(&80_u16.to_be_bytes());
        packet[24..28].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
        (packet[32], packet[33]) = (0x50, 2);
        packet[34..36].copy_from_slice(&1_024_u16.to_be_bytes());
        let sum: u32 =
            packet[12..].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let sum = sum + 6 + 20;
        let sum = (sum & 0xffff) + (sum >> 16);
        packet[36..38].copy_from_slice(&(!(sum as u16)).to_be_bytes());
        packet
    }
}
