//! Where requests go: one origin, checked before the first of them.

use pagemill_core::{Error, Resource, Result};
use reqwest::Url;

use crate::query::{Request, encoded};

/// The vendor's own host.
pub(crate) const VENDOR: &str = "api.truto.one";

/// A URL with its query, to which only a cursor is ever added.
#[derive(Clone)]
pub(crate) struct Target {
    base: Url,
    query: String,
    shown: String,
}

impl Target {
    /// `path` of the API at `base_url`, asked as `request` says.
    ///
    /// # Errors
    /// [`Config`](pagemill_core::ErrorKind::Config) when the URL is none, or not safe to send a token to.
    pub(crate) fn new(base_url: &str, resource: &Resource, path: Option<&str>, request: &Request) -> Result<Self> {
        let refuse = |what: &str| Error::config(format!("the base URL {what}"));
        // The text itself is not shown: it may hold a password.
        let mut base = Url::parse(base_url)
            .map_err(|e| refuse("is no URL").because(e).advise("give something like https://api.truto.one"))?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(refuse("holds a user name or a password").advise("a token is given apart from the URL"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(refuse("has a query or a fragment").advise("give parameters apart from the URL"));
        }
        match base.scheme() {
            "https" => {}
            "http" if is_loopback(&base) => {}
            "http" => {
                return Err(refuse("is plain http, over which a token could be read by anyone")
                    .advise("use https; plain http is for localhost"));
            }
            _ => return Err(refuse("is neither https nor http")),
        }
        let path = path.or(resource.path()).ok_or_else(|| {
            Error::config(format!("the resource {:?} has no path in the API", resource.name()))
                .advise("add \"path\" to the \"x-pagemill\" member of its schema")
        })?;
        let whole = format!("{}/{}", base.path().trim_end_matches('/'), path.trim_start_matches('/'));
        if path.contains(['?', '#', '\\']) || path.split('/').any(|part| part == ".." || part == ".") {
            return Err(Error::config(format!("{path:?} is no plain path")));
        }
        base.set_path(&whole);
        let shown = base.to_string();
        Ok(Self { base, query: request.encode()?, shown })
    }

    /// The URL of the page of `cursor`. A cursor is data: one percent-encoded value, whatever is in it.
    pub(crate) fn url(&self, cursor: Option<&str>) -> Url {
        let mut url = self.base.clone();
        match cursor {
            None => url.set_query(Some(&self.query)),
            Some(cursor) => url.set_query(Some(&format!("{}&next_cursor={}", self.query, encoded(cursor)))),
        }
        url
    }

    /// The URL without its query, for messages.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// The query without a cursor.
    pub(crate) fn query(&self) -> &str {
        &self.query
    }

    /// True for the vendor's own host.
    pub(crate) fn is_vendor(&self) -> bool {
        self.base.host_str() == Some(VENDOR)
    }

    /// True when only https will do.
    pub(crate) fn is_https(&self) -> bool {
        self.base.scheme() == "https"
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(base: &str) -> Result<Target> {
        let resource = Resource::builtin("instant-messaging/members").expect("built in");
        Target::new(base, &resource, None, &Request::new("a"))
    }

    #[test]
    fn a_token_goes_only_where_nobody_listens_in() {
        let good =
            ["https://api.truto.one", "http://localhost:1", "http://127.0.0.1:80/x/", "http://[::1]:9", "HTTPS://a"];
        for base in good {
            assert!(target(base).is_ok(), "{base}");
        }
        for base in [
            "http://api.truto.one",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "http://10.0.0.1",
            "ftp://localhost",
            "file:///etc",
            "https://u:secret@api.truto.one",
            "https://api.truto.one/?k=secret",
            "https://api.truto.one/#secret",
            "api.truto.one",
            "",
        ] {
            let error = target(base).err().expect(base);
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }

    #[test]
    fn the_path_is_under_the_base() {
        let at = target("http://127.0.0.1:80/x/").expect("good");
        assert_eq!(at.shown(), "http://127.0.0.1/x/unified/instant-messaging/members");
        let url = at.url(Some("a b&c=d"));
        assert_eq!(
            url.query(),
            Some("integrated_account_id=a&truto_response_format=unified&next_cursor=a%20b%26c%3Dd")
        );
        let resource = Resource::builtin("instant-messaging/members").expect("built in");
        for path in ["/a/../b", "/a?b", "a#b", "/a\\b"] {
            assert!(Target::new("https://x", &resource, Some(path), &Request::new("a")).is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_cursor_changes_anything_but_its_own_value(cursor in "\\PC*|[\\x00-\\x7f]*|[&#?/.:@\\r\\n]*") {
            let at = target("http://localhost:8080/base").expect("good");
            let (with, without) = (at.url(Some(&cursor)), at.url(None));
            prop_assert_eq!(with.origin(), without.origin());
            prop_assert_eq!(with.path(), without.path());
            prop_assert_eq!(with.fragment(), None);
            let (_, last) = with.query_pairs().last().expect("a pair");
            prop_assert_eq!(last.as_ref(), cursor.as_str());
            prop_assert_eq!(with.query_pairs().count(), without.query_pairs().count() + 1);
        }
    }

    /// Many more cursors than that: each byte of what is added to the query is one that needs no second look.
    #[test]
    fn a_hundred_thousand_cursors_add_nothing_but_a_value() {
        const PARTS: [&str; 20] = [
            "&",
            "#",
            "?",
            "=",
            "/",
            "..",
            "\r\n",
            "\0",
            "%",
            "%0d%0a",
            " ",
            "+",
            "@",
            ":",
            "\\",
            "é",
            "\u{1f600}",
            "a",
            "\t",
            ";",
        ];
        let at = target("http://localhost:8080/base").expect("good");
        let prefix = format!("{}&next_cursor=", at.url(None));
        let mut state = 1u64;
        let mut cursor = String::new();
        for _ in 0..100_000 {
            cursor.clear();
            loop {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let n = (state >> 33) as usize;
                cursor.push_str(PARTS[n % PARTS.len()]);
                if n.is_multiple_of(7) {
                    break;
                }
            }
            let url = at.url(Some(&cursor));
            let value = url.as_str().strip_prefix(&prefix).expect("the same until here");
            assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)), "{cursor:?}");
        }
    }
}
