//! The device manifest as the tender holds it: read from an image without trusting a byte of it, filled in with what was
//! attached, written back in the layout that guests read.
//!
//! ```text
//! version u32 | entries u32 | entry 0: reserved, no name | entry 1: name[68] type properties[16] host attached | …
//! ```
//!
//! Source of the rules: Solo5 `tenders/common/mft.c`. Stricter here: names must be letters and digits, and unique.

use std::fmt;

use solo5_sys::manifest::{Entry, Header, MAX_ENTRIES, NAME_SIZE, VERSION, device_type};

/// Why a manifest is refused. The text is the end of a line that starts with the image's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestError {
    /// Shorter than its own header.
    Truncated,
    /// Of a version this tender does not know.
    Version(u32),
    /// More entries than [`MAX_ENTRIES`].
    TooManyEntries(u32),
    /// Not exactly as long as its entries need.
    Size {
        /// Entries it claims.
        entries: u32,
        /// Bytes there are, header included.
        bytes: usize,
    },
    /// The first entry is not the reserved one without a name.
    FirstNotReserved,
    /// A name without its terminator.
    UnterminatedName(usize),
    /// A name that is empty or has other characters than ASCII letters and digits.
    InvalidName(usize),
    /// Two entries of one name.
    DuplicateName(usize),
    /// A device type that is neither block nor network.
    UnknownType(usize, u32),
    /// An entry that claims to be attached already.
    Attached(usize),
}

impl fmt::Display for ManifestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => formatter.write_str("the manifest is shorter than its header"),
            Self::Version(version) => write!(formatter, "manifest version {version} instead of {VERSION}"),
            Self::TooManyEntries(entries) => {
                write!(formatter, "{entries} manifest entries where {MAX_ENTRIES} are the most")
            }
            Self::Size { entries, bytes } => {
                write!(formatter, "a manifest of {entries} entries cannot have {bytes} bytes")
            }
            Self::FirstNotReserved => {
                formatter.write_str("the manifest's first entry is not the reserved one")
            }
            Self::UnterminatedName(index) => {
                write!(formatter, "the name in manifest entry {index} is unterminated")
            }
            Self::InvalidName(index) => {
                write!(formatter, "the name in manifest entry {index} is not made of letters and digits")
            }
            Self::DuplicateName(index) => {
                write!(formatter, "manifest entry {index} has the name of an earlier one")
            }
            Self::UnknownType(index, device_type) => {
                write!(formatter, "manifest entry {index} is of the unknown type {device_type}")
            }
            Self::Attached(index) => {
                write!(formatter, "manifest entry {index} claims to be attached already")
            }
        }
    }
}

/// Kind of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A network interface.
    Net,
    /// A block device.
    Block,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Net => "network",
            Self::Block => "block device",
        })
    }
}

/// What was attached to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// A network interface on descriptor `fd`.
    Net {
        /// TAP device or packet socket of the host, non-blocking.
        fd: i32,
        /// The guest's hardware address.
        mac: [u8; 6],
        /// Largest frame without its Ethernet header, bytes.
        mtu: u16,
    },
    /// A file or block device on descriptor `fd`.
    Block {
        /// File or block device of the host.
        fd: i32,
        /// Bytes, a multiple of `block_size`.
        capacity: u64,
        /// Bytes, a power of two.
        block_size: u16,
    },
}

/// One device that the image declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its index in the manifest, which is its handle in the guest.
    pub index: usize,
    /// ASCII letters and digits.
    pub name: String,
    /// Network or block.
    pub kind: Kind,
    /// What the tender attached to it.
    pub attachment: Option<Attachment>,
}

/// A checked manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    entries: usize,
    /// The devices in the order of their indices; reserved entries are left out.
    pub devices: Vec<Device>,
}

