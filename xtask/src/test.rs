//! `cargo xtask test`: everything that can be tested on this machine, and a loud line for what cannot.
//!
//! ```text
//! tidy ─► cargo test (host: protocols, services, runtime, tender) ─► images and tender ─► boot grids, whole path ─► conformance
//! ```

use crate::{Failure, cargo, image, tidy};
use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

/// What was built for the tests that start images.
struct Artefacts {
    images: PathBuf,
    tender: PathBuf,
}

/// `test [--no-skip]`: runs every test. What cannot run here is named, and is a failure only with `--no-skip`, as in CI.
pub fn run(arguments: Vec<String>) -> Result<ExitCode, Failure> {
    let no_skip = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => false,
        ["--no-skip"] => true,
        other => return Err(format!("test takes nothing but --no-skip, not {}", other.join(" "))),
    };
    let start = Instant::now();
    let mut skipped = Vec::new();
    step("tidy");
    tidy::check()?;
    step("tests on the host");
    cargo::check(&mut cargo::cargo(&["test", "--workspace", "--quiet"]))?;
    step("images and tender");
    let artefacts = build()?;
    step("TLS and HTTP");
    peers("runtime", &["tls", "http"], &artefacts, &mut skipped)?;
    if has_namespaces() {
        peers("runtime", &["linux"], &artefacts, &mut skipped)?;
    } else {
        skipped.push(
            "Linux over a TAP: needs network namespaces of a user's own, and /dev/net/tun for everybody"
                .into(),
        );
    }
    step("certificates");
    peers("acme", &["pebble"], &artefacts, &mut skipped)?;
    peers("dns", &["signed", "signed_transfers", "encrypted"], &artefacts, &mut skipped)?;
    peers("web", &["clients", "hostile"], &artefacts, &mut skipped)?;
    step("git's servers");
    let names = ["git", "git_daemon", "signed_heads", "command", "killed", "smart_http", "ssh"];
    peers("store", &names, &artefacts, &mut skipped)?;
    step("services and other people's programs");
    interop(&artefacts, &mut skipped)?;
    step("boot grid and the whole path");
    boot_grid(&artefacts, &mut skipped)?;
    network_ring(&mut skipped)?;
    step("formats");
    formats(&mut skipped)?;
    step("boot grid on QEMU's machines");
    machine_grid(&artefacts, &mut skipped)?;
    step("boot grid on Xen");
    xen_grid(&artefacts, &mut skipped)?;
    step("conformance");
    conformance(&artefacts, &mut skipped)?;
    for reason in &skipped {
        println!("SKIPPED {reason}");
    }
    println!("tested in {} s, {} skipped", start.elapsed().as_secs(), skipped.len());
    if no_skip && !skipped.is_empty() {
        return Err("a check was skipped that must run here; the lines above say what it needs".into());
    }
    Ok(ExitCode::SUCCESS)
}

fn step(name: &str) {
    println!("\n== {name}");
}

fn build() -> Result<Artefacts, Failure> {
    let tender = cargo::build_tender()?;
    let images = cargo::target_directory().join("images");
    for target in ["spt", "hvt", "virtio", "xen"] {
        image::build(&image::Description::load("grid")?, target, &image::Options::default())?;
        with_and_without_content("dns-static", target, &images)?;
    }
    // The large one for one target: linking it takes a minute each time.
    with_and_without_content("dns", "spt", &images)?;
    for name in ["acme", "dns-git"] {
        image::build(&image::Description::load(name)?, "spt", &image::Options::default())?;
    }
    let dns = image::Description::load("dns")?;
    let content = dns.example.as_ref().map(|example| cargo::workspace().join(example));
    let out = Some(images.join("managed"));
    let managed = image::Options { content, out, management: true, ..image::Options::default() };
    image::build(&dns, "spt", &managed)?;
    Ok(Artefacts { images, tender })
}

/// An image with its example's content, and one without, which takes it from a block device.
fn with_and_without_content(name: &str, target: &str, images: &Path) -> Result<(), Failure> {
    let description = image::Description::load(name)?;
    image::build(&description, target, &image::Options::default())?;
    let content = description.example.as_ref().map(|example| cargo::workspace().join(example));
    let baked = image::Options { content, out: Some(images.join("example")), ..image::Options::default() };
    image::build(&description, target, &baked)?;
    Ok(())
}

