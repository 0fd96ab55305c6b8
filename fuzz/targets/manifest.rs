//! The device manifest of an image: whatever is accepted is written for the guest as it was read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skerry_tender::elf::sample;
use skerry_tender::manifest::{Attachment, Kind, Manifest};

fuzz_target!(|input: &[u8]| {
    check(input);
    let names: Vec<&str> = ["service", "management", "storage"].into_iter().cycle().take(3).collect();
    let mut bytes = sample::manifest(&names);
    for change in input.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[place] = change[2];
    }
    check(&bytes);
});

fn check(bytes: &[u8]) {
    let Ok(mut manifest) = Manifest::parse(bytes) else { return };
    let again = Manifest::parse(&manifest.to_bytes(true)).expect("what we write we accept");
    assert_eq!(again, manifest);
    for device in &mut manifest.devices {
        assert!(device.index > 0 && device.index < solo5_sys::manifest::MAX_ENTRIES);
        assert!(!device.name.is_empty() && device.name.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        device.attachment = Some(match device.kind {
            Kind::Net => Attachment::Net { fd: 7, mac: [2; 6], mtu: 1500 },
            Kind::Block => Attachment::Block { fd: 7, capacity: 512, block_size: 512 },
        });
    }
    let shown = manifest.to_bytes(true);
    let hidden = manifest.to_bytes(false);
    assert_eq!(shown.len(), bytes.len());
    assert_eq!(shown == hidden, manifest.devices.is_empty(), "a guest on hvt sees no descriptor");
    assert!(manifest.attachments().count() == manifest.devices.len());
}
