//! From the firmware's call to the image, or to a line that says why not.

use super::{
    console,
    firmware::{File, Firmware, PAGE},
    handover::{self, Orders},
};
use core::ops::Range as Addresses;
use loader::{
    elf::{Error, Image},
    memory::{Map, Range},
    start_info::StartInfo,
};
use r_efi::{
    base::{Handle, Status},
    system::{LOADER_CODE, LOADER_DATA, RESERVED_MEMORY_TYPE, SystemTable},
};

/// The image, on the partition that this program was started from.
const IMAGE: &str = "\\SKERRY\\IMAGE.ELF";
/// The command line beside it, which an operator may change or take away.
const ARGUMENTS: &str = "\\SKERRY\\ARGS.TXT";

/// Bytes in front of the orders: the stack of handover.s, which pushes nothing but a few words.
const STACK_BYTES: usize = 256;
/// Where the start information lies among what is handed over.
const START_INFO: usize = 1024;
/// Where the command line lies, and how long it may be with its terminator.
const COMMAND_LINE: usize = PAGE / 2;
const COMMAND_LINE_BYTES: usize = PAGE / 2;
/// Pages that are handed over: the above, then the memory map.
const HANDED_OVER_PAGES: usize = 5;
const MEMORY_MAP_ENTRIES: usize = (HANDED_OVER_PAGES - 1) * PAGE / size_of::<Range>();

/// What the firmware calls.
#[unsafe(no_mangle)]
extern "efiapi" fn efi_main(program: Handle, table: *mut SystemTable) -> Status {
    // SAFETY: the firmware passes both, with boot services and a console.
    let firmware = unsafe {
        console::set((*table).con_out);
        Firmware::new(program, table)
    };
    let Err(reason) = boot(firmware);
    console::say(reason);
    Status::LOAD_ERROR
}

fn boot(firmware: Firmware) -> Result<core::convert::Infallible, &'static str> {
    const NO_MEMORY: &str = "not enough memory to load the image";
    let partition = firmware.own_partition().ok_or("its own partition cannot be read")?;
    let file = read_image(firmware, &partition)?;
    let image = Image::parse(file).map_err(complaint)?;
    let page = firmware.allocate(1, LOADER_CODE).ok_or(NO_MEMORY)?;
    let handed_over = firmware.allocate(HANDED_OVER_PAGES, RESERVED_MEMORY_TYPE).ok_or(NO_MEMORY)?;
    let goes_to = image.range();
    if [addresses(file), addresses(page), addresses(handed_over)].iter().any(|used| overlap(used, &goes_to)) {
        return Err(NO_MEMORY);
    }
    let start = handed_over.as_ptr() as u64;
    let (orders_page, map_pages) = handed_over.split_at_mut(PAGE);
    if let Some(arguments) = partition.open(ARGUMENTS) {
        let room = &mut orders_page[COMMAND_LINE..][..COMMAND_LINE_BYTES - 1];
        arguments.read(room).ok_or("ARGS.TXT cannot be read")?;
    }
    let (orders_at, start_info_at) = (start + STACK_BYTES as u64, start + START_INFO as u64);
    let mut orders = Orders::new(image.entry(), start_info_at as u32);
    let file_at = file.as_ptr() as u32;
    if !image.segments().all(|segment| orders.add(file_at, &segment)) {
        return Err("IMAGE.ELF has more segments than this loader takes");
    }
    let rsdp = firmware.rsdp();
    // SAFETY: pages are aligned for it, zeroes are a valid range, and nobody else has a reference to these.
    let room = unsafe { core::slice::from_raw_parts_mut(map_pages.as_mut_ptr().cast(), MEMORY_MAP_ENTRIES) };
    let mut map = Map::new(room);
    firmware.end(&mut map, |map| map.is_ram(&goes_to))?;
    // SAFETY: boot services have ended, and the console with them.
    unsafe { console::set(core::ptr::null_mut()) };
    let map_at = start + PAGE as u64;
    let info = StartInfo::new(start + COMMAND_LINE as u64, rsdp, map_at, map.ranges().len() as u32);
    // SAFETY: both places are ours, large enough and aligned; what is at goes_to was checked to overlap nothing of this, and
    // is RAM that nobody uses any more. The image was checked, and is entered as PVH says.
    unsafe {
        (start_info_at as *mut StartInfo).write(info);
        (orders_at as *mut Orders).write(orders);
        handover::carry_out(page, &*(orders_at as *const Orders))
    }
}

fn read_image(firmware: Firmware, partition: &File) -> Result<&'static [u8], &'static str> {
    let file = partition.open(IMAGE).ok_or("there is no \\SKERRY\\IMAGE.ELF on this partition")?;
    let length = file.length().ok_or("IMAGE.ELF cannot be read")?;
    let memory = firmware
        .allocate(length.div_ceil(PAGE).max(1), LOADER_DATA)
        .ok_or("not enough memory to load IMAGE.ELF")?;
    if file.read(&mut memory[..length]) != Some(length) {
        return Err("IMAGE.ELF cannot be read");
    }
    Ok(&memory[..length])
}

fn complaint(error: Error) -> &'static str {
    match error {
        Error::NotElf => "IMAGE.ELF is no ELF file for x86_64",
        Error::Truncated => "IMAGE.ELF is not whole",
        Error::Address => "IMAGE.ELF wants to lie below 1 MiB or above 4 GiB",
        Error::Entry => "IMAGE.ELF has no PVH entry: it was not built for virtio",
    }
}

fn addresses(memory: &[u8]) -> Addresses<u64> {
    let start = memory.as_ptr() as u64;
    start..start + memory.len() as u64
}

fn overlap(one: &Addresses<u64>, other: &Addresses<u64>) -> bool {
    one.start < other.end && other.start < one.end
}
