//! The small DNS image: zones in its content, no git and no TLS.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run("dns-static", dns::service::CONTENT_ARGUMENTS, dns::service::serve_content)
}
