//! Messages of syslog: RFC 5424, and RFC 3164 for collectors that know no better.
//!
//! ```text
//! <30>1 2026-11-24T19:12:58.123456Z ns1 dns - dns::service [meta sequenceId="7" sysUpTime="1042"] dns::service: serving 3 zones
//! <30>Nov 24 19:12:58 ns1 dns: dns::service: serving 3 zones
//! ```
//! MSGID is the module, and so is the first word of the message, since most collectors do not write MSGID to their files.
//! `sequenceId` counts (RFC 5424 §7.3.1): what is lost leaves a gap, what comes twice has the same number.

use super::text::OneLine;
use log::Level;
use std::fmt::Write;

/// What the fields of a message are made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub level: Level,
    /// The module.
    pub target: &'a str,
    /// What it says: one line.
    pub text: &'a str,
    /// Nanoseconds since 1970.
    pub wall: u64,
    /// Nanoseconds since boot.
    pub uptime: u64,
    /// Number of the message since boot, from 0.
    pub number: u64,
}

/// How messages are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// RFC 5424
    #[default]
    Rfc5424,
    /// RFC 3164, the BSD protocol
    Rfc3164,
}

/// What is the same in all messages of an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub format: Format,
    /// RFC 5424 §6.2.1
    pub facility: u8,
    /// What the image calls itself.
    pub host: String,
    /// The service.
    pub application: String,
    /// Octets of a message at most.
    pub octets: usize,
}

/// Octets of MSGID (RFC 5424 §6).
const MSGID_OCTETS: usize = 32;

/// Largest sequence number (RFC 5424 §7.3.1); after it comes 1.
const SEQUENCE_MOST: u64 = 2_147_483_647;

/// A clock that says less was never set: 2020-01-01.
const CLOCK_LEAST: u64 = 1_577_836_800;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Origin {
    /// Writes a message in place of what `out` has.
    pub(super) fn write(&self, out: &mut String, message: &Message<'_>) {
        out.clear();
        let priority = self.facility * 8 + severity(message.level);
        // Writing to a string does not fail.
        let _ = match self.format {
            Format::Rfc5424 => self.write_rfc5424(out, priority, message),
            Format::Rfc3164 => self.write_rfc3164(out, priority, message),
        };
    }

    /// RFC 5424 §6
    fn write_rfc5424(&self, out: &mut String, priority: u8, message: &Message<'_>) -> std::fmt::Result {
        let Message { target, text, wall, uptime, number, .. } = *message;
        write!(out, "<{priority}>1 ")?;
        match Time::at(wall) {
            Some(Time { year, month, day, hour, minute, second }) => {
                let micros = wall / 1_000 % 1_000_000;
                write!(out, "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")?;
            }
            None => out.push('-'), // RFC 5424 §6.2.3.1
        }
        write!(out, " {} {} - ", self.host, self.application)?;
        let graphic = target.chars().filter(char::is_ascii_graphic).take(MSGID_OCTETS);
        let before = out.len();
        out.extend(graphic);
        if out.len() == before {
            out.push('-');
        }
        let (sequence, hundredths) = (1 + number % SEQUENCE_MOST, uptime / 10_000_000 % (1 << 32));
        write!(out, " [meta sequenceId=\"{sequence}\" sysUpTime=\"{hundredths}\"] ")?;
        // RFC 5424 §6.4: UTF-8 is announced by a byte order mark. ASCII goes without, which every collector understands.
        if !(target.is_ascii() && text.is_ascii()) {
            out.push('\u{feff}');
        }
        write!(OneLine::new(out, self.octets), "{target}: {text}")
    }

    /// RFC 3164 §4.1
    fn write_rfc3164(&self, out: &mut String, priority: u8, message: &Message<'_>) -> std::fmt::Result {
        let Message { target, text, wall, .. } = *message;
        let Time { month, day, hour, minute, second, .. } = Time::at(wall).unwrap_or(Time::UNKNOWN);
        let month = MONTHS[usize::from(month - 1)];
        write!(out, "<{priority}>{month} {day:2} {hour:02}:{minute:02}:{second:02} {} ", self.host)?;
        // §4.1.3: a tag is letters and digits, 32 at most; the first other character ends it.
        out.extend(self.application.chars().filter(char::is_ascii_alphanumeric).take(32));
        write!(OneLine::new(out, self.octets), ": {target}: {text}")
    }
}

