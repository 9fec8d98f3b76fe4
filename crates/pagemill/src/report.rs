//! What a run did.

use std::collections::BTreeMap;

use pagemill_core::{Misfits, PageSummary, Receipt, TableName};

/// What a run did, in numbers.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was published.
    pub receipt: Receipt,
    /// Rows written by this run, by table. Empty when the slot had been published before.
    pub rows: BTreeMap<TableName, u64>,
    /// What the pages were, all together.
    pub totals: Totals,
}

/// The pages of a run, all together.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Pages.
    pub pages: u64,
    /// Records, good and bad.
    pub records: u64,
    /// Records that went to quarantine.
    pub bad: u64,
    /// Bytes, decompressed.
    pub bytes: u64,
    /// Pages whose envelope called them partial.
    pub partial_pages: u64,
    /// Requests that had to be made again.
    pub retries: u64,
    /// Values outside their columns.
    pub misfits: Misfits,
}

impl Totals {
    /// Adds a page.
    pub fn add(&mut self, page: &PageSummary) {
        self.pages += 1;
        self.records += page.records;
        self.bad += page.bad.len() as u64;
        self.bytes += page.bytes;
        self.partial_pages += u64::from(page.partial);
        self.retries += u64::from(page.retries);
        self.misfits.merge(&page.misfits);
    }

    /// The same as JSON, for manifests and machines.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let misfits: Vec<_> = self
            .misfits
            .iter()
            .map(|(path, reason, count)| serde_json::json!({"path": path, "reason": reason.as_str(), "count": count}))
            .collect();
        serde_json::json!({
            "pages": self.pages,
            "records": self.records,
            "bad_records": self.bad,
            "bytes": self.bytes,
            "partial_pages": self.partial_pages,
            "retries": self.retries,
            "misfits": misfits,
        })
    }
}
