//! Ranges of octets: which ones a request asks for (RFC 9110 §14.1.2), and several of them in one body (§14.6).

use crate::limits::{RANGE_GAP, RANGES};
use runtime::http::{Bytes, HeaderMap, HeaderValue, header};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// Everything: it has no ranges, or none that make sense, or too many.
    Whole,
    /// Nothing that there is.
    Unsatisfiable,
    /// These, at least one.
    Parts(Vec<Part>),
}

/// From one octet to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first octet, counted from 0.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

impl Part {
    /// The octets themselves.
    pub fn of(&self, octets: &Bytes) -> Bytes {
        let end =
            usize::try_from(self.last).map_or(octets.len(), |last| octets.len().min(last.saturating_add(1)));
        let start = usize::try_from(self.first).map_or(end, |first| end.min(first));
        octets.slice(start..end)
    }

    /// `Content-Range`, of `length` octets.
    pub fn content_range(&self, length: u64) -> String {
        format!("bytes {}-{}/{length}", self.first, self.last)
    }
}

impl Ranges {
    /// What a request asks for of `length` octets.
    pub fn of(headers: &HeaderMap, length: u64) -> Self {
        let mut values = headers.get_all(header::RANGE).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Self::parse(value.as_bytes(), length).unwrap_or(Self::Whole),
            _ => Self::Whole,
        }
    }

    /// None if it is no set of ranges, which is as if it were not there (RFC 9110 §14.2).
    fn parse(value: &[u8], length: u64) -> Option<Self> {
        let equals = value.iter().position(|&octet| octet == b'=')?;
        if !value[..equals].trim_ascii().eq_ignore_ascii_case(b"bytes") {
            return None;
        }
        let mut parts = Vec::new();
        let mut count = 0;
        for element in value[equals + 1..].split(|&octet| octet == b',').map(<[u8]>::trim_ascii) {
            if element.is_empty() {
                continue;
            }
            count += 1;
            if count > RANGES {
                return None;
            }
            parts.extend(part(element, length)?);
        }
        match (count, parts.is_empty()) {
            (0, _) => None,
            (_, true) => Some(Self::Unsatisfiable),
            (_, false) => Some(Self::Parts(coalesced(parts))),
        }
    }
}

/// One range; `Some(None)` if none of its octets are there.
fn part(element: &[u8], length: u64) -> Option<Option<Part>> {
    let dash = element.iter().position(|&octet| octet == b'-')?;
    let (first, last) = (&element[..dash], &element[dash + 1..]);
    if first.is_empty() {
        let count = number(last)?.min(length);
        return Some((count > 0).then(|| Part { first: length - count, last: length - 1 }));
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    Some((first < length).then(|| Part { first, last: last.min(length - 1) }))
}

/// Digits; what is too large for a number is as good as the largest.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        digit.is_ascii_digit().then(|| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    })
}

/// In the order that was asked for, unless some overlap or nearly touch: then sorted, with those made one.
fn coalesced(parts: Vec<Part>) -> Vec<Part> {
    let mut sorted = parts.clone();
    sorted.sort_unstable_by_key(|part| part.first);
    let mut merged: Vec<Part> = Vec::new();
    for part in sorted {
        match merged.last_mut() {
            Some(before) if part.first <= before.last.saturating_add(RANGE_GAP) => {
                before.last = before.last.max(part.last);
            }
            _ => merged.push(part),
        }
    }
    if merged.len() == parts.len() { parts } else { merged }
}

/// The body of several ranges.
pub fn multipart(parts: &[Part], octets: &Bytes, content_type: &HeaderValue, boundary: &str) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(2 * parts.len() + 1);
    for part in parts {
        let range = part.content_range(octets.len() as u64);
        let line_end = if pieces.is_empty() { "" } else { "\r\n" };
        let mut head = format!("{line_end}--{boundary}\r\nContent-Type: ").into_bytes();
        head.extend_from_slice(content_type.as_bytes());
        head.extend_from_slice(format!("\r\nContent-Range: {range}\r\n\r\n").as_bytes());
        pieces.push(Bytes::from(head));
        pieces.push(part.of(octets));
    }
    pieces.push(Bytes::from(format!("\r\n--{boundary}--\r\n")));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 1000 octets: `whole`, `416`, or the parts.
    #[track_caller]
    fn check(value: &str, expected: &str) {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_str(value).unwrap());
        let shown = match Ranges::of(&headers, 1000) {
            Ranges::Whole => "whole".to_owned(),
            Ranges::Unsatisfiable => "416".to_owned(),
            Ranges::Parts(parts) => {
                let parts = parts.iter().map(|Part { first, last }| format!("{first}-{last}"));
                parts.collect::<Vec<_>>().join(",")
            }
        };
        assert_eq!(shown, expected, "{value}");
    }

    #[test]
    fn one_range() {
        check("bytes=0-0", "0-0");
        check("Bytes = 10-19", "10-19");
        check("bytes=10-", "10-999");
        check("bytes=-10", "990-999");
        check("bytes=-2000", "0-999");
        check("bytes=999-5000", "999-999");
        check("bytes=0-99999999999999999999999", "0-999");
    }

    #[test]
    fn several_ranges_keep_their_order_or_become_one() {
        check("bytes=0-9,500-509", "0-9,500-509");
        check("bytes=500-509, 0-9", "500-509,0-9");
        check("bytes=0-9,,5-20,", "0-20");
        check("bytes=500-,0-600,-1", "0-999");
        check("bytes=0-9,50-59", "0-59");
        check("bytes=0-9,5000-", "0-9");
        check(&format!("bytes={}", "0-,".repeat(RANGES)), "0-999");
    }

    #[test]
    fn what_is_not_there_cannot_be_had() {
        for value in
            ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=5000-,-0", "bytes=99999999999999999999999-"]
        {
            check(value, "416");
        }
    }

    #[test]
    fn what_is_no_range_is_passed_over() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=9-0",
            "bytes=1",
            "bytes=1-2-3",
            "bytes=1-2;3-4",
            "bytes=+1-2",
            "lines=1-2",
            "bytes=0-1,x",
            "bytes=0x1-2",
        ] {
            check(value, "whole");
        }
        check(&format!("bytes={}", "0-,".repeat(RANGES + 1)), "whole");
    }

    #[test]
    fn nothing_has_no_ranges() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-"));
        assert_eq!(Ranges::of(&headers, 0), Ranges::Unsatisfiable);
        headers.append(header::RANGE, HeaderValue::from_static("bytes=0-"));
        assert_eq!(Ranges::of(&headers, 9), Ranges::Whole);
    }

    #[test]
    fn a_body_of_several_ranges_has_a_head_for_each() {
        let octets = Bytes::from_static(b"0123456789");
        let parts = [Part { first: 0, last: 1 }, Part { first: 8, last: 9 }];
        let body = multipart(&parts, &octets, &HeaderValue::from_static("text/plain"), "B").concat();
        let expected = "--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n\
            --B\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n--B--\r\n";
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}