fn boot_grid(artefacts: &Artefacts, skipped: &mut Vec<String>) -> Result<(), Failure> {
    let mut test = cargo::cargo(&["test", "--package", "grid"]);
    for name in ["boot", "dns", "network"] {
        test.args(["--test", name]);
    }
    // Two cores: more images at once only wait for each other.
    test.args(["--", "--ignored", "--test-threads=2"]);
    test.args(MACHINES.iter().flat_map(|machine| ["--skip", machine]));
    if !usable_kvm() {
        skipped
            .push("hvt: /dev/kvm is absent or not ours; load the KVM module and join its group (kvm)".into());
        test.args(["--skip", "hvt::"]);
    }
    test.env("SKERRY_IMAGES", &artefacts.images).env("SKERRY_TENDER", &artefacts.tender);
    test.env("SKERRY_XTASK", own_path()?);
    cargo::check(&mut test)?;
    // What other tenders, older kernels and a single processor give: a system call or an exit for every frame.
    cargo::check(test.env("SKERRY_TENDER_OPTION", "--no-ring"))?;
    if usable_kvm() {
        cargo::check(&mut cargo::cargo(&[
            "test",
            "--package",
            "skerry-tender",
            "--test",
            "hvt",
            "--quiet",
            "--",
            "--ignored",
        ]))?;
    }
    Ok(())
}

/// What the names of tests on QEMU's machines have in common.
const MACHINES: [&str; 5] = ["q35", "pc::", "microvm", "disk_bios", "disk_uefi"];

/// The same rows on machines that QEMU makes, emulated and by KVM.
fn machine_grid(artefacts: &Artefacts, skipped: &mut Vec<String>) -> Result<(), Failure> {
    if !is_installed("qemu-system-x86_64") {
        skipped.push(
            "q35, pc, microvm, disk_bios, disk_uefi: there is no QEMU; sudo apt-get install qemu-system-x86"
                .into(),
        );
        return Ok(());
    }
    let mut test = cargo::cargo(&["test", "--package", "grid", "--test", "qemu", "--test", "dns"]);
    test.args(["--", "--ignored", "--test-threads=2"]).args(MACHINES);
    if !usable_kvm() {
        skipped.push("q35_kvm, microvm_kvm: /dev/kvm is absent or not ours".into());
        test.args(["--skip", "_kvm::"]);
    }
    let grid = image::Description::load("grid")?;
    for target in ["disk-bios", "disk-uefi"] {
        image::build(&grid, target, &image::Options::default())?;
    }
    if !Path::new(OVMF).exists() {
        skipped.push("disk_uefi: there is no OVMF; sudo apt-get install ovmf".into());
        test.args(["--skip", "disk_uefi"]);
    }
    test.env("SKERRY_IMAGES", &artefacts.images).env("SKERRY_XTASK", own_path()?);
    cargo::check(&mut test)
}

/// UEFI for QEMU, where the grid looks for it.
const OVMF: &str = "/usr/share/ovmf/OVMF.fd";

/// The same rows on a real Xen, in QEMU as well; one boot for all of them, one row at a time.
fn xen_grid(artefacts: &Artefacts, skipped: &mut Vec<String>) -> Result<(), Failure> {
    let missing = xen_lab::missing(is_installed);
    if !missing.is_empty() {
        skipped.push(format!("xen: sudo apt-get install {}", missing.join(" ")));
        return Ok(());
    }
    let mut test = cargo::cargo(&["test", "--package", "grid", "--test", "xen"]);
    test.args(["--", "--ignored", "--test-threads=1"]);
    test.env("SKERRY_IMAGES", &artefacts.images).env("SKERRY_XTASK", own_path()?);
    cargo::check(&mut test)
}

/// What the kernel lets a guest do with the ring that the tender gives it.
fn network_ring(skipped: &mut Vec<String>) -> Result<(), Failure> {
    if !usable_io_uring() {
        skipped.push(
            "network ring on spt: io_uring needs Linux 6.6 with kernel.io_uring_disabled=0, and no container's filter".into(),
        );
        return Ok(());
    }
    let arguments = ["test", "--package", "skerry-tender", "--lib", "--quiet", "--", "--ignored", "ring"];
    cargo::check(&mut cargo::cargo(&arguments))
}

fn usable_io_uring() -> bool {
    let says = |path, wanted: &str| {
        std::fs::read_to_string(path).is_ok_and(|text| text.lines().any(|line| line == wanted))
    };
    says("/proc/sys/kernel/io_uring_disabled", "0") && says("/proc/self/status", "Seccomp:\t0")
}

