//! The command line: the options of Solo5's tenders, `--publish` and `--outbound`.
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
  --outbound                       let that network also open connections and send datagrams wherever this host can;
                                   10.0.2.2 is this host's own 127.0.0.1, 10.0.2.3 its name server
  --no-ring                        offer the guest no ring for its networks, where one system call (spt) or exit (hvt)
                                   moves many frames
  --no-offload                     have the guest compute checksums and cut segments itself on TAPs, as any other tender has
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
    /// Let the guest reach what this host can reach.
    pub outbound: bool,
    /// Offer the guest a ring for its networks, if this host can.
    pub ring: bool,
    /// Let this host complete checksums and cut segments for the guest where it can.
    pub offload: bool,
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
        outbound: false,
        ring: true,
        offload: true,
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
            b"--no-ring" => options.ring = false,
            b"--no-offload" => options.offload = false,
            b"--outbound" => options.outbound = true,
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
    options.image = image
        .filter(|image| !image.is_empty())
        .ok_or_else(|| Failure::usage("no image given: name the file to run, or try --help"))?;
    options.guest = arguments.collect();
    Ok(Command::Run(options))
}

impl Options {
    /// Whether a network is attached to a user-mode network.
    pub fn user_network(&self) -> bool {
        self.outbound || !self.published.is_empty()
    }

