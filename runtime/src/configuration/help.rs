//! `--help` and `--version`.

use super::{Argument, common};

/// Every argument of a service on a line of its own, with what it does.
pub fn help(service: &str, own: &[Argument]) -> String {
    let always = [
        Argument { name: "help", value: "", help: "prints this and exits" },
        Argument { name: "version", value: "", help: "prints name and version and exits" },
    ];
    let all = || own.iter().chain(common::ARGUMENTS).chain(&always);
    let width = all().map(|argument| usage(argument).len()).max().unwrap_or(0);
    let mut text =
        format!("{}\n\nArguments, also keys of the TOML document (without dashes):\n", version(service));
    for argument in all() {
        text.push_str(&format!("  {:width$}  {}\n", usage(argument), argument.help));
    }
    text
}

/// Name and version of a service.
pub fn version(service: &str) -> String {
    format!("skerry {service} {}", env!("CARGO_PKG_VERSION"))
}

fn usage(argument: &Argument) -> String {
    match argument.value {
        "" => format!("--{}", argument.name),
        value => format!("--{}={value}", argument.name),
    }
}
