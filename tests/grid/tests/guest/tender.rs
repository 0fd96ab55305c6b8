//! spt and hvt: the image in our tender.

use super::{Attached, MEMORY_MIB};
use std::{os::fd::AsRawFd, process::Command};

/// The tender with everything attached.
pub fn command(attached: &Attached<'_>) -> Command {
    let tender = std::env::var_os("SKERRY_TENDER")
        .expect("SKERRY_TENDER is unset: run this through `cargo xtask test`");
    let mut command = Command::new(tender);
    command
        .args(std::env::var_os("SKERRY_TENDER_OPTION"))
        .arg(format!("--mem={MEMORY_MIB}"))
        .arg(format!("--net:service=@{}", attached.service.as_raw_fd()))
        .arg("--net-mac:service=02:00:00:00:00:01")
        .arg(format!("--net:management=@{}", attached.management.as_raw_fd()))
        .arg("--net-mac:management=02:00:00:00:00:02")
        .arg(format!("--block:storage={}", attached.disk.display()))
        .arg("--")
        .arg(attached.image)
        .args(attached.arguments);
    command
}
