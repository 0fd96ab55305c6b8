//! What is asked of the firmware: memory, files, the memory map, the end of boot services.
//!
//! Source: UEFI specification 2.10, chapters 4, 7 and 13; layouts and numbers by the crate `r-efi`.

use core::{ffi::c_void, ptr, slice};
use loader::memory::{ACPI, Map, NVS, RAM, RESERVED, UNUSABLE};
use r_efi::{
    base::{Guid, Handle, Status},
    protocols::{file, loaded_image, simple_file_system},
    system::{self, BootServices, MemoryDescriptor, MemoryType, SystemTable},
};

/// Bytes of a page.
pub const PAGE: usize = 4096;
/// Last address that 32-bit mode reaches.
const LAST_ADDRESS: u64 = u32::MAX as u64;
/// Pages for the firmware's own memory map: some 1300 ranges. Machines have 50 to 200.
const MEMORY_MAP_PAGES: usize = 16;

/// The firmware, as long as its boot services last.
#[derive(Clone, Copy)]
pub struct Firmware {
    program: Handle,
    table: *mut SystemTable,
}

/// A file that was opened and not closed: nothing is left of it when boot services end.
pub struct File(*mut file::Protocol);

impl Firmware {
    /// The firmware that started `program` with this table.
    ///
    /// # Safety
    ///
    /// Both must be what the firmware passed to the program, which has not ended boot services.
    pub unsafe fn new(program: Handle, table: *mut SystemTable) -> Self {
        Self { program, table }
    }

    fn services(&self) -> &BootServices {
        // SAFETY: `new` was given a table whose boot services are there, and `end` takes this away.
        unsafe { &*(*self.table).boot_services }
    }

    /// Pages below 4 GiB, of this type in the memory map, filled with zeroes.
    pub fn allocate(&self, pages: usize, kind: MemoryType) -> Option<&'static mut [u8]> {
        let mut address = LAST_ADDRESS;
        // SAFETY: boot services last, and the address is ours to be written to.
        let status = unsafe {
            (self.services().allocate_pages)(system::ALLOCATE_MAX_ADDRESS, kind, pages, &mut address)
        };
        if status.is_error() {
            return None;
        }
        let memory = address as *mut u8;
        // SAFETY: the firmware gave us these pages, mapped one to one, and nobody else has them.
        unsafe {
            memory.write_bytes(0, pages * PAGE);
            Some(slice::from_raw_parts_mut(memory, pages * PAGE))
        }
    }

    /// The root folder of the partition that this program was started from.
    pub fn own_partition(&self) -> Option<File> {
        let program: *mut loaded_image::Protocol =
            self.protocol(self.program, loaded_image::PROTOCOL_GUID)?;
        // SAFETY: the firmware says that this is what it points to.
        let device = unsafe { (*program).device_handle };
        let files: *mut simple_file_system::Protocol =
            self.protocol(device, simple_file_system::PROTOCOL_GUID)?;
        let mut root = ptr::null_mut();
        // SAFETY: as above.
        let status = unsafe { ((*files).open_volume)(files, &mut root) };
        (!status.is_error()).then_some(File(root))
    }

    fn protocol<Protocol>(&self, handle: Handle, mut guid: Guid) -> Option<*mut Protocol> {
        let mut found: *mut c_void = ptr::null_mut();
        // SAFETY: boot services last, and the handle is the firmware's own.
        let status = unsafe { (self.services().handle_protocol)(handle, &mut guid, &mut found) };
        (!status.is_error() && !found.is_null()).then_some(found.cast())
    }

    /// Address of ACPI's root pointer, the newer one where there are both; 0 if there is none.
    pub fn rsdp(&self) -> u64 {
        // SAFETY: the table says where its entries are and how many.
        let tables = unsafe {
            slice::from_raw_parts((*self.table).configuration_table, (*self.table).number_of_table_entries)
        };
        let find = |guid: Guid| {
            let table = tables.iter().find(|table| table.vendor_guid.as_bytes() == guid.as_bytes());
            table.map(|table| table.vendor_table as u64)
        };
        find(system::ACPI_20_TABLE_GUID).or_else(|| find(system::ACPI_10_TABLE_GUID)).unwrap_or(0)
    }

    /// Ends boot services once `is_enough` finds the memory map to be; the map is the one that holds from then on.
    pub fn end(self, map: &mut Map<'_>, is_enough: impl Fn(&Map<'_>) -> bool) -> Result<(), &'static str> {
        let room =
            self.allocate(MEMORY_MAP_PAGES, system::LOADER_DATA).ok_or("not enough memory for the map")?;
        // Ending may change the map a last time, and then fails: once more, as the specification asks.
        for _ in 0..4 {
            let (mut bytes, mut key, mut descriptor_bytes, mut version) = (room.len(), 0, 0, 0);
            let descriptors = room.as_mut_ptr().cast();
            // SAFETY: boot services last, and there is as much room as `bytes` says.
            let status = unsafe {
                (self.services().get_memory_map)(
                    &mut bytes,
                    descriptors,
                    &mut key,
                    &mut descriptor_bytes,
                    &mut version,
                )
            };
            if status.is_error() || descriptor_bytes < size_of::<MemoryDescriptor>() {
                return Err("the firmware does not tell its memory map");
            }
            map.clear();
            for descriptor in room[..bytes].chunks_exact(descriptor_bytes) {
                // SAFETY: the firmware filled it in; it may lie at any address.
                let descriptor: MemoryDescriptor =
                    unsafe { descriptor.as_ptr().cast::<MemoryDescriptor>().read_unaligned() };
                map.add(
                    descriptor.physical_start,
                    descriptor.number_of_pages * PAGE as u64,
                    kind(descriptor.r#type),
                );
            }
            if !is_enough(map) {
                return Err("not enough memory where the image has to be");
            }
            // SAFETY: boot services last, and nothing of them is used once this succeeds.
            if unsafe { (self.services().exit_boot_services)(self.program, key) } == Status::SUCCESS {
                return Ok(());
            }
        }
        Err("the firmware does not end its boot services")
    }
}

