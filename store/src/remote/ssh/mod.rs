//! ssh, as far as a client of git needs it: one connection, one program.
//!
//! ```text
//!     open ─► versions ─► key_exchange ─► publickey ─► Channel: git-upload-pack '/path' as a stream
//!              └────────── transport: packets ──────────┘
//! ```
//!
//! | RFC | what |
//! |---|---|
//! | 4251, 4253 | binary packets, new keys within a connection, strict order (OpenSSH's PROTOCOL) |
//! | 5647, 5656, 8731 | `curve25519-sha256`, `ecdh-sha2-nistp256`, `…384`; `aes256-gcm@openssh.com`, `chacha20-poly1305@openssh.com` |
//! | 4252, 8332, 8709 | `publickey` with ed25519 and RSA (SHA-512) |
//! | 4254 | one `session` channel with `env` and `exec` |
//!
//! The server's key is pinned, always. *Unsupported*: passwords, agents, certificates,
//! forwarding, compression. Why this is ours and on ring: docs/decisions/ssh.md.

mod channel;
mod host_key;
mod key_exchange;
pub mod limits;
mod protection;
mod transport;

pub use host_key::HostKey;

use super::{Problem, location::Location, packets::Duplex, printable};
use crate::openssh::{
    PrivateKey,
    wire::{Reader, Writer},
};
use channel::{Channel, other};
use key_exchange::Terms;
use limits::IDLE_PACKETS;
use numbers::{
    DISCONNECT, SERVICE_ACCEPT, SERVICE_REQUEST, USERAUTH_BANNER, USERAUTH_FAILURE, USERAUTH_REQUEST,
    USERAUTH_SUCCESS,
};
use runtime::connect::Connect;
use tokio::io::{AsyncRead, AsyncWrite};
use transport::Transport;

/// How we introduce ourselves (RFC 4253 §4.2).
const VERSION: &str = concat!("SSH-2.0-skerry_", env!("CARGO_PKG_VERSION"));

/// Numbers of messages (RFC 4250 §4.1, RFC 8308).
mod numbers {
    pub const DISCONNECT: u8 = 1;
    pub const IGNORE: u8 = 2;
    pub const UNIMPLEMENTED: u8 = 3;
    pub const DEBUG: u8 = 4;
    pub const SERVICE_REQUEST: u8 = 5;
    pub const SERVICE_ACCEPT: u8 = 6;
    pub const EXT_INFO: u8 = 7;
    pub const KEXINIT: u8 = 20;
    pub const NEWKEYS: u8 = 21;
    pub const KEX_ECDH_INIT: u8 = 30;
    pub const KEX_ECDH_REPLY: u8 = 31;
    pub const USERAUTH_REQUEST: u8 = 50;
    pub const USERAUTH_FAILURE: u8 = 51;
    pub const USERAUTH_SUCCESS: u8 = 52;
    pub const USERAUTH_BANNER: u8 = 53;
    pub const GLOBAL_REQUEST: u8 = 80;
    pub const REQUEST_FAILURE: u8 = 82;
    pub const CHANNEL_OPEN: u8 = 90;
    pub const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
    pub const CHANNEL_OPEN_FAILURE: u8 = 92;
    pub const CHANNEL_WINDOW_ADJUST: u8 = 93;
    pub const CHANNEL_DATA: u8 = 94;
    pub const CHANNEL_EXTENDED_DATA: u8 = 95;
    pub const CHANNEL_EOF: u8 = 96;
    pub const CHANNEL_CLOSE: u8 = 97;
    pub const CHANNEL_REQUEST: u8 = 98;
    pub const CHANNEL_SUCCESS: u8 = 99;
    pub const CHANNEL_FAILURE: u8 = 100;
}

/// Whom we go to, as whom.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Where, and as which user.
    pub location: &'a Location,
    /// Shows that we are that user.
    pub identity: Option<&'a PrivateKey>,
    /// The server's key; without one it is only told what that is.
    pub host_key: Option<&'a HostKey>,
    /// Bytes in one direction after which there are to be new keys; [`limits::REKEY_BYTES`] otherwise.
    pub rekey_bytes: u64,
}

impl Client<'_> {
    /// Runs a command there.
    pub async fn open<C: Connect>(
        &self,
        connector: &C,
        command: &str,
        version2: bool,
    ) -> Result<impl Duplex + 'static, Problem> {
        open(connector, *self, command, version2).await
    }
}

async fn open<C: Connect>(
    connector: &C,
    client: Client<'_>,
    command: &str,
    version2: bool,
) -> Result<Channel<C::Stream>, Problem> {
    let Client { location, identity, host_key, rekey_bytes } = client;
    let environment: &[(&str, &str)] = if version2 { &[("GIT_PROTOCOL", "version=2")] } else { &[] };
    let all = key_exchange::HOST_KEYS.map(|(kind, _)| kind);
    let possible: Vec<&str> =
        all.into_iter().filter(|kind| host_key.is_none_or(|key| key.may_be(kind))).collect();
    // A fingerprint does not say of which type the key is, and a server shows one key at a time: each is asked for in turn.
    let turns: Vec<&[&str]> = match host_key {
        Some(HostKey::Fingerprint(_)) => possible.chunks(1).collect(),
        _ => vec![&possible],
    };
    let mut failure = Problem::Ssh("no server has such a host key".into());
    let mut wrong_key = false;
    for kinds in turns {
        let stream = connector.connect(&location.host, location.port).await.map_err(Problem::Connect)?;
        let algorithms = key_exchange::HOST_KEYS.iter().filter(|(kind, _)| kinds.contains(kind));
        let terms = Terms {
            versions: [VERSION.into(), Vec::new()],
            algorithms: algorithms.flat_map(|(_, names)| names.iter().copied()).collect(),
            pinned: host_key.cloned(),
            session: None,
            strict: false,
        };
        let mut transport = Transport::new(stream, terms, rekey_bytes);
        match transport.open().await {
            Ok(session) => {
                authenticate(&mut transport, &session, location, identity).await?;
                return Channel::open(transport, command, environment).await;
            }
            Err(problem @ Problem::HostKey { .. }) => {
                if !wrong_key {
                    failure = problem;
                }
                wrong_key = true;
            }
            // It has no key of this type.
            Err(problem @ Problem::Ssh(_)) if kinds.len() == 1 && possible.len() > 1 => {
                if !wrong_key {
                    failure = problem;
                }
            }
            Err(problem) => return Err(problem),
        }
    }
    Err(failure)
}

