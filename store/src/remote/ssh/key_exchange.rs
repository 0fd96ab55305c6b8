//! Agreeing upon keys (RFC 4253 §7, §8, §9): elliptic curves with a hash (RFC 8731, RFC 5656), and the server's signature
//! over all of it. At the beginning of a connection, and again when either side wants new keys.
//!
//! ```text
//!     KEXINIT ⇄ KEXINIT ─► ECDH_INIT ─► ECDH_REPLY ─► our NEWKEYS: sealing ─► their NEWKEYS: opening
//!     └────── nothing of the channel is sent ──────────────┘
//! ```
//!
//! Order is strict where the server does it too (OpenSSH's PROTOCOL, §1.10): packets are counted anew with each key. So
//! nothing can be taken out of the beginning of a connection (CVE-2023-48795).

use super::{
    host_key::HostKey,
    numbers::{KEX_ECDH_INIT, KEX_ECDH_REPLY, KEXINIT, NEWKEYS},
    protection::{Cipher, KEY, Opening, Sealing},
};
use crate::{
    openssh::{
        fingerprint, verify,
        wire::{Reader, Writer},
    },
    remote::Problem,
};
use ring::{
    agreement::{
        self, ECDH_P256, ECDH_P384, EphemeralPrivateKey, PublicKey, UnparsedPublicKey, X25519,
        agree_ephemeral,
    },
    digest::{self, Context, SHA256, SHA384, digest},
    rand::{SecureRandom, SystemRandom},
};

