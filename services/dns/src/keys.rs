//! Which keys there are, and what each may do: its name says so.
//!
//! ```text
//! NAME._update.ZONE                   may change ZONE and zones below it, and transfer and notify
//! PRIMARY.SECONDARY._transfer.ZONE    may transfer and notify; the addresses say who with whom
//! NAME._notify.ZONE                   may notify
//! ```
//!
//! Keys stand in files called `_keys` and `ZONE._keys`, as DNSKEY records with a private algorithm number: `NAME DNSKEY 0 3 163
//! BASE64`. Names are relative to the root there. **What is wrong with a key is told without its secret.**

use std::collections::HashMap;
use std::io::BufRead;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use crate::limits::KEYS;
use crate::name::{HashKey, to_text};
use crate::tsig::{Algorithm, Key};
use crate::zonefile::{self, ZoneError};

/// What a key may do; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Say that a zone has changed (RFC 1996).
    Notify,
    /// Read a whole zone (RFC 5936, RFC 1995).
    Transfer,
    /// Change a zone (RFC 2136).
    Update,
}

/// A key and what its name says.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// The key.
    pub key: Rc<Key>,
    /// What it may do; `None`: nothing but sign queries.
    pub right: Option<Right>,
    /// The name that it may do it to, and to whatever is below; lower case.
    pub domain: Vec<u8>,
    /// Where the domain's zones come from.
    pub primary: Option<IpAddr>,
    /// Who is to be told of changes.
    pub secondary: Option<IpAddr>,
    /// The file it stands in.
    file: String,
}

/// All keys.
#[derive(Debug, Default)]
pub struct Keys {
    by_name: HashMap<Vec<u8>, KeyEntry>,
}

impl Keys {
    /// Whether a file of this name holds keys.
    pub fn is_key_file(file: &str) -> bool {
        file == "_keys" || file.ends_with("._keys")
    }

    /// Takes the keys of a file, instead of those that were read from it before; warnings, one line each. After an error
    /// all is as before.
    pub fn load(&mut self, file: &str, text: &mut dyn BufRead) -> Result<Vec<String>, ZoneError> {
        let zone = zone_of(file)?;
        let (mut entries, mut warnings) = (Vec::<KeyEntry>::new(), Vec::new());
        zonefile::read_keys(text, |owner, data| {
            let name = to_text(owner);
            let entry = match parse(owner, data, file) {
                Ok(entry) if is_at_or_below(owner, &zone) => entry,
                Ok(_) => {
                    warnings.push(format!("{file}: the key {name} is not in the zone {}", to_text(&zone)));
                    return Ok(());
                }
                Err(reason) => {
                    warnings.push(format!("{file}: the key {name} {reason}"));
                    return Ok(());
                }
            };
            let elsewhere = self.by_name.get(entry.key.name()).filter(|other| other.file != file);
            if let Some(other) = elsewhere {
                return Err(format!("the key {name} also stands in {}", other.file));
            }
            if entries.iter().any(|other| other.key.name() == entry.key.name()) {
                return Err(format!("a second key {name}"));
            }
            entries.push(entry);
            Ok(())
        })
        .map_err(|(line, reason)| ZoneError { file: file.to_string(), line, reason })?;
        let others = self.by_name.values().filter(|entry| entry.file != file).count();
        if others + entries.len() > KEYS {
            return Err(ZoneError::about(file, format!("there are more than {KEYS} keys")));
        }
        self.forget(file);
        self.by_name.extend(entries.into_iter().map(|entry| (entry.key.name().to_vec(), entry)));
        Ok(warnings)
    }

