//! What an image says about itself: the numbers in its log lines.

/// The word of `text` right before each occurrence of `unit`, as a number, last occurrence first.
fn numbers<'a>(text: &'a str, unit: &'a str) -> impl Iterator<Item = f64> + 'a {
    text.rmatch_indices(unit).filter_map(|(at, _)| text[..at].split_whitespace().next_back()?.parse().ok())
}

/// Bytes of memory in use, from the last report that `--counters` has made: `memory 812 of 15360 KiB`.
pub fn memory(log: &str) -> Option<f64> {
    numbers(log, " of ").next().map(|kibibytes| kibibytes * 1024.0)
}

/// Bytes that its zones take: `zone example.: 1000 records, 96000 octets`.
pub fn zone_octets(log: &str) -> Option<f64> {
    numbers(log, " octets").next()
}

/// Microseconds from the image's entry to its service's first readiness: `on port 53, UDP and TCP, 412 us after entry`.
pub fn serving_after(log: &str) -> Option<f64> {
    numbers(log, " us after entry").next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "0.001 INFO dns::service: zone a.: 1000 records, 96000 octets\n\
        0.001 INFO dns::service: serving 1 zones, 1000 records on port 53, UDP and TCP, 412 us after entry\n\
        5.0 INFO runtime::event_loop: counters: queries 7; connections 0; memory 812 of 15360 KiB\n\
        10.0 INFO runtime::event_loop: counters: queries 9; connections 0; memory 813 of 15360 KiB\n";

    #[track_caller]
    fn check(number: fn(&str) -> Option<f64>, expect: f64) {
        assert_eq!(number(LOG), Some(expect));
        assert_eq!(number("nothing yet"), None);
    }

    #[test]
    fn numbers_are_found_in_the_log() {
        check(memory, 813.0 * 1024.0);
        check(zone_octets, 96_000.0);
        check(serving_after, 412.0);
    }
}
