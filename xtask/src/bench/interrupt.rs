//! Ctrl-C: remembered, so that the guards that hold servers and namespaces are dropped in order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::Failure;

/// How often a wait looks whether it is over.
const GLANCE: Duration = Duration::from_millis(5);

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From here on SIGINT and SIGTERM end the next wait instead of the program.
pub fn watch() -> Result<(), Failure> {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(flag))
            .map_err(|error| format!("cannot watch for signal {signal}: {error}"))?;
    }
    Ok(())
}

/// An error once the user has asked to stop.
pub fn check() -> Result<(), Failure> {
    match INTERRUPTED.get() {
        Some(flag) if flag.load(Ordering::Relaxed) => Err("interrupted".into()),
        _ => Ok(()),
    }
}

/// Waits until `done` gives a value, `patience` is over (None) or the user asks to stop.
pub fn wait_for<T>(
    patience: Duration,
    mut done: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    let end = Instant::now() + patience;
    loop {
        check()?;
        if let Some(value) = done()? {
            return Ok(Some(value));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        std::thread::sleep(GLANCE);
    }
}

/// Sleeps, unless the user asks to stop.
pub fn sleep(duration: Duration) -> Result<(), Failure> {
    wait_for(duration, || Ok(None::<()>)).map(|_| ())
}
