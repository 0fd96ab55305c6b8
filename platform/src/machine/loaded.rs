//! What the loader left for the image: command line, memory, ACPI's root pointer. PVH and multiboot say it differently.
//!
//! Every address and count in there is the host's: nothing is read that [`Physical`] does not allow, every list has a limit.
//!
//! Source: Xen `public/arch-x86/hvm/start_info.h`; Multiboot Specification 0.6.96 §3.3.

use super::memory_map::{self, Entry};
use crate::limits::{COMMAND_LINE_MAX, MEMORY_MAP_ENTRIES_MAX};
use std::ops::Range;

/// Memory as the loader and the firmware see it.
pub trait Physical {
    /// The `length` bytes at `address`; `None` where nothing may be read.
    fn bytes(&self, address: u64, length: u64) -> Option<&[u8]>;
}

/// What an image needs to know.
#[derive(Debug, PartialEq, Eq)]
pub struct Loaded<'a> {
    /// Arguments separated by spaces.
    pub command_line: &'a [u8],
    /// Memory behind the image that is its own.
    pub memory: Range<u64>,
    /// Memory in front of it, which is the image's own once nothing of all this is read any more; empty if there is none.
    pub low_memory: Range<u64>,
    /// Address of ACPI's root pointer, if the loader knows it.
    pub acpi_root: Option<u64>,
}

/// Why the image does not boot: the loader's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// There is no start info where PVH has it.
    NoStartInfo,
    /// There is no memory map. Xen before 4.12 has none in the start info.
    NoMemoryMap,
    /// The map has no memory where the image lies, or none behind it.
    NoMemory,
    /// The command line has no end.
    CommandLineTooLong,
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoStartInfo => f.write_str("the loader passed no PVH start info"),
            Self::NoMemoryMap => f.write_str("the loader passed no memory map"),
            Self::NoMemory => {
                f.write_str("the loader's memory map has no room for the image: give it more memory")
            }
            Self::CommandLineTooLong => write!(
                f,
                "the command line has more than {COMMAND_LINE_MAX} bytes; put arguments into a configuration document"
            ),
        }
    }
}

/// First word of PVH's start info.
const START_INFO_MAGIC: u32 = 0x336e_c578;

/// Bytes of the start info: of the first version, and with the memory map.
const START_INFO: u64 = 40;
const START_INFO_WITH_MAP: u64 = 56;

/// Bytes of an entry in PVH's memory map.
const PVH_ENTRY: usize = 24;

/// Reads PVH's start info at `address`, for an image that occupies `image`.
pub fn pvh<'a>(
    physical: &'a impl Physical,
    address: u64,
    image: &Range<u64>,
) -> Result<Loaded<'a>, LoadError> {
    let info = start_info(physical, address)?;
    let command_line = command_line(physical, long(info, 24))?;
    let acpi_root = Some(long(info, 32)).filter(|&address| address != 0);
    if word(info, 4) == 0 {
        return Err(LoadError::NoMemoryMap);
    }
    let info = physical.bytes(address, START_INFO_WITH_MAP).ok_or(LoadError::NoMemoryMap)?;
    let count = word(info, 48).min(MEMORY_MAP_ENTRIES_MAX as u32) as usize;
    let map = physical.bytes(long(info, 40), (count * PVH_ENTRY) as u64).ok_or(LoadError::NoMemoryMap)?;
    let entries = map.chunks_exact(PVH_ENTRY).map(|entry| Entry {
        address: long(entry, 0),
        length: long(entry, 8),
        kind: word(entry, 16),
    });
    let memory = memory_map::around(image, entries.clone()).ok_or(LoadError::NoMemory)?;
    Ok(Loaded { command_line, memory, low_memory: memory_map::low(entries), acpi_root })
}

/// The command line of PVH's start info at `address`, which is all that a domain of Xen's takes from there.
#[cfg(skerry_target = "xen")]
pub fn pvh_command_line(physical: &impl Physical, address: u64) -> Result<&[u8], LoadError> {
    command_line(physical, long(start_info(physical, address)?, 24))
}

fn start_info(physical: &impl Physical, address: u64) -> Result<&[u8], LoadError> {
    let info = physical.bytes(address, START_INFO).ok_or(LoadError::NoStartInfo)?;
    if word(info, 0) == START_INFO_MAGIC { Ok(info) } else { Err(LoadError::NoStartInfo) }
}

