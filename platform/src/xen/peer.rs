//! Finding a device's back end in xenstore, and getting to the same state with it.
//!
//! ```text
//!   front end   Initialising ─► (rings, event channel) ─► Initialised ─► Connected
//!   back end    Initialising ─► InitWait ──────────────────────────────► Connected
//! ```
//!
//! Source: Xen `public/io/xenbus.h`, `public/io/netif.h`, `public/io/blkif.h`.

use super::{
    clock,
    driver::Backend,
    event, grant, hypercall,
    store::{self, StoreError},
};

/// States of either end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum State {
    /// The back end waits for the front end.
    InitWait = 2,
    /// The front end has said what it has.
    Initialised = 3,
    /// Both are at work.
    Connected = 4,
    /// One has closed, or does.
    Closing = 5,
}

/// Nanoseconds until a back end counts as absent, and between two looks at its state.
const PATIENCE_NS: u64 = 20_000_000_000;
const LOOK_NS: u64 = 10_000_000;

/// The two ends of a device, by their places in xenstore.
#[derive(Clone, Debug)]
pub struct Peer {
    front: String,
    back: String,
    /// The domain of the back end.
    domain: u16,
}

impl Peer {
    /// All devices of one kind ("vif", "vbd"), in the order of their numbers.
    pub fn find(kind: &str) -> Vec<Self> {
        let mut numbers: Vec<u32> =
            store::list(&format!("device/{kind}")).iter().filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        numbers.into_iter().filter_map(|number| Self::at(format!("device/{kind}/{number}"))).collect()
    }

    fn at(front: String) -> Option<Self> {
        let back = store::read(&format!("{front}/backend")).ok()?;
        let domain = store::number(&format!("{front}/backend-id"))?;
        Some(Self { front, back, domain })
    }

    /// A value at the front end's place.
    pub fn own(&self, name: &str) -> Option<String> {
        store::read(&format!("{}/{name}", self.front)).ok()
    }

    /// A number at the back end's place, 0 if there is none.
    pub fn number(&self, name: &str) -> u64 {
        store::number(&format!("{}/{name}", self.back)).unwrap_or(0)
    }

    /// Says something to the back end.
    pub fn say(&self, name: &str, value: impl std::fmt::Display) -> Result<(), StoreError> {
        store::write(&format!("{}/{name}", self.front), &value.to_string())
    }

    /// Says what state the front end is in.
    pub fn enter(&self, state: State) -> Result<(), StoreError> {
        self.say("state", state as u32)
    }

    /// Waits until the back end is in `state`; false if it gets into none that leads there.
    pub fn await_state(&self, state: State) -> bool {
        let end = clock::monotonic() + PATIENCE_NS;
        loop {
            let now = self.number("state");
            if now == state as u64 || now >= State::Closing as u64 || clock::monotonic() >= end {
                return now == state as u64;
            }
            hypercall::block_until(&[], clock::monotonic() + LOOK_NS);
        }
    }

    /// Ends the image when the back end closes from now on: nothing can be read or sent any more.
    pub fn watch(&self) -> Result<(), StoreError> {
        store::watch_back_end(&self.back)
    }

    /// An event channel to the back end, whose events end a wait. `None` if there are no more.
    pub fn link(&self) -> Option<Link> {
        let port = hypercall::allocate_port(self.domain)?;
        event::watch(port).then_some(Link { domain: self.domain, port })
    }
}

/// How a driver reaches its back end.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    domain: u16,
    /// Our end of the event channel.
    pub port: u32,
}

impl Backend for Link {
    fn grant(&mut self, page: *mut u8, writable: bool) -> Option<u32> {
        // SAFETY: drivers grant the pages of their rings and buffers alone, and never free them.
        unsafe { grant::grant(page, self.domain, writable) }
    }

    fn notify(&mut self) {
        hypercall::notify(self.port);
    }
}