/// RFC 5424 §6.2.1
fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// UTC, by the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Time {
    year: u64,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Time {
    /// RFC 3164 has no word for it.
    const UNKNOWN: Self = Self { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0 };

    /// So many nanoseconds after the beginning of 1970; `None` if that cannot be now.
    fn at(wall: u64) -> Option<Self> {
        let seconds = wall / 1_000_000_000;
        if seconds < CLOCK_LEAST {
            return None;
        }
        // Days in eras of 400 years that begin in March, so that a leap day is the last of its year.
        let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Some(Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month: month as u8,
            day: (day_of_year - (153 * march_month + 2) / 5 + 1) as u8,
            hour: (rest / 3_600) as u8,
            minute: (rest / 60 % 60) as u8,
            second: (rest % 60) as u8,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-24 19:12:58.123456789
    const WALL: u64 = 1_795_547_578_123_456_789;

    const MESSAGE: Message<'_> = Message {
        level: Level::Info,
        target: "dns::service",
        text: "serving 3 zones",
        wall: WALL,
        uptime: 10_420_000_000,
        number: 6,
    };

    #[track_caller]
    fn check(format: Format, octets: usize, message: Message<'_>, expect: &str) {
        let origin =
            Origin { format, facility: 3, host: "ns1".into(), application: "dns-static".into(), octets };
        let mut out = "what was there before".to_owned();
        origin.write(&mut out, &message);
        assert_eq!(out, expect);
    }

    #[test]
    fn messages_are_as_rfc_5424_has_them() {
        const HEAD: &str = "<30>1 2026-11-24T19:12:58.123456Z ns1 dns-static - dns::service [meta sequenceId=\"7\" sysUpTime=\"1042\"] ";
        let check = |octets, message, expect: &str| check(Format::Rfc5424, octets, message, expect);
        check(2_048, MESSAGE, &format!("{HEAD}dns::service: serving 3 zones"));
        check(2_048, Message { text: "é", ..MESSAGE }, &format!("{HEAD}\u{feff}dns::service: é"));
        check(HEAD.len() + 15, MESSAGE, &format!("{HEAD}dns::service: s"));
        let odd = Message { level: Level::Error, target: "", wall: 0, number: SEQUENCE_MOST, ..MESSAGE };
        check(
            2_048,
            odd,
            "<27>1 - ns1 dns-static - - [meta sequenceId=\"1\" sysUpTime=\"1042\"] : serving 3 zones",
        );
    }

    #[test]
    fn messages_are_as_rfc_3164_has_them() {
        let check = |message, expect| check(Format::Rfc3164, 1_024, message, expect);
        check(MESSAGE, "<30>Nov 24 19:12:58 ns1 dnsstatic: dns::service: serving 3 zones");
        let unset = Message { wall: 5, level: Level::Trace, ..MESSAGE };
        check(unset, "<31>Jan  1 00:00:00 ns1 dnsstatic: dns::service: serving 3 zones");
    }

    /// What the calendar says after so many seconds.
    #[track_caller]
    fn check_time(seconds: u64, expect: Option<(u64, u8, u8)>) {
        let time = Time::at(seconds * 1_000_000_000);
        assert_eq!(time.map(|time| (time.year, time.month, time.day)), expect);
    }

    #[test]
    fn the_calendar_has_leap_years() {
        // By `date -u -d @SECONDS`.
        check_time(1_577_836_799, None);
        check_time(1_577_836_800, Some((2020, 1, 1)));
        check_time(1_582_934_400, Some((2020, 2, 29)));
        check_time(1_583_020_800, Some((2020, 3, 1)));
        check_time(1_798_761_599, Some((2026, 12, 31)));
        check_time(4_107_542_400, Some((2100, 3, 1)));
        check_time(4_107_542_399, Some((2100, 2, 28)));
    }
}
