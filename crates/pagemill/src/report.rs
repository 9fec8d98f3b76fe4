//! What a run did.

use std::collections::BTreeMap;

use pagemill_core::{Misfits, PageSummary, Reason, Receipt, TableName};

/// What a run did, in numbers.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was published.
    pub receipt: Receipt,
    /// Rows of the run, by table; those that an earlier attempt left behind are counted. Empty when the slot had been
    /// published before.
    pub rows: BTreeMap<TableName, u64>,
    /// Pages that an earlier attempt had left behind, and that were not asked for again.
    pub resumed: u64,
    /// True when the walk was begun anew because the API did not accept its cursor any more.
    pub restarted: bool,
    /// What the pages were, all together.
    pub totals: Totals,
}

/// The pages of a run, all together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

    /// Reads what [`to_json`](Self::to_json) gives; what is missing is nothing.
    #[must_use]
    pub fn from_json(value: &serde_json::Value) -> Self {
        let number = |of: &serde_json::Value, name: &str| of.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let text = |of: &serde_json::Value, name: &str| of.get(name).and_then(|v| v.as_str().map(str::to_owned));
        let mut misfits = Misfits::default();
        for entry in value.get("misfits").and_then(serde_json::Value::as_array).into_iter().flatten() {
            if let (Some(path), Some(reason)) =
                (text(entry, "path"), text(entry, "reason").and_then(|name| Reason::parse(&name)))
            {
                misfits.add(&path, reason, number(entry, "count"));
            }
        }
        Self {
            pages: number(value, "pages"),
            records: number(value, "records"),
            bad: number(value, "bad_records"),
            bytes: number(value, "bytes"),
            partial_pages: number(value, "partial_pages"),
            retries: number(value, "retries"),
            misfits,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read_as_they_were_written() {
        let mut misfits = Misfits::default();
        for (n, reason) in [Reason::UnknownMember, Reason::NumberAsText, Reason::NotATime].into_iter().enumerate() {
            misfits.add("emails[].is_primary", reason, n as u64 + 1);
        }
        let totals = Totals { pages: 1, records: 2, bad: 3, bytes: 4, partial_pages: 5, retries: 6, misfits };
        assert_eq!(Totals::from_json(&totals.to_json()), totals);
        assert_eq!(Totals::from_json(&serde_json::Value::Null), Totals::default());
    }
}
