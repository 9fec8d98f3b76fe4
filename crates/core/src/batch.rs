//! What travels between the stages.

use std::{any::Any, fmt, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::SchemaRef,
};

use crate::{BadRecord, Checkpoint, Error, Misfits, Result};

/// Records on their way from the source to the transform: nested, in the order they were served.
///
/// The columns are those of [`Resource::schema`](crate::Resource::schema).
#[derive(Clone, Debug)]
pub struct Batch {
    /// The records; may be empty.
    pub records: RecordBatch,
    /// Ordinal in the run of the first of them.
    pub first_row: u64,
    /// On the last batch of a page, and only there.
    pub end: Option<PageEnd>,
}

/// About what an array takes besides its values: itself, and for each of its buffers what says who has it.
const AROUND: usize = 448;

/// About the bytes of memory that `records` take, a little too many rather than too few.
///
/// Arrow's own count is of the buffers' values. A batch of one record takes four times as much, as each column has buffers of its own;
/// and the buffers of a large one have some room. What is within a list or an object is counted; within other types, of which
/// no resource has columns, it is not.
#[must_use]
pub fn memory_of(records: &RecordBatch) -> usize {
    let values = records.get_array_memory_size();
    values + values / 8 + AROUND * records.columns().iter().map(|column| arrays(column)).sum::<usize>()
}

/// The array and those within it.
fn arrays(array: &dyn Array) -> usize {
    let within = match array.as_list_opt::<i32>() {
        Some(list) => arrays(list.values()),
        None => array.as_struct_opt().map_or(0, |object| object.columns().iter().map(|c| arrays(c)).sum()),
    };
    1 + within
}

/// The end of a page that counts.
#[derive(Clone, Debug)]
pub struct PageEnd {
    /// All rows up to here may be committed with this.
    pub resume: Checkpoint,
    /// What the page was.
    pub summary: PageSummary,
}

/// What a page was.
#[derive(Clone, Debug, Default)]
pub struct PageSummary {
    /// Ordinal of the page in the run, from 0.
    pub page: u64,
    /// Records in it, good and bad.
    pub records: u64,
    /// Bytes of it, decompressed.
    pub bytes: u64,
    /// Its bad records.
    pub bad: Vec<BadRecord>,
    /// Its values outside their columns.
    pub misfits: Misfits,
    /// The envelope's `is_partial_response`.
    pub partial: bool,
    /// Requests that had to be made again for it.
    pub retries: u32,
}

/// The name of a table: also the name of its folder.
///
/// Non-empty; letters, digits, `_` and `-` of ASCII only; does not begin with `-`; at most 200 bytes.
/// So it needs no escaping in a path, in SQL or in a URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName(Arc<str>);

impl TableName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) when it has other characters or another length than a table name may have.
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > 200 || name.starts_with('-') || !name.chars().all(plain) {
            return Err(Error::config(format!("{name:?} cannot name a table"))
                .advise("use 1 to 200 ASCII letters, digits, `_` and `-`"));
        }
        Ok(Self(name.into()))
    }

    /// The table of the list `list` of this table: `members` and `emails` give `members_emails`.
    ///
    /// # Errors
    /// As [`TableName::new`].
    pub fn child(&self, list: &str) -> Result<Self> {
        Self::new(format!("{}_{list}", self.0))
    }

    pub(crate) fn quarantine(root: &Self) -> Self {
        Self(format!("{}__quarantine", root.0).into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for TableName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A table that will be written, with or without rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSchema {
    /// Its name.
    pub name: TableName,
    /// Its columns; the same in every file of every run.
    pub schema: SchemaRef,
}

/// Rows of one table, on their way from the transform to the sink.
#[derive(Clone, Debug)]
pub struct Table {
    /// Which table.
    pub name: TableName,
    /// Rows in their order; the schema is the one announced by [`TableSchema`].
    pub rows: RecordBatch,
    /// The memory that the rows were given; a sink drops it when it needs them no more.
    pub hold: Hold,
}

/// A share of a budget of memory. It is given back when the last copy of this is dropped. The default is a share of nothing.
#[derive(Clone, Default)]
pub struct Hold(Option<Arc<dyn Any + Send + Sync>>);

impl Hold {
    /// Holds `share`, such as the permit of a semaphore.
    #[must_use]
    pub fn new(share: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(share)))
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Hold(a share)" } else { "Hold(nothing)" })
    }
}
