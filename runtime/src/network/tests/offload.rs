//! A device that completes checksums and cuts long segments, as a virtio host does it: what it is given must make sense, and
//! what comes out of it must be what the peer expects.

use super::super::checksum::Sum;
use crate::network::{
    Capabilities, Device, Network, Offload, Received, TcpListener, TcpOptions, TcpStream, testing::*,
};
use std::{cell::Cell, net::SocketAddr, rc::Rc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LARGEST: usize = 65_535;
const DATA: usize = 1 << 20;
const OPTIONS: TcpOptions = TcpOptions {
    idle_timeout: None,
    backlog: 16,
    connections: 16,
    receive_buffer: 65_536,
    send_buffer: 131_072,
    keep_alive: None,
    nagle: false,
};

/// An end of the wire with a host before it.
struct Host {
    end: End,
    capabilities: Capabilities,
    /// Frames it was given, and those that it had to cut.
    given: Rc<Cell<u64>>,
    cut: Rc<Cell<u64>>,
}

impl Device for Host {
    fn mac(&self) -> [u8; 6] {
        self.end.mac
    }

    fn mtu(&self) -> usize {
        MTU
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<Received> {
        self.end.receive(frame)
    }

    fn transmit(&mut self, frame: &[u8]) {
        self.end.transmit(frame);
    }

    fn transmit_offloaded(&mut self, frame: &[u8], offload: Offload) {
        self.given.set(self.given.get() + 1);
        let Some(checksum) = offload.checksum else {
            assert_eq!(offload.segment, None);
            return self.end.transmit(frame);
        };
        let Some(segment) = offload.segment else {
            return self.end.transmit(&complete(frame.to_vec(), checksum.start.into()));
        };
        let ipv6 = segment.ipv6;
        let limit = if ipv6 { self.capabilities.segment_tcp6 } else { self.capabilities.segment_tcp4 };
        assert!(frame.len() <= limit, "a frame of {} bytes", frame.len());
        self.cut.set(self.cut.get() + 1);
        let (start, headers) = (usize::from(checksum.start), usize::from(segment.headers));
        let pieces = frame[headers..].chunks(segment.size.into());
        let last = pieces.len() - 1;
        for (number, piece) in pieces.enumerate() {
            let mut cut = [&frame[..headers], piece].concat();
            let sequence = u32::from_be_bytes(cut[start + 4..start + 8].try_into().expect("four bytes"));
            let sequence = sequence.wrapping_add(number as u32 * u32::from(segment.size));
            cut[start + 4..start + 8].copy_from_slice(&sequence.to_be_bytes());
            if number < last {
                cut[start + 13] &= !0b1001; // FIN and PSH belong to the last
            }
            set_lengths(&mut cut, start, ipv6);
            self.end.transmit(&complete(cut, start));
        }
    }
}

/// Writes a shorter packet's length into its IP header, and the pseudo header's sum into its TCP header.
fn set_lengths(frame: &mut [u8], start: usize, ipv6: bool) {
    let length = (frame.len() - start) as u16;
    let addresses = if ipv6 {
        frame[18..20].copy_from_slice(&length.to_be_bytes());
        start - 32
    } else {
        frame[16..18].copy_from_slice(&(length + 20).to_be_bytes());
        frame[24..26].fill(0);
        let header = Sum::default().bytes(&frame[14..34]).checksum();
        frame[24..26].copy_from_slice(&header.to_be_bytes());
        start - 8
    };
    let sum = Sum::default().bytes(&frame[addresses..start]).word(6).word(length).fold();
    frame[start + 16..start + 18].copy_from_slice(&sum.to_be_bytes());
}

/// Completes a TCP checksum as VIRTIO has it. If the pseudo header's sum was wrong the peer drops the segment.
fn complete(mut frame: Vec<u8>, start: usize) -> Vec<u8> {
    let checksum = Sum::default().bytes(&frame[start..]).checksum();
    frame[start + 16..start + 18].copy_from_slice(&checksum.to_be_bytes());
    frame
}

/// Sends [`DATA`] bytes from a client with such a device; frames given to the device, and those it cut.
fn send(seed: u64, faults: Faults, capabilities: Capabilities, server: SocketAddr) -> (u64, u64) {
    let (given, cut) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let counts = (given.clone(), cut.clone());
    on_desk(seed, async move {
        let mut pair = Pair::new(seed, faults);
        let end = End { link: pair.link.clone(), side: 0, mac: CLIENT_MAC };
        let host = Host { end, capabilities, given, cut };
        let settings = fixed(CLIENT, CLIENT6);
        pair.client = Network::new(Box::new(host), Box::new(VirtualClock::new()), predictable, settings);
        drive(pair, move |pair| async move {
            let listener = TcpListener::bind(&pair.server, 7, OPTIONS).expect("a free port");
            let connecting = TcpStream::connect(&pair.client, server, OPTIONS);
            let (accepted, connected) = tokio::join!(listener.accept(), connecting);
            let (mut incoming, mut outgoing) = (accepted.0, connected.expect("a connection"));
            let data: Vec<u8> = (0..DATA).map(|at| (at / 251) as u8).collect();
            let expect = data.clone();
            tokio::task::spawn_local(async move {
                outgoing.write_all(&data).await.expect("written");
                outgoing.shutdown().await.expect("shut down");
            });
            let mut received = Vec::new();
            incoming.read_to_end(&mut received).await.expect("read");
            assert!(received == expect, "{} of {DATA} bytes came", received.len());
        })
        .await;
    });
    (counts.0.get(), counts.1.get())
}

const EVERYTHING: Capabilities =
    Capabilities { checksum: true, segment_tcp4: LARGEST, segment_tcp6: LARGEST };
const CHECKSUMS: Capabilities = Capabilities { checksum: true, segment_tcp4: 0, segment_tcp6: 0 };

#[test]
fn long_segments_are_left_to_the_device() {
    let (given, cut) = send(1, Faults::default(), EVERYTHING, SocketAddr::new(SERVER.into(), 7));
    let segments = (DATA / 1_460) as u64;
    assert!(cut > 0 && given < segments / 4, "{given} frames, {cut} of them cut, for {segments} segments");
}

#[test]
fn checksums_alone_are_left_to_the_device() {
    for server in [SocketAddr::new(SERVER.into(), 7), SocketAddr::new(SERVER6.into(), 7)] {
        let (given, cut) = send(2, Faults::default(), CHECKSUMS, server);
        assert!(cut == 0 && given >= (DATA / 1_460) as u64, "{given} frames, {cut} of them cut");
    }
}

/// device.rs says why.
#[test]
fn ipv6_is_cut_here() {
    let (_, cut) = send(3, Faults::default(), EVERYTHING, SocketAddr::new(SERVER6.into(), 7));
    assert_eq!(cut, 0);
}

#[test]
fn segments_are_lost_and_sent_again() {
    let faults = Faults { loss: 2, repeat: 2, reorder: 2 };
    for seed in 10..14 {
        let (_, cut) = send(seed, faults, EVERYTHING, SocketAddr::new(SERVER.into(), 7));
        assert!(cut > 0);
    }
}
