//! The machine's devices: found when the first is opened, matched to the manifest, armed and disarmed around each sleep.
//!
//! The drivers are in `driver/` and return what is wrong with a device; here the image stops with it. Network cards are the
//! interfaces of the manifest in their order, unless `--net-mac:NAME=ADDRESS` says otherwise; disks are in order.

use super::{boot, clock, console::has_serial_port, driver, exit::exit, interrupt, wait::wait};
use crate::{
    block::IoError,
    entropy,
    machine::{map_device, names, port},
    manifest::OpenError,
    net::{Capabilities, Offload, Received},
    report::Console,
};
use driver::{
    block::{Block, Failure},
    limits::BLOCK_SECONDS,
    mmio::Mmio,
    net::{self, Net},
    pci,
    registers::{Bus, Registers},
    ring::Violation,
    transport::{Kind, Refusal, Transport},
};
use solo5_sys::manifest::{
    Entry,
    device_type::{BLOCK_BASIC, NET_BASIC},
};
use std::{
    fmt::Write,
    ptr::NonNull,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// Exit status of an image whose command line is wrong, as of one whose configuration is.
const EXIT_USAGE: i32 = 64;

/// How long the image sleeps until it looks at a disk again, in nanoseconds.
const DISK_SLEEP_NS: u64 = 100_000;

/// How often the interrupts of several cards are acknowledged in a row; cards that raise them faster keep the image awake.
const DISARM_ROUNDS: u32 = 8;

/// How long an image that ends waits for its last frames to be sent, in nanoseconds. QEMU sends none once it stops.
const FINISH_NS: u64 = 10_000_000;

/// Ports and memory of this machine.
struct Machine;

impl Bus for Machine {
    fn port_read(&self, port: u16, width: u8) -> u32 {
        // SAFETY: drivers read the registers of PCI and of virtio devices, which is all that they are for.
        unsafe {
            match width {
                1 => port::read8(port).into(),
                2 => port::read16(port).into(),
                _ => port::read32(port),
            }
        }
    }

    fn port_write(&self, port: u16, width: u8, value: u32) {
        // SAFETY: as for reading. A device reaches memory by the rings alone, whose addresses are those of memory that is
        // meant for it and never freed.
        unsafe {
            match width {
                1 => port::write8(port, value as u8),
                2 => port::write16(port, value as u16),
                _ => port::write32(port, value),
            }
        }
    }

    fn map(&self, address: u64, length: u64) -> Option<Registers> {
        let length = usize::try_from(length).ok()?;
        let base = NonNull::new(map_device(address, length)?)?;
        // SAFETY: it is mapped, for ever. The address is the host's word; a host that names memory of ours instead of
        // registers can write there anyway.
        Some(unsafe { Registers::new(base, length) })
    }
}

/// What is behind an entry of the manifest.
enum Device {
    /// Nothing.
    Missing,
    /// A device that nobody has opened.
    Found(Box<dyn Transport>),
    /// A network card at work; never freed.
    Net(NonNull<Net>),
    /// A disk at work; never freed.
    Disk(NonNull<Block>),
}

/// All devices.
struct Devices {
    /// The manifest, as a tender would have filled it in.
    manifest: Vec<Entry>,
    taken: u64,
    /// By handle.
    devices: Vec<Device>,
    /// What takes the place of a serial port, where there is none.
    console: Option<driver::console::Console>,
}

static FINDING: AtomicBool = AtomicBool::new(false);

static mut DEVICES: Option<Devices> = None;

/// The devices, found if they were not yet.
fn devices() -> &'static mut Devices {
    // SAFETY: there is one thread, and no caller keeps the reference beyond its own return or calls another that takes it.
    let devices = unsafe { &mut *(&raw mut DEVICES) };
    devices.get_or_insert_with(Devices::find)
}

