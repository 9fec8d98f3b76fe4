//! An answer on its way out: status, headers, body.

use std::io::Write as _;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::error::ApiError;

pub(crate) const JSON: &str = "application/json; charset=utf-8";

/// An answer whose body is known.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// Without those about the body's length.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// As it is sent: compressed, if it is.
    pub(crate) body: Vec<u8>,
    plain: Option<Vec<u8>>,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Self {
        let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
        Self { status, headers, body, plain: None }
    }

    /// Compresses the body, if it is not.
    pub(crate) fn compress(&mut self) {
        if self.plain.is_none() {
            let packed = gzip(&self.body);
            self.plain = Some(std::mem::replace(&mut self.body, packed));
            self.headers.push((header::CONTENT_ENCODING, HeaderValue::from_static("gzip")));
            self.headers.push((header::VARY, HeaderValue::from_static("accept-encoding")));
        }
    }

    /// How the body is compressed, and its length marked.
    pub(crate) fn framing(&self) -> &'static str {
        if self.plain.is_some() { "gzip, content-length" } else { "content-length" }
    }

    /// Changes the body as it was before it was compressed.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        match &mut self.plain {
            None => change(&mut self.body),
            Some(plain) => {
                change(plain);
                self.body = gzip(plain);
            }
        }
    }

    /// Becomes another answer altogether, uncompressed.
    pub(crate) fn become_text(&mut self, status: StatusCode, kind: &'static str, body: Vec<u8>) {
        *self = Self::new(status, kind, body);
    }

    /// Becomes a refusal.
    pub(crate) fn refuse(&mut self, refusal: &ApiError) {
        self.become_text(status(refusal), JSON, refusal.body());
    }

    /// As the bytes of HTTP/1.1, with a header that says how long the body is, true or not.
    pub(crate) fn bytes(&self, length: &str, body: &[u8]) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {}\r\nconnection: close\r\n{length}\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            out.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        out.extend(b"\r\n");
        out.extend(body);
        out
    }
}

impl From<Reply> for Response {
    fn from(reply: Reply) -> Self {
        let mut response = Response::new(Body::from(reply.body));
        *response.status_mut() = reply.status;
        response.headers_mut().extend(reply.headers);
        response
    }
}

pub(crate) fn status(refusal: &ApiError) -> StatusCode {
    StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// As one gzip member.
pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    // Compressing into memory cannot fail.
    let _ = encoder.write_all(plain);
    encoder.finish().unwrap_or_default()
}
