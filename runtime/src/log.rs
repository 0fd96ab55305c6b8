//! The backend of the `log` crate: lines on the console, with a level per module.
//!
//! ```text
//! 0.012 INFO runtime::network::addresses: DHCP lease: 10.0.2.15/24, from 10.0.2.2
//! ```
//! Seconds and milliseconds since boot, level, module, message. Nothing is logged per packet at the default level.

use crate::configuration::Levels;
use log::{LevelFilter, Log, Metadata, Record};
use std::{io::Write, sync::OnceLock};

struct Console {
    levels: Levels,
    boot: u64,
}

static CONSOLE: OnceLock<Console> = OnceLock::new();

/// Starts logging. Only the first call counts.
pub(crate) fn start(levels: Levels) {
    let console = CONSOLE.get_or_init(|| Console { levels, boot: platform::clock::monotonic() });
    let most = console.levels.modules.iter().map(|(_, level)| *level).chain([console.levels.default]).max();
    if log::set_logger(console).is_ok() {
        log::set_max_level(most.unwrap_or(LevelFilter::Off));
    }
}

impl Levels {
    /// The level of a module: that of the longest module name given which it is or is inside of.
    fn of(&self, target: &str) -> LevelFilter {
        let fits = |module: &str| {
            target.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let given =
            self.modules.iter().filter(|(module, _)| fits(module)).max_by_key(|(module, _)| module.len());
        given.map_or(self.default, |(_, level)| *level)
    }
}

impl Console {
    /// The line of a record at `now`, if its module's level lets it pass. A message of several lines becomes one.
    fn line(&self, record: &Record<'_>, now: u64) -> Option<String> {
        let milliseconds = now.saturating_sub(self.boot) / 1_000_000;
        let (seconds, milliseconds) = (milliseconds / 1_000, milliseconds % 1_000);
        let (level, target) = (record.level(), record.target());
        self.enabled(record.metadata()).then(|| {
            let mut line = format!("{seconds}.{milliseconds:03} {level} {target}: {}", record.args());
            line = line.replace(|character: char| character.is_control(), " ");
            line.push('\n');
            line
        })
    }
}

impl Log for Console {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.levels.of(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if let Some(line) = self.line(record, platform::clock::monotonic()) {
            // One write, so that a line stays whole; there is nobody to tell if the console is gone.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{Configuration, Request};
    use log::Level;

    #[track_caller]
    fn check(target: &str, expect: LevelFilter) {
        let modules = [
            ("dns", LevelFilter::Debug),
            ("runtime", LevelFilter::Warn),
            ("runtime::network", LevelFilter::Trace),
        ];
        let modules = modules.map(|(module, level)| (module.to_string(), level)).to_vec();
        assert_eq!(Levels { default: LevelFilter::Info, modules }.of(target), expect);
    }

    /// With `--log-level=levels` a record of `target` at `level` is this line.
    #[track_caller]
    fn check_line(levels: &str, target: &str, level: Level, message: &str, expect: Option<&str>) {
        let given = [format!("--log-level={levels}").into()];
        let Ok(Request::Run(mut configuration)) = Configuration::load(&[], given, None) else {
            panic!("{levels}");
        };
        let levels = configuration.take_common().expect("it is good").levels;
        let console = Console { levels, boot: 1_000_000_000 };
        let line = console.line(
            &Record::builder().target(target).level(level).args(format_args!("{message}")).build(),
            3_045_999_999,
        );
        assert_eq!(line.as_deref(), expect);
    }

    #[test]
    fn lines() {
        check_line("info", "dns", Level::Info, "ready", Some("2.045 INFO dns: ready\n"));
        check_line("info", "dns", Level::Debug, "ready", None);
        check_line("warn,dns=debug", "dns::zone", Level::Debug, "x", Some("2.045 DEBUG dns::zone: x\n"));
        check_line("warn,dns=debug", "runtime", Level::Info, "x", None);
        check_line("debug,dns=off", "dns", Level::Error, "x", None);
        check_line("dns=error", "runtime", Level::Info, "x", Some("2.045 INFO runtime: x\n"));
        // What comes from outside cannot forge a line, nor move the cursor.
        check_line("info", "dns", Level::Warn, "a\n9.999 b\x1b[2J", Some("2.045 WARN dns: a 9.999 b [2J\n"));
    }

    #[test]
    fn the_longest_module_that_fits_decides() {
        check("dns", LevelFilter::Debug);
        check("dns::zone", LevelFilter::Debug);
        check("dnssec", LevelFilter::Info);
        check("runtime::event_loop", LevelFilter::Warn);
        check("runtime::network::stack", LevelFilter::Trace);
    }
}
