//! The domain's devices: found when the first is opened, matched to the manifest, armed and disarmed around each sleep.
//!
//! The drivers are in `driver/` and return what is wrong with a back end; here the image stops with it. Network cards are the
//! interfaces of the manifest in their order, unless `--net-mac:NAME=ADDRESS` says otherwise; disks are in order.

use super::{
    boot, clock, driver,
    exit::exit,
    hypercall,
    peer::{Peer, State},
    store::StoreError,
    wait::wait,
};
use crate::{
    block::IoError,
    entropy,
    machine::names,
    manifest::OpenError,
    net::{Capabilities, ETHERNET_HEADER, Offload, Received},
    report::Console,
};
use driver::{
    blkfront::{Blkfront, Failure, Geometry},
    limits::FRAME_MAX,
    netfront::{Features, Netfront},
    ring::Violation,
};
use solo5_sys::manifest::{
    Entry,
    device_type::{BLOCK_BASIC, NET_BASIC},
};
use std::{fmt::Write, ptr::NonNull};

/// Exit status of an image whose command line is wrong, as of one whose configuration is.
const EXIT_USAGE: i32 = 64;

/// Bytes of IP packet where nobody says (RFC 894), and of the smallest that is taken (RFC 791).
const MTU_DEFAULT: usize = 1_500;
const MTU_MIN: usize = 576;

/// Longest sleep on a disk at once, in nanoseconds: an event that never comes costs no more.
const DISK_SLEEP_NS: u64 = 10_000_000;

/// Nanoseconds without an answer until a disk counts as silent. A host's own disk may take some to come to speed.
const DISK_PATIENCE_NS: u64 = 30_000_000_000;

/// Nanoseconds that the end of the image waits for frames to leave, and between two looks.
const DRAIN_NS: u64 = 500_000_000;
const DRAIN_LOOK_NS: u64 = 1_000_000;

/// Bit of a disk's `info` that says that it takes no writes. Source: `public/io/blkif.h`, `VDISK_READONLY`.
const READ_ONLY: u64 = 4;

/// What is behind an entry of the manifest.
enum Device {
    /// Nothing.
    Missing,
    /// A device that nobody has opened.
    Found(Peer),
    /// A network card at work; never freed.
    Net(NonNull<Netfront>),
    /// A disk at work; never freed.
    Disk(NonNull<Blkfront>),
}

/// All devices.
struct Devices {
    /// The manifest, as a tender would have filled it in.
    manifest: Vec<Entry>,
    taken: u64,
    /// By handle.
    devices: Vec<Device>,
}

static mut DEVICES: Option<Devices> = None;

/// The devices, found if they were not yet.
fn devices() -> &'static mut Devices {
    // SAFETY: there is one thread, and no caller keeps the reference beyond its own return or calls another that takes it.
    let devices = unsafe { &mut *(&raw mut DEVICES) };
    devices.get_or_insert_with(Devices::find)
}

/// The network cards at work.
fn cards() -> impl Iterator<Item = NonNull<Netfront>> {
    // SAFETY: as for `devices`.
    let devices = unsafe { &*(&raw const DEVICES) };
    devices.iter().flat_map(|devices| &devices.devices).filter_map(|device| match device {
        Device::Net(card) => Some(*card),
        _ => None,
    })
}

/// The device called `name`, set up, which then has its one owner.
pub fn open(name: &str, device_type: u32) -> Result<(usize, Entry), OpenError> {
    let devices = devices();
    let (handle, mut entry) =
        crate::manifest::open(&devices.manifest, name, device_type, &mut devices.taken)?;
    let slot = &mut devices.devices[handle];
    let Device::Found(peer) = std::mem::replace(slot, Device::Missing) else {
        return Err(OpenError::Busy(name.into()));
    };
    let unusable = |reason: String| OpenError::Unusable(name.into(), reason);
    if device_type == NET_BASIC {
        let card = connect_card(&peer).map_err(unusable)?;
        entry.properties[..6].copy_from_slice(&address(&peer).unwrap_or_else(random_address));
        entry.properties[6..8].copy_from_slice(&(mtu(&peer) as u16).to_le_bytes());
        *slot = Device::Net(NonNull::from(Box::leak(Box::new(card))));
    } else {
        let disk = connect_disk(&peer).map_err(unusable)?;
        entry.properties[..8].copy_from_slice(&disk.capacity().to_le_bytes());
        entry.properties[8..10].copy_from_slice(&(disk.block_size() as u16).to_le_bytes());
        *slot = Device::Disk(NonNull::from(Box::leak(Box::new(disk))));
    }
    Ok((handle, entry))
}

const ABSENT: &str = "its back end does not connect";
const NO_CHANNEL: &str = "Xen has no event channel for it";

