//! Messages from the queue to the collector, for as long as the image runs.
//!
//! Over TCP and TLS a message stays in the queue until the collector's host has acknowledged it and the connection has lived
//! on for [`SYSLOG_KEPT_SECONDS`]: a collector that is killed takes with it what its kernel held for it. After that a new
//! connection begins with everything that is still in the queue, so that messages come twice rather than never.

use super::{Collector, Format, Logger};
use crate::{
    connect::Connect,
    limits::{
        SYSLOG_BATCH_BYTES, SYSLOG_KEPT_SECONDS, SYSLOG_LOOK_MS, SYSLOG_MESSAGE_BYTES,
        SYSLOG_PATIENCE_SECONDS, SYSLOG_PAUSE_LEAST_MS, SYSLOG_PAUSE_MOST_MS,
    },
    network::{Network, TcpStream, UdpOptions, UdpSocket},
    resolver::Resolver,
};
use std::{
    future::pending,
    io::{self, ErrorKind, Write as _},
    net::SocketAddr,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    select,
    time::{Instant, sleep, timeout},
};

/// A stream that knows how much of what was written has arrived.
pub(crate) trait Outlet: AsyncRead + AsyncWrite + Unpin {
    /// Octets that were handed to TCP.
    fn written(&self) -> u64;
    /// How many of them the peer's host has acknowledged.
    fn acknowledged(&self) -> u64;
}

impl Outlet for TcpStream {
    fn written(&self) -> u64 {
        TcpStream::written(self)
    }

    fn acknowledged(&self) -> u64 {
        TcpStream::acknowledged(self)
    }
}

/// Delivers over TCP or TLS, whatever `connector` opens.
pub(crate) async fn over_streams<C>(logger: &'static Logger, connector: C, collector: Collector)
where
    C: Connect<Stream: Outlet>,
{
    let mut pauses = Pauses::default();
    loop {
        logger.until_queued().await;
        let error = match connector.connect(&collector.host, collector.port).await {
            Ok(mut stream) => {
                logger.begin_connection();
                pauses.succeeded(&collector);
                let since = Instant::now();
                let error = deliver(logger, &mut stream).await;
                pauses.lasted(since.elapsed());
                error
            }
            Err(error) => error.to_string(),
        };
        pauses.failed(&collector, error).await;
    }
}

/// Delivers over UDP: what was sent is forgotten.
pub(crate) async fn over_udp(logger: &'static Logger, network: Network, collector: Collector) {
    let mut pauses = Pauses::default();
    loop {
        logger.until_queued().await;
        let error = match send_datagrams(logger, &network, &collector, &mut pauses).await {
            Ok(()) => continue,
            Err(error) => error,
        };
        logger.rewind();
        pauses.failed(&collector, error).await;
    }
}

/// Waits until everything is with the collector.
pub(crate) async fn drained(logger: &Logger) {
    while logger.unacknowledged() > 0 {
        sleep(Duration::from_millis(20)).await;
    }
}

/// How long to wait for the next try, and what was said about the last.
struct Pauses {
    next: Duration,
    said: Option<String>,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { next: Duration::from_millis(SYSLOG_PAUSE_LEAST_MS), said: None }
    }
}

impl Pauses {
    fn succeeded(&mut self, collector: &Collector) {
        if self.said.take().is_some() {
            log::info!("{collector} takes messages again");
        }
    }

    /// After a connection that lasted there is no reason to wait for long.
    fn lasted(&mut self, time: Duration) {
        if time > Duration::from_millis(SYSLOG_PAUSE_MOST_MS) {
            self.next = Duration::from_millis(SYSLOG_PAUSE_LEAST_MS);
        }
    }

    /// Says what is wrong, once, and waits, longer from time to time.
    async fn failed(&mut self, collector: &Collector, error: String) {
        if self.said.as_ref() != Some(&error) {
            log::warn!("messages for {collector} wait: {error}");
            self.said = Some(error);
        }
        sleep(self.next).await;
        self.next = (self.next * 2).min(Duration::from_millis(SYSLOG_PAUSE_MOST_MS));
    }
}

/// What the peer has for sure.
struct Progress {
    /// Octets of the stream that end at a position in the queue.
    mark: (u64, u64),
    /// The last position that was acknowledged; the same as of a while ago.
    acknowledged: u64,
    earlier: u64,
    since: Instant,
}

impl Progress {
    /// Whether there is something that was written and not acknowledged.
    fn is_waiting(&self) -> bool {
        self.acknowledged < self.mark.1
    }

    fn note(&mut self, logger: &Logger, stream: &impl Outlet) {
        logger.with_queue(|queue| {
            let (octets, position) = self.mark;
            if stream.acknowledged() >= octets {
                self.acknowledged = position;
                self.mark = (stream.written(), queue.position());
            }
            queue.acknowledge(self.acknowledged);
            if self.since.elapsed() >= Duration::from_secs(SYSLOG_KEPT_SECONDS) {
                queue.release(self.earlier);
                self.earlier = self.acknowledged;
                self.since = Instant::now();
            }
        });
    }
}

