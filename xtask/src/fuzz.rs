//! `cargo xtask fuzz`: runs the fuzz targets of `fuzz/`, each for a given time, and fails at the first finding.
//!
//! Needs what nothing else here does, a nightly toolchain and cargo-fuzz, so it is no part of `test`.

use crate::{Failure, cargo, tidy};
use std::process::{Command, ExitCode, Stdio};

/// How long a target runs unless `--seconds` says otherwise, as SPEC.md promises.
const SECONDS: u32 = 600;

/// An input that takes longer is a finding.
const SECONDS_PER_INPUT: u32 = 5;

/// `fuzz [TARGET]... [--seconds N]`
pub fn run(arguments: Vec<String>) -> Result<ExitCode, Failure> {
    let known = targets()?;
    let (wanted, seconds) = parse(arguments, &known).map_err(|error| format!("fuzz: {error}"))?;
    let version = cargo_fuzz(&["--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !version.is_ok_and(|status| status.success()) {
        return Err("fuzz needs a nightly toolchain and cargo-fuzz: \
                    rustup toolchain install nightly && cargo install cargo-fuzz"
            .into());
    }
    for target in &wanted {
        println!("\n== {target}, {seconds} s");
        cargo::check(cargo_fuzz(&["run", "--fuzz-dir", "fuzz", target, "--"]).args([
            format!("-max_total_time={seconds}"),
            format!("-timeout={SECONDS_PER_INPUT}"),
            "-print_final_stats=1".into(),
        ]))?;
    }
    println!("no finding in {}", wanted.join(", "));
    Ok(ExitCode::SUCCESS)
}

/// The names in fuzz/Cargo.toml.
fn targets() -> Result<Vec<String>, Failure> {
    let manifest = tidy::table(&cargo::workspace().join("fuzz/Cargo.toml"))?;
    let binaries = manifest.get("bin").and_then(|binaries| binaries.as_array());
    let binaries = binaries.ok_or("fuzz/Cargo.toml has no targets")?;
    let name = |binary: &toml::Value| Some(binary.get("name")?.as_str()?.to_owned());
    Ok(binaries.iter().filter_map(name).collect())
}

/// The targets to run, all if none is named, and the time for each.
fn parse(arguments: Vec<String>, known: &[String]) -> Result<(Vec<String>, u32), lexopt::Error> {
    let mut wanted = Vec::new();
    let mut seconds = SECONDS;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("seconds") => {
                let value = parser.value()?.to_string_lossy().into_owned();
                // To libFuzzer 0 means for ever.
                seconds = match value.parse() {
                    Ok(seconds @ 1..) => seconds,
                    _ => return Err(format!("--seconds takes a number from 1, not '{value}'").into()),
                };
            }
            lexopt::Arg::Value(name) => {
                let name = name.to_string_lossy().into_owned();
                if !known.contains(&name) {
                    return Err(format!("no target '{name}'; there are {}", known.join(", ")).into());
                }
                wanted.push(name);
            }
            other => return Err(other.unexpected()),
        }
    }
    if wanted.is_empty() {
        wanted = known.to_vec();
    }
    Ok((wanted, seconds))
}

/// A call of cargo-fuzz, on the nightly toolchain whatever this program was started with.
fn cargo_fuzz(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(cargo::workspace()).args(["+nightly", "fuzz"]).args(arguments);
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], expect: Option<(&[&str], u32)>) {
        let known = ["elf", "zone"].map(String::from);
        let parsed = parse(arguments.iter().map(|&argument| argument.into()).collect(), &known).ok();
        let expect =
            expect.map(|(names, seconds)| (names.iter().map(|&name| name.into()).collect(), seconds));
        assert_eq!(parsed, expect);
    }

    #[test]
    fn all_targets_run_unless_some_are_named() {
        check(&[], Some((&["elf", "zone"], SECONDS)));
        check(&["zone"], Some((&["zone"], SECONDS)));
        check(&["--seconds", "5", "zone", "elf"], Some((&["zone", "elf"], 5)));
    }

    #[test]
    fn nothing_is_guessed() {
        check(&["zones"], None);
        check(&["--seconds", "0"], None);
        check(&["--second", "5"], None);
    }
}
