//! What a subject of the Muen separation kernel finds in its memory.
//!
//! Muen has no hypercalls for devices: a policy, fixed when the system is built, maps pages into each subject, and other
//! subjects are at their other end.
//!
//! ```text
//!   0xe00000000  subject information ─ sinfo: names, addresses and sizes of all the others
//!   0xe00008000  scheduling          ─ time:  when this turn on the processor began and ends
//!   `time_info`                      ─ time:  what the processor's counter stood at in 1970, and its rate
//!   `debuglog`, `NAME|in`, `NAME|out` ─ channel: packets one way each, never a wait
//! ```
//!
//! Everything here is bytes of another subject, which may write whatever it likes whenever it likes: memory is seen as
//! atomic words only, every number read from it is checked before it is used, and the copy that is checked is the copy that
//! is used. No unsafe code: who knows where the pages are (a back end of platform) hands them in.
//!
//! Layouts are those of Solo5's `bindings/muen` (commit 469c1a8, ABI 4) and of Muen's `doc/shmstream/shmstream2.tex`. There is
//! no back end yet: docs/targets/muen.md says what is missing.

#![no_std]
#![forbid(unsafe_code)]

pub mod channel;
pub mod frame;
pub mod limits;
pub mod shared;
pub mod sinfo;
pub mod time;
