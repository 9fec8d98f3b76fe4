//! What the head of an HTTP answer says about its body and about when to ask again. Pure.

use std::time::{Duration, SystemTime};

use pagemill_core::{Error, Result};
use reqwest::{
    Version,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER, TRANSFER_ENCODING},
};

use crate::{query::ResponseFormat, retry};

/// Bytes of all headers, at most: names, values, and the four around them.
pub(crate) const HEADERS: usize = 64 << 10;

/// Refuses more headers than anybody needs. How many there are is limited by the HTTP library, which has read them by then.
///
/// # Errors
/// Above [`HEADERS`].
pub(crate) fn check_size(headers: &HeaderMap) -> Result<()> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > HEADERS {
        return Err(Error::data(format!("the answer has {bytes} bytes of headers, where {HEADERS} are the limit"))
            .advise("look at the base URL, and at proxies on the way"));
    }
    Ok(())
}

/// What kind of text a body is announced as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// JSON.
    Json,
    /// JSON, one value a line.
    Lines,
    /// Anything: only `stream` answers may be, because nothing documents how they are announced.
    Untold,
}

/// The kind of text, or the content type as it came.
pub(crate) fn media(headers: &HeaderMap, format: ResponseFormat) -> Result<Media, String> {
    let whole = headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    let text = String::from_utf8_lossy(whole).to_ascii_lowercase();
    let essence = text.split(';').next().unwrap_or_default().trim();
    match essence {
        "application/json" | "text/json" => Ok(Media::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
            Ok(Media::Lines)
        }
        // `problem+json` and the like are errors by their own definition.
        _ if essence.ends_with("+json") && !essence.contains("problem") => Ok(Media::Json),
        "" | "text/plain" | "application/octet-stream" if format == ResponseFormat::Stream => Ok(Media::Untold),
        "" => Err("no content type".to_owned()),
        _ => Err(String::from_utf8_lossy(whole).into_owned()),
    }
}

/// True when the body is gzip.
///
/// # Errors
/// When it is encoded in any other way, or twice.
pub(crate) fn is_gzip(headers: &HeaderMap) -> Result<bool> {
    let mut gzip = false;
    for value in headers.get_all(CONTENT_ENCODING) {
        for coding in String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase().split(',') {
            match coding.trim() {
                "" | "identity" => {}
                "gzip" | "x-gzip" if !gzip => gzip = true,
                "gzip" | "x-gzip" => return Err(Error::data("the body is encoded twice")),
                // Only what is known is named: a header may hold anything, the token too.
                other @ ("br" | "compress" | "deflate" | "zstd") => {
                    return Err(Error::data(format!("the body is encoded as {other}, which was not asked for")));
                }
                _ => return Err(Error::data("the body is encoded in a way that was not asked for")),
            }
        }
    }
    Ok(gzip)
}

/// True when the transport says where the body ends; otherwise it ends where the connection does.
pub(crate) fn end_is_marked(version: Version, headers: &HeaderMap) -> bool {
    version >= Version::HTTP_2 || headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING)
}

/// How long the server asks to wait after an answer with this status.
pub(crate) fn hint(status: u16, headers: &HeaderMap, time_of_day: SystemTime) -> Option<Duration> {
    let now = server_time(headers).unwrap_or(time_of_day);
    let after = text(headers, RETRY_AFTER.as_str()).and_then(|value| retry::retry_after(value, now));
    // The windows of requests matter only where requests were too many.
    let reset = (status == 429).then(|| reset(headers, now)).flatten();
    after.max(reset)
}

/// How long the window of requests is used up, as an answer of any status says.
pub(crate) fn used_up(headers: &HeaderMap, time_of_day: SystemTime) -> Option<Duration> {
    let remaining: f64 = text(headers, "ratelimit-remaining")?.trim().parse().ok()?;
    if remaining >= 1.0 {
        return None;
    }
    reset(headers, server_time(headers).unwrap_or(time_of_day))
}

fn reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = text(headers, "ratelimit-reset").or_else(|| text(headers, "x-ratelimit-reset"))?;
    retry::ratelimit_reset(value, now)
}

