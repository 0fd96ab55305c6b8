//! Connections that break and servers that die, at any moment: what was acknowledged is in the repository, once, and what was
//! refused is not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod origin;

use origin::{Daemon, Origin, clone, remote, scenarios::append};
use runtime::connect::Connect;
use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};
use store::{ChangeError, Options, Store};
use support::{HostConnector, run};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Where one connection breaks: after so many bytes in either direction.
#[derive(Clone, Copy)]
struct Cut {
    /// Connections before it, which do not break.
    connections: u32,
    read: usize,
    written: usize,
}

/// A connector of which one connection breaks.
#[derive(Clone)]
struct Breaking {
    cut: Rc<Cell<Option<Cut>>>,
    broke: Rc<Cell<bool>>,
}

impl Connect for Breaking {
    type Stream = BreakingStream;

    async fn connect(&self, host: &str, port: u16) -> io::Result<BreakingStream> {
        let stream = HostConnector.connect(host, port).await?;
        let cut = match self.cut.get() {
            Some(cut) if cut.connections > 0 => {
                self.cut.set(Some(Cut { connections: cut.connections - 1, ..cut }));
                None
            }
            _ => self.cut.take(),
        };
        Ok(BreakingStream { stream, cut, broke: self.broke.clone() })
    }
}

struct BreakingStream {
    stream: TcpStream,
    cut: Option<Cut>,
    broke: Rc<Cell<bool>>,
}

impl BreakingStream {
    fn break_off(&self) -> io::Error {
        self.broke.set(true);
        io::ErrorKind::ConnectionReset.into()
    }
}

impl AsyncRead for BreakingStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(cut) = self.cut else { return Pin::new(&mut self.stream).poll_read(context, buffer) };
        if cut.read == 0 || cut.written == 0 {
            return Poll::Ready(Err(self.break_off()));
        }
        let mut bytes = vec![0; cut.read.min(buffer.remaining())];
        let mut some = ReadBuf::new(&mut bytes);
        let read = Pin::new(&mut self.stream).poll_read(context, &mut some);
        buffer.put_slice(some.filled());
        let length = some.filled().len();
        self.cut = Some(Cut { read: cut.read - length, ..cut });
        read
    }
}

impl AsyncWrite for BreakingStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(cut) = self.cut else { return Pin::new(&mut self.stream).poll_write(context, bytes) };
        if cut.written == 0 {
            return Poll::Ready(Err(self.break_off()));
        }
        let some = &bytes[..bytes.len().min(cut.written)];
        let written = Pin::new(&mut self.stream).poll_write(context, some);
        if let Poll::Ready(Ok(length)) = written {
            self.cut = Some(Cut { written: cut.written - length, ..cut });
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[test]
#[ignore = "needs git daemon"]
fn a_connection_may_break_at_any_byte() {
    let origin = Origin::new("sha1");
    let daemon = Daemon::new(&origin);
    run(async {
        let connector = Breaking { cut: Rc::default(), broke: Rc::default() };
        let remote = remote(&daemon.url(), connector.clone());
        let mut store = Store::clone(remote, Options::default()).await.unwrap();
        let far = usize::MAX;
        let mut expected = Vec::new();
        let mut broken = 0;
        // The push itself takes some 700 bytes out and 600 back; the numbers are primes, so as to hit everything.
        for at in (0..1100).step_by(23) {
            for cut in [
                Cut { connections: 0, read: at, written: far },
                Cut { connections: 0, read: far, written: at },
            ] {
                connector.cut.set(Some(cut));
                connector.broke.set(false);
                let line = format!("{at} {}", if cut.read == far { "written" } else { "read" });
                match append(&mut store, &line, &Cell::new(0)).await {
                    Ok(()) => expected.push(line),
                    Err(ChangeError::Remote(error)) => assert!(error.is_temporary(), "{error}"),
                    Err(error) => panic!("{line}: {error}"),
                }
                connector.cut.set(None);
                broken += u32::from(connector.broke.get());
            }
        }
        assert_eq!(origin.show("log").lines().collect::<Vec<_>>(), expected);
        assert!(broken > 40 && expected.len() > 40, "{broken} broke, {} arrived", expected.len());
        origin.fsck();
    });
}

#[test]
#[ignore = "needs git daemon"]
fn a_server_may_die_at_any_moment() {
    let origin = Origin::new("sha1");
    let daemon = RefCell::new(Daemon::new(&origin));
    // So that there is time to die in: after the pack has come, and after the branch has moved.
    origin.hook("pre-receive", "sleep 0.05");
    origin.hook("post-receive", "sleep 0.05");
    let url = daemon.borrow().url();
    run(async {
        let done = Cell::new(false);
        let writer = async |name: &str| {
            let mut store = clone(&url, Options::default()).await.unwrap();
            let (mut acknowledged, mut unknown) = (Vec::new(), Vec::new());
            for number in 0..40 {
                let line = format!("{name}-{number}");
                match append(&mut store, &line, &Cell::new(0)).await {
                    Ok(()) => acknowledged.push(line),
                    Err(ChangeError::Remote(error)) => assert!(error.is_temporary(), "{error}"),
                    Err(ChangeError::Unknown(_, error)) => {
                        assert!(error.is_temporary(), "{error}");
                        unknown.push(line);
                    }
                    Err(ChangeError::Caller(never)) => match never {},
                }
            }
            (acknowledged, unknown)
        };
        let killer = async {
            let mut times = 0;
            while !done.get() {
                tokio::time::sleep(Duration::from_millis(130 + 37 * (times % 7))).await;
                daemon.borrow_mut().kill();
                // git leaves its locks behind when it is killed; so would any server, and its operator removes them.
                remove_locks(&origin);
                daemon.borrow_mut().start();
                times += 1;
            }
            times
        };
        let writers = async {
            let outcomes = tokio::join!(writer("a"), writer("b"));
            done.set(true);
            outcomes
        };
        let (((acknowledged, unknown), (more, more_unknown)), kills) = tokio::join!(writers, killer);
        let lines: Vec<String> = origin.show("log").lines().map(str::to_owned).collect();
        for line in acknowledged.iter().chain(&more) {
            assert_eq!(lines.iter().filter(|there| *there == line).count(), 1, "{line}");
        }
        let known: Vec<&String> =
            [&acknowledged, &more, &unknown, &more_unknown].into_iter().flatten().collect();
        for line in &lines {
            assert!(known.contains(&line), "{line} was refused, and is there");
        }
        println!("{} acknowledged, {kills} kills", acknowledged.len() + more.len());
        assert!(kills > 5 && acknowledged.len() + more.len() > 10);
        origin.fsck();
    });
}

fn remove_locks(origin: &Origin) {
    for lock in ["refs/heads/main.lock", "HEAD.lock", "packed-refs.lock"] {
        let _ = std::fs::remove_file(origin.bare().join(lock));
    }
}
