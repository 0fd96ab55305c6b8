//! Boot arguments and a TOML document of any kind: a configuration or one printable line, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime::configuration::{Argument, Configuration, Request, help};
use std::{collections::BTreeMap, ffi::OsString, os::unix::ffi::OsStringExt};

const OWN: &[Argument] = &[
    Argument { name: "port", value: "PORT", help: "a number" },
    Argument { name: "verbose", value: "", help: "a flag" },
    Argument { name: "peers", value: "NAME,...", help: "a list" },
    Argument { name: "mode", value: "fast|slow", help: "one of two" },
    Argument { name: "weights", value: "KEY=NUMBER", help: "a table" },
];

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(dead_code, reason = "only read by Debug")]
struct Options {
    port: Option<u16>,
    #[serde(default)]
    verbose: bool,
    #[serde(default)]
    peers: Vec<String>,
    mode: Option<Mode>,
    #[serde(default)]
    weights: BTreeMap<String, i64>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Fast,
    Slow,
}

/// Arguments are separated by zeros; what follows two of them is the document.
fn split(data: &[u8]) -> (Vec<OsString>, &[u8]) {
    let end = data.windows(2).position(|pair| pair == [0, 0]);
    let (arguments, document) = match end {
        Some(end) => (&data[..end], &data[end + 2..]),
        None => (data, &[][..]),
    };
    let arguments = arguments.split(|&byte| byte == 0).filter(|argument| !argument.is_empty());
    (arguments.map(|argument| OsString::from_vec(argument.to_vec())).collect(), document)
}

fuzz_target!(|data: &[u8]| {
    let (arguments, document) = split(data);
    let outcome = Configuration::load(OWN, arguments, Some(document)).and_then(|request| match request {
        Request::Run(mut configuration) => {
            let common = configuration.take_common()?;
            let options: Options = configuration.service()?;
            Ok(format!("{common:?} {options:?}"))
        }
        Request::Help | Request::Version => Ok(help("fuzz", OWN)),
    });
    if let Err(error) = outcome {
        let line = error.to_string();
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(line.contains("; expected ") && line.chars().count() < 1_000, "{line:?}");
    }
});
