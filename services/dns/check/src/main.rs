//! `dns-check`: says what the DNS service would say of zone files, before they are served.
//!
//! Without files it is a pre-receive hook: git writes a line for each ref that is pushed, and takes nothing if the exit
//! status is not 0.

mod files;
mod git;
mod hook;
mod report;

use report::Report;
use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

const HELP: &str = "\
dns-check FILE|DIRECTORY...       checks zone files (named like their zones) and _keys files
dns-check [--branch NAME]         as hooks/pre-receive of a git repository: checks what is pushed
  --branch NAME     the branch that is served; others may be anything, and it may not be deleted
  --serial-warns    a serial number that did not rise is a warning, not an error
Exit status: 0 good, 1 something would not be served, 2 it could not be checked.";

/// What the command line says.
#[derive(Debug, Default)]
struct Options {
    paths: Vec<PathBuf>,
    branch: Option<String>,
    serial_warns: bool,
}

fn main() -> ExitCode {
    let outcome = options().and_then(|options| match options {
        None => Ok(None),
        Some(options) => check(&options).map(Some),
    });
    match outcome {
        Ok(None) => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Some(report)) => report.finish(),
        Err(reason) => {
            eprintln!("dns-check: {reason}");
            ExitCode::from(2)
        }
    }
}

fn check(options: &Options) -> Result<Report, String> {
    let mut report = Report::new(options.serial_warns);
    if options.paths.is_empty() {
        hook::check(std::io::stdin().lock(), options.branch.as_deref(), &mut report)?;
    } else {
        files::check(&options.paths, &mut report)?;
    }
    Ok(report)
}

/// `None` if only help is wanted.
fn options() -> Result<Option<Options>, String> {
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            lexopt::Arg::Long("branch") => {
                let value = parser.value().map_err(|error| error.to_string())?;
                options.branch = Some(value.to_string_lossy().into_owned());
            }
            lexopt::Arg::Long("serial-warns") => options.serial_warns = true,
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => return Ok(None),
            lexopt::Arg::Value(path) => options.paths.push(path.into()),
            other => return Err(format!("{}; --help says what there is", other.unexpected())),
        }
    }
    if options.paths.is_empty() && std::io::stdin().is_terminal() {
        return Ok(None);
    }
    Ok(Some(options))
}
