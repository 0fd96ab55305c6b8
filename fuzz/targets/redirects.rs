//! `_redirects` of any kind, and a path: no panic, and a location that has no line end and whose host is the rule's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use web::{
    site::redirects::{Elsewhere, Redirects},
    target::Target,
};

fuzz_target!(|input: (&[u8], &str)| {
    let (list, path) = input;
    let (Ok(list), Ok(target)) = (Redirects::parse(list), Target::new(path, None)) else { return };
    for is_forced in [false, true] {
        match list.find(&target, is_forced) {
            Some(Elsewhere::Location(status, location)) => {
                assert!(status.is_redirection());
                assert!(location.bytes().all(|octet| octet.is_ascii_graphic()), "{location:?}");
            }
            Some(Elsewhere::File(_, path)) => assert!(!path.starts_with(b"/")),
            None => {}
        }
    }
});
