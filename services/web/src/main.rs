//! The web image.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run("web", web::service::arguments(), web::service::serve)
}
