//! dom0's file system: what xl, its daemons and its scripts need, and nothing else.

use crate::{
    archive::Archive,
    packages::{Files, MODULES, list},
};
use std::{fs, path::Path};

const INIT: &str = include_str!("../dom0/init");
const SERVE: &str = include_str!("../dom0/serve");

const DIRECTORIES: [&str; 34] = [
    "bin",
    "sbin",
    "usr",
    "usr/bin",
    "usr/sbin",
    "usr/lib",
    "usr/lib/xen-4.17",
    "usr/lib/xen-4.17/bin",
    "etc",
    "etc/xen",
    "etc/xen/scripts",
    "lib",
    "lib/x86_64-linux-gnu",
    "lib/modules",
    "lib64",
    "proc",
    "sys",
    "dev",
    "run",
    "run/xen",
    "run/xenstored",
    "run/lock",
    "tmp",
    "root",
    "lab",
    "var",
    "var/lib",
    "var/lib/xen",
    "var/lib/xenstored",
    "var/lock",
    "var/log",
    "var/log/xen",
    "var/log/xen/console",
    "etc/default",
];

/// Programs, by where the packages have them.
const PROGRAMS: [&str; 11] = [
    "bin/busybox",
    "bin/bash",
    "usr/bin/flock",
    "usr/bin/xenstore",
    "usr/lib/xen-4.17/bin/xl",
    "usr/lib/xen-4.17/bin/xenstored",
    "usr/lib/xen-4.17/bin/xenconsoled",
    "usr/lib/xen-4.17/bin/xenconsole",
    "usr/lib/xen-4.17/bin/xen-init-dom0",
    "usr/lib/xen-4.17/bin/libxl-save-helper",
    "usr/lib/xen-4.17/bin/xenstore-control",
];

/// Other names of programs.
const LINKS: [(&str, &str); 7] = [
    ("var/run", "../run"),
    ("usr/bin/xenstore-read", "xenstore"),
    ("usr/bin/xenstore-write", "xenstore"),
    ("usr/bin/xenstore-list", "xenstore"),
    ("usr/bin/xenstore-ls", "xenstore"),
    ("usr/bin/xenstore-rm", "xenstore"),
    ("usr/bin/xenstore-exists", "xenstore"),
];

/// Where the packages have libraries; in dom0 they lie in one place.
const LIBRARIES: [&str; 3] =
    ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib/xen-4.17/lib/x86_64-linux-gnu"];

/// Builds the archive.
pub fn build(files: &Files) -> Result<Vec<u8>, String> {
    let mut archive = Archive::default();
    DIRECTORIES.iter().for_each(|directory| archive.directory(directory));
    LINKS.iter().for_each(|(path, target)| archive.link(path, target));
    for program in PROGRAMS {
        archive.file(program, &read(&files.tools.join(program))?);
    }
    for applet in applets(&files.tools.join("bin/busybox"))? {
        archive.link(&format!("bin/{applet}"), "busybox");
    }
    for directory in LIBRARIES {
        add_libraries(&mut archive, &files.tools.join(directory))?;
    }
    archive.link("lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
    for path in list(&files.tools.join("etc/xen/scripts"))? {
        let mut content = read(&path)?;
        if name(&path) == "locking.sh" {
            // busybox's stat has no %D, and the script would wait for it until xl gives up.
            content = String::from_utf8_lossy(&content).replace("%D.%i", "%d.%i").into_bytes();
        }
        archive.file(&format!("etc/xen/scripts/{}", name(&path)), &content);
    }
    for module in MODULES {
        archive
            .file(&format!("lib/modules/{module}.ko"), &read(&files.modules.join(format!("{module}.ko")))?);
    }
    archive.file("etc/xen/xl.conf", b"");
    archive.file("init", INIT.as_bytes());
    archive.file("serve", SERVE.as_bytes());
    Ok(archive.finish())
}

/// Names by which busybox does something, but for those of programs that are there themselves.
fn applets(busybox: &Path) -> Result<Vec<String>, String> {
    let output = std::process::Command::new(busybox)
        .arg("--list")
        .output()
        .map_err(|error| format!("cannot start {}: {error}", busybox.display()))?;
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(names.lines().filter(|name| *name != "busybox").map(str::to_owned).collect())
}

/// Adds every library right in `directory`, links as links.
fn add_libraries(archive: &mut Archive, directory: &Path) -> Result<(), String> {
    for path in list(directory)?.into_iter().filter(|path| name(path).contains(".so")) {
        let inside = format!("lib/x86_64-linux-gnu/{}", name(&path));
        match fs::read_link(&path) {
            Ok(target) => archive.link(&inside, &name(&target)),
            Err(_) => archive.file(&inside, &read(&path)?),
        }
    }
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
