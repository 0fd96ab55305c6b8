//! Clones a repository and says what that took: the image of `cargo xtask bench store`.

use runtime::{Argument, Environment, Stop, connect::NetworkConnector, network::TcpOptions, tls::Trust};
use std::process::ExitCode;
use store::{
    Options, Store,
    remote::{Location, Remote},
};

const ARGUMENTS: &[Argument] = &[
    Argument { name: "remote", value: "URL#BRANCH", help: "what is cloned" },
    Argument { name: "depth", value: "COMMITS", help: "how much of its history; all if not given" },
];

/// Bytes that the server may be ahead of us.
const RECEIVE_BYTES: usize = 256 * 1024;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Arguments {
    remote: String,
    depth: Option<u32>,
}

async fn clone(mut environment: Environment) -> Result<(), Stop> {
    let Arguments { remote, depth } = environment.configuration()?;
    let location: Location = remote.parse()?;
    let options = TcpOptions { receive_buffer: RECEIVE_BYTES, ..TcpOptions::default() };
    let connector = NetworkConnector::new(&environment.network, options);
    let start = platform::clock::monotonic();
    let store = Store::clone(
        Remote::new(location, connector, &Trust::web()),
        Options { depth, ..Options::default() },
    )
    .await?;
    let milliseconds = (platform::clock::monotonic() - start) / 1_000_000;
    let mut files = 0;
    if let Some(tree) = store.tree()? {
        tree.walk(&mut |_, _| {
            files += 1;
            Ok(())
        })?;
    }
    let repository = store.repository();
    println!(
        "cloned: {files} files, {} objects, {} bytes packed, {milliseconds} ms, {} bytes in use",
        repository.objects(),
        repository.packed_bytes(),
        platform::memory().used,
    );
    // Whoever measures looks at the process now.
    std::future::pending().await
}

fn main() -> ExitCode {
    runtime::run("clone", ARGUMENTS, clone)
}
