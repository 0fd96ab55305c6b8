//! A subject's environment in user space: pages laid out as Muen's policy lays them out, other subjects as threads.

use muen_subject::channel::{HEADER, Idle, Protocol, Reader, TRANSPORT, Writer};
use muen_subject::frame::{LOG, NETWORK, decode, encode, log_line};
use muen_subject::limits::SINFO_BYTES;
use muen_subject::shared::Shared;
use muen_subject::sinfo::{MAGIC, Sinfo};
use muen_subject::time::TimeInfo;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Memory of a system, by the addresses that our subject has it at.
struct System {
    sinfo: Vec<u8>,
    regions: HashMap<u64, Arc<[AtomicU64]>>,
}

/// Numbers of Solo5's `sinfo.h`.
const KIND_MEMORY: u32 = 1;
const MEMORY_CHANNEL: u8 = 5;
const MEMORY_PLAIN: u8 = 0;

impl System {
    fn new(name: &str) -> Self {
        let mut sinfo = vec![0; SINFO_BYTES];
        sinfo[..8].copy_from_slice(&MAGIC.to_le_bytes());
        sinfo[8..12].copy_from_slice(&2_000_000_u32.to_le_bytes());
        put_name(&mut sinfo[12..], name);
        Self { sinfo, regions: HashMap::new() }
    }

    /// What the policy's line `<memory name= size= >` does.
    fn map(&mut self, name: &str, kind: u8, writable: bool, bytes: usize) -> Arc<[AtomicU64]> {
        let count = usize::from(u16::from_le_bytes([self.sinfo[78], self.sinfo[79]]));
        let address = 0xe_0010_0000 + (count as u64) * 0x10_0000;
        let resource = &mut self.sinfo[80 + count * 128..80 + (count + 1) * 128];
        resource[..4].copy_from_slice(&KIND_MEMORY.to_le_bytes());
        put_name(&mut resource[4..], name);
        resource[72] = kind;
        resource[74] = u8::from(writable);
        resource[80..88].copy_from_slice(&address.to_le_bytes());
        resource[88..96].copy_from_slice(&(bytes as u64).to_le_bytes());
        self.sinfo[78..80].copy_from_slice(&(count as u16 + 1).to_le_bytes());
        let words: Arc<[AtomicU64]> = (0..bytes / 8).map(|_| AtomicU64::new(0)).collect();
        self.regions.insert(address, words.clone());
        words
    }

    /// What a back end does: the region's words, if it is as it has to be.
    fn region(&self, name: &str, writable: bool) -> Shared<'_> {
        let region =
            Sinfo::new(&self.sinfo).ok().and_then(|sinfo| sinfo.region(name)).expect("it was mapped");
        assert_eq!(region.writable, writable, "{name}");
        let words = &self.regions[&region.address];
        assert_eq!(region.size, words.len() as u64 * 8);
        Shared::new(words)
    }
}

fn put_name(bytes: &mut [u8], name: &str) {
    bytes[0] = name.len() as u8;
    bytes[1..=name.len()].copy_from_slice(name.as_bytes());
}

