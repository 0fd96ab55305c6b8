//! Loggers for tests, which nobody else logs to.

use super::{Logger, Origin, Outbox, Queue};
use crate::configuration::{Configuration, Request};
use log::{Level, Record};

/// One that was started with these arguments, a second after the clock's zero.
pub(super) fn logger(levels: &str) -> Logger {
    let Ok(Request::Run(mut configuration)) = Configuration::load(&[], [levels.into()], None) else {
        panic!("{levels}");
    };
    Logger::new(configuration.take_common().expect("it is good").levels, 1_000_000_000)
}

/// One that keeps messages for a collector, in so many octets.
pub(super) fn with_queue(octets: usize) -> &'static Logger {
    let logger = logger("--log-level=info");
    let queue = Queue::new(octets).expect("there is memory");
    let origin = Origin {
        facility: 3,
        host: "host".into(),
        application: "app".into(),
        octets: 400,
        ..Origin::default()
    };
    logger.state().outbox = Some(Outbox { origin, queue, number: 0, told: 0 });
    Box::leak(Box::new(logger))
}

/// Logs, two seconds after boot. The console's line.
pub(super) fn say(logger: &Logger, target: &str, level: Level, message: &str) -> Option<String> {
    let mut said = None;
    logger.write(
        &Record::builder().target(target).level(level).args(format_args!("{message}")).build(),
        3_045_999_999,
        0,
        |line| said = Some(line.to_owned()),
    );
    said
}
