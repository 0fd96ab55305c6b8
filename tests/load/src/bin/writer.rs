//! The writer: as many frames of the usual size as carry so many bytes, each by one write() to a TAP.
//!
//! Nothing is computed and nothing awaited: no server that moves frame by frame can be faster. The frames are UDP to a socket that
//! nobody reads, so the kernel takes each up to the socket and drops it there.
//! `writer --tap TAP --source IPV4 --destination IPV4 --bytes N` attaches to the TAP, which has the destination as its address,
//! and prints the seconds that it took.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Instant;

use tappers::{Interface, Tap};

/// Bytes of data in a segment of TCP over Ethernet without options, which the headers here have the length of.
const DATA: usize = 1_460;
const HEADERS: usize = 14 + 20 + 8;
/// Bytes by which the headers of TCP are longer than those of UDP.
const LONGER: usize = 12;
/// Discard (RFC 863).
const PORT: u16 = 9;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(seconds) => {
            println!("seconds={seconds}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("writer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<f64, Failure> {
    use lexopt::prelude::*;
    let (mut tap, mut source, mut destination, mut bytes) = (None, None, None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("tap") => tap = Some(parser.value()?.string()?),
            Long("source") => source = Some(parser.value()?.parse::<Ipv4Addr>()?),
            Long("destination") => destination = Some(parser.value()?.parse::<Ipv4Addr>()?),
            Long("bytes") => bytes = Some(parser.value()?.parse::<usize>()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let (Some(tap), Some(source), Some(destination), Some(bytes)) = (tap, source, destination, bytes) else {
        return Err("--tap, --source, --destination and --bytes are needed".into());
    };
    let address = std::fs::read_to_string(format!("/sys/class/net/{tap}/address"))?;
    let interface = Tap::new_named(Interface::new(&*tap)?)?;
    let mut device = File::from(interface.as_fd().try_clone_to_owned()?);
    let _socket = UdpSocket::bind((destination, PORT))?;
    let frame = frame(parse_mac(&address).ok_or("the TAP has no address")?, source, destination);
    let start = Instant::now();
    for _ in 0..bytes.div_ceil(DATA) {
        device.write_all(&frame)?;
    }
    Ok(start.elapsed().as_secs_f64())
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let octets: Result<Vec<u8>, _> =
        text.trim().split(':').map(|octet| u8::from_str_radix(octet, 16)).collect();
    octets.ok()?.try_into().ok()
}

fn frame(mac: [u8; 6], source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
    let length = HEADERS + LONGER + DATA;
    let mut frame = vec![0; length];
    frame[..6].copy_from_slice(&mac);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x0a]);
    frame[12] = 8;
    let ip = &mut frame[14..34];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&((length - 14) as u16).to_be_bytes());
    (ip[8], ip[9]) = (64, 17);
    ip[12..16].copy_from_slice(&source.octets());
    ip[16..].copy_from_slice(&destination.octets());
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    ip[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    frame[34..36].copy_from_slice(&PORT.to_be_bytes());
    frame[36..38].copy_from_slice(&PORT.to_be_bytes());
    // No checksum, as IPv4 allows (RFC 768).
    frame[38..40].copy_from_slice(&((length - 34) as u16).to_be_bytes());
    frame
}
