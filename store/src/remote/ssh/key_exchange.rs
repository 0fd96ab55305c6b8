//! Agreeing upon keys (RFC 4253 §7, §8): X25519 with SHA-256 (RFC 8731), and the server's signature over all of it.

use super::{
    host_key::HostKey,
    numbers::{KEX_ECDH_INIT, KEX_ECDH_REPLY, KEXINIT, NEWKEYS},
    transport::{Protection, Transport},
};
use crate::{
    openssh::{
        fingerprint, verify,
        wire::{Reader, Writer},
    },
    remote::Problem,
};
use ring::{
    agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral},
    digest::{Context, SHA256},
    rand::{SecureRandom, SystemRandom},
};
use tokio::io::{AsyncRead, AsyncWrite};

const EXCHANGES: &str = "curve25519-sha256,curve25519-sha256@libssh.org";
const CIPHER: &str = "aes256-gcm@openssh.com";
/// Has no say with GCM, but there has to be one.
const MAC: &str = "hmac-sha2-256";

/// Types of host keys, each with the algorithms it signs by (RFC 8332, 8709, 5656).
pub(super) const HOST_KEYS: [(&str, &[&str]); 4] = [
    ("ssh-ed25519", &["ssh-ed25519"]),
    ("ecdsa-sha2-nistp256", &["ecdsa-sha2-nistp256"]),
    ("ecdsa-sha2-nistp384", &["ecdsa-sha2-nistp384"]),
    ("ssh-rsa", &["rsa-sha2-512", "rsa-sha2-256"]),
];

/// Agrees upon keys with a server that has a key of one of these types, and puts them to use; returns the session's id.
/// Nothing is told to a server that does not have the right key.
pub(super) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    transport: &mut Transport<S>,
    versions: (&str, &[u8]),
    kinds: &[&str],
    pinned: Option<&HostKey>,
) -> Result<Vec<u8>, Problem> {
    let algorithms: Vec<&str> = HOST_KEYS
        .iter()
        .filter(|(kind, _)| kinds.contains(kind))
        .flat_map(|(_, names)| names.iter().copied())
        .collect();
    let ours = proposal(&algorithms.join(","))?;
    transport.send(ours.clone())?;
    let theirs = receive(transport, KEXINIT).await?;
    let host_algorithm = check(&theirs, &algorithms)?;

    let random = SystemRandom::new();
    let failed = |_| Problem::Ssh("no keys can be agreed upon".into());
    let private = EphemeralPrivateKey::generate(&X25519, &random).map_err(failed)?;
    let public = private.compute_public_key().map_err(failed)?;
    transport.send(Writer::message(KEX_ECDH_INIT).string(public.as_ref()))?;
    let reply = receive(transport, KEX_ECDH_REPLY).await?;
    let mut reader = Reader(&reply[1..]);
    let (host_key, their_public, signature) = (reader.string()?, reader.string()?, reader.string()?);
    let secret = agree_ephemeral(private, &UnparsedPublicKey::new(&X25519, their_public), <[u8]>::to_vec)
        .map_err(failed)?;

    // RFC 8731 §3, RFC 5656 §4.
    let exchanged = Writer::default()
        .string(versions.0)
        .string(versions.1)
        .string(&ours.0)
        .string(&theirs)
        .string(host_key)
        .string(public.as_ref())
        .string(their_public)
        .integer(&secret);
    let hash = ring::digest::digest(&SHA256, &exchanged.0);
    if !pinned.is_some_and(|pinned| pinned.matches(host_key)) {
        return Err(Problem::HostKey { seen: fingerprint(host_key), pinned: pinned.is_some() });
    }
    let by_agreement = Reader(signature).string()? == host_algorithm.as_bytes();
    if !by_agreement || verify(host_key, signature, hash.as_ref()).is_err() {
        return Err(Problem::Ssh("the server has not signed with the key it shows".into()));
    }
    transport.send(Writer::message(NEWKEYS))?;
    let derive = |letter| derive(&secret, hash.as_ref(), letter);
    let sealing = Protection::new(derive(b'C').as_ref(), derive(b'A').as_ref())?;
    transport.sealing = Some(sealing);
    receive(transport, NEWKEYS).await?;
    transport.opening = Some(Protection::new(derive(b'D').as_ref(), derive(b'B').as_ref())?);
    Ok(hash.as_ref().to_vec())
}

/// The message that must come now. In the clear nothing else may come in between: the strict order of OpenSSH's PROTOCOL,
/// §1.9, which costs us nothing.
async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
    transport: &mut Transport<S>,
    number: u8,
) -> Result<Vec<u8>, Problem> {
    let message = transport.receive().await?;
    match message[0] {
        other if other == number => Ok(message),
        super::numbers::DISCONNECT => Err(super::disconnected(&message)),
        _ => Err(Problem::Ssh("the server sends something else than keys".into())),
    }
}

/// What we can do (RFC 4253 §7.1).
fn proposal(host_keys: &str) -> Result<Writer, Problem> {
    let mut cookie = [0; 16];
    SystemRandom::new().fill(&mut cookie).map_err(|_| Problem::Ssh("there is no randomness".into()))?;
    let mut message = Writer::message(KEXINIT);
    message.0.extend_from_slice(&cookie);
    for names in [EXCHANGES, host_keys, CIPHER, CIPHER, MAC, MAC, "none", "none", "", ""] {
        message = message.string(names);
    }
    Ok(message.byte(0).number(0))
}

/// Whether the server can do it too; returns by which algorithm it is going to sign.
fn check<'a>(theirs: &[u8], host_keys: &[&'a str]) -> Result<&'a str, Problem> {
    let mut reader = Reader(theirs.get(17..).unwrap_or_default());
    let none = |what: &str| Problem::Ssh(format!("the server has no {what} that we have"));
    let mut chosen = None;
    let ours: [(&str, Vec<&'a str>); 8] = [
        ("key exchange (curve25519-sha256)", EXCHANGES.split(',').collect()),
        ("type of host key", host_keys.to_vec()),
        ("cipher (aes256-gcm@openssh.com)", vec![CIPHER]),
        ("cipher (aes256-gcm@openssh.com)", vec![CIPHER]),
        ("", Vec::new()),
        ("", Vec::new()),
        ("compression (none)", vec!["none"]),
        ("compression (none)", vec!["none"]),
    ];
    for (number, (what, ours)) in ours.into_iter().enumerate() {
        let names = reader.string()?;
        if ours.is_empty() {
            continue;
        }
        let has = |name: &&str| names.split(|&byte| byte == b',').any(|other| other == name.as_bytes());
        let name = ours.into_iter().find(has).ok_or_else(|| none(what))?;
        if number == 1 {
            chosen = Some(name);
        }
    }
    let _languages = (reader.string()?, reader.string()?);
    // RFC 4253 §7.1: a packet sent on a guess. No server sends one.
    if reader.byte()? != 0 {
        return Err(Problem::Ssh("the server guesses at keys".into()));
    }
    chosen.ok_or_else(|| none("type of host key"))
}

/// A key or an initial vector (RFC 4253 §7.2), of which the beginning is used. This is the first exchange, so its hash also
/// is the session's id.
fn derive(secret: &[u8], hash: &[u8], letter: u8) -> ring::digest::Digest {
    let mut context = Context::new(&SHA256);
    context.update(&Writer::default().integer(secret).0);
    context.update(hash);
    context.update(&[letter]);
    context.update(hash);
    context.finish()
}