/// Writes messages until the connection breaks, and says why it did.
async fn deliver(logger: &Logger, stream: &mut impl Outlet) -> String {
    let start = logger.with_queue(|queue| queue.position()).unwrap_or(0);
    let mut progress = Progress {
        mark: (stream.written(), start),
        acknowledged: start,
        earlier: start,
        since: Instant::now(),
    };
    let (mut batch, mut unwanted) = (Vec::with_capacity(SYSLOG_BATCH_BYTES), [0; 256]);
    loop {
        batch.clear();
        while batch.len() + SYSLOG_MESSAGE_BYTES < SYSLOG_BATCH_BYTES && logger.take_framed(&mut batch) {}
        if !batch.is_empty() {
            let write = async {
                stream.write_all(&batch).await?;
                stream.flush().await
            };
            match timeout(Duration::from_secs(SYSLOG_PATIENCE_SECONDS), write).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return broken(&error),
                Err(_) => return "it takes nothing".to_owned(),
            }
        }
        progress.note(logger, stream);
        if !batch.is_empty() {
            continue;
        }
        logger.tell_losses();
        let (keeps, has_next) =
            logger.with_queue(|queue| (queue.keeps(), queue.has_next())).unwrap_or_default();
        if has_next {
            continue;
        }
        // Soon again while something is under way; and without anything to look after there is no timer: the image sleeps.
        let pause = if progress.is_waiting() { SYSLOG_LOOK_MS } else { 1_000 };
        let look = async { if keeps { sleep(Duration::from_millis(pause)).await } else { pending().await } };
        select! {
            read = stream.read(&mut unwanted) => match read {
                Ok(0) => return "it has closed the connection".to_owned(),
                Ok(_) => {} // A collector has nothing to say.
                Err(error) => return broken(&error),
            },
            () = logger.queued.notified() => {}
            () = look => {}
        }
    }
}

