//! The bindings for Muen on a simulated subject: shared memory laid out as Muen does it, another subject at the far end.

#[path = "muen/simulated.rs"]
mod simulated;

use platform::muen::{
    clock::Clock,
    console::Console,
    net::{Interface, Lost, OpenError},
    reader::{Read, Reader as OurReader},
    subject::{MemoryKind, NotASubject},
};
use simulated::{LOG, NET, NET_ELEMENT, Policy, Reader, Shared, Writer, Xorshift};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

const MARKER: u64 = 0x4873_12b6_b79a_9b6d;

/// An end to a loop that waits for the other side, long enough for any machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// An interface "service" with channels of some pages, and the other sides' memory.
fn interface(pages: usize) -> (Interface, Shared, Shared) {
    let (input, output) = (Shared::new(pages, false), Shared::new(pages, true));
    let subject =
        Policy::new("dns").channel("service|in", &input).channel("service|out", &output).subject().unwrap();
    (Interface::open(&subject, "service", 1).unwrap(), input, output)
}

#[test]
fn what_the_policy_gives_is_found_by_name_and_kind() {
    let region = Shared::new(1, true);
    let policy = Policy::new("dns").event("debuglog", 3).memory("ram", 0, &region).event("solo5_exit", 7);
    let subject = policy.channel("debuglog", &region).memory("boot", 16, &region).subject().unwrap();
    assert_eq!((subject.name().as_str(), subject.tsc_khz()), ("dns", 2_000_000));
    assert_eq!(subject.event("solo5_exit"), Some(7));
    assert_eq!(subject.event("ram"), None, "it is memory");
    assert_eq!(subject.memory("ram").unwrap().kind, MemoryKind::Subject);
    assert_eq!(subject.memory("debuglog").unwrap().kind, MemoryKind::Channel);
    assert_eq!(subject.memory("boot").unwrap().kind, MemoryKind::Other(16));
    assert_eq!(subject.memory("debuglo"), None);
    assert_eq!(subject.names().count(), 5);
}

#[test]
fn what_is_no_subject_information_is_refused() {
    #[track_caller]
    fn check(first: &[u8], expect: NotASubject) {
        assert_eq!(Policy::new("dns").scribble(0, first).subject().unwrap_err(), expect);
    }
    check(b"muinfo\0\x04", NotASubject::Version(4));
    check(b"muinfo\0\x01", NotASubject::Version(1));
    check(b"\x7fELF\x02\x01\x01\0", NotASubject::Magic(0x0001_0102_464c_457f));
    // SAFETY: nothing is read through it.
    let short = unsafe { platform::muen::subject::Subject::new(Shared::new(1, false).region()) };
    assert_eq!(short.unwrap_err(), NotASubject::Short(4096));
}

#[test]
fn lengths_and_counts_that_cannot_be_are_cut() {
    let many = Policy::new("dns").scribble(78, &[0xff; 2]).subject().unwrap();
    assert_eq!(many.names().count(), 0, "the first resource is none");
    let long = Policy::new("dns").scribble(12, &[0xff]).subject().unwrap();
    assert_eq!(long.name().len(), 63);
    let mut random = Xorshift(0x2545_f491_4f6c_dd1d);
    for _ in 0..50 {
        let noise: Vec<u8> = (0..255 * 128 + 72).map(|_| random.next() as u8).collect();
        let subject = Policy::new("dns").scribble(8, &noise).subject().unwrap();
        assert!(subject.names().count() <= 255);
        assert_eq!(subject.memory("debuglog"), None);
    }
}

#[test]
fn regions_that_cannot_be_are_none() {
    #[track_caller]
    fn check(address: u64, length: u64) {
        let subject = Policy::new("dns").memory_at("ram", 0, true, address, length).subject().unwrap();
        assert!(subject.memory("ram").unwrap().writable_region().is_none());
    }
    check(0, 4096);
    check(4096, 0);
    check(0x1004, 4096);
    check(u64::MAX - 7, 4096);
    check(4096, u64::MAX - 4096);
    let read_only = Shared::new(1, false);
    let subject = Policy::new("dns").memory("ram", 0, &read_only).subject().unwrap();
    assert!(subject.memory("ram").unwrap().region().is_some());
    assert!(subject.memory("ram").unwrap().writable_region().is_none());
}

