//! The network's state and its turn: frames in, sockets moved on, frames out.
//!
//! ```text
//!  device ─► classify ─┬─ Datagram ─► Responder ─► device            fast path: nothing else is touched
//!                      ├─ Segment ──► flow table ─► its own SocketSet ─► dirty list ┐
//!                      └─ Base ─────► base SocketSet (ARP, ICMP, NDP, DHCP, UDP) ───┤
//!                                     timer heap ─► flows that are due ─────────────┴─► visit: segments out, wakers
//! ```
//!
//! A turn takes a bounded batch of frames and then visits each flow that something happened to, once. The work is that of
//! the frames and the flows they belong to; how many other connections there are does not matter. No task runs during a
//! turn: wakers only note that they were called.

use super::{
    addresses::Addressing,
    classify::Addresses,
    cookie::Cookies,
    counters::Counters,
    device::{Clock, Device, ETHERNET_HEADER, Wire, largest_frame},
    flows::{Connection, FlowId, Flows},
    listener::Listening,
    rate::ErrorRate,
    responder::Responding,
    rest::Workshop,
    timers::{Micros, Timers},
    udp::{Bound, Stuck},
};
use crate::limits::{BATCH, MEMORY_RESERVE, MEMORY_RESERVE_PART, REASSEMBLY_SECONDS, TURNS_PER_CLOCK};
use platform::Memory;
use smoltcp::{
    iface::{Config, Interface, PollResult, SocketSet},
    time::{Duration, Instant},
    wire::{EthernetAddress, HardwareAddress},
};
use std::{collections::VecDeque, task::Waker};

/// Fills bytes at random, fit for keys.
pub type Random = fn(&mut [u8]);

/// One network interface with everything above it.
pub struct Stack {
    pub(super) device: Box<dyn Device>,
    clock: Box<dyn Clock>,
    pub(super) random: Random,
    /// Memory of the image.
    pub(super) memory: fn() -> Memory,
    pub(super) interface: Interface,
    pub(super) ours: Addresses,
    pub(super) addressing: Addressing,
    pub(super) base: SocketSet<'static>,
    pub(super) base_dirty: bool,
    pub(super) base_deadline: Option<Micros>,
    pub(super) responders: Vec<Responding>,
    pub(super) udp_sockets: Vec<Bound>,
    pub(super) stuck: Vec<Stuck>,
    pub(super) listeners: Vec<Listening>,
    pub(super) listener_count: u64,
    pub(super) flows: Flows,
    pub(super) cookies: Cookies,
    pub(super) workshop: Workshop,
    pub(super) timers: Timers,
    pub(super) dirty: Vec<FlowId>,
    /// Connections that woke since this turn began, and what answers on them will take is not taken yet.
    pub(super) woken: usize,
    pub(super) unresolved: Vec<FlowId>,
    pub(super) time_wait: VecDeque<FlowId>,
    pub(super) errors: ErrorRate,
    pub(super) counters: Counters,
    /// Called when an address was gained or lost.
    pub(super) address_wakers: Vec<Waker>,
    /// The frame being handled.
    pub(super) frame: Box<[u8]>,
    /// Where a frame to be sent is built.
    pub(super) scratch: Box<[u8]>,
    pub(super) now: Micros,
    clock_read: bool,
    turns: u32,
    /// Visits made to flows and to the base sockets, for tests of how much work a packet makes.
    pub(super) visits: (u64, u64),
}

/// What a turn found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Frames taken.
    pub frames: usize,
    /// Whether the device had no more.
    pub drained: bool,
    /// Whether nothing but the fast path was used, so that no task can have been woken.
    pub quiet: bool,
}