fn connect_card(peer: &Peer) -> Result<Netfront, String> {
    let link = awaited(peer, State::InitWait)?.link().ok_or(NO_CHANNEL)?;
    let has = |name| peer.number(name) != 0;
    let features = Features {
        gather: has("feature-sg"),
        checksum6: has("feature-ipv6-csum-offload"),
        segment_tcp4: has("feature-gso-tcpv4"),
        segment_tcp6: has("feature-gso-tcpv6"),
    };
    let card = Netfront::new(Box::new(link), features).map_err(|error| error.to_string())?;
    let (transmit, receive) = card.references();
    // No feature-gso-tcpv4 of ours: a frame is never larger than the MTU, which everything above counts on.
    tell(
        peer,
        &[
            ("tx-ring-ref", transmit),
            ("rx-ring-ref", receive),
            ("event-channel", link.port),
            ("request-rx-copy", 1),
            ("feature-rx-notify", 1),
            ("feature-sg", 1),
            ("feature-ipv6-csum-offload", 1),
        ],
    )
    .and_then(|()| peer.enter(State::Connected))
    .map_err(|error| error.to_string())?;
    awaited(peer, State::Connected).map(|_| card)
}

fn connect_disk(peer: &Peer) -> Result<Blkfront, String> {
    let link = awaited(peer, State::InitWait)?.link().ok_or(NO_CHANNEL)?;
    let mut disk = Blkfront::new(Box::new(link)).map_err(|error| error.to_string())?;
    tell(peer, &[("ring-ref", disk.reference()), ("event-channel", link.port)])
        .and_then(|()| peer.say("protocol", "x86_64-abi"))
        .and_then(|()| peer.enter(State::Initialised))
        .map_err(|error| error.to_string())?;
    awaited(peer, State::Connected)?;
    let geometry = Geometry {
        sectors: peer.number("sectors"),
        sector_size: peer.number("sector-size"),
        read_only: peer.number("info") & READ_ONLY != 0,
        flush: peer.number("feature-flush-cache") != 0,
        barrier: peer.number("feature-barrier") != 0,
    };
    disk.set_geometry(geometry).map_err(|error| error.to_string())?;
    peer.enter(State::Connected).map_err(|error| error.to_string())?;
    Ok(disk)
}

fn awaited(peer: &Peer, state: State) -> Result<&Peer, String> {
    peer.await_state(state).then_some(peer).ok_or_else(|| ABSENT.into())
}

fn tell(peer: &Peer, values: &[(&str, u32)]) -> Result<(), StoreError> {
    values.iter().try_for_each(|(name, value)| peer.say(name, value))
}

/// The address that the tool stack has given a card.
fn address(peer: &Peer) -> Option<[u8; 6]> {
    names::parse(peer.own("mac")?.trim())
}

fn mtu(peer: &Peer) -> usize {
    let said = peer.own("mtu").and_then(|text| text.trim().parse().ok()).unwrap_or(MTU_DEFAULT);
    said.clamp(MTU_MIN, FRAME_MAX - ETHERNET_HEADER)
}

/// Asks every card for an event when it has something. False if one has already: do not sleep.
pub fn arm() -> bool {
    // SAFETY: the cards live for ever, and nobody has a reference to one while the image goes to sleep.
    // All of them, although one may say no.
    cards().filter(|card| !unsafe { &mut *card.as_ptr() }.arm()).count() == 0
}

/// Asks no card for events any more.
pub fn disarm() {
    for mut card in cards() {
        // SAFETY: as in `arm`.
        unsafe { card.as_mut() }.disarm();
    }
}

/// Before the domain ends: waits a little until what was sent has left it, for nobody takes a frame from a domain that is gone.
pub fn drain() {
    let end = clock::monotonic() + DRAIN_NS;
    // SAFETY: as in `arm`; where a card's own method ends the image, that never returns to what it borrowed.
    while cards().any(|card| !unsafe { &mut *card.as_ptr() }.has_sent_all().unwrap_or(true)) {
        if clock::monotonic() >= end {
            break;
        }
        hypercall::block_until(&[], clock::monotonic() + DRAIN_LOOK_NS);
    }
}

impl Devices {
    fn find() -> Self {
        let manifest = crate::baked::manifest().to_vec();
        let mut found =
            Self { devices: manifest.iter().map(|_| Device::Missing).collect(), manifest, taken: 0 };
        found.name_cards(Peer::find("vif"));
        let storage = found.handles(BLOCK_BASIC);
        for (handle, disk) in storage.into_iter().zip(Peer::find("vbd")) {
            found.attach(handle, disk);
        }
        found
    }

    /// Handles of the manifest's devices of one type.
    fn handles(&self, device_type: u32) -> Vec<usize> {
        let of_type = |(_, entry): &(usize, &Entry)| entry.device_type == device_type;
        self.manifest.iter().enumerate().filter(of_type).map(|(handle, _)| handle).collect()
    }

