//! What was served, line by line, for those who check what arrived.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A list's page, as far as a ledger or a fault cares.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// Its ordinal in the walk, from 0.
    pub(crate) page: u64,
    pub(crate) cursor_in: Option<String>,
    pub(crate) cursor_out: Option<String>,
    /// Its records, in order.
    pub(crate) ids: Vec<String>,
    /// The fault that strikes this serving of it.
    pub(crate) fault: Option<crate::Fault>,
}

/// Where lines go. A copy writes to the same place.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<Mutex<dyn Write + Send>>);

/// One response.
pub(crate) struct Entry<'a> {
    /// The request's ordinal, from 0.
    pub(crate) request: u64,
    pub(crate) listed: Option<&'a Listed>,
    pub(crate) status: u16,
    pub(crate) framing: &'a str,
    /// Whether the page left whole, with a status of 200, for a client that is patient.
    pub(crate) whole: bool,
    /// The SHA-256 of the body as it should have been, before it was compressed or spoiled.
    pub(crate) sha256: String,
}

impl Ledger {
    pub(crate) fn new(to: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(to)))
    }

    /// Writes one line, and sees to it that it has left.
    pub(crate) fn write(&self, entry: &Entry<'_>) -> io::Result<()> {
        let listed = entry.listed;
        let line = json!({
            "request": entry.request,
            "page": listed.map(|listed| listed.page),
            "cursor_in": listed.and_then(|listed| listed.cursor_in.as_deref()),
            "cursor_out": listed.and_then(|listed| listed.cursor_out.as_deref()),
            "status": entry.status,
            "framing": entry.framing,
            "fault": listed.and_then(|listed| listed.fault.as_ref()).map(ToString::to_string),
            "whole": entry.whole,
            "sha256": entry.sha256,
            "ids": listed.map_or(Value::Null, |listed| listed.ids.clone().into()),
        });
        let mut to = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        to.write_all(format!("{line}\n").as_bytes())?;
        to.flush()
    }
}

/// The SHA-256 of a body, in hexadecimal digits.
pub(crate) fn sha256(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}
