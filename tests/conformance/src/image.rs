//! The image under test: the real one on the real tender, zones on its block device, the way in by `--publish`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{fs, io};

use crate::ask::Server;
use crate::generate::ZoneFile;
use crate::peers::{free_address, wait_for};

/// Guest memory, MiB.
const MEMORY_MIB: u32 = 32;

/// An image that runs; it ends with this value.
pub struct Image {
    process: Child,
    address: SocketAddr,
    disk: PathBuf,
    log: PathBuf,
}

impl Image {
    /// Starts the image called `name`, from the directory and with the tender that `cargo xtask test` names.
    pub fn start(name: &str, zones: &[ZoneFile]) -> Result<Image, String> {
        let images = PathBuf::from(variable("SKERRY_IMAGES")?);
        let image = images.join(name);
        let file = |what: &str| images.join(format!("conformance-{}-{name}.{what}", std::process::id()));
        let (disk, log) = (file("disk"), file("log"));
        let address = free_address().map_err(|error| format!("no free port: {error}"))?;
        let failed = |error: io::Error| format!("cannot write to {}: {error}", images.display());
        archive(&disk, zones).map_err(failed)?;
        let output = fs::File::create(&log).map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        let process = Command::new(variable("SKERRY_TENDER")?)
            .arg(format!("--mem={MEMORY_MIB}"))
            .arg(format!("--block:storage={}", disk.display()))
            .arg(format!("--publish={address}:53/udp"))
            .arg(format!("--publish={address}:53/tcp"))
            .arg("--")
            .arg(&image)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("cannot start the tender: {error}"))?;
        let mut image = Image { process, address, disk, log };
        let ready =
            wait_for(image.address, zones, || image.process.try_wait().is_ok_and(|status| status.is_some()));
        ready.map_err(|reason| format!("{name} {reason}:\n{}", read(&image.log)))?;
        Ok(image)
    }

    /// The way in.
    pub fn server(&self, zone: &str) -> io::Result<Server> {
        Server::new(self.address, zone)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.disk);
        let _ = fs::remove_file(&self.log);
    }
}

fn variable(name: &str) -> Result<std::ffi::OsString, String> {
    let hint = "use `cargo xtask test`, or --core for the core without an image";
    std::env::var_os(name).ok_or_else(|| format!("{name} is not set: {hint}"))
}

fn read(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_default()
}

fn archive(disk: &Path, zones: &[ZoneFile]) -> io::Result<()> {
    let mut archive = tar::Builder::new(fs::File::create(disk)?);
    for zone in zones {
        let mut header = tar::Header::new_gnu();
        header.set_size(zone.text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, &zone.name, zone.text.as_bytes())?;
    }
    archive.into_inner()?.sync_all()
}
