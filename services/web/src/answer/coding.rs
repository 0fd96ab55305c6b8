//! Which codings a client takes, and how gladly (RFC 9110 §12.5.3).

use crate::site::Coding;
use runtime::http::{HeaderMap, HeaderValue, header};

/// Weights of the codings, in thousandths; 0 is a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    identity: u16,
    gzip: u16,
    brotli: u16,
    zstd: u16,
}

/// What a client that names no coding is sent. One that names some takes this as the last resort.
const LAST_RESORT: u16 = 1;

impl Accepted {
    /// What a request says. Elements that are none are passed over.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut named = [None; 4];
        let mut others = None;
        let elements = headers
            .get_all(header::ACCEPT_ENCODING)
            .iter()
            .flat_map(|value| value.as_bytes().split(|&octet| octet == b','));
        for element in elements {
            let Some((name, weight)) = element_of(element) else { continue };
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            match () {
                () if is("identity") => named[0] = Some(weight),
                // RFC 9110 §8.4.1.3
                () if is("gzip") || is("x-gzip") => named[1] = Some(weight),
                () if is("br") => named[2] = Some(weight),
                () if is("zstd") => named[3] = Some(weight),
                () if is("*") => others = Some(weight),
                () => {}
            }
        }
        let [identity, gzip, brotli, zstd] = named.map(|weight| weight.or(others));
        Self {
            identity: identity.unwrap_or(LAST_RESORT),
            gzip: gzip.unwrap_or(0),
            brotli: brotli.unwrap_or(0),
            zstd: zstd.unwrap_or(0),
        }
    }

    /// How gladly a coding is taken.
    pub fn weight(&self, coding: Coding) -> u16 {
        match coding {
            Coding::Identity => self.identity,
            Coding::Gzip => self.gzip,
            Coding::Brotli => self.brotli,
            Coding::Zstd => self.zstd,
        }
    }
}

/// A coding and its weight (RFC 9110 §12.4.2).
fn element_of(element: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = element.split(|&octet| octet == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let weight = match parts.next() {
        None => 1_000,
        Some([b'q' | b'Q', b'=', digits @ ..]) => thousandths(digits)?,
        Some(_) => return None,
    };
    parts.next().is_none().then_some((name, weight))
}

fn thousandths(digits: &[u8]) -> Option<u16> {
    let (whole, rest) = digits.split_first()?;
    let fraction = match rest {
        [] => &[][..],
        [b'.', fraction @ ..] if fraction.len() <= 3 => fraction,
        _ => return None,
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |at: usize| fraction.get(at).map_or(0, |digit| u16::from(digit - b'0'));
    let fraction = digit(0) * 100 + digit(1) * 10 + digit(2);
    match whole {
        b'0' => Some(fraction),
        b'1' if fraction == 0 => Some(1_000),
        _ => None,
    }
}

/// `Content-Encoding`, where there is one.
pub fn field(coding: Coding) -> Option<HeaderValue> {
    (coding != Coding::Identity).then(|| HeaderValue::from_static(coding.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights of identity, gzip, br and zstd.
    #[track_caller]
    fn check(lines: &[&str], expected: [u16; 4]) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT_ENCODING, HeaderValue::from_str(line).unwrap());
        }
        let Accepted { identity, gzip, brotli, zstd } = Accepted::of(&headers);
        assert_eq!([identity, gzip, brotli, zstd], expected, "{lines:?}");
    }

    #[test]
    fn weights_are_those_of_the_request() {
        check(&[], [1, 0, 0, 0]);
        check(&[""], [1, 0, 0, 0]);
        check(&["gzip, deflate, br, zstd"], [1, 1000, 1000, 1000]);
        check(&["gzip", "br;q=0.5"], [1, 1000, 500, 0]);
        check(&["GZip ; Q=0.123 , , *;q=0"], [0, 123, 0, 0]);
        check(&["x-gzip"], [1, 1000, 0, 0]);
        check(&["*"], [1000; 4]);
        check(&["*;q=0.2, br;q=0"], [200, 200, 0, 200]);
        check(&["identity;q=0"], [0, 0, 0, 0]);
        check(&["identity, *;q=0"], [1000, 0, 0, 0]);
    }

    #[test]
    fn what_is_no_weight_is_passed_over() {
        for wrong in [
            "gzip;q=",
            "gzip;q=2",
            "gzip;q=1.1",
            "gzip;q=0.1234",
            "gzip;q=0.x",
            "gzip;q=-1",
            "gzip;level=9",
            "gzip;q=1;x",
        ] {
            check(&[wrong], [1, 0, 0, 0]);
        }
    }
}
