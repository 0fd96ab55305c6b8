//! The devices of a machine: matched to the manifest when the first is opened, then each with its one owner.
//!
//! ```text
//!   device.rs of the back end: find ─► cards and disks ─► by the manifest ─► open: set up ─► Interface, Disk
//! ```
//!
//! The drivers return what is wrong with a device; here the image stops with it. Network cards are the interfaces of the
//! manifest in their order, unless `--net-mac:NAME=ADDRESS` says otherwise; disks are in order.

use super::{boot::command_line, names, request::Failure};
use crate::{
    block::IoError,
    entropy,
    manifest::OpenError,
    net::{Capabilities, Interrupt, Offload, Received},
    report::Console,
    target::{
        device::{self, Card, DISK_PATIENCE_NS, DISK_SLEEP_NS, Drive, FoundCard, FoundDisk, Violation},
        exit, monotonic, wait,
    },
};
use solo5_sys::manifest::{
    Entry,
    device_type::{BLOCK_BASIC, NET_BASIC},
};
use std::{fmt::Write, ptr::NonNull};

/// Exit status of an image whose command line is wrong, as of one whose configuration is.
const EXIT_USAGE: i32 = 64;

/// What is behind an entry of the manifest.
enum Device {
    /// Nothing.
    Missing,
    /// A network card that nobody has opened.
    FoundCard(FoundCard),
    /// A disk that nobody has opened.
    FoundDisk(FoundDisk),
    /// A network card at work; never freed.
    Card(NonNull<Card>),
    /// A disk at work; never freed.
    Disk(NonNull<Drive>),
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
    // SAFETY: there is one thread, no caller keeps the reference beyond its own return or calls another that takes it, and
    // finding and setting up devices does not come to `wait`, which looks at `cards`.
    let devices = unsafe { &mut *(&raw mut DEVICES) };
    devices.get_or_insert_with(Devices::find)
}

/// Looks for the devices, unless that was done.
#[cfg(skerry_target = "virtio")]
pub fn look() {
    devices();
}

/// The network cards at work.
pub fn cards() -> impl Iterator<Item = NonNull<Card>> {
    // SAFETY: as for `devices`.
    let devices = unsafe { &*(&raw const DEVICES) };
    devices.iter().flat_map(|devices| &devices.devices).filter_map(|device| match device {
        Device::Card(card) => Some(*card),
        _ => None,
    })
}

/// The device called `name`, set up, which then has its one owner.
pub fn open(name: &str, device_type: u32) -> Result<(usize, Entry), OpenError> {
    let devices = devices();
    let (handle, mut entry) =
        crate::manifest::open(&devices.manifest, name, device_type, &mut devices.taken)?;
    let unusable = |reason: String| OpenError::Unusable(name.into(), reason);
    let slot = &mut devices.devices[handle];
    *slot = match std::mem::replace(slot, Device::Missing) {
        Device::FoundCard(found) => {
            let (card, address, mtu) = device::set_up_card(found).map_err(unusable)?;
            entry.properties[..6].copy_from_slice(&address.unwrap_or_else(random_address));
            entry.properties[6..8].copy_from_slice(&mtu.to_le_bytes());
            Device::Card(NonNull::from(Box::leak(Box::new(card))))
        }
        Device::FoundDisk(found) => {
            let disk = device::set_up_disk(found).map_err(unusable)?;
            entry.properties[..8].copy_from_slice(&disk.capacity().to_le_bytes());
            entry.properties[8..10].copy_from_slice(&(disk.block_size() as u16).to_le_bytes());
            Device::Disk(NonNull::from(Box::leak(Box::new(disk))))
        }
        _ => return Err(OpenError::Busy(name.into())),
    };
    Ok((handle, entry))
}

/// Asks every card to end a wait when it has something. False if one has already: do not sleep.
pub fn arm() -> bool {
    // SAFETY: the cards live for ever, and nobody has a reference to one while the image goes to sleep.
    // All of them, although one may say no.
    cards().filter(|card| !unsafe { &mut *card.as_ptr() }.arm()).count() == 0
}

impl Devices {
    fn find() -> Self {
        let manifest = crate::baked::manifest().to_vec();
        let mut found =
            Self { devices: manifest.iter().map(|_| Device::Missing).collect(), manifest, taken: 0 };
        let storage = found.handles(BLOCK_BASIC);
        let (cards, disks) = device::find(!storage.is_empty());
        found.name_cards(cards);
        for (handle, disk) in storage.into_iter().zip(disks) {
            found.attach(handle, Device::FoundDisk(disk));
        }
        found
    }

