//! Where the one thread sleeps, and what it does before it does.
//!
//! A single-threaded executor parks when it has nothing to run: a futex wait that only a waker can end. There is no other
//! thread to call that waker, so before it sleeps the image polls its devices, which is what wakes tasks:
//!
//! ```text
//! executor ─ park ─► futex wait ─► hook (runtime: frames → sockets → wakers) ─► futex changed? ─ yes ─► executor
//!                        ▲                     │ nothing to do                        │ no
//!                        │                     ▼                                      │
//!                        │                platform::wait ── tender's yield            │
//!                        └─────────────────────┴──────────────────────────────────────┘
//! ```

use crate::target;
use std::sync::OnceLock;

/// What [`on_idle`] registers: called with the monotonic time in nanoseconds until which the executor would sleep.
pub type IdleHook = fn(deadline: Option<u64>);

static HOOK: OnceLock<IdleHook> = OnceLock::new();

/// Registers what to do whenever the only thread would block. Only the first registration counts.
///
/// The hook runs outside of any task. It polls the devices and, if there was nothing to do, calls [`wait`] itself; it may
/// return early, for it is called again until the futex changed or `deadline` has passed.
pub fn on_idle(hook: IdleHook) {
    let _ = HOOK.set(hook);
}

/// Sleeps until a device can be read or the monotonic clock reaches `deadline`, in nanoseconds. May return early.
pub fn wait(deadline: Option<u64>) {
    target::wait(deadline);
}

/// Blocks once, by the hook if there is one. False if nothing could ever end the wait.
#[cfg(not(skerry_target = "host"))]
pub(crate) fn turn(deadline: Option<u64>) -> bool {
    match HOOK.get() {
        Some(hook) => hook(deadline),
        None if deadline.is_none() => return false,
        None => wait(deadline),
    }
    true
}
