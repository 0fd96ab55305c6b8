//! Clocks: KVM's, which tells both times in memory, else the time stamp counter and the PC's battery clock.
//!
//! Source: Linux Documentation/virt/kvm/x86/msr.rst; Intel SDM volume 3 §19.7; MC146818A and 8254 data sheets.

use super::interrupt;
use crate::{
    machine::port::{read8, write8},
    report::Console,
};
use std::{
    arch::x86_64::{__cpuid, __cpuid_count, _rdtsc},
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// What KVM writes: how to make nanoseconds since boot of the time stamp counter.
#[repr(C, align(32))]
#[derive(Clone, Copy)]
pub struct KvmClock {
    version: u32,
    _padding: u32,
    tsc_timestamp: u64,
    system_time: u64,
    multiplier: u32,
    shift: i8,
    _flags: u8,
    _padding2: [u8; 2],
}

/// What KVM writes: the wall clock when the other one was zero.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct KvmWallClock {
    _version: u32,
    seconds: u32,
    nanoseconds: u32,
}

/// Shown to KVM by boot.s.
pub static mut KVM_CLOCK: KvmClock = KvmClock {
    version: 0,
    _padding: 0,
    tsc_timestamp: 0,
    system_time: 0,
    multiplier: 0,
    shift: 0,
    _flags: 0,
    _padding2: [0; 2],
};

/// Shown to KVM by boot.s.
pub static mut KVM_WALL_CLOCK: KvmWallClock = KvmWallClock { _version: 0, seconds: 0, nanoseconds: 0 };

/// Nanoseconds a cycle, times 2^32; 0 where KVM's clock is used.
static NANOSECONDS_PER_CYCLE: AtomicU64 = AtomicU64::new(0);

/// The counter at boot.
static START: AtomicU64 = AtomicU64::new(0);

/// What to add to the monotonic clock for the wall clock.
static WALL_OFFSET: AtomicU64 = AtomicU64::new(0);

/// How often KVM's clock is read again because it changed meanwhile.
const ATTEMPTS: usize = 1000;

/// Finds the clocks and sets them going.
pub fn initialize() {
    if kvm_nanoseconds().is_none() {
        let frequency = frequency().unwrap_or_else(|| {
            let _ =
                writeln!(Console, "no clock tells how fast the time stamp counter goes: taking it for 1 GHz");
            1_000_000_000
        });
        NANOSECONDS_PER_CYCLE.store((1_000_000_000 << 32) / frequency.max(1), Relaxed);
        START.store(cycles(), Relaxed);
    }
    WALL_OFFSET.store(wall_at_zero(), Relaxed);
    interrupt::measure_timer();
}

/// Nanoseconds of a clock that starts at boot, or KVM's own zero.
#[inline]
pub fn monotonic() -> u64 {
    let rate = NANOSECONDS_PER_CYCLE.load(Relaxed);
    if rate == 0 {
        return kvm_nanoseconds().unwrap_or(0);
    }
    ((u128::from(cycles().wrapping_sub(START.load(Relaxed))) * u128::from(rate)) >> 32) as u64
}

/// Nanoseconds since 1970-01-01 UTC.
pub fn wall() -> u64 {
    WALL_OFFSET.load(Relaxed).wrapping_add(monotonic())
}

#[inline]
fn cycles() -> u64 {
    // SAFETY: every x86_64 has the counter, and CR4.TSD, which would forbid it to ring 3, is never set.
    unsafe { _rdtsc() }
}

/// KVM's clock, if it goes.
#[inline]
fn kvm_nanoseconds() -> Option<u64> {
    let place = &raw const KVM_CLOCK;
    for _ in 0..ATTEMPTS {
        // SAFETY: a static that KVM writes; while it does, the version is odd or changes.
        let (clock, after) = unsafe {
            let clock = place.read_volatile();
            (clock, (&raw const (*place).version).read_volatile())
        };
        if clock.multiplier == 0 {
            return None;
        }
        if clock.version & 1 == 0 && clock.version == after {
            let cycles = cycles().saturating_sub(clock.tsc_timestamp);
            let shift = u32::from(clock.shift.unsigned_abs()).min(31);
            let cycles = if clock.shift < 0 { cycles >> shift } else { cycles << shift };
            let passed = (u128::from(cycles) * u128::from(clock.multiplier)) >> 32;
            return Some(clock.system_time.wrapping_add(passed as u64));
        }
    }
    None
}

/// Wall clock at the monotonic clock's zero.
fn wall_at_zero() -> u64 {
    // SAFETY: a static that KVM wrote once, at boot.
    let wall = unsafe { (&raw const KVM_WALL_CLOCK).read_volatile() };
    if wall.seconds != 0 && NANOSECONDS_PER_CYCLE.load(Relaxed) == 0 {
        return u64::from(wall.seconds) * 1_000_000_000 + u64::from(wall.nanoseconds);
    }
    let Some(seconds) = battery_clock() else {
        let _ = writeln!(Console, "there is no wall clock: time starts in 1970");
        return 0;
    };
    (seconds * 1_000_000_000).wrapping_sub(monotonic())
}

