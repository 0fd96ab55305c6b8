//! Where the one thread sleeps, and what it does before it does.
//!
//! A single-threaded executor parks when it has nothing to run: a futex wait that only a waker can end. There is no other
//! thread to call that waker, so before it sleeps the image polls its devices, which is what wakes tasks:
//!
//! ```text
//! executor ─ park ─► futex wait ─► hook (runtime: frames → sockets → wakers) ─ woke a task ─► executor
//!                        ▲                     │ nothing to do
//!                        │                     ▼
//!                        └────────────── platform::wait ── tender's yield
//! ```
//!
//! An executor that wakes its own thread does not touch the futex: it takes itself to be running. So the hook says whether
//! it may have woken a task, and the wait then ends without cause, as futex(2) allows it to. The same goes for a deadline
//! that has passed: the hook has a clock reading of its own, and so the wait needs none for each turn.

use crate::target;
use std::sync::OnceLock;

/// What [`on_idle`] registers: called with the monotonic time in nanoseconds until which the executor would sleep; returns
/// whether the executor has to look: a task may have been woken, or that time has come.
pub type IdleHook = fn(deadline: Option<u64>) -> bool;

static HOOK: OnceLock<IdleHook> = OnceLock::new();

/// Registers what to do whenever the only thread would block. Only the first registration counts.
///
/// The hook runs outside of any task. It polls the devices and, if there was nothing to do, calls [`wait`] itself; it may
/// return early with `false`, for it is called again until it returns `true` or the futex changed. It must return `true` once
/// `deadline` has passed.
pub fn on_idle(hook: IdleHook) {
    let _ = HOOK.set(hook);
}

/// Sleeps until a device can be read or the monotonic clock reaches `deadline`, in nanoseconds. May return early.
pub fn wait(deadline: Option<u64>) {
    target::wait(deadline);
}

/// Blocks once, by the hook if there is one, and returns what it said. `None` if nothing could ever end the wait.
#[cfg(not(skerry_target = "host"))]
pub(crate) fn turn(deadline: Option<u64>) -> Option<bool> {
    match HOOK.get() {
        Some(hook) => Some(hook(deadline)),
        None if deadline.is_none() => None,
        None => {
            wait(deadline);
            Some(true)
        }
    }
}
