//! A request to a disk, of which there is one at a time: how it fails, and how its answer is waited for.

/// Looks at a disk's ring, some 50 microseconds in all, until the image sleeps: a host that has the block at hand is faster.
pub const LOOKS: u32 = 1_000;

/// Why a request failed. A `V` is what the host did that it must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure<V> {
    /// The host could not do it.
    Device,
    /// The host does not know how.
    Unsupported,
    /// The host did not answer in time; nothing is asked of it any more.
    Silent,
    /// The host broke the rules of the ring: whoever asked has to stop.
    Violation(V),
}

impl<V> From<V> for Failure<V> {
    fn from(violation: V) -> Self {
        Self::Violation(violation)
    }
}

/// Waits for what `take` returns of a disk: looks a while, and then between sleeps, until `sleep` is false, which is when it
/// has been long enough; `None` then.
pub fn answer<D, T, V>(
    disk: &mut D,
    take: impl Fn(&mut D) -> Result<Option<T>, V>,
    mut sleep: impl FnMut(&mut D) -> bool,
) -> Result<Option<T>, V> {
    for _ in 0..LOOKS {
        if let Some(answer) = take(disk)? {
            return Ok(Some(answer));
        }
        std::hint::spin_loop();
    }
    let mut patient = true;
    while patient {
        patient = sleep(disk);
        if let Some(answer) = take(disk)? {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}
