//! OpenMetrics 1.0 as text, which Prometheus and whoever speaks its language scrape.
//!
//! ```text
//! # TYPE skerry_dns_answers counter
//! # HELP skerry_dns_answers Answers by response code.
//! skerry_dns_answers_total{rcode="NOERROR"} 790
//! # EOF
//! ```

use super::{Family, Histogram, Kind, Sink};
use std::fmt::Write;

/// What it is, for HTTP.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes families.
#[derive(Debug)]
pub struct Text<'a>(&'a mut String);

impl<'a> Text<'a> {
    /// Appends to `text`.
    pub fn new(text: &'a mut String) -> Self {
        Self(text)
    }

    /// Says which image this is, and that this was all.
    pub fn finish(self, vm: &str, service: &str) {
        self.0.push_str("# TYPE skerry info\n# HELP skerry The image.\nskerry_info{vm=\"");
        push_label(self.0, vm);
        self.0.push_str("\",service=\"");
        push_label(self.0, service);
        let _ = writeln!(self.0, "\",version=\"{}\"}} 1\n# EOF", env!("CARGO_PKG_VERSION"));
    }

    fn head(&mut self, source: &str, name: &str, help: &str, kind: &str) {
        let _ = write!(self.0, "# TYPE skerry_{source}_{name} {kind}\n# HELP skerry_{source}_{name} ");
        push_label(self.0, help); // quotes may be escaped there as well
        self.0.push('\n');
    }
}

impl Sink for Text<'_> {
    fn family(&mut self, family: Family<'_>, values: &[(&str, u64)]) {
        let Family { source, name, help, kind, label } = family;
        let (kind, suffix) = match kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
        };
        self.head(source, name, help, kind);
        for (word, value) in values {
            let _ = write!(self.0, "skerry_{source}_{name}{suffix}");
            if let Some(label) = label {
                let _ = write!(self.0, "{{{label}=\"");
                push_label(self.0, word);
                self.0.push_str("\"}");
            }
            let _ = writeln!(self.0, " {value}");
        }
    }

    fn histogram(&mut self, source: &str, name: &str, help: &str, histogram: &Histogram) {
        self.head(source, name, help, "histogram");
        for (end, count) in histogram.cumulative() {
            let _ = writeln!(self.0, "skerry_{source}_{name}_bucket{{le=\"{end}\"}} {count}");
        }
        let _ = writeln!(self.0, "skerry_{source}_{name}_count {}", histogram.count());
        let _ = writeln!(self.0, "skerry_{source}_{name}_sum {:?}", histogram.seconds());
    }
}

/// Appends the value of a label: backslash, quote and end of line are escaped.
pub fn push_label(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            character => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_whole_and_the_end_is_told() {
        let mut text = String::new();
        let mut families = Text::new(&mut text);
        let family = Family {
            source: "dns",
            name: "answers",
            help: "By \"code\".",
            kind: Kind::Counter,
            label: Some("rcode"),
        };
        families.family(family, &[("NOERROR", 3), ("a\"b\\c\nd", 0)]);
        families.family(
            Family { name: "zones", help: "Zones.", kind: Kind::Gauge, label: None, ..family },
            &[("", 2)],
        );
        families.finish("ns1", "dns");
        let expect = "# TYPE skerry_dns_answers counter\n# HELP skerry_dns_answers By \\\"code\\\".\n\
            skerry_dns_answers_total{rcode=\"NOERROR\"} 3\nskerry_dns_answers_total{rcode=\"a\\\"b\\\\c\\nd\"} 0\n\
            # TYPE skerry_dns_zones gauge\n# HELP skerry_dns_zones Zones.\nskerry_dns_zones 2\n\
            # TYPE skerry info\n# HELP skerry The image.\nskerry_info{vm=\"ns1\",service=\"dns\",version=\"";
        assert!(text.starts_with(expect), "{text}");
        assert!(text.ends_with("\"} 1\n# EOF\n"), "{text}");
    }

    #[test]
    fn histograms_end_with_all() {
        let (mut text, histogram) = (String::new(), Histogram::new());
        histogram.observe(std::time::Duration::from_millis(5));
        Text::new(&mut text).histogram("loop", "lag_seconds", "Lag.", &histogram);
        let expect = "skerry_loop_lag_seconds_bucket{le=\"+Inf\"} 1\nskerry_loop_lag_seconds_count 1\nskerry_loop_lag_seconds_sum 0.005\n";
        assert!(text.ends_with(expect), "{text}");
    }
}
