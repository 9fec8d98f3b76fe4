//! What is asked for, and how it is written in a query string.
//!
//! Objects are written with brackets (`workspace[id]=T1`), arrays with empty ones (`truto_exclude_fields[]=bio`), and
//! everything outside the unreserved characters of RFC 3986 is percent-encoded, brackets included, a space as `%20`.

use std::{fmt, str::FromStr};

use pagemill_core::{Error, Result};

/// How the API should lay its answer out: `truto_response_format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResponseFormat {
    /// Mapped to the unified schema. The API's own default.
    #[default]
    Unified,
    /// Mapped and normalized; the same envelope.
    Normalized,
    /// Delivered as a stream. Its framing is not documented; it is told by the first bytes.
    Stream,
}

impl ResponseFormat {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unified => "unified",
            Self::Normalized => "normalized",
            Self::Stream => "stream",
        }
    }
}

impl fmt::Display for ResponseFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ResponseFormat {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "unified" => Ok(Self::Unified),
            "normalized" => Ok(Self::Normalized),
            "stream" => Ok(Self::Stream),
            "raw" => Err(Error::config("the response format \"raw\" is not supported")
                .because("a raw answer is the provider's own body: nothing says where its records and its cursor are")
                .advise("use unified and read `remote_data`, which holds the provider's own record")),
            other => Err(Error::config(format!("there is no response format {other:?}"))
                .advise("use one of unified, normalized, stream")),
        }
    }
}

/// What is asked of a list: the connected account, and every query parameter that it may have.
///
/// ```
/// # use pagemill_source::Request;
/// let request = Request::new("62f44730-dd91-461e-bd6a-aedd9e0ad79d").limit(100).channel("C123").exclude_field("bio");
/// ```
#[derive(Clone, Default)]
pub struct Request {
    account: String,
    format: ResponseFormat,
    limit: Option<u64>,
    key_by: Option<String>,
    ignore_limit: bool,
    ignore_remote_data: bool,
    exclude_fields: Vec<String>,
    filters: Vec<(String, String)>,
    remote: Vec<(String, String)>,
    extra: Vec<(String, String)>,
}

impl Request {
    /// Everything of the connected account `account`: `integrated_account_id`.
    pub fn new(account: impl Into<String>) -> Self {
        Self { account: account.into(), ..Self::default() }
    }

    /// How the answer is laid out: `truto_response_format`.
    #[must_use]
    pub fn response_format(mut self, format: ResponseFormat) -> Self {
        self.format = format;
        self
    }

    /// The most records a page may have: `limit`. At least 1.
    #[must_use]
    pub fn limit(mut self, records: u64) -> Self {
        self.limit = Some(records);
        self
    }

    /// Asks for `result` as an object by the values of `field`: `truto_key_by`.
    #[must_use]
    pub fn key_by(mut self, field: impl Into<String>) -> Self {
        self.key_by = Some(field.into());
        self
    }

    /// Asks the API to disregard the limit: `truto_ignore_limit`.
    #[must_use]
    pub fn ignore_limit(mut self, yes: bool) -> Self {
        self.ignore_limit = yes;
        self
    }

    /// Asks for records without `remote_data`: `truto_ignore_remote_data`.
    #[must_use]
    pub fn ignore_remote_data(mut self, yes: bool) -> Self {
        self.ignore_remote_data = yes;
        self
    }

    /// Asks for records without `field`: one more of `truto_exclude_fields[]`.
    #[must_use]
    pub fn exclude_field(mut self, field: impl Into<String>) -> Self {
        self.exclude_fields.push(field.into());
        self
    }

    /// The workspace to list: `workspace[id]`. Microsoft 365 and Microsoft Teams need it.
    #[must_use]
    pub fn workspace(self, id: impl Into<String>) -> Self {
        self.filter(&["workspace", "id"], id)
    }

    /// The channel to list: `channel[id]`. Slack needs it.
    #[must_use]
    pub fn channel(self, id: impl Into<String>) -> Self {
        self.filter(&["channel", "id"], id)
    }

