//! `cargo xtask tidy`: the rules of ARCHITECTURE.md and CONTRIBUTING.md that a program can check. Limits only go down.

use crate::{Failure, cargo};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Lines of a file at most.
const FILE_LINES_MAX: usize = 700;

/// Lines of a service's `main.rs` at most: it is a recipe.
const MAIN_LINES_MAX: usize = 80;

/// Which of our crates a crate may depend on. Tests and tools may see everything; everything not named here, nothing.
const ARROWS: [(&str, &[&str]); 13] = [
    ("solo5-sys", &[]),
    ("platform", &["solo5-sys"]),
    ("loader", &[]),
    ("runtime", &["platform"]),
    ("store", &["platform", "runtime"]),
    ("dns", &["platform", "runtime", "store"]),
    ("dns-check", &["dns"]),
    ("dns-static", &["dns", "runtime"]),
    ("acme", &["dns", "platform", "runtime"]),
    ("web", &["platform", "runtime", "store"]),
    ("skerry-tender", &["solo5-sys"]),
    ("grid", &["platform"]),
    ("clone", &["platform", "runtime", "store"]),
];

/// Tools and tests, which end up in no image and may depend on anything.
const UNBOUND: [&str; 7] = ["xtask", "conformance", "load", "peers", "support", "xen-lab", "interop"];

/// Crates that may contain unsafe code.
const UNSAFE: [&str; 3] = ["platform", "loader", "skerry-tender"];

/// Prints what is wrong, if anything is.
pub fn run() -> Result<ExitCode, Failure> {
    check()?;
    println!("tidy");
    Ok(ExitCode::SUCCESS)
}

/// Every rule; all violations at once.
pub fn check() -> Result<(), Failure> {
    let mut violations = Vec::new();
    for directory in members()? {
        check_manifest(&directory, &mut violations)?;
        for file in rust_files(&cargo::workspace().join(&directory)) {
            check_file(&file, &mut violations)?;
        }
    }
    // A workspace of its own, but not beyond the rules.
    for file in rust_files(&cargo::workspace().join("fuzz/targets")) {
        check_file(&file, &mut violations)?;
    }
    check_facade(&mut violations)?;
    if violations.is_empty() { Ok(()) } else { Err(format!("tidy:\n  {}", violations.join("\n  "))) }
}

/// The workspace's members, as directories.
pub fn members() -> Result<Vec<String>, Failure> {
    let manifest = table(&cargo::workspace().join("Cargo.toml"))?;
    let members = manifest.get("workspace").and_then(|workspace| workspace.get("members")?.as_array());
    let members = members.ok_or("Cargo.toml has no workspace members")?;
    Ok(members.iter().filter_map(|member| member.as_str().map(str::to_owned)).collect())
}

/// Rust files of a member, without those of members below it.
pub fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.join("Cargo.toml").exists() && !path.ends_with("target") {
                files.extend(rust_files(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A TOML file.
pub fn table(path: &Path) -> Result<toml::Table, Failure> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Dependencies go along the arrows, and unsafe code is forbidden but where it is allowed.
fn check_manifest(directory: &str, violations: &mut Vec<String>) -> Result<(), Failure> {
    let manifest = table(&cargo::workspace().join(directory).join("Cargo.toml"))?;
    let name = manifest.get("package").and_then(|package| package.get("name")?.as_str()).unwrap_or(directory);
    let inherits_lints =
        manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool()).unwrap_or(false);
    if !inherits_lints && !UNSAFE.contains(&name) {
        violations.push(format!(
            "{directory}/Cargo.toml: must inherit the workspace's lints, which forbid unsafe code"
        ));
    }
    if UNBOUND.contains(&name) {
        return Ok(());
    }
    let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
        violations.push(format!("{directory}: xtask/src/tidy.rs does not say what '{name}' may depend on"));
        return Ok(());
    };
    let ours = |dependency: &&String| {
        ARROWS.iter().any(|(name, _)| name == dependency) || UNBOUND.contains(&dependency.as_str())
    };
    let dependencies = manifest.get("dependencies").and_then(|table| table.as_table());
    for dependency in dependencies.into_iter().flat_map(|table| table.keys()).filter(ours) {
        if !allowed.contains(&dependency.as_str()) {
            violations.push(format!("{directory}/Cargo.toml: '{name}' must not depend on '{dependency}'"));
        }
    }
    Ok(())
}

/// Every file says what it is for, and none is one that everybody adds to.
fn check_file(path: &Path, violations: &mut Vec<String>) -> Result<(), Failure> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = text.lines().count();
    let shown = path.strip_prefix(cargo::workspace()).unwrap_or(path).display();
    if !text.starts_with("//!") {
        violations.push(format!("{shown}: must open with a //! comment that says what it is for"));
    }
    let limit = if path.ends_with("src/main.rs") && shown.to_string().starts_with("services/") {
        MAIN_LINES_MAX
    } else {
        FILE_LINES_MAX
    };
    if lines > limit {
        violations.push(format!("{shown}: {lines} lines, at most {limit}"));
    }
    Ok(())
}

/// The C symbols that platform provides are those of docs/facade.txt: no dependency widens the facade unseen.
///
/// That an image needs no others is the linker's to check: there is no C library to find them in.
fn check_facade(violations: &mut Vec<String>) -> Result<(), Failure> {
    let mut provided = BTreeSet::new();
    for file in rust_files(&cargo::workspace().join("platform/src/libc")) {
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        provided.extend(exported(&text));
    }
    let path = cargo::workspace().join("docs/facade.txt");
    let listed = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let listed: BTreeSet<String> =
        listed.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    for name in provided.difference(&listed) {
        violations.push(format!("docs/facade.txt: '{name}' is provided by platform but not listed"));
    }
    for name in listed.difference(&provided) {
        violations.push(format!("docs/facade.txt: '{name}' is listed but not provided by platform"));
    }
    Ok(())
}

/// Names of C functions in a file of the facade: exported one by one, or by the lists that its macros take.
fn exported(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut in_list = false;
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("extern \"C\" fn ") {
            names.extend(rest.split('(').next().filter(|name| !name.starts_with('$')).map(str::to_owned));
        }
        in_list = match line {
            "absent! {" | "refused! {" | "nothing! {" => true,
            "}" => false,
            _ if in_list => {
                names.extend(line.split_whitespace().next().map(str::to_owned));
                true
            }
            _ => false,
        };
    }
    names
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tree_is_tidy() {
        if let Err(violations) = super::check() {
            panic!("{violations}");
        }
    }
}