fn broken(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            "the connection broke".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Sends messages until one cannot be sent, which stays in the queue.
async fn send_datagrams(
    logger: &Logger,
    network: &Network,
    collector: &Collector,
    pauses: &mut Pauses,
) -> Result<(), String> {
    let addresses =
        Resolver::new(network).addresses(&collector.host).await.map_err(|error| error.to_string())?;
    let address = addresses.into_iter().find(|address| network.has_source_for(*address));
    let peer = SocketAddr::new(address.ok_or("there is no address to send from yet")?, collector.port);
    let options = UdpOptions { datagrams: 32, bytes: SYSLOG_BATCH_BYTES };
    let socket = UdpSocket::bind(network, 0, options).map_err(|error| error.to_string())?;
    pauses.succeeded(collector);
    let mut message = Vec::with_capacity(SYSLOG_MESSAGE_BYTES);
    loop {
        logger.until_queued().await;
        message.clear();
        if !logger.take_bare(&mut message) {
            continue;
        }
        let sending =
            timeout(Duration::from_secs(SYSLOG_PATIENCE_SECONDS), socket.send_to(&message, peer)).await;
        sending.map_err(|_| "it takes nothing".to_owned())?.map_err(|error| error.to_string())?;
        logger.with_queue(|queue| {
            queue.acknowledge(queue.position());
            queue.release(queue.position());
        });
    }
}

impl Logger {
    /// Waits until there is a message to be written.
    async fn until_queued(&self) {
        while !self.with_queue(|queue| queue.has_next() || queue.keeps()).unwrap_or(false) {
            self.queued.notified().await;
        }
    }

    /// A message as it goes over a stream. Whether there was one.
    fn take_framed(&self, batch: &mut Vec<u8>) -> bool {
        let format = self.format();
        let taken = self.with_queue(|queue| {
            queue.take(batch, |batch, length| {
                // RFC 6587 §3.4.1. Collectors of old want an end of line instead (§3.4.2); there is none in a message.
                if format == Format::Rfc5424 {
                    let _ = write!(batch, "{length} "); // a Vec takes everything
                }
            })
        });
        let taken = taken.unwrap_or(false);
        if taken && format == Format::Rfc3164 {
            batch.push(b'\n');
        }
        taken
    }

    fn take_bare(&self, message: &mut Vec<u8>) -> bool {
        self.with_queue(|queue| queue.take(message, |_, _| ())).unwrap_or(false)
    }

    fn unacknowledged(&self) -> usize {
        self.with_queue(|queue| queue.unacknowledged()).unwrap_or(0)
    }

    fn rewind(&self) {
        self.with_queue(|queue| queue.rewind());
    }

    fn begin_connection(&self) {
        self.rewind();
        self.state().counts.connected += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        connect::NetworkConnector,
        log::{
            Transport,
            testing::{say, with_queue},
        },
        network::{
            TcpListener, TcpOptions,
            testing::{Dice, Faults, Pair, SERVER, run},
        },
    };
    use log::Level;
    use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

    /// Number and times of the messages that a collector read.
    type Read = Rc<RefCell<BTreeMap<u64, u32>>>;

    fn collector(transport: Transport) -> Collector {
        Collector { transport, host: SERVER.to_string(), port: 514 }
    }

    /// Takes the whole messages off the front of what was read (RFC 6587 §3.4.1).
    fn parse(buffer: &mut Vec<u8>, read: &Read) {
        while let Some(blank) = buffer.iter().position(|octet| *octet == b' ') {
            let length: usize = std::str::from_utf8(&buffer[..blank]).unwrap().parse().unwrap();
            if buffer.len() < blank + 1 + length {
                return;
            }
            let message: Vec<u8> = buffer.drain(..blank + 1 + length).skip(blank + 1).collect();
            let message = String::from_utf8(message).unwrap();
            let number = message.rsplit_once("message ").unwrap().1.parse().unwrap();
            *read.borrow_mut().entry(number).or_default() += 1;
        }
    }

    /// Reads connection after connection, and kills itself when the dice say so, with what its kernel has for it.
    async fn unsteady_collector(pair: Pair, seed: u64, kills: u32, read: Read) {
        let mut dice = Dice(seed);
        let mut listener = Some(TcpListener::bind(&pair.server, 514, TcpOptions::default()).unwrap());
        let mut left = kills;
        while let Some(listening) = listener.take() {
            let (mut stream, _) = listening.accept().await;
            let mut buffer = Vec::new();
            let patience = 1 + dice.next() % 20;
            for _ in 0.. {
                if left > 0 && dice.next() % 20 < patience {
                    left -= 1;
                    stream.abort();
                    break;
                }
                let mut piece = vec![0; 1 + (dice.next() % 3_000) as usize];
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => break,
                    Ok(length) => buffer.extend(&piece[..length]),
                }
                parse(&mut buffer, &read);
                sleep(Duration::from_millis(dice.next() % 200)).await;
            }
            drop(listening);
            sleep(Duration::from_millis(dice.next() % 3_000)).await;
            listener = Some(TcpListener::bind(&pair.server, 514, TcpOptions::default()).unwrap());
        }
    }

    /// Every message arrives, however often the collector is killed.
    #[track_caller]
    fn check_nothing_is_lost(seed: u64, kills: u32, faults: Faults) {
        const MESSAGES: u64 = 300;
        run(seed, faults, async |pair| {
            let logger = with_queue(64 * 1024);
            let connector = NetworkConnector::new(&pair.client, TcpOptions::default());
            let read = Read::default();
            crate::spawn(unsteady_collector(pair.clone(), seed, kills, read.clone()));
            crate::spawn(over_streams(logger, connector, collector(Transport::Tcp)));
            for number in 0..MESSAGES {
                say(logger, "t", Level::Info, &format!("message {number}"));
                sleep(Duration::from_millis(20)).await;
            }
            for _ in 0..300 {
                if read.borrow().len() as u64 == MESSAGES
                    && !logger.with_queue(|queue| queue.keeps()).unwrap()
                {
                    break;
                }
                sleep(Duration::from_secs(1)).await;
            }
            let (read, lost) = (read.borrow(), logger.with_queue(|queue| queue.lost).unwrap());
            assert!((0..MESSAGES).all(|number| read.contains_key(&number)), "seed {seed}: {read:?}");
            assert_eq!(lost, 0, "seed {seed}: the queue was large enough");
            if kills == 0 {
                assert!(
                    read.values().all(|times| *times == 1),
                    "seed {seed}: nothing comes twice without cause"
                );
            }
        });
    }

    #[test]
    fn messages_arrive_once_at_a_steady_collector() {
        check_nothing_is_lost(1, 0, Faults::default());
        check_nothing_is_lost(2, 0, Faults { loss: 10, repeat: 5, reorder: 10 });
    }

    #[test]
    fn a_collector_that_is_killed_gets_everything_in_the_end() {
        for seed in 1..6 {
            check_nothing_is_lost(seed, 6, Faults { loss: 5, repeat: 2, reorder: 5 });
        }
    }

    #[test]
    fn datagrams_are_sent_in_order() {
        run(1, Faults::default(), async |pair| {
            let logger = with_queue(4_096);
            let socket = UdpSocket::bind(&pair.server, 514, UdpOptions::default()).unwrap();
            crate::spawn(over_udp(logger, pair.client.clone(), collector(Transport::Udp)));
            for number in 0..3 {
                say(logger, "t", Level::Info, &format!("message {number}"));
            }
            for number in 0..3 {
                let mut buffer = [0; 2_048];
                let (length, _) = socket.receive_from(&mut buffer).await;
                let text = std::str::from_utf8(&buffer[..length]).unwrap();
                assert!(text.starts_with("<30>1 ") && text.ends_with(&format!("message {number}")), "{text}");
            }
            drained(logger).await;
        });
    }
}