    fn attach(&mut self, handle: usize, peer: Peer) {
        self.manifest[handle].attached = 1;
        self.devices[handle] = Device::Found(peer);
    }

    fn name_cards(&mut self, cards: Vec<Peer>) {
        let handles = self.handles(NET_BASIC);
        let names: Vec<&str> = handles.iter().map(|&handle| name(&self.manifest[handle])).collect();
        let addresses: Vec<_> = cards.iter().map(address).collect();
        let assigned = names::assign(&names, &addresses, boot::mac_addresses()).unwrap_or_else(|error| {
            let _ = writeln!(Console, "boot refused: {error}");
            exit(EXIT_USAGE)
        });
        for (handle, card) in handles.into_iter().zip(assigned) {
            if let Some(card) = card {
                self.attach(handle, cards[card].clone());
            }
        }
    }
}

fn name(entry: &Entry) -> &str {
    let end = entry.name.iter().position(|&byte| byte == 0).unwrap_or(entry.name.len());
    std::str::from_utf8(&entry.name[..end]).unwrap_or_default()
}

/// An address for a card that has none: unicast, and nobody's property (IEEE 802 §8.4).
fn random_address() -> [u8; 6] {
    let mut address = [0; 6];
    entropy::fill(&mut address);
    address[0] = address[0] & 0xfc | 2;
    address
}

/// Ends the image: the back end does not keep to the rules, and nothing it says can be relied on.
#[cold]
fn stop(device: &str, violation: Violation) -> ! {
    let _ = writeln!(Console, "{device}: {violation}: nothing of what it does can be relied on");
    exit(1)
}

/// A network card.
#[derive(Debug)]
pub struct Interface {
    card: NonNull<Netfront>,
}

impl Interface {
    /// The interface at `handle` in the manifest, which [`open`] has set up.
    pub fn new(handle: usize, _entry: &Entry) -> Self {
        match devices().devices[handle] {
            Device::Net(card) => Self { card },
            _ => unreachable!("open() has set up a card for this handle"),
        }
    }

    fn card(&mut self) -> &mut Netfront {
        // SAFETY: it lives for ever, has this one owner, and `arm` and `disarm` run only while none of its methods does.
        unsafe { self.card.as_mut() }
    }

    /// What the back end does for us with frames that we send.
    pub fn capabilities(&self) -> Capabilities {
        // SAFETY: as for `card`.
        unsafe { self.card.as_ref() }.capabilities()
    }

    /// Takes one frame; `None` when there is none now.
    #[inline]
    pub fn receive(&mut self, frame: &mut [u8]) -> Option<Received> {
        self.card().receive(frame).unwrap_or_else(|violation| stop("network card", violation))
    }

    /// Sends one frame, with the next notification; false if the back end has no room for it.
    #[inline]
    pub fn transmit(&mut self, frame: &[u8], offload: Offload) -> bool {
        self.card().transmit(frame, offload).unwrap_or_else(|violation| stop("network card", violation))
    }
}

/// A disk.
#[derive(Debug)]
pub struct Disk {
    disk: NonNull<Blkfront>,
}

impl Disk {
    /// The device at `handle` in the manifest, which [`open`] has set up.
    pub fn new(handle: usize, _entry: &Entry) -> Self {
        match devices().devices[handle] {
            Device::Disk(disk) => Self { disk },
            _ => unreachable!("open() has set up a disk for this handle"),
        }
    }

    fn disk(&mut self) -> &mut Blkfront {
        // SAFETY: it lives for ever and has this one owner.
        unsafe { self.disk.as_mut() }
    }

    /// Reads one block.
    pub fn read(&mut self, offset: u64, block: &mut [u8]) -> Result<(), IoError> {
        self.disk().read(offset, block, patience()).map_err(io_error)
    }

    /// Writes one block.
    pub fn write(&mut self, offset: u64, block: &[u8]) -> Result<(), IoError> {
        self.disk().write(offset, block, patience()).map_err(io_error)
    }

    /// Has everything written reach the disk itself.
    pub fn flush(&mut self) -> Result<(), IoError> {
        self.disk().flush(patience()).map_err(io_error)
    }

    /// Whether it takes no writes.
    pub fn read_only(&self) -> bool {
        // SAFETY: as for `disk`.
        unsafe { self.disk.as_ref() }.read_only()
    }
}

/// Sleeps until an event, or a little; false after [`DISK_PATIENCE_NS`].
fn patience() -> impl FnMut() -> bool {
    let end = clock::monotonic() + DISK_PATIENCE_NS;
    move || {
        let now = clock::monotonic();
        wait(Some(end.min(now + DISK_SLEEP_NS)));
        now < end
    }
}

fn io_error(failure: Failure) -> IoError {
    match failure {
        Failure::Device => IoError::Host,
        Failure::Unsupported => IoError::Unsupported,
        Failure::Silent => IoError::Silent,
        Failure::Violation(violation) => stop("disk", violation),
    }
}
