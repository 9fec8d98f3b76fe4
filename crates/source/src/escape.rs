//! Text from elsewhere, made fit for a terminal and a log.

/// The most characters of remote text that an error shows.
pub(crate) const SHOWN: usize = 200;

/// `text` with everything escaped that a terminal would act on or that would reorder or break the line, cut at
/// `most` characters.
pub(crate) fn escape(text: &str, most: usize) -> String {
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

/// As [`escape`], for bytes that may not be text at all.
pub(crate) fn escape_bytes(bytes: &[u8], most: usize) -> String {
    // Four bytes a character are enough for `most` of them, and keep a long body from being copied whole.
    let head = bytes.get(..most.saturating_mul(4).saturating_add(4)).unwrap_or(bytes);
    escape(&String::from_utf8_lossy(head), most)
}

/// C0, DEL and C1 controls, marks and overrides of direction, line and paragraph separators, byte order marks.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Words that remote text must not repeat to a reader: the token and cursors.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// Adds a word and its percent-encoded form. Words of fewer than four bytes say nothing and would garble everything.
    pub(crate) fn add(&mut self, word: &str) {
        if word.len() >= 4 {
            let encoded = crate::query::encoded(word);
            if encoded != word {
                self.0.push(encoded);
            }
            self.0.push(word.to_owned());
        }
    }

    /// `text` without any of the words.
    pub(crate) fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, word| text.replace(word.as_str(), "[hidden]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_is_left() {
        let hostile = "a\u{1b}]8;;http://x\u{7}b\rc\nd\u{9b}31m\u{202e}e\u{2028}f\u{7f}\u{2066}g\u{200f}";
        let shown = escape(hostile, SHOWN);
        assert!(!shown.chars().any(is_harmful), "{shown}");
        assert_eq!(escape("plain, ünïcode 漢字", SHOWN), "plain, ünïcode 漢字");
    }

    #[test]
    fn long_text_is_cut_by_characters() {
        assert_eq!(escape(&"é".repeat(300), 200).chars().count(), 201);
        assert_eq!(escape_bytes("é".repeat(3000).as_bytes(), 200).chars().count(), 201);
        assert_eq!(escape(&"é".repeat(200), 200).chars().count(), 200);
    }

    #[test]
    fn secrets_are_hidden_in_both_spellings() {
        let mut secrets = Secrets::default();
        secrets.add("c=u r/1");
        assert_eq!(secrets.hide("got c=u r/1 and c%3Du%20r%2F1"), "got [hidden] and [hidden]");
    }
}
