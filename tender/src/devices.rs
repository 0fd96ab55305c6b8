//! Attaches what the command line offers to what the manifest declares; names the device where the two differ.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom};
use std::os::fd::IntoRawFd;

use solo5_sys::skerry::NetworkOffload;

use crate::args::Options;
use crate::failure::Failure;
use crate::limits::{BLOCK_SIZE_MIN, USER_MTU};
use crate::manifest::{Attachment, Device, Kind, Manifest};
use crate::network;

/// Attaches every device of `manifest`. `user_network` is the descriptor of the user-mode network, if there is one. Says on which
/// interfaces frames have headers: with `offload` on the TAPs that are opened here.
///
/// The descriptors stay open as long as the process lives.
pub fn attach(
    options: &Options,
    manifest: &mut Manifest,
    user_network: Option<i32>,
    offload: bool,
) -> Result<NetworkOffload, Failure> {
    check_declared(options, manifest)?;
    let mut with_header = Vec::new();
    for (name, interface) in &options.nets {
        let attached = network::attach(name, interface, offload)?;
        if attached.header {
            with_header.push(attached.fd);
        }
        let device = declared(manifest, name, Kind::Net)?;
        device.attachment =
            Some(Attachment::Net { fd: attached.fd, mac: mac(options, name), mtu: attached.mtu });
    }
    for (name, path) in &options.blocks {
        let attachment = open_block(options, name, path)?;
        declared(manifest, name, Kind::Block)?.attachment = Some(attachment);
    }
    if let Some(fd) = user_network {
        let device = free_network(manifest)?;
        let mac = mac(options, &device.name);
        device.attachment = Some(Attachment::Net { fd, mac, mtu: USER_MTU as u16 });
    }
    match manifest.devices.iter().find(|device| device.attachment.is_none()) {
        Some(device) => Err(missing(device)),
        None => Ok(NetworkOffload { interfaces: handles(manifest, &with_header) }),
    }
}

/// A bit for the handle of each interface that is attached to one of `descriptors`.
fn handles(manifest: &Manifest, descriptors: &[i32]) -> u64 {
    let among = |attachment| matches!(attachment, Attachment::Net { fd, .. } if descriptors.contains(&fd));
    let handles =
        manifest.attachments().filter(|&(_, attachment)| among(attachment)).map(|(handle, _)| handle);
    handles.filter(|&handle| handle < 64).fold(0, |bits, handle| bits | 1 << handle)
}

/// Finds fault with the options before anything is opened: devices that the image does not declare, and `--publish`
/// without a network for it.
pub fn check_declared(options: &Options, manifest: &mut Manifest) -> Result<(), Failure> {
    let networks = options.nets.iter().map(|(name, _)| name).chain(options.macs.iter().map(|(name, _)| name));
    for name in networks {
        declared(manifest, name, Kind::Net)?;
    }
    let blocks =
        options.blocks.iter().map(|(name, _)| name).chain(options.block_sizes.iter().map(|(name, _)| name));
    for name in blocks {
        declared(manifest, name, Kind::Block)?;
    }
    let free = manifest
        .devices
        .iter()
        .filter(|device| device.kind == Kind::Net)
        .any(|device| options.nets.iter().all(|(name, _)| *name != device.name));
    if options.user_network() && !free {
        return Err(Failure::general(
            "--publish needs a network (and so does --outbound) that no --net is attached to, and the image declares none",
        ));
    }
    Ok(())
}

fn declared<'a>(manifest: &'a mut Manifest, name: &str, kind: Kind) -> Result<&'a mut Device, Failure> {
    let names: Vec<&str> =
        manifest.devices.iter().filter(|device| device.kind == kind).map(|device| &*device.name).collect();
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    manifest.find(name).filter(|device| device.kind == kind).ok_or_else(|| {
        Failure::general(format!(
            "Resource not declared in manifest: '{name}': the image declares no {kind} of this name (it has: {known})"
        ))
    })
}

fn free_network(manifest: &mut Manifest) -> Result<&mut Device, Failure> {
    manifest
        .devices
        .iter_mut()
        .find(|device| device.kind == Kind::Net && device.attachment.is_none())
        .ok_or_else(|| Failure::general("--publish needs a network that no --net is attached to"))
}

fn missing(device: &Device) -> Failure {
    let name = &device.name;
    let how = match device.kind {
        Kind::Net => format!("--net:{name}=TAP or --publish ADDRESS:PORT:GUESTPORT"),
        Kind::Block => format!("--block:{name}=FILE"),
    };
    Failure::general(format!(
        "the image declares {} '{name}' but nothing is attached: add {how}",
        device.kind
    ))
}

fn mac(options: &Options, name: &str) -> [u8; 6] {
    match options.macs.iter().find(|(named, _)| named == name) {
        Some((_, mac)) => *mac,
        None => network::random_mac(),
    }
}

fn open_block(options: &Options, name: &str, path: &std::ffi::OsStr) -> Result<Attachment, Failure> {
    let failure = |what: String| {
        Failure::general(format!("block device '{name}': {}: {what}", std::path::Path::new(path).display()))
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| failure(format!("cannot be opened for reading and writing: {error}")))?;
    let capacity = file
        .seek(SeekFrom::End(0))
        .map_err(|error| failure(format!("its size cannot be determined: {error}")))?;
    let block_size = options
        .block_sizes
        .iter()
        .find(|(named, _)| named == name)
        .map_or(BLOCK_SIZE_MIN, |(_, block_size)| *block_size);
    if capacity % u64::from(block_size) != 0 {
        return Err(failure(format!(
            "Backing storage size must be block aligned ({block_size} bytes), and it has {capacity} bytes"
        )));
    }
    if capacity == 0 {
        return Err(failure(format!(
            "Backing storage must be at least 1 block ({block_size} bytes) in size"
        )));
    }
    Ok(Attachment::Block { fd: file.into_raw_fd(), capacity, block_size })
}
