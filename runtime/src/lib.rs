//! What a service's `main` is made of: event loop, network, configuration, logs.
//!
//! ```text
//!     fn main() ─► run ─┬─ configuration: arguments over a TOML document ─► Environment ─► async service
//!                       ├─ log: lines on the console                                          │ accept, read, write
//!                       └─ event loop: tokio, one thread ── parked? ── idle ─► network ◄──────┘
//!                                                                               │
//!                                                                           platform: frames, clock, sleep
//! ```
//!
//! ```no_run
//! use runtime::{Argument, Environment, Stop, network::{TcpListener, TcpOptions}};
//! use std::process::ExitCode;
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields, rename_all = "kebab-case")]
//! struct Options {
//!     port: Option<u16>,
//! }
//!
//! const ARGUMENTS: &[Argument] =
//!     &[Argument { name: "port", value: "PORT", help: "TCP port that is echoed; 7 if not given" }];
//!
//! async fn echo(mut environment: Environment) -> Result<(), Stop> {
//!     let options: Options = environment.configuration()?;
//!     let listener = TcpListener::bind(&environment.network, options.port.unwrap_or(7), TcpOptions::default())?;
//!     loop {
//!         let (stream, _) = listener.accept().await;
//!         runtime::spawn(async move {
//!             let (mut reader, mut writer) = tokio::io::split(stream);
//!             let _ = tokio::io::copy(&mut reader, &mut writer).await;
//!         });
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     runtime::run("echo", ARGUMENTS, echo)
//! }
//! ```
//!
//! What is not here: threads, files, signals. No unsafe code, no hypervisor, no
//! protocol above TCP and UDP but DHCP, the resolver's DNS, TLS and HTTP. An image holds what its service uses.
//!
//! Reading order: [`run`], [`configuration`], [`network`], [`resolver`], [`connect`], [`tls`], [`http`], [`certificate`], [`acme`], `log`, [`metrics`], [`reports`],
//! [`limits`].

pub mod acme;
pub mod certificate;
pub mod configuration;
pub mod connect;
pub mod content;
mod event_loop;
pub mod http;
pub mod limits;
#[doc(hidden)]
pub mod log;
pub mod metrics;
pub mod network;
pub mod reports;
pub mod resolver;
pub mod tls;

pub use configuration::Argument;
pub use event_loop::{Environment, Stop, run, run_reporting};
pub use tokio::task::spawn_local as spawn;