#[test]
fn a_subject_finds_its_devices_and_talks_to_its_neighbour() {
    let mut system = System::new("dns");
    let to_us = system.map("service|in", MEMORY_CHANNEL, false, 0x4000);
    let from_us = system.map("service|out", MEMORY_CHANNEL, true, 0x4000);
    let log = system.map("debuglog", MEMORY_CHANNEL, true, 0x1000);
    let time = system.map("time_info", MEMORY_PLAIN, false, 0x1000);
    time[1].store(2_000_000_000, Ordering::Relaxed);
    time[0].store(1_000_000, Ordering::Release);

    let sinfo = Sinfo::new(&system.sinfo).unwrap();
    assert_eq!((sinfo.name(), sinfo.tsc_khz()), (&b"dns"[..], 2_000_000));
    assert_eq!(sinfo.region("service"), None);
    assert_eq!(sinfo.region("debuglog").map(|region| region.channel), Some(true));
    assert_eq!(sinfo.region("time_info").map(|region| region.channel), Some(false));
    let info = TimeInfo::read(system.region("time_info", false)).unwrap();
    assert_eq!(info.wall_ns(4_000_000_000), 3_000_000_000);

    // The neighbour sends back what it gets.
    let neighbour = thread::spawn(move || {
        let mut writer = Writer::new(Shared::new(&to_us), NETWORK, 7).unwrap();
        let (mut reader, mut packet, mut echoed) = (Reader::new(NETWORK), [0; NETWORK.size], 0);
        while echoed < 5 {
            match reader.read(Shared::new(&from_us), &mut packet) {
                Ok(()) => (writer.write(&packet), echoed += 1).1,
                Err(_) => thread::yield_now(),
            }
        }
    });
    let mut writer = Writer::new(system.region("service|out", true), NETWORK, 3).unwrap();
    let (mut reader, mut packet) = (Reader::new(NETWORK), [0; NETWORK.size]);
    for length in [60, 1514, 0, 61, 1499] {
        let frame = vec![length as u8; length];
        writer.write(&encode(&frame).unwrap());
        while reader.read(system.region("service|in", false), &mut packet).is_err() {
            thread::yield_now();
        }
        assert_eq!(decode(&packet), Some(&frame[..]));
    }
    neighbour.join().unwrap();
    assert_eq!(reader.read(system.region("service|in", false), &mut packet), Err(Idle::NoData));

    let mut console = Writer::new(system.region("debuglog", true), LOG, 1).unwrap();
    console.write(&log_line(9, b"serving\n"));
    let (mut reader, mut line) = (Reader::new(LOG), [0; LOG.size]);
    assert_eq!(reader.read(Shared::new(&log), &mut line), Err(Idle::EpochChanged));
    assert_eq!(reader.read(Shared::new(&log), &mut line), Ok(()));
    assert_eq!((&line[..8], &line[8..16]), (&9_u64.to_le_bytes()[..], &b"serving\n"[..]));
}

/// Four packets of 24 bytes.
const SMALL: Protocol = Protocol { number: 42, size: 24 };

fn channel() -> Vec<AtomicU64> {
    (0..HEADER / 8 + 12).map(|_| AtomicU64::new(0)).collect()
}

#[test]
fn a_writer_that_begins_again_is_noticed() {
    let words = channel();
    let shared = Shared::new(&words);
    let (mut reader, mut packet) = (Reader::new(SMALL), [0; SMALL.size]);
    assert_eq!(reader.read(shared, &mut packet), Err(Idle::Inactive));
    let mut writer = Writer::new(shared, SMALL, 1).unwrap();
    writer.write(b"first");
    assert!(reader.has_news(shared));
    assert_eq!(reader.read(shared, &mut packet), Err(Idle::EpochChanged));
    assert_eq!((reader.read(shared, &mut packet), &packet[..5]), (Ok(()), &b"first"[..]));
    assert_eq!(reader.read(shared, &mut packet), Err(Idle::NoData));
    assert!(!reader.has_news(shared));
    writer.write(b"lost with its epoch");
    let mut writer = Writer::new(shared, SMALL, 2).unwrap();
    assert_eq!(reader.read(shared, &mut packet), Err(Idle::EpochChanged));
    assert_eq!(reader.read(shared, &mut packet), Err(Idle::NoData));
    writer.write(b"second");
    assert_eq!((reader.read(shared, &mut packet), &packet[..6]), (Ok(()), &b"second"[..]));
    writer.deactivate();
    assert_eq!(reader.read(shared, &mut packet), Err(Idle::Inactive));
    assert!(!reader.has_news(shared));
}

#[test]
fn a_reader_that_is_late_says_what_it_has_lost_and_goes_on() {
    let words = channel();
    let shared = Shared::new(&words);
    let mut writer = Writer::new(shared, SMALL, 1).unwrap();
    let (mut reader, mut packet) = (Reader::new(SMALL), [0; SMALL.size]);
    assert_eq!(reader.read(shared, &mut packet), Err(Idle::EpochChanged));
    for number in 0..5_u8 {
        writer.write(&[number; SMALL.size]);
    }
    assert_eq!(reader.read(shared, &mut packet), Err(Idle::Overrun(5)));
    assert_eq!(reader.read(shared, &mut packet), Err(Idle::NoData));
    writer.write(&[9; SMALL.size]);
    assert_eq!((reader.read(shared, &mut packet), packet), (Ok(()), [9; SMALL.size]));
}