    /// Handles of the manifest's devices of one type.
    fn handles(&self, device_type: u32) -> Vec<usize> {
        let of_type = |(_, entry): &(usize, &Entry)| entry.device_type == device_type;
        self.manifest.iter().enumerate().filter(of_type).map(|(handle, _)| handle).collect()
    }

    fn attach(&mut self, handle: usize, device: Device) {
        self.manifest[handle].attached = 1;
        self.devices[handle] = device;
    }

    fn name_cards(&mut self, mut cards: Vec<FoundCard>) {
        let handles = self.handles(NET_BASIC);
        let names: Vec<&str> = handles.iter().map(|&handle| name(&self.manifest[handle])).collect();
        let addresses: Vec<_> = cards.iter_mut().map(device::address).collect();
        let wanted = command_line().mac_addresses();
        let assigned = names::assign(&names, &addresses, wanted).unwrap_or_else(|error| {
            let _ = writeln!(Console, "boot refused: {error}");
            exit(EXIT_USAGE)
        });
        let mut cards: Vec<_> = cards.into_iter().map(Some).collect();
        for (handle, card) in handles.into_iter().zip(assigned) {
            if let Some(card) = card.and_then(|number| cards[number].take()) {
                self.attach(handle, Device::FoundCard(card));
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
pub fn stop(device: &str, violation: Violation) -> ! {
    let _ = writeln!(Console, "{device}: {violation}: nothing of what it does can be relied on");
    exit(1)
}

/// A network card.
#[derive(Debug)]
pub struct Interface {
    card: NonNull<Card>,
}

impl Interface {
    /// The interface at `handle` in the manifest, which [`open`] has set up.
    pub fn new(handle: usize, _entry: &Entry) -> Self {
        match devices().devices[handle] {
            Device::Card(card) => Self { card },
            _ => unreachable!("open() has set up a card for this handle"),
        }
    }

    fn card(&mut self) -> &mut Card {
        // SAFETY: it lives for ever, has this one owner, and `arm` and what the back end does with `cards` run only while none
        // of its methods does.
        unsafe { self.card.as_mut() }
    }

    /// What the host does for us with frames that we send.
    pub fn capabilities(&self) -> Capabilities {
        // SAFETY: as for `card`.
        unsafe { self.card.as_ref() }.capabilities()
    }

    /// How it ends a sleep.
    pub fn interrupt(&self) -> Interrupt {
        // SAFETY: as for `card`.
        unsafe { self.card.as_ref() }.interrupt()
    }

    /// Takes one frame; `None` when there is none now.
    #[inline]
    pub fn receive(&mut self, frame: &mut [u8]) -> Option<Received> {
        self.card().receive(frame).unwrap_or_else(|violation| stop("network card", violation))
    }

    /// Sends one frame, with the next notification of the host; false if it has no room for it.
    #[inline]
    pub fn transmit(&mut self, frame: &[u8], offload: Offload) -> bool {
        self.card().transmit(frame, offload).unwrap_or_else(|violation| stop("network card", violation))
    }
}

/// A disk.
#[derive(Debug)]
pub struct Disk {
    disk: NonNull<Drive>,
}

impl Disk {
    /// The device at `handle` in the manifest, which [`open`] has set up.
    pub fn new(handle: usize, _entry: &Entry) -> Self {
        match devices().devices[handle] {
            Device::Disk(disk) => Self { disk },
            _ => unreachable!("open() has set up a disk for this handle"),
        }
    }

    fn disk(&mut self) -> &mut Drive {
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

/// Sleeps a little, or until a device has something; false after [`DISK_PATIENCE_NS`].
fn patience() -> impl FnMut() -> bool {
    let end = monotonic() + DISK_PATIENCE_NS;
    move || {
        let now = monotonic();
        wait(Some(end.min(now + DISK_SLEEP_NS)));
        now < end
    }
}

fn io_error(failure: Failure<Violation>) -> IoError {
    match failure {
        Failure::Device => IoError::Host,
        Failure::Unsupported => IoError::Unsupported,
        Failure::Silent => IoError::Silent,
        Failure::Violation(violation) => stop("disk", violation),
    }
}
