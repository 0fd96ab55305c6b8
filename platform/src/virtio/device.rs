//! The machine's virtio devices: found, set up, and disarmed after each sleep (`machine/devices.rs` does the rest).

use super::{clock, console::has_serial_port, driver, interrupt};
use crate::{
    machine::{
        boot::command_line,
        devices::{cards, look, stop},
        map_device, port,
    },
    net::Interrupt,
};
use driver::{
    block::Block,
    console::Console,
    limits::{BLOCK_MAX, BLOCK_SECONDS},
    mmio::Mmio,
    net::{self, Net},
    pci,
    registers::{Bus, Registers},
    transport::{Kind, Refusal, Transport},
};
use std::{
    ptr::NonNull,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

pub use driver::{block::Block as Drive, net::Net as Card, ring::Violation};

/// How long the image sleeps until it looks at a disk again, and how long a disk may take, in nanoseconds.
pub const DISK_SLEEP_NS: u64 = 100_000;
pub const DISK_PATIENCE_NS: u64 = BLOCK_SECONDS * 1_000_000_000;

/// What stands on a disk of `cargo xtask image SERVICE disk-...`: such a disk is what the image was booted from, not one of its
/// devices. Source: platform/loader/src/bios/boot.s, xtask/src/image/disk/gpt.rs.
const BOOT_DISK: (usize, &[u8]) = (3, b"SKERRY");

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

/// A network card that nobody has opened.
pub type FoundCard = Box<dyn Transport>;

/// A disk that nobody has opened: set up already, for that its first block is looked at.
pub type FoundDisk = Result<Block, Refusal>;

static FINDING: AtomicBool = AtomicBool::new(false);

/// What takes the place of a serial port, where there is none.
static mut CONSOLE: Option<Console> = None;

/// Finds the cards, and if they are wanted the disks.
pub fn find(wants_disks: bool) -> (Vec<FoundCard>, Vec<FoundDisk>) {
    FINDING.store(true, Relaxed);
    let (mut cards, mut disks) = (Vec::new(), Vec::new());
    for transport in find_all() {
        match transport.kind() {
            Kind::Net => cards.push(transport),
            Kind::Block if wants_disks => disks.push(Block::new(transport)),
            Kind::Block => {}
            Kind::Console if !has_serial_port() => {
                let console = Console::new(transport).ok();
                // SAFETY: there is one thread, and `print` takes no reference while FINDING says so.
                unsafe { CONSOLE = (*(&raw mut CONSOLE)).take().or(console) };
            }
            Kind::Console => {}
        }
    }
    disks.retain_mut(|disk| !disk.as_mut().is_ok_and(is_boot_disk));
    FINDING.store(false, Relaxed);
    (cards, disks)
}

fn find_all() -> Vec<Box<dyn Transport>> {
    let named = command_line().devices().iter();
    let named = named.filter_map(|device| Mmio::find(&Machine, device.address, device.length, device.line));
    let transports: Vec<_> = named.chain(pci::find(&Machine, interrupt::messages())).collect();
    if transports.is_empty() { Mmio::find_microvm(&Machine) } else { transports }
}

/// Whether an image of ours boots from this disk. One that cannot be read is none, and fails whoever opens it.
fn is_boot_disk(disk: &mut Block) -> bool {
    let mut block = [0; BLOCK_MAX];
    let block = &mut block[..disk.block_size()];
    let end = clock::monotonic() + DISK_PATIENCE_NS;
    let (at, mark) = BOOT_DISK;
    disk.read(0, block, || clock::monotonic() < end).is_ok() && block[at..].starts_with(mark)
}

/// The address of a card, if it has one of its own.
pub fn address(card: &mut FoundCard) -> Option<[u8; 6]> {
    net::address(&mut **card).ok().flatten()
}

/// A card at work, its address and its MTU.
pub fn set_up_card(found: FoundCard) -> Result<(Net, Option<[u8; 6]>, u16), String> {
    let card = Net::new(found).map_err(|refusal| refusal.to_string())?;
    if let Interrupt::Line(line) = card.interrupt() {
        interrupt::enable_line(line);
    }
    let (address, mtu) = (card.mac(), card.mtu());
    Ok((card, address, mtu))
}

/// A disk at work.
pub fn set_up_disk(found: FoundDisk) -> Result<Block, String> {
    found.map_err(|refusal| refusal.to_string())
}

/// Prints by a virtio console, if the machine has one. What is said before there is a heap, or while devices are looked for,
/// is lost.
pub fn print(text: &[u8]) {
    if crate::memory().total == 0 || FINDING.load(Relaxed) {
        return;
    }
    look();
    // SAFETY: there is one thread, and what is called here does not print.
    if let Some(console) = unsafe { &mut *(&raw mut CONSOLE) } {
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

/// Looks whether a card that sends messages has given up: the message that ended a sleep may have said so.
pub fn check_state() {
    for mut card in cards() {
        // SAFETY: as in `disarm`.
        unsafe { card.as_mut() }.check_state().unwrap_or_else(|violation| stop("network card", violation));
    }
}