    /// Takes a key from an argument: `NAME:ALGORITHM:BASE64`, as `a._update.example.org:SHA256:c2VjcmV0`.
    pub fn add(&mut self, argument: &str) -> Result<(), String> {
        let mut parts = argument.splitn(3, ':');
        let (Some(name), Some(algorithm), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("a key is written NAME:ALGORITHM:BASE64".to_string());
        };
        let number = ALGORITHMS.iter().find(|(_, _, text)| {
            let given = algorithm.get(..5).filter(|prefix| prefix.eq_ignore_ascii_case("hmac-"));
            algorithm[given.map_or(0, str::len)..].eq_ignore_ascii_case(text)
        });
        let (number, ..) = number.ok_or_else(|| format!("the key {name} has an unknown algorithm"))?;
        let line = format!("{name} DNSKEY 0 3 {number} {secret}\n");
        let mut found = Err("a key is written NAME:ALGORITHM:BASE64".to_string());
        let read = zonefile::read_keys(&mut line.as_bytes(), |owner, data| {
            found = parse(owner, data, "--key").map_err(|reason| format!("the key {name} {reason}"));
            Ok(())
        });
        read.map_err(|_| format!("the key {name} is not written NAME:ALGORITHM:BASE64"))?;
        let entry = found?;
        self.by_name.insert(entry.key.name().to_vec(), entry);
        Ok(())
    }

    /// Forgets the keys of a file.
    pub fn forget(&mut self, file: &str) {
        self.by_name.retain(|_, entry| entry.file != file);
    }

    /// The key called so, a name in lower case.
    pub fn find(&self, name: &[u8]) -> Option<&KeyEntry> {
        self.by_name.get(name)
    }

    /// Whether the key may do this to the whole zone: its domain is the zone's name, or above it.
    pub fn allows(&self, key: &Key, right: Right, zone: &[u8]) -> bool {
        let entry = self.find(key.name());
        entry.is_some_and(|entry| entry.right >= Some(right) && is_at_or_below(zone, &entry.domain))
    }

    /// The part of `zone` in which the key may change records: a name at or below which they have to be. A key for a name
    /// inside of the zone may change that name and what is below.
    pub fn update_scope(&self, key: &Key, zone: &[u8]) -> Option<Vec<u8>> {
        let entry = self.find(key.name()).filter(|entry| entry.right == Some(Right::Update))?;
        match is_at_or_below(zone, &entry.domain) {
            true => Some(zone.to_ascii_lowercase()),
            false => is_at_or_below(&entry.domain, zone).then(|| entry.domain.clone()),
        }
    }

    /// All keys, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &KeyEntry> {
        self.by_name.values()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.by_name.len()
    }
}

/// The private algorithm numbers of the family's key files. The first, HMAC-MD5, is refused (RFC 8945 §6).
const ALGORITHMS: [(u8, Algorithm, &str); 5] = [
    (161, Algorithm::Sha1, "SHA1"),
    (162, Algorithm::Sha224, "SHA224"),
    (163, Algorithm::Sha256, "SHA256"),
    (164, Algorithm::Sha384, "SHA384"),
    (165, Algorithm::Sha512, "SHA512"),
];

/// The zone that a file's name says: `_keys` is for all.
fn zone_of(file: &str) -> Result<Vec<u8>, ZoneError> {
    let zone = match file.strip_suffix("._keys") {
        Some(zone) => zone,
        None if file == "_keys" => ".",
        None => return Err(ZoneError::about(file, "key files are called `_keys` or `ZONE._keys`")),
    };
    let name = zonefile::zone_name(zone, &HashKey::new([0; 24]));
    name.map(|name| name.wire().to_vec()).map_err(|reason| ZoneError::about(file, reason))
}

/// A key from the data of its DNSKEY record: flags, protocol, algorithm, secret.
fn parse(owner: &[u8], data: &[u8], file: &str) -> Result<KeyEntry, String> {
    let &[_, _, _, number, ref secret @ ..] = data else { return Err("has no secret".to_string()) };
    if number == 157 {
        return Err("is for HMAC-MD5, which must not be used (RFC 8945 section 6)".to_string());
    }
    let algorithm = ALGORITHMS.iter().find(|(known, ..)| *known == number);
    let (_, algorithm, _) =
        algorithm.ok_or_else(|| format!("has algorithm {number}; 161 to 165 are known"))?;
    if secret.is_empty() {
        return Err("has no secret".to_string());
    }
    let owner = owner.to_ascii_lowercase();
    let (right, before, domain) = operation(&owner);
    let (primary, secondary) = if right == Some(Right::Transfer) { addresses(&before) } else { (None, None) };
    let domain = domain.to_vec();
    let key = Rc::new(Key::new(&owner, *algorithm, secret));
    Ok(KeyEntry { key, right, domain, primary, secondary, file: file.to_string() })
}

