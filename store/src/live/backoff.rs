//! Pauses between attempts: longer each time, and by chance, so that writers who collided do not collide again.

use crate::remote::limits::{BACKOFF_MS, BACKOFF_MS_MAX};
use std::time::Duration;

/// Waits before attempt number `attempt`, counted from 0; not at all before the first.
pub async fn pause(attempt: u32) {
    if let Some(most) = longest(attempt) {
        let mut chance = [0; 8];
        platform::entropy::fill(&mut chance);
        let milliseconds = u64::from_ne_bytes(chance) % (most + 1);
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}

/// Milliseconds at most.
fn longest(attempt: u32) -> Option<u64> {
    let doublings = attempt.checked_sub(1)?;
    Some(BACKOFF_MS.checked_shl(doublings).unwrap_or(BACKOFF_MS_MAX).clamp(BACKOFF_MS, BACKOFF_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        for (attempt, expected) in [
            (0, None),
            (1, Some(BACKOFF_MS)),
            (2, Some(2 * BACKOFF_MS)),
            (20, Some(BACKOFF_MS_MAX)),
            (99, Some(BACKOFF_MS_MAX)),
        ] {
            assert_eq!(longest(attempt), expected, "{attempt}");
        }
    }
}