#[test]
fn an_interface_wants_two_channels_and_one_to_write() {
    #[track_caller]
    fn check(policy: Policy, expect: OpenError) {
        assert_eq!(Interface::open(&policy.subject().unwrap(), "service", 1).unwrap_err(), expect);
    }
    let (readable, writable) = (Shared::new(1, false), Shared::new(1, true));
    let policy = || Policy::new("dns").channel("service|out", &writable);
    check(Policy::new("dns"), OpenError::Missing("service|out".into()));
    check(policy(), OpenError::Missing("service|in".into()));
    check(policy().memory("service|in", 0, &readable), OpenError::NotAChannel("service|in".into()));
    let both = Policy::new("dns").channel("service|out", &readable).channel("service|in", &readable);
    check(both, OpenError::ReadOnly("service|out".into()));
    let small = (readable.image.addr() as u64, 64 + NET_ELEMENT as u64 - 1);
    check(
        policy().memory_at("service|in", 5, false, small.0, small.1),
        OpenError::Unusable("service|in".into()),
    );
}

#[test]
fn frames_go_both_ways_whole() {
    let (mut interface, input, output) = interface(4);
    let (far_out, mut far_in) =
        (Writer::start(input, NET, NET_ELEMENT, 5), Reader::new(output, NET, NET_ELEMENT));
    for length in [60, 1514, 0, 1, 1513] {
        let frame: Vec<u8> = (0..length).map(|at| (at * 7 + length) as u8).collect();
        assert!(!interface.is_pending());
        far_out.send(&frame);
        assert!(interface.is_pending());
        let mut received = [0xee; 1514];
        assert_eq!(interface.receive(&mut received), Some(length));
        assert_eq!(received[..length], frame);
        assert!(interface.transmit(&frame));
        let element = far_in.read().expect("a frame");
        assert_eq!(element[..length], frame);
        assert_eq!(element[1514..], (length as u16).to_le_bytes());
    }
    assert_eq!(interface.receive(&mut [0; 1514]), None);
    assert!(!interface.transmit(&[0; 1515]), "too long");
    assert!(!interface.transmit(&[0; 70_000]), "too long for a length of 16 bits, too");
    assert_eq!(far_in.read(), None);
    far_out.send(&[1; 100]);
    assert_eq!(interface.receive(&mut [0; 10]), Some(10), "cut");
    assert_eq!(interface.lost(), Lost::default());
}

#[test]
fn a_slow_reader_loses_frames_and_goes_on() {
    let (mut interface, input, _) = interface(2);
    let far = Writer::start(input, NET, NET_ELEMENT, 5);
    let mut frame = [0; 1514];
    // Five elements are in two pages.
    (0..5).for_each(|number| far.send(&[number; 60]));
    assert_eq!((interface.receive(&mut frame), frame[0]), (Some(60), 0));
    (5..11).for_each(|number| far.send(&[number; 60]));
    assert_eq!(interface.receive(&mut frame), None, "all that were there are lost");
    assert_eq!(interface.lost(), Lost { overruns: 1, malformed: 0 });
    far.send(&[11; 60]);
    assert_eq!((interface.receive(&mut frame), frame[0]), (Some(60), 11));
}

