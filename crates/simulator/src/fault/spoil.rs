//! A reply, spoiled: other words, other headers, or bytes that are no good HTTP.

use std::time::{Duration, SystemTime};

use axum::http::{HeaderName, HeaderValue, StatusCode, header};

use super::kind::{Hint, Kind};
use super::script::{End, Script};
use crate::error::ApiError;
use crate::reply::{Reply, gzip};

/// What leaves in the end.
pub(crate) enum Delivery {
    /// An answer.
    Whole(Reply),
    /// Bytes, past HTTP.
    Raw(Script),
}

/// What a fault makes of a reply. Faults of the page itself have done their part when it was made.
pub(crate) fn spoil(kind: &Kind, mut reply: Reply) -> Delivery {
    match kind {
        Kind::Reset(at) => cut(&reply, *at, End::Reset),
        Kind::Fin(at) => cut(&reply, *at, End::Fin),
        Kind::Stall(at) => cut(&reply, *at, End::Held),
        Kind::Differ => cut(&reply, None, End::Fin),
        Kind::Drip(millis) => {
            let bytes = reply.bytes(&length(reply.body.len()), &reply.body);
            Delivery::Raw(Script { bytes, pause: Duration::from_millis(*millis), end: End::Fin })
        }
        Kind::LongLength(by) => raw(reply.bytes(&length(reply.body.len().saturating_add(*by)), &reply.body)),
        Kind::ShortLength(by) => raw(reply.bytes(&length(reply.body.len().saturating_sub(*by)), &reply.body)),
        Kind::BadChunk => {
            let (first, second) = reply.body.split_at(reply.body.len() / 2);
            let body = [chunk(first), b"zz\r\n".to_vec(), second.to_vec(), b"\r\n0\r\n\r\n".to_vec()].concat();
            raw(reply.bytes(CHUNKED, &body))
        }
        Kind::NoLastChunk => raw(reply.bytes(CHUNKED, &chunk(&reply.body))),
        Kind::GzipCut | Kind::GzipTwice | Kind::GzipRubbish | Kind::GzipChecksum => {
            reply.compress();
            let end = reply.body.len();
            match kind {
                Kind::GzipCut => reply.body.truncate(end - end / 3),
                Kind::GzipTwice => reply.body.extend(gzip(b"\n")),
                Kind::GzipRubbish => reply.body.extend(b"rubbish"),
                _ => reply.body.iter_mut().rev().skip(4).take(4).for_each(|byte| *byte ^= 0xff),
            }
            Delivery::Whole(reply)
        }
        Kind::RateLimit(hints) => {
            reply.refuse(&ApiError::too_many_requests(1));
            hints.iter().for_each(|hint| write_hint(hint, &mut reply));
            Delivery::Whole(reply)
        }
        Kind::Status(code) => refuse(reply, *code, "As was asked for"),
        Kind::Expired(code) => refuse(reply, *code, "The cursor has expired"),
        Kind::Redirect(to) => {
            reply.become_text(StatusCode::FOUND, "text/plain", Vec::new());
            if let Ok(to) = HeaderValue::from_str(to) {
                reply.headers.push((header::LOCATION, to));
            }
            Delivery::Whole(reply)
        }
        Kind::ErrorBody => {
            let body = ApiError::of(500, "Something went wrong").body();
            reply.become_text(StatusCode::OK, "application/json", body);
            Delivery::Whole(reply)
        }
        Kind::Html => {
            let body = b"<!doctype html><title>Sign in</title><p>Please sign in to the network".to_vec();
            reply.become_text(StatusCode::OK, "text/html; charset=utf-8", body);
            Delivery::Whole(reply)
        }
        Kind::EmptyBody => {
            reply.become_text(StatusCode::OK, "application/json", Vec::new());
            Delivery::Whole(reply)
        }
        Kind::InvalidUtf8 => {
            reply.edit(|body| {
                // Within the string that is the value of the first `id`.
                let at = body.windows(6).position(|bytes| bytes == b"\"id\":\"").map_or(body.len() / 2, |at| at + 6);
                body.insert(at, 0xff);
            });
            Delivery::Whole(reply)
        }
        Kind::CursorLoop(_) | Kind::Empty(_) | Kind::Repeat(_) | Kind::Retype | Kind::Deep(_) | Kind::Huge(_) => {
            Delivery::Whole(reply)
        }
    }
}

const CHUNKED: &str = "transfer-encoding: chunked";

fn length(length: usize) -> String {
    format!("content-length: {length}")
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn raw(bytes: Vec<u8>) -> Delivery {
    Delivery::Raw(Script { bytes, pause: Duration::ZERO, end: End::Fin })
}

/// The first bytes of an answer; half of them where it is not said how many, and never all.
fn cut(reply: &Reply, at: Option<usize>, end: End) -> Delivery {
    let mut bytes = reply.bytes(&length(reply.body.len()), &reply.body);
    bytes.truncate(at.unwrap_or(bytes.len() / 2).min(bytes.len().saturating_sub(1)));
    Delivery::Raw(Script { bytes, pause: Duration::ZERO, end })
}

fn refuse(mut reply: Reply, code: u16, message: &str) -> Delivery {
    reply.refuse(&ApiError::of(code, message));
    Delivery::Whole(reply)
}

fn write_hint(hint: &Hint, reply: &mut Reply) {
    let in_seconds = |seconds: i64| {
        let (now, by) = (SystemTime::now(), Duration::from_secs(seconds.unsigned_abs()));
        let moment = if seconds < 0 { now.checked_sub(by) } else { now.checked_add(by) };
        moment.unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let (name, value) = match hint {
        Hint::Seconds(text) => (header::RETRY_AFTER, text.clone()),
        // A date beyond the year 9999 cannot be written.
        Hint::Date(seconds) => {
            (header::RETRY_AFTER, httpdate::fmt_http_date(in_seconds((*seconds).clamp(-1_000_000_000, 1_000_000_000))))
        }
        Hint::Reset(seconds) => (HeaderName::from_static("ratelimit-reset"), seconds.to_string()),
        Hint::Epoch(seconds) => {
            let since = in_seconds(*seconds).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            (HeaderName::from_static("x-ratelimit-reset"), since.as_secs().to_string())
        }
    };
    if let Ok(value) = HeaderValue::from_str(&value) {
        reply.headers.push((name, value));
    }
}