/// Shows that we are who may come in (RFC 4252 §7).
async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    transport: &mut Transport<S>,
    session: &[u8],
    location: &Location,
    identity: Option<&PrivateKey>,
) -> Result<(), Problem> {
    let user = location.user.clone().unwrap_or_else(|| "git".into());
    transport.send(Writer::message(SERVICE_REQUEST).string("ssh-userauth"))?;
    wait(transport, &[SERVICE_ACCEPT]).await?;
    let request = Writer::message(USERAUTH_REQUEST).string(&user).string("ssh-connection");
    let (request, how) = match identity {
        None => (request.string("none"), "no key: give one with --ssh-key"),
        Some(identity) => {
            let request =
                request.string("publickey").byte(1).string(identity.algorithm()).string(identity.public());
            let signed = [&Writer::default().string(session).0[..], &request.0].concat();
            (
                request.string(
                    identity
                        .sign(&signed)
                        .map_err(|_| Problem::Ssh("the key of --ssh-key cannot sign".into()))?,
                ),
                "the key of --ssh-key",
            )
        }
    };
    transport.send(request)?;
    match wait(transport, &[USERAUTH_SUCCESS, USERAUTH_FAILURE]).await? {
        USERAUTH_SUCCESS => Ok(()),
        _ => Err(Problem::Authentication { how, user }),
    }
}

/// Waits for one of these messages; returns which it is.
async fn wait<S: AsyncRead + AsyncWrite + Unpin>(
    transport: &mut Transport<S>,
    numbers: &[u8],
) -> Result<u8, Problem> {
    for _ in 0..IDLE_PACKETS {
        let message = transport.receive().await?;
        match message[0] {
            number if numbers.contains(&number) => return Ok(number),
            USERAUTH_BANNER => {}
            _ => other(transport, &message)?,
        }
    }
    Err(Problem::Ssh("the server talks of other things".into()))
}

/// What the server says when it hangs up (RFC 4253 §11.1).
fn disconnected(message: &[u8]) -> Problem {
    let mut reader = Reader(message.strip_prefix(&[DISCONNECT]).unwrap_or_default());
    let text = reader.number().and_then(|_reason| reader.string());
    Problem::Ssh(format!("the server hangs up: {}", printable(text.unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use tokio::io::{AsyncWriteExt, DuplexStream};

    /// A server that says this, and then nothing.
    struct Says(Vec<u8>);

    impl Connect for Says {
        type Stream = DuplexStream;

        async fn connect(&self, _: &str, _: u16) -> io::Result<DuplexStream> {
            let (ours, mut theirs) = tokio::io::duplex(1 << 20);
            theirs.write_all(&self.0).await?;
            theirs.shutdown().await?;
            // Kept open for what we write.
            std::mem::forget(theirs);
            Ok(ours)
        }
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let executor = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let location = "ssh://git@h/r".parse().unwrap();
        let client = Client { location: &location, identity: None, host_key: None, rekey_bytes: 1 };
        let says = Says(bytes.to_vec());
        let error = executor.block_on(async { open(&says, client, "x", true).await.err().unwrap() });
        assert!(error.to_string().contains(expected), "{error}");
    }

    fn packet(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len() + 5).unwrap().to_be_bytes();
        [b"SSH-2.0-x\r\n", &length[..], &[4], message, &[0; 4]].concat()
    }

    #[test]
    fn hostile_servers_are_refused() {
        check(b"", "closed the connection");
        check(b"HTTP/1.1 400 Bad Request\r\n\r\n", "it says 'HTTP/1.1 400 Bad Request'");
        check(b"SSH-1.5-old\r\n", "speaks SSH-1.5-old");
        check(&[b'x'; 20_000], "what answers there is no git server");
        check(b"SSH-2.0-x\r\n", "closed the connection");
        check(b"SSH-2.0-x\r\n\xff\xff\xff\xff", "a packet that is none");
        check(b"SSH-2.0-x\r\n\0\0\0\x08\xff1234567", "a packet that is none");
        check(&packet(&[]), "a packet that is none");
        check(&packet(&[20]), "a message that ends too early");
        check(&packet(&[21]), "something else than keys");
        check(&packet(&[1, 0, 0, 0, 2, 0, 0, 0, 3, b'b', b'y', b'e']), "the server hangs up: bye");
        let kexinit = [&[20; 17][..], &[0; 45]].concat();
        check(&packet(&kexinit), "no key exchange (curve25519-sha256, ");
    }
}
