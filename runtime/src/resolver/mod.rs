//! A stub resolver: names to addresses and other records, through the name servers that the network was told of.
//!
//! ```text
//! lookup ─► cache ─► server 1, server 2, … over UDP, each try with a port and an identifier of its own
//!                        │ cut off
//!                        └► the same server over TCP
//! ```
//! Not here: validation (DNSSEC), search lists, recursion, names of the local link. An image that does not use it does not
//! contain it.

mod cache;
pub mod message;

use crate::{
    limits::{RESOLVER_QUERIES, RESOLVER_ROUNDS, RESOLVER_SERVERS},
    metrics::counted::{self, Lookup},
    network::{Network, TcpOptions, TcpStream, UdpOptions, UdpSocket},
};
use cache::Cache;
use message::{Answer, Name, Question, UDP_OCTETS};
pub use message::{Record, kind};
use std::{
    cell::RefCell,
    fmt, io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};

const PORT: u16 = 53;

/// Patience of the first round; doubled with each.
const PATIENCE: Duration = Duration::from_secs(1);

/// Patience with a server that is asked over TCP.
const TCP_PATIENCE: Duration = Duration::from_secs(5);

/// A stub resolver with its cache. Clones share it.
#[derive(Clone)]
pub struct Resolver(Rc<Inner>);

struct Inner {
    network: Network,
    cache: RefCell<Cache>,
    /// Lookups at a time; others wait for their turn.
    turns: Semaphore,
}

/// Why a lookup has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// It is no name: the caller's fault.
    NotAName,
    /// There is no such name.
    NoSuchName,
    /// The name exists without records of that type.
    NoRecords,
    /// No name server is known: give `--dns`, or wait for a lease.
    NoServers,
    /// No server answered, or none could tell.
    NoAnswer,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAName => "it is not a host name",
            Self::NoSuchName => "there is no such name",
            Self::NoRecords => "the name has no such records",
            Self::NoServers => "no name server is known: give --dns, or wait for a lease",
            Self::NoAnswer => "no name server has an answer; try again later",
        })
    }
}

impl std::error::Error for LookupError {}

/// An answer that holds for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Records(Rc<[Record]>),
    Nothing { exists: bool },
}

impl Found {
    fn records(self) -> Result<Rc<[Record]>, LookupError> {
        match self {
            Self::Records(records) => Ok(records),
            Self::Nothing { exists: true } => Err(LookupError::NoRecords),
            Self::Nothing { exists: false } => Err(LookupError::NoSuchName),
        }
    }
}

impl Resolver {
    /// A resolver that asks the name servers of `network`, whichever those are at the time.
    pub fn new(network: &Network) -> Self {
        let (cache, turns) = (RefCell::default(), Semaphore::new(RESOLVER_QUERIES));
        Self(Rc::new(Inner { network: network.clone(), cache, turns }))
    }

    /// The addresses of a host, of those versions of IP that we have an address of ourselves; IPv6 first (RFC 6724).
    /// An address in writing is its own answer.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let ours = self.0.network.addresses();
        let global = |address: &IpAddr| match address {
            IpAddr::V4(_) => false,
            IpAddr::V6(address) => !address.is_unicast_link_local(),
        };
        let (six, four) = tokio::join!(
            self.family(ours.iter().any(global), host, kind::AAAA),
            self.family(ours.iter().any(IpAddr::is_ipv4), host, kind::A),
        );
        let found: Vec<_> = [&six, &four]
            .into_iter()
            .flatten()
            .flat_map(|records| records.iter().filter_map(Record::address))
            .collect();
        match (found.is_empty(), six, four) {
            (false, ..) => Ok(found),
            // One that failed may have had addresses; that the other has none does not say that there are none.
            (true, Err(error @ LookupError::NoAnswer), _) | (true, _, Err(error)) => Err(error),
            (true, Err(error), _) => Err(error),
            (true, Ok(_), Ok(_)) => Err(LookupError::NoServers), // without an address of ours nobody can be asked
        }
    }

    async fn family(&self, wanted: bool, host: &str, kind: u16) -> Result<Rc<[Record]>, LookupError> {
        if wanted { self.lookup(host, kind).await } else { Ok(Rc::new([])) }
    }

    /// The records of a type (see [`kind`]) at a name or at the name that it is an alias of; at least one.
    pub async fn lookup(&self, name: &str, kind: u16) -> Result<Rc<[Record]>, LookupError> {
        let question = Question { name: Name::parse(name).ok_or(LookupError::NotAName)?, kind };
        let _turn = self.0.turns.acquire().await.expect("the semaphore is never closed");
        // After the wait: somebody may have asked the same.
        let known = self.0.cache.borrow().get(&question, Instant::now());
        if let Some(found) = known {
            counted::lookup(Lookup::Remembered);
            return found.records();
        }
        let asked = self.0.ask(&question).await;
        counted::lookup(if asked.is_ok() { Lookup::Asked } else { Lookup::Failed });
        let (found, seconds) = asked?;
        self.0.cache.borrow_mut().put(question, &found, seconds, Instant::now());
        found.records()
    }
}

