//! Medians, tables, and whether what was promised holds.

use std::fmt;
use std::process::ExitCode;

/// The values of one quantity, one per round.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds the value of another round.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The one in the middle; the mean of the two in the middle of an even number.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            length if length % 2 == 1 => sorted[length / 2],
            length => (sorted[length / 2 - 1] + sorted[length / 2]) / 2.0,
        }
    }

    /// Round by round, this over `other`: what drifts from round to round cancels.
    pub fn over(&self, other: &Self) -> Self {
        self.0.iter().zip(&other.0).map(|(mine, theirs)| mine / theirs).collect()
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// `median (smallest-largest)` with the formatter's precision, two digits by default.
impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let smallest = self.0.iter().copied().fold(f64::NAN, f64::min);
        let largest = self.0.iter().copied().fold(f64::NAN, f64::max);
        write!(f, "{:.digits$} ({smallest:.digits$}-{largest:.digits$})", self.median())
    }
}

/// Prints `rows` under `header`, every column as wide as its widest cell.
pub fn print(header: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        println!("  {}", padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    line(header.to_vec());
    for row in rows {
        line(row.iter().map(String::as_str).collect());
    }
}

/// Which side of the bound is the good one.
#[derive(Clone, Copy)]
pub enum Bound {
    /// Holds up to and including.
    AtMost(f64),
    /// Holds from, including.
    AtLeast(f64),
}

/// What was promised, and what came of it.
#[derive(Default)]
pub struct Promises(Vec<(String, f64, Bound)>);

impl Promises {
    /// Notes that `what` was measured as `value`.
    pub fn note(&mut self, what: impl Into<String>, value: f64, bound: Bound) {
        self.0.push((what.into(), value, bound));
    }

    /// Prints every promise with what was measured; success if all hold.
    pub fn print(&self) -> ExitCode {
        if self.0.is_empty() {
            return ExitCode::SUCCESS;
        }
        println!("\npromises");
        let rows: Vec<Vec<String>> = self.0.iter().map(Self::row).collect();
        print(&["", "what", "measured", "promised"], &rows);
        let broken = self.0.iter().filter(|(_, value, bound)| !bound.holds(*value)).count();
        println!("{} met, {broken} not", self.0.len() - broken);
        if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn row((what, value, bound): &(String, f64, Bound)) -> Vec<String> {
        let verdict = if bound.holds(*value) { "OK" } else { "NOT MET" };
        vec![verdict.into(), what.clone(), readable(*value), bound.to_string()]
    }
}

impl Bound {
    /// A value that could not be measured (NaN) holds nothing.
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "at most {}", readable(*limit)),
            Self::AtLeast(limit) => write!(f, "at least {}", readable(*limit)),
        }
    }
}

/// Three significant digits or so, whatever the size.
fn readable(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[f64], expect: &str) {
        assert_eq!(values.iter().copied().collect::<Samples>().to_string(), expect);
    }

    #[test]
    fn samples_show_median_and_spread() {
        check(&[3.0, 1.0, 2.0], "2.00 (1.00-3.00)");
        check(&[4.0, 1.0, 2.0, 3.0], "2.50 (1.00-4.00)");
        check(&[7.0], "7.00 (7.00-7.00)");
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let (ours, theirs): (Samples, Samples) =
            ([1.0, 20.0].into_iter().collect(), [2.0, 40.0].into_iter().collect());
        assert_eq!(ours.over(&theirs).to_string(), "0.50 (0.50-0.50)");
    }

    #[test]
    fn one_broken_promise_fails_the_run() {
        let mut promises = Promises::default();
        promises.note("good", 1.1, Bound::AtMost(1.1));
        promises.note("good", 1.5, Bound::AtLeast(1.5));
        assert_eq!(promises.print(), ExitCode::SUCCESS);
        promises.note("not measured", f64::NAN, Bound::AtMost(1.0));
        assert_eq!(promises.print(), ExitCode::FAILURE);
    }
}
