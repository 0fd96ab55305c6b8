//! The image file: arbitrary bytes, and the smallest image with some of its fields changed.
//!
//! An input is read both ways. As a list of changes, each is nine bytes: where, how wide, and the value; so that every field
//! of every header is reached without having to guess all the others. Whatever is accepted must keep every promise that
//! loading relies on.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skerry_tender::elf::{Image, sample};
use solo5_sys::elf::{GUEST_MIN_BASE, Target};

const PAGE: u64 = 4096;

fuzz_target!(|input: &[u8]| {
    check(input);
    let mut file = sample::image(Target::Spt, &["service", "storage"]);
    for change in input.chunks_exact(9) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1] & 3])) % file.len();
        let width = (1 << (change[1] >> 6)).min(file.len() - place).min(7);
        file[place..place + width].copy_from_slice(&change[2..2 + width]);
    }
    check(&file);
});

fn check(file: &[u8]) {
    let Ok(image) = Image::parse(file) else { return };
    let mut behind = GUEST_MIN_BASE;
    for segment in &image.segments {
        assert!(segment.pages.start >= behind && segment.pages.start < segment.pages.end);
        assert!(segment.pages.start.is_multiple_of(PAGE) && segment.pages.end.is_multiple_of(PAGE));
        assert!(segment.pages.contains(&segment.address));
        assert!(segment.content.len() as u64 <= segment.memory_size);
        assert!(segment.memory_size <= segment.pages.end - segment.address);
        assert!(!(segment.protection.write && segment.protection.execute));
        behind = segment.pages.end;
    }
    assert_eq!(image.end, behind);
    let code = |segment: &&skerry_tender::elf::Segment<'_>| segment.protection.execute;
    assert!(image.segments.iter().filter(code).any(|segment| segment.pages.contains(&image.entry)));
    assert!(image.check_fits(image.end).is_ok() && image.check_fits(image.end - 1).is_err());
}
