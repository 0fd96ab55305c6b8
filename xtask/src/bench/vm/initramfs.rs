//! Linux's root file system in memory: NSD, its libraries, its zone, three drivers, and an init of seven lines.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use elf::ElfBytes;
use elf::endian::LittleEndian;

use super::debian::Debian;
use crate::Failure;
use crate::bench::netns::Subnet;
use crate::bench::peers::{Nsd, nsd_configuration};
use crate::bench::zones::{ORIGIN, ZoneSet};
use crate::cargo::check;

/// Modules for a network device on PCI or at fixed addresses, each after those it needs.
pub const MODULES: [&str; 9] = [
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci",
    "drivers/virtio/virtio_mmio",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
];

/// Where Debian has libraries.
const LIBRARIES: [&str; 2] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];

/// Read, write and execute for all, as files in an archive have it.
const DIRECTORY: u32 = 0o040_755;
/// See [`DIRECTORY`].
const FILE: u32 = 0o100_755;

/// When every file was changed. Not 0: NSD takes a zone of that age for one that it has loaded already.
const TIME: u32 = 1;

/// The same root twice.
pub struct Initramfs {
    /// For a quick start.
    pub plain: PathBuf,
    /// For little memory and disk.
    pub packed: PathBuf,
}

/// Writes both into `directory`.
pub fn build(
    debian: &Debian,
    zones: &ZoneSet,
    subnet: Subnet,
    directory: &Path,
) -> Result<Initramfs, Failure> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let modules: Vec<&str> = MODULES.iter().filter_map(|module| module.rsplit('/').next()).collect();
    files.insert("init".into(), init(&modules, subnet).into_bytes());
    for (module, name) in MODULES.iter().zip(&modules) {
        files.insert(format!("modules/{name}.ko"), read(&debian.modules.join(format!("{module}.ko")))?);
    }
    files.insert("bin/busybox".into(), read(&debian.root.join("bin/busybox"))?);
    add_program(&mut files, &debian.root, "bin/nsd", "usr/sbin/nsd")?;
    let nsd = Nsd {
        address: subnet.server(),
        directory: "/run".into(),
        zone_file: format!("/etc/{ORIGIN}"),
        more: "",
    };
    files.insert("etc/nsd.conf".into(), nsd_configuration(&nsd).into_bytes());
    files.insert(format!("etc/{ORIGIN}"), read(&zones.zone_file())?);
    let plain = directory.join("initramfs");
    fs::write(&plain, cpio(&files)).map_err(|error| format!("{}: {error}", plain.display()))?;
    check(Command::new("gzip").args(["-9", "-n", "-f", "-k"]).arg(&plain))?;
    Ok(Initramfs { packed: plain.with_extension("gz"), plain })
}

/// The first process: drivers, an address, and NSD in its own place.
fn init(modules: &[&str], subnet: Subnet) -> String {
    let (modules, address) = (modules.join(" "), subnet.server());
    format!(
        "#!/bin/busybox sh\n\
         busybox mount -t proc proc /proc\nbusybox mount -t devtmpfs dev /dev\n\
         for module in {modules}; do busybox insmod /modules/$module.ko; done\n\
         busybox ip link set lo up\nbusybox ip address add {address}/24 dev eth0\nbusybox ip link set eth0 up\n\
         exec /bin/nsd -d -c /etc/nsd.conf\n"
    )
}

/// A program as `name`, and every library that it and they name, wherever the packages have it.
fn add_program(
    files: &mut BTreeMap<String, Vec<u8>>,
    root: &Path,
    name: &str,
    source: &str,
) -> Result<(), Failure> {
    let program = read(&root.join(source))?;
    let mut wanted = needed(&program)?;
    files.insert(name.into(), program);
    while let Some(library) = wanted.pop() {
        // The loader's path is in the program; the libraries' is the loader's.
        let at = if library.starts_with("ld-linux") { "lib64" } else { LIBRARIES[0] };
        let path = format!("{at}/{library}");
        if files.contains_key(&path) {
            continue;
        }
        let found = LIBRARIES.iter().find_map(|place| fs::read(root.join(place).join(&library)).ok());
        let bytes = found.ok_or_else(|| format!("{library} is in none of the packages that were fetched"))?;
        wanted.extend(needed(&bytes)?);
        files.insert(path, bytes);
    }
    Ok(())
}

/// The libraries that an ELF file names (DT_NEEDED).
fn needed(bytes: &[u8]) -> Result<Vec<String>, Failure> {
    let describe = |error: elf::ParseError| format!("not an ELF file: {error}");
    let file = ElfBytes::<LittleEndian>::minimal_parse(bytes).map_err(describe)?;
    let common = file.find_common_data().map_err(describe)?;
    let (Some(dynamic), Some(strings)) = (common.dynamic, common.dynsyms_strs) else { return Ok(Vec::new()) };
    let names = dynamic.iter().filter(|entry| entry.d_tag == elf::abi::DT_NEEDED);
    names.map(|entry| strings.get(entry.d_val() as usize).map(str::to_owned).map_err(describe)).collect()
}

/// An archive in the format `newc` (Linux's Documentation/driver-api/early-userspace/buffer-format.rst), with the directories
/// that the files are in and those that init mounts on.
fn cpio(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut directories: Vec<String> = ["dev", "proc", "run", "tmp"].map(String::from).to_vec();
    for path in files.keys() {
        directories.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
    }
    directories.sort();
    directories.dedup();
    let mut archive = Vec::new();
    for directory in &directories {
        entry(&mut archive, directory, DIRECTORY, &[]);
    }
    for (path, bytes) in files {
        entry(&mut archive, path, FILE, bytes);
    }
    entry(&mut archive, "TRAILER!!!", 0, &[]);
    archive
}

fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, bytes: &[u8]) {
    // Inode, mode, owner, group, links, time, size, device, device of a device file, length of the name, checksum.
    let fields = [0, mode, 0, 0, 1, TIME, bytes.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
    archive.extend_from_slice(b"070701");
    for field in fields {
        archive.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend_from_slice(bytes);
    archive.resize(archive.len().next_multiple_of(4), 0);
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_what_cpio_reads() {
        let files =
            BTreeMap::from([("etc/a".to_owned(), b"12345".to_vec()), ("init".to_owned(), Vec::new())]);
        let archive = cpio(&files);
        assert_eq!(archive.len() % 4, 0);
        let text = String::from_utf8_lossy(&archive);
        assert_eq!(text.matches("070701").count(), 5 + 2 + 1, "directories, files, trailer");
        // A header is 110 bytes, so that this name ends where bytes may begin.
        assert!(text.contains("etc/a\x0012345\0\0\x00070701"), "{text:?}");
    }
}