/// What becomes of memory of this type when boot services have ended.
fn kind(kind: MemoryType) -> u32 {
    match kind {
        system::LOADER_CODE
        | system::LOADER_DATA
        | system::BOOT_SERVICES_CODE
        | system::BOOT_SERVICES_DATA
        | system::CONVENTIONAL_MEMORY => RAM,
        system::ACPI_RECLAIM_MEMORY => ACPI,
        system::ACPI_MEMORY_NVS => NVS,
        system::UNUSABLE_MEMORY => UNUSABLE,
        _ => RESERVED,
    }
}

impl File {
    /// Opens a file below this folder; `path` is ASCII, with `\` between its parts.
    pub fn open(&self, path: &str) -> Option<Self> {
        let mut letters = [0; 64];
        for (letter, byte) in letters.iter_mut().zip(path.as_bytes()) {
            *letter = u16::from(*byte);
        }
        let mut opened = ptr::null_mut();
        // SAFETY: the firmware opened this folder, and the path ends with a zero: paths here are short.
        let status =
            unsafe { ((*self.0).open)(self.0, &mut opened, letters.as_mut_ptr(), file::MODE_READ, 0) };
        (!status.is_error()).then_some(Self(opened))
    }

    /// How many bytes it has.
    pub fn length(&self) -> Option<usize> {
        let mut length = 0;
        // SAFETY: the firmware opened it. The position of all ones is the end.
        let failed = unsafe {
            ((*self.0).set_position)(self.0, u64::MAX).is_error()
                || ((*self.0).get_position)(self.0, &mut length).is_error()
                || ((*self.0).set_position)(self.0, 0).is_error()
        };
        if failed { None } else { usize::try_from(length).ok() }
    }

    /// Reads its beginning, as much as there is room for; how many bytes that was.
    pub fn read(&self, room: &mut [u8]) -> Option<usize> {
        let mut bytes = room.len();
        // SAFETY: the firmware opened it, and writes no more than `bytes`.
        let status = unsafe { ((*self.0).read)(self.0, &mut bytes, room.as_mut_ptr().cast()) };
        (!status.is_error()).then_some(bytes)
    }
}
