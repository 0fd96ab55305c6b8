//! Debian packages: fetched once by apt, unpacked side by side below `target/linux-vm`, nothing installed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;
use crate::cargo::{check, target_directory};

/// Debian's kernel for virtual machines: depends on the package of the version that is current.
const KERNEL: &str = "linux-image-cloud-amd64";

/// NSD, what the loader will ask for, and a shell for the four commands before NSD.
const USERLAND: [&str; 14] = [
    "nsd",
    "busybox-static",
    "libc6",
    "libevent-2.1-7",
    "libssl3",
    "libprotobuf-c1",
    "libfstrm0",
    "libsystemd0",
    "libcap2",
    "libgcrypt20",
    "libgpg-error0",
    "liblzma5",
    "libzstd1",
    "liblz4-1",
];

/// The header of a bzImage (Linux's Documentation/arch/x86/boot.rst): sectors of the setup code, and where behind them the
/// compressed kernel lies.
const SETUP_SECTORS: usize = 0x1f1;
/// See [`SETUP_SECTORS`].
const PAYLOAD_OFFSET: usize = 0x248;

/// What was fetched.
pub struct Debian {
    /// Everything of the user land, as it would be installed.
    pub root: PathBuf,
    /// The kernel as a hypervisor enters it by PVH.
    pub vmlinux: PathBuf,
    /// The kernel as it is shipped.
    pub bzimage: PathBuf,
    /// The kernel's modules: the directory `kernel` of its version.
    pub modules: PathBuf,
    /// Names and versions of kernel, C library and NSD.
    pub versions: String,
}

impl Debian {
    /// Fetches and unpacks what is not there yet.
    pub fn fetch() -> Result<Self, Failure> {
        let cache = cache();
        let (root, kernel) = (cache.join("root"), cache.join("kernel"));
        require(&["apt-get", "apt-cache", "dpkg-deb", "lz4"])?;
        let ready = cache.join("ready");
        if !ready.exists() {
            let image = depends_on(KERNEL)?;
            let packages = download(&cache.join("packages"), &USERLAND)?;
            packages.iter().try_for_each(|package| unpack(package, &root))?;
            let packages = download(&cache.join("kernel-package"), &[&image])?;
            packages.iter().try_for_each(|package| unpack(package, &kernel))?;
            decompress(&only_file(&kernel.join("boot"), "vmlinuz-")?, &kernel.join("vmlinux"))?;
            fs::write(&ready, "").map_err(|error| format!("{}: {error}", ready.display()))?;
        }
        let versions = [("kernel-package", "linux-image"), ("packages", "libc6"), ("packages", "nsd")]
            .map(|(directory, name)| only_file(&cache.join(directory), name).map(|path| stem(&path)));
        Ok(Self {
            root,
            vmlinux: kernel.join("vmlinux"),
            bzimage: only_file(&kernel.join("boot"), "vmlinuz-")?,
            modules: only_file(&kernel.join("lib/modules"), "")?.join("kernel"),
            versions: versions.into_iter().collect::<Result<Vec<_>, _>>()?.join(", "),
        })
    }
}

/// Where packages are kept.
pub fn cache() -> PathBuf {
    target_directory().join("linux-vm")
}

/// Downloads `packages` into `directory`, if it is not there, and returns its files.
pub fn download(directory: &Path, packages: &[&str]) -> Result<Vec<PathBuf>, Failure> {
    // A download that was interrupted leaves no directory of the final name.
    let partial = directory.with_extension("partial");
    if !directory.exists() {
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial).map_err(|error| format!("{}: {error}", partial.display()))?;
        let mut apt = Command::new("apt-get");
        // Without it apt drops to a user who may not write here, and warns that it could not.
        apt.args(["-q", "-o", "APT::Sandbox::User=root", "download"]).args(packages).current_dir(&partial);
        check(apt.stdout(Stdio::null()))?;
        fs::rename(&partial, directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    let entries = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

/// Unpacks a package below `root`.
pub fn unpack(package: &Path, root: &Path) -> Result<(), Failure> {
    fs::create_dir_all(root).map_err(|error| format!("{}: {error}", root.display()))?;
    check(Command::new("dpkg-deb").arg("-x").arg(package).arg(root))
}

/// The package that a package without content stands for.
pub fn depends_on(package: &str) -> Result<String, Failure> {
    let output = Command::new("apt-cache").args(["depends", package]).output();
    let text = output.map_err(|error| format!("cannot start apt-cache: {error}"))?.stdout;
    let text = String::from_utf8_lossy(&text);
    let name = text.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    name.map(str::to_owned).ok_or_else(|| format!("apt knows no package {package}. Try: apt-get update"))
}

/// The file or directory in `directory` whose name begins with `prefix`.
pub fn only_file(directory: &Path, prefix: &str) -> Result<PathBuf, Failure> {
    let begins = |path: &PathBuf| {
        path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with(prefix))
    };
    let mut paths = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.find(begins).ok_or_else(|| format!("{}: nothing there is called {prefix}*", directory.display()))
}

/// Every program must be there; what is missing is named with its package.
pub fn require(programs: &[&str]) -> Result<(), Failure> {
    let there = |program: &&&str| {
        ["/usr/bin", "/bin", "/usr/sbin"].iter().any(|place| Path::new(place).join(program).exists())
    };
    let missing: Vec<&str> = programs.iter().filter(|program| !there(program)).copied().collect();
    match missing.as_slice() {
        [] => Ok(()),
        _ => Err(format!(
            "{} not installed. Try: apt-get install apt dpkg lz4 xz-utils gzip tar",
            missing.join(", ")
        )),
    }
}

/// `name_version` of a package's file.
fn stem(path: &Path) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().replace("%3a", ":");
    name.trim_end_matches("_amd64").replace('_', " ")
}

/// Writes the ELF file that a bzImage has inside.
fn decompress(bzimage: &Path, vmlinux: &Path) -> Result<(), Failure> {
    let image = fs::read(bzimage).map_err(|error| format!("{}: {error}", bzimage.display()))?;
    let word = |at: usize| Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?) as usize);
    let payload = || {
        let start = (usize::from(*image.get(SETUP_SECTORS)?) + 1) * 512 + word(PAYLOAD_OFFSET)?;
        image.get(start..start + word(PAYLOAD_OFFSET + 4)?)
    };
    let payload = payload().ok_or_else(|| format!("{} is not a bzImage", bzimage.display()))?;
    let packed = vmlinux.with_extension("lz4");
    fs::write(&packed, payload).map_err(|error| format!("{}: {error}", packed.display()))?;
    // The payload ends with four bytes that are not lz4's, the size: lz4 says so, and succeeds or not by version.
    let _ =
        Command::new("lz4").args(["-q", "-d", "-f"]).arg(&packed).arg(vmlinux).stderr(Stdio::null()).status();
    let is_elf = fs::read(vmlinux).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF"));
    if is_elf { Ok(()) } else { Err(format!("lz4 made no kernel of {}", packed.display())) }
}