#[test]
fn packets_that_are_overwritten_while_they_are_read_are_never_taken() {
    const PACKETS: u64 = 50_000;
    // Long, and room for one: a copy is often overtaken.
    const LONG: Protocol = Protocol { number: 43, size: 4096 };
    let words: Arc<[AtomicU64]> = (0..(HEADER + LONG.size) / 8).map(|_| AtomicU64::new(0)).collect();
    let theirs = words.clone();
    let writer = thread::spawn(move || {
        let mut writer = Writer::new(Shared::new(&theirs), LONG, 5).unwrap();
        for number in 0..PACKETS {
            writer.write(&number.to_le_bytes().repeat(LONG.size / 8));
        }
    });
    let (mut reader, mut packet) = (Reader::new(LONG), [0; LONG.size]);
    let (mut taken, mut lost) = (0, 0);
    while taken + lost < PACKETS {
        match reader.read(Shared::new(&words), &mut packet) {
            Ok(()) => {
                let number = (taken + lost).to_le_bytes();
                assert!(packet.chunks(8).all(|chunk| chunk == number), "packet {} is torn", taken + lost);
                taken += 1;
            }
            Err(Idle::Overrun(packets)) => lost += packets,
            Err(_) => thread::yield_now(),
        }
    }
    writer.join().unwrap();
    assert_eq!(taken + lost, PACKETS);
}

#[track_caller]
fn refuses(word: usize, value: u64, expect: Idle) {
    let words = channel();
    let shared = Shared::new(&words);
    let mut writer = Writer::new(shared, SMALL, 1).expect("four packets fit");
    writer.write(b"packet");
    words[word].store(value, Ordering::Relaxed);
    let (mut reader, mut packet) = (Reader::new(SMALL), [0; SMALL.size]);
    let first = reader.read(shared, &mut packet);
    let second = reader.read(shared, &mut packet);
    assert_eq!(
        if first == Err(Idle::EpochChanged) { second } else { first },
        Err(expect),
        "word {word} = {value:#x}"
    );
}

#[test]
fn numbers_that_lie_are_refused() {
    refuses(0, TRANSPORT + 1, Idle::Incompatible);
    refuses(1, 0, Idle::Inactive);
    refuses(2, 43, Idle::Incompatible);
    refuses(3, 23, Idle::Incompatible);
    refuses(3, 0, Idle::Incompatible);
    refuses(4, 0, Idle::Incompatible);
    refuses(4, 5, Idle::Incompatible);
    refuses(4, u64::MAX, Idle::Incompatible);
    refuses(4, u64::MAX / 24 + 2, Idle::Incompatible);
    refuses(6, u64::MAX, Idle::Overrun(1));
    refuses(7, u64::MAX, Idle::Overrun(u64::MAX));
    refuses(7, 5, Idle::Overrun(5));
}

#[test]
fn whatever_a_writer_writes_a_reader_stays_inside_of_the_channel() {
    let words = channel();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let (mut reader, mut packet, mut taken) = (Reader::new(SMALL), [0; SMALL.size], 0);
    assert!(Writer::new(Shared::new(&words), SMALL, 1).is_some());
    for _ in 0..200_000 {
        let value = match random() % 4 {
            0 => random() % 8,
            1 => u64::MAX - random() % 8,
            2 => random(),
            _ => [TRANSPORT, SMALL.number, SMALL.size as u64, 4][(random() % 4) as usize],
        };
        // Mostly the counters and the epoch: with a wrong transport nothing more is looked at.
        let word = if random() % 16 == 0 { random() % 8 } else { [1, 6, 7, 7][(random() % 4) as usize] };
        words[word as usize].store(value, Ordering::Relaxed);
        if random() % 16 == 0 {
            assert!(Writer::new(Shared::new(&words), SMALL, 1 + random() % 3).is_some());
        }
        taken += u64::from(reader.read(Shared::new(&words), &mut packet).is_ok());
    }
    assert!(taken > 100, "only {taken} packets were taken: the test looks at refusals alone");
}
