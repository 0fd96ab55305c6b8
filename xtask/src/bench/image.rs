//! Our own image and tender: built by `cargo xtask image`, or the files that the options name.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::netns::{Lab, Subnet, command_in};
use super::options::Options;
use crate::Failure;
use crate::cargo::{build_tender, workspace};
use crate::image;

/// What starts a guest.
pub struct Image {
    tender: PathBuf,
    image: PathBuf,
    /// Arguments for the guest besides its address.
    pub arguments: Vec<String>,
}

impl Image {
    /// Builds the DNS image for `target` with the zones in `content`: for QEMU the one without git and TLS, since the Linux
    /// that it is compared with has neither.
    pub fn build(options: &Options, lab: &Lab, target: &str, content: &Path) -> Result<Self, Failure> {
        let root = workspace();
        let tender = match (&options.tender, target) {
            (Some(tender), _) => tender.clone(),
            // QEMU starts it.
            (None, "virtio") => PathBuf::new(),
            (None, _) => build_tender()?,
        };
        let arguments = Vec::new();
        if let Some(image) = &options.image {
            return Ok(Self { tender, image: image.clone(), arguments });
        }
        let name = content.file_name().unwrap_or_default();
        let image = if target == "virtio" { "dns-static" } else { "dns" };
        let out = lab.directory.join(target).join(name);
        let xtask = std::env::current_exe().map_err(|error| format!("who am I: {error}"))?;
        let output = Command::new(xtask)
            .args(["image", image, target, "--content"])
            .arg(content)
            .arg("--out")
            .arg(&out)
            .current_dir(&root)
            .stderr(std::process::Stdio::inherit())
            .output()
            .map_err(|error| format!("cannot start xtask: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().unwrap_or_default();
        if !output.status.success() || last.is_empty() {
            return Err(format!("`cargo xtask image {image} {target}` failed: {text}"));
        }
        Ok(Self { tender, image: root.join(last), arguments })
    }

    /// The image of a package that is not DNS, with nothing baked in.
    pub fn of_package(name: &str) -> Result<Self, Failure> {
        let description = image::Description::load(name)?;
        let image = image::build(&description, "spt", &image::Options::default())?;
        Ok(Self { tender: build_tender()?, image, arguments: Vec::new() })
    }

    /// The guest's command in the client's namespace, with `memory` MiB, on `tap` and on processor `cpu`.
    pub fn command(&self, cpu: Option<usize>, memory: u32, tap: &str, subnet: Subnet) -> Command {
        let mut command = command_in(Lab::CLIENT, cpu, &self.tender.to_string_lossy());
        command.args(self.arguments(memory, tap, subnet));
        command
    }

    /// The same as words, for a program that starts it itself in that namespace.
    pub fn words(&self, memory: u32, tap: &str, subnet: Subnet) -> Vec<String> {
        let mut words = vec![self.tender.to_string_lossy().into_owned()];
        words.extend(self.arguments(memory, tap, subnet));
        words
    }

    fn arguments(&self, memory: u32, tap: &str, subnet: Subnet) -> Vec<String> {
        let mut words = vec![
            format!("--mem={memory}"),
            format!("--net:service={tap}"),
            format!("--net-mac:service={GUEST_MAC}"),
            self.image.to_string_lossy().into_owned(),
            format!("--ipv4={}/24", subnet.server()),
        ];
        words.extend_from_slice(&self.arguments);
        words
    }

    /// The image's file.
    pub fn path(&self) -> &Path {
        &self.image
    }

    /// Bytes of the image's file.
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.image).map_or(0, |metadata| metadata.len())
    }
}

/// The guest's address is given, so that the client can know it before the guest runs.
pub const GUEST_MAC: &str = "02:00:00:00:00:0a";