impl Manifest {
    /// Checks the description of an MFT1 note, its padding already removed.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let header = bytes.get(..size_of::<Header>()).ok_or(ManifestError::Truncated)?;
        let (version, entries) = (u32_at(header, 0), u32_at(header, 4));
        if version != VERSION {
            return Err(ManifestError::Version(version));
        }
        if entries as usize > MAX_ENTRIES {
            return Err(ManifestError::TooManyEntries(entries));
        }
        if bytes.len() != size_of::<Header>() + entries as usize * size_of::<Entry>() {
            return Err(ManifestError::Size { entries, bytes: bytes.len() });
        }
        if entries == 0 {
            return Err(ManifestError::FirstNotReserved);
        }
        let mut devices: Vec<Device> = Vec::new();
        for (index, entry) in bytes[size_of::<Header>()..].chunks_exact(size_of::<Entry>()).enumerate() {
            let Some(device) = parse_entry(index, entry)? else { continue };
            if devices.iter().any(|earlier| earlier.name == device.name) {
                return Err(ManifestError::DuplicateName(index));
            }
            devices.push(device);
        }
        Ok(Self { entries: entries as usize, devices })
    }

    /// The device called `name`.
    pub fn find(&mut self, name: &str) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| device.name == name)
    }

    /// All attachments with their devices' indices.
    pub fn attachments(&self) -> impl Iterator<Item = (usize, Attachment)> + '_ {
        self.devices.iter().filter_map(|device| Some((device.index, device.attachment?)))
    }

    /// The manifest in the guest's layout. `show_descriptors` is for spt, whose guests use them; others see zero.
    pub fn to_bytes(&self, show_descriptors: bool) -> Vec<u8> {
        let mut bytes = vec![0; size_of::<Header>() + self.entries * size_of::<Entry>()];
        bytes[..4].copy_from_slice(&VERSION.to_le_bytes());
        bytes[4..8].copy_from_slice(&(self.entries as u32).to_le_bytes());
        for entry in bytes[size_of::<Header>()..].chunks_exact_mut(size_of::<Entry>()) {
            put(entry, std::mem::offset_of!(Entry, device_type), &device_type::RESERVED_FIRST.to_le_bytes());
        }
        for device in &self.devices {
            let start = size_of::<Header>() + device.index * size_of::<Entry>();
            write_entry(&mut bytes[start..start + size_of::<Entry>()], device, show_descriptors);
        }
        bytes
    }
}

fn parse_entry(index: usize, entry: &[u8]) -> Result<Option<Device>, ManifestError> {
    let name = &entry[..NAME_SIZE];
    let device_type = u32_at(entry, std::mem::offset_of!(Entry, device_type));
    if index == 0 && (device_type != device_type::RESERVED_FIRST || name[0] != 0) {
        return Err(ManifestError::FirstNotReserved);
    }
    if name[NAME_SIZE - 1] != 0 {
        return Err(ManifestError::UnterminatedName(index));
    }
    if entry[std::mem::offset_of!(Entry, attached)] != 0 {
        return Err(ManifestError::Attached(index));
    }
    let kind = match device_type {
        device_type::BLOCK_BASIC => Kind::Block,
        device_type::NET_BASIC => Kind::Net,
        device_type::RESERVED_FIRST.. => return Ok(None),
        unknown => return Err(ManifestError::UnknownType(index, unknown)),
    };
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(NAME_SIZE);
    let name = &name[..length];
    if name.is_empty() || !name.iter().all(u8::is_ascii_alphanumeric) {
        return Err(ManifestError::InvalidName(index));
    }
    let name = String::from_utf8_lossy(name).into_owned();
    Ok(Some(Device { index, name, kind, attachment: None }))
}

fn write_entry(entry: &mut [u8], device: &Device, show_descriptors: bool) {
    let properties = std::mem::offset_of!(Entry, properties);
    put(entry, 0, device.name.as_bytes());
    let device_type = match device.kind {
        Kind::Block => device_type::BLOCK_BASIC,
        Kind::Net => device_type::NET_BASIC,
    };
    put(entry, std::mem::offset_of!(Entry, device_type), &device_type.to_le_bytes());
    let Some(attachment) = device.attachment else { return };
    entry[std::mem::offset_of!(Entry, attached)] = 1;
    let fd = match attachment {
        Attachment::Net { fd, mac, mtu } => {
            put(entry, properties, &mac);
            put(entry, properties + 6, &mtu.to_le_bytes());
            fd
        }
        Attachment::Block { fd, capacity, block_size } => {
            put(entry, properties, &capacity.to_le_bytes());
            put(entry, properties + 8, &block_size.to_le_bytes());
            fd
        }
    };
    if show_descriptors {
        put(entry, std::mem::offset_of!(Entry, host), &fd.to_le_bytes());
    }
}

fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    bytes[offset..offset + value.len()].copy_from_slice(value);
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes([bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::sample;

    const NET: u32 = device_type::NET_BASIC;

    /// A manifest of one network, with some bytes changed.
    fn changed(changes: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = sample::manifest(&["service"]);
        for (place, change) in changes {
            bytes[*place..*place + change.len()].copy_from_slice(change);
        }
        bytes
    }

    /// Where a field of entry `index` lies.
    fn at(index: usize, field: usize) -> usize {
        size_of::<Header>() + index * size_of::<Entry>() + field
    }

    const TYPE: usize = std::mem::offset_of!(Entry, device_type);
    const ATTACHED: usize = std::mem::offset_of!(Entry, attached);

    #[track_caller]
    fn refuse(bytes: &[u8], expect: ManifestError) {
        assert_eq!(Manifest::parse(bytes), Err(expect));
    }

    #[test]
    fn devices_keep_their_index() {
        let bytes = sample::manifest(&["service", "storage", "management"]);
        let manifest = Manifest::parse(&bytes).expect("the sample is valid");
        let seen: Vec<_> =
            manifest.devices.iter().map(|device| (device.index, &*device.name, device.kind)).collect();
        assert_eq!(
            seen,
            [(1, "service", Kind::Net), (2, "storage", Kind::Block), (3, "management", Kind::Net)]
        );
        assert_eq!(manifest.to_bytes(true), bytes);
    }

    #[test]
    fn sixty_three_devices_are_the_most() {
        let names: Vec<String> = (0..64).map(|number| format!("storage{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(Manifest::parse(&sample::manifest(&names[..63])).map(|it| it.devices.len()), Ok(63));
        refuse(&sample::manifest(&names), ManifestError::TooManyEntries(65));
    }

    #[test]
    fn sizes_and_counts_must_agree() {
        let bytes = changed(&[]);
        for length in 0..size_of::<Header>() {
            refuse(&bytes[..length], ManifestError::Truncated);
        }
        for length in size_of::<Header>()..bytes.len() {
            refuse(&bytes[..length], ManifestError::Size { entries: 2, bytes: length });
        }
        refuse(&[bytes, vec![0]].concat(), ManifestError::Size { entries: 2, bytes: 217 });
        refuse(&changed(&[(4, &[3])]), ManifestError::Size { entries: 3, bytes: 216 });
        refuse(&changed(&[(4, &[0xff; 4])]), ManifestError::TooManyEntries(u32::MAX));
        refuse(&changed(&[(4, &[65])]), ManifestError::TooManyEntries(65));
        refuse(&changed(&[(0, &[2])]), ManifestError::Version(2));
        refuse(&[1, 0, 0, 0, 0, 0, 0, 0], ManifestError::FirstNotReserved);
    }

    #[test]
    fn the_first_entry_is_reserved_and_nameless() {
        refuse(&changed(&[(at(0, 0), b"x")]), ManifestError::FirstNotReserved);
        refuse(&changed(&[(at(0, TYPE), &NET.to_le_bytes())]), ManifestError::FirstNotReserved);
    }

    #[test]
    fn names_are_letters_and_digits_with_an_end() {
        refuse(&changed(&[(at(1, 0), &[b'n'; NAME_SIZE])]), ManifestError::UnterminatedName(1));
        refuse(&changed(&[(at(1, 0), &[0; NAME_SIZE])]), ManifestError::InvalidName(1));
        for character in [b'=', b':', b' ', b'-', b'\n', 0x80, 0xff] {
            refuse(&changed(&[(at(1, 0), &[character])]), ManifestError::InvalidName(1));
        }
        refuse(&sample::manifest(&["same", "other", "same"]), ManifestError::DuplicateName(3));
    }

    #[test]
    fn types_are_known_and_nothing_is_attached_yet() {
        for unknown in [0, 3, device_type::RESERVED_FIRST - 1] {
            refuse(
                &changed(&[(at(1, TYPE), &unknown.to_le_bytes())]),
                ManifestError::UnknownType(1, unknown),
            );
        }
        refuse(&changed(&[(at(1, ATTACHED), &[1])]), ManifestError::Attached(1));
        refuse(&changed(&[(at(1, ATTACHED), &[0x80])]), ManifestError::Attached(1));
    }

    #[test]
    fn a_guest_on_hvt_is_shown_no_descriptor() {
        let mut manifest = Manifest::parse(&changed(&[])).expect("the sample is valid");
        manifest.devices[0].attachment =
            Some(Attachment::Net { fd: 0x1234, mac: [2, 0, 0, 0, 0, 1], mtu: 1500 });
        let (spt, hvt) = (manifest.to_bytes(true), manifest.to_bytes(false));
        let host = at(1, std::mem::offset_of!(Entry, host));
        assert_eq!(
            (spt[host..host + 4].to_vec(), hvt[host..host + 4].to_vec()),
            (vec![0x34, 0x12, 0, 0], vec![0; 4])
        );
        assert_eq!(hvt[at(1, ATTACHED)], 1);
    }
}