/// The network cards at work.
fn cards() -> impl Iterator<Item = NonNull<Net>> {
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
    let unusable = |refusal: Refusal| OpenError::Unusable(name.into(), refusal.to_string());
    let slot = &mut devices.devices[handle];
    let Device::Found(transport) = std::mem::replace(slot, Device::Missing) else {
        return Err(OpenError::Busy(name.into()));
    };
    match transport.kind() {
        Kind::Net => {
            let line = transport.interrupt_line();
            let card = Net::new(transport).map_err(unusable)?;
            entry.properties[..6].copy_from_slice(&card.mac().unwrap_or_else(random_address));
            entry.properties[6..8].copy_from_slice(&card.mtu().to_le_bytes());
            *slot = Device::Net(NonNull::from(Box::leak(Box::new(card))));
            interrupt::enable_line(line.unwrap_or(0));
        }
        Kind::Console => unreachable!("the manifest names none"),
        Kind::Block => {
            let disk = Block::new(transport).map_err(unusable)?;
            entry.properties[..8].copy_from_slice(&disk.capacity().to_le_bytes());
            entry.properties[8..10].copy_from_slice(&(disk.block_size() as u16).to_le_bytes());
            *slot = Device::Disk(NonNull::from(Box::leak(Box::new(disk))));
        }
    }
    Ok((handle, entry))
}

/// Prints by a virtio console, if the machine has one. What is said before there is a heap, or while devices are looked for,
/// is lost.
pub fn print(text: &[u8]) {
    if crate::memory().total == 0 || FINDING.load(Relaxed) {
        return;
    }
    if let Some(console) = &mut devices().console {
        console.send(text);
    }
}

/// Has every card send what it was given, for as long as [`FINISH_NS`] at most.
pub fn finish() {
    let end = clock::monotonic() + FINISH_NS;
    for mut card in cards() {
        // SAFETY: the cards live for ever, and whoever ends the image uses none any more.
        while !unsafe { card.as_mut() }.finish() && clock::monotonic() < end {
            std::hint::spin_loop();
        }
    }
}

/// Asks every card for an interrupt when it has something. False if one has already: do not sleep.
pub fn arm() -> bool {
    // SAFETY: the cards live for ever, and nobody has a reference to one while the image goes to sleep.
    // All of them, although one may say no.
    cards().filter(|card| !unsafe { &mut *card.as_ptr() }.arm()).count() == 0
}

/// Lets every card take its interrupt back.
///
/// Lines of one interrupt controller have one way to the next: it sees another only after all were down at once. So several
/// cards are asked until none has anything; what comes later rings anew.
pub fn disarm() {
    let several = cards().nth(1).is_some();
    for _ in 0..DISARM_ROUNDS {
        let raised = cards().filter(|card| {
            // SAFETY: as in `arm`.
            let outcome = unsafe { &mut *card.as_ptr() }.disarm();
            outcome.unwrap_or_else(|violation| stop("network card", violation))
        });
        if raised.count() == 0 || !several {
            break;
        }
    }
}

impl Devices {
    fn find() -> Self {
        FINDING.store(true, Relaxed);
        let found = Self::find_all();
        FINDING.store(false, Relaxed);
        found
    }

    fn find_all() -> Self {
        let named = boot::mmio_devices().iter();
        let named =
            named.filter_map(|device| Mmio::find(&Machine, device.address, device.length, device.line));
        let mut transports: Vec<_> = named.chain(pci::find(&Machine)).collect();
        if transports.is_empty() {
            transports = Mmio::find_microvm(&Machine);
        }
        let (mut cards, mut disks, mut console) = (Vec::new(), Vec::new(), None);
        for transport in transports {
            match transport.kind() {
                Kind::Net => cards.push(transport),
                Kind::Block => disks.push(transport),
                Kind::Console if console.is_none() && !has_serial_port() => {
                    console = driver::console::Console::new(transport).ok();
                }
                Kind::Console => {}
            }
        }
        let manifest = crate::baked::manifest().to_vec();
        let mut found =
            Self { devices: manifest.iter().map(|_| Device::Missing).collect(), manifest, taken: 0, console };
        found.name_cards(cards);
        let storage = found.handles(BLOCK_BASIC);
        for (handle, disk) in storage.into_iter().zip(disks) {
            found.attach(handle, disk);
        }
        found
    }

