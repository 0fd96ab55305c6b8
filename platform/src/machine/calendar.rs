//! From a calendar date, as the PC's battery clock has it, to seconds since 1970.
//!
//! Source: MC146818A data sheet; the day count is Howard Hinnant's `days_from_civil`.

/// Bits of the register that says how the clock counts.
const BINARY: u8 = 1 << 2;
const HOURS_24: u8 = 1 << 1;
const AFTERNOON: u8 = 1 << 7;

/// Seconds since 1970-01-01 of second, minute, hour, day, month, year of the century and the format register; `None` if that
/// is no date, as where there is no such clock. Years are of the 21st century.
pub fn seconds(registers: [u8; 7]) -> Option<u64> {
    let [second, minute, hour, day, month, year, format] = registers;
    let number = |value: u8| if format & BINARY != 0 { value } else { (value >> 4) * 10 + (value & 0xf) };
    let mut hours = u64::from(number(hour & !AFTERNOON));
    if format & HOURS_24 == 0 {
        hours = hours % 12 + if hour & AFTERNOON != 0 { 12 } else { 0 };
    }
    let [second, minute, day, month, year] = [second, minute, day, month, year].map(|v| u64::from(number(v)));
    if second > 60
        || minute > 59
        || hours > 23
        || !(1..=31).contains(&day)
        || !(1..=12).contains(&month)
        || year > 99
    {
        return None;
    }
    Some(days(2000 + year, month, day) * 86_400 + hours * 3600 + minute * 60 + second)
}

/// Days from 1970-01-01 to a date after it.
fn days(year: u64, month: u64, day: u64) -> u64 {
    // Years start in March, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let century = year / 400;
    let year_of_century = year % 400;
    let day_of_century = year_of_century * 365 + year_of_century / 4 - year_of_century / 100 + day_of_year;
    century * 146_097 + day_of_century - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(registers: [u8; 7], expect: Option<u64>) {
        assert_eq!(seconds(registers), expect);
    }

    #[test]
    fn dates_are_counted() {
        check([0, 0, 0, 1, 1, 0, BINARY | HOURS_24], Some(946_684_800));
        check([56, 34, 12, 29, 2, 24, BINARY | HOURS_24], Some(1_709_210_096));
        check([0x56, 0x34, 0x12, 0x29, 0x02, 0x24, HOURS_24], Some(1_709_210_096));
        check([0x59, 0x59, 0x23, 0x31, 0x12, 0x99, HOURS_24], Some(4_102_444_799));
    }

    #[test]
    fn twelve_hours_are_understood() {
        check([0, 0, 0x12, 1, 1, 0, 0], Some(946_684_800));
        check([0, 0, 0x12 | AFTERNOON, 1, 1, 0, 0], Some(946_684_800 + 12 * 3600));
        check([0, 0, 0x01 | AFTERNOON, 1, 1, 0, 0], Some(946_684_800 + 13 * 3600));
    }

    #[test]
    fn an_absent_clock_has_no_date() {
        check([0xff; 7], None);
        check([0; 7], None);
        check([0, 0, 0, 1, 13, 0, BINARY | HOURS_24], None);
    }
}
