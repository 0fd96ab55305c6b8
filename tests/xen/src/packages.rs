//! Fetches what the lab is made of: Xen, its tools, a kernel and a C library, all as Debian packages. Nothing is installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The hypervisor.
const HYPERVISOR: &str = "xen-hypervisor-4.17-amd64";

/// Programs and libraries of dom0. libgcc-s1 is opened at run time, which no program's header shows.
const TOOLS: [&str; 25] = [
    "xen-utils-4.17",
    "xen-utils-common",
    "xenstore-utils",
    "libxencall1",
    "libxenevtchn1",
    "libxenforeignmemory1",
    "libxengnttab1",
    "libxenmisc4.17",
    "libxenstore4",
    "libxentoollog1",
    "libxentoolcore1",
    "libxendevicemodel1",
    "libxenhypfs1",
    "libyajl2",
    "busybox-static",
    "util-linux",
    "bash",
    "libtinfo6",
    "libc6",
    "libgcc-s1",
    "libuuid1",
    "zlib1g",
    "liblzma5",
    "libzstd1",
    "libbz2-1.0",
];

/// The package that depends on the current kernel. The one for clouds does not do: it cannot be dom0.
const KERNEL: &str = "linux-image-amd64";

/// Modules of dom0's kernel, without the ending.
pub const MODULES: [&str; 12] = [
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
    "xen-privcmd",
    "xenfs",
    "xen-netback",
    "xen-blkback",
    "llc",
    "stp",
    "bridge",
    "loop",
    "e1000",
];

/// Programs that the lab cannot do without, and their packages.
const PROGRAMS: [(&str, &str); 5] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
    ("xz", "xz-utils"),
    ("gzip", "gzip"),
];

/// Programs that are missing on this machine, as packages to install. Empty if the lab can run.
pub fn missing(is_installed: impl Fn(&str) -> bool) -> Vec<&'static str> {
    PROGRAMS.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect()
}

/// What is left of the packages.
pub struct Files {
    /// Xen, as a multiboot file.
    pub xen: PathBuf,
    /// dom0's kernel, unpacked.
    pub kernel: PathBuf,
    /// Where the tools' packages are unpacked.
    pub tools: PathBuf,
    /// Where the modules lie, without directories.
    pub modules: PathBuf,
}

/// Fetches and unpacks into `directory` what is not there already.
pub fn prepare(directory: &Path) -> Result<Files, String> {
    let at = |name: &str| directory.join(name);
    let files =
        Files { xen: at("xen.elf"), kernel: at("vmlinux"), tools: at("tools"), modules: at("modules") };
    let done = at("complete");
    // A changed list makes what is there worthless.
    let wanted = format!("{HYPERVISOR} {KERNEL} {TOOLS:?} {MODULES:?}");
    if fs::read_to_string(&done).is_ok_and(|what| what == wanted) {
        return Ok(files);
    }
    let _ = fs::remove_dir_all(directory);
    for part in ["packages", "tools", "modules", "kernel", "xen"] {
        let part = at(part);
        fs::create_dir_all(&part).map_err(|error| format!("{}: {error}", part.display()))?;
    }
    fetch(&at("packages"))?;
    unpack(directory)?;
    fs::write(&done, wanted).map_err(|error| format!("{}: {error}", done.display()))?;
    Ok(files)
}

fn fetch(into: &Path) -> Result<(), String> {
    let kernel = output(Command::new("apt-cache").args(["depends", KERNEL]))?;
    let kernel = kernel
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .ok_or_else(|| format!("apt knows no {KERNEL}: sudo apt-get update"))?;
    let mut download = Command::new("apt-get");
    download.current_dir(into).args(["--quiet", "--quiet", "download", HYPERVISOR, kernel]).args(TOOLS);
    output(&mut download).map(drop).map_err(|error| format!("{error}\nsudo apt-get update may help"))
}

fn unpack(directory: &Path) -> Result<(), String> {
    let at = |name: &str| directory.join(name);
    for package in list(&at("packages"))? {
        let name = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("linux-image") {
            let wanted = MODULES.map(|module| format!("*/{module}.ko")).join(" ");
            // Of 400 MB only what is needed; modules lose their directories.
            let script = format!(
                "dpkg-deb --fsys-tarfile \"$1\" | tar -x -C \"$2\" --wildcards './boot/vmlinuz-*' {wanted} && \
                 find \"$2\" -name '*.ko' -exec mv {{}} \"$3\" ';'"
            );
            shell(&script, &[&package, &at("kernel"), &at("modules")])?;
        } else {
            let into = if name.starts_with("xen-hypervisor") { "xen" } else { "tools" };
            shell("dpkg-deb --extract \"$1\" \"$2\"", &[&package, &at(into)])?;
        }
        let _ = fs::remove_file(package);
    }
    shell("gzip -dc \"$1\"/boot/xen-4.17-amd64.gz > \"$2\"", &[&at("xen"), &at("xen.elf")])?;
    let image = list(&at("kernel/boot"))?.pop().ok_or("the kernel's package has no kernel")?;
    unpack_kernel(&image, &at("vmlinux"))
}

/// Takes the kernel proper out of what a PC boots: Xen would do it as well, at several seconds in emulation.
fn unpack_kernel(image: &Path, into: &Path) -> Result<(), String> {
    const XZ_MAGIC: &[u8] = b"\xfd7zXZ\0";
    let bytes = fs::read(image).map_err(|error| format!("{}: {error}", image.display()))?;
    let start = bytes
        .windows(XZ_MAGIC.len())
        .position(|window| window == XZ_MAGIC)
        .ok_or_else(|| format!("{} is not packed with xz", image.display()))?;
    let packed = into.with_extension("xz");
    fs::write(&packed, &bytes[start..]).map_err(|error| format!("{}: {error}", packed.display()))?;
    // What follows the packed kernel is no error of ours.
    shell("xz -dc < \"$1\" > \"$2\" 2>/dev/null; test -s \"$2\"", &[&packed, into])?;
    let _ = fs::remove_file(packed);
    Ok(())
}

fn shell(script: &str, arguments: &[&Path]) -> Result<(), String> {
    output(Command::new("sh").args(["-c", script, "sh"]).args(arguments)).map(drop)
}

/// Runs a command to its end and returns what it printed.
fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "{command:?} failed: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What lies in a directory, in the order of names.
pub fn list(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let fail = |error: std::io::Error| format!("{}: {error}", directory.display());
    let entries = fs::read_dir(directory).map_err(fail)?;
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(fail)?;
    paths.sort();
    Ok(paths)
}
