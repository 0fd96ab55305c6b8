//! The subject information: what the kernel's integrator has given this subject, by name.
//!
//! Source: Muen's `musinfo.h` of layout version 5, which Linux on Muen and Solo5 use too. All fields are little-endian and
//! packed; a resource has 128 bytes:
//!
//! ```text
//! 0 magic │ 8 kHz of the time stamp counter │ 12 name │ 78 count │ 80 resources ...
//! resource: 0 kind │ 4 name │ 72 data        memory: 72 kind │ 74 flags │ 80 address │ 88 bytes
//! name: 0 length │ 1 bytes, at most 63                event: 72 number
//! ```

use super::{
    limits::{NAME_MAX, RESOURCES_MAX},
    region::{Region, WritableRegion},
};
use std::{fmt, ptr::NonNull};

/// Where Muen maps the subject information. Source: Solo5 `bindings/muen/muen-sinfo.c`.
pub const ADDRESS: u64 = 0xe_0000_0000;
/// Where Muen maps start and end of the present minor frame: behind it.
pub const SCHEDULE_ADDRESS: u64 = 0xe_0000_8000;

/// "muinfo", and the layout's version in the upper two bytes.
const MAGIC: u64 = 0x0500_6f66_6e69_756d;
/// Without its version.
const MAGIC_NAME: u64 = 0x0000_6f66_6e69_756d;

const TSC_KHZ: usize = 8;
const NAME: usize = 12;
const COUNT: usize = 78;
const RESOURCES: usize = 80;
const RESOURCE: usize = 128;
const KIND_MEMORY: u32 = 1;
const KIND_EVENT: u32 = 2;
const RESOURCE_NAME: usize = 4;
const RESOURCE_DATA: usize = 72;
const FLAG_WRITABLE: u8 = 1;

/// Bytes of the whole structure.
pub const LENGTH: usize = RESOURCES + RESOURCES_MAX * RESOURCE;

const _: () = assert!(LENGTH == 32_720 && LENGTH as u64 <= SCHEDULE_ADDRESS - ADDRESS);

/// Why what lies there is no subject information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotASubject {
    /// It does not begin as one: this is not Muen.
    Magic(u64),
    /// It is of another version of the layout: image and kernel are not made for each other.
    Version(u64),
    /// There is less memory than a subject information has.
    Short(usize),
}

impl fmt::Display for NotASubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic(word) => write!(f, "no subject information of Muen's: it begins with {word:#018x}"),
            Self::Version(version) => write!(
                f,
                "subject information of version {version}, this image knows 5: build it with the Muen that runs it"
            ),
            Self::Short(length) => write!(f, "a subject information has {LENGTH} bytes, here are {length}"),
        }
    }
}

/// What a region of memory is for, as far as we care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// Plain memory.
    Subject,
    /// A channel to or from another subject.
    Channel,
    /// Something else, by its number.
    Other(u8),
}

/// A region of memory that the subject was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What it is for.
    pub kind: MemoryKind,
    /// Whether the subject may write to it.
    pub writable: bool,
    address: u64,
    length: u64,
}

impl Memory {
    /// It, for reading; `None` if its place or size cannot be.
    pub fn region(&self) -> Option<Region> {
        let end = self.address.checked_add(self.length)?;
        let address = usize::try_from(self.address).ok()?;
        let length = usize::try_from(self.length).ok().filter(|length| *length <= isize::MAX as usize)?;
        let base =
            NonNull::new(std::ptr::with_exposed_provenance_mut(address)).filter(|_| end > self.address)?;
        // SAFETY: the subject information says that memory is there, and [`Subject::new`] was promised that it tells the truth.
        unsafe { Region::new(base, length) }
    }

    /// It, for writing; `None` if it may only be read, or cannot be.
    pub fn writable_region(&self) -> Option<WritableRegion> {
        // SAFETY: as for reading, and it is writable.
        self.region().filter(|_| self.writable).map(|region| unsafe { WritableRegion::new(region) })
    }
}

/// This subject.
#[derive(Debug)]
pub struct Subject {
    information: Region,
}

impl Subject {
    /// Takes over a subject information.
    ///
    /// # Safety
    /// It must tell the truth: where it says that memory is, for reading or for writing, there must be memory for ever, and
    /// nothing that Rust knows of.
    pub unsafe fn new(information: Region) -> Result<Self, NotASubject> {
        if information.length() < LENGTH {
            return Err(NotASubject::Short(information.length()));
        }
        match information.load(0) {
            MAGIC => Ok(Self { information }),
            other if other & 0x00ff_ffff_ffff_ffff == MAGIC_NAME => Err(NotASubject::Version(other >> 56)),
            other => Err(NotASubject::Magic(other)),
        }
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.name_at(NAME)
    }

    /// Rate of the time stamp counter.
    pub fn tsc_khz(&self) -> u32 {
        u32::from_le_bytes(self.bytes(TSC_KHZ))
    }

    /// The region of memory called `name`.
    pub fn memory(&self, name: &str) -> Option<Memory> {
        let data = self.find(KIND_MEMORY, name)? + RESOURCE_DATA;
        let [kind, _content, flags] = self.bytes(data);
        Some(Memory {
            kind: match kind {
                0 => MemoryKind::Subject,
                5 => MemoryKind::Channel,
                other => MemoryKind::Other(other),
            },
            writable: flags & FLAG_WRITABLE != 0,
            address: u64::from_le_bytes(self.bytes(data + 8)),
            length: u64::from_le_bytes(self.bytes(data + 16)),
        })
    }

    /// The number by which the event called `name` is triggered.
    pub fn event(&self, name: &str) -> Option<u8> {
        let [number] = self.bytes(self.find(KIND_EVENT, name)? + RESOURCE_DATA);
        Some(number)
    }

    /// Names of all that the subject was given, for a message.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.resources().map(|resource| self.name_at(resource + RESOURCE_NAME))
    }

    fn find(&self, kind: u32, name: &str) -> Option<usize> {
        self.resources().find(|resource| {
            u32::from_le_bytes(self.bytes(*resource)) == kind
                && self.name_at(resource + RESOURCE_NAME) == name
        })
    }

    /// Offsets of resources, up to the first that is none.
    fn resources(&self) -> impl Iterator<Item = usize> {
        let count = usize::from(u16::from_le_bytes(self.bytes(COUNT))).min(RESOURCES_MAX);
        let offsets = (0..count).map(|index| RESOURCES + index * RESOURCE);
        offsets.take_while(|resource| self.bytes(*resource) != [0; 4])
    }

    fn name_at(&self, offset: usize) -> String {
        let [length] = self.bytes(offset);
        let bytes: [u8; NAME_MAX] = self.bytes(offset + 1);
        String::from_utf8_lossy(&bytes[..usize::from(length).min(NAME_MAX)]).into_owned()
    }

    fn bytes<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        self.information.read(offset, &mut bytes);
        bytes
    }
}
