//! Bodies: those we send, in one piece or piece by piece, and those we receive.

use super::Error;
use crate::limits::{HTTP_FRAME_BYTES, HTTP_PATIENCE_SECONDS};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use std::{
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};

/// A body to send.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    /// What is left of a body in one piece.
    Whole(Bytes),
    /// What is left of one in several, the next one last.
    Several(Vec<Bytes>),
    /// Pieces as they come; `None` is the end.
    Pieces(mpsc::Receiver<Option<Bytes>>),
    /// All pieces have gone.
    Ended,
}

/// Where the pieces of a [`Body`] are put. Dropped without [`finish`](Self::finish) it breaks the exchange off, so that the
/// peer never takes half a body for a whole one.
#[derive(Debug)]
pub struct BodySender(mpsc::Sender<Option<Bytes>>);

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self(Kind::Whole(Bytes::new()))
    }

    /// Several pieces that there are already, one behind the other.
    pub fn several(mut pieces: Vec<Bytes>) -> Self {
        pieces.retain(|piece| !piece.is_empty());
        pieces.reverse();
        Self(Kind::Several(pieces))
    }

    /// A body whose length is not known beforehand.
    pub fn pieces() -> (BodySender, Self) {
        let (sender, receiver) = mpsc::channel(1);
        (BodySender(sender), Self(Kind::Pieces(receiver)))
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(octets: T) -> Self {
        Self(Kind::Whole(octets.into()))
    }
}

impl BodySender {
    /// Hands over the next piece, as soon as the one before is on its way. An error says that nobody takes it any more; the
    /// reason is in the exchange's own outcome.
    pub async fn send(&mut self, piece: impl Into<Bytes>) -> io::Result<()> {
        self.0.send(Some(piece.into())).await.map_err(|_| ErrorKind::BrokenPipe.into())
    }

    /// Says that the body is complete.
    pub async fn finish(self) -> io::Result<()> {
        self.0.send(None).await.map_err(|_| ErrorKind::BrokenPipe.into())
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = match &mut self.0 {
            Kind::Whole(octets) => return Poll::Ready(next_frame(octets)),
            Kind::Several(pieces) => {
                let Some(last) = pieces.last_mut() else { return Poll::Ready(None) };
                let frame = next_frame(last);
                if last.is_empty() {
                    pieces.pop();
                }
                return Poll::Ready(frame);
            }
            Kind::Pieces(receiver) => ready!(receiver.poll_recv(context)),
            Kind::Ended => return Poll::Ready(None),
        };
        match piece {
            Some(Some(octets)) => Poll::Ready(Some(Ok(Frame::data(octets)))),
            Some(None) => {
                self.0 = Kind::Ended;
                Poll::Ready(None)
            }
            None => Poll::Ready(Some(Err(ErrorKind::BrokenPipe.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(octets) => octets.is_empty(),
            Kind::Several(pieces) => pieces.is_empty(),
            Kind::Pieces(_) => false,
            Kind::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(octets) => SizeHint::with_exact(octets.len() as u64),
            Kind::Several(pieces) => {
                SizeHint::with_exact(pieces.iter().map(|piece| piece.len() as u64).sum())
            }
            Kind::Pieces(_) => SizeHint::default(),
            Kind::Ended => SizeHint::with_exact(0),
        }
    }
}

/// The front of a piece that is in memory. Not all of it at once: hyper copies each frame into its buffer to write from, and a slow
/// reader must not cost as much as what it reads.
fn next_frame(octets: &mut Bytes) -> Option<io::Result<Frame<Bytes>>> {
    let length = octets.len().min(HTTP_FRAME_BYTES);
    (length > 0).then(|| Ok(Frame::data(octets.split_to(length))))
}

/// A body that comes in. Dropping it before its end breaks the exchange off.
#[derive(Debug)]
pub struct Received(Incoming);

impl Received {
    pub(super) fn new(incoming: Incoming) -> Self {
        Self(incoming)
    }

    /// The next piece; `None` at the end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        let patience = Duration::from_secs(HTTP_PATIENCE_SECONDS);
        loop {
            let frame = timeout(patience, self.0.frame()).await;
            match frame.map_err(|_| Error::Silent(HTTP_PATIENCE_SECONDS))?.transpose()? {
                None => return Ok(None),
                Some(frame) => match frame.into_data() {
                    Ok(octets) if octets.is_empty() => {}
                    Ok(octets) => return Ok(Some(octets)),
                    Err(_trailers) => {}
                },
            }
        }
    }

    /// The whole body, if it has at most `limit` octets.
    pub async fn whole(mut self, limit: usize) -> Result<Bytes, Error> {
        if self.0.size_hint().lower() > limit as u64 {
            return Err(Error::TooLarge(limit));
        }
        let Some(first) = self.piece().await? else { return Ok(Bytes::new()) };
        let mut whole = BytesMut::from(first);
        while let Some(piece) = self.piece().await? {
            if whole.len() + piece.len() > limit {
                return Err(Error::TooLarge(limit));
            }
            whole.extend_from_slice(&piece);
        }
        if whole.len() > limit { Err(Error::TooLarge(limit)) } else { Ok(whole.freeze()) }
    }
}
