//! `cargo xtask symbolize IMAGE`: puts function, file and line behind the addresses of a report.
//!
//! An image has no symbols; the linked file that `image` keeps beside it (`IMAGE.debug`) has. Lines without an address pass
//! unchanged.

use crate::Failure;
use std::{
    io::{BufRead, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Reads a report from standard input and writes it with names to standard output.
pub fn run(arguments: Vec<String>) -> Result<ExitCode, Failure> {
    let [image] = arguments.as_slice() else {
        return Err("symbolize takes an image, and a report on standard input".into());
    };
    let debug = PathBuf::from(format!("{image}.debug"));
    let path = if debug.exists() { debug } else { Path::new(image).to_owned() };
    let loader = addr2line::Loader::new(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let mut write = |text: &str| writeln!(out, "{text}").map_err(|error| error.to_string());
        write(&line)?;
        for address in addresses(&line) {
            for name in names(&loader, address) {
                write(&format!("      {name}"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Addresses of code in a line: what follows "frame" or "at", the places where reports put them.
fn addresses(line: &str) -> Vec<u64> {
    let words: Vec<&str> = line.split([' ', ',', '=']).collect();
    words
        .windows(2)
        .filter(|pair| matches!(pair[0], "frame" | "at" | "rip"))
        .filter_map(|pair| u64::from_str_radix(pair[1].strip_prefix("0x")?, 16).ok())
        .collect()
}

/// The function at `address` and those inlined into it there, innermost first, with file and line.
fn names(loader: &addr2line::Loader, address: u64) -> Vec<String> {
    let mut names = Vec::new();
    let Ok(mut frames) = loader.find_frames(address) else { return names };
    while let Ok(Some(frame)) = frames.next() {
        let function =
            frame.function.as_ref().and_then(|name| name.demangle().ok().map(|name| name.into_owned()));
        let place = frame.location.and_then(|place| Some(format!("{}:{}", place.file?, place.line?)));
        names.push(format!(
            "{} {}",
            function.unwrap_or_else(|| "?".into()),
            place.map_or_else(String::new, |place| format!("({place})"))
        ));
    }
    if names.is_empty()
        && let Some(symbol) = loader.find_symbol(address)
    {
        names.push(symbol.into());
    }
    names
}
