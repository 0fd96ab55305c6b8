//! The domain's devices: found, set up with their back ends, and disarmed after each sleep (`machine/devices.rs` does the rest).

use super::{
    clock, driver, hypercall,
    peer::{Peer, State},
    store::StoreError,
};
use crate::{
    machine::{devices::cards, names},
    net::ETHERNET_HEADER,
};
use driver::{
    blkfront::{Blkfront, Geometry},
    limits::FRAME_MAX,
    netfront::{Features, Netfront},
};

pub use driver::{blkfront::Blkfront as Drive, netfront::Netfront as Card, ring::Violation};

/// A device that nobody has opened.
pub type FoundCard = Peer;
pub type FoundDisk = Peer;

/// Bytes of IP packet where nobody says (RFC 894), and of the smallest that is taken (RFC 791).
const MTU_DEFAULT: usize = 1_500;
const MTU_MIN: usize = 576;

/// Longest sleep on a disk at once, in nanoseconds: an event that never comes costs no more.
pub const DISK_SLEEP_NS: u64 = 10_000_000;

/// Nanoseconds without an answer until a disk counts as silent. A host's own disk may take some to come to speed.
pub const DISK_PATIENCE_NS: u64 = 30_000_000_000;

/// Nanoseconds that the end of the image waits for frames to leave, and between two looks.
const DRAIN_NS: u64 = 500_000_000;
const DRAIN_LOOK_NS: u64 = 1_000_000;

/// Bit of a disk's `info` that says that it takes no writes. Source: `public/io/blkif.h`, `VDISK_READONLY`.
const READ_ONLY: u64 = 4;

/// Finds the cards, and if they are wanted the disks.
pub fn find(wants_disks: bool) -> (Vec<FoundCard>, Vec<FoundDisk>) {
    (Peer::find("vif"), if wants_disks { Peer::find("vbd") } else { Vec::new() })
}

/// The address that the tool stack has given a card.
pub fn address(card: &mut FoundCard) -> Option<[u8; 6]> {
    names::parse(card.own("mac")?.trim())
}

/// A card at work, its address and its MTU.
pub fn set_up_card(mut found: FoundCard) -> Result<(Netfront, Option<[u8; 6]>, u16), String> {
    let card = connect_card(&found)?;
    let mtu = mtu(&found);
    Ok((card, address(&mut found), mtu as u16))
}

/// A disk at work.
pub fn set_up_disk(found: FoundDisk) -> Result<Blkfront, String> {
    connect_disk(&found)
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
    awaited(peer, State::Connected)?.watch().map_err(|error| error.to_string())?;
    Ok(card)
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
    peer.enter(State::Connected).and_then(|()| peer.watch()).map_err(|error| error.to_string())?;
    Ok(disk)
}

fn awaited(peer: &Peer, state: State) -> Result<&Peer, String> {
    peer.await_state(state).then_some(peer).ok_or_else(|| ABSENT.into())
}

fn tell(peer: &Peer, values: &[(&str, u32)]) -> Result<(), StoreError> {
    values.iter().try_for_each(|(name, value)| peer.say(name, value))
}

fn mtu(peer: &Peer) -> usize {
    let said = peer.own("mtu").and_then(|text| text.trim().parse().ok()).unwrap_or(MTU_DEFAULT);
    said.clamp(MTU_MIN, FRAME_MAX - ETHERNET_HEADER)
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