impl Inner {
    /// Asks the servers in turn, round after round, for longer each time.
    async fn ask(&self, question: &Question) -> Result<(Found, u32), LookupError> {
        let mut servers = self.network.name_servers();
        servers.truncate(RESOLVER_SERVERS);
        if servers.is_empty() {
            return Err(LookupError::NoServers);
        }
        for round in 0..RESOLVER_ROUNDS {
            for &server in &servers {
                let server = SocketAddr::new(server, PORT);
                match self.ask_server(question, server, PATIENCE * (1 << round)).await {
                    Some(Answer::Records(records)) => {
                        let seconds = records.iter().map(|record| record.seconds).min().unwrap_or(0);
                        return Ok((Found::Records(records.into()), seconds));
                    }
                    Some(Answer::Nothing { exists, seconds }) => {
                        return Ok((Found::Nothing { exists }, seconds.unwrap_or(0)));
                    }
                    _ => {}
                }
            }
        }
        Err(LookupError::NoAnswer)
    }

    async fn ask_server(
        &self,
        question: &Question,
        server: SocketAddr,
        patience: Duration,
    ) -> Option<Answer> {
        let mut answer = self.ask_over_udp(question, server, patience, true).await?;
        if answer == Answer::Misunderstood {
            answer = self.ask_over_udp(question, server, patience, false).await?;
        }
        if answer == Answer::Truncated {
            return timeout(TCP_PATIENCE, self.ask_over_tcp(question, server)).await.ok()?.ok();
        }
        Some(answer)
    }

    /// One datagram, from a port that nobody can guess (RFC 5452 §9.2), and the first that answers it.
    async fn ask_over_udp(
        &self,
        question: &Question,
        server: SocketAddr,
        patience: Duration,
        edns: bool,
    ) -> Option<Answer> {
        let until = Instant::now() + patience;
        let asked = question.message(&entropy(), edns);
        let socket = UdpSocket::bind(&self.network, 0, UdpOptions { datagrams: 16, bytes: 2 * UDP_OCTETS });
        let socket = socket.ok()?;
        socket.send_to(&asked, server).await.ok()?;
        let mut buffer = [0; UDP_OCTETS];
        loop {
            let (length, from) = timeout_at(until, socket.receive_from(&mut buffer)).await.ok()?;
            if from == server {
                match question.read(&asked, &buffer[..length]) {
                    Answer::Foreign => {}
                    answer => return Some(answer),
                }
            }
        }
    }

    async fn ask_over_tcp(&self, question: &Question, server: SocketAddr) -> io::Result<Answer> {
        let options = TcpOptions { receive_buffer: 4_096, send_buffer: 512, ..TcpOptions::default() };
        let mut stream = TcpStream::connect(&self.network, server, options).await?;
        // The case of letters proves nothing that the handshake has not.
        let mut random = entropy();
        random[2..].fill(0);
        let asked = question.message(&random, true);
        stream.write_all(&[&(asked.len() as u16).to_be_bytes()[..], &asked].concat()).await?;
        let length = usize::from(stream.read_u16().await?);
        let mut answer = Vec::new();
        answer.try_reserve_exact(length)?;
        answer.resize(length, 0);
        stream.read_exact(&mut answer).await?;
        Ok(question.read(&asked, &answer))
    }
}

fn entropy() -> [u8; 34] {
    let mut bytes = [0; 34];
    platform::entropy::fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
