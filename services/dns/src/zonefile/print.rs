//! Record data as words of a zone file: the inverse of `rdata`.
//!
//! What is printed is read again before it is handed out; where the octets differ, or a type has no text form here, the
//! words are those of the generic form (RFC 3597 §5), which cannot be misread.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::entry::Entries;
use super::rdata;
use super::words::Words;
use crate::name::to_text;
use crate::record::Record;
use crate::types::{Field, RecordType};

/// How names are written.
#[derive(Clone, Copy, Debug)]
pub struct Spelling<'a> {
    /// What relative names end in, on the wire.
    pub origin: &'a [u8],
    /// Never write a relative name.
    pub absolute: bool,
}

/// The words that stand for `data`.
pub fn words(rtype: RecordType, data: &[u8], spelling: Spelling<'_>) -> Vec<String> {
    let printed = fields(rtype.fields(), data, spelling);
    printed.filter(|words| reads_as(rtype, words, spelling.origin, data)).unwrap_or_else(|| generic(data))
}

/// A whole record as one line, its names absolute.
pub fn record_text(record: &Record) -> String {
    let spelling = Spelling { origin: &[0], absolute: true };
    let data = words(record.rtype, &record.data, spelling).join(" ");
    format!("{} {} {} {data}", to_text(&record.owner), record.ttl, record.rtype)
}

/// A name, relative to the origin where it is below it.
pub fn name(wire: &[u8], spelling: Spelling<'_>) -> String {
    let Some(prefix) = prefix(wire, spelling.origin).filter(|_| !spelling.absolute) else {
        return to_text(wire);
    };
    if prefix.is_empty() {
        return "@".to_string();
    }
    let mut text = to_text(&[prefix, &[0]].concat());
    text.pop();
    text
}

/// The labels of `wire` before those of `origin`; `None` if it is not below, or the origin is the root, where a relative
/// name would be shorter by nothing but its dot.
fn prefix<'a>(wire: &'a [u8], origin: &[u8]) -> Option<&'a [u8]> {
    let mut at = 0;
    while let Some(rest) = wire.get(at..).filter(|rest| rest.len() >= origin.len()) {
        if rest.eq_ignore_ascii_case(origin) {
            return (origin.len() > 1).then_some(&wire[..at]);
        }
        at += 1 + usize::from(*rest.first()?);
    }
    None
}

fn reads_as(rtype: RecordType, words: &[String], origin: &[u8], data: &[u8]) -> bool {
    // The type stands before the data, so that the first word is nobody's owner.
    let text = format!(" {}\n", words.join(" "));
    let mut source = text.as_bytes();
    let mut entries = Entries::new(&mut source);
    let mut out = Vec::new();
    matches!(entries.advance(), Ok(true))
        && rdata::parse(rtype, &mut Words::new(&entries), origin, &mut out).is_ok()
        && rtype.same_data(&out, data)
}

fn generic(data: &[u8]) -> Vec<String> {
    let mut words = vec!["\\#".to_string(), data.len().to_string()];
    if !data.is_empty() {
        words.push(hexadecimal(data));
    }
    words
}

/// `None` where the data is not what the fields say.
fn fields(fields: &[Field], mut data: &[u8], spelling: Spelling<'_>) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for field in fields {
        field_words(*field, &mut data, spelling, &mut words)?;
    }
    data.is_empty().then_some(words)
}

fn field_words(
    field: Field,
    data: &mut &[u8],
    spelling: Spelling<'_>,
    words: &mut Vec<String>,
) -> Option<()> {
    let word = match field {
        Field::Ipv4 => Ipv4Addr::from(array::<4>(data)?).to_string(),
        Field::Ipv6 => Ipv6Addr::from(array::<16>(data)?).to_string(),
        Field::Name => name(take_name(data)?, spelling),
        Field::U8 | Field::Algorithm => take(data, 1)?[0].to_string(),
        Field::U16 | Field::CertificateType => u16::from_be_bytes(array(data)?).to_string(),
        Field::U32 | Field::Period => u32::from_be_bytes(array(data)?).to_string(),
        Field::Time => time(u32::from_be_bytes(array(data)?)),
        Field::Type => RecordType(u16::from_be_bytes(array(data)?)).to_string(),
        Field::Text => quoted(take_string(data)?),
        Field::Texts => {
            while !data.is_empty() {
                words.push(quoted(take_string(data)?));
            }
            return Some(());
        }
        Field::Tag => String::from_utf8(take_string(data)?.to_vec()).ok()?,
        Field::LongText => quoted(std::mem::take(data)),
        Field::Base64 => base64(std::mem::take(data)),
        Field::Hex => hexadecimal(std::mem::take(data)),
        Field::Salt => match take_string(data)? {
            [] => "-".to_string(),
            salt => hexadecimal(salt),
        },
        Field::Base32 => base32(take_string(data)?),
        Field::TypeBitmap => return type_bitmap(data, words),
        Field::Services => return services(data, words),
        Field::Eui48 => grouped(take(data, 6)?, 1, "-"),
        Field::Eui64 => grouped(take(data, 8)?, 1, "-"),
        Field::Node64 => grouped(take(data, 8)?, 2, ":"),
        Field::Location | Field::Prefixes | Field::Opaque => return None,
    };
    words.push(word);
    Some(())
}