    fn option(&mut self, argument: &OsStr) -> Result<(), Failure> {
        let unknown = || Failure::usage(format!("unknown option {}; try --help", argument.display()));
        let Some((option, value)) = split_at_equals(argument) else {
            let known = argument.to_str().is_some_and(is_known);
            return Err(if known {
                malformed(argument, "a value must follow, behind a =")
            } else {
                unknown()
            });
        };
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
            _ => return Err(unknown()),
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

/// Whether this is an option, but for its value.
fn is_known(option: &str) -> bool {
    const NAMED: [&str; 4] = ["--net:", "--net-mac:", "--block:", "--block-sector-size:"];
    option == "--mem" || NAMED.iter().any(|prefix| option.starts_with(prefix))
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

/// A decimal number without a sign, which the standard library would take.
fn number<T: std::str::FromStr>(value: &str) -> Option<T> {
    value.parse().ok().filter(|_| value.bytes().all(|byte| byte.is_ascii_digit()))
}

fn memory(argument: &OsStr, value: &str) -> Result<u64, Failure> {
    match number(value) {
        Some(mib @ 1..=MEMORY_MAX_MIB) => Ok(mib << 20),
        _ => Err(malformed(argument, &format!("memory is a number of MiB from 1 to {MEMORY_MAX_MIB}"))),
    }
}

fn interface(argument: &OsStr, value: &str) -> Result<Interface, Failure> {
    if let Some(descriptor) = value.strip_prefix('@') {
        return match number(descriptor) {
            Some(fd @ 3_i32..) => Ok(Interface::Descriptor(fd)),
            _ => Err(malformed(argument, "@ must be followed by an open descriptor from 3")),
        };
    }
    let length = 1..crate::limits::INTERFACE_NAME_SIZE;
    if !length.contains(&value.len()) || value.contains(['%', '/', '\0']) {
        return Err(malformed(argument, "an interface's name has 1 to 15 characters, none of them % or /"));
    }
    Ok(Interface::Tap(value.to_owned()))
}

/// One or two hexadecimal digits, and no sign, which the standard library would take.
fn is_pair(pair: &str) -> bool {
    matches!(pair.len(), 1 | 2) && pair.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn mac(argument: &OsStr, value: &str) -> Result<[u8; 6], Failure> {
    let wrong = || malformed(argument, "a hardware address is six pairs of hexadecimal digits with colons");
    let mut address = [0; 6];
    let mut pairs = value.split(':');
    for byte in &mut address {
        let pair = pairs.next().filter(|pair| is_pair(pair)).ok_or_else(wrong)?;
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
        number(value).ok_or_else(|| malformed(argument, "a block size is a number of bytes up to 32768"))?;
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
    let guest_port = match number(guest_port) {
        Some(port @ 1..) => port,
        _ => return Err(wrong("the guest's port is no number from 1 to 65535")),
    };
    Ok(Published { host, guest_port, udp, tcp })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Command, Failure> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[track_caller]
    fn accept(line: &str) -> Options {
        match parse_line(line) {
            Ok(Command::Run(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// Every refusal is one line that names the argument at fault.
    #[track_caller]
    fn refuse(line: &str, status: i32, words: &str) {
        let failure = parse_line(line).expect_err(line);
        assert_eq!(failure.status, status, "{failure}");
        let text = failure.to_string();
        assert!(text.contains(words) && text.lines().count() == 1, "'{words}' is missing from: {text}");
    }

    #[test]
    fn options_end_at_the_image_and_the_rest_is_the_guests() {
        let options = accept("--mem=32 --net:service=tap0 image --mem=64 -- --help");
        assert_eq!((options.memory, options.image.to_str()), (32 << 20, Some("image")));
        assert_eq!(options.nets, [("service".into(), Interface::Tap("tap0".into()))]);
        assert_eq!(options.guest, ["--mem=64", "--", "--help"]);
        let options = accept("-- --odd-name x");
        assert_eq!((options.image.to_str(), options.guest), (Some("--odd-name"), vec!["x".into()]));
        assert_eq!(accept("image").memory, 512 << 20);
    }

    #[test]
    fn help_and_version_need_no_image() {
        assert_eq!(parse_line("--mem=1 --help"), Ok(Command::Help));
        assert_eq!(parse_line("--version"), Ok(Command::Version));
        refuse("", 64, "no image given");
        refuse("--mem=16 --", 64, "no image given");
    }

    #[test]
    fn unknown_options_are_named() {
        for line in ["--memory=1 i", "-m i", "--net=tap0 i", "--mem:x=1 i", "--dumpcore=. i", "- i"] {
            refuse(line, 64, &format!("unknown option {}", line.split(' ').next().expect("split gives one")));
        }
        refuse("--mem 1 i", 64, "malformed option --mem: a value must follow");
        refuse("--net:service tap0 i", 64, "malformed option --net:service: a value must follow");
    }

    #[test]
    fn memory_is_in_mib() {
        assert_eq!(accept("--mem=1 i").memory, 1 << 20);
        assert_eq!(accept("--mem=1048576 i").memory, 1 << 40);
        for value in ["0", "-1", "+1", "1.5", "1M", "", "0x10", "1048577", "18446744073709551616"] {
            refuse(&format!("--mem={value} i"), 64, &format!("--mem={value}: memory is a number of MiB"));
        }
    }

    #[test]
    fn networks_are_interfaces_or_descriptors() {
        let options = accept("--net:a=@3 --net:b=abcdefghijklmno --net-mac:a=2:0:0:0:0:fF i");
        assert_eq!(options.nets[0].1, Interface::Descriptor(3));
        assert_eq!(options.macs, [("a".into(), [2, 0, 0, 0, 0, 255])]);
        for value in ["@", "@0", "@2", "@-1", "@+3", "@x", "@4294967296"] {
            refuse(&format!("--net:a={value} i"), 64, "@ must be followed by an open descriptor");
        }
        for value in ["", "abcdefghijklmnop", "a/b", "tap%d"] {
            refuse(&format!("--net:a={value} i"), 64, "an interface's name has 1 to 15 characters");
        }
        refuse("--net:=tap0 i", 64, "must be letters and digits");
        refuse("--net:a.b=tap0 i", 64, "must be letters and digits");
        refuse("--net:a=tap0 --net:a=tap1 i", 64, "--net:a=tap1: given twice");
    }

    #[test]
    fn hardware_addresses_have_six_pairs() {
        for value in [
            "",
            "02",
            "02:0:0:0:0",
            "02:0:0:0:0:0:0",
            "02:0:0:0:0:gg",
            "02:0:0:0:0:123",
            "2:0:0:0:0:-1",
            "2:0:0:0:0:+1",
        ] {
            refuse(&format!("--net-mac:a={value} i"), 64, "six pairs of hexadecimal digits");
        }
        refuse("--net-mac:a=03:0:0:0:0:0 i", 64, "group address");
    }

    #[test]
    fn block_sizes_are_powers_of_two() {
        let options = accept("--block:a=/x --block-sector-size:a=512 --block-sector-size:b=32768 i");
        assert_eq!(options.block_sizes, [("a".into(), 512), ("b".into(), 32768)]);
        for value in ["0", "256", "513", "768", "65535"] {
            refuse(&format!("--block-sector-size:a={value} i"), 1, "Block size must be a multiple of 2");
        }
        refuse("--block-sector-size:a=65536 i", 64, "a block size is a number of bytes");
        refuse("--block-sector-size:a=x i", 64, "a block size is a number of bytes");
        refuse("--block:a= i", 64, "a path must follow");
    }

    #[test]
    fn published_addresses_name_both_ports() {
        let options = accept("--publish=127.0.0.1:5353:53/udp --publish [::1]:0:53 i");
        let host = |text: &str| text.parse().expect("an address of this test");
        let first = Published { host: host("127.0.0.1:5353"), guest_port: 53, udp: true, tcp: false };
        let second = Published { host: host("[::1]:0"), guest_port: 53, udp: true, tcp: true };
        assert_eq!(options.published, [first, second]);
        refuse("--publish=127.0.0.1:5353 i", 64, "as in 127.0.0.1:5353:53");
        refuse("--publish=localhost:5353:53 i", 64, "no numeric address");
        refuse("--publish=127.0.0.1:65536:53 i", 64, "no numeric address");
        refuse("--publish=127.0.0.1:5353:0 i", 64, "the guest's port");
        refuse("--publish=127.0.0.1:5353:+53 i", 64, "the guest's port");
        refuse("--publish=127.0.0.1:5353:53/sctp i", 64, "neither udp nor tcp");
        refuse("--publish=::1:5353:53 i", 64, "no numeric address");
        refuse("--publish", 64, "--publish needs a value");
        refuse(&format!("{} i", "--publish=127.0.0.1:0:53 ".repeat(65)), 64, "more than 64 times");
    }

    #[test]
    fn names_that_are_not_text_are_refused_but_paths_are_not() {
        let argument = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let options = parse([argument(b"--block:a=\xff"), argument(b"\xfe"), argument(b"\xfd")]);
        assert!(matches!(options, Ok(Command::Run(_))), "{options:?}");
        assert_eq!(parse([argument(b"--net:a=\xff"), argument(b"i")]).expect_err("no text").status, 64);
    }
}
