//! Text from elsewhere, made fit for a terminal and a log.
//!
//! Names, values, messages of servers and names of files may hold anything: sequences that a terminal acts on, line breaks
//! that forge a line of a log, marks that turn the order of what is read. Whatever is shown passes through here.

use std::fmt::{self, Write};

/// The most characters of remote text that an error shows.
pub const SHOWN: usize = 200;

/// True for what a terminal acts on, or what breaks or reorders a line: C0, DEL and C1 controls, marks and overrides of
/// direction, line and paragraph separators, byte order marks.
#[must_use]
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `text` with everything [harmful](is_harmful) escaped as `\u{1b}`, cut at `most` characters.
///
/// ```
/// # use pagemill_core::escape::escape;
/// assert_eq!(escape("a\u{1b}[31mb", 100), "a\\u{1b}[31mb");
/// assert_eq!(escape("abc", 2), "ab…");
/// ```
#[must_use]
pub fn escape(text: &str, most: usize) -> String {
    let mut out = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == most {
            out.push('…');
            break;
        }
        if is_harmful(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// Passes on what is written to it, escaped.
pub(crate) struct Escaping<'a, 'f>(pub(crate) &'a mut fmt::Formatter<'f>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.chars().any(is_harmful) { self.0.write_str(&escape(text, usize::MAX)) } else { self.0.write_str(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_is_left() {
        let hostile = "a\u{1b}]8;;http://x\u{7}b\rc\nd\u{9b}31m\u{202e}e\u{2028}f\u{7f}\u{2066}g\u{200f}\u{85}";
        let shown = escape(hostile, SHOWN);
        assert!(!shown.chars().any(is_harmful), "{shown}");
        assert_eq!(escape("plain, ünïcode 漢字", SHOWN), "plain, ünïcode 漢字");
    }

    #[test]
    fn long_text_is_cut_by_characters() {
        assert_eq!(escape(&"é".repeat(300), 200).chars().count(), 201);
        assert_eq!(escape(&"é".repeat(200), 200).chars().count(), 200);
    }
}
