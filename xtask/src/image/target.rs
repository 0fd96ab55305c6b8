//! The targets of `cargo xtask image`: for each the back end of platform that is linked, and the form it is delivered in.

use super::{Description, Options, disk::Firmware, oci::Monitor};
use crate::Failure;

/// A target of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The back end of platform: `SKERRY_TARGET`.
    pub back_end: &'static str,
    /// What is written.
    pub format: Format,
}

/// Forms that an image is delivered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The ELF file alone.
    Elf,
    /// The ELF file, and a configuration for `xl`.
    Xen,
    /// The ELF file, and a configuration for Firecracker.
    Firecracker,
    /// The ELF file, and a domain for libvirt.
    Libvirt,
    /// A disk that boots by itself.
    Disk(Firmware),
    /// An OCI image for urunc.
    Oci(Monitor),
}

/// Every target by its name.
const TARGETS: [(&str, Target); 9] = [
    ("spt", Target { back_end: "spt", format: Format::Elf }),
    ("hvt", Target { back_end: "hvt", format: Format::Elf }),
    ("virtio", Target { back_end: "virtio", format: Format::Elf }),
    ("xen", Target { back_end: "xen", format: Format::Xen }),
    ("disk-bios", Target { back_end: "virtio", format: Format::Disk(Firmware::Bios) }),
    ("disk-uefi", Target { back_end: "virtio", format: Format::Disk(Firmware::Uefi) }),
    ("firecracker", Target { back_end: "virtio", format: Format::Firecracker }),
    ("libvirt", Target { back_end: "virtio", format: Format::Libvirt }),
    // The back end follows from the monitor.
    ("oci", Target { back_end: "hvt", format: Format::Oci(Monitor::Hvt) }),
];

/// Every target that the image can be built for.
pub fn targets(description: &Description) -> impl Iterator<Item = &'static str> {
    let buildable = |target: &Target| description.check_target(target.back_end).is_ok();
    TARGETS.iter().filter(move |(_, target)| buildable(target)).map(|(name, _)| *name)
}

impl Target {
    /// The target of that name; `monitor` is only for `oci`.
    pub fn named(name: &str, monitor: Option<&str>) -> Result<Self, Failure> {
        let Some((_, target)) = TARGETS.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            return Err(format!("there is no target '{name}'; there are: {}", known.join(", ")));
        };
        match (target.format, monitor) {
            (_, None) => Ok(*target),
            (Format::Oci(_), Some(monitor)) => {
                let monitor = Monitor::named(monitor)?;
                Ok(Self { back_end: monitor.back_end(), format: Format::Oci(monitor) })
            }
            (_, Some(_)) => Err("--monitor is for target oci".into()),
        }
    }

    /// Whether the options make sense for this target.
    pub fn check_options(&self, options: &Options) -> Result<(), Failure> {
        if self.format == Format::Elf && !options.arguments.is_empty() {
            return Err(format!(
                "an ELF file has no place for arguments: give '{}' to what starts it, or bake in a --config",
                options.arguments.join(" ")
            ));
        }
        Ok(())
    }
}
