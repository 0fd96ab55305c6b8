//! The text form of LOC records (RFC 1876 §3): degrees, minutes, seconds, and metres.

use super::words::{Words, number, shown};

/// The equator, the prime meridian (thousandths of an arc second) and the level 100 km below sea (centimetres).
const MIDDLE: i64 = 1 << 31;
const BASE_CENTIMETRES: i64 = 10_000_000;

/// Size, horizontal and vertical precision where they are left out: 1 m, 10 km, 10 m.
const DEFAULT_CENTIMETRES: [u64; 3] = [100, 1_000_000, 1_000];

/// Appends the sixteen octets of a location.
pub fn parse(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), String> {
    let latitude = angle(words, 90, [b'N', b'S'])?;
    let longitude = angle(words, 180, [b'E', b'W'])?;
    let token = words.take()?;
    let altitude = u32::try_from(centimetres(token)? + BASE_CENTIMETRES)
        .map_err(|_| format!("the altitude {} is out of range", shown(token)))?;
    let mut sizes = DEFAULT_CENTIMETRES;
    for size in &mut sizes {
        if !words.is_empty() {
            let token = words.take()?;
            let length = u64::try_from(centimetres(token)?).ok().filter(|length| *length <= 9_000_000_000);
            *size = length.ok_or_else(|| format!("the size {} is out of range", shown(token)))?;
        }
    }
    out.push(0); // the version
    out.extend(sizes.map(mantissa_and_exponent));
    out.extend(latitude.to_be_bytes());
    out.extend(longitude.to_be_bytes());
    out.extend(altitude.to_be_bytes());
    Ok(())
}

/// `degrees [minutes [seconds]] direction`
fn angle(words: &mut Words<'_, '_>, most: u32, directions: [u8; 2]) -> Result<u32, String> {
    let first = words.take()?;
    let degrees: u32 = number(first)?;
    let mut thousandths = i64::from(degrees) * 3_600_000;
    for unit in [60_000, 1_000, 0] {
        let token = words.take()?;
        if let [letter] = token
            && directions.contains(&letter.to_ascii_uppercase())
        {
            let sign = if letter.eq_ignore_ascii_case(&directions[0]) { 1 } else { -1 };
            if thousandths > i64::from(most) * 3_600_000 {
                break;
            }
            return Ok((MIDDLE + sign * thousandths) as u32);
        }
        let part = if unit == 60_000 { i64::from(number::<u8>(token)?) * 1_000 } else { decimal(token, 3)? };
        if unit == 0 || !(0..60_000).contains(&part) {
            return Err(format!("{} is no part of an angle", shown(token)));
        }
        thousandths += part * unit / 1_000;
    }
    Err(format!("the angle that starts with {} is more than {most} degrees", shown(first)))
}

fn centimetres(token: &[u8]) -> Result<i64, String> {
    decimal(token.strip_suffix(b"m").unwrap_or(token), 2)
}

/// A decimal fraction, in units of its `places`th place.
fn decimal(token: &[u8], places: usize) -> Result<i64, String> {
    let wrong = || format!("{} is no number with up to {places} places", shown(token));
    let text = std::str::from_utf8(token).map_err(|_| wrong())?;
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.len() > places || whole.len() > 10 {
        return Err(wrong());
    }
    let number = number::<u64>(format!("{whole}{fraction:0<places$}").as_bytes()).map_err(|_| wrong())?;
    Ok(sign * number as i64)
}

/// RFC 1876 §2: the first digit in the upper half of the octet, the number of zeros behind it in the lower.
fn mantissa_and_exponent(mut centimetres: u64) -> u8 {
    let mut exponent = 0;
    while centimetres >= 10 {
        (centimetres, exponent) = (centimetres / 10, exponent + 1);
    }
    (centimetres as u8) << 4 | exponent
}