    /// A filter: `["updated_at", "gt"]` is written `updated_at[gt]`; an empty part is an array's `[]`.
    #[must_use]
    pub fn filter(mut self, path: &[&str], value: impl Into<String>) -> Self {
        self.filters.push((bracketed(path), value.into()));
        self
    }

    /// A parameter for the provider, passed on untouched: `a` is written `remote_query[a]`, `a[b]` is `remote_query[a][b]`.
    #[must_use]
    pub fn remote_query(mut self, name: &str, value: impl Into<String>) -> Self {
        let (first, rest) = name.find('[').map_or((name, ""), |at| name.split_at(at));
        self.remote.push((format!("remote_query[{first}]{rest}"), value.into()));
        self
    }

    /// Any other parameter, its name and value as they are (they are percent-encoded, nothing more).
    #[must_use]
    pub fn pair(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extra.push((name.into(), value.into()));
        self
    }

    pub(crate) fn format(&self) -> ResponseFormat {
        self.format
    }

    /// Values that the caller chose freely and that may be credentials: long ones of parameters that we know nothing of.
    pub(crate) fn delicate(&self) -> impl Iterator<Item = &str> {
        self.remote.iter().chain(&self.extra).map(|(_, value)| value.as_str()).filter(|value| value.len() >= 12)
    }

    /// The query without a cursor, percent-encoded.
    ///
    /// # Errors
    /// [`Config`](pagemill_core::ErrorKind::Config) when a value is missing or a parameter is given twice.
    pub(crate) fn encode(&self) -> Result<String> {
        if self.account.is_empty() {
            return Err(Error::config("no integrated account is named").advise("give the id of a connected account"));
        }
        if self.limit == Some(0) {
            return Err(Error::config("a limit of 0 records asks for nothing").advise("use 1 or more"));
        }
        if self.key_by.as_ref().is_some_and(|key| self.exclude_fields.contains(key)) {
            return Err(Error::config("records cannot be keyed by a field that is excluded: its values would be lost")
                .advise("drop one of the two options"));
        }
        let mut pairs: Vec<(&str, String)> = vec![("integrated_account_id", self.account.clone())];
        pairs.push(("truto_response_format", self.format.as_str().to_owned()));
        pairs.extend(self.limit.map(|n| ("limit", n.to_string())));
        pairs.extend(self.key_by.clone().map(|field| ("truto_key_by", field)));
        let flag = |yes: bool, name| yes.then(|| (name, "true".to_owned()));
        pairs.extend(flag(self.ignore_limit, "truto_ignore_limit"));
        pairs.extend(flag(self.ignore_remote_data, "truto_ignore_remote_data"));
        pairs.extend(self.exclude_fields.iter().map(|field| ("truto_exclude_fields[]", field.clone())));
        for (name, value) in self.filters.iter().chain(&self.remote).chain(&self.extra) {
            pairs.push((name, value.clone()));
        }
        for (i, (name, _)) in pairs.iter().enumerate() {
            if name.is_empty() {
                return Err(Error::config("a query parameter has no name"));
            }
            if *name == "next_cursor" {
                return Err(Error::config("`next_cursor` is not for the caller to set")
                    .advise("a walk follows the cursors by itself, and resumes from a checkpoint"));
            }
            // Arrays repeat their name; anything else twice would leave it to the server which one counts.
            if !name.contains("[]") && pairs.iter().take(i).any(|(other, _)| other == name) {
                return Err(Error::config(format!("the query parameter {name:?} is given twice")));
            }
        }
        let mut out = String::new();
        for (name, value) in &pairs {
            if !out.is_empty() {
                out.push('&');
            }
            encode_into(&mut out, name);
            out.push('=');
            encode_into(&mut out, value);
        }
        Ok(out)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of filters may be private: names alone.
        let names: Vec<_> = self.filters.iter().chain(&self.remote).chain(&self.extra).map(|(name, _)| name).collect();
        f.debug_struct("Request")
            .field("format", &self.format)
            .field("limit", &self.limit)
            .field("names", &names)
            .finish_non_exhaustive()
    }
}