#[test]
fn a_writer_that_starts_anew_is_followed() {
    let (mut interface, input, _) = interface(4);
    let mut frame = [0; 1514];
    assert_eq!(interface.receive(&mut frame), None, "nobody is there yet");
    assert!(!interface.is_pending());
    let far = Writer::start(input, NET, NET_ELEMENT, 5);
    (0..3).for_each(|number| far.send(&[number; 60]));
    assert_eq!((interface.receive(&mut frame), frame[0]), (Some(60), 0));
    // Another epoch, of fewer elements, while two frames were left.
    let far = Writer::start_with(input, [MARKER, NET, NET_ELEMENT as u64, 2], 6);
    assert_eq!(interface.receive(&mut frame), None);
    for number in 10..15 {
        far.send(&[number; 60]);
        assert_eq!((interface.receive(&mut frame), frame[0]), (Some(60), number));
    }
    input.put(8, 0);
    assert_eq!(interface.receive(&mut frame), None);
    assert!(!interface.is_pending(), "it has gone");
    Writer::start(input, NET, NET_ELEMENT, 6).send(&[20; 60]);
    assert_eq!((interface.receive(&mut frame), frame[0]), (Some(60), 20), "the same epoch after none");
}

#[test]
fn headers_that_cannot_be_are_refused_once_and_looked_at_again_with_a_new_epoch() {
    #[track_caller]
    fn check(header: [u64; 4]) {
        let input = Shared::new(2, false);
        let mut reader = OurReader::new(input.region(), NET, NET_ELEMENT).unwrap();
        let mut element = [0; NET_ELEMENT];
        Writer::start_with(input, header, 5);
        input.put(56, 1);
        assert!(reader.is_pending());
        assert_eq!(reader.read(&mut element), Read::Incompatible);
        assert!(!reader.is_pending(), "or the image would never sleep");
        assert_eq!(reader.read(&mut element), Read::Incompatible);
        Writer::start(input, NET, NET_ELEMENT, 6).send(b"good");
        assert_eq!(reader.read(&mut element), Read::Element);
    }
    let size = NET_ELEMENT as u64;
    check([MARKER + 1, NET, size, 5]);
    check([MARKER, LOG, size, 5]);
    check([MARKER, NET, size - 1, 5]);
    check([MARKER, NET, u64::MAX, 5]);
    check([MARKER, NET, 0, 5]);
    check([MARKER, NET, size, 0]);
    check([MARKER, NET, size, 6]);
    check([MARKER, NET, size, u64::MAX]);
}

/// The appendix of `shmstream2.tex`: ten packets of two bytes begun, nine complete, room for eight.
#[test]
fn the_specifications_example_is_read_as_it_says() {
    const EXAMPLE: [u64; 10] = [
        MARKER,
        1,
        0xbeef_beef_beef,
        2,
        8,
        0,
        10,
        9,
        u64::from_le_bytes([9, 9, 10, 2, 3, 3, 4, 4]),
        u64::from_le_bytes([5, 5, 6, 6, 7, 7, 8, 8]),
    ];
    let input = Shared::new(1, false);
    EXAMPLE.iter().enumerate().for_each(|(index, word)| input.put(index * 8, *word));
    let mut reader = OurReader::new(input.region(), 0xbeef_beef_beef, 2).unwrap();
    let mut element = [0; 2];
    assert_eq!(reader.read(&mut element), Read::Overrun, "the first was overwritten");
    assert_eq!(reader.read(&mut element), Read::Nothing);
    // The tenth, whose first byte was there, is completed, and the eleventh.
    input.put_bytes(64 + 2, &[10, 10, 11, 11]);
    input.put(48, 11);
    input.put(56, 11);
    for number in [10, 11] {
        assert_eq!((reader.read(&mut element), element), (Read::Element, [number; 2]));
    }
    assert_eq!(reader.read(&mut element), Read::Nothing);
}

#[test]
fn counts_that_cannot_be_are_overruns() {
    #[track_caller]
    fn check(begun: u64, written: u64) {
        let (mut interface, input, _) = interface(2);
        let far = Writer::start(input, NET, NET_ELEMENT, 5);
        let mut frame = [0; 1514];
        far.send(&[1; 60]);
        far.send(&[2; 60]);
        assert_eq!(interface.receive(&mut frame), Some(60));
        input.put(48, begun);
        input.put(56, written);
        assert_eq!(interface.receive(&mut frame), None);
        assert_eq!(interface.lost().overruns, 1);
    }
    check(0, 0);
    check(u64::MAX, u64::MAX);
    check(7, 7);
    check(1 << 63, 2);
}

