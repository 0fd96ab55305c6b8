//! Bytes of what boots, and lines of the trusted base.
//!
//! The method, the same for both. The line tables of what is linked say which source files it came from: for ours those of
//! the image, for Linux those of Debian's debug packages for the kernel and for libc.so.6. Two numbers follow. *Lines with
//! code*: the distinct pairs of file and line that instructions carry. *Lines of its files*: of every such file, the lines
//! that are neither blank nor comment, so with what the preprocessor or `cfg` left out, and with unit tests. Sources are
//! Debian's packages of kernel and C library, and this workspace, cargo's registry and, for the standard library, Debian's
//! copy of it, which is of another version than the compiler: close enough for a count.
//! Modules count by their main source file, without lines with code. Not counted on either side: QEMU; on Linux's besides
//! busybox, the modules' headers, and NSD with all of its libraries but libc, of which Debian's mirrors have no debug packages
//! and not every one the sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::System;
use super::debian::{Debian, cache, depends_on, download, only_file, unpack};
use super::initramfs::MODULES;
use super::lines::{Lines, of_file, of_program};
use super::system::Guest;
use crate::Failure;
use crate::bench::Bench;
use crate::bench::table::{self, Bound};
use crate::bench::zones::ZoneSet;
use crate::cargo::{check, workspace};

/// Sizes first: they need nothing more than what boots.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let zones = ZoneSet::generate(&bench.lab.directory, 1000)?;
    let skerry = Guest::build(bench, System::Skerry, &zones)?;
    let linux = Guest::build(bench, System::Linux, &zones)?;
    let debian = Debian::fetch()?;
    let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let root = linux.initramfs.map_or(0, |initramfs| size(&initramfs.packed));
    println!("  {}", debian.versions);
    println!(
        "  bytes that boot: {} {}; {} {} (bzImage {}, initramfs {root})",
        System::Skerry.name(),
        size(&skerry.kernel),
        System::Linux.name(),
        size(&debian.bzimage) + root,
        size(&debian.bzimage)
    );
    let ours = our_lines(&skerry.kernel)?;
    let theirs = [("kernel", kernel_lines(&debian)?), ("libc", libc_lines(&debian)?)];
    let mut rows = vec![ours.row("skerry: crates, std, core, alloc")];
    let mut total = Lines::default();
    for (name, lines) in theirs {
        rows.push(lines.row(&format!("linux: {name}")));
        total += lines;
    }
    rows.push(total.row("linux: together"));
    table::print(&Lines::HEADER, &rows);
    let ratio = |mine: usize, theirs: usize| mine as f64 / theirs as f64;
    let promises = &mut bench.promises;
    promises.note(
        "trusted base, lines of its files, over the Linux VM's",
        ratio(ours.source, total.source),
        Bound::AtMost(0.01),
    );
    promises.note(
        "trusted base, lines with code, over the Linux VM's",
        ratio(ours.code, total.code),
        Bound::AtMost(0.01),
    );
    Ok(())
}

/// The image's, from the linked file that is kept beside it.
fn our_lines(image: &Path) -> Result<Lines, Failure> {
    let debug = PathBuf::from(format!("{}.debug", image.display()));
    let std = cache().join("rust");
    if !std.exists() {
        fetch_into(&std, "rust-web-src", unpack)?;
    }
    let library = only_file(&std.join("usr/src"), "rustc-")?.join("library");
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
    let cargo = cargo.or_else(home).ok_or("neither CARGO_HOME nor HOME is set")?;
    of_program(&debug, |path| {
        let standard =
            || path.strip_prefix("/rustc/")?.split_once("/library/").map(|(_, rest)| library.join(rest));
        let vendored = || Some(library.join("vendor").join(path.strip_prefix("/rust/deps/")?));
        let crates = || Some(cargo.join(path.strip_prefix("/cargo/")?));
        let own = || Some(workspace().join(path.strip_prefix("/skerry/").unwrap_or(path)));
        standard().or_else(vendored).or_else(crates).or_else(own)
    })
}

fn kernel_lines(debian: &Debian) -> Result<Lines, Failure> {
    let source = cache().join("linux-source");
    if !source.exists() {
        fetch_into(&source, &depends_on("linux-source")?, |package, root| {
            unpack(package, root)?;
            let archive = only_file(&root.join("usr/src"), "linux-source-")?;
            check(
                Command::new("tar").arg("-xJf").arg(&archive).args(["--strip-components=1", "-C"]).arg(root),
            )
        })?;
    }
    let debug = cache().join("linux-debug");
    let version = debian.modules.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    if !debug.exists() {
        fetch_into(&debug, &format!("linux-image-{version}-dbg"), unpack)?;
    }
    let vmlinux = debug.join("usr/lib/debug/boot").join(format!("vmlinux-{version}"));
    let mut lines = of_program(&vmlinux, |path| {
        // As the compiler was called: below its build directory, which lies three below the sources.
        let path = path.rsplit_once("amd64_none_cloud-amd64/").map_or(path, |(_, rest)| rest);
        let path = path
            .rsplit_once("/linux-")
            .and_then(|(_, rest)| rest.split_once('/'))
            .map_or(path, |(_, rest)| rest);
        Some(source.join(path.trim_start_matches("../")))
    })?;
    for module in MODULES {
        // One module has another name than its source.
        let file =
            if module.ends_with("virtio_pci") { format!("{module}_common.c") } else { format!("{module}.c") };
        lines += of_file(&source.join(file))?;
    }
    Ok(lines)
}

fn libc_lines(debian: &Debian) -> Result<Lines, Failure> {
    let source = cache().join("glibc");
    if !source.exists() {
        fetch_into(&source, "glibc-source", |package, root| {
            unpack(package, root)?;
            let archive = only_file(&root.join("usr/src/glibc"), "glibc-")?;
            check(
                Command::new("tar").arg("-xJf").arg(&archive).args(["--strip-components=1", "-C"]).arg(root),
            )
        })?;
    }
    let debug = cache().join("libc-debug");
    if !debug.exists() {
        fetch_into(&debug, "libc6-dbg", unpack)?;
    }
    let library = debian.root.join("lib/x86_64-linux-gnu/libc.so.6");
    let digits = build_id(&library)?;
    let file = format!("usr/lib/debug/.build-id/{}/{}.debug", &digits[..2], &digits[2..]);
    of_program(&debug.join(file), |path| Some(source.join(path.trim_start_matches("./"))))
}

/// Fetches `package` and gives it to `unpack` with a directory that becomes `directory` once all is in it.
fn fetch_into(
    directory: &Path,
    package: &str,
    unpack: impl Fn(&Path, &Path) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let partial = directory.with_extension("unpacking");
    let _ = fs::remove_dir_all(&partial);
    let packages = directory.with_extension("package");
    for file in download(&packages, &[package])? {
        unpack(&file, &partial)?;
    }
    // Large, and of no further use.
    let _ = fs::remove_dir_all(&packages);
    fs::rename(&partial, directory).map_err(|error| format!("{}: {error}", directory.display()))
}

/// The GNU build identifier of a library, in hexadecimal digits.
fn build_id(path: &Path) -> Result<String, Failure> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    // Lengths of name and description, type, name (elf(5), NT_GNU_BUILD_ID).
    const NOTE: &[u8] = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
    let at = bytes.windows(NOTE.len()).position(|window| window == NOTE).map(|at| at + NOTE.len());
    let id = at
        .and_then(|at| bytes.get(at..at + 20))
        .ok_or_else(|| format!("{} has no build id", path.display()))?;
    Ok(id.iter().map(|byte| format!("{byte:02x}")).collect())
}
