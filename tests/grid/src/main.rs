//! One tiny unikernel that does what its first argument says; tests/boot.rs starts it on every target and looks on.
//!
//! Each behaviour prints what the test expects, or ends the image in the way it expects.

use platform::{block, clock, entropy, net, provoke};
use std::{
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["hello"] => println!("hello from ring {}", provoke::privilege_level()),
        ["arguments", rest @ ..] => println!("{rest:?}"),
        ["exit", status] => return ExitCode::from(status.parse::<u8>().unwrap_or(1)),
        ["panic"] => panic!("on purpose"),
        ["read-null"] => provoke::read_null(),
        ["overflow-stack"] => provoke::overflow_stack(),
        ["write-code"] => provoke::write_code(),
        ["write-constant"] => provoke::write_constant(),
        ["execute-data"] => provoke::execute_data(),
        ["invalid-instruction"] => provoke::invalid_instruction(),
        ["forbidden-hypercalls"] => println!("{:?}", provoke::forbidden_hypercalls()),
        ["clock"] => clocks(),
        ["entropy"] => randomness(),
        ["block"] => blocks(),
        ["echo", interfaces @ ..] => echo(interfaces),
        ["echo-by-disk"] => echo_by_disk(),
        ["interrupts", interfaces @ ..] => interrupts(interfaces),
        ["memory"] => memory(),
        ["deadlock"] => deadlock(),
        other => {
            println!("unknown behaviour {other:?}");
            return ExitCode::from(64);
        }
    }
    ExitCode::SUCCESS
}

/// Sleeps, and says how long it took and what time it is.
fn clocks() {
    let (before, monotonic) = (Instant::now(), clock::monotonic());
    std::thread::sleep(Duration::from_millis(20));
    assert!(clock::monotonic() > monotonic, "the monotonic clock stands still");
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    println!("slept {} us, wall clock {}", before.elapsed().as_micros(), wall.as_secs());
}

/// Sixteen random bytes, twice: once from us, once through std.
fn randomness() {
    let mut bytes = [0; 16];
    entropy::fill(&mut bytes);
    let hasher = std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), 0);
    println!("{} {hasher:016x}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
}

/// Copies the first block of `storage` to the last, and shows that nothing else is accepted.
fn blocks() {
    let mut storage = block::open("storage").expect("the grid attaches it");
    assert!(block::open("storage").is_err(), "a device has one owner");
    let (size, capacity) = (storage.block_size(), storage.capacity());
    let mut buffer = vec![0; size];
    storage.read(0, &mut buffer).expect("the first block is there");
    let text = String::from_utf8_lossy(&buffer[..16]).into_owned();
    storage.write(capacity - size as u64, &buffer).expect("the last block is there");
    let outside = storage.read(capacity, &mut buffer);
    let misaligned = storage.read(1, &mut buffer);
    let short = storage.write(0, &buffer[1..]);
    println!("{text} block {size} capacity {capacity}: {outside:?} {misaligned:?} {short:?}");
}

/// Sends every frame back where it came from, until one says stop.
fn echo(interfaces: &[&str]) {
    let mut devices: Vec<net::NetDevice> =
        interfaces.iter().map(|name| net::open(name).expect("the grid attaches it")).collect();
    println!("echo ready");
    let mut frame = [0; 1514];
    loop {
        for device in &mut devices {
            while let Some(net::Received { length, .. }) = device.receive(&mut frame) {
                let (destination, rest) = frame.split_at_mut(6);
                destination.swap_with_slice(&mut rest[..6]);
                frame[6..12].copy_from_slice(&device.mac());
                device.transmit(&frame[..length]);
                if frame[net::ETHERNET_HEADER..length].starts_with(b"stop") {
                    return;
                }
            }
        }
        platform::wait(None);
    }
}

/// Sends every frame of `service` back by way of the disk, which waits for it as the network does.
fn echo_by_disk() {
    let mut device = net::open("service").expect("the grid attaches it");
    let mut storage = block::open("storage").expect("the grid attaches it");
    let mut block = vec![0; storage.block_size()];
    println!("echo ready");
    loop {
        while let Some(net::Received { length, .. }) = device.receive(&mut block) {
            storage.write(0, &block).expect("the first block is there");
            block.fill(0);
            storage.read(0, &mut block).expect("the first block is there");
            let (destination, rest) = block.split_at_mut(6);
            destination.swap_with_slice(&mut rest[..6]);
            block[6..12].copy_from_slice(&device.mac());
            device.transmit(&block[..length]);
            if block[net::ETHERNET_HEADER..length].starts_with(b"stop") {
                return;
            }
        }
        platform::wait(None);
    }
}

/// Says what ends a sleep when a frame comes in.
fn interrupts(interfaces: &[&str]) {
    for name in interfaces {
        println!("{name}: {}", net::open(name).expect("the grid attaches it").interrupt());
    }
}

/// Takes memory until there is none, and is still there afterwards.
fn memory() {
    const PIECE: usize = 64 * 1024;
    let mut pieces: Vec<Vec<u8>> = Vec::with_capacity(1 << 16);
    loop {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(PIECE).is_err() {
            break;
        }
        piece.resize(PIECE, 1);
        pieces.push(piece);
    }
    let (taken, full) = (pieces.len() * PIECE, platform::memory());
    drop(pieces);
    println!("took {taken} of {} bytes; {} used, then {}", full.total, full.used, platform::memory().used);
}

/// Locks what is locked already: nobody could ever unlock it.
fn deadlock() {
    let mutex = std::sync::Mutex::new(());
    let _first = mutex.lock();
    let _second = mutex.lock();
}