/// What time it is for the server: its dates are compared with its own clock, not with ours.
fn server_time(headers: &HeaderMap) -> Option<SystemTime> {
    text(headers, DATE.as_str()).and_then(|value| httpdate::parse_http_date(value).ok())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            map.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        map
    }

    #[test]
    fn what_a_body_may_be_announced_as() {
        use ResponseFormat::{Stream, Unified};
        let of = |value, format| media(&headers(&[("content-type", value)]), format);
        for json in ["application/json", "Application/JSON; charset=utf-8", "text/json", "application/vnd.x+json"] {
            assert_eq!(of(json, Unified), Ok(Media::Json), "{json}");
        }
        assert_eq!(of("application/x-ndjson", Unified), Ok(Media::Lines));
        for untold in ["text/plain", "application/octet-stream"] {
            assert_eq!(of(untold, Stream), Ok(Media::Untold));
            assert!(of(untold, Unified).is_err());
        }
        for other in ["text/html", "application/xml", "application/problem+json", "image/png"] {
            assert!(of(other, Unified).is_err() && of(other, Stream).is_err(), "{other}");
        }
        assert!(media(&headers(&[]), Unified).is_err());
        assert_eq!(media(&headers(&[]), Stream), Ok(Media::Untold));
    }

    #[test]
    fn one_gzip_and_nothing_else() {
        let of =
            |values: &[&str]| is_gzip(&headers(&values.iter().map(|v| ("content-encoding", *v)).collect::<Vec<_>>()));
        assert!(!of(&[]).expect("plain"));
        assert!(!of(&["identity"]).expect("plain"));
        assert!(of(&["gzip"]).expect("gzip"));
        assert!(of(&["X-GZIP"]).expect("gzip"));
        for bad in [&["gzip, gzip"][..], &["gzip", "gzip"], &["br"], &["gzip, br"], &["deflate"], &["zstd"]] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_wait_is_the_longer_of_both_hints() {
        let day = httpdate::parse_http_date("Mon, 23 Nov 2026 10:00:00 GMT").expect("a date");
        let of = |status, pairs: &[_]| hint(status, &headers(pairs), day).map(|wait| wait.as_secs());
        assert_eq!(of(429, &[("retry-after", "10")]), Some(10));
        assert_eq!(of(429, &[("retry-after", "10"), ("ratelimit-reset", "25")]), Some(25));
        assert_eq!(of(429, &[("retry-after", "30"), ("ratelimit-reset", "25")]), Some(30));
        assert_eq!(of(429, &[("ratelimit-reset", "25")]), Some(25));
        assert_eq!(of(503, &[("ratelimit-reset", "25")]), None);
        assert_eq!(of(503, &[("retry-after", "7")]), Some(7));
        assert_eq!(of(429, &[]), None);
        assert_eq!(of(429, &[("retry-after", "Mon, 23 Nov 2026 10:00:40 GMT")]), Some(40));
        // A server whose clock is an hour ahead still means forty seconds.
        let skewed = [("date", "Mon, 23 Nov 2026 11:00:00 GMT"), ("retry-after", "Mon, 23 Nov 2026 11:00:40 GMT")];
        assert_eq!(of(429, &skewed), Some(40));
    }

    #[test]
    fn a_window_is_used_up_only_when_it_says_so() {
        let of = |pairs: &[_]| used_up(&headers(pairs), SystemTime::UNIX_EPOCH).map(|wait| wait.as_secs());
        assert_eq!(of(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "4")]), Some(4));
        assert_eq!(of(&[("ratelimit-remaining", "1"), ("ratelimit-reset", "4")]), None);
        assert_eq!(of(&[("ratelimit-remaining", "x"), ("ratelimit-reset", "4")]), None);
        assert_eq!(of(&[("ratelimit-reset", "4")]), None);
    }

    #[test]
    fn where_a_body_ends() {
        assert!(!end_is_marked(Version::HTTP_11, &headers(&[])));
        assert!(end_is_marked(Version::HTTP_11, &headers(&[("content-length", "3")])));
        assert!(end_is_marked(Version::HTTP_11, &headers(&[("transfer-encoding", "chunked")])));
        assert!(end_is_marked(Version::HTTP_2, &headers(&[])));
    }
}
