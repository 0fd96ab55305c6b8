//! The network of a real image under load that is not meant well. The peer is our own stack at the other end of a packet
//! socket: no root, no interface of the host.
//!
//! Like the boot grid it needs what `cargo xtask test` builds; a plain `cargo test` shows it as ignored.

#[macro_use]
mod every_target;
mod peer;

use peer::{GUEST, Wire, asks, connect, must_answer, must_connect, run};
use runtime::{
    network::{Network, TcpStream},
    resolver::Resolver,
};
use rustix::{
    io::{FdFlags, fcntl_setfd},
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
};
use std::{
    os::fd::AsRawFd,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};
use tokio::{task::spawn_local, time::sleep};

/// Connections that are tried at a time.
const AT_ONCE: usize = 200;
/// Two such floods at once would only measure each other.
static ALONE: Mutex<()> = Mutex::new(());

/// The DNS image with its example zone, at work.
struct Guest(Child);

impl Guest {
    fn start(target: &str, memory_mib: usize) -> (Self, Wire) {
        let variable = |name: &str| {
            std::env::var_os(name)
                .unwrap_or_else(|| panic!("{name} is unset: run this through `cargo xtask test`"))
        };
        let image = PathBuf::from(variable("SKERRY_IMAGES")).join(format!("example/dns-static.{target}"));
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("sockets exist");
        fcntl_setfd(&theirs, FdFlags::empty()).expect("it is open");
        let process = Command::new(variable("SKERRY_TENDER"))
            .args(std::env::var_os("SKERRY_TENDER_OPTION"))
            .arg(format!("--mem={memory_mib}"))
            .arg(format!("--net:service=@{}", theirs.as_raw_fd()))
            .arg("--net-mac:service=02:00:00:00:00:01")
            .arg("--")
            .arg(image)
            .args([&format!("--ipv4={GUEST}/24"), "--ipv6=none"])
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the tender starts");
        (Self(process), Wire(ours))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Attempts so many connections and keeps those that open.
async fn attempt(network: &Network, count: usize) -> Vec<TcpStream> {
    let attempts: Vec<_> = (0..count)
        .map(|_| {
            let network = network.clone();
            spawn_local(async move { connect(&network).await })
        })
        .collect();
    let mut open = Vec::new();
    for attempt in attempts {
        open.extend(attempt.await.expect("it does not panic"));
    }
    open
}

/// 20 000 connections are attempted on an image with 8 MiB: it keeps what it has room for, answers all the while, and has
/// room again when they are gone.
fn too_many_connections(target: &str) {
    let _alone = ALONE.lock();
    let (mut guest, wire) = Guest::start(target, 8);
    run(wire, |network| async move {
        let resolver = Resolver::new(&network);
        must_answer(&resolver, 0).await;
        let mut first = must_connect(&network).await;
        let mut open = Vec::new();
        let start = Instant::now();
        for round in 1..=20_000 / AT_ONCE {
            open.extend(attempt(&network, AT_ONCE).await);
            if round % 5 == 0 {
                must_answer(&resolver, round).await;
                assert!(asks(&mut first).await, "the first connection is not served in round {round}");
            }
        }
        println!("{target}: {} of 20000 connections are open after {:?}", open.len(), start.elapsed());
        assert!((50..8_000).contains(&open.len()), "{} connections in 8 MiB", open.len());
        open.drain(..).for_each(TcpStream::abort);
        sleep(Duration::from_millis(500)).await;
        must_answer(&resolver, 1_000_000).await;
        let mut again = must_connect(&network).await;
        assert!(asks(&mut again).await);
        assert!(guest.0.try_wait().expect("the tender is our child").is_none(), "the image has ended");
    });
}

/// Nanoseconds of a processor that a process has had, and how often it went to sleep.
fn spent(process: &Child) -> (u64, u64) {
    let read = |file: &str| {
        let path = format!("/proc/{}/{file}", process.id());
        std::fs::read_to_string(path).expect("the tender runs")
    };
    let first = |text: &str| text.split_whitespace().next().and_then(|word| word.parse().ok());
    let (schedule, status) = (read("schedstat"), read("status"));
    let sleeps = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    (first(&schedule).expect("a number"), sleeps.and_then(first).expect("a number"))
}

/// An image that served and is left alone does nothing: no tick, under a thousandth of a processor.
fn idle(target: &str) {
    const WATCHED: Duration = Duration::from_secs(10);
    let (guest, wire) = Guest::start(target, 16);
    run(wire, |network| async move {
        must_answer(&Resolver::new(&network), 0).await;
        let mut stream = must_connect(&network).await;
        assert!(asks(&mut stream).await);
        stream.abort();
        // What follows an exchange (a delayed acknowledgement, a timer that nobody needs any more) is over by then.
        sleep(Duration::from_secs(2)).await;
        let before = spent(&guest.0);
        sleep(WATCHED).await;
        let after = spent(&guest.0);
        let (nanoseconds, sleeps) = (after.0 - before.0, after.1 - before.1);
        assert!(nanoseconds < WATCHED.as_nanos() as u64 / 1_000, "{nanoseconds} ns in {WATCHED:?}");
        assert!(sleeps <= 3, "it woke {sleeps} times in {WATCHED:?}");
    });
}

every_target! {
    idle too_many_connections
}