/// Frequency of the time stamp counter in Hz, from whatever says it.
fn frequency() -> Option<u64> {
    from_processor().or_else(from_hypervisor).or_else(from_timer)
}

/// CPUID leaves 15H and 16H.
fn from_processor() -> Option<u64> {
    let leaves = __cpuid(0).eax;
    if leaves >= 0x15 {
        let leaf = __cpuid_count(0x15, 0);
        let frequency = u64::from(leaf.ecx) * u64::from(leaf.ebx) / u64::from(leaf.eax.max(1));
        if leaf.eax != 0 && frequency != 0 {
            return Some(frequency);
        }
    }
    // The base frequency is what the counter goes with on all processors that have this leaf.
    let megahertz = if leaves >= 0x16 { __cpuid_count(0x16, 0).eax & 0xffff } else { 0 };
    (megahertz != 0).then(|| u64::from(megahertz) * 1_000_000)
}

/// CPUID leaf 4000_0010H, in kHz, as VMware has it and others took over.
fn from_hypervisor() -> Option<u64> {
    const UNDER_HYPERVISOR: u32 = 1 << 31;
    if __cpuid(1).ecx & UNDER_HYPERVISOR == 0
        || !(0x4000_0010..0x4000_ffff).contains(&__cpuid(0x4000_0000).eax)
    {
        return None;
    }
    let kilohertz = __cpuid(0x4000_0010).eax;
    (kilohertz != 0).then(|| u64::from(kilohertz) * 1000)
}

/// Counts cycles while channel 0 of the PC's timer counts 5 ms.
fn from_timer() -> Option<u64> {
    const TIMER_HZ: u64 = 1_193_182;
    const COUNT: u16 = (TIMER_HZ / 200) as u16;
    const READINGS_MAX: usize = 100_000;
    start_timer();
    let sample = || quickest(cycles, timer);
    let (first, start) = sample();
    (0..READINGS_MAX).find(|_| first.wrapping_sub(timer()) >= COUNT)?;
    let (last, end) = sample();
    Some(end.wrapping_sub(start) * TIMER_HZ / u64::from(first.wrapping_sub(last)))
}

/// What `counter` and `clock` say at one moment: of some readings the quickest, which the host did not interrupt.
pub fn quickest<Count: Ord + Default>(clock: fn() -> u64, counter: impl Fn() -> Count) -> (Count, u64) {
    const READINGS: usize = 8;
    let readings = std::array::from_fn::<_, READINGS, _>(|_| {
        let before = clock();
        let count = counter();
        let took = clock().wrapping_sub(before);
        (took, count, before.wrapping_add(took / 2))
    });
    let (_, count, time) = readings.into_iter().min().unwrap_or_default();
    (count, time)
}

const TIMER_CHANNEL_0: u16 = 0x40;
const TIMER_CONTROL: u16 = 0x43;

/// Lets channel 0 count down from 65535, once.
fn start_timer() {
    // SAFETY: the timer's registers, which touch no memory; its interrupt is masked.
    unsafe {
        write8(TIMER_CONTROL, 0x30);
        write8(TIMER_CHANNEL_0, 0xff);
        write8(TIMER_CHANNEL_0, 0xff);
    }
}

/// What channel 0 is at.
fn timer() -> u16 {
    // SAFETY: as above.
    unsafe {
        write8(TIMER_CONTROL, 0);
        u16::from_le_bytes([read8(TIMER_CHANNEL_0), read8(TIMER_CHANNEL_0)])
    }
}

/// Seconds since 1970 by the PC's battery clock, which is taken to be UTC.
fn battery_clock() -> Option<u64> {
    const UPDATING: u8 = 1 << 7;
    const READINGS_MAX: usize = 100_000;
    let mut last = None;
    for _ in 0..READINGS_MAX {
        if battery(0x0a) & UPDATING != 0 {
            continue;
        }
        let now = [0x00, 0x02, 0x04, 0x07, 0x08, 0x09, 0x0b].map(battery);
        // An update may have begun in between: only the same reading twice counts.
        if last == Some(now) {
            return crate::machine::calendar::seconds(now);
        }
        last = Some(now);
    }
    None
}

/// A register of the battery clock.
fn battery(register: u8) -> u8 {
    const SELECT: u16 = 0x70;
    const DATA: u16 = 0x71;
    // SAFETY: the clock's registers, which touch no memory.
    unsafe {
        write8(SELECT, register);
        read8(DATA)
    }
}
