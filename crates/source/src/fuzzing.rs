//! What the fuzz targets call. Not for anybody else: it may change at any time.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use pagemill_core::{Cursor, Resource, Result};
use reqwest::{
    Version,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use crate::{
    answer,
    inflate::{GzipLimits, Inflate, Members},
    query::{Request, ResponseFormat},
    target::Target,
};

/// What the head of an answer says.
#[derive(Debug)]
pub struct Head {
    /// The wait that it asks for, where its status asks for one.
    pub hint: Option<Duration>,
    /// The wait until the rate allows more, where it is used up.
    pub used_up: Option<Duration>,
    /// Whether the body is compressed.
    pub gzip: Result<bool>,
    /// Whether the type is one that a page may have, or else what it is.
    pub media: Result<(), String>,
}

/// Reads a head. Names and values that HTTP does not allow are left out.
pub fn head<'a>(status: u16, lines: impl IntoIterator<Item = (&'a [u8], &'a [u8])>, now: SystemTime) -> Head {
    let mut headers = HeaderMap::new();
    for (name, value) in lines.into_iter().take(100) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let _ = answer::end_is_marked(Version::HTTP_11, &headers);
    Head {
        hint: answer::hint(status, &headers, now),
        used_up: answer::used_up(&headers, now),
        gzip: answer::is_gzip(&headers),
        media: answer::media(&headers, ResponseFormat::Unified).map(drop),
    }
}

/// The URL of a page.
///
/// # Errors
/// When the base is none.
pub fn page_url(base: &str, resource: &Resource, cursor: Option<&Cursor>) -> Result<String> {
    let target = Target::new(base, resource, None, &Request::new("account"))?;
    Ok(target.url(cursor.map(Cursor::expose)).to_string())
}

/// Inflates one gzip member, which comes in pieces.
///
/// # Errors
/// When it is not exactly that.
pub fn inflate<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>> {
    let mut inflate = Inflate::new(Members::One, GzipLimits::default());
    let mut plain = Vec::new();
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        while let Some(out) = inflate.next(&mut input)? {
            plain.extend_from_slice(&out);
        }
    }
    inflate.finish()?;
    Ok(plain)
}