/// Programs that clients and servers of runtime and store are tried with: test, program, Debian package.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("signed", "unbound", "unbound"),
    ("signed", "delv", "bind9-dnsutils"),
    ("signed", "dnssec-keygen", "bind9-utils"),
    ("signed_transfers", "nsd", "nsd"),
    ("signed_transfers", "ldns-verify-zone", "ldnsutils"),
    ("signed_transfers", "dnssec-verify", "bind9-utils"),
    ("signed_transfers", "delv", "bind9-dnsutils"),
    ("encrypted", "kdig", "knot-dnsutils"),
    ("encrypted", "dig", "bind9-dnsutils"),
    ("encrypted", "curl", "curl"),
    ("tls", "openssl", "openssl"),
    ("http", "nginx", "nginx-light"),
    ("http", "curl", "curl"),
    ("pebble", "pebble", "pebble"),
    ("pebble", "knotd", "knot"),
    ("pebble", "kdig", "knot-dnsutils"),
    ("pebble", "openssl", "openssl"),
    ("clients", "git", "git"),
    ("clients", "curl", "curl"),
    ("clients", "wget", "wget"),
    ("clients", "nghttp", "nghttp2-client"),
    ("clients", "h2load", "nghttp2-client"),
    ("hostile", "git", "git"),
    ("hostile", "curl", "curl"),
    ("git", "git", "git"),
    ("git", "ssh-keygen", "openssh-client"),
    ("git_daemon", "git", "git"),
    ("linux", "ip", "iproute2"),
    ("linux", "unshare", "util-linux"),
    ("signed_heads", "git", "git"),
    ("signed_heads", "ssh-keygen", "openssh-client"),
    ("command", "git", "git"),
    ("killed", "git", "git"),
    ("ssh", "git", "git"),
    ("ssh", "sshd", "openssh-server"),
    ("smart_http", "nginx", "nginx-light"),
    ("smart_http", "fcgiwrap", "fcgiwrap"),
];

/// Tests of a package with other people's programs at the other end.
fn peers(
    package: &str,
    names: &[&str],
    artefacts: &Artefacts,
    skipped: &mut Vec<String>,
) -> Result<(), Failure> {
    for name in names {
        let needed = PROGRAMS.iter().filter(|(test, ..)| test == name);
        let missing: Vec<&str> =
            needed.filter(|(_, program, _)| !is_installed(program)).map(|(.., package)| *package).collect();
        if missing.is_empty() {
            let mut test =
                cargo::cargo(&["test", "--package", package, "--test", name, "--quiet", "--", "--ignored"]);
            test.env("SKERRY_IMAGES", &artefacts.images).env("SKERRY_TENDER", &artefacts.tender);
            cargo::check(&mut test)?;
        } else {
            skipped.push(format!("{name} with a peer; sudo apt-get install {}", missing.join(" ")));
        }
    }
    Ok(())
}

/// Where `.ci/run` unpacks what Debian lets nobody install beside something else that is needed.
const UNPACKED: &str = "/opt/syslog-ng/usr/sbin";

/// Programs that images meet in tests/interop, each by its Debian package and the test that needs it.
const INTEROP: [(&str, &str, &str); 14] = [
    ("dns_git", "git", "git"),
    ("dns_git", "nsupdate", "bind9-dnsutils"),
    ("dns_git", "dig", "bind9-dnsutils"),
    ("dns_git", "nginx", "nginx-light"),
    ("dns_git", "fcgiwrap", "fcgiwrap"),
    ("dns_git", "openssl", "openssl"),
    ("dns_git", "sshd", "openssh-server"),
    ("dns_git", "ssh-keygen", "openssh-client"),
    ("logs", "rsyslogd", "rsyslog rsyslog-gnutls rsyslog-openssl"),
    ("metrics", "influxd", "influxdb"),
    ("metrics", "victoria-metrics", "victoria-metrics"),
    ("metrics", "prometheus", "prometheus python3-prometheus-client"),
    ("metrics", "curl", "curl"),
    // It conflicts with rsyslog, so .ci/run unpacks it beside.
    ("logs", "syslog-ng", "syslog-ng-core (unpacked to /opt/syslog-ng)"),
];

/// Whole images with other people's servers and clients.
fn interop(artefacts: &Artefacts, skipped: &mut Vec<String>) -> Result<(), Failure> {
    let missing: Vec<&str> = INTEROP
        .iter()
        .filter(|(_, program, _)| !is_installed(program))
        .map(|(.., package)| *package)
        .collect();
    if !missing.is_empty() {
        skipped.push(format!("interop: sudo apt-get install {}", missing.join(" ")));
        return Ok(());
    }
    let mut test = cargo::cargo(&["test", "--package", "interop", "--", "--ignored", "--test-threads=1"]);
    test.env("SKERRY_IMAGES", &artefacts.images).env("SKERRY_TENDER", &artefacts.tender);
    cargo::check(&mut test)
}

/// Checks of artefacts against what other projects say is right: each tool by its program and its Debian packages.
const LINTS: [(&str, &str, &str); 3] = [
    ("xmllint", "libxml2-utils libvirt0", "is_valid_by_the_schema_of_libvirt"),
    ("fsck.fat", "dosfstools", "file_systems_are_clean_by_fsck_fat"),
    ("sgdisk", "gdisk", "partitions_are_right_by_sgdisk"),
];