fn take<'a>(data: &mut &'a [u8], octets: usize) -> Option<&'a [u8]> {
    let (head, rest) = data.split_at_checked(octets)?;
    *data = rest;
    Some(head)
}

fn array<const N: usize>(data: &mut &[u8]) -> Option<[u8; N]> {
    take(data, N)?.try_into().ok()
}

fn take_string<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::from(take(data, 1)?[0]);
    take(data, length)
}

fn take_name<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut at = 0;
    while *data.get(at)? != 0 {
        at += 1 + usize::from(data[at]);
    }
    take(data, at + 1)
}

/// RFC 1035 §5.1: in quotes, so that only quotes, backslashes and what cannot be printed need an escape.
fn quoted(octets: &[u8]) -> String {
    let mut text = String::from("\"");
    for octet in octets {
        match octet {
            b'"' | b'\\' => text.extend(['\\', char::from(*octet)]),
            b' '..=b'~' => text.push(char::from(*octet)),
            _ => _ = write!(text, "\\{octet:03}"),
        }
    }
    text.push('"');
    text
}

fn hexadecimal(octets: &[u8]) -> String {
    grouped(octets, octets.len().max(1), "").to_ascii_uppercase()
}

fn grouped(octets: &[u8], size: usize, separator: &str) -> String {
    let group = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    octets.chunks(size).map(group).collect::<Vec<_>>().join(separator)
}

fn base64(octets: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in octets.chunks(3) {
        let octet = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) as usize & 63;
            text.push(if digit <= chunk.len() { char::from(DIGITS[value]) } else { '=' });
        }
    }
    text
}

/// The extended alphabet without padding (RFC 5155 §3.3).
fn base32(octets: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";
    let (mut text, mut bits, mut held) = (String::new(), 0u32, 0);
    for octet in octets {
        (bits, held) = (bits << 8 | u32::from(*octet), held + 8);
        while held >= 5 {
            held -= 5;
            text.push(char::from(DIGITS[(bits >> held) as usize & 31]));
        }
        bits &= 31;
    }
    if held > 0 {
        text.push(char::from(DIGITS[(bits << (5 - held)) as usize & 31]));
    }
    text
}

/// YYYYMMDDHHmmSS (RFC 4034 §3.2).
fn time(seconds: u32) -> String {
    let (days, second) = (i64::from(seconds / 86_400), seconds % 86_400);
    // Years that begin in March, so that the leap day is the last; 400 years have 146097 days.
    let since_march = days + 719_468;
    let (era, day) = (since_march / 146_097, since_march % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year, month);
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{date:02}{hour:02}{minute:02}{second:02}")
}

/// RFC 4034 §4.1.2
fn type_bitmap(data: &mut &[u8], words: &mut Vec<String>) -> Option<()> {
    while !data.is_empty() {
        let window = u16::from(take(data, 1)?[0]) << 8;
        for (at, octet) in take_string(data)?.iter().enumerate() {
            for bit in (0..8u16).filter(|bit| octet & (0x80 >> bit) != 0) {
                words.push(RecordType(window + at as u16 * 8 + bit).to_string());
            }
        }
    }
    Some(())
}

/// RFC 9460 §2.1 and appendix A. Commas and backslashes within an item of a list would need escapes of their own; such
/// data is so rare that it is left to the generic form.
fn services(data: &mut &[u8], words: &mut Vec<String>) -> Option<()> {
    while !data.is_empty() {
        let key = u16::from_be_bytes(array(data)?);
        let length = usize::from(u16::from_be_bytes(array(data)?));
        let value = take(data, length)?;
        words.push(service(key, value).unwrap_or_else(|| match value {
            [] => format!("key{key}"),
            _ => format!("key{key}={}", quoted(value)),
        }));
    }
    Some(())
}

