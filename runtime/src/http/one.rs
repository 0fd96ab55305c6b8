//! HTTP/1.1 on a connection that costs little while nobody asks anything on it.
//!
//! ```text
//!     at rest: the stream, nothing else ─ first octets ─► hyper: buffers, timers ─ a second without a request ─► at rest
//! ```
//! hyper keeps some 10 KiB for a connection, idle or not, and most connections that are open are idle. So hyper is taken off a
//! connection that has been idle for a moment, and put onto it again when the client says something. A client that is in the middle
//! of a request is never idle, however slow: its time is limited by hyper.

use super::{Body, Error, patient::Patient};
use crate::limits::{HTTP_HEAD_BYTES, HTTP_HEADERS, HTTP_IDLE_SECONDS, HTTP_KEEP_SECONDS, HTTP_REST_SECONDS};
use hyper::{
    Request, Response,
    body::{Bytes, Frame, Incoming, SizeHint},
    server::conn::http1::{self, Connection},
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    cell::Cell,
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{Instant, sleep, timeout},
};

/// Octets that are read at rest. The rest of a request's head hyper reads itself.
const FIRST_OCTETS: usize = 16;

/// A request's answer to be.
pub(super) type Answering = Pin<Box<dyn Future<Output = Response<Body>>>>;

/// Serves until the client closes the connection, is silent for too long, or breaks the rules.
pub(super) async fn serve<H>(mut stream: Patient, handler: H) -> Result<(), Error>
where
    H: Fn(Request<Incoming>) -> Answering + 'static,
{
    let mut handler = Rc::new(handler);
    let mut front = Vec::new();
    let mut patience = HTTP_IDLE_SECONDS; // with somebody who has asked nothing yet
    loop {
        if front.is_empty() {
            let mut first = [0; FIRST_OCTETS];
            let read = timeout(Duration::from_secs(patience), stream.read(&mut first));
            let Ok(read) = read.await else { return close(stream).await };
            match read.map_err(|error| Error::Broken(error.to_string()))? {
                0 => return close(stream).await,
                read => front.extend_from_slice(&first[..read]),
            }
        }
        let (stream_again, handler_again, read) = match Box::pin(converse(stream, handler, front)).await? {
            Some(rest) => rest,
            None => return Ok(()),
        };
        (stream, handler, front) = (stream_again, handler_again, read);
        patience = HTTP_KEEP_SECONDS;
    }
}

/// Ends a connection that is at rest.
async fn close(mut stream: Patient) -> Result<(), Error> {
    let _ = stream.shutdown().await; // nobody is there to be told
    Ok(())
}

/// What a conversation knows of itself.
#[derive(Default)]
struct Activity {
    /// Requests that are being answered, up to the last octet of the body.
    pending: Cell<u32>,
    /// Whether the client has yet to take what was written.
    is_blocked: Cell<bool>,
    /// Whether octets came that are part of no request so far.
    is_reading: Cell<bool>,
    /// Whether anything was read or written since somebody looked.
    is_active: Cell<bool>,
}

/// Stream and handler, and what was read but is no request yet.
type Rest<H> = (Patient, Rc<H>, Vec<u8>);

/// Speaks by hyper, until the connection ends, or has been idle for a moment.
async fn converse<H>(stream: Patient, handler: Rc<H>, front: Vec<u8>) -> Result<Option<Rest<H>>, Error>
where
    H: Fn(Request<Incoming>) -> Answering + 'static,
{
    let activity = Rc::new(Activity::default());
    activity.is_reading.set(true);
    let watched = Watched { stream, front, taken: 0, activity: activity.clone() };
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(HTTP_IDLE_SECONDS));
    builder.max_headers(HTTP_HEADERS).max_header_size(HTTP_HEAD_BYTES).max_buf_size(HTTP_HEAD_BYTES);
    let answerer = Answerer { handler, activity: activity.clone() };
    let mut connection = builder.serve_connection(TokioIo::new(watched), answerer);
    let is_at_rest = until_rest(&mut connection, &activity).await?;
    let parts = connection.into_parts();
    let Watched { stream, front, taken, .. } = parts.io.into_inner();
    if !is_at_rest {
        return close(stream).await.map(|()| None);
    }
    let mut read = parts.read_buf.to_vec();
    read.extend_from_slice(&front[taken..]);
    Ok(Some((stream, parts.service.handler, read)))
}

/// Until the connection ends, or is idle; whether it goes on.
async fn until_rest<H>(
    connection: &mut Connection<TokioIo<Watched>, Answerer<H>>,
    activity: &Activity,
) -> Result<bool, hyper::Error>
where
    H: Fn(Request<Incoming>) -> Answering + 'static,
{
    let rest = Duration::from_secs(HTTP_REST_SECONDS);
    let mut look = pin!(sleep(rest));
    let mut is_at_rest = false;
    poll_fn(|context| {
        loop {
            if let Poll::Ready(outcome) = connection.poll_without_shutdown(context) {
                return Poll::Ready(outcome.map(|()| is_at_rest));
            }
            if is_at_rest || look.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if activity.is_idle() {
                // Ends the conversation at once, since no message is under way and nothing is left to be written.
                Pin::new(&mut *connection).graceful_shutdown();
                is_at_rest = true;
            } else {
                look.as_mut().reset(Instant::now() + rest);
            }
        }
    })
    .await
}

impl Activity {
    /// Whether nothing is under way, nor was since the last look.
    fn is_idle(&self) -> bool {
        let is_active = self.is_active.replace(false);
        self.pending.get() == 0 && !self.is_reading.get() && !self.is_blocked.get() && !is_active
    }
}

/// hyper's view of a handler.
struct Answerer<H> {
    handler: Rc<H>,
    activity: Rc<Activity>,
}