/// Bytes of multiboot's information that we look at, and the flags that say what is there.
const MULTIBOOT_INFORMATION: u64 = 68;
const HAS_COMMAND_LINE: u32 = 1 << 2;
const HAS_MAP: u32 = 1 << 6;
const HAS_LOADER_NAME: u32 = 1 << 9;

/// Bytes of an entry in multiboot's memory map, without the word in front that says so.
const MULTIBOOT_ENTRY: usize = 20;

/// Reads multiboot's information at `address`, for an image that occupies `image`.
pub fn multiboot<'a>(
    physical: &'a impl Physical,
    address: u64,
    image: &Range<u64>,
) -> Result<Loaded<'a>, LoadError> {
    let info = physical.bytes(address, MULTIBOOT_INFORMATION).ok_or(LoadError::NoMemoryMap)?;
    let flags = word(info, 0);
    let mut line: &[u8] = &[];
    if flags & HAS_COMMAND_LINE != 0 {
        line = command_line(physical, u64::from(word(info, 16)))?;
        if flags & HAS_LOADER_NAME == 0 || !is_grub_2(physical, u64::from(word(info, 64))) {
            line = without_first_word(line);
        }
    }
    if flags & HAS_MAP == 0 {
        return Err(LoadError::NoMemoryMap);
    }
    let length = word(info, 44).min((MEMORY_MAP_ENTRIES_MAX * (MULTIBOOT_ENTRY + 4)) as u32);
    let map = physical.bytes(u64::from(word(info, 48)), u64::from(length)).ok_or(LoadError::NoMemoryMap)?;
    let map = MultibootMap(map);
    let memory = memory_map::around(image, map.clone()).ok_or(LoadError::NoMemory)?;
    Ok(Loaded { command_line: line, memory, low_memory: memory_map::low(map), acpi_root: None })
}

/// Entries of multiboot's map, each behind its own length.
#[derive(Clone)]
struct MultibootMap<'a>(&'a [u8]);

impl Iterator for MultibootMap<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let length = word(self.0.get(..4)?, 0) as usize;
        let entry = self.0.get(4..4 + MULTIBOOT_ENTRY)?;
        self.0 = self.0.get(4 + length.max(MULTIBOOT_ENTRY)..).unwrap_or_default();
        Some(Entry { address: long(entry, 0), length: long(entry, 8), kind: word(entry, 16) })
    }
}

/// GRUB 2 passes the arguments alone; everybody else puts the file's name in front.
fn is_grub_2(physical: &impl Physical, loader_name: u64) -> bool {
    physical.bytes(loader_name, 6).is_some_and(|name| name == b"GRUB 2")
}

fn without_first_word(line: &[u8]) -> &[u8] {
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    &line[end..]
}

/// The C string at `address`; none at 0.
fn command_line(physical: &impl Physical, address: u64) -> Result<&[u8], LoadError> {
    if address == 0 {
        return Ok(&[]);
    }
    // A line near the end of memory need not have room for the longest one behind it.
    let room = physical
        .bytes(address, COMMAND_LINE_MAX as u64 + 1)
        .or_else(|| physical.bytes(address, 4096 - address % 4096))
        .ok_or(LoadError::CommandLineTooLong)?;
    let end = room.iter().position(|&byte| byte == 0).ok_or(LoadError::CommandLineTooLong)?;
    Ok(&room[..end])
}

fn word(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("it is four bytes"))
}

