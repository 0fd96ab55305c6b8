//! The desk: two networks on an in-memory wire that loses, repeats and reorders by a seed, under virtual time.
//!
//! Time is tokio's, paused: it moves only when nothing can run. A failure prints the seed that led to it.

pub mod alone;
pub mod frames;

use super::{Clock, Device, Fixed, Network, Received, Settings, Source};
use std::{
    cell::RefCell,
    future::Future,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    rc::Rc,
    time::Duration,
};
use tokio::time::Instant;

pub const MTU: usize = 1_500;
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
pub const CLIENT6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
pub const SERVER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// Longest nap of the driver: a task that a timer woke has its say by then.
const NAP: Duration = Duration::from_millis(2);

/// What the wire does to frames, each in so many of a hundred.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub loss: u64,
    pub repeat: u64,
    pub reorder: u64,
}

/// A small generator for tests (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.next() % 100 < chance
    }
}

struct InFlight {
    at: Instant,
    to: usize,
    frame: Vec<u8>,
}

/// A wire with two ends.
pub struct Link {
    faults: Faults,
    dice: Dice,
    latency: Duration,
    in_flight: Vec<InFlight>,
    /// Every frame sent, with the end that sent it, if the test wants them.
    pub captured: Option<Vec<(usize, Vec<u8>)>>,
}

impl Link {
    pub fn new(seed: u64, faults: Faults) -> Rc<RefCell<Self>> {
        let latency = Duration::from_millis(1);
        Rc::new(RefCell::new(Self {
            faults,
            dice: Dice(seed),
            latency,
            in_flight: Vec::new(),
            captured: None,
        }))
    }

    /// Puts a frame on the wire towards an end.
    pub fn send(&mut self, to: usize, frame: &[u8]) {
        if let Some(captured) = &mut self.captured {
            captured.push((1 - to, frame.to_vec()));
        }
        if self.dice.percent(self.faults.loss) {
            return;
        }
        let copies = 1 + u64::from(self.dice.percent(self.faults.repeat));
        for _ in 0..copies {
            let late = u32::from(self.dice.percent(self.faults.reorder)) * 3;
            self.in_flight.push(InFlight {
                at: Instant::now() + self.latency * (1 + late),
                to,
                frame: frame.to_vec(),
            });
        }
    }

    /// The next frame that has arrived at an end.
    pub fn arrived(&mut self, to: usize) -> Option<Vec<u8>> {
        let now = Instant::now();
        let at = self.in_flight.iter().position(|frame| frame.to == to && frame.at <= now)?;
        Some(self.in_flight.remove(at).frame)
    }

    fn next(&self) -> Option<Instant> {
        self.in_flight.iter().map(|frame| frame.at).min()
    }
}

/// One end of a wire.
pub struct End {
    pub link: Rc<RefCell<Link>>,
    pub side: usize,
    pub mac: [u8; 6],
}

impl Device for End {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn mtu(&self) -> usize {
        MTU
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Option<Received> {
        let frame = self.link.borrow_mut().arrived(self.side)?;
        buffer[..frame.len()].copy_from_slice(&frame);
        Some(frame.len().into())
    }

    fn transmit(&mut self, frame: &[u8]) {
        assert!(frame.len() <= MTU + super::ETHERNET_HEADER, "an oversized frame");
        self.link.borrow_mut().send(1 - self.side, frame);
    }
}

/// tokio's clock, which tests pause. Zero is an hour before the first look.
#[derive(Clone, Copy)]
pub struct VirtualClock(Instant);

impl VirtualClock {
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for VirtualClock {
    fn monotonic(&self) -> u64 {
        3_600_000_000_000 + self.0.elapsed().as_nanos() as u64
    }
}

/// Not random, so that a seed leads to the same run; different for each call.
pub fn predictable(bytes: &mut [u8]) {
    thread_local! {
        static DICE: RefCell<Dice> = const { RefCell::new(Dice(1)) };
    }
    DICE.with_borrow_mut(|dice| bytes.fill_with(|| dice.next() as u8));
}

pub fn fixed(ipv4: Ipv4Addr, ipv6: Ipv6Addr) -> Settings {
    Settings {
        ipv4: Source::Fixed(Fixed { address: ipv4, prefix: 24, gateway: None }),
        ipv6: Source::Fixed(Fixed { address: ipv6, prefix: 64, gateway: None }),
        dns: vec![IpAddr::V4(SERVER)],
    }
}

/// Two networks and the wire between them.
#[derive(Clone)]
pub struct Pair {
    pub client: Network,
    pub server: Network,
    pub link: Rc<RefCell<Link>>,
}

impl Pair {
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self::with(seed, faults, fixed(CLIENT, CLIENT6), fixed(SERVER, SERVER6))
    }

    pub fn with(seed: u64, faults: Faults, client: Settings, server: Settings) -> Self {
        let link = Link::new(seed, faults);
        let clock = VirtualClock::new();
        let network = |side, mac, settings| {
            let end = End { link: link.clone(), side, mac };
            Network::new(Box::new(end), Box::new(clock), predictable, settings)
        };
        let client = network(0, CLIENT_MAC, client);
        let server = network(1, SERVER_MAC, server);
        Self { client, server, link }
    }

    /// Keeps both networks going for ever.
    async fn drive(self) {
        let mut quiet = 0;
        loop {
            let busy = [&self.client, &self.server]
                .map(Network::turn)
                .iter()
                .any(|turn| !turn.quiet || turn.frames > 0);
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet < 4 {
                tokio::task::yield_now().await;
                continue;
            }
            let next = self.link.borrow().next();
            tokio::time::sleep_until(next.unwrap_or(Instant::now() + NAP).min(Instant::now() + NAP)).await;
            quiet = 0;
        }
    }
}

/// Runs `test` on a pair, under virtual time; for a virtual hour at most.
#[track_caller]
pub fn run<F: Future<Output = ()>>(seed: u64, faults: Faults, test: impl FnOnce(Pair) -> F) {
    on_desk(seed, async move {
        let pair = Pair::new(seed, faults);
        drive(pair, test).await;
    });
}

/// Drives a pair while `test` runs.
pub async fn drive<F: Future<Output = ()>>(pair: Pair, test: impl FnOnce(Pair) -> F) {
    tokio::task::spawn_local(pair.clone().drive());
    tokio::time::timeout(Duration::from_secs(3_600), test(pair)).await.expect("the test does not hang");
}

/// Runs a future under virtual time.
#[track_caller]
pub fn on_desk(seed: u64, future: impl Future<Output = ()>) {
    struct Told(u64);
    impl Drop for Told {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the seed was {}", self.0);
            }
        }
    }
    let _told = Told(seed);
    let executor = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    tokio::task::LocalSet::new().block_on(&executor.expect("an executor"), future);
}
