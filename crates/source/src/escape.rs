//! Text from elsewhere, made fit for a terminal and a log.

pub(crate) use pagemill_core::escape::{SHOWN, escape};

/// Words that remote text must not repeat to a reader: the token and cursors.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// Adds a word, and how it looks percent-encoded, or within base64 of a text that holds it. Words of fewer than four
    /// bytes say nothing and would garble everything.
    pub(crate) fn add(&mut self, word: &str) {
        if word.len() < 4 {
            return;
        }
        let encoded = crate::query::encoded(word);
        self.0.push(word.to_owned());
        self.0.push(encoded.replace('%', "%25"));
        self.0.push(encoded.to_ascii_lowercase());
        self.0.push(encoded);
        for before in 0..3 {
            let base64 = base64(word.as_bytes(), before);
            // Short ones would be found by chance.
            if base64.len() >= 8 {
                self.0.push(base64.replace('+', "-").replace('/', "_"));
                self.0.push(base64);
            }
        }
        self.0.sort_unstable_by_key(|word| std::cmp::Reverse(word.len()));
        self.0.dedup();
    }

    /// `text` without any of the words.
    pub(crate) fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, word| text.replace(word.as_str(), "[hidden]"))
    }
}

/// The digits of base64 that `word` alone decides, where `before` bytes, more or less than a multiple of three, come before it.
fn base64(word: &[u8], before: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = |n: usize| n * 8;
    let (first, last) = (bits(before).div_ceil(6), bits(before + word.len()) / 6);
    let bit = |n: usize| {
        let byte = (n / 8).checked_sub(before).and_then(|at| word.get(at)).copied().unwrap_or(0);
        usize::from(byte >> (7 - n % 8) & 1)
    };
    let digit = |n: usize| (n * 6..n * 6 + 6).fold(0, |value, at| value << 1 | bit(at));
    (first..last).filter_map(|n| DIGITS.get(digit(n))).map(|d| char::from(*d)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_within_base64_wherever_they_stand_in_it() {
        let mut secrets = Secrets::default();
        secrets.add("canary-7f3a?>");
        // `canary-7f3a?>` after nothing, `:`, `a:` and `Bearer `, by an encoder that is not ours.
        for (text, left) in [
            ("Y2FuYXJ5LTdmM2E/Pg==", "g=="),
            ("OmNhbmFyeS03ZjNhPz4=", "Om4="),
            ("YTpjYW5hcnktN2YzYT8+", "YTp"),
            ("QmVhcmVyIGNhbmFyeS03ZjNhPz4=", "QmVhcmVyIG4="),
            ("QmVhcmVyIGNhbmFyeS03ZjNhPz4", "QmVhcmVyIG4"),
            ("YTpjYW5hcnktN2YzYT8-", "YTp"),
        ] {
            assert_eq!(secrets.hide(text).replace("[hidden]", ""), left, "{text}");
        }
    }

    #[test]
    fn secrets_are_hidden_in_both_spellings() {
        let mut secrets = Secrets::default();
        secrets.add("c=u r/1");
        let spellings = "got c=u r/1 and c%3Du%20r%2F1, c%3du%20r%2f1, c%253Du%2520r%252F1";
        assert_eq!(secrets.hide(spellings), "got [hidden] and [hidden], [hidden], [hidden]");
    }
}