fn service(key: u16, mut value: &[u8]) -> Option<String> {
    let mut items = Vec::new();
    let list = |items: Vec<String>| items.join(",");
    Some(match key {
        1 => {
            while !value.is_empty() {
                let item = take_string(&mut value)?;
                if !item.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-./_+".contains(octet)) {
                    return None;
                }
                items.push(String::from_utf8(item.to_vec()).ok()?);
            }
            format!("alpn={}", list(items))
        }
        2 if value.is_empty() => "no-default-alpn".to_string(),
        3 => format!("port={}", u16::from_be_bytes(value.try_into().ok()?)),
        4 => {
            while !value.is_empty() {
                items.push(Ipv4Addr::from(array::<4>(&mut value)?).to_string());
            }
            format!("ipv4hint={}", list(items))
        }
        5 => format!("ech={}", base64(value)),
        6 => {
            while !value.is_empty() {
                items.push(Ipv6Addr::from(array::<16>(&mut value)?).to_string());
            }
            format!("ipv6hint={}", list(items))
        }
        7 => format!("dohpath={}", quoted(value)),
        8 if value.is_empty() => "ohttp".to_string(),
        0 => {
            while !value.is_empty() {
                items.push(format!("key{}", u16::from_be_bytes(array(&mut value)?)));
            }
            format!("mandatory={}", list(items))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &[u8] = b"\x07example\x03org\0";

    /// The words of `text` read as data and printed again.
    #[track_caller]
    fn check(rtype: &str, text: &str, expect: &str) {
        let rtype = RecordType::from_text(rtype.as_bytes()).unwrap();
        let line = format!(" {text}\n");
        let mut source = line.as_bytes();
        let mut entries = Entries::new(&mut source);
        assert_eq!(entries.advance(), Ok(true));
        let mut data = Vec::new();
        rdata::parse(rtype, &mut Words::new(&entries), ORIGIN, &mut data).unwrap();
        let spelling = Spelling { origin: ORIGIN, absolute: false };
        let printed = words(rtype, &data, spelling);
        assert_eq!(printed.join(" "), expect);
        assert!(reads_as(rtype, &printed, ORIGIN, &data), "{expect}");
    }

    /// Printed as it was written.
    #[track_caller]
    fn check_same(rtype: &str, text: &str) {
        check(rtype, text, text);
    }

    #[test]
    fn names_are_relative_where_they_can_be() {
        check("NS", "ns.example.org.", "ns");
        check("NS", "EXAMPLE.org.", "@");
        check_same("NS", "Ns.Example.Com.");
        check_same("NS", "xexample.org.");
        check_same("NS", ".");
        check_same("MX", "10 mail");
        check_same("SOA", "ns hostmaster 1 2 3 4 5");
        check_same("PTR", "a\\.b\\@");
        let absolute = Spelling { origin: ORIGIN, absolute: true };
        assert_eq!(name(b"\x01a\x07example\x03org\0", absolute), "a.example.org.");
        assert_eq!(name(b"\x01a\0", Spelling { origin: b"\0", absolute: false }), "a.");
    }

    #[test]
    fn data_is_printed_as_its_type_says() {
        check_same("A", "192.0.2.1");
        check_same("AAAA", "2001:db8::1");
        check("TXT", "a \"b;c\" \"\\\"\\\\\\200\" \"\"", "\"a\" \"b;c\" \"\\\"\\\\\\200\" \"\"");
        check("CAA", "0 issue ca.example", "0 issue \"ca.example\"");
        check("URI", "1 2 https://x", "1 2 \"https://x\"");
        check_same("SRV", "0 5 5060 sip");
        check("DNSKEY", "256 3 RSASHA256 AQ ID", "256 3 8 AQID");
        check_same("DNSKEY", "256 3 8 AQI=");
        check_same("DS", "1 8 2 ABCDEF");
        check_same("NSEC", "a A MX TYPE1234");
        check_same("NSEC3", "1 0 10 - 0P9MHAVEQVM6T7VBL5LOP2U3T2RP3TOM A");
        check_same("NSEC3PARAM", "1 0 10 AABB");
        check_same("RRSIG", "A 8 2 3600 20261124173000 20240229235959 1 @ AQID");
        check_same("RRSIG", "A 8 2 3600 19700101000000 21060207062815 1 @ AQID");
        check_same("EUI48", "00-00-5e-00-53-2a");
        check_same("L64", "10 2001:0db8:1140:1000");
        check("HTTPS", "1 . alpn=\"h2,h3\" port=8443", "1 . alpn=h2,h3 port=8443");
        check_same("HTTPS", "1 . no-default-alpn alpn=h2".split(" no-default").next().unwrap());
        check_same("SVCB", "1 a ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1");
        check("SVCB", "1 a mandatory=port port=1", "1 a mandatory=key3 port=1");
    }

    #[test]
    fn what_has_no_text_form_is_printed_in_the_generic_one() {
        check_same("TYPE65280", "\\# 3 ABCDEF");
        check_same("TYPE65280", "\\# 0");
        check("LOC", "42 21 54 N 71 06 18 W -24m 30m", "\\# 16 0033161389172DD070BE15F000988D20");
        check("SVCB", "1 a alpn=\"a\\\\,b\"", "\\# 25 00010161076578616D706C65036F7267000001000403612C62");
        let spelling = Spelling { origin: ORIGIN, absolute: false };
        assert_eq!(words(RecordType::A, &[1, 2, 3], spelling), ["\\#", "3", "010203"]);
    }
}
