//! What urunc reads to know how to start an image: the same in the manifest and in a file of the layer.
//!
//! Container managers do not hand a manifest's annotations on to the runtime, so that urunc looks for `/urunc.json` in the
//! image, whose values are base64. In the manifest they are as they are, for people and tools.
//!
//! Source: urunc `docs/package/index.md` and `pkg/unikontainers/config.go`.

use crate::Failure;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::collections::BTreeMap;

/// Annotations by their names.
pub type Annotations = BTreeMap<&'static str, String>;

/// What urunc starts the image with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Monitor {
    /// `solo5-hvt`: a virtual machine with nothing but our devices.
    Hvt,
    /// `solo5-spt`: a process behind seccomp; no KVM on the node.
    Spt,
    /// QEMU with KVM.
    Qemu,
    /// Firecracker.
    Firecracker,
}

const MONITORS: [(&str, Monitor); 4] = [
    ("hvt", Monitor::Hvt),
    ("spt", Monitor::Spt),
    ("qemu", Monitor::Qemu),
    ("firecracker", Monitor::Firecracker),
];

impl Monitor {
    /// The monitor of that name.
    pub fn named(name: &str) -> Result<Self, Failure> {
        let monitor = MONITORS.iter().find(|(known, _)| *known == name);
        monitor.map(|(_, monitor)| *monitor).ok_or_else(|| {
            let known = MONITORS.map(|(name, _)| name).join(", ");
            format!("--monitor takes one of {known}, not '{name}'")
        })
    }

    /// urunc's name for it.
    fn name(self) -> &'static str {
        MONITORS.iter().find(|(_, monitor)| *monitor == self).map_or("", |(name, _)| name)
    }

    /// The back end of platform that boots under it.
    pub fn back_end(self) -> &'static str {
        match self {
            Self::Hvt => "hvt",
            Self::Spt => "spt",
            Self::Qemu | Self::Firecracker => "virtio",
        }
    }
}

/// The annotations of an image whose file `binary` lies in its layer.
pub fn of(monitor: Monitor, binary: &str, arguments: &[String], version: &str) -> Annotations {
    BTreeMap::from([
        ("com.urunc.unikernel.unikernelType", "mirage".into()),
        ("com.urunc.unikernel.unikernelVersion", version.into()),
        ("com.urunc.unikernel.hypervisor", monitor.name().into()),
        ("com.urunc.unikernel.binary", format!("/{binary}")),
        ("com.urunc.unikernel.cmdline", arguments.join(" ")),
    ])
}

/// The content of `/urunc.json`.
pub fn file(annotations: &Annotations) -> Result<Vec<u8>, Failure> {
    let encoded: BTreeMap<_, _> =
        annotations.iter().map(|(name, value)| (name, STANDARD.encode(value))).collect();
    serde_json::to_vec(&encoded).map_err(|error| error.to_string())
}
