//! Calls of cargo: one target directory, one set of flags for images.

use crate::Failure;
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The workspace's root, which every path of xtask is relative to.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask lies in the workspace").to_owned()
}

/// Where cargo puts what it builds.
pub fn target_directory() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// A call of cargo in the workspace.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace()).args(arguments);
    // Flags meant for somebody's own builds must not reach an image.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// Runs a command; its output is the user's to see.
pub fn check(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}")) }
}

/// What images are built for: the prebuilt std of this target serves them.
pub const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Links `package` for `target` against platform, without a C library, and returns the path of the linked file.
///
/// The flags are the same wherever the workspace lies (paths are mapped away), so that images are too.
pub fn link_image(package: &str, target: &str) -> Result<PathBuf, Failure> {
    let flags = [
        "-Clinker=rust-lld",
        "-Clinker-flavor=ld.lld",
        "-Crelocation-model=static",
        "-Ctarget-feature=+crt-static",
        "-Cforce-frame-pointers=yes",
        "-Clink-arg=-static",
        "-Clink-arg=--gc-sections",
        "-Clink-arg=-znoexecstack",
        "-Clink-arg=-znorelro",
        "-Clink-arg=--build-id=none",
        "-Clink-arg=-Tplatform/link.ld",
    ];
    let mut build = cargo(&["build", "--release", "--target", TRIPLE, "--package", package]);
    build.env("CARGO_ENCODED_RUSTFLAGS", encoded(&flags)?).env("SKERRY_TARGET", target);
    check(&mut build)?;
    Ok(target_directory().join(TRIPLE).join("release").join(package))
}

/// Links the loader for `firmware`, "bios" or "uefi", and returns the path of the linked file.
pub fn link_loader(firmware: &str) -> Result<PathBuf, Failure> {
    let script = format!("-Clink-arg=-Tplatform/loader/src/{firmware}/link.ld");
    let mut flags = vec![
        "--cfg=skerry_loader",
        "-Clinker=rust-lld",
        "-Clinker-flavor=ld.lld",
        "-Copt-level=s",
        "-Cdebuginfo=0",
        // The firmware's interrupts come on the same stack.
        "-Cno-redzone=yes",
        "-Clink-arg=--gc-sections",
        "-Clink-arg=-znorelro",
        "-Clink-arg=--build-id=none",
        &script,
    ];
    let position: &[&str] = match firmware {
        "bios" => &["-Crelocation-model=static", "-Ctarget-feature=+crt-static", "-Clink-arg=-static"],
        _ => &["-Crelocation-model=pie", "-Clink-arg=-pie", "-Clink-arg=--no-dynamic-linker"],
    };
    flags.extend(position);
    let binary = format!("loader-{firmware}");
    let mut build =
        cargo(&["build", "--release", "--target", TRIPLE, "--package", "loader", "--bin", &binary]);
    check(build.env("CARGO_ENCODED_RUSTFLAGS", encoded(&flags)?))?;
    Ok(target_directory().join(TRIPLE).join("release").join(binary))
}

/// Flags as cargo takes them, with the paths of this machine mapped away.
fn encoded(flags: &[&str]) -> Result<String, Failure> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .ok_or("neither CARGO_HOME nor HOME is set: cannot tell where crates lie")?;
    let mut flags: Vec<String> = flags.iter().map(|&flag| flag.into()).collect();
    flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
    flags.push(format!("--remap-path-prefix={}=/skerry", workspace().display()));
    Ok(flags.join("\u{1f}"))
}

/// Builds the tender and returns its path.
pub fn build_tender() -> Result<PathBuf, Failure> {
    check(&mut cargo(&["build", "--release", "--package", "skerry-tender"]))?;
    Ok(target_directory().join("release/skerry-tender"))
}
