//! How many records of a run have an identifier that another one has, and how many have none.
//!
//! Both are data: an API may repeat a record when what it lists changes between two pages, and Pagemill keeps what it sends. So they are
//! counted here and not in a run, where an exact count would take memory that grows with it. Identifiers are counted by 128 bits of
//! their SHA-256, as many at a time as fit into 64 MiB; where a run has more, its rows are read again for the rest.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    util::display::array_value_to_string,
};
use pagemill_sink::Manifest;
use sha2::{Digest, Sha256};

/// Identifiers that are held at a time: 64 MiB of them.
const AT_A_TIME: u64 = 4 << 20;

/// The identifiers of a run's records.
pub(crate) struct Identifiers {
    column: String,
    passes: u64,
    pass: u64,
    held: Vec<u128>,
    /// Records without one.
    pub(crate) missing: u64,
    /// Records with one that an earlier record had.
    pub(crate) again: u64,
}

impl Identifiers {
    /// Those of the table `root`; `None` where the manifest does not say which column has them.
    pub(crate) fn new(root: &str, manifest: &Manifest) -> Option<Self> {
        Self::with(root, manifest, AT_A_TIME)
    }

    fn with(root: &str, manifest: &Manifest, at_a_time: u64) -> Option<Self> {
        let column = manifest.config.get("key")?;
        let table = manifest.tables.iter().find(|table| table.name == root)?;
        table.columns.iter().find(|c| c.name == *column)?;
        let passes = manifest.rows.div_ceil(at_a_time).max(1);
        Some(Self { column: column.clone(), passes, pass: 0, held: Vec::new(), missing: 0, again: 0 })
    }

    /// Takes rows of the table.
    ///
    /// # Errors
    /// When there is no such column in them, or it cannot be read.
    pub(crate) fn take(&mut self, rows: &RecordBatch) -> Result<(), String> {
        let Some(column) = rows.column_by_name(&self.column) else {
            return Err(format!("it has no column {}", self.column));
        };
        let texts = column.as_string_opt::<i32>();
        for row in 0..column.len() {
            if column.is_null(row) {
                self.missing += u64::from(self.pass == 0);
                continue;
            }
            let hash = match texts {
                Some(texts) => Sha256::digest(texts.value(row)),
                None => Sha256::digest(array_value_to_string(column, row).map_err(|e| e.to_string())?),
            };
            let hash = hash.iter().take(16).fold(0_u128, |hash, byte| hash << 8 | u128::from(*byte));
            if hash % u128::from(self.passes) == u128::from(self.pass) {
                self.held.push(hash);
            }
        }
        Ok(())
    }

    /// Counts what was taken; true when all rows have to be taken once more.
    pub(crate) fn next_pass(&mut self) -> bool {
        let taken = self.held.len();
        self.held.sort_unstable();
        self.held.dedup();
        self.again += (taken - self.held.len()) as u64;
        self.held.clear();
        self.pass += 1;
        self.pass < self.passes
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use pagemill_sink::manifest::{ColumnEntry, TableEntry};

    use super::*;

    fn manifest(key: Option<&str>, rows: u64) -> Manifest {
        let column = |name: &str| ColumnEntry {
            name: name.to_owned(),
            kind: "Utf8".to_owned(),
            nullable: true,
            extension: None,
            children: Vec::new(),
        };
        let table = TableEntry { name: "m".to_owned(), fingerprint: String::new(), columns: vec![column("id")] };
        Manifest {
            version: 1,
            run: "m".to_owned(),
            attempt: String::new(),
            writer: String::new(),
            replaces: None,
            format: String::new(),
            config: key.map(|key| ("key".to_owned(), key.to_owned())).into_iter().collect::<BTreeMap<_, _>>(),
            tables: vec![table],
            files: Vec::new(),
            pages: 1,
            rows,
            bad: 0,
            input: None,
            summary: serde_json::Value::Null,
        }
    }

    fn count(column: ArrayRef, at_a_time: u64) -> (u64, u64) {
        let rows = RecordBatch::try_from_iter([("id", column)]).expect("rows");
        let manifest = manifest(Some("id"), rows.num_rows() as u64);
        let mut ids = Identifiers::with("m", &manifest, at_a_time).expect("a key");
        loop {
            ids.take(&rows).expect("rows");
            if !ids.next_pass() {
                return (ids.again, ids.missing);
            }
        }
    }

    #[test]
    fn each_that_comes_again_is_counted_however_many_are_held_at_a_time() {
        let texts = ["a", "b", "a", "", "c", "", "a", "d"].map(Some).into_iter().chain([None, None]);
        let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(-1), None, Some(1), Some(11)]));
        for at_a_time in [1, 2, 3, 100] {
            assert_eq!(count(Arc::clone(&texts), at_a_time), (3, 2), "{at_a_time}");
            assert_eq!(count(Arc::clone(&numbers), at_a_time), (1, 1), "{at_a_time}");
        }
        let many: ArrayRef = Arc::new((0..10_000).map(|n| Some((n % 7_777).to_string())).collect::<StringArray>());
        assert_eq!(count(many, 900), (2_223, 0));
    }

    #[test]
    fn without_a_key_nothing_is_counted() {
        assert!(Identifiers::new("m", &manifest(None, 1)).is_none());
        assert!(Identifiers::new("m", &manifest(Some("name"), 1)).is_none());
        assert!(Identifiers::new("other", &manifest(Some("id"), 1)).is_none());
    }
}
