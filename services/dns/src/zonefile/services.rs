//! Service parameters of SVCB and HTTPS records (RFC 9460 §2.1 and appendix A).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::rdata::unescape_all;
use super::words::{Words, number, shown};

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const KEYS: [(&str, u16); 9] = [
    ("mandatory", MANDATORY),
    ("alpn", ALPN),
    ("no-default-alpn", NO_DEFAULT_ALPN),
    ("port", 3),
    ("ipv4hint", 4),
    ("ech", 5),
    ("ipv6hint", 6),
    ("dohpath", 7),
    ("ohttp", 8),
];

/// Appends the parameters, in the order of their keys.
pub fn parse(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), String> {
    let mut parameters: Vec<(u16, Vec<u8>)> = Vec::new();
    while !words.is_empty() {
        let token = words.take()?;
        let (name, value) = match token.iter().position(|octet| *octet == b'=') {
            Some(at) if at + 1 == token.len() => (&token[..at], Some(words.take_glued().unwrap_or_default())),
            Some(at) => (&token[..at], Some(&token[at + 1..])),
            None => (token, None),
        };
        let key = key(name)?;
        let mut octets = Vec::new();
        if let Some(value) = value {
            unescape_all(value, &mut octets)?;
        }
        let wrong = |reason: String| format!("the value of {} is wrong: {reason}", shown(name));
        parameters.push((key, wire_value(key, &octets, value.is_some()).map_err(wrong)?));
    }
    parameters.sort();
    check(&parameters)?;
    for (key, value) in parameters {
        let length = u16::try_from(value.len()).map_err(|_| "a value is longer than 65535 octets")?;
        out.extend(key.to_be_bytes());
        out.extend(length.to_be_bytes());
        out.extend(value);
    }
    Ok(())
}

fn key(name: &[u8]) -> Result<u16, String> {
    if let Some((_, key)) = KEYS.iter().find(|(known, _)| known.as_bytes() == name) {
        return Ok(*key);
    }
    let digits = name.strip_prefix(b"key").filter(|digits| !(digits.len() > 1 && digits[0] == b'0'));
    digits
        .and_then(|digits| number(digits).ok())
        .ok_or_else(|| format!("{} is no service parameter", shown(name)))
}

fn wire_value(key: u16, value: &[u8], given: bool) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    match key {
        MANDATORY => {
            let mut keys = list(value)?.iter().map(|name| self::key(name)).collect::<Result<Vec<_>, _>>()?;
            keys.sort_unstable();
            out.extend(keys.iter().flat_map(|key| key.to_be_bytes()));
        }
        ALPN => {
            for name in list(value)? {
                let length = u8::try_from(name.len()).map_err(|_| "a name is longer than 255 octets")?;
                out.push(length);
                out.extend(name);
            }
        }
        NO_DEFAULT_ALPN | 8 if given => return Err("it has none".to_string()),
        NO_DEFAULT_ALPN | 8 => {}
        3 => out.extend(number::<u16>(value)?.to_be_bytes()),
        4 => {
            for text in list(value)? {
                out.extend(parse_as::<Ipv4Addr>(&text)?.octets());
            }
        }
        6 => {
            for text in list(value)? {
                out.extend(parse_as::<Ipv6Addr>(&text)?.octets());
            }
        }
        5 => out = base64(value).ok_or("it is not base 64")?,
        _ => out.extend_from_slice(value),
    }
    Ok(out)
}

/// RFC 9460 appendix A.1: items with commas between them; `\,` and `\\` stand for the character.
fn list(value: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut items = vec![Vec::new()];
    let mut octets = value.iter();
    while let Some(octet) = octets.next() {
        let item = items.last_mut().expect("there is always one, it starts with one");
        match octet {
            b',' => items.push(Vec::new()),
            b'\\' => item.push(*octets.next().ok_or("`\\` at the end")?),
            _ => item.push(*octet),
        }
    }
    if items.iter().any(Vec::is_empty) { Err("an item of the list is empty".to_string()) } else { Ok(items) }
}

fn parse_as<T: std::str::FromStr>(text: &[u8]) -> Result<T, String> {
    let address = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    address.ok_or_else(|| format!("{} is no address", shown(text)))
}

fn base64(value: &[u8]) -> Option<Vec<u8>> {
    let digits = value.strip_suffix(b"==").or(value.strip_suffix(b"=")).unwrap_or(value);
    let (mut out, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for octet in digits {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digit = alphabet.iter().position(|known| known == octet)?;
        (bits, held) = (bits << 6 | digit as u32, held + 6);
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    (held < 6 && !out.is_empty()).then_some(out)
}

/// RFC 9460 §2.2 (no key twice), §7.1.1 (`no-default-alpn` needs `alpn`) and §8 (`mandatory`).
fn check(parameters: &[(u16, Vec<u8>)]) -> Result<(), String> {
    let has = |key: u16| parameters.iter().any(|(other, _)| *other == key);
    if parameters.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err("a service parameter is given twice".to_string());
    }
    if has(NO_DEFAULT_ALPN) && !has(ALPN) {
        return Err("`no-default-alpn` without `alpn`".to_string());
    }
    let mandatory = parameters.iter().find(|(key, _)| *key == MANDATORY).map_or(&[][..], |(_, value)| value);
    let keys: Vec<u16> =
        mandatory.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    if keys.windows(2).any(|pair| pair[0] == pair[1])
        || keys.contains(&MANDATORY)
        || !keys.iter().all(|key| has(*key))
    {
        return Err("`mandatory` lists a key twice, itself, or one that is not there".to_string());
    }
    Ok(())
}