    /// Handles of the manifest's devices of one type.
    fn handles(&self, device_type: u32) -> Vec<usize> {
        let of_type = |(_, entry): &(usize, &Entry)| entry.device_type == device_type;
        self.manifest.iter().enumerate().filter(of_type).map(|(handle, _)| handle).collect()
    }

    fn attach(&mut self, handle: usize, transport: Box<dyn Transport>) {
        self.manifest[handle].attached = 1;
        self.devices[handle] = Device::Found(transport);
    }

    fn name_cards(&mut self, mut cards: Vec<Box<dyn Transport>>) {
        let handles = self.handles(NET_BASIC);
        let names: Vec<&str> = handles.iter().map(|&handle| name(&self.manifest[handle])).collect();
        let addresses: Vec<_> =
            cards.iter_mut().map(|card| net::address(&mut **card).ok().flatten()).collect();
        let assigned = names::assign(&names, &addresses, boot::mac_addresses()).unwrap_or_else(|error| {
            let _ = writeln!(Console, "boot refused: {error}");
            exit(EXIT_USAGE)
        });
        let mut cards: Vec<_> = cards.into_iter().map(Some).collect();
        for (handle, card) in handles.into_iter().zip(assigned) {
            if let Some(card) = card.and_then(|number| cards[number].take()) {
                self.attach(handle, card);
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

/// Ends the image: its host does not keep to the rules, and nothing it says can be relied on.
#[cold]
fn stop(device: &str, violation: Violation) -> ! {
    let _ = writeln!(Console, "{device}: {violation}: nothing of what it does can be relied on");
    exit(1)
}

/// A network card.
#[derive(Debug)]
pub struct Interface {
    card: NonNull<Net>,
}

impl Interface {
    /// The interface at `handle` in the manifest, which [`open`] has set up.
    pub fn new(handle: usize, _entry: &Entry) -> Self {
        match devices().devices[handle] {
            Device::Net(card) => Self { card },
            _ => unreachable!("open() has set up a card for this handle"),
        }
    }

    fn card(&mut self) -> &mut Net {
        // SAFETY: it lives for ever, has this one owner, and `arm` and `disarm` run only while none of its methods does.
        unsafe { self.card.as_mut() }
    }

    /// What the card does for us with frames that we send.
    pub fn capabilities(&self) -> Capabilities {
        // SAFETY: as for `card`.
        unsafe { self.card.as_ref() }.capabilities()
    }

    /// Takes one frame; `None` when there is none now.
    #[inline]
    pub fn receive(&mut self, frame: &mut [u8]) -> Option<Received> {
        self.card().receive(frame).unwrap_or_else(|violation| stop("network card", violation))
    }

    /// Sends one frame, with the next ring of the bell; false if the host has no room for it.
    #[inline]
    pub fn transmit(&mut self, frame: &[u8], offload: Offload) -> bool {
        self.card().transmit(frame, offload).unwrap_or_else(|violation| stop("network card", violation))
    }
}

/// A disk.
#[derive(Debug)]
pub struct Disk {
    disk: NonNull<Block>,
}

impl Disk {
    /// The device at `handle` in the manifest, which [`open`] has set up.
    pub fn new(handle: usize, _entry: &Entry) -> Self {
        match devices().devices[handle] {
            Device::Disk(disk) => Self { disk },
            _ => unreachable!("open() has set up a disk for this handle"),
        }
    }

    fn disk(&mut self) -> &mut Block {
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

/// Sleeps a little, or until a card has something; false after [`BLOCK_SECONDS`].
fn patience() -> impl FnMut() -> bool {
    let end = clock::monotonic() + BLOCK_SECONDS * 1_000_000_000;
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
