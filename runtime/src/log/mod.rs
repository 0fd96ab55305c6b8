//! The backend of the `log` crate: lines on the console, and messages for a collector of syslog.
//!
//! ```text
//! log::info!(..) ─► levels by source ─┬─► console: 0.012 INFO runtime::network::addresses: DHCP lease: ...
//!                                     └─► syslog: message ─► queue ─► deliver: UDP, TCP, TLS ─► collector
//! ```
//! On the console: seconds and milliseconds since boot, level, module, message. Nothing is logged per packet at the default
//! level. Logging never waits: a message for which the queue has no room is lost, and the log says how many were.
//!
//! Reading order: `levels`, `text`, `syslog` (messages), `queue`, `collector` (where to), `deliver`.

mod collector;
mod deliver;
mod levels;
mod queue;
mod syslog;
#[cfg(test)]
mod testing;
mod text;

pub(crate) use collector::{Collector, Facility, Transport, host_and_port};
pub(crate) use deliver::{Outlet, drained, over_streams, over_udp};
pub(crate) use levels::name as level_name;
pub(crate) use syslog::{Format, Origin};

use crate::{
    configuration::Levels,
    limits::{LOG_LINE_BYTES, LOG_SOURCES},
};
use log::{Log, Metadata, Record};
use queue::Queue;
use std::{
    fmt::Write as _,
    io::Write as _,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};
use syslog::Message;
use text::OneLine;
use tokio::sync::Notify;

/// Whatever is logged goes here.
pub(crate) struct Logger {
    boot: u64,
    state: Mutex<State>,
    /// There is something to deliver.
    queued: Notify,
}

/// What changes. Held for moments, and never while somebody else's code runs: what is logged may itself log.
struct State {
    levels: Levels,
    /// Who has said something, in the order of their first words.
    sources: Vec<String>,
    counts: Counts,
    outbox: Option<Outbox>,
    /// Where lines are put together, so that no line takes new memory.
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    text: String,
    line: String,
}

/// Messages on their way to a collector.
struct Outbox {
    origin: Origin,
    queue: Queue,
    number: u64,
    /// Losses that were told of.
    told: u64,
}

/// What was logged since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Lines by level, errors first.
    pub lines: [u64; 5],
    /// Messages for which the queue had no room.
    pub lost: u64,
    /// Octets in the queue that are not known to be with the collector.
    pub queued: usize,
    /// Connections to the collector that came about.
    pub connected: u64,
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Starts logging. Only the first call counts.
pub(crate) fn start(levels: Levels) {
    let logger = LOGGER.get_or_init(|| Logger::new(levels, platform::clock::monotonic()));
    if log::set_logger(logger).is_ok() {
        log::set_max_level(logger.state().levels.most());
    }
}

/// Keeps messages for a collector from now on, in so many octets; `None` if there is no memory for them.
pub(crate) fn keep_for_collector(origin: Origin, octets: usize) -> Option<&'static Logger> {
    let logger = LOGGER.get()?;
    let queue = Queue::new(octets).ok()?;
    logger.state().outbox = Some(Outbox { origin, queue, number: 0, told: 0 });
    Some(logger)
}

/// A message as a collector would get it, after so many nanoseconds since 1970: for tests and fuzzing.
#[doc(hidden)]
pub fn syslog_message(is_rfc3164: bool, target: &str, text: &str, wall: u64, octets: usize) -> String {
    let format = if is_rfc3164 { Format::Rfc3164 } else { Format::Rfc5424 };
    let origin = Origin { format, facility: 3, host: "host".into(), application: "app".into(), octets };
    let (mut line, mut message) = (String::new(), String::new());
    let _ = write!(OneLine::new(&mut line, LOG_LINE_BYTES), "{text}");
    let level = log::Level::Info;
    origin.write(&mut message, &Message { level, target, text: &line, wall, uptime: wall, number: 0 });
    message
}

/// The levels that hold now.
pub(crate) fn levels() -> Levels {
    LOGGER.get().map(|logger| logger.state().levels.clone()).unwrap_or_default()
}

/// Lets other levels hold.
pub(crate) fn set_levels(levels: Levels) {
    if let Some(logger) = LOGGER.get() {
        log::set_max_level(levels.most());
        logger.state().levels = levels;
    }
}

