//! Chooses the back end: `SKERRY_TARGET`, which only `cargo xtask` sets, becomes the cfg of that name.
//!
//! Without it this is a build for the host (tests, editors), with a back end that has a clock and no devices.

use std::{env, fs, path::PathBuf};

/// Libraries that rustc names on the linker's command line. Empty archives in their place keep the C library of the build
/// machine out of the image; what std needs of them is in `src/libc/`.
const C_LIBRARIES: [&str; 9] = ["c", "gcc_eh", "gcc_s", "gcc", "util", "rt", "pthread", "m", "dl"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The layout of images: whoever is linked with us is linked again.
    println!("cargo::rerun-if-changed=link.ld");
    println!("cargo::rerun-if-env-changed=SKERRY_TARGET");
    println!(
        "cargo::rustc-check-cfg=cfg(skerry_target, values(\"spt\", \"hvt\", \"virtio\", \"xen\", \"host\"))"
    );
    let target = env::var("SKERRY_TARGET").unwrap_or_else(|_| "host".into());
    assert!(
        ["spt", "hvt", "virtio", "xen", "host"].contains(&target.as_str()),
        "SKERRY_TARGET={target}: there is no such back end in platform/src"
    );
    println!("cargo::rustc-cfg=skerry_target=\"{target}\"");
    if target == "host" {
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for library in C_LIBRARIES {
        fs::write(out.join(format!("lib{library}.a")), b"!<arch>\n").expect("OUT_DIR is writable");
    }
    println!("cargo::rustc-link-search=native={}", out.display());
}
