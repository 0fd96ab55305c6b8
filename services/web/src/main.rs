//! The web image.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run_reporting("web", web::service::arguments(), runtime::reports::TLS, web::service::serve)
}
