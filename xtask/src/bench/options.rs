//! The command line of `bench`.

use std::path::PathBuf;
use std::time::Duration;

use super::{SUITES, Suite};

/// What was asked for.
pub struct Options {
    /// Which rows there are.
    pub suite: &'static Suite,
    /// Length of one measurement.
    pub seconds: Duration,
    /// Turns of every compared row.
    pub rounds: usize,
    /// Names of rows; empty: all.
    pub only: Vec<String>,
    /// Queries per second of the paced measurement.
    pub rate: u32,
    /// How long the idle row watches.
    pub idle: Duration,
    /// Queries of the soak row, malformed ones included.
    pub soak: u64,
    /// Records of the large zone.
    pub records: usize,
    /// A tender and an image to measure instead of those that are built.
    pub tender: Option<PathBuf>,
    /// See `tender`.
    pub image: Option<PathBuf>,
    /// The virtual machine of `linux-vm`: QEMU's `-machine`.
    pub machine: String,
    /// Its `-accel`.
    pub accelerator: String,
}

/// None: help was asked for.
pub fn parse(arguments: Vec<String>) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options {
        suite: &SUITES[0],
        // A shared machine is now faster and now slower for seconds on end: rows that are compared take short turns.
        seconds: Duration::from_secs(1),
        rounds: 0,
        only: Vec::new(),
        rate: 100_000,
        idle: Duration::from_secs(60),
        soak: 5_000_000,
        records: 1_000_000,
        tender: None,
        image: None,
        machine: "microvm".into(),
        accelerator: "tcg".into(),
    };
    let mut rounds = None;
    let mut name = None;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => options.seconds = Duration::from_secs_f64(parser.value()?.parse()?),
            Long("rounds") => rounds = Some(parser.value()?.parse()?),
            Long("only") => options.only.push(parser.value()?.string()?),
            Long("rate") => options.rate = parser.value()?.parse()?,
            Long("idle-seconds") => options.idle = Duration::from_secs(parser.value()?.parse()?),
            Long("queries") => options.soak = parser.value()?.parse()?,
            Long("records") => options.records = parser.value()?.parse()?,
            Long("tender") => options.tender = Some(parser.value()?.into()),
            Long("machine") => options.machine = parser.value()?.string()?,
            Long("accel") => options.accelerator = parser.value()?.string()?,
            Long("image") => options.image = Some(parser.value()?.into()),
            Long("help") | Short('h') => return Ok(None),
            Value(suite) if name.is_none() => name = Some(suite.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let Some(name) = name else { return Ok(None) };
    options.suite = SUITES.iter().find(|suite| suite.name == name).ok_or_else(|| {
        let known: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
        format!("there is no bench '{name}', only {}", known.join(" and "))
    })?;
    options.rounds = rounds.unwrap_or(options.suite.rounds);
    let unknown = options.only.iter().find(|name| options.suite.rows.iter().all(|row| row.name != **name));
    match unknown {
        Some(row) => Err(format!("there is no row '{row}' in {name}").into()),
        None if options.rounds == 0 => Err("--rounds is at least 1".into()),
        None => Ok(Some(options)),
    }
}

/// The text for `--help`.
pub fn help() -> String {
    let mut text = String::from(
        "usage: cargo xtask bench dns [OPTION]...          as root, with nsd, knot and iproute2 installed
       cargo xtask bench linux-vm [OPTION]...     as root, on Debian, with qemu-system-x86 and lz4 installed
       cargo xtask bench store [OPTION]...        as root, with git and iproute2 installed

  --only ROW          one row, repeatable; without it all of them
  --seconds N         length of one measurement (1)
  --rounds N          turns of every compared row (9; linux-vm: 5; store: 3)
  --rate N            queries per second where the load is paced (100000)
  --records N         records of the large zone (1000000)
  --idle-seconds N    how long the idle row watches (60)
  --queries N         queries of the soak row (5000000); the promise is for 100000000
  --tender, --image   measure these files instead of building them
  --machine, --accel  QEMU's, of linux-vm: microvm (the default) or q35; tcg (the default) or kvm
",
    );
    for suite in SUITES {
        text += &format!("\nrows of {}:\n", suite.name);
        for row in suite.rows {
            text += &format!("  {:<18}  {}\n", row.name, row.shows);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: Result<bool, &str>) {
        let arguments = line.split_whitespace().map(str::to_owned).collect();
        let parsed = parse(arguments).map(|options| options.is_some()).map_err(|error| error.to_string());
        assert_eq!(parsed.as_ref().copied().map_err(String::as_str), expect);
    }

    #[test]
    fn lines_are_understood_or_refused() {
        check("dns --seconds 0.5 --rounds 1 --only speed --only soak", Ok(true));
        check("dns --help", Ok(false));
        check("", Ok(false));
        check("dns --only nothing", Err("there is no row 'nothing' in dns"));
        check("linux-vm --only boot --machine q35", Ok(true));
        check("linux-vm --only speed", Err("there is no row 'speed' in linux-vm"));
        check("mail", Err("there is no bench 'mail', only dns and linux-vm and store and web"));
        check("dns --rounds 0", Err("--rounds is at least 1"));
    }
}
