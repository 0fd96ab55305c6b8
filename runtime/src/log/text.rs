//! Text that goes into one line: bounded, and without anything that ends a line or moves a cursor.

use std::fmt::{self, Write};

/// Appends to a string until it has so many bytes; what is a control character becomes a blank.
pub(super) struct OneLine<'a> {
    text: &'a mut String,
    most: usize,
}

impl<'a> OneLine<'a> {
    /// Lets `text` become `most` bytes long.
    pub(super) fn new(text: &'a mut String, most: usize) -> Self {
        Self { text, most }
    }
}

impl Write for OneLine<'_> {
    /// Never fails: what does not fit is left out, but a character is never cut in two.
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for character in more.chars() {
            if self.text.len() + character.len_utf8() > self.most {
                self.most = self.text.len(); // so that nothing shorter slips in behind
                break;
            }
            self.text.push(if character.is_control() { ' ' } else { character });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pieces: &[&str], most: usize, expect: &str) {
        let mut text = String::new();
        let mut line = OneLine::new(&mut text, most);
        pieces.iter().for_each(|piece| line.write_str(piece).expect("it never fails"));
        assert_eq!(text, expect);
    }

    #[test]
    fn lines_are_bounded_and_harmless() {
        check(&["a\r\nb", "\x1b[2J\u{85}"], 99, "a  b [2J ");
        check(&["abc", "def"], 4, "abcd");
        check(&["aé", "x"], 2, "a");
        check(&["aé"], 3, "aé");
    }
}
