//! The ACME image.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run("acme", acme::service::ARGUMENTS, acme::service::serve)
}
