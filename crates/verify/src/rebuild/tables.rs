//! The tables of a run, read in step and turned back into records.

use std::{collections::VecDeque, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Int64Type, SchemaRef},
};
use pagemill_core::{Error, FileEntry, Hold, Resource, Result, Table, TableName, TableSchema, Transform};
use pagemill_sink::{
    Manifest,
    list::{Published, RunKey},
    manifest::TableEntry,
};
use pagemill_transform::{Flatten, Nested, Unflatten, records_json};

use crate::{
    check::parts,
    read::{self, Kind, Rows},
};

/// Records that are put together at a time, at most.
const RECORDS: usize = 1_024;
/// Items of their lists, about.
const ITEMS: i64 = 65_536;

/// The records of a run's tables, in order, a group at a time.
pub(super) struct Records<'a> {
    resource: &'a Resource,
    root: Cursor<'a>,
    /// The tables of the lists; none where records are nested.
    lists: Vec<Cursor<'a>>,
    unflatten: Option<Unflatten>,
    ready: VecDeque<String>,
}

impl<'a> Records<'a> {
    /// The records of the run, which are of `resource`.
    pub(super) fn open(
        published: &'a dyn Published,
        run: &'a RunKey,
        manifest: &'a Manifest,
        resource: &'a Resource,
    ) -> Result<Self> {
        let kind = kind(manifest)?;
        let schema = resource.schema();
        let flat = Flatten::new(resource, None).tables(&schema);
        let (planned, unflatten) = match flat {
            Ok(planned) if all_there(&planned, manifest)? => (planned, Some(Unflatten::new(resource)?)),
            _ => (Nested::new(resource, None).tables(&schema)?, None),
        };
        if !all_there(&planned, manifest)? {
            return Err(Error::config(format!("the tables of {run} are not those of {}", resource.name()))
                .advise("name the resource that they were written with"));
        }
        let cursor = |table: TableSchema| Cursor::new(published, run, manifest, kind, table);
        let mut cursors = planned.into_iter().map(cursor).collect::<Result<VecDeque<_>>>()?;
        let root = cursors.pop_front().ok_or_else(|| Error::internal("a resource without tables"))?;
        Ok(Self { resource, root, lists: cursors.into(), unflatten, ready: VecDeque::new() })
    }

    /// The next record as JSON; `None` after the last one, when all tables must have ended.
    pub(super) fn next(&mut self) -> Result<Option<String>> {
        while self.ready.is_empty() {
            let Some(rows) = self.root.group()? else {
                for list in &mut self.lists {
                    if list.front()?.is_some() {
                        return Err(Error::data(format!("{} has items of records that are not there", list.name)));
                    }
                }
                return Ok(None);
            };
            let nested = self.nested(rows)?;
            self.ready = records_json(&nested, self.resource)?.into();
        }
        Ok(self.ready.pop_front())
    }

    fn nested(&mut self, rows: RecordBatch) -> Result<RecordBatch> {
        let Some(unflatten) = &self.unflatten else {
            let columns = rows.columns().iter().skip(2).cloned().collect();
            return Ok(RecordBatch::try_new(self.resource.schema(), columns)?);
        };
        let ordinals = rows.column_by_name("_row").and_then(|c| c.as_primitive_opt::<Int64Type>());
        let last = ordinals.and_then(|c| c.values().last().copied()).unwrap_or(i64::MIN);
        let table = |name: &TableName, rows| Table { name: name.clone(), rows, hold: Hold::default() };
        let mut tables = vec![table(&self.root.name, rows)];
        for list in &mut self.lists {
            let name = list.name.clone();
            tables.extend(list.up_to(last)?.into_iter().map(|rows| table(&name, rows)));
        }
        unflatten.apply(&tables)
    }
}

/// The kind of the run's files.
pub(super) fn kind(manifest: &Manifest) -> Result<Kind> {
    Kind::named(&manifest.format)
        .ok_or_else(|| Error::config(format!("files of the format {:?} cannot be read", manifest.format)))
}

