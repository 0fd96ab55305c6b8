//! What is let through: a level for everybody and others for some sources, as `SRC:LEVEL,*:LEVEL`.
//!
//! A source is a module. `--logs` and `--log-level` say it at boot, the control port while the image runs.

use crate::{configuration::Levels, limits::LOG_MODULES};
use log::LevelFilter;
use std::fmt;

/// Everybody, as a source.
const ALL: &str = "*";

impl Levels {
    /// The level of a module: that of the longest module name given which it is or is inside of.
    pub(crate) fn of(&self, target: &str) -> LevelFilter {
        let fits = |module: &str| {
            target.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let given =
            self.modules.iter().filter(|(module, _)| fits(module)).max_by_key(|(module, _)| module.len());
        given.map_or(self.default, |(_, level)| *level)
    }

    /// The most that anybody may say.
    pub(crate) fn most(&self) -> LevelFilter {
        self.modules.iter().map(|(_, level)| *level).fold(self.default, Ord::max)
    }

    /// Changes what one item of a list says: `SRC:LEVEL`, `MODULE=LEVEL` or `LEVEL`. What is wrong with it, if anything is.
    pub(crate) fn change(&mut self, item: &str) -> Result<(), &'static str> {
        let (source, level) = item.rsplit_once('=').or_else(|| item.rsplit_once(':')).unwrap_or((ALL, item));
        let level = level.trim().parse().map_err(|_| "a level is not known")?;
        let source = source.trim();
        if source.is_empty() || source == ALL {
            self.default = level;
            return Ok(());
        }
        if source.len() > 63 || !source.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("that is not the name of a source");
        }
        let modules = self.modules.len();
        match self.modules.iter_mut().find(|(module, _)| module == source) {
            Some((_, given)) => *given = level,
            None if modules < LOG_MODULES => self.modules.push((source.to_owned(), level)),
            None => return Err("it names too many modules"),
        }
        Ok(())
    }
}

impl fmt::Display for Levels {
    /// As `--logs` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALL}:{}", name(self.default))?;
        self.modules.iter().try_for_each(|(module, level)| write!(f, ",{module}:{}", name(*level)))
    }
}

/// A level as it is written in a configuration.
pub(crate) fn name(level: LevelFilter) -> &'static str {
    match level {
        LevelFilter::Off => "off",
        LevelFilter::Error => "error",
        LevelFilter::Warn => "warn",
        LevelFilter::Info => "info",
        LevelFilter::Debug => "debug",
        LevelFilter::Trace => "trace",
    }
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

    /// After these changes the levels are these.
    #[track_caller]
    fn check_changes(items: &[&str], expect: Result<&str, &str>) {
        let mut levels = Levels::default();
        let outcome = items.iter().try_for_each(|item| levels.change(item)).map(|()| levels.to_string());
        assert_eq!(outcome, expect.map(str::to_owned));
    }

    #[test]
    fn levels_are_changed_item_by_item() {
        check_changes(&[], Ok("*:info"));
        check_changes(&["dns:debug", "*:warn"], Ok("*:warn,dns:debug"));
        check_changes(&["dns::zone:debug", "dns::zone:off"], Ok("*:info,dns::zone:off"));
        check_changes(&["dns=debug", "error"], Ok("*:error,dns:debug"));
        check_changes(&["dns::zone"], Err("a level is not known"));
        check_changes(&["dns:loud"], Err("a level is not known"));
        check_changes(&["a b:info"], Err("that is not the name of a source"));
        check_changes(&[""], Err("a level is not known"));
    }

    #[test]
    fn modules_are_bounded() {
        let mut levels = Levels::default();
        let mut change = |number: usize| levels.change(&format!("m{number}:warn"));
        assert!((0..LOG_MODULES).all(|number| change(number).is_ok()));
        assert_eq!(change(LOG_MODULES), Err("it names too many modules"));
        assert_eq!(change(0), Ok(()));
    }
}
