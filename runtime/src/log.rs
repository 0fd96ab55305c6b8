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

impl Log for Console {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.levels.of(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let milliseconds = platform::clock::monotonic().saturating_sub(self.boot) / 1_000_000;
        let (level, target) = (record.level(), record.target());
        let line = format!(
            "{}.{:03} {level} {target}: {}\n",
            milliseconds / 1_000,
            milliseconds % 1_000,
            record.args()
        );
        // One write, so that a line stays whole; there is nobody to tell if the console is gone.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn the_longest_module_that_fits_decides() {
        check("dns", LevelFilter::Debug);
        check("dns::zone", LevelFilter::Debug);
        check("dnssec", LevelFilter::Info);
        check("runtime::event_loop", LevelFilter::Warn);
        check("runtime::network::stack", LevelFilter::Trace);
    }
}
