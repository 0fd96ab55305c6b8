//! `cargo xtask image`: from a package and a file in `images/` to what a hypervisor boots.
//!
//! ```text
//! package ─ elf: cargo, platform/link.ld ─► linked ELF ─ pack: manifest, content, configuration ─► NAME.spt hvt virtio xen
//!                                               └─► NAME.TARGET.debug, for symbolize
//! NAME.xen ─► NAME.xen.cfg        NAME.hvt … ─► NAME.oci.tar
//! NAME.virtio ─► NAME.firecracker.json, NAME.libvirt.xml, NAME.disk-FIRMWARE.raw and .qcow2
//! ```
//!
//! Nothing here depends on the time, the machine or the directory: the same commit gives the same bits.

mod archive;
mod arguments;
mod description;
mod disk;
mod elf;
mod firecracker;
mod libvirt;
mod multiboot;
mod oci;
mod options;
mod pack;
mod sums;
mod target;
#[cfg(test)]
mod testing;
mod xen;

pub use description::{Description, names};
pub use options::Options;
pub use sums::digest;
pub use target::targets;

use crate::{Failure, cargo};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};
use target::{Format, Target};

/// What was built.
pub struct Built {
    /// The artefact: what the command of the hypervisor takes.
    pub artefact: PathBuf,
    /// Files that belong to it, each with what it is.
    pub beside: Vec<(&'static str, PathBuf)>,
    /// What to type to run it, where that is not `cargo xtask run`.
    pub next: Vec<String>,
}

/// `image SERVICE TARGET [--content DIR] [--config FILE] [--management] [--out DIR] [--monitor MONITOR] [-- ARGUMENTS]`
pub fn run(arguments: Vec<String>) -> Result<ExitCode, Failure> {
    let (service, target, options) = options::parse(arguments).map_err(|error| format!("image: {error}"))?;
    let built = build_all(&Description::load(&service)?, &target, &options)?;
    if ["spt", "hvt"].contains(&target.as_str()) {
        // What runs it, so that the next thing typed can be that.
        println!("tender  {}", cargo::build_tender()?.display());
    }
    for (what, path) in &built.beside {
        println!("{what:<7} {} {} {}", path.display(), read(path)?.len(), digest(path)?);
    }
    for line in &built.next {
        println!("next    {line}");
    }
    println!("bytes   {}", read(&built.artefact)?.len());
    println!("sha256  {}", digest(&built.artefact)?);
    println!("{}", built.artefact.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds the image that `description` describes for `target` and returns the artefact's path.
pub fn build(description: &Description, target: &str, options: &Options) -> Result<PathBuf, Failure> {
    Ok(build_all(description, target, options)?.artefact)
}

/// Builds the image that `description` describes for `target`, with all that belongs to it.
pub fn build_all(description: &Description, target: &str, options: &Options) -> Result<Built, Failure> {
    let target = Target::named(target, options.monitor.as_deref())?;
    description.check_target(target.back_end)?;
    target.check_options(options)?;
    let directory = options.out.clone().unwrap_or_else(|| cargo::target_directory().join("images"));
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let source = elf::build(description, target.back_end, options, &directory)?;
    let built = match target.format {
        Format::Elf => Built { artefact: source.elf.clone(), beside: Vec::new(), next: Vec::new() },
        Format::Xen => xen::write(&source, options)?,
        Format::Firecracker => firecracker::write(&source, options)?,
        Format::Libvirt => libvirt::write(&source, options)?,
        Format::Disk(firmware) => disk::write_disk(&source, options, firmware)?,
        Format::Oci(monitor) => oci::write(&source, options, monitor)?,
    };
    let files = built.beside.iter().map(|(_, path)| path).chain([&source.elf, &built.artefact]);
    sums::update(&directory, files.map(PathBuf::as_path))?;
    Ok(built)
}

/// The ELF file that an artefact is made of, and what is known of it.
pub struct Source<'a> {
    /// Whose image it is.
    pub description: &'a Description,
    /// The packed ELF file.
    pub elf: PathBuf,
    /// Devices of its manifest: without the content's block device where the content is baked in.
    pub devices: Vec<description::Device>,
}

impl Source<'_> {
    /// Where an artefact with this ending goes: beside the ELF file.
    pub fn path(&self, ending: &str) -> PathBuf {
        self.elf.with_file_name(format!("{}.{ending}", self.description.name))
    }

    /// The ELF file's name, by which configurations beside it refer to it, wherever they lie.
    pub fn file_name(&self) -> String {
        self.elf.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Devices of one kind, in the order of the manifest.
    pub fn devices_of(&self, kind: description::Kind) -> impl Iterator<Item = &str> {
        self.devices.iter().filter(move |device| device.kind == kind).map(|device| device.name.as_str())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
