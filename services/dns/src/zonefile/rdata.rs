//! Record data from its text, field by field as the table of types says, or from `\#` (RFC 3597 §5).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::entry::unescape;
use super::words::{self, Words, number, period, shown};
use super::{location, services};
use crate::name::{HashKey, Name};
use crate::types::{Field, RecordType};

/// Appends the data of a record of type `rtype` to `out`.
pub fn parse(
    rtype: RecordType,
    words: &mut Words<'_, '_>,
    origin: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), String> {
    if words.peek() == Some(b"\\#") {
        generic(words, out)?;
        check_wire(rtype.fields(), out)
            .map_err(|reason| format!("the data is none of type {rtype}: {reason}"))?;
    } else {
        for field in rtype.fields() {
            parse_field(*field, rtype, words, origin, out)?;
        }
    }
    if !words.is_empty() {
        return Err(format!("{} is more than a record of type {rtype} has", shown(words.take()?)));
    }
    if out.len() > usize::from(u16::MAX) {
        return Err("the data is longer than 65535 octets".to_string());
    }
    Ok(())
}

fn generic(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), String> {
    words.take()?;
    let length: u16 = number(words.take()?)?;
    hexadecimal(words, out)?;
    if out.len() != usize::from(length) {
        return Err(format!("{} octets follow, not {length}", out.len()));
    }
    Ok(())
}

fn parse_field(
    field: Field,
    rtype: RecordType,
    words: &mut Words<'_, '_>,
    origin: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), String> {
    match field {
        Field::Ipv4 => out.extend(address::<Ipv4Addr>(words.take()?, "IPv4")?.octets()),
        Field::Ipv6 => out.extend(address::<Ipv6Addr>(words.take()?, "IPv6")?.octets()),
        Field::Name => words::name(words.take()?, origin, out)?,
        Field::U8 => out.push(number(words.take()?)?),
        Field::U16 => out.extend(number::<u16>(words.take()?)?.to_be_bytes()),
        Field::U32 => out.extend(number::<u32>(words.take()?)?.to_be_bytes()),
        Field::Period => out.extend(period(words.take()?)?.to_be_bytes()),
        Field::Time => out.extend(time(words.take()?)?.to_be_bytes()),
        Field::Text => text(words.take()?, out)?,
        Field::Texts => {
            text(words.take()?, out)?;
            while !words.is_empty() {
                text(words.take()?, out)?;
            }
        }
        Field::Tag => tag(words.take()?, out)?,
        Field::LongText => unescape_all(words.take()?, out)?,
        Field::Base64 => base64(words, out)?,
        Field::Hex => hexadecimal(words, out)?,
        Field::Salt => salt(words.take()?, out)?,
        Field::Base32 => base32(words.take()?, out)?,
        Field::TypeBitmap => type_bitmap(words, out)?,
        Field::Type => out.extend(record_type(words.take()?)?.0.to_be_bytes()),
        Field::Algorithm => out.push(algorithm(words.take()?)?),
        Field::CertificateType => out.extend(certificate_type(words.take()?)?.to_be_bytes()),
        Field::Services => services::parse(words, out)?,
        Field::Location => location::parse(words, out)?,
        Field::Prefixes => prefixes(words, out)?,
        Field::Eui48 => groups(words.take()?, b'-', 2, 6, out)?,
        Field::Eui64 => groups(words.take()?, b'-', 2, 8, out)?,
        Field::Node64 => groups(words.take()?, b':', 4, 4, out)?,
        Field::Opaque => {
            return Err(format!(
                "the data of type {rtype} is written as `\\# LENGTH HEXADECIMAL` (RFC 3597)"
            ));
        }
    }
    Ok(())
}

fn address<T: std::str::FromStr>(text: &[u8], family: &str) -> Result<T, String> {
    let address = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    address.ok_or_else(|| format!("{} is no {family} address", shown(text)))
}

/// Appends a token with its escapes replaced.
pub fn unescape_all(mut token: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    while let Some((octet, _)) = unescape(&mut token)? {
        out.push(octet);
    }
    Ok(())
}

fn text(token: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let start = out.len();
    out.push(0);
    unescape_all(token, out)?;
    out[start] = u8::try_from(out.len() - start - 1)
        .map_err(|_| format!("the string {} is longer than 255 octets", shown(token)))?;
    Ok(())
}

fn tag(token: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    // RFC 8659 §4.1
    if token.is_empty() || !token.iter().all(u8::is_ascii_alphanumeric) {
        return Err(format!("{} is no tag: letters and digits only", shown(token)));
    }
    text(token, out)
}

