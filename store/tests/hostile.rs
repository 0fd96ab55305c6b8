//! Servers that are none, or mean harm: everything that they send has an end, and every wait too. Time is virtual.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use runtime::{connect::Connect, tls::Trust};
use std::{cell::Cell, io, rc::Rc};
use store::{
    Limits, Options, Store,
    remote::{Problem, Remote, RemoteError, limits},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::{Duration, Instant, sleep},
};

/// What a server says first, by protocol 2.
const GREETING: &str = "000eversion 2\n000cls-refs\n0012fetch=shallow\n0000";
/// The answer to ls-refs.
const REFERENCES: &str = "003d1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f refs/heads/main\n0000";

/// Gives every connection to a server that says one thing, and then the same again and again.
#[derive(Clone)]
struct Hostile {
    begin: String,
    again: Vec<u8>,
    pause: Duration,
    sent: Rc<Cell<u64>>,
}

impl Connect for Hostile {
    type Stream = DuplexStream;

    async fn connect(&self, _: &str, _: u16) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (mut reader, mut writer) = tokio::io::split(theirs);
        let hostile = self.clone();
        tokio::task::spawn_local(async move {
            let talk = async {
                writer.write_all(hostile.begin.as_bytes()).await?;
                while !hostile.again.is_empty() {
                    writer.write_all(&hostile.again).await?;
                    hostile.sent.set(hostile.sent.get() + hostile.again.len() as u64);
                    // A turn for the others, as a network gives.
                    if hostile.pause.is_zero() {
                        tokio::task::yield_now().await;
                    } else {
                        sleep(hostile.pause).await;
                    }
                }
                std::future::pending::<io::Result<()>>().await
            };
            let mut sink = vec![0; 1024];
            let listen = async { while reader.read(&mut sink).await.is_ok_and(|length| length > 0) {} };
            let _ = tokio::join!(talk, listen);
        });
        Ok(ours)
    }
}

/// What comes of cloning from a server that says `begin` and then `again` for ever, `pause` in between.
#[track_caller]
fn check(begin: &str, again: &[u8], pause: Duration, seconds: u64, expected: fn(&Problem) -> bool) {
    let executor =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&executor, async {
        let begin = begin.to_owned();
        let hostile = Hostile { begin, again: again.to_vec(), pause, sent: Rc::default() };
        let remote = Remote::new("git://h/r#main".parse().unwrap(), hostile.clone(), &Trust::nobody());
        let limits = Limits { pack_bytes: 1 << 20, ..Limits::default() };
        let start = Instant::now();
        let error = Store::clone(remote, Options { limits, ..Options::default() }).await.err().unwrap();
        let RemoteError { problem, .. } = &error;
        assert!(expected(problem), "{error}");
        assert!(start.elapsed() <= Duration::from_secs(seconds), "{} s", start.elapsed().as_secs());
        assert!(hostile.sent.get() < 64 << 20, "{} bytes were taken", hostile.sent.get());
        let message = error.to_string();
        assert!(message.len() < 1_000 && !message.contains('\n'), "{message}");
    });
}

const NEVER: Duration = Duration::ZERO;

fn packet(data: &[u8]) -> Vec<u8> {
    [format!("{:04x}", data.len() + 4).as_bytes(), data].concat()
}

#[test]
fn silence_ends() {
    check("", b"", NEVER, 30, |problem| matches!(problem, Problem::Silent { .. }));
    check(GREETING, b"", NEVER, 30, |problem| matches!(problem, Problem::Silent { .. }));
    let greeting = format!("{GREETING}{REFERENCES}");
    check(&greeting, b"", NEVER, 30, |problem| matches!(problem, Problem::Silent { .. }));
}

#[test]
fn trickling_ends() {
    let second = Duration::from_secs(1);
    check("", b"1", second, limits::OPEN_SECONDS, |problem| matches!(problem, Problem::Slow { .. }));
    let line = packet(b"agent=x\n");
    check("000eversion 2\n", &line, second, limits::OPEN_SECONDS, |problem| {
        matches!(problem, Problem::Slow { .. })
    });
    let pack = format!("{GREETING}{REFERENCES}000dpackfile\n");
    check(&pack, &packet(b"\x01"), second, limits::FETCH_SECONDS + 1, |problem| {
        matches!(problem, Problem::Slow { what: "fetching", .. })
    });
}

#[test]
fn floods_end() {
    check("000eversion 2\n", &packet(b"agent=x\n"), NEVER, 1, |problem| {
        matches!(problem, Problem::Excess(_))
    });
    let reference = packet(format!("{} refs/heads/{}\n", "1f".repeat(20), "x".repeat(9)).as_bytes());
    let many = reference.repeat(1_000);
    check(GREETING, &many, NEVER, 1, |problem| matches!(problem, Problem::Excess("references")));
    let greeting = format!("{GREETING}{REFERENCES}");
    let boundary = packet(format!("shallow {}\n", "1f".repeat(20)).as_bytes()).repeat(100);
    let shallow = format!("{greeting}0011shallow-info\n");
    check(&shallow, &boundary, NEVER, 1, |problem| matches!(problem, Problem::Excess(_)));
    let pack = format!("{greeting}000dpackfile\n");
    for message in [b"\x02working\r".as_slice(), b"\x01"] {
        check(&pack, &packet(message).repeat(10), NEVER, 1, |problem| matches!(problem, Problem::Excess(_)));
    }
    check(&pack, &packet(b"\x01garbage"), NEVER, 1, |problem| matches!(problem, Problem::Content(_)));
}
