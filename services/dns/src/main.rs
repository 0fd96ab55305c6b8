//! The DNS image.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run_reporting("dns", dns::service::ARGUMENTS, runtime::reports::TLS, dns::service::serve)
}
