//! The other side of the service: asks a primary for its zones, over any stream that carries messages behind their length
//! (RFC 1035 §4.2.2, RFC 9103 where the stream is one of TLS).

use crate::limits::ANSWER_SECONDS;
use crate::name::{HashKey, Name};
use crate::packet::{Malformed, Packet};
use crate::record::Record;
use crate::transfer::{self, Incoming, Outcome, Progress, TransferError};
use crate::tsig::{Answers, CheckError, Key, sign_request};
use crate::types::RecordType;
use std::fmt;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Why there is no answer, or none to be believed.
#[derive(Debug)]
pub enum ClientError {
    /// The connection broke, or the server was silent for too long.
    Io(io::Error),
    /// The signature is missing or wrong; or the server says ours is.
    Signature(CheckError),
    /// The server answers with something else than what was asked for.
    Answer(TransferError),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
                f.write_str("the server closed the connection")
            }
            ClientError::Io(error) => error.fmt(f),
            ClientError::Signature(error) => error.fmt(f),
            ClientError::Answer(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> ClientError {
        ClientError::Io(error)
    }
}

impl From<CheckError> for ClientError {
    fn from(error: CheckError) -> ClientError {
        ClientError::Signature(error)
    }
}

impl From<TransferError> for ClientError {
    fn from(error: TransferError) -> ClientError {
        ClientError::Answer(error)
    }
}

impl From<Malformed> for ClientError {
    fn from(_: Malformed) -> ClientError {
        ClientError::Answer(TransferError::Malformed)
    }
}

/// A random identifier.
pub fn random_id() -> u16 {
    let mut id = [0; 2];
    platform::entropy::fill(&mut id);
    u16::from_ne_bytes(id)
}

/// Seconds since 1970.
pub fn unix_seconds() -> u64 {
    platform::clock::wall() / 1_000_000_000
}

/// Sends a request, signed if there is a key, and returns its only answer, checked and without signature.
pub async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: Vec<u8>,
    key: Option<&Rc<Key>>,
) -> Result<Vec<u8>, ClientError> {
    let id = Packet::new(&request)?.id();
    let mut answers = send(stream, request, key).await?;
    let mut answer = receive(stream).await?;
    check(&mut answers, &mut answer)?;
    let packet = Packet::new(&answer)?;
    match packet.is_answer() && packet.id() == id {
        true => Ok(answer),
        false => Err(Malformed.into()),
    }
}

/// Sends a message as it is and returns the one that comes back, unchecked.
pub async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    message: &[u8],
) -> Result<Vec<u8>, ClientError> {
    send(stream, message.to_vec(), None).await?;
    receive(stream).await
}

/// The SOA record of a zone.
pub async fn soa(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    zone: &[u8],
    key: Option<&Rc<Key>>,
) -> Result<Record, ClientError> {
    let answer = ask(stream, transfer::question(zone, RecordType::SOA, random_id()), key).await?;
    let mut packet = Packet::new(&answer)?;
    if packet.rcode() != 0 {
        return Err(TransferError::Rcode(packet.rcode()).into());
    }
    for _ in 0..packet.count(0) {
        packet.question()?;
    }
    for _ in 0..packet.count(1) {
        let record = packet.record()?.record;
        if record.serial().is_some() && record.owner.eq_ignore_ascii_case(zone) {
            return Ok(record);
        }
    }
    Err(TransferError::Order.into())
}

/// Transfers the zone called `apex`: what changed after the SOA record `since`, or everything. Records may take `room` octets.
/// What it brings is only returned once all of it is proved.
pub async fn transfer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    apex: &Name,
    since: Option<&Record>,
    key: Option<&Rc<Key>>,
    room: usize,
    hash_key: &HashKey,
) -> Result<Outcome, ClientError> {
    let id = random_id();
    let request = transfer::Request::message(apex.wire(), since, id);
    let mut answers = send(stream, request, key).await?;
    let mut incoming = Incoming::new(apex, id, since.and_then(Record::serial), room, hash_key);
    loop {
        let mut message = receive(stream).await?;
        check(&mut answers, &mut message)?;
        if let Progress::Done(outcome) = incoming.handle_message(&message)? {
            // RFC 8945 §5.3.1: the last message has to be signed.
            return match answers.is_none_or(|answers| answers.is_complete()) {
                true => Ok(outcome),
                false => Err(CheckError::Unsigned.into()),
            };
        }
    }
}

async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    mut message: Vec<u8>,
    key: Option<&Rc<Key>>,
) -> Result<Option<Answers>, ClientError> {
    let answers = key.map(|key| sign_request(&mut message, key, unix_seconds()));
    let length = u16::try_from(message.len()).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
    let octets = [&length.to_be_bytes()[..], &message].concat();
    in_time(stream.write_all(&octets)).await?;
    in_time(stream.flush()).await?;
    Ok(answers)
}

async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, ClientError> {
    let mut length = [0; 2];
    in_time(stream.read_exact(&mut length)).await?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    in_time(stream.read_exact(&mut message)).await?;
    Ok(message)
}

fn check(answers: &mut Option<Answers>, message: &mut Vec<u8>) -> Result<(), CheckError> {
    answers.as_mut().map_or(Ok(()), |answers| answers.check(message, unix_seconds()))
}

async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let silent =
        || io::Error::new(ErrorKind::TimedOut, format!("the server is silent for {ANSWER_SECONDS} s"));
    timeout(Duration::from_secs(ANSWER_SECONDS), step).await.map_err(|_| silent())?
}