/// The operation that a key's name has in it, the rightmost; the labels before, the name behind.
fn operation(name: &[u8]) -> (Option<Right>, Vec<&[u8]>, &[u8]) {
    let (mut labels, mut rest, mut found) = (Vec::new(), name, (None, 0, name));
    while let Some((&length @ 1.., tail)) = rest.split_first() {
        let (label, behind) = tail.split_at(usize::from(length));
        let right = match label {
            b"_update" => Some(Right::Update),
            b"_transfer" => Some(Right::Transfer),
            b"_notify" => Some(Right::Notify),
            _ => None,
        };
        if right.is_some() {
            found = (right, labels.len(), behind);
        }
        labels.push(label);
        rest = behind;
    }
    labels.truncate(found.1);
    (found.0, labels, found.2)
}

/// The addresses that end these labels: the primary's, or the primary's and the secondary's. Of four labels, or of one if it
/// is an IPv6 address.
fn addresses(labels: &[&[u8]]) -> (Option<IpAddr>, Option<IpAddr>) {
    match take_address(labels) {
        None => (None, None),
        Some((last, rest)) => match take_address(rest) {
            None => (Some(last), None),
            Some((first, _)) => (Some(first), Some(last)),
        },
    }
}

fn take_address<'l, 'n>(labels: &'l [&'n [u8]]) -> Option<(IpAddr, &'l [&'n [u8]])> {
    let (last, rest) = labels.split_last()?;
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).ok();
    if let Some(address) = text(last).and_then(|text| text.parse::<Ipv6Addr>().ok()) {
        return Some((IpAddr::V6(address), rest));
    }
    let (rest, four) = labels.split_at(labels.len().checked_sub(4)?);
    let address: Ipv4Addr = text(&four.join(&b'.'))?.parse().ok()?;
    Some((IpAddr::V4(address), rest))
}

