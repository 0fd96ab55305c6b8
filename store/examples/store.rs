//! A repository from the command line, by the code that images have: to try a remote, and to measure.
//!
//! ```text
//!     cargo run --release --example store -- clone --remote=git://host/repository#main [--depth=1]
//!     cargo run --release --example store -- put zones/example.org --remote=… < file
//! ```

use runtime::connect::Connect;
use std::{
    io::{self, Read},
    process::ExitCode,
    time::{Instant, SystemTime},
};
use store::{
    Edits, Identity, Options, Store, Tree,
    remote::{Arguments, Secret},
};
use tokio::net::TcpStream;

const USAGE: &str =
    "usage: store clone|ls|log|cat PATH|put PATH|remove PATH --remote=URL#BRANCH [--depth=COMMITS|all]
       [--ssh-key=…] [--ssh-host-key=…] [--tls-ca=…] [--allowed-signers=…] [--signing-key=…]";

/// Connects over the host's sockets.
#[derive(Clone)]
struct HostConnector;

impl Connect for HostConnector {
    type Stream = TcpStream;

    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        TcpStream::connect((host, port)).await.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot connect to {host} port {port}: {error}"))
        })
    }
}

fn main() -> ExitCode {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match executor {
        Ok(executor) => tokio::task::LocalSet::new().block_on(&executor, run()),
        Err(error) => Err(error.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("store: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let (words, arguments, options) = parse()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let remote = arguments.remote(HostConnector).map_err(|error| error.to_string())?.ok_or(USAGE)?;
    let begin = Instant::now();
    let mut store = Store::clone(remote, options).await.map_err(|error| error.to_string())?;
    let cloned = begin.elapsed();
    match words[..] {
        ["clone"] => println!(
            "{} {} in {:.3} s: {} objects, {} bytes packed, {} at most in memory",
            store.branch(),
            store.head().map_or_else(|| "empty".to_owned(), |head| head.to_string()),
            cloned.as_secs_f64(),
            store.repository().objects(),
            store.repository().packed_bytes(),
            peak(),
        ),
        ["ls"] => list(&store)?,
        ["log"] => log(&store)?,
        ["cat", path] => {
            let tree = store.tree().map_err(|error| error.to_string())?;
            let content = tree.map(|tree| tree.read(path)).transpose().map_err(|error| error.to_string())?;
            let content = content.flatten().ok_or(format!("{path}: there is no such file"))?;
            io::Write::write_all(&mut io::stdout(), &content).map_err(|error| error.to_string())?;
        }
        ["put", path] => {
            let mut content = Vec::new();
            io::stdin().read_to_end(&mut content).map_err(|error| error.to_string())?;
            change(&mut store, path, Some(content)).await?;
        }
        ["remove", path] => change(&mut store, path, None).await?,
        _ => return Err(USAGE.to_owned()),
    }
    Ok(())
}

fn parse() -> Result<(Vec<String>, Arguments, Options), String> {
    let (mut words, mut arguments, mut depth) = (Vec::new(), Arguments::default(), Some(1));
    for argument in std::env::args().skip(1) {
        match argument.strip_prefix("--").and_then(|option| option.split_once('=')) {
            Some(("remote", value)) => arguments.remote = Some(Secret::new(value)),
            Some(("ssh-key", value)) => arguments.ssh_key = Some(Secret::new(value)),
            Some(("ssh-host-key", value)) => arguments.ssh_host_key = Some(value.to_owned()),
            Some(("tls-ca", value)) => arguments.tls_ca = Some(value.to_owned()),
            Some(("allowed-signers", value)) => arguments.allowed_signers = Some(value.to_owned()),
            Some(("signing-key", value)) => arguments.signing_key = Some(Secret::new(value)),
            Some(("depth", "all")) => depth = None,
            Some(("depth", value)) => depth = Some(value.parse().map_err(|_| USAGE)?),
            Some(_) => return Err(USAGE.to_owned()),
            None => words.push(argument),
        }
    }
    let options = arguments.options().map_err(|error| error.to_string())?;
    Ok((words, arguments, Options { depth, create: true, ..options }))
}

fn list(store: &Store<HostConnector>) -> Result<(), String> {
    let Some(tree) = store.tree().map_err(|error| error.to_string())? else { return Ok(()) };
    tree.walk(&mut |path, existing| {
        println!("{} {path}", existing.id);
        Ok(())
    })
    .map_err(|error| error.to_string())
}

fn log(store: &Store<HostConnector>) -> Result<(), String> {
    let Some(head) = store.head() else { return Ok(()) };
    for (id, commit) in store.repository().log(&head, 1_000).map_err(|error| error.to_string())? {
        println!("{id} {} {}", commit.author.name(), commit.subject());
    }
    Ok(())
}

async fn change(
    store: &mut Store<HostConnector>,
    path: &str,
    content: Option<Vec<u8>>,
) -> Result<(), String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let author = Identity::new("store", "store@localhost", now.try_into().unwrap_or(0));
    let message = format!("{} {path}\n", if content.is_some() { "Write" } else { "Remove" });
    let edit = &mut |_: Option<&Tree<'_>>| {
        let mut edits = Edits::default();
        match &content {
            Some(content) => edits.write(path, content.clone())?,
            None => edits.remove(path)?,
        }
        Ok::<Edits, store::BadPath>(edits)
    };
    let head = store.change(&author, &message, edit).await.map_err(|error| error.to_string())?;
    println!("{}", head.map_or_else(|| "nothing to do".to_owned(), |head| head.to_string()));
    Ok(())
}

/// The most memory that this process ever had, as Linux says it.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}
