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
//! it may have woken a task, and the wait then ends without cause, as futex(2) allows it to.

use crate::target;
use std::sync::OnceLock;

/// What [`on_idle`] registers: called with the monotonic time in nanoseconds until which the executor would sleep; returns
/// whether it may have woken a task.
pub type IdleHook = fn(deadline: Option<u64>) -> bool;

static HOOK: OnceLock<IdleHook> = OnceLock::new();

/// Registers what to do whenever the only thread would block. Only the first registration counts.
///
/// The hook runs outside of any task. It polls the devices and, if there was nothing to do, calls [`wait`] itself; it may
/// return early, for it is called again until it woke a task, the futex changed or `deadline` has passed.
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
        Some(hook) => return Some(hook(deadline)),
        None if deadline.is_none() => return None,
        None => wait(deadline),
    }
    Some(false)
}
