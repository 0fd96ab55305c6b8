//! What the image gets in ebx. Source: Xen `include/public/arch-x86/hvm/start_info.h`.

/// First word of a [`StartInfo`].
pub const MAGIC: u32 = 0x336e_c578;

/// Layout of `hvm_start_info`, version 1. Addresses are physical; 0 where there is nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StartInfo {
    /// [`MAGIC`].
    pub magic: u32,
    /// 1.
    pub version: u32,
    /// Zero.
    pub flags: u32,
    /// Number of modules: none.
    pub modules: u32,
    /// List of modules.
    pub module_list: u64,
    /// The command line, with its terminator.
    pub command_line: u64,
    /// ACPI's root pointer.
    pub rsdp: u64,
    /// An array of [`Range`](crate::memory::Range).
    pub memory_map: u64,
    /// How many there are.
    pub memory_map_entries: u32,
    /// Zero.
    pub reserved: u32,
}

impl StartInfo {
    /// The information for an image without modules.
    pub fn new(command_line: u64, rsdp: u64, memory_map: u64, memory_map_entries: u32) -> Self {
        Self {
            magic: MAGIC,
            version: 1,
            flags: 0,
            modules: 0,
            module_list: 0,
            command_line,
            rsdp,
            memory_map,
            memory_map_entries,
            reserved: 0,
        }
    }
}

const _: () = assert!(size_of::<StartInfo>() == 56);
const _: () = assert!(core::mem::offset_of!(StartInfo, memory_map) == 40);
