//! The ACME image.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run_reporting("acme", acme::service::ARGUMENTS, runtime::reports::TLS, acme::service::serve)
}