/// How keys are agreed upon: a name of ssh's, a curve and a hash.
type Method = (&'static str, &'static agreement::Algorithm, &'static digest::Algorithm);

const METHODS: [Method; 4] = [
    ("curve25519-sha256", &X25519, &SHA256),
    ("curve25519-sha256@libssh.org", &X25519, &SHA256),
    ("ecdh-sha2-nistp256", &ECDH_P256, &SHA256),
    ("ecdh-sha2-nistp384", &ECDH_P384, &SHA384),
];

/// That our order is strict, and that the server's is.
const STRICT: &str = "kex-strict-c-v00@openssh.com";
const THEIRS_STRICT: &str = "kex-strict-s-v00@openssh.com";

/// Has no say with these ciphers, but there has to be one.
const MAC: &str = "hmac-sha2-256";

/// Types of host keys, each with the algorithms it signs by (RFC 8332, 8709, 5656).
pub(super) const HOST_KEYS: [(&str, &[&str]); 4] = [
    ("ssh-ed25519", &["ssh-ed25519"]),
    ("ecdsa-sha2-nistp256", &["ecdsa-sha2-nistp256"]),
    ("ecdsa-sha2-nistp384", &["ecdsa-sha2-nistp384"]),
    ("ssh-rsa", &["rsa-sha2-512", "rsa-sha2-256"]),
];

/// What stays the same over all exchanges of a connection.
pub(super) struct Terms {
    /// How both sides introduced themselves.
    pub(super) versions: [Vec<u8>; 2],
    /// What the server may sign by, the types of host keys that are asked for.
    pub(super) algorithms: Vec<&'static str>,
    /// The key that it must have; without one it is only told what it has.
    pub(super) pinned: Option<HostKey>,
    /// The session's id, once there is one: the hash of the first exchange.
    pub(super) session: Option<Vec<u8>>,
    /// Whether packets are counted anew with each key.
    pub(super) strict: bool,
}

/// An exchange under way.
pub(super) struct Exchange {
    ours: Vec<u8>,
    state: State,
}

enum State {
    /// The server's KEXINIT.
    Init,
    /// Its half of the key.
    Reply(Box<Half>),
    /// Its NEWKEYS.
    NewKeys(Box<Opening>),
}

/// Our half of a key, and what was agreed upon so far.
struct Half {
    theirs: Vec<u8>,
    chosen: Chosen,
    private: EphemeralPrivateKey,
    public: PublicKey,
}

/// What both sides can do.
struct Chosen {
    method: Method,
    host_algorithm: &'static str,
    /// Ours, theirs.
    ciphers: [Cipher; 2],
    strict: bool,
}

/// What is to be done after a message.
pub(super) enum Step {
    /// This is to be sent.
    Send(Writer),
    /// This is to be sent, and what follows is sealed so. Nothing is told to a server that does not have the right key.
    Seal(Writer, Sealing),
    /// What follows is opened so, and the exchange is over.
    Open(Opening),
}

impl Exchange {
    /// Begins one with a message that is to be sent.
    pub(super) fn begin(terms: &Terms) -> Result<(Self, Writer), Problem> {
        let ours = proposal(terms)?;
        Ok((Self { ours: ours.0.clone(), state: State::Init }, ours))
    }

    /// Whether nothing of the channel may be sent now.
    pub(super) fn is_holding(&self) -> bool {
        !matches!(self.state, State::NewKeys(_))
    }

    /// Whether the server may still send what belongs to the channel.
    pub(super) fn lets_pass(&self) -> bool {
        matches!(self.state, State::Init)
    }

    /// Takes in a message of the server's.
    pub(super) fn handle(
        mut self,
        message: &[u8],
        terms: &mut Terms,
    ) -> Result<(Option<Self>, Step), Problem> {
        match (self.state, message[0]) {
            (State::Init, KEXINIT) => {
                let half = Half::new(message, terms)?;
                let step = Step::Send(Writer::message(KEX_ECDH_INIT).string(half.public.as_ref()));
                self.state = State::Reply(Box::new(half));
                Ok((Some(self), step))
            }
            (State::Reply(half), KEX_ECDH_REPLY) => {
                let (sealing, opening) = half.finish(&self.ours, message, terms)?;
                self.state = State::NewKeys(Box::new(opening));
                Ok((Some(self), Step::Seal(Writer::message(NEWKEYS), sealing)))
            }
            (State::NewKeys(opening), NEWKEYS) => Ok((None, Step::Open(*opening))),
            _ => Err(unexpected()),
        }
    }
}

/// In the clear nothing else may come in between.
pub(super) fn unexpected() -> Problem {
    Problem::Ssh("the server sends something else than keys".into())
}

fn failed(_: ring::error::Unspecified) -> Problem {
    Problem::Ssh("no keys can be agreed upon".into())
}

impl Half {
    fn new(theirs: &[u8], terms: &mut Terms) -> Result<Self, Problem> {
        let chosen = choose(theirs, terms)?;
        let private = EphemeralPrivateKey::generate(chosen.method.1, &SystemRandom::new()).map_err(failed)?;
        let public = private.compute_public_key().map_err(failed)?;
        Ok(Self { theirs: theirs.into(), chosen, private, public })
    }

    /// Both directions' keys, if the server is the right one.
    fn finish(self, ours: &[u8], reply: &[u8], terms: &mut Terms) -> Result<(Sealing, Opening), Problem> {
        let Self { theirs, chosen, private, public } = self;
        let (_, curve, hash) = chosen.method;
        let mut reader = Reader(&reply[1..]);
        let (host_key, their_public, signature) = (reader.string()?, reader.string()?, reader.string()?);
        let their_half = UnparsedPublicKey::new(curve, their_public);
        let secret = agree_ephemeral(private, &their_half, <[u8]>::to_vec).map_err(failed)?;
        // RFC 8731 §3, RFC 5656 §4.
        let exchanged = Writer::default()
            .string(&terms.versions[0])
            .string(&terms.versions[1])
            .string(ours)
            .string(&theirs)
            .string(host_key)
            .string(public.as_ref())
            .string(their_public)
            .integer(&secret);
        let exchanged = digest(hash, &exchanged.0);
        let pinned = terms.pinned.as_ref();
        if !pinned.is_some_and(|pinned| pinned.matches(host_key)) {
            return Err(Problem::HostKey { seen: fingerprint(host_key), pinned: pinned.is_some() });
        }
        let by_agreement = Reader(signature).string()? == chosen.host_algorithm.as_bytes();
        if !by_agreement || verify(host_key, signature, exchanged.as_ref()).is_err() {
            return Err(Problem::Ssh("the server has not signed with the key it shows".into()));
        }
        if terms.session.is_none() {
            terms.strict = chosen.strict;
        }
        let session = terms.session.get_or_insert_with(|| exchanged.as_ref().to_vec());
        let derive = |letter| derive(hash, &secret, exchanged.as_ref(), session, letter);
        let [ours, theirs] = chosen.ciphers;
        let sealing = Sealing::new(ours, &derive(b'C'), &derive(b'A'))?;
        Ok((sealing, Opening::new(theirs, &derive(b'D'), &derive(b'B'))?))
    }
}

/// What we can do (RFC 4253 §7.1).
fn proposal(terms: &Terms) -> Result<Writer, Problem> {
    let mut cookie = [0; 16];
    SystemRandom::new().fill(&mut cookie).map_err(|_| Problem::Ssh("there is no randomness".into()))?;
    let mut message = Writer::message(KEXINIT);
    message.0.extend_from_slice(&cookie);
    let mut methods = METHODS.map(|(name, ..)| name).to_vec();
    if terms.session.is_none() {
        methods.push(STRICT);
    }
    let ciphers = Cipher::ALL.map(|(name, _)| name).join(",");
    let (methods, host_keys) = (methods.join(","), terms.algorithms.join(","));
    for names in [&*methods, &host_keys, &ciphers, &ciphers, MAC, MAC, "none", "none", "", ""] {
        message = message.string(names);
    }
    Ok(message.byte(0).number(0))
}

/// What the server can do too: of each list the first of ours that it has.
fn choose(theirs: &[u8], terms: &Terms) -> Result<Chosen, Problem> {
    let mut reader = Reader(theirs.get(17..).unwrap_or_default());
    let mut lists = Vec::with_capacity(10);
    for _ in 0..10 {
        lists.push(reader.string()?);
    }
    let has = |list: usize, name: &str| {
        lists[list].split(|&byte| byte == b',').any(|other| other == name.as_bytes())
    };
    let none = |what: &str, ours: &[&str]| {
        let ours = ours.join(", ");
        Problem::Ssh(format!("the server has no {what} ({ours}) that we have"))
    };
    let method = METHODS.into_iter().find(|(name, ..)| has(0, name));
    let method = method.ok_or_else(|| none("key exchange", &METHODS.map(|(name, ..)| name)))?;
    let host_algorithm = terms.algorithms.iter().find(|name| has(1, name));
    let host_algorithm = *host_algorithm.ok_or_else(|| none("type of host key", &terms.algorithms))?;
    let strict = if terms.session.is_some() { terms.strict } else { has(0, THEIRS_STRICT) };
    let cipher = |list| {
        let cipher = Cipher::ALL.into_iter().find(|(name, _)| has(list, name));
        match cipher.ok_or_else(|| none("cipher", &Cipher::ALL.map(|(name, _)| name)))?.1 {
            Cipher::ChaCha if !strict => Err(Problem::Ssh(
                "the server has chacha20-poly1305 without strict order, which somebody in between can abuse \
                 (CVE-2023-48795): renew it, or let it have aes256-gcm@openssh.com"
                    .into(),
            )),
            cipher => Ok(cipher),
        }
    };
    let ciphers = [cipher(2)?, cipher(3)?];
    if !has(6, "none") || !has(7, "none") {
        return Err(none("compression", &["none"]));
    }
    // RFC 4253 §7.1: a packet sent on a guess. No server sends one.
    if reader.byte()? != 0 {
        return Err(Problem::Ssh("the server guesses at keys".into()));
    }
    Ok(Chosen { method, host_algorithm, ciphers, strict })
}

/// A key or an initial vector (RFC 4253 §7.2), of which the beginning is used.
fn derive(
    hash: &'static digest::Algorithm,
    secret: &[u8],
    exchanged: &[u8],
    session: &[u8],
    letter: u8,
) -> Vec<u8> {
    let mut context = Context::new(hash);
    context.update(&Writer::default().integer(secret).0);
    context.update(exchanged);
    let mut more = context.clone();
    context.update(&[letter]);
    context.update(session);
    let mut key = context.finish().as_ref().to_vec();
    // Both hashes make at least half of the longest key.
    more.update(&key);
    key.extend_from_slice(more.finish().as_ref());
    key.truncate(KEY);
    key
}
