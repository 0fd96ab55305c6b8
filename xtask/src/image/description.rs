//! `images/NAME.toml`: what a reviewer approves of an image: devices, memory, targets, size. Unknown keys are refused.

use crate::{Failure, cargo};
use serde::Deserialize;
use solo5_sys::manifest::{MAX_ENTRIES, NAME_SIZE, device_type};
use std::fs;

/// One image.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The file's name without `.toml`, which is also the image's.
    #[serde(skip)]
    pub name: String,
    /// The cargo package whose binary the image is.
    pub package: String,
    /// Targets it is built for.
    pub targets: Vec<String>,
    /// Memory that `run` gives it, MiB.
    pub memory_mib: u32,
    /// Bytes of the image at most, baked content not counted.
    pub size_max_bytes: usize,
    /// Block device with the content archive; left out of an image that has its content baked in.
    pub content: Option<String>,
    /// Directory with example content, for `run` without `--content`.
    pub example: Option<String>,
    /// What `run` publishes where nothing else is asked for.
    #[serde(default)]
    pub publish: Vec<String>,
    /// Whether `run` lets it reach what this host can reach.
    #[serde(default)]
    pub outbound: bool,
    /// What `run` passes to the image where nothing else is asked for.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// What to type to see the running image work.
    #[serde(default)]
    pub try_next: Vec<String>,
    /// Devices, in the order of their handles.
    #[serde(default)]
    pub devices: Vec<Device>,
}

/// A device of the manifest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// ASCII letters and digits.
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Kind,
}

/// The interface that services use for logs and metrics, if their image has it.
const MANAGEMENT: &str = "management";

/// Kinds of devices.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A network interface.
    Net,
    /// A block device.
    Block,
}

impl Kind {
    /// The manifest's number for it.
    pub fn device_type(self) -> u32 {
        match self {
            Self::Net => device_type::NET_BASIC,
            Self::Block => device_type::BLOCK_BASIC,
        }
    }
}

impl Description {
    /// Reads and checks `images/NAME.toml`.
    pub fn load(name: &str) -> Result<Self, Failure> {
        let path = directory().join(format!("{name}.toml"));
        let text = fs::read_to_string(&path)
            .map_err(|_| format!("there is no image '{name}'; there are: {}", names().join(", ")))?;
        let mut description: Self =
            toml::from_str(&text).map_err(|error| format!("images/{name}.toml: {}", one_line(&error)))?;
        description.name = name.into();
        description.check().map_err(|error| format!("images/{name}.toml: {error}"))?;
        Ok(description)
    }

    /// Whether the image can be built for `target`.
    pub fn check_target(&self, target: &str) -> Result<(), Failure> {
        if self.targets.iter().any(|known| known == target) {
            return Ok(());
        }
        Err(format!(
            "'{}' is not built for target '{target}'; it is for: {}",
            self.name,
            self.targets.join(", ")
        ))
    }

    /// The image's interfaces, in the order of the manifest.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        let interfaces = self.devices.iter().filter(|device| device.kind == Kind::Net);
        interfaces.map(|device| device.name.as_str())
    }

    /// The devices of the image, with its content baked in or not, and with an interface for logs and metrics or not.
    pub fn devices_for(&self, content_baked_in: bool, management: bool) -> Vec<Device> {
        let left_out = self.content.as_ref().filter(|_| content_baked_in);
        let own = self.devices.iter().filter(|device| Some(&device.name) != left_out).cloned();
        let has_it = self.interfaces().any(|name| name == MANAGEMENT);
        let more = (management && !has_it).then(|| Device { name: MANAGEMENT.into(), kind: Kind::Net });
        own.chain(more).collect()
    }

    fn check(&self) -> Result<(), Failure> {
        // The first entry of a manifest is reserved.
        if self.devices.len() >= MAX_ENTRIES {
            return Err(format!("{} devices, a manifest holds {}", self.devices.len(), MAX_ENTRIES - 1));
        }
        for (index, device) in self.devices.iter().enumerate() {
            let name = &device.name;
            let fits = !name.is_empty() && name.len() < NAME_SIZE;
            if !fits || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(format!("device name '{name}' is not 1 to {} letters and digits", NAME_SIZE - 1));
            }
            if self.devices[..index].iter().any(|other| other.name == *name) {
                return Err(format!("device '{name}' is declared twice"));
            }
        }
        match &self.content {
            Some(content)
                if !self
                    .devices
                    .iter()
                    .any(|device| device.name == *content && device.kind == Kind::Block) =>
            {
                Err(format!("content comes from '{content}', which is no block device here"))
            }
            _ => Ok(()),
        }
    }
}

/// What is wrong with a TOML document, as one line.
pub fn one_line(error: &toml::de::Error) -> String {
    error.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn directory() -> std::path::PathBuf {
    cargo::workspace().join("images")
}

/// Every image there is a description of, sorted.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory())
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok()?.strip_suffix(".toml").map(str::to_owned))
        .collect();
    names.sort();
    names
}
