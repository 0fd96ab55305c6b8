//! Echo (RFC 862) over UDP and TCP: the smallest service, and what the cost of a packet is measured with.
//!
//! Build it as an image like any service; on the host it only answers `--help`.

use runtime::{
    Argument, Environment, Stop,
    network::{Endpoints, Responder, TcpListener, TcpOptions},
};
use std::process::ExitCode;
use tokio::io::AsyncWriteExt;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Options {
    #[serde(default = "echo_port")]
    port: u16,
}

fn echo_port() -> u16 {
    7
}

const ARGUMENTS: &[Argument] =
    &[Argument { name: "port", value: "PORT", help: "UDP and TCP port; 7 if not given" }];

struct Echo;

impl Responder for Echo {
    fn respond(&mut self, _: Endpoints, _: &mut [u8], length: usize) -> Option<usize> {
        Some(length)
    }
}

async fn echo(mut environment: Environment) -> Result<(), Stop> {
    let Options { port } = environment.configuration()?;
    let network = environment.network;
    network.respond(port, Box::new(Echo))?;
    let listener = TcpListener::bind(&network, port, TcpOptions::default())?;
    network.addressed().await;
    log::info!("{} echoes on {:?} port {port}", environment.name, network.addresses());
    loop {
        let (stream, peer) = listener.accept().await;
        log::debug!("connection from {peer}");
        runtime::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
            let _ = writer.shutdown().await;
        });
    }
}

fn main() -> ExitCode {
    runtime::run("echo", ARGUMENTS, echo)
}