/// Who has said something since boot.
pub(crate) fn sources() -> Vec<String> {
    LOGGER.get().map(|logger| logger.state().sources.clone()).unwrap_or_default()
}

/// What was logged since boot.
pub(crate) fn counts() -> Counts {
    let Some(logger) = LOGGER.get() else { return Counts::default() };
    let state = logger.state();
    let queue = state.outbox.as_ref().map(|outbox| &outbox.queue);
    Counts {
        lost: queue.map_or(0, |queue| queue.lost),
        queued: queue.map_or(0, Queue::unacknowledged),
        ..state.counts
    }
}

impl Logger {
    fn new(levels: Levels, boot: u64) -> Self {
        let state = State {
            levels,
            sources: Vec::new(),
            counts: Counts::default(),
            outbox: None,
            scratch: Scratch::default(),
        };
        Self { boot, state: Mutex::new(state), queued: Notify::const_new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the queue, if there is one.
    fn with_queue<T>(&self, act: impl FnOnce(&mut Queue) -> T) -> Option<T> {
        self.state().outbox.as_mut().map(|outbox| act(&mut outbox.queue))
    }

    /// Says what was lost, if there is room for it by now.
    fn tell_losses(&self) {
        let (wall, uptime) =
            (platform::clock::wall(), platform::clock::monotonic().saturating_sub(self.boot));
        let mut state = self.state();
        let State { outbox, scratch, .. } = &mut *state;
        if let Some(outbox) = outbox {
            outbox.tell_losses(&mut scratch.line, wall, uptime);
        }
    }

    /// How messages are written.
    fn format(&self) -> Format {
        self.state().outbox.as_ref().map(|outbox| outbox.origin.format).unwrap_or_default()
    }

    /// Hands the console's line of a record to `console` and the message to the queue, if its source's level lets it pass.
    fn write(&self, record: &Record<'_>, now: u64, wall: u64, console: impl FnOnce(&str)) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // Taken, not borrowed: what is logged is put into words by other people's code.
        let Scratch { mut text, mut line } = std::mem::take(&mut self.state().scratch);
        text.clear();
        line.clear();
        let _ = write!(OneLine::new(&mut text, LOG_LINE_BYTES), "{}", record.args());
        let uptime = now.saturating_sub(self.boot);
        let (level, target) = (record.level(), record.target());
        let (seconds, milliseconds) = (uptime / 1_000_000_000, uptime / 1_000_000 % 1_000);
        let _ = write!(line, "{seconds}.{milliseconds:03} {level} ");
        let _ = write!(OneLine::new(&mut line, LOG_LINE_BYTES), "{target}: {text}");
        line.push('\n');
        console(&line);
        let mut state = self.state();
        state.note(record);
        if let Some(outbox) = &mut state.outbox {
            let message = Message { level, target, text: &text, wall, uptime, number: 0 };
            outbox.push(&mut line, &message);
            self.queued.notify_one();
        }
        state.scratch = Scratch { text, line };
    }
}

impl State {
    /// Counts a line, and remembers who said it.
    fn note(&mut self, record: &Record<'_>) {
        self.counts.lines[record.level() as usize - 1] += 1;
        let target = record.target();
        if self.sources.len() < LOG_SOURCES && !self.sources.iter().any(|source| source == target) {
            self.sources.push(target.to_owned());
        }
    }
}

impl Outbox {
    /// Takes a message, and numbers it. `scratch` is where it is put together.
    fn push(&mut self, scratch: &mut String, message: &Message<'_>) {
        self.tell_losses(scratch, message.wall, message.uptime);
        self.origin.write(scratch, &Message { number: self.number, ..*message });
        self.number += 1; // also of one that is lost, so that the gap shows
        self.queue.push(scratch.as_bytes());
    }

    /// Says what was lost, as soon as there is room for it. The console has it all.
    fn tell_losses(&mut self, scratch: &mut String, wall: u64, uptime: u64) {
        let lost = self.queue.lost;
        if lost == self.told {
            return;
        }
        let text = format!("{} messages were lost: the queue was full", lost - self.told);
        let (level, target, number) = (log::Level::Warn, module_path!(), self.number);
        self.origin.write(scratch, &Message { level, target, text: &text, wall, uptime, number });
        if self.queue.push(scratch.as_bytes()) {
            self.told = lost;
            self.number += 1;
        } else {
            self.queue.lost = lost; // it tries again, and is not a loss itself
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.state().levels.of(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        self.write(record, platform::clock::monotonic(), platform::clock::wall(), |line| {
            // One write, so that a line stays whole; there is nobody to tell if the console is gone.
            let _ = std::io::stderr().write_all(line.as_bytes());
        });
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;
    use testing::{logger, say, with_queue};

    /// With `levels` a record of `target` at `level` is this line.
    #[track_caller]
    fn check_line(levels: &str, target: &str, level: Level, message: &str, expect: Option<&str>) {
        assert_eq!(say(&logger(levels), target, level, message).as_deref(), expect);
    }

    #[test]
    fn lines() {
        check_line("--log-level=info", "dns", Level::Info, "ready", Some("2.045 INFO dns: ready\n"));
        check_line("--log-level=info", "dns", Level::Debug, "ready", None);
        check_line(
            "--log-level=warn,dns=debug",
            "dns::zone",
            Level::Debug,
            "x",
            Some("2.045 DEBUG dns::zone: x\n"),
        );
        check_line(
            "--logs=*:warn,dns:debug",
            "dns::zone",
            Level::Debug,
            "x",
            Some("2.045 DEBUG dns::zone: x\n"),
        );
        check_line("--logs=*:warn,dns:debug", "runtime", Level::Info, "x", None);
        check_line("--logs=*:debug,dns:off", "dns", Level::Error, "x", None);
        check_line("--log-level=dns=error", "runtime", Level::Info, "x", Some("2.045 INFO runtime: x\n"));
        // What comes from outside cannot forge a line, nor move the cursor.
        check_line(
            "--log-level=info",
            "dns",
            Level::Warn,
            "a\n9.999 b\x1b[2J",
            Some("2.045 WARN dns: a 9.999 b [2J\n"),
        );
    }

    /// What is queued for the collector now.
    fn queued(logger: &Logger) -> Vec<String> {
        let mut found = Vec::new();
        let mut buffer = Vec::new();
        while logger.with_queue(|queue| queue.take(&mut buffer, |_, _| ())).expect("there is a queue") {
            found.push(String::from_utf8(std::mem::take(&mut buffer)).expect("it is text"));
        }
        found
    }

    #[test]
    fn messages_are_queued_for_the_collector() {
        let logger = with_queue(4_096);
        (0..2).for_each(|number| drop(say(logger, "t", Level::Info, &format!("message {number}"))));
        let head = |number| format!("<30>1 - host app - t [meta sequenceId=\"{number}\" sysUpTime=\"204\"] ");
        let expect = [format!("{}t: message 0", head(1)), format!("{}t: message 1", head(2))];
        assert_eq!(queued(logger), expect);
    }

    #[test]
    fn losses_are_told_of_once_there_is_room() {
        let logger = with_queue(300);
        (0..9).for_each(|_| drop(say(logger, "t", Level::Info, "x")));
        let fit = queued(logger).len() as u64;
        logger.with_queue(|queue| {
            queue.acknowledge(queue.position());
            queue.release(queue.position());
        });
        say(logger, "t", Level::Info, "y");
        assert_eq!(counted(logger), (10, 9 - fit));
        let told = format!("runtime::log: {} messages were lost: the queue was full", 9 - fit);
        let found = queued(logger);
        assert!(found[0].contains("sequenceId=\"10\"") && found[0].ends_with(&told), "{found:?}");
        assert!(found[1].contains("sequenceId=\"11\""), "{found:?}");
    }

    fn counted(logger: &Logger) -> (u64, u64) {
        let state = logger.state();
        (state.counts.lines[2], state.outbox.as_ref().expect("it was set").queue.lost)
    }

    /// What is logged is put into words while it is logged, and may log something itself.
    #[test]
    fn logging_may_log() {
        struct Nested<'a>(&'a Logger);
        impl std::fmt::Display for Nested<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                say(self.0, "inner", Level::Info, "inside");
                f.write_str("outside")
            }
        }
        let logger = logger("--log-level=info");
        let mut said = String::new();
        let nested = Nested(&logger);
        logger.write(
            &Record::builder().target("outer").level(Level::Info).args(format_args!("{nested}")).build(),
            1_000_000_000,
            0,
            |line| said = line.to_owned(),
        );
        assert_eq!(said, "0.000 INFO outer: outside\n");
        assert_eq!(logger.state().sources, ["inner", "outer"]);
    }
}
