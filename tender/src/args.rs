//! The command line: the options of Solo5's tenders, and `--publish`.
//!
//! Parsing is pure: nothing is opened here, and names of devices are compared with the manifest later, in
//! [`devices`](crate::devices). Options end at the first argument that does not start with `-`, or behind `--`; what
//! follows is the image, and everything behind that belongs to the guest.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;

use crate::failure::Failure;
use crate::limits::{BLOCK_SIZE_MIN, DEFAULT_MEMORY_MIB, MEMORY_MAX_MIB, PUBLISHED_MAX};

/// What `--help` prints.
pub const HELP: &str = "\
Runs a Solo5 image: hvt in a virtual machine (KVM), spt in a sandboxed process (seccomp).

usage: skerry-tender [OPTIONS] [--] IMAGE [GUEST ARGUMENTS]

  --mem=MIB                        memory of the guest in MiB (default 512)
  --net:NAME=INTERFACE             attach TAP interface INTERFACE of this host as network NAME
  --net:NAME=@FD                   attach the open descriptor FD, a TAP or packet socket
  --net-mac:NAME=ADDRESS           hardware address of network NAME (default: random, locally administered)
  --block:NAME=PATH                attach the file or device PATH as block device NAME
  --block-sector-size:NAME=BYTES   its block size, a power of two from 512 (default 512)
  --publish=ADDRESS:PORT:GUESTPORT[/udp|/tcp]
                                   attach the first network that has no --net to a user-mode network (guest
                                   10.0.2.15/24, gateway 10.0.2.2) and forward ADDRESS:PORT of this host to
                                   GUESTPORT of the guest, for UDP and TCP unless one is named; repeatable
  --help, --version                print this, or the version, and exit

Exit status: the guest's; 64 where this command line is wrong; 1 where the image, a device or this host is not as
needed; 255 where a guest on spt faulted (upstream's images: 128 plus the signal).
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Run an image.
    Run(Options),
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
}

/// How to run an image.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// Memory of the guest, bytes.
    pub memory: u64,
    /// Networks by name: where each is attached.
    pub nets: Vec<(String, Interface)>,
    /// Hardware addresses by name.
    pub macs: Vec<(String, [u8; 6])>,
    /// Block devices by name: file or device.
    pub blocks: Vec<(String, OsString)>,
    /// Block sizes by name, bytes; powers of two.
    pub block_sizes: Vec<(String, u16)>,
    /// Addresses of this host that lead to the guest.
    pub published: Vec<Published>,
    /// The image's file.
    pub image: OsString,
    /// The guest's arguments.
    pub guest: Vec<OsString>,
}

/// Where a network is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interface {
    /// A TAP interface of this host.
    Tap(String),
    /// An open descriptor that the tender inherited.
    Descriptor(i32),
}

/// One `--publish`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Address and port of this host; port 0 lets the kernel choose.
    pub host: SocketAddr,
    /// Port of the guest.
    pub guest_port: u16,
    /// Forward datagrams.
    pub udp: bool,
    /// Forward connections.
    pub tcp: bool,
}

/// Parses the command line, the program's own name left out.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Failure> {
    let mut options = Options {
        memory: DEFAULT_MEMORY_MIB << 20,
        nets: Vec::new(),
        macs: Vec::new(),
        blocks: Vec::new(),
        block_sizes: Vec::new(),
        published: Vec::new(),
        image: OsString::new(),
        guest: Vec::new(),
    };
    let mut arguments = arguments.into_iter();
    let image = loop {
        let Some(argument) = arguments.next() else { break None };
        match argument.as_bytes() {
            b"--" => break arguments.next(),
            b"--help" => return Ok(Command::Help),
            b"--version" => return Ok(Command::Version),
            // The contract also writes the value as an argument of its own.
            b"--publish" => {
                let value = arguments.next().ok_or_else(|| {
                    Failure::usage("--publish needs a value: ADDRESS:PORT:GUESTPORT[/udp|/tcp]")
                })?;
                options.publish(&argument, text(&value)?)?;
            }
            [b'-', ..] => options.option(&argument)?,
            _ => break Some(argument),
        }
    };
    options.image =
        image.ok_or_else(|| Failure::usage("no image given: name the file to run, or try --help"))?;
    options.guest = arguments.collect();
    Ok(Command::Run(options))
}

impl Options {
    fn option(&mut self, argument: &OsStr) -> Result<(), Failure> {
        let (option, value) = split_at_equals(argument)
            .ok_or_else(|| Failure::usage(format!("unknown option {}; try --help", argument.display())))?;
        let (kind, name) = option.split_once(':').map_or((option, None), |(kind, name)| (kind, Some(name)));
        match (kind, name) {
            ("--mem", None) => self.memory = memory(argument, text(value)?)?,
            ("--publish", None) => self.publish(argument, text(value)?)?,
            ("--net", Some(name)) => add(&mut self.nets, argument, name, interface(argument, text(value)?)?)?,
            ("--net-mac", Some(name)) => add(&mut self.macs, argument, name, mac(argument, text(value)?)?)?,
            ("--block", Some(name)) => {
                if value.is_empty() {
                    return Err(malformed(argument, "a path must follow the ="));
                }
                add(&mut self.blocks, argument, name, value.to_owned())?;
            }
            ("--block-sector-size", Some(name)) => {
                add(&mut self.block_sizes, argument, name, block_size(argument, text(value)?)?)?;
            }
            _ => return Err(Failure::usage(format!("unknown option {}; try --help", argument.display()))),
        }
        Ok(())
    }