/// Whether the manifest has all these tables, with these columns.
fn all_there(planned: &[TableSchema], manifest: &Manifest) -> Result<bool> {
    for table in planned {
        let planned = TableEntry::new(table)?;
        if !manifest.tables.iter().any(|t| t.name == planned.name && t.columns == planned.columns) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The rows of one table, in order, from one file after the other.
pub(super) struct Cursor<'a> {
    published: &'a dyn Published,
    run: &'a RunKey,
    manifest: &'a Manifest,
    kind: Kind,
    pub(super) name: TableName,
    schema: SchemaRef,
    entry: &'a TableEntry,
    files: VecDeque<&'a FileEntry>,
    open: Option<Rows>,
    batch: Option<RecordBatch>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(
        published: &'a dyn Published,
        run: &'a RunKey,
        manifest: &'a Manifest,
        kind: Kind,
        table: TableSchema,
    ) -> Result<Self> {
        let entry = manifest.tables.iter().find(|t| t.name == table.name.as_str());
        let entry = entry.ok_or_else(|| Error::data(format!("the manifest has no table {}", table.name)))?;
        let files = parts(manifest, table.name.as_str()).into();
        let TableSchema { name, schema } = table;
        Ok(Self { published, run, manifest, kind, name, schema, entry, files, open: None, batch: None })
    }

    /// The rows that come next, some of them; `None` at the end.
    pub(super) fn front(&mut self) -> Result<Option<&RecordBatch>> {
        while self.batch.as_ref().is_none_or(|batch| batch.num_rows() == 0) {
            if let Some(rows) = &mut self.open {
                match rows.next().transpose()? {
                    None => self.open = None,
                    Some(batch) => {
                        let columns = batch.columns().to_vec();
                        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
                        self.batch = Some(batch.map_err(|e| {
                            Error::data(format!("a file of {} has other columns than the manifest says", self.name))
                                .because(e)
                        })?);
                    }
                }
                continue;
            }
            let Some(file) = self.files.pop_front() else { return Ok(None) };
            let opened = self.published.open(self.run, self.manifest, file)?;
            let opened =
                opened.ok_or_else(|| Error::data(format!("{} is missing", self.published.place(&file.path))))?;
            self.open = Some(read::open(self.kind, &opened.bytes, self.entry)?);
        }
        Ok(self.batch.as_ref())
    }

    /// Takes `n` of the rows in front.
    pub(super) fn take(&mut self, n: usize) -> Option<RecordBatch> {
        let batch = self.batch.take()?;
        let n = n.min(batch.num_rows());
        let taken = batch.slice(0, n);
        self.batch = Some(batch.slice(n, batch.num_rows() - n));
        Some(taken)
    }

    /// Takes as many records as are to be put together at a time.
    fn group(&mut self) -> Result<Option<RecordBatch>> {
        let Some(batch) = self.front()? else { return Ok(None) };
        let lengths: Vec<_> = batch
            .schema_ref()
            .fields()
            .iter()
            .zip(batch.columns())
            .filter(|(f, _)| f.name().ends_with("_count"))
            .filter_map(|(_, c)| c.as_primitive_opt::<Int64Type>())
            .collect();
        let items = |row: usize| lengths.iter().filter(|c| c.is_valid(row)).map(|c| c.value(row)).sum::<i64>();
        let (mut rows, mut sum) = (0, 0_i64);
        while rows < batch.num_rows().min(RECORDS) && sum < ITEMS {
            sum = sum.saturating_add(items(rows).max(0));
            rows += 1;
        }
        Ok(self.take(rows))
    }

    /// Takes the rows of records up to `last`.
    fn up_to(&mut self, last: i64) -> Result<Vec<RecordBatch>> {
        let mut taken = Vec::new();
        while let Some(batch) = self.front()? {
            let all = batch.num_rows();
            let ordinals = batch.column_by_name("_row").and_then(|c| c.as_primitive_opt::<Int64Type>());
            let n = ordinals.map_or(0, |c| c.values().iter().take_while(|row| **row <= last).count());
            if n > 0 {
                taken.extend(self.take(n));
            }
            if n < all {
                break;
            }
        }
        Ok(taken)
    }
}
