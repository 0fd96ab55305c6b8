//! Many HTTP connections on which nothing is asked any more.
//!
//! `idlers --server ADDRESS:PORT --path PATH --connections N` opens them, asks once over each, prints `ready`, and keeps them until
//! its standard input ends. Then it asks once more over each: none may have been closed. It prints `kept=N`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idlers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    use lexopt::prelude::*;
    let (mut server, mut path, mut connections) = (None, String::from("/"), 0);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("server") => server = Some(parser.value()?.parse::<SocketAddr>()?),
            Long("path") => path = parser.value()?.string()?,
            Long("connections") => connections = parser.value()?.parse::<usize>()?,
            other => return Err(other.unexpected().into()),
        }
    }
    let server = server.ok_or("--server is needed")?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n");
    let mut streams = Vec::with_capacity(connections);
    for number in 0..connections {
        let open = || -> io::Result<TcpStream> {
            let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            ask(&mut stream, &request)?;
            Ok(stream)
        };
        streams.push(open().map_err(|error| format!("connection {number}: {error}"))?);
    }
    println!("ready");
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    let kept = streams.iter_mut().filter_map(|stream| ask(stream, &request).ok()).count();
    println!("kept={kept}");
    Ok(())
}

/// One request and its whole answer, which comes with a length.
fn ask(stream: &mut TcpStream, request: &str) -> io::Result<()> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        let length = stream.read(&mut piece)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&piece[..length]);
        if is_whole(&answer) {
            return Ok(());
        }
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    answer.len() >= head.len() + 4 + length.unwrap_or(0)
}
