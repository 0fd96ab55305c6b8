//! `cargo xtask run`: builds an image and runs it here, without root and without a TAP device.
//!
//! ```text
//! spt, hvt                              our tender, with its user-mode network
//! qemu, microvm, disk-bios, disk-uefi   QEMU, with its user-mode network           qemu.rs
//! xen                                   xl on this host                            xl.rs
//! ```

mod qemu;
mod shown;
mod xl;

use crate::{Failure, cargo, image};
use std::{
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
};

/// What `run` was asked for.
struct Options {
    target: String,
    image: image::Options,
    publish: Vec<String>,
    memory_mib: Option<u32>,
    arguments: Vec<String>,
}

/// `run SERVICE [--on TARGET] [--content DIR] [--config FILE] [--publish …]... [--memory MIB] [-- ARGUMENTS]`
pub fn run(arguments: Vec<String>) -> Result<ExitCode, Failure> {
    let (service, mut options) = parse(arguments).map_err(|error| format!("run: {error}"))?;
    let description = image::Description::load(&service)?;
    if options.image.content.is_none() {
        options.image.content = description.example.as_ref().map(|example| cargo::workspace().join(example));
    }
    // What the description says to try is meant for what it publishes.
    let try_next = if options.publish.is_empty() {
        options.publish.clone_from(&description.publish);
        description.try_next.clone()
    } else {
        Vec::new()
    };
    let defaults = unless_given(&description.arguments, &options.arguments);
    options.arguments.splice(..0, defaults);
    let command = match (qemu::Machine::named(&options.target), options.target.as_str()) {
        (Some(machine), _) => qemu::command(machine, &description, options)?,
        (None, "xen") => xl::command(&description, options)?,
        (None, "spt" | "hvt") => in_tender(&description, options)?,
        (None, other) => {
            let known = qemu::names().join(", ");
            return Err(format!("cannot run on '{other}'; there are: spt, hvt, {known}, xen"));
        }
    };
    start(command, &try_next)
}

fn in_tender(description: &image::Description, options: Options) -> Result<Command, Failure> {
    let mut command = Command::new(cargo::build_tender()?);
    let path = image::build(description, &options.target, &options.image)?;
    command.arg(format!("--mem={}", options.memory_mib.unwrap_or(description.memory_mib)));
    command.args(options.publish.iter().map(|rule| format!("--publish={rule}")));
    if description.outbound {
        command.arg("--outbound");
    }
    command.arg("--").arg(&path).args(&options.arguments);
    Ok(command)
}

/// Those of a description's arguments whose key is not among the given ones: an image takes each but once.
fn unless_given(defaults: &[String], given: &[String]) -> Vec<String> {
    let key = |argument: &str| argument.split('=').next().unwrap_or_default().to_owned();
    let is_given = |default: &&String| given.iter().any(|given| key(given) == key(default));
    defaults.iter().filter(|default| !is_given(default)).cloned().collect()
}

fn start(mut command: Command, try_next: &[String]) -> Result<ExitCode, Failure> {
    let shown = shown::words(&command);
    eprintln!("running {shown}");
    for line in try_next {
        eprintln!("try     {line}");
    }
    // It takes this process's place, so that a signal sent here reaches it.
    Err(format!("cannot start {shown}: {}", command.exec()))
}

fn parse(arguments: Vec<String>) -> Result<(String, Options), lexopt::Error> {
    let mut options = Options {
        target: "spt".into(),
        image: image::Options::default(),
        publish: Vec::new(),
        memory_mib: None,
        arguments: Vec::new(),
    };
    let mut service = None;
    let mut own = arguments;
    if let Some(end) = own.iter().position(|argument| argument == "--") {
        options.arguments = own.split_off(end).split_off(1);
    }
    let mut parser = lexopt::Parser::from_args(own);
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("on") => options.target = parser.value()?.to_string_lossy().into_owned(),
            lexopt::Arg::Long("content") => options.image.content = Some(PathBuf::from(parser.value()?)),
            lexopt::Arg::Long("config") => options.image.config = Some(PathBuf::from(parser.value()?)),
            lexopt::Arg::Long("publish") => {
                options.publish.push(parser.value()?.to_string_lossy().into_owned());
            }
            lexopt::Arg::Long("memory") => {
                let value = parser.value()?.to_string_lossy().into_owned();
                let memory = value.parse().map_err(|_| format!("--memory takes MiB, not '{value}'"))?;
                options.memory_mib = Some(memory);
            }
            lexopt::Arg::Value(operand) if service.is_none() => {
                service = Some(operand.to_string_lossy().into_owned());
            }
            other => return Err(other.unexpected()),
        }
    }
    let service = service.ok_or("which service? Such as: cargo xtask run dns")?;
    Ok((service, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &[&str], expect: &[&str]) {
        let defaults = ["--remote=git://10.0.2.2/zones.git".to_owned(), "--axfr".to_owned()];
        let given: Vec<String> = given.iter().map(|&argument| argument.to_owned()).collect();
        assert_eq!(unless_given(&defaults, &given), expect);
    }

    #[test]
    fn what_is_given_takes_the_place_of_a_default() {
        check(&[], &["--remote=git://10.0.2.2/zones.git", "--axfr"]);
        check(&["--remote=ssh://host/zones"], &["--axfr"]);
        check(&["--remote", "ssh://host/zones"], &["--axfr"]);
        check(&["--axfr=false", "--remote-other=1"], &["--remote=git://10.0.2.2/zones.git"]);
    }
}
