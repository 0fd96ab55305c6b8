//! The tokens of an entry taken one by one, and the small values they spell: names, numbers, periods.

use std::str::FromStr;

use super::entry::{Entries, Token, unescape};
use crate::limits::{LABEL_OCTETS, NAME_OCTETS, TTL_SECONDS};

/// A position in an entry.
pub struct Words<'e, 's> {
    entry: &'e Entries<'s>,
    at: usize,
}

impl<'e, 's> Words<'e, 's> {
    /// Starts at the first token.
    pub fn new(entry: &'e Entries<'s>) -> Words<'e, 's> {
        Words { entry, at: 0 }
    }

    /// The next token, not taken.
    pub fn peek(&self) -> Option<&'e [u8]> {
        self.entry.tokens().get(self.at).map(|token| self.entry.octets(*token))
    }

    /// The next token.
    pub fn take(&mut self) -> Result<&'e [u8], String> {
        self.take_token().map(|(octets, _)| octets)
    }

    /// The next token and how it was written.
    pub fn take_token(&mut self) -> Result<(&'e [u8], Token), String> {
        let token = *self.entry.tokens().get(self.at).ok_or("the record ends too early")?;
        self.at += 1;
        Ok((self.entry.octets(token), token))
    }

    /// The next token, if it is quoted and stands right behind the one before.
    pub fn take_glued(&mut self) -> Option<&'e [u8]> {
        let token = *self.entry.tokens().get(self.at).filter(|token| token.glued && token.quoted)?;
        self.at += 1;
        Some(self.entry.octets(token))
    }

    /// Whether all tokens are taken.
    pub fn is_empty(&self) -> bool {
        self.at == self.entry.tokens().len()
    }

    /// How many tokens are taken.
    pub fn taken(&self) -> usize {
        self.at
    }

    /// The line of the token taken last.
    pub fn line(&self) -> u32 {
        let token = self.entry.tokens().get(self.at.saturating_sub(1));
        token.map_or(self.entry.line(), |token| token.line)
    }
}

/// A token as a message quotes it.
pub fn shown(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    format!("`{}`", text.chars().take(64).collect::<String>())
}

/// Appends the name that `text` spells to `out`, uncompressed; relative names end in `origin`.
pub fn name(text: &[u8], origin: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let start = out.len();
    let wrong = |reason: &str| Err(format!("{} is no domain name: {reason}", shown(text)));
    match text {
        b"@" => out.extend_from_slice(origin),
        b"." => out.push(0),
        b"" => return wrong("it is empty"),
        _ => {
            let absolute = labels(text, out).or_else(|reason| wrong(&reason).map(|()| false))?;
            out.extend_from_slice(if absolute { &[0] } else { origin });
        }
    }
    if out.len() - start > NAME_OCTETS { wrong("it is longer than 255 octets") } else { Ok(()) }
}

/// Appends the labels of `text`; whether it ends in a dot.
fn labels(mut text: &[u8], out: &mut Vec<u8>) -> Result<bool, String> {
    let mut label = out.len();
    out.push(0);
    loop {
        let octet = unescape(&mut text)?;
        if let Some((octet, escaped)) = octet
            && (escaped || octet != b'.')
        {
            out.push(octet);
            continue;
        }
        let length = out.len() - label - 1;
        match length {
            0 => return Err("a label is empty".to_string()),
            1..=LABEL_OCTETS => out[label] = length as u8,
            _ => return Err("a label is longer than 63 octets".to_string()),
        }
        if text.is_empty() {
            return Ok(octet.is_some());
        }
        label = out.len();
        out.push(0);
    }
}

/// A number without sign.
pub fn number<T: FromStr>(text: &[u8]) -> Result<T, String> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(text).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("{} is not a number from 0 to {}", shown(text), largest::<T>()))
}

fn largest<T>() -> u64 {
    u64::MAX >> (64 - 8 * size_of::<T>().clamp(1, 8))
}

/// Seconds, as a number or with the units of BIND and NSD: `1w2d3h4m5s`.
pub fn period(text: &[u8]) -> Result<u32, String> {
    let wrong = || format!("{} is no period of time", shown(text));
    let (mut total, mut number, mut digits) = (0u64, 0u64, false);
    for octet in text {
        let unit = match octet.to_ascii_lowercase() {
            digit @ b'0'..=b'9' if number <= u64::from(u32::MAX) => {
                (number, digits) = (number * 10 + u64::from(digit - b'0'), true);
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return Err(wrong()),
        };
        if !digits {
            return Err(wrong());
        }
        (total, number, digits) = (total.saturating_add(number * unit), 0, false);
    }
    if text.is_empty() || !(digits || total > 0 || text.len() > 1) {
        return Err(wrong());
    }
    u32::try_from(total.saturating_add(number)).map_err(|_| wrong())
}

/// A TTL: a period that is not negative in the sense of RFC 2181 §8.
pub fn ttl(text: &[u8]) -> Result<u32, String> {
    let seconds = period(text)?;
    if seconds > TTL_SECONDS {
        return Err(format!("the TTL {seconds} is negative: more than {TTL_SECONDS} (RFC 2181 section 8)"));
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::to_text;

    #[track_caller]
    fn check_name(text: &str, expect: Result<&str, &str>) {
        let mut wire = Vec::new();
        let result = name(text.as_bytes(), b"\x07example\0", &mut wire).map(|()| to_text(&wire));
        match expect {
            Ok(name) => assert_eq!(result.as_deref(), Ok(name)),
            Err(reason) => assert!(result.as_ref().is_err_and(|error| error.contains(reason)), "{result:?}"),
        }
    }

    #[test]
    fn names_are_relative_or_absolute() {
        check_name("@", Ok("example."));
        check_name("\\@", Ok("\\@.example."));
        check_name(".", Ok("."));
        check_name("a", Ok("a.example."));
        check_name("a.", Ok("a."));
        check_name("a.B", Ok("a.B.example."));
        check_name("a\\.b\\046c\\000.", Ok("a\\.b\\.c\\000."));
        check_name("", Err("empty"));
        check_name("a..b", Err("a label is empty"));
        check_name(".a", Err("a label is empty"));
        check_name("a\\256", Err("no octet"));
        check_name(&format!("{}.", "a".repeat(63)), Ok(&format!("{}.", "a".repeat(63))));
        check_name(&format!("{}.", "a".repeat(64)), Err("longer than 63"));
        check_name(&"a.".repeat(127), Ok(&"a.".repeat(127)));
        check_name(&"a.".repeat(128), Err("longer than 255"));
    }

    #[track_caller]
    fn check_period(text: &str, expect: Option<u32>) {
        assert_eq!(period(text.as_bytes()).ok(), expect, "{text}");
    }

    #[test]
    fn periods_have_units() {
        check_period("0", Some(0));
        check_period("3600", Some(3600));
        check_period("1h", Some(3600));
        check_period("1W2d3h4m5S", Some(604_800 + 2 * 86_400 + 3 * 3600 + 4 * 60 + 5));
        check_period("0s", Some(0));
        check_period("4294967295", Some(u32::MAX));
        check_period("4294967296", None);
        check_period("99999999999999999999999999", None);
        check_period("", None);
        check_period("h", None);
        check_period("-1", None);
        check_period("1y", None);
    }
}