impl Stack {
    pub(super) fn new(mut device: Box<dyn Device>, clock: Box<dyn Clock>, random: Random) -> Self {
        let mac = device.mac();
        let mut seed = [0; 8];
        random(&mut seed);
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(mac)));
        let config_seed = u64::from_ne_bytes(seed);
        config.random_seed = config_seed;
        let now = (clock.monotonic() / 1_000) as Micros;
        let size = device.mtu() + ETHERNET_HEADER;
        let mut scratch = vec![0; largest_frame(&*device)].into_boxed_slice();
        let mut wire =
            Wire { device: &mut *device, frame: None, scratch: &mut scratch, sent: &mut 0, sequence: None };
        let mut interface = Interface::new(config, &mut wire, Instant::from_micros(now));
        let workshop = Workshop::new(device.mtu(), config_seed.rotate_left(32), now);
        interface.set_reassembly_timeout(Duration::from_secs(REASSEMBLY_SECONDS));
        Self {
            device,
            clock,
            random,
            memory: platform::memory,
            interface,
            ours: Addresses { mac, ..Addresses::default() },
            addressing: Addressing::default(),
            base: SocketSet::new(Vec::new()),
            base_dirty: true,
            base_deadline: None,
            responders: Vec::new(),
            udp_sockets: Vec::new(),
            stuck: Vec::new(),
            listeners: Vec::new(),
            listener_count: 0,
            flows: Flows::default(),
            cookies: Cookies::default(),
            workshop,
            timers: Timers::default(),
            dirty: Vec::new(),
            woken: 0,
            unresolved: Vec::new(),
            time_wait: VecDeque::new(),
            errors: ErrorRate::new(),
            counters: Counters::default(),
            address_wakers: Vec::new(),
            frame: vec![0; size].into_boxed_slice(),
            scratch,
            now,
            clock_read: false,
            turns: 0,
            visits: (0, 0),
        }
    }

    /// Takes a batch of frames, and moves on whatever they or the passing of time concern.
    pub fn turn(&mut self) -> Turn {
        self.clock_read = false;
        self.woken = 0;
        let mut turn = Turn { frames: 0, drained: false, quiet: true };
        while turn.frames < BATCH {
            let Some(received) = self.device.receive(&mut self.frame) else {
                turn.drained = true;
                break;
            };
            turn.frames += 1;
            turn.quiet &= self.handle_frame(received);
        }
        self.counters.frames_in += turn.frames as u64;
        self.turns += 1;
        let idle = turn.frames == 0 || self.turns >= TURNS_PER_CLOCK;
        if idle || !turn.quiet || self.base_dirty || !self.dirty.is_empty() {
            turn.quiet &= !self.visit_all();
        }
        turn
    }

    /// When the next turn is due even if no frame comes, in nanoseconds of the monotonic clock.
    pub fn deadline(&self) -> Option<u64> {
        let micros = [self.timers.next(), self.base_deadline].into_iter().flatten().min()?;
        Some(u64::try_from(micros).unwrap_or(0) * 1_000)
    }

    /// The clock as last read, in nanoseconds.
    pub fn now(&self) -> u64 {
        u64::try_from(self.now).unwrap_or(0) * 1_000
    }

    /// Visits what is dirty or due. Whether there was anything.
    fn visit_all(&mut self) -> bool {
        self.turns = 0;
        self.read_clock();
        self.mark_due();
        let base = self.base_dirty || self.base_deadline.is_some_and(|at| at <= self.now);
        if base {
            self.visit_base();
        }
        // What a visit makes dirty again waits for the next turn, so that one flow cannot keep the others waiting.
        let mut dirty = std::mem::take(&mut self.dirty);
        let any = base || !dirty.is_empty();
        for id in dirty.drain(..) {
            self.visit_flow(id);
        }
        if self.dirty.is_empty() {
            self.dirty = dirty;
        }
        let flows = &self.flows;
        self.timers.sweep(flows.len(), |at, id| flows.get(id).is_some_and(|flow| flow.armed == Some(at)));
        any
    }

    /// Reads the clock, once a turn.
    pub(super) fn read_clock(&mut self) {
        if !self.clock_read {
            self.now = self.now.max((self.clock.monotonic() / 1_000) as Micros);
            self.clock_read = true;
        }
    }

    /// Hands the frame just received to smoltcp, with the sockets it may be for.
    pub(super) fn ingress(&mut self, length: usize, sockets: Sockets) {
        self.read_clock();
        let (set, sequence) = match sockets {
            Sockets::Base => (&mut self.base, None),
            Sockets::Flow(id) => {
                match self.flows.get_mut(id).map(|flow| (&mut flow.connection, &mut flow.sequence)) {
                    Some((Connection::Awake(set, _), sequence)) => (set, Some(sequence)),
                    Some((Connection::Resting(_), _)) | None => return,
                }
            }
        };
        let mut wire = Wire {
            device: &mut *self.device,
            frame: Some(&self.frame[..length]),
            scratch: &mut self.scratch,
            sent: &mut self.counters.frames_out,
            sequence,
        };
        self.interface.poll_ingress_single(Instant::from_micros(self.now), &mut wire, set);
    }

    /// Lets some sockets send, one packet each. Whether anything was sent.
    pub(super) fn egress(&mut self, sockets: Sockets) -> bool {
        let (set, sequence) = match sockets {
            Sockets::Base => (&mut self.base, None),
            Sockets::Flow(id) => {
                match self.flows.get_mut(id).map(|flow| (&mut flow.connection, &mut flow.sequence)) {
                    Some((Connection::Awake(set, _), sequence)) => (set, Some(sequence)),
                    Some((Connection::Resting(_), _)) | None => return false,
                }
            }
        };
        let mut wire = Wire {
            device: &mut *self.device,
            frame: None,
            scratch: &mut self.scratch,
            sent: &mut self.counters.frames_out,
            sequence,
        };
        self.interface.poll_egress(Instant::from_micros(self.now), &mut wire, set)
            == PollResult::SocketStateChanged
    }

    /// Whether there is memory for so many bytes more, beside the reserve for what is small and cannot fail.
    pub(super) fn has_memory_for(&self, bytes: usize) -> bool {
        let Memory { total, used } = (self.memory)();
        // The host does not say: there the allocator does.
        total == 0 || used + bytes + MEMORY_RESERVE.max(total / MEMORY_RESERVE_PART) <= total
    }

    /// Sends a frame of `length` bytes that lies in `scratch`.
    pub(super) fn transmit_scratch(&mut self, length: usize) {
        self.device.transmit(&self.scratch[..length]);
        self.counters.frames_out += 1;
    }
}

/// Which sockets smoltcp is to look at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sockets {
    Base,
    Flow(FlowId),
}
