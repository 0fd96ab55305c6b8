//! Lines of InfluxDB's line protocol, which VictoriaMetrics and Telegraf take as well.
//!
//! ```text
//! memory,vm=ns1 total=14401536i,used=175104i 1795547578123456789
//! dns,vm=ns1,rcode=NOERROR answers=790i 1795547578123456789
//! event_loop,vm=ns1,le=0.001 lag_bucket=12i 1795547578123456789
//! ```
//! A source is a measurement, its numbers without a label are the fields of one line. Of a histogram each bucket is a line, as
//! Telegraf has it and as `histogram_quantile` wants it.

use super::{Family, Histogram, Sink};
use std::fmt::Write;

/// Writes lines.
#[derive(Debug)]
pub struct Lines<'a> {
    text: &'a mut String,
    vm: &'a str,
    /// Nanoseconds since 1970; `None` if nobody knows, then it is when the database gets it.
    now: Option<u64>,
    /// The source whose line is open: its fields go on it.
    open: bool,
    source: String,
}

impl<'a> Lines<'a> {
    /// Appends to `text`, with the tag `vm`.
    pub fn new(text: &'a mut String, vm: &'a str, now: Option<u64>) -> Self {
        Self { text, vm, now, open: false, source: String::new() }
    }

    /// Ends the last line.
    pub fn finish(mut self) {
        self.close();
    }

    /// Begins a line up to its first field, or goes on with one.
    fn field(&mut self, source: &str, tag: Option<(&str, &str)>, name: &str) {
        if tag.is_none() && self.open && self.source == source {
            self.text.push(',');
        } else {
            self.close();
            push_key(self.text, source, false);
            self.text.push_str(",vm=");
            push_key(self.text, self.vm, true);
            if let Some((key, value)) = tag.filter(|(_, value)| !value.is_empty()) {
                self.text.push(',');
                push_key(self.text, key, true);
                self.text.push('=');
                push_key(self.text, value, true);
            }
            self.text.push(' ');
        }
        self.open = tag.is_none();
        self.source.clear();
        self.source.push_str(source);
        push_key(self.text, name, true);
        self.text.push('=');
    }

    fn integer(&mut self, value: u64) {
        // The protocol's integers have 63 bits.
        let _ = write!(self.text, "{}i", value & i64::MAX as u64);
    }

    fn end_line(&mut self) {
        if let Some(now) = self.now {
            let _ = write!(self.text, " {now}");
        }
        self.text.push('\n');
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.end_line();
        }
    }
}

impl Sink for Lines<'_> {
    fn family(&mut self, family: Family<'_>, values: &[(&str, u64)]) {
        for (word, value) in values {
            self.field(family.source, family.label.map(|label| (label, *word)), family.name);
            self.integer(*value);
            if family.label.is_some() {
                self.end_line();
            }
        }
    }

    fn histogram(&mut self, source: &str, name: &str, _: &str, histogram: &Histogram) {
        let bucket = format!("{name}_bucket");
        for (end, count) in histogram.cumulative() {
            self.field(source, Some(("le", end)), &bucket);
            self.integer(count);
            self.end_line();
        }
        self.field(source, None, &format!("{name}_count"));
        self.integer(histogram.count());
        self.field(source, None, &format!("{name}_sum"));
        let _ = write!(self.text, "{:?}", histogram.seconds()); // with a point always: the type of a field stays
    }
}

/// Appends a measurement, or a key or value of a tag, or the key of a field, so that it is read as what it is.
///
/// Commas, blanks, and in the latter equals signs get a backslash. The protocol has no way to write a backslash in front of any
/// of these, nor an end of line, nor any other control character that every database takes: backslashes become slashes, and
/// control characters underscores.
pub fn push_key(text: &mut String, key: &str, equals: bool) {
    for character in key.chars() {
        match character {
            ',' | ' ' => text.extend(['\\', character]),
            '=' if equals => text.push_str("\\="),
            '\\' => text.push('/'),
            character if character.is_control() => text.push('_'),
            character => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Kind;

    #[track_caller]
    fn check(vm: &str, now: Option<u64>, fill: impl FnOnce(&mut Lines<'_>), expect: &str) {
        let mut text = String::new();
        let mut lines = Lines::new(&mut text, vm, now);
        fill(&mut lines);
        lines.finish();
        assert_eq!(text, expect);
    }

    fn family<'a>(source: &'a str, name: &'a str, label: Option<&'a str>) -> Family<'a> {
        Family { source, name, help: "", kind: Kind::Counter, label }
    }

    #[test]
    fn numbers_of_a_source_share_a_line() {
        check(
            "ns1",
            Some(7),
            |lines| {
                lines.family(family("memory", "total", None), &[("", 5)]);
                lines.family(family("memory", "used", None), &[("", u64::MAX)]);
                lines.family(family("dns", "answers", Some("rcode")), &[("NOERROR", 1), ("SERVFAIL", 0)]);
                lines.family(family("dns", "queries", None), &[("", 1)]);
            },
            "memory,vm=ns1 total=5i,used=9223372036854775807i 7\ndns,vm=ns1,rcode=NOERROR answers=1i 7\n\
             dns,vm=ns1,rcode=SERVFAIL answers=0i 7\ndns,vm=ns1 queries=1i 7\n",
        );
    }

    #[test]
    fn without_a_clock_there_is_no_time() {
        check("a", None, |lines| lines.family(family("s", "n", None), &[("", 1)]), "s,vm=a n=1i\n");
    }

    #[test]
    fn histograms_have_a_line_a_bucket() {
        let histogram = Histogram::new();
        histogram.observe(std::time::Duration::from_millis(500));
        let mut text = String::new();
        let mut lines = Lines::new(&mut text, "a", None);
        lines.histogram("loop", "lag", "", &histogram);
        lines.finish();
        assert!(text.starts_with("loop,vm=a,le=0.0001 lag_bucket=0i\n"), "{text}");
        assert!(
            text.ends_with("loop,vm=a,le=+Inf lag_bucket=1i\nloop,vm=a lag_count=1i,lag_sum=0.5\n"),
            "{text}"
        );
    }

    #[test]
    fn names_are_escaped() {
        let fill =
            |lines: &mut Lines<'_>| lines.family(family("s", "n", Some("l")), &[("x=y\\ z\n", 1), ("", 2)]);
        check("a,b c", None, fill, "s,vm=a\\,b\\ c,l=x\\=y/\\ z_ n=1i\ns,vm=a\\,b\\ c n=2i\n");
    }
}
