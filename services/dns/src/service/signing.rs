//! Signing as the service sets it up: arguments, the clock that keys go by, and key files that come and go.

use super::Server;
use crate::check::FileKind;
use crate::dnssec::{Denial, Seeds};
use crate::zonefile::ZoneError;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use log::info;
use runtime::{Argument, Stop};
use std::{cell::RefCell, rc::Rc, time::Duration};

/// Seconds after which the clock is looked at, whatever keys do: signatures are made anew days before they end.
const CLOCK_SECONDS: u64 = 3_600;

const DAY: u64 = 86_400;

/// `--dnssec-seed`
pub const SEED: Argument = Argument {
    name: "dnssec-seed",
    value: "SECRET[,SECRET]",
    help: "signs zones without key files by keys derived from this, 32 octets or more in base 64; two to roll over",
};

/// `--dnssec-key-days`
pub const KEY_DAYS: Argument = Argument {
    name: "dnssec-key-days",
    value: "DAYS",
    help: "how long a zone-signing key from the seed signs before the next one does, 14 or more; for ever if not given",
};

/// `--dnssec-denial`
pub const DENIAL: Argument = Argument {
    name: "dnssec-denial",
    value: "nsec|nsec3",
    help: "how it is proved that something does not exist; nsec if not given. Neither lets a zone be walked",
};

/// `--dnssec-cache`
pub const CACHE: Argument = Argument {
    name: "dnssec-cache",
    value: "SIGNATURES",
    help: "signatures of records, and as many of denials, that are kept: each takes 280 octets, with the answers; 8192 if not given",
};

/// What the arguments say.
#[derive(Debug, Default)]
pub struct Settings {
    /// `--dnssec-seed`. Secret.
    pub seed: Option<Seed>,
    /// `--dnssec-key-days`
    pub key_days: Option<u64>,
    /// `--dnssec-denial`
    pub denial: Option<DenialOption>,
    /// `--dnssec-cache`
    pub cache: Option<u32>,
}

/// Seeds, which are not printed.
#[derive(serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Seed(Vec<Vec<u8>>);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl TryFrom<String> for Seed {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Seed, &'static str> {
        let decode = |part: &str| STANDARD.decode(part.trim());
        text.split(',').map(decode).collect::<Result<_, _>>().map(Seed).map_err(|_| "it is not base 64")
    }
}

/// See [`Denial`].
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DenialOption {
    /// By NSEC.
    Nsec,
    /// By NSEC3.
    Nsec3,
}

/// Sets up signing, and starts the task that tells keys the time.
pub fn start(server: &Rc<RefCell<Server>>, settings: Settings) -> Result<(), Stop> {
    let Settings { seed, key_days, denial, cache } = settings;
    let seeds =
        Seeds::new(&seed.map_or_else(Vec::new, |seed| seed.0), key_days.map(|days| days.saturating_mul(DAY)))
            .map_err(|reason| Stop::Failed(format!("--dnssec-seed, --dnssec-key-days: {reason}")))?;
    let denial = match denial {
        Some(DenialOption::Nsec3) => Denial::Nsec3,
        _ => Denial::Nsec,
    };
    let signatures = cache.map_or(crate::dnssec::limits::SIGNATURES, |signatures| signatures as usize);
    server.borrow_mut().authority.sign(seeds, denial, (signatures, signatures));
    tell_time(server);
    let server = server.clone();
    runtime::spawn(async move {
        loop {
            let next = tell_time(&server);
            let until_next =
                next.map_or(CLOCK_SECONDS, |next| next.saturating_sub(now()).clamp(1, CLOCK_SECONDS));
            let to_sign = server.borrow().to_sign.clone();
            let _ = tokio::time::timeout(Duration::from_secs(until_next), to_sign.notified()).await;
        }
    });
    Ok(())
}

fn now() -> u64 {
    platform::clock::wall() / 1_000_000_000
}

fn tell_time(server: &Rc<RefCell<Server>>) -> Option<u64> {
    let server = &mut *server.borrow_mut();
    server.authority.set_fetched(server.has_fetchers());
    let next = server.authority.set_time(now());
    for line in server.authority.signing_news() {
        info!("{line}");
    }
    for zone in server.authority.take_renewed() {
        server.tell(&zone);
    }
    next
}

impl Server {
    /// Takes the keys of a file, of TSIG, for signing or of TLS, instead of those it had before; warnings.
    pub fn load_key_file(&mut self, file: &str, mut text: &[u8]) -> Result<Vec<String>, ZoneError> {
        match FileKind::of(file) {
            FileKind::SigningKey => {}
            FileKind::Identity => {
                let loaded =
                    self.encrypted.load(text).map_err(|error| ZoneError::about(file, error.to_string()));
                return loaded.map(|()| Vec::new());
            }
            _ => {
                self.to_fetch.notify_one();
                return self.keys.load(file, &mut text);
            }
        }
        let text = std::str::from_utf8(text).map_err(|_| ZoneError::about(file, "it is no text"))?;
        self.authority.zones_mut().load_signing_key(file, text)?;
        self.to_sign.notify_one();
        Ok(Vec::new())
    }

    /// Forgets the keys of a file.
    pub fn forget_key_file(&mut self, file: &str) {
        self.keys.forget(file);
        self.to_fetch.notify_one();
        self.authority.zones_mut().forget_signing_key(file);
        self.to_sign.notify_one();
    }
}
