//! The DNS image.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run("dns", dns::service::ARGUMENTS, dns::service::serve)
}