fn record_type(token: &[u8]) -> Result<RecordType, String> {
    RecordType::from_text(token).ok_or_else(|| format!("{} is no record type", shown(token)))
}

fn by_mnemonic(token: &[u8], mnemonics: &[(&str, u16)]) -> Option<u16> {
    mnemonics.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(token)).map(|(_, number)| *number)
}

fn algorithm(token: &[u8]) -> Result<u8, String> {
    let known = [
        ("RSAMD5", 1),
        ("DH", 2),
        ("DSA", 3),
        ("RSASHA1", 5),
        ("DSA-NSEC3-SHA1", 6),
        ("RSASHA1-NSEC3-SHA1", 7),
        ("RSASHA256", 8),
        ("RSASHA512", 10),
        ("ECC-GOST", 12),
        ("ECDSAP256SHA256", 13),
        ("ECDSAP384SHA384", 14),
        ("ED25519", 15),
        ("ED448", 16),
        ("INDIRECT", 252),
        ("PRIVATEDNS", 253),
        ("PRIVATEOID", 254),
    ];
    by_mnemonic(token, &known).map_or_else(|| number(token), |algorithm| Ok(algorithm as u8))
}

fn certificate_type(token: &[u8]) -> Result<u16, String> {
    let known =
        [("PKIX", 1), ("SPKI", 2), ("PGP", 3), ("IPKIX", 4), ("ISPKI", 5), ("IPGP", 6), ("ACPKIX", 7)];
    let known_too = [("IACPKIX", 8), ("URI", 253), ("OID", 254)];
    by_mnemonic(token, &known).or(by_mnemonic(token, &known_too)).map_or_else(|| number(token), Ok)
}

/// RFC 4034 §3.2: seconds since 1970 (at most ten digits), or fourteen digits of a date.
pub fn time(token: &[u8]) -> Result<u32, String> {
    if token.len() != 14 {
        return number(token);
    }
    let wrong = || format!("{} is no time YYYYMMDDHHmmSS", shown(token));
    let part = |from: usize, to: usize| number::<i64>(&token[from..to]).map_err(|_| wrong());
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return Err(wrong());
    }
    // Days since 1970-03-01 in years that begin in March, so that the leap day is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    // Serial number arithmetic (RFC 4034 §3.1.5): the number wraps.
    Ok((((days * 24 + hour) * 60 + minute) * 60 + second) as u32)
}

fn base64(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), String> {
    let (start, mut bits, mut held, mut padding) = (out.len(), 0u32, 0, 0);
    while !words.is_empty() {
        let token = words.take()?;
        for octet in token {
            let value = match octet {
                b'A'..=b'Z' => octet - b'A',
                b'a'..=b'z' => octet - b'a' + 26,
                b'0'..=b'9' => octet - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                b'=' if padding < 2 => {
                    padding += 1;
                    continue;
                }
                _ => return Err(format!("{} is not base 64", shown(token))),
            };
            if padding > 0 {
                return Err(format!("{} goes on behind `=`", shown(token)));
            }
            (bits, held) = (bits << 6 | u32::from(value), held + 6);
            if held >= 8 {
                held -= 8;
                out.push((bits >> held) as u8);
            }
        }
    }
    match (out.len() - start, held, padding) {
        (0, ..) => Err("the record ends too early".to_string()),
        (_, 0, 0) | (_, 2, 0 | 1) | (_, 4, 0 | 2) if bits & ((1 << held) - 1) == 0 => Ok(()),
        _ => Err("the base 64 data is not complete".to_string()),
    }
}

fn hexadecimal(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), String> {
    let mut high = None;
    while !words.is_empty() {
        let token = words.take()?;
        for octet in token {
            let digit = char::from(*octet).to_digit(16);
            let digit = digit.ok_or_else(|| format!("{} is not hexadecimal", shown(token)))? as u8;
            match high.take() {
                None => high = Some(digit << 4),
                Some(high) => out.push(high | digit),
            }
        }
    }
    high.map_or(Ok(()), |_| Err("the number of hexadecimal digits is odd".to_string()))
}

fn salt(token: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let digits = if token == b"-" { b"" } else { token };
    let wrong = || format!("{} is no salt: up to 255 octets in hexadecimal, or `-`", shown(token));
    if !digits.len().is_multiple_of(2) || (digits.is_empty() && token != b"-") {
        return Err(wrong());
    }
    out.push(u8::try_from(digits.len() / 2).map_err(|_| wrong())?);
    for pair in digits.chunks_exact(2) {
        out.push(hex_octet(pair).ok_or_else(wrong)?);
    }
    Ok(())
}

