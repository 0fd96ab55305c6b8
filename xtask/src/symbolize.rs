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
        for name in address(&line).map_or_else(Vec::new, |address| names(&loader, address)) {
            write(&format!("      {name}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The address of code that a line names: where a fault was, or the call that a frame returns to.
fn address(line: &str) -> Option<u64> {
    let hexadecimal = |digits| u64::from_str_radix(digits, 16).ok();
    match line.strip_prefix("fault: ") {
        Some(fault) => hexadecimal(fault.rsplit_once(" at 0x")?.1),
        // A frame holds the address behind the call.
        None => hexadecimal(line.trim().strip_prefix("frame 0x")?).map(|address| address.saturating_sub(1)),
    }
}

/// The function at `address` and those inlined into it there, innermost first, with file and line.
///
/// The symbol table knows the whole path of a function that was not inlined; the debug information only its last part.
fn names(loader: &addr2line::Loader, address: u64) -> Vec<String> {
    let mut names = Vec::new();
    if let Ok(mut frames) = loader.find_frames(address) {
        while let Ok(Some(frame)) = frames.next() {
            let name = frame.function.and_then(|name| name.demangle().ok().map(|name| name.into_owned()));
            let place = frame.location.and_then(|place| Some(format!(" ({}:{})", place.file?, place.line?)));
            names.push((name.unwrap_or_default(), place.unwrap_or_default()));
        }
    }
    if let Some(symbol) = loader.find_symbol(address) {
        let place = names.pop().map_or_else(String::new, |(_, place)| place);
        names.push((addr2line::demangle_auto(symbol.into(), None).into_owned(), place));
    }
    names.into_iter().map(|(name, place)| name + &place).collect()
}