#[test]
fn frames_of_impossible_length_are_counted_and_left_out() {
    let (mut interface, input, _) = interface(2);
    let far = Writer::start(input, NET, NET_ELEMENT, 5);
    for length in [1515u16, u16::MAX] {
        let mut element = [0; NET_ELEMENT];
        element[1514..].copy_from_slice(&length.to_le_bytes());
        far.write(&element);
    }
    far.send(&[9; 60]);
    let mut frame = [0; 1514];
    assert_eq!((interface.receive(&mut frame), frame[0]), (Some(60), 9));
    assert_eq!(interface.lost().malformed, 2);
}

/// Guard pages around the image's side, and read-only pages where it reads, end this test where it fails.
#[test]
fn whatever_is_scribbled_into_a_header_no_byte_outside_is_touched() {
    const INTERESTING: [u64; 8] = [0, 1, 5, 6, NET_ELEMENT as u64, u64::MAX, 1 << 63, MARKER];
    let (mut interface, input, output) = interface(2);
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    let mut far = Writer::start(input, NET, NET_ELEMENT, 5);
    let mut received = 0;
    for round in 0..300_000u64 {
        let value = match random.next() % 3 {
            0 => random.next(),
            _ => INTERESTING[(random.next() % 8) as usize],
        };
        match random.next() % 8 {
            0..4 => input.put((random.next() % 8) as usize * 8, value),
            4 => far = Writer::start(input, NET, NET_ELEMENT, round + 10),
            _ => output.put((random.next() % 8) as usize * 8, value),
        }
        far.shared.put_bytes(64 + 1514, &(value as u16).to_le_bytes());
        let mut frame = [0; 1514];
        received += usize::from(interface.receive(&mut frame).is_some());
        assert!(interface.transmit(&frame[..(value % 1515) as usize]));
        interface.is_pending();
    }
    assert!(received > 1000, "{received} frames: the test has gone blind");
}

/// A frame whose every byte follows from its number, so that one made of two is seen.
fn numbered(number: u64) -> Vec<u8> {
    let length = 60 + (number % 1400) as usize;
    let mut frame = vec![(number % 251) as u8; length];
    frame[..8].copy_from_slice(&number.to_le_bytes());
    frame
}

#[track_caller]
fn check_numbered(frame: &[u8], after: Option<u64>) -> u64 {
    let number = u64::from_le_bytes(frame[..8].try_into().unwrap());
    assert!(after.is_none_or(|after| number > after), "{number} after {after:?}");
    assert!(frame == numbered(number), "frame {number} is torn");
    number
}

#[test]
fn no_frame_is_torn_by_a_writer_that_laps_its_reader_and_starts_anew() {
    static READ: AtomicU64 = AtomicU64::new(0);
    const FRAMES: u64 = 5_000;
    let (mut interface, input, _) = interface(4);
    let far = thread::spawn(move || {
        let (mut writer, end, mut number) =
            (Writer::start(input, NET, NET_ELEMENT, 1), Instant::now() + PATIENCE, 0);
        while READ.load(Ordering::Relaxed) < FRAMES && Instant::now() < end {
            number += 1;
            // Now it starts anew all the time, now it is left to lap its reader.
            let epoch_length = if number & 0x400 == 0 { 7 } else { 5000 };
            if number % epoch_length == 0 {
                writer = Writer::start(input, NET, NET_ELEMENT, number);
            }
            writer.send(&numbered(number));
        }
    });
    let (mut frame, mut last, end) = ([0; 1514], None, Instant::now() + PATIENCE);
    while READ.load(Ordering::Relaxed) < FRAMES && Instant::now() < end {
        if let Some(length) = interface.receive(&mut frame) {
            last = Some(check_numbered(&frame[..length], last));
            READ.fetch_add(1, Ordering::Relaxed);
        }
    }
    far.join().unwrap();
    assert!(READ.load(Ordering::Relaxed) >= FRAMES, "too slow");
    assert_eq!(interface.lost().malformed, 0);
}