fn formats(skipped: &mut Vec<String>) -> Result<(), Failure> {
    let mut test = cargo::cargo(&["test", "--package", "xtask", "--quiet", "--", "--ignored"]);
    for (program, packages, name) in LINTS {
        if !is_installed(program) {
            skipped.push(format!("formats: {name}; sudo apt-get install {packages}"));
            test.args(["--skip", name]);
        }
    }
    cargo::check(&mut test)
}

fn own_path() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| format!("cannot tell where this program lies: {error}"))
}

/// Whether TAPs can be made in a namespace of our own.
fn has_namespaces() -> bool {
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--net", "ip", "tuntap", "add", "test", "mode", "tap"]);
    unshare.stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Whether /dev/kvm is there and ours.
pub fn usable_kvm() -> bool {
    std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok()
}

/// The peers that the DNS image is compared with, each by the program and the Debian package that has it.
const PEERS: [(&str, &str); 2] = [("nsd", "nsd"), ("knotd", "knot")];

fn conformance(artefacts: &Artefacts, skipped: &mut Vec<String>) -> Result<(), Failure> {
    let missing: Vec<&str> =
        PEERS.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        let packages = missing.join(" ");
        skipped.push(format!("conformance: no peer to compare with; sudo apt-get install {packages}"));
        return Ok(());
    }
    let mut run = cargo::cargo(&["run", "--quiet", "--package", "conformance", "--"]);
    run.env("SKERRY_IMAGES", &artefacts.images).env("SKERRY_TENDER", &artefacts.tender);
    cargo::check(&mut run)
}

/// Whether `program` is on the path or where Debian puts servers, which is not on an ordinary user's.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", UNPACKED].map(PathBuf::from));
    directories.into_iter().any(|directory: PathBuf| is_program(&directory.join(program)))
}

fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// `cargo xtask ci`: format, lints, every test, sizes; a skipped check is a failure.
pub fn ci() -> Result<ExitCode, Failure> {
    step("format");
    cargo::check(&mut cargo::cargo(&["fmt", "--all", "--check"]))?;
    step("lints");
    cargo::check(&mut clippy(&["--workspace", "--all-targets"]))?;
    // The back ends of platform exist only in a build for their target.
    for target in ["spt", "hvt", "virtio", "xen"] {
        let mut lint = clippy(&["--package", "platform", "--target", cargo::TRIPLE]);
        cargo::check(lint.env("SKERRY_TARGET", target))?;
    }
    // And the loaders' code in a build of a disk.
    let mut lint = clippy(&["--package", "loader", "--bins", "--target", cargo::TRIPLE]);
    cargo::check(lint.env("CARGO_ENCODED_RUSTFLAGS", "--cfg=skerry_loader\u{1f}-Cpanic=abort"))?;
    cargo::check(Command::new(own_path()?).args(["test", "--no-skip"]))?;
    step("reproducible");
    reproducible()?;
    step("sizes");
    // For one target: linking all images for all of them takes ten minutes, and `image` refuses what is too large.
    crate::sizes::run(Some("spt"))
}

fn clippy(selection: &[&str]) -> Command {
    let mut command = cargo::cargo(&["clippy", "--quiet"]);
    command.args(selection).args(["--", "--deny", "warnings"]);
    command
}

/// Builds every artefact of this commit's DNS images in two directories and compares their sums.
fn reproducible() -> Result<(), Failure> {
    let here = cargo::target_directory().join("reproducible");
    let elsewhere = cargo::target_directory().join("elsewhere");
    let _ = std::fs::remove_dir_all(&here);
    let _ = std::fs::remove_dir_all(&elsewhere);
    let clone = ["clone", "--quiet", "--local", "."];
    cargo::check(Command::new("git").current_dir(cargo::workspace()).args(clone).arg(&elsewhere))?;
    for (workspace, out) in [(cargo::workspace(), &here), (elsewhere.clone(), &elsewhere.join("out"))] {
        // The small image for every target, the large one for one: linking it takes a minute each time.
        let small = image::Description::load("dns-static")?;
        let images = image::targets(&small).map(|target| ("dns-static", target));
        for (name, target) in std::iter::once(("dns", "spt")).chain(images) {
            let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            build.current_dir(&workspace).args(["xtask", "image", name, target, "--out"]).arg(out);
            build.args(["--content", "services/dns/example"]);
            if workspace == elsewhere {
                build.env_remove("CARGO_TARGET_DIR");
            }
            cargo::check(&mut build)?;
        }
    }
    let read = |directory: &Path| {
        let path = directory.join("SHA256SUMS");
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let (ours, theirs) = (read(&here)?, read(&elsewhere.join("out"))?);
    let _ = std::fs::remove_dir_all(&elsewhere);
    if ours != theirs {
        return Err(format!("artefacts differ between two directories; here:\n{ours}elsewhere:\n{theirs}"));
    }
    println!("the same in both directories:\n{ours}");
    Ok(())
}