fn long(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("it is eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: Range<u64> = 0x10_0000..0x20_0000;
    const INFO: u64 = 0x6000;
    const MAP: u64 = 0x7000;
    const LINE: u64 = 0x8000;
    const NAME: u64 = 0x9000;

    /// 64 KiB from address 0, of which the first page is not readable.
    struct Memory(Vec<u8>);

    impl Memory {
        fn new(parts: &[(u64, &[u8])]) -> Self {
            let mut bytes = vec![0; 0x1_0000];
            for (address, part) in parts {
                bytes[*address as usize..][..part.len()].copy_from_slice(part);
            }
            Self(bytes)
        }
    }

    impl Physical for Memory {
        fn bytes(&self, address: u64, length: u64) -> Option<&[u8]> {
            let end = address.checked_add(length)?;
            if address < 0x1000 { None } else { self.0.get(address as usize..end as usize) }
        }
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn start_info(version: u32, line: u64, map: u64, entries: u32) -> Vec<u8> {
        let (line, map) = (line as u32, map as u32);
        words(&[START_INFO_MAGIC, version, 0, 0, 0, 0, line, 0, 0xe_0000, 0, map, 0, entries, 0])
    }

    /// Low memory, and 15 MiB from 1 MiB on.
    fn pvh_map() -> Vec<u8> {
        words(&[0, 0, 0x9_fc00, 0, 1, 0, 0x10_0000, 0, 0xf0_0000, 0, 1, 0])
    }

    #[track_caller]
    fn check_pvh(info: &[u8], map: &[u8], line: &[u8], expect: Result<&[u8], LoadError>) {
        let memory = Memory::new(&[(INFO, info), (MAP, map), (LINE, line)]);
        let expect = expect.map(|command_line| Loaded {
            command_line,
            memory: 0x20_0000..0x100_0000,
            low_memory: 0x1000..0x9_f000,
            acpi_root: Some(0xe_0000),
        });
        assert_eq!(pvh(&memory, INFO, &IMAGE), expect);
    }

    #[test]
    fn pvh_start_info_is_read() {
        check_pvh(&start_info(1, LINE, MAP, 2), &pvh_map(), b"--a --b=c\0", Ok(b"--a --b=c"));
        check_pvh(&start_info(1, 0, MAP, 2), &pvh_map(), b"", Ok(b""));
    }

    #[test]
    fn hostile_start_info_is_refused() {
        let endless = [b'x'; COMMAND_LINE_MAX + 1];
        check_pvh(&[0; 56], &pvh_map(), b"", Err(LoadError::NoStartInfo));
        check_pvh(&start_info(0, 0, 0, 0), &pvh_map(), b"", Err(LoadError::NoMemoryMap));
        check_pvh(&start_info(1, 0, 0x10, 2), &pvh_map(), b"", Err(LoadError::NoMemoryMap));
        check_pvh(&start_info(1, 0, MAP, 1), &pvh_map(), b"", Err(LoadError::NoMemory));
        check_pvh(&start_info(1, LINE, MAP, 2), &pvh_map(), &endless, Err(LoadError::CommandLineTooLong));
        check_pvh(
            &start_info(1, u64::from(u32::MAX), MAP, 2),
            &pvh_map(),
            b"",
            Err(LoadError::CommandLineTooLong),
        );
        check_pvh(&start_info(1, 0, MAP, u32::MAX), &pvh_map(), b"", Ok(b""));
    }

    #[track_caller]
    fn check_multiboot(flags: u32, map: &[u8], name: &[u8], line: &[u8], expect: Result<&[u8], LoadError>) {
        let mut info = vec![flags, 0, 0, 0, LINE as u32, 0, 0, 0, 0, 0, 0, map.len() as u32, MAP as u32];
        info.extend([0, 0, 0, NAME as u32]);
        let memory = Memory::new(&[(INFO, &words(&info)), (MAP, map), (LINE, line), (NAME, name)]);
        let expect = expect.map(|command_line| Loaded {
            command_line,
            memory: 0x20_0000..0x100_0000,
            low_memory: 0x1000..0x9_f000,
            acpi_root: None,
        });
        assert_eq!(multiboot(&memory, INFO, &IMAGE), expect);
    }

    /// The same as [`pvh_map`], the first entry with a longer length than needed.
    fn multiboot_map() -> Vec<u8> {
        words(&[24, 0, 0, 0x9_fc00, 0, 1, 0, 20, 0x10_0000, 0, 0xf0_0000, 0, 1])
    }

    #[test]
    fn multiboot_information_is_read() {
        let all = HAS_COMMAND_LINE | HAS_MAP | HAS_LOADER_NAME;
        check_multiboot(all, &multiboot_map(), b"qemu\0", b"grid.virtio --a\0", Ok(b" --a"));
        check_multiboot(all, &multiboot_map(), b"GRUB 2.06\0", b"--a\0", Ok(b"--a"));
        check_multiboot(HAS_MAP, &multiboot_map(), b"", b"grid.virtio --a\0", Ok(b""));
    }

    #[test]
    fn hostile_multiboot_information_is_refused() {
        check_multiboot(HAS_COMMAND_LINE, &multiboot_map(), b"", b"x\0", Err(LoadError::NoMemoryMap));
        check_multiboot(HAS_MAP, &multiboot_map()[..40], b"", b"", Err(LoadError::NoMemory));
        check_multiboot(
            HAS_MAP,
            &words(&[u32::MAX, 0, 0, 0x9_fc00, 0, 1]),
            b"",
            b"",
            Err(LoadError::NoMemory),
        );
        check_multiboot(HAS_MAP, &[0; 64], b"", b"", Err(LoadError::NoMemory));
    }
}