/// Whether `name` is `domain` or below it, the case aside; both on the wire, uncompressed.
pub fn is_at_or_below(mut name: &[u8], domain: &[u8]) -> bool {
    loop {
        if name.eq_ignore_ascii_case(domain) {
            return true;
        }
        match name.split_first() {
            Some((&length @ 1.., rest)) => name = rest.get(usize::from(length)..).unwrap_or_default(),
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
        a._update.example.org. DNSKEY 0 3 163 c2VjcmV0 ; a comment\n\
        192.0.2.1.192.0.2.2._transfer.example.org 60 IN DNSKEY 0 3 165 c2VjcmV0c2Vj\n\
        x.192.0.2.1._transfer.example.org. DNSKEY 0 3 161 c2VjcmV0\n\
        2001:db8::1.192.0.2.7._transfer.sub.example.org. DNSKEY 0 3 162 c2VjcmV0\n\
        n._notify.example.org. DNSKEY 0 3 164 c2VjcmV0\n\
        plain.example.org. DNSKEY 0 3 163 c2VjcmV0\n\
        md5._update.example.org. DNSKEY 0 3 157 c2VjcmV0\n\
        a._update.example.com. DNSKEY 0 3 163 c2VjcmV0\n";

    fn wire(name: &str) -> Vec<u8> {
        let name = zonefile::zone_name(name, &HashKey::new([0; 24])).unwrap();
        name.wire().to_vec()
    }

    fn keys() -> Keys {
        let mut keys = Keys::default();
        let warnings = keys.load("example.org._keys", &mut TEXT.as_bytes()).unwrap();
        let expect = [
            "example.org._keys: the key md5._update.example.org. is for HMAC-MD5, which must not be used \
             (RFC 8945 section 6)",
            "example.org._keys: the key a._update.example.com. is not in the zone example.org.",
        ];
        assert_eq!((warnings, keys.count()), (expect.map(String::from).to_vec(), 6));
        keys
    }

    #[track_caller]
    fn check(key: &str, zone: &str, expect: Option<Right>, scope: Option<&str>) {
        let keys = keys();
        let entry = keys.find(&wire(key)).unwrap();
        let most = [Right::Update, Right::Transfer, Right::Notify]
            .into_iter()
            .find(|right| keys.allows(&entry.key, *right, &wire(zone)));
        let within = keys.update_scope(&entry.key, &wire(zone)).map(|scope| to_text(&scope));
        assert_eq!((most, within.as_deref()), (expect, scope));
    }

    #[test]
    fn the_name_says_what_a_key_may_do_and_where() {
        check("a._update.example.org", "example.org", Some(Right::Update), Some("example.org."));
        check("a._update.example.org", "EXAMPLE.org", Some(Right::Update), Some("example.org."));
        check("a._update.example.org", "x.example.org", Some(Right::Update), Some("x.example.org."));
        check("a._update.example.org", "org", None, Some("example.org."));
        check("a._update.example.org", "example.com", None, None);
        check("a._update.example.org", "anexample.org", None, None);
        check("192.0.2.1.192.0.2.2._transfer.example.org", "example.org", Some(Right::Transfer), None);
        check("n._notify.example.org", "example.org", Some(Right::Notify), None);
        check("plain.example.org", "example.org", None, None);
    }

    #[track_caller]
    fn check_addresses(key: &str, primary: Option<&str>, secondary: Option<&str>) {
        let keys = keys();
        let entry = keys.find(&wire(key)).unwrap();
        let address = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        assert_eq!((entry.primary, entry.secondary), (address(primary), address(secondary)));
    }

    #[test]
    fn the_name_of_a_transfer_key_has_addresses() {
        let both = "192.0.2.1.192.0.2.2._transfer.example.org";
        check_addresses(both, Some("192.0.2.1"), Some("192.0.2.2"));
        check_addresses("x.192.0.2.1._transfer.example.org", Some("192.0.2.1"), None);
        let mixed = "2001:db8::1.192.0.2.7._transfer.sub.example.org";
        check_addresses(mixed, Some("2001:db8::1"), Some("192.0.2.7"));
        check_addresses("n._notify.example.org", None, None);
    }

    #[test]
    fn an_error_keeps_the_old_keys_and_the_secret() {
        let mut keys = keys();
        for text in ["k DNSKEY 0 3 163 !secret!\n", "k DNSKEY 0 3\n", "k._update.example.org A 1.2.3.4\n"] {
            let error = keys.load("example.org._keys", &mut text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("example.org._keys:1: ") && !error.contains("secret!"), "{error}");
        }
        let error = keys.load("_keys", &mut "a._update.example.org DNSKEY 0 3 163 AAAA".as_bytes());
        assert_eq!(
            error.unwrap_err().to_string(),
            "_keys:1: the key a._update.example.org. also stands in example.org._keys"
        );
        assert_eq!(keys.count(), 6);
        keys.load("example.org._keys", &mut "".as_bytes()).unwrap();
        assert_eq!(keys.count(), 0);
    }

    #[test]
    fn keys_are_also_arguments() {
        let mut keys = Keys::default();
        assert_eq!(keys.add("a._update.example.org:SHA256:c2VjcmV0"), Ok(()));
        assert_eq!(keys.add("b._update.example.org:hmac-sha512:c2VjcmV0"), Ok(()));
        for wrong in ["a", "a:b", "a:SHA256:!!!", "a:MD5:AAAA", "a b:SHA256:AAAA", "a:SHA256:"] {
            assert!(keys.add(wrong).is_err_and(|error| !error.contains("!!!")), "{wrong}");
        }
        assert_eq!(keys.count(), 2);
        assert_eq!(keys.find(&wire("a._update.example.org")).unwrap().key.algorithm(), Algorithm::Sha256);
    }
}
