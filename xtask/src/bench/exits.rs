//! How often a guest on hvt leaves for its hypervisor, per packet.
//!
//! KVM counts exits for every virtual machine in debugfs. Where ring 0 is emulated the time an exit takes says
//! nothing about real hardware, but their number does.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::Bench;
use super::image::Image;
use super::load::Pace;
use super::peers;
use super::zones::ZoneSet;
use crate::Failure;

const DEBUGFS: &str = "/sys/kernel/debug";

/// Counts exits while the image on hvt is asked.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    if !Path::new("/dev/kvm").exists() {
        println!("  SKIPPED: there is no /dev/kvm here");
        return Ok(());
    }
    let counters = Path::new(DEBUGFS).join("kvm");
    if !counters.exists() {
        let _ = Command::new("mount").args(["-t", "debugfs", "none", DEBUGFS]).status();
    }
    let zones = ZoneSet::generate(&bench.lab.directory, 1000)?;
    let image = Image::build(&bench.options, &bench.lab, "hvt", &zones.content)?;
    let server = peers::start_guest(bench, &image, &zones, "hvt", 0, 64)?;
    let before = match exits(&counters, server.process.pid()) {
        Ok(before) => before,
        Err(reason) => {
            println!("  SKIPPED: {reason}");
            server.stop(&bench.lab);
            return Ok(());
        }
    };
    let paces = [("saturated", Pace::Saturating), ("1000 q/s", Pace::Rate(1000))];
    let mut last = before;
    for (name, pace) in paces {
        let measured = bench.programs.measure(&server, &zones.good, pace, Duration::from_secs(2))?;
        let now = exits(&counters, server.process.pid())?;
        let each = (now - last) as f64 / measured.answered;
        last = now;
        println!(
            "  {name}: {each:.2} exits per query, {:.0} q/s, {:.1} us of CPU",
            measured.rate, measured.cpu
        );
    }
    server.stop(&bench.lab);
    Ok(())
}

/// KVM names a directory `PID-FD` for each machine.
fn exits(counters: &Path, pid: u32) -> Result<u64, Failure> {
    let prefix = format!("{pid}-");
    let entries = fs::read_dir(counters)
        .map_err(|error| format!("{}: {error}. KVM's counters are there.", counters.display()))?;
    let machine = entries
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .ok_or("KVM counts nothing for this guest")?;
    let path = machine.path().join("exits");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.trim().parse().map_err(|_| format!("not a count of exits: '{text}'"))
}