/// `["a", "b", ""]` is `a[b][]`.
fn bracketed(path: &[&str]) -> String {
    let mut out = String::new();
    for (i, part) in path.iter().enumerate() {
        if i == 0 { out.push_str(part) } else { out.extend(["[", part, "]"]) }
    }
    out
}

/// Percent-encodes everything but the unreserved characters of RFC 3986, 2.3.
pub(crate) fn encode_into(out: &mut String, text: &str) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// As [`encode_into`], into a string of its own.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::new();
    encode_into(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use pagemill_core::ErrorKind;
    use proptest::prelude::*;

    #[test]
    fn every_parameter_is_written_as_documented() {
        let request = Request::new("62f44730-dd91")
            .limit(100)
            .response_format(ResponseFormat::Normalized)
            .key_by("id")
            .ignore_limit(true)
            .ignore_remote_data(true)
            .exclude_field("bio")
            .exclude_field("avatar")
            .workspace("T 1")
            .channel("C&1")
            .filter(&["updated_at", "gt"], "2026-01-01T00:00:00Z")
            .filter(&["type", ""], "dm")
            .filter(&["type", ""], "channel")
            .remote_query("team", "x")
            .remote_query("a[b]", "y")
            .pair("include[all]", "ü");
        assert_eq!(
            request.encode().expect("a good request"),
            "integrated_account_id=62f44730-dd91&truto_response_format=normalized&limit=100&truto_key_by=id\
             &truto_ignore_limit=true&truto_ignore_remote_data=true\
             &truto_exclude_fields%5B%5D=bio&truto_exclude_fields%5B%5D=avatar\
             &workspace%5Bid%5D=T%201&channel%5Bid%5D=C%261&updated_at%5Bgt%5D=2026-01-01T00%3A00%3A00Z\
             &type%5B%5D=dm&type%5B%5D=channel&remote_query%5Bteam%5D=x&remote_query%5Ba%5D%5Bb%5D=y\
             &include%5Ball%5D=%C3%BC"
        );
    }

    #[test]
    fn flags_that_are_off_are_not_sent() {
        let plain = Request::new("a").ignore_limit(false).ignore_remote_data(false);
        assert_eq!(plain.encode().expect("good"), "integrated_account_id=a&truto_response_format=unified");
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let bad = [
            Request::new(""),
            Request::new("a").limit(0),
            Request::new("a").pair("next_cursor", "x"),
            Request::new("a").pair("", "x"),
            Request::new("a").pair("integrated_account_id", "b"),
            Request::new("a").pair("truto_response_format", "raw"),
            Request::new("a").channel("1").pair("channel[id]", "2"),
        ];
        for request in bad {
            assert_eq!(request.encode().expect_err("refused").kind(), ErrorKind::Config, "{request:?}");
        }
    }

    #[test]
    fn raw_is_refused_by_name_and_says_why() {
        let error = "raw".parse::<ResponseFormat>().expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(format!("{error:?}").contains("cursor"), "{error:?}");
        for format in [ResponseFormat::Unified, ResponseFormat::Normalized, ResponseFormat::Stream] {
            assert_eq!(format.as_str().parse::<ResponseFormat>().expect("a format"), format);
        }
    }

    #[test]
    fn debug_shows_no_values() {
        let shown = format!("{:?}", Request::new("account-1").channel("C-secret").pair("k", "v-secret"));
        assert!(!shown.contains("secret") && !shown.contains("account-1"), "{shown}");
    }

    proptest! {
        #[test]
        fn encoding_is_unreserved_and_comes_back(text in "\\PC*|[\\x00-\\xff]*") {
            let out = encoded(&text);
            prop_assert!(out.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            let mut bytes = Vec::new();
            let mut rest = out.as_bytes();
            while let Some((&first, tail)) = rest.split_first() {
                if first == b'%' {
                    let hex = std::str::from_utf8(&tail[..2]).expect("ascii");
                    bytes.push(u8::from_str_radix(hex, 16).expect("hex"));
                    rest = &tail[2..];
                } else {
                    bytes.push(first);
                    rest = tail;
                }
            }
            prop_assert_eq!(String::from_utf8(bytes).expect("utf-8"), text);
        }
    }
}