#[test]
fn what_is_sent_is_whole_for_a_reader_that_notices_overruns() {
    static READ: AtomicU64 = AtomicU64::new(0);
    const FRAMES: u64 = 5_000;
    let (mut interface, _, output) = interface(4);
    let far = thread::spawn(move || {
        let (mut reader, mut last, end) =
            (Reader::new(output, NET, NET_ELEMENT), None, Instant::now() + PATIENCE);
        while READ.load(Ordering::Relaxed) < FRAMES && Instant::now() < end {
            if let Some(element) = reader.read() {
                let length = u16::from_le_bytes([element[1514], element[1515]]);
                last = Some(check_numbered(&element[..usize::from(length)], last));
                READ.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let (mut number, end) = (0, Instant::now() + PATIENCE);
    while READ.load(Ordering::Relaxed) < FRAMES && Instant::now() < end && !far.is_finished() {
        number += 1;
        assert!(interface.transmit(&numbered(number)));
    }
    far.join().unwrap();
    assert!(READ.load(Ordering::Relaxed) >= FRAMES, "too slow");
}

#[test]
fn the_console_is_sent_by_lines() {
    let output = Shared::new(4, true);
    let subject = Policy::new("dns").channel("debuglog", &output).subject().unwrap();
    let mut console = Console::open(&subject, 0).expect("it has a channel");
    let mut far = Reader::new(output, LOG, 64);
    let mut check = |text: &str, expect: &[&str]| {
        console.write(text.as_bytes(), 77);
        for line in expect {
            let element = far.read().expect("a message");
            assert_eq!(element[..8], 77u64.to_le_bytes());
            assert_eq!(String::from_utf8_lossy(&element[8..]).trim_end_matches('\0'), *line);
        }
        assert_eq!(far.read(), None);
    };
    check("one\r\ntwo\n", &["one\n", "two\n"]);
    check("no end", &[]);
    check(" yet\n", &["no end yet\n"]);
    check(&"x".repeat(60), &[&"x".repeat(56)]);
    check("\n", &["xxxx\n"]);
    console.write(b"last words", 78);
    console.flush(79);
    assert_eq!(far.read().expect("a message")[8..18], *b"last words");
    assert!(Console::open(&Policy::new("dns").subject().unwrap(), 1).is_none(), "without a channel");
}

#[test]
fn time_goes_by_minor_frames_and_never_back() {
    let (schedule, time) = (Shared::new(1, false), Shared::new(1, false));
    let subject = Policy::new("dns").memory("time_info", 0, &time).subject().unwrap();
    schedule.put(0, 2_000_000_000);
    let mut clock = Clock::new(&subject, schedule.region()).unwrap();
    assert_eq!(clock.monotonic(), 1_000_000_000);
    assert_eq!(clock.monotonic(), 1_000_000_001, "within a frame the least step");
    schedule.put(0, 3_000_000_000);
    assert_eq!(clock.monotonic(), 1_500_000_000);
    schedule.put(0, 1_000_000_000);
    assert_eq!(clock.monotonic(), 1_500_000_001, "a schedule that goes back");
    assert_eq!(clock.wall(), None, "nobody has said it");
    time.put(8, 0);
    time.put(0, 1_700_000_000_000_000);
    assert_eq!(clock.wall(), None, "no counter has that rate");
    time.put(8, 2_000_000_000);
    assert_eq!(clock.wall(), Some(1_700_000_001_500_000_002));
    time.put(0, u64::MAX);
    assert_eq!(clock.wall(), None, "beyond all time");
    let slow = Policy::new("dns").scribble(8, &[0; 4]).subject().unwrap();
    assert!(Clock::new(&slow, schedule.region()).is_none(), "a counter that stands still");
}