impl<H: Fn(Request<Incoming>) -> Answering> Service<Request<Incoming>> for Answerer<H> {
    type Response = Response<Counted<Body>>;
    type Error = Infallible;
    type Future = Counted<Answering>;

    fn call(&self, request: Request<Incoming>) -> Counted<Answering> {
        self.activity.is_reading.set(false);
        self.activity.is_active.set(true);
        Counted { inner: (self.handler)(request), pending: Pending::new(&self.activity) }
    }
}

/// A request that is being answered, as long as it lives.
struct Pending(Rc<Activity>);

impl Pending {
    fn new(activity: &Rc<Activity>) -> Self {
        activity.pending.set(activity.pending.get() + 1);
        Self(activity.clone())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.set(self.0.pending.get() - 1);
    }
}

/// An answer to be, then its body.
struct Counted<T> {
    inner: T,
    pending: Pending,
}

impl Future for Counted<Answering> {
    type Output = Result<Response<Counted<Body>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.inner.as_mut().poll(context));
        let pending = Pending::new(&self.pending.0);
        Poll::Ready(Ok(response.map(|inner| Counted { inner, pending })))
    }
}

impl hyper::body::Body for Counted<Body> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A stream that says what goes over it, and begins with what was read before.
struct Watched {
    stream: Patient,
    front: Vec<u8>,
    taken: usize,
    activity: Rc<Activity>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.taken < self.front.len() {
            let length = buffer.remaining().min(self.front.len() - self.taken);
            buffer.put_slice(&self.front[self.taken..][..length]);
            self.taken += length;
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.is_reading.set(true);
            self.activity.is_active.set(true);
        }
        outcome
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, octets);
        self.activity.is_active.set(true);
        self.activity.is_blocked.set(outcome.is_pending());
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.activity.is_active.set(true);
        self.activity.is_blocked.set(outcome.is_pending());
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.activity.is_blocked.set(outcome.is_pending());
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{io::DuplexStream, task::LocalSet};

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// A conversation with a server that answers with so many octets, through a pipe of so many; the clock runs as fast as it can.
    fn talk(octets: usize, pipe: usize, client: impl AsyncFnOnce(DuplexStream)) {
        let executor = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        LocalSet::new().block_on(&executor.unwrap(), async move {
            let (ours, theirs) = tokio::io::duplex(pipe);
            crate::spawn(serve(Patient::new(theirs), move |_| {
                Box::pin(async move { Response::new(Body::from(vec![b'x'; octets])) })
            }));
            client(ours).await;
        });
    }

    async fn pause(milliseconds: u64) {
        sleep(Duration::from_millis(milliseconds)).await;
    }

    /// Reads a response with so many octets, and returns its head.
    async fn read(stream: &mut DuplexStream, octets: usize) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.read_exact(&mut vec![0; octets]).await.unwrap();
        String::from_utf8(head).unwrap()
    }

    #[test]
    fn a_connection_goes_on_after_a_rest() {
        talk(10, 65_536, async |mut stream| {
            for rest in [0, 500, 1_500, 10_000, 70_000] {
                pause(rest).await;
                stream.write_all(GET.as_bytes()).await.unwrap();
                let head = read(&mut stream, 10).await;
                assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && !head.contains("connection:"), "{head}");
            }
            let start = Instant::now();
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
            let seconds = start.elapsed().as_secs();
            assert!((HTTP_KEEP_SECONDS..HTTP_KEEP_SECONDS + 5).contains(&seconds), "{seconds}");
        });
    }

    #[test]
    fn requests_at_once_are_answered_one_after_the_other() {
        talk(10, 65_536, async |mut stream| {
            stream.write_all(GET.repeat(3).as_bytes()).await.unwrap();
            stream.write_all(&GET.as_bytes()[..9]).await.unwrap();
            for _ in 0..3 {
                read(&mut stream, 10).await;
            }
            // The rest of the fourth comes after others would have been at rest.
            pause(5_000).await;
            stream.write_all(&GET.as_bytes()[9..]).await.unwrap();
            read(&mut stream, 10).await;
        });
    }

    #[test]
    fn a_head_that_drips_in_is_not_waited_for() {
        talk(10, 65_536, async |mut stream| {
            stream.write_all(GET.as_bytes()).await.unwrap();
            read(&mut stream, 10).await;
            pause(3_000).await;
            let start = Instant::now();
            for octet in "GET / HTTP/1.1\r\nX: ".bytes().chain(std::iter::repeat_n(b'x', 1_000)) {
                pause(900).await;
                if stream.write_all(&[octet]).await.is_err() {
                    break;
                }
            }
            let seconds = start.elapsed().as_secs();
            assert!(seconds < 2 * HTTP_IDLE_SECONDS, "{seconds}");
        });
    }

    #[test]
    fn a_slow_reader_gets_everything() {
        talk(100_000, 1_000, async |mut stream| {
            for _ in 0..2 {
                stream.write_all(GET.as_bytes()).await.unwrap();
                read(&mut stream, 0).await;
                let mut left = 100_000;
                while left > 0 {
                    pause(3_000).await;
                    left -= stream.read(&mut vec![0; left.min(5_000)]).await.unwrap();
                }
            }
        });
    }

    #[test]
    fn who_wants_it_closed_has_it_closed() {
        for request in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"] {
            talk(50_000, 1_000, async |mut stream| {
                stream.write_all(request.as_bytes()).await.unwrap();
                pause(3_000).await;
                let mut all = Vec::new();
                let start = Instant::now();
                stream.read_to_end(&mut all).await.unwrap();
                assert!(all.len() > 50_000 && start.elapsed().as_secs() < 5);
            });
        }
    }
}