    fn publish(&mut self, argument: &OsStr, value: &str) -> Result<(), Failure> {
        if self.published.len() == PUBLISHED_MAX {
            return Err(Failure::usage(format!("more than {PUBLISHED_MAX} times --publish")));
        }
        self.published.push(published(argument, value)?);
        Ok(())
    }
}

fn split_at_equals(argument: &OsStr) -> Option<(&str, &OsStr)> {
    let bytes = argument.as_bytes();
    let position = bytes.iter().position(|&byte| byte == b'=')?;
    Some((std::str::from_utf8(&bytes[..position]).ok()?, OsStr::from_bytes(&bytes[position + 1..])))
}

fn text(value: &OsStr) -> Result<&str, Failure> {
    value.to_str().ok_or_else(|| Failure::usage(format!("not UTF-8: {}", value.display())))
}

fn malformed(argument: &OsStr, what: &str) -> Failure {
    Failure::usage(format!("malformed option {}: {what}", argument.display()))
}

fn add<T>(list: &mut Vec<(String, T)>, argument: &OsStr, name: &str, value: T) -> Result<(), Failure> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(malformed(argument, "the name in front of the = must be letters and digits"));
    }
    if list.iter().any(|(earlier, _)| earlier == name) {
        return Err(malformed(argument, "given twice for this name"));
    }
    list.push((name.to_owned(), value));
    Ok(())
}

fn memory(argument: &OsStr, value: &str) -> Result<u64, Failure> {
    match value.parse::<u64>() {
        Ok(mib @ 1..=MEMORY_MAX_MIB) => Ok(mib << 20),
        _ => Err(malformed(argument, &format!("memory is a number of MiB from 1 to {MEMORY_MAX_MIB}"))),
    }
}

fn interface(argument: &OsStr, value: &str) -> Result<Interface, Failure> {
    if let Some(descriptor) = value.strip_prefix('@') {
        return match descriptor.parse::<i32>() {
            Ok(fd @ 3..) => Ok(Interface::Descriptor(fd)),
            _ => Err(malformed(argument, "@ must be followed by an open descriptor from 3")),
        };
    }
    let length = 1..crate::limits::INTERFACE_NAME_SIZE;
    if !length.contains(&value.len()) || value.contains(['%', '/', '\0']) {
        return Err(malformed(argument, "an interface's name has 1 to 15 characters, none of them % or /"));
    }
    Ok(Interface::Tap(value.to_owned()))
}

fn mac(argument: &OsStr, value: &str) -> Result<[u8; 6], Failure> {
    let wrong = || malformed(argument, "a hardware address is six pairs of hexadecimal digits with colons");
    let mut address = [0; 6];
    let mut pairs = value.split(':');
    for byte in &mut address {
        let pair = pairs.next().filter(|pair| matches!(pair.len(), 1 | 2)).ok_or_else(wrong)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    if pairs.next().is_some() {
        return Err(wrong());
    }
    if address[0] & 1 != 0 {
        return Err(malformed(argument, "this is a group address, which no interface may have"));
    }
    Ok(address)
}

fn block_size(argument: &OsStr, value: &str) -> Result<u16, Failure> {
    let size: u16 =
        value.parse().map_err(|_| malformed(argument, "a block size is a number of bytes up to 32768"))?;
    if size < BLOCK_SIZE_MIN || !size.is_power_of_two() {
        return Err(Failure::general(format!(
            "{}: Block size must be a multiple of 2 greater than or equal {BLOCK_SIZE_MIN}, and a power of two",
            argument.display()
        )));
    }
    Ok(size)
}

fn published(argument: &OsStr, value: &str) -> Result<Published, Failure> {
    let wrong = |what| {
        malformed(
            argument,
            &format!("{what}; write ADDRESS:PORT:GUESTPORT[/udp|/tcp], as in 127.0.0.1:5353:53"),
        )
    };
    let (addresses, protocol) =
        value.split_once('/').map_or((value, None), |(addresses, protocol)| (addresses, Some(protocol)));
    let (udp, tcp) = match protocol {
        None => (true, true),
        Some("udp") => (true, false),
        Some("tcp") => (false, true),
        Some(_) => return Err(wrong("the protocol is neither udp nor tcp")),
    };
    let (host, guest_port) = addresses.rsplit_once(':').ok_or_else(|| wrong("a port is missing"))?;
    let host = host.parse().map_err(|_| wrong("this is no numeric address with a port"))?;
    let guest_port = match guest_port.parse() {
        Ok(port @ 1..) => port,
        _ => return Err(wrong("the guest's port is no number from 1 to 65535")),
    };
    Ok(Published { host, guest_port, udp, tcp })
}
