//! Certificates from request to renewal, with Knot DNS as the primary and Pebble as the authority. `cargo xtask test` runs this
//! where they are installed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod keeper;
mod lab;
mod secondary;
