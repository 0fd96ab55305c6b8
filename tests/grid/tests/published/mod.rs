//! The tender's user-mode network on a wire that many rows share, for as long as this value lives.
//!
//! ```text
//!  client ─► port of this host ─► gateway ─ its own wire ─ relay ─ the shared wire ─► guest 10.0.2.15
//! ```

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::write,
    net::{RecvFlags, recv},
};
use skerry_tender::{
    args::{Command, parse},
    network::user::{self, Gateway},
};
use std::{
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

/// How long the relay may go on after it was told to end.
const TURN: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// An address of this host that leads to a port of the guest, for datagrams and connections.
pub struct Published {
    pub address: SocketAddr,
    end: Arc<AtomicBool>,
    relay: Option<JoinHandle<()>>,
}

impl Published {
    /// Publishes `port` of the guest that is at the other end of `shared`.
    pub fn start(shared: OwnedFd, port: u16) -> Self {
        let rule = format!("--publish=127.0.0.1:0:{port}");
        let Ok(Command::Run(options)) = parse([rule.into(), "image".into()]) else {
            panic!("the tender knows its own option");
        };
        let forwards = user::bind(&options.published).unwrap_or_else(|failure| panic!("{failure}"));
        let address = forwards[0].host;
        let (gateway_end, relay_end) = user::pair().expect("sockets exist");
        thread::spawn(move || {
            Gateway::new(gateway_end, forwards)
                .and_then(|mut gateway| gateway.run())
                .unwrap_or_else(|error| panic!("user-mode network: {error}"));
        });
        let end = Arc::new(AtomicBool::new(false));
        let relay_ends = Arc::clone(&end);
        // The gateway ends when the relay's end of its wire is closed.
        let relay = Some(thread::spawn(move || relay(&[shared, relay_end], &relay_ends)));
        Self { address, end, relay }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.end.store(true, Relaxed);
        let _ = self.relay.take().map(JoinHandle::join);
    }
}

/// Hands frames on, both ways, until told to end.
fn relay(wires: &[OwnedFd; 2], end: &AtomicBool) {
    let mut frame = [0; 2048];
    while !end.load(Relaxed) {
        let mut waiting = [0, 1].map(|number| PollFd::new(&wires[number], PollFlags::IN));
        let _ = poll(&mut waiting, Some(&TURN));
        for number in [0, 1] {
            while let Ok((length @ 1.., _)) = recv(&wires[number], &mut frame, RecvFlags::DONTWAIT) {
                // A full socket drops, as a wire does.
                let _ = write(&wires[1 - number], &frame[..length]);
            }
        }
    }
}
