//! The query string: pairs in the forms that clients really send, and what they mean.

use crate::error::ApiError;

/// The decoded pairs of a query, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads `a=b&c[d]=e`, brackets percent-encoded or not, `+` or `%20` for a space. Pairs without a value, and the
    /// word `None`, which one of the vendor's clients sends for null, count as not sent.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (decode(name, true), decode(value, true)))
            .filter(|(_, value)| !value.is_empty() && value != "None")
            .collect();
        Self { pairs }
    }

    /// A single value. Where it was sent twice, the last one counts.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A reference to something by its identifier: `name[id]=…` or `name=…`.
    pub(crate) fn reference(&self, name: &str) -> Option<&str> {
        self.get(&format!("{name}[id]")).or_else(|| self.get(name))
    }

    /// Several values: `name[]=a&name[]=b`, `name[0]=a&name[1]=b`, `name=a,b`.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let mut values = Vec::new();
        for (key, value) in &self.pairs {
            match key.strip_prefix(name) {
                Some("") => values.extend(value.split(',').map(|item| item.trim().to_owned())),
                Some(index) if is_index(index) => values.push(value.clone()),
                _ => {}
            }
        }
        values.retain(|value| !value.is_empty());
        values
    }

    /// A boolean; false where it was not sent.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None => Ok(false),
            Some("true" | "True" | "1") => Ok(true),
            Some("false" | "False" | "0") => Ok(false),
            Some(other) => Err(ApiError::bad_request(format!("{name} must be true or false, not {other:?}"))),
        }
    }

    /// `limit`: a whole number from 1 on.
    pub(crate) fn limit(&self) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get("limit") else { return Ok(None) };
        match text.parse() {
            Ok(0) | Err(_) => {
                Err(ApiError::bad_request(format!("limit must be a whole number from 1 on, not {text:?}")))
            }
            Ok(limit) => Ok(Some(limit)),
        }
    }

    /// `truto_response_format`.
    pub(crate) fn format(&self) -> Result<Format, ApiError> {
        match self.get("truto_response_format").unwrap_or("unified") {
            "unified" | "normalized" => Ok(Format::Unified),
            "raw" => Ok(Format::Raw),
            "stream" if self.get("remote_query[stream]") == Some("array") => Ok(Format::StreamArray),
            "stream" => Ok(Format::StreamLines),
            "debug" => Ok(Format::Debug),
            other => Err(ApiError::bad_request(format!(
                "truto_response_format must be unified, raw, normalized, stream or debug, not {other:?}"
            ))),
        }
    }
}

/// What kind of answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A page in the unified envelope; `normalized` is the same here.
    Unified,
    /// As unified, with a word on how it came about.
    Debug,
    /// The provider's own page.
    Raw,
    /// The whole listing, a record a line.
    StreamLines,
    /// The whole listing, as one array.
    StreamArray,
}

fn is_index(text: &str) -> bool {
    text.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|inside| inside.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Decodes `%XX`, and `+` as a space if `plus`. What is no such sequence stays as it is; bytes that are not UTF-8
/// become U+FFFD.
pub(crate) fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = |n: usize| bytes.get(at + n).and_then(|&digit| char::from(digit).to_digit(16));
        match (byte, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            (b'+', ..) if plus => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_come_encoded_or_not() {
        for text in ["channel[id]=C1", "channel%5Bid%5D=C1", "channel%5bid%5d=C1", "channel=C1", "&&channel=C1&"] {
            assert_eq!(Query::parse(text).reference("channel"), Some("C1"), "{text}");
        }
        assert_eq!(Query::parse("channel[name]=C1").reference("channel"), None);
    }

    #[test]
    fn lists_come_in_three_forms() {
        for text in ["f[]=a&f[]=b", "f%5B0%5D=a&f%5B1%5D=b", "f=a,b", "f=a%2C%20b", "f=a,&f[]=b"] {
            assert_eq!(Query::parse(text).list("f"), ["a", "b"], "{text}");
        }
        assert_eq!(Query::parse("g[]=a&ff=b&f[x]=c&f[]=").list("f"), [""; 0]);
    }

    #[test]
    fn empty_values_and_none_count_as_not_sent() {
        for text in ["", "next_cursor=", "next_cursor=None", "next_cursor"] {
            assert_eq!(Query::parse(text).get("next_cursor"), None, "{text}");
        }
    }

    #[test]
    fn text_is_decoded() {
        assert_eq!(Query::parse("a=x+y%20z%26%C3%A9").get("a"), Some("x y z&é"));
        assert_eq!(decode("a+b%zz%", false), "a+b%zz%");
    }

    #[test]
    fn limits_flags_and_formats_are_checked() {
        assert_eq!(Query::parse("limit=7").limit().expect("good"), Some(7));
        for text in ["limit=0", "limit=-1", "limit=x", "limit=1.5"] {
            assert!(Query::parse(text).limit().is_err(), "{text}");
        }
        assert!(Query::parse("f=true").flag("f").expect("good"));
        assert!(Query::parse("f=maybe").flag("f").is_err());
        assert_eq!(
            Query::parse("truto_response_format=stream&remote_query%5Bstream%5D=array").format().expect("good"),
            Format::StreamArray
        );
        assert!(Query::parse("truto_response_format=xml").format().is_err());
    }
}
