//! The two devices that a domain of Xen's gets from another domain, and what they are made of.
//!
//! ```text
//!   netfront ──┬── ring: what the back end holds, and what has come back ──┐
//!   blkfront ──┘                                                           ├── pages ── Backend::grant
//!        └──────── frames and blocks, copied in and out ───────────────────┘
//! ```
//!
//! Nothing here trusts the back end (`ring` says how), and nothing here needs Xen: a build for the host has all of it, with a
//! back end in memory (`fake`) for tests and fuzzing.

mod blank;
pub mod blkfront;
pub mod limits;
pub mod netfront;
mod pages;
pub mod ring;

#[cfg(skerry_target = "host")]
pub mod fake;

/// The domain behind a device.
pub trait Backend {
    /// Lets it reach a page of ours for ever; only to read it unless `writable`. The grant's number, `None` if there is none left.
    fn grant(&mut self, page: *mut u8, writable: bool) -> Option<u32>;

    /// Raises the device's event there.
    fn notify(&mut self);
}

/// No memory, or no grant, for a device's pages: the image needs more memory or fewer devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPages;

impl std::fmt::Display for NoPages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there is no memory for its pages; give the image more")
    }
}

impl std::error::Error for NoPages {}
