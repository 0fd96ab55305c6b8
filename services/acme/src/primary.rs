//! The primary of a zone, asked by a key: the zone as it is, single records, and changes.

use crate::limits::{EXCHANGE_SECONDS, TRANSFER_SECONDS, ZONE_OCTETS};
use dns::{
    HashKey, Name, Record, RecordType, Zone,
    client::{self, ClientError},
    keys::Keys,
    packet::{Malformed, Packet},
    published::{Change, Changeable},
    transfer::{Outcome, question},
    tsig::Key,
    update,
};
use runtime::{acme::Step, connect::Connect};
use std::{fmt, future::Future, io, rc::Rc, time::Duration};
use tokio::time::timeout;

/// A zone at its primary.
pub struct Primary<C> {
    connector: C,
    host: String,
    port: u16,
    key: Rc<Key>,
    zone: Name,
    hash_key: HashKey,
}

/// Why the primary did not do what it was asked for.
#[derive(Debug)]
pub enum Error {
    /// It cannot be reached.
    Unreachable(io::Error),
    /// It took longer than limits.rs allows.
    Silent,
    /// Its answer is none, or proves nothing.
    Answer(ClientError),
    /// It refuses an update, with this response code.
    Refused(u8),
    /// It has not got the zone as it was before: somebody else changed it.
    Changed,
    /// The update does not fit into a message.
    TooLarge,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => error.fmt(f),
            Self::Silent => f.write_str("the primary takes too long"),
            Self::Answer(error) => write!(f, "the primary: {error}"),
            Self::Refused(5) => f.write_str("the primary refuses the update: check what the key may do"),
            Self::Refused(9) => f.write_str("the primary does not serve the zone, or does not take the key"),
            Self::Refused(rcode) => write!(f, "the primary answers the update with response code {rcode}"),
            Self::Changed => f.write_str("somebody has changed the records in the meantime"),
            Self::TooLarge => f.write_str("there are too many records at one name"),
        }
    }
}

impl std::error::Error for Error {}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        Self::Answer(error)
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Self::Answer(malformed.into())
    }
}

/// NXRRSET and YXRRSET (RFC 2136 §2.2): a condition of the update does not hold.
const CONDITION: [u8; 2] = [7, 8];

impl<C: Connect> Primary<C> {
    /// The zone that the name of `key` says (`NAME:ALGORITHM:BASE64`), at its primary. An error says what is wrong with the
    /// key.
    pub fn new(connector: C, host: &str, port: u16, key: &str) -> Result<Self, String> {
        let mut random = [0; 24];
        platform::entropy::fill(&mut random);
        let hash_key = HashKey::new(random);
        let mut keys = Keys::default();
        keys.add(key)?;
        let entry = keys.iter().next().ok_or("there is no key")?;
        if entry.domain.len() <= 1 {
            return Err("the key's name does not say a zone: NAME._update.ZONE".to_owned());
        }
        let zone = dns::zone_name(dns::to_text(&entry.domain).trim_end_matches('.'), &hash_key)?;
        Ok(Self { connector, host: host.to_owned(), port, key: entry.key.clone(), zone, hash_key })
    }

    /// The zone's name on the wire.
    pub fn zone(&self) -> &[u8] {
        self.zone.wire()
    }

    /// The key.
    pub fn key(&self) -> &Rc<Key> {
        &self.key
    }

    /// A name that certificates have, on the wire.
    pub fn name(&self, text: &str) -> Result<Vec<u8>, String> {
        Ok(dns::zone_name(text, &self.hash_key)?.wire().to_vec())
    }

    /// The zone as it is now.
    pub async fn transfer(&self) -> Result<Box<Zone>, Error> {
        let transfer = async {
            let (key, hash_key) = (Some(&self.key), &self.hash_key);
            let mut stream = self.connect().await?;
            client::transfer(&mut stream, &self.zone, None, key, ZONE_OCTETS, hash_key)
                .await
                .map_err(Error::from)
        };
        match in_time(TRANSFER_SECONDS, transfer).await? {
            Outcome::Whole(zone) => Ok(zone),
            Outcome::UpToDate | Outcome::Differences(_) => Err(Malformed.into()), // nobody asked for it
        }
    }

    /// The records of one type at one name; perhaps none.
    pub async fn lookup(&self, owner: &[u8], rtype: RecordType) -> Result<Vec<Record>, Error> {
        let answer = self.ask(question(owner, rtype, client::random_id())).await?;
        let mut packet = Packet::new(&answer)?;
        for _ in 0..packet.count(0) {
            packet.question()?;
        }
        let answers = (0..packet.count(1)).map(|_| packet.record().map(|entry| entry.record));
        let records = answers.collect::<Result<Vec<_>, _>>()?;
        Ok(records
            .into_iter()
            .filter(|found| found.rtype == rtype && found.owner.eq_ignore_ascii_case(owner))
            .collect())
    }

    /// Changes the zone.
    pub async fn update(&self, request: &update::Request) -> Result<(), Error> {
        let message = request.message(client::random_id());
        if message.len() > usize::from(u16::MAX) - 1_024 {
            return Err(Error::TooLarge); // a signature has to fit as well
        }
        match Packet::new(&self.ask(message).await?)?.rcode() {
            0 => Ok(()),
            rcode if CONDITION.contains(&rcode) => Err(Error::Changed),
            rcode => Err(Error::Refused(rcode)),
        }
    }

    async fn ask(&self, message: Vec<u8>) -> Result<Vec<u8>, Error> {
        let exchange = async {
            let mut stream = self.connect().await?;
            client::ask(&mut stream, message, Some(&self.key)).await.map_err(Error::from)
        };
        in_time(EXCHANGE_SECONDS, exchange).await
    }

    async fn connect(&self) -> Result<C::Stream, Error> {
        self.connector.connect(&self.host, self.port).await.map_err(Error::Unreachable)
    }
}

impl<C: Connect> Changeable for Primary<C> {
    fn name(&self, text: &str) -> Result<Vec<u8>, String> {
        self.name(text)
    }

    fn lookup<'a>(&'a self, owner: &'a [u8], rtype: RecordType) -> Step<'a, Vec<Record>> {
        Box::pin(async move { self.lookup(owner, rtype).await.map_err(|error| error.to_string()) })
    }

    fn change<'a>(&'a self, change: Change<'a>) -> Step<'a, ()> {
        Box::pin(async move { self.update(&change(self.zone())).await.map_err(|error| error.to_string()) })
    }
}

async fn in_time<T>(seconds: u64, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(Duration::from_secs(seconds), step).await.map_err(|_| Error::Silent)?
}
