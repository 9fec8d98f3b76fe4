//! Text from elsewhere, made fit for a terminal and a log.

pub(crate) use pagemill_core::escape::{SHOWN, escape};

/// As [`escape`], for bytes that may not be text at all.
pub(crate) fn escape_bytes(bytes: &[u8], most: usize) -> String {
    // Four bytes a character are enough for `most` of them, and keep a long body from being copied whole.
    let head = bytes.get(..most.saturating_mul(4).saturating_add(4)).unwrap_or(bytes);
    escape(&String::from_utf8_lossy(head), most)
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
    fn long_text_is_cut_by_characters() {
        assert_eq!(escape_bytes("é".repeat(3000).as_bytes(), 200).chars().count(), 201);
    }

    #[test]
    fn secrets_are_hidden_in_both_spellings() {
        let mut secrets = Secrets::default();
        secrets.add("c=u r/1");
        assert_eq!(secrets.hide("got c=u r/1 and c%3Du%20r%2F1"), "got [hidden] and [hidden]");
    }
}
