//! `cargo xtask sizes`: how large everything is that we promise to keep small.

use crate::{Failure, cargo, image};
use elf::{ElfBytes, abi, endian::LittleEndian};
use std::{fs, path::Path, process::ExitCode};

/// Prints the bytes of every image, for all of its targets or only `selected`, and the lines of every crate.
pub fn run(selected: Option<&str>) -> Result<ExitCode, Failure> {
    println!(
        "{:<12} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10}",
        "image", "file", "text", "rodata", "data", "memory", "allowed"
    );
    for name in image::names() {
        let description = image::Description::load(&name)?;
        for target in description.targets.iter().filter(|target| selected.is_none_or(|name| name == *target))
        {
            let path = image::build(&description, target, &image::Options::default())?;
            print_image(&format!("{name}.{target}"), &path, description.size_max_bytes)?;
        }
    }
    println!("\n{:<24} {:>7} {:>7}", "crate", "files", "lines");
    for directory in crate::tidy::members()? {
        let files = crate::tidy::rust_files(&cargo::workspace().join(&directory));
        let lines: usize = files
            .iter()
            .filter_map(|file| fs::read_to_string(file).ok())
            .map(|text| text.lines().count())
            .sum();
        println!("{directory:<24} {:>7} {lines:>7}", files.len());
    }
    Ok(ExitCode::SUCCESS)
}

fn print_image(name: &str, path: &Path, allowed: usize) -> Result<(), Failure> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file = ElfBytes::<LittleEndian>::minimal_parse(&bytes).map_err(|error| error.to_string())?;
    let segments = file.segments().ok_or("no program headers")?;
    let loads = || segments.iter().filter(|segment| segment.p_type == abi::PT_LOAD);
    let bytes_with = |flags| {
        loads().filter(|segment| segment.p_flags == flags).map(|segment| segment.p_filesz).sum::<u64>()
    };
    let memory: u64 = loads().map(|segment| segment.p_memsz).sum();
    println!(
        "{name:<12} {:>9} {:>9} {:>9} {:>9} {memory:>9} {allowed:>10}",
        bytes.len(),
        bytes_with(abi::PF_R | abi::PF_X),
        bytes_with(abi::PF_R),
        bytes_with(abi::PF_R | abi::PF_W),
    );
    Ok(())
}
