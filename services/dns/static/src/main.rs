//! The small DNS image: zones in its content, no git and no TLS.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run_reporting(
        "dns-static",
        dns::service::CONTENT_ARGUMENTS,
        runtime::reports::PLAIN,
        dns::service::serve_content,
    )
}