fn hex_octet(pair: &[u8]) -> Option<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16).map(|digit| digit as u8);
    Some(digit(pair[0])? << 4 | digit(pair[1])?)
}

fn base32(token: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let wrong = || format!("{} is not base 32 with the extended alphabet", shown(token));
    let start = out.len();
    out.push(0);
    let (mut bits, mut held) = (0u32, 0);
    for octet in token {
        let digit = char::from(*octet).to_digit(32).ok_or_else(wrong)?;
        (bits, held) = (bits << 5 | digit, held + 5);
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out[start] = u8::try_from(out.len() - start - 1).map_err(|_| wrong())?;
    if held >= 5 || bits & ((1 << held) - 1) != 0 || out[start] == 0 { Err(wrong()) } else { Ok(()) }
}

fn type_bitmap(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), String> {
    let mut types = Vec::new();
    while !words.is_empty() {
        types.push(record_type(words.take()?)?.0);
    }
    types.sort_unstable();
    types.dedup();
    for window in types.chunk_by(|a, b| a >> 8 == b >> 8) {
        let length = window.last().map_or(0, |last| usize::from(last & 0xFF) / 8 + 1);
        out.extend([(window[0] >> 8) as u8, length as u8]);
        let start = out.len();
        out.resize(start + length, 0);
        for number in window {
            out[start + usize::from(number & 0xFF) / 8] |= 0x80 >> (number & 7);
        }
    }
    Ok(())
}

fn groups(token: &[u8], separator: u8, digits: usize, count: usize, out: &mut Vec<u8>) -> Result<(), String> {
    let wrong = || format!("{} is not {count} groups of {digits} hexadecimal digits", shown(token));
    let parts = token.split(|octet| *octet == separator);
    if parts.clone().count() != count || parts.clone().any(|part| part.len() != digits) {
        return Err(wrong());
    }
    for pair in parts.flat_map(|part| part.chunks_exact(2)) {
        out.push(hex_octet(pair).ok_or_else(wrong)?);
    }
    Ok(())
}

/// RFC 3123 §5: `[!]family:address/prefix`, any number of them.
fn prefixes(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), String> {
    while !words.is_empty() {
        let token = words.take()?;
        prefix(token, out).ok_or_else(|| format!("{} is no address prefix", shown(token)))?;
    }
    Ok(())
}

fn prefix(token: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let text = std::str::from_utf8(token).ok()?;
    let negated = text.starts_with('!');
    let (family, rest) = text.trim_start_matches('!').split_once(':')?;
    let (address, length) = rest.split_once('/')?;
    let length: u8 = number(length.as_bytes()).ok()?;
    let (octets, bits) = match family {
        "1" => (address.parse::<Ipv4Addr>().ok()?.octets().to_vec(), 32),
        "2" => (address.parse::<Ipv6Addr>().ok()?.octets().to_vec(), 128),
        _ => return None,
    };
    let used = octets.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    out.extend([0, family.as_bytes()[0] - b'0', length, if negated { 0x80 } else { 0 } | used as u8]);
    out.extend_from_slice(&octets[..used]);
    (length <= bits).then_some(())
}

/// Whether `\#` data can be read as the fields of its type: answers rely on the names in it.
/// Whether data that comes as octets is what these fields make.
pub fn check_wire(fields: &[Field], mut data: &[u8]) -> Result<(), &'static str> {
    let key = HashKey::new([0; 24]);
    for field in fields {
        let short = "it is too short";
        let length = match field {
            Field::Name => Name::root(&key).read(data, &key).map_err(|_| "a name in it is wrong")?,
            Field::U8 | Field::Algorithm => 1,
            Field::U16 | Field::Type | Field::CertificateType => 2,
            Field::Ipv4 | Field::U32 | Field::Period | Field::Time => 4,
            Field::Eui48 => 6,
            Field::Eui64 | Field::Node64 => 8,
            Field::Ipv6 | Field::Location => 16,
            Field::Text | Field::Tag | Field::Salt | Field::Base32 => {
                1 + usize::from(*data.first().ok_or(short)?)
            }
            Field::Texts | Field::Base64 if data.is_empty() => return Err(short),
            Field::Texts => {
                let mut at = 0;
                while let Some(length) = data.get(at) {
                    at += 1 + usize::from(*length);
                }
                at
            }
            _ => data.len(),
        };
        data = data.get(length..).ok_or(short)?;
    }
    if data.is_empty() { Ok(()) } else { Err("it is too long") }
}
