//! What the rows of a run's tables say about each other.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, AsArray, Int64Array, RecordBatch},
    datatypes::Int64Type,
};
use pagemill_sink::{
    Manifest,
    manifest::{ColumnEntry, TableEntry},
};

use crate::report::quoted;

/// The column with the ordinal of the record.
const ROW: &str = "_row";
/// The column with the position in the list, and the end of the names of those of the lists around it.
const INDEX: &str = "_index";

/// The column that says whose data a row is.
const ACCOUNT: &str = "integrated_account_id";

/// The tables of a run.
pub(crate) struct Ledger {
    root: String,
    /// What every row has to say whose it is, if that is known.
    account: Option<Option<String>>,
    tables: BTreeMap<String, TableRows>,
}

/// The order that the rows of a table must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// `_row` counts from 0.
    Records,
    /// `_row`, the positions of the lists around, and `_index`, which counts from 0 in each list.
    Items,
    /// `page` and `record` ascend.
    Aside,
    /// None that is known.
    Any,
}

struct TableRows {
    order: Order,
    /// The columns that the order is of.
    keys: Vec<usize>,
    /// For each list: the table of its items, the column with its length, and the sum of that.
    lists: Vec<(String, usize, i128)>,
    not_null: Vec<(usize, String)>,
    rows: u64,
    last: Option<Vec<i64>>,
    highest: Option<i64>,
}

impl TableRows {
    fn new(root: &str, table: &TableEntry, tables: &[TableEntry]) -> Self {
        let column = |name: &str| table.columns.iter().position(|c| c.name == name && is_position(c));
        let positions = || {
            let ends = |c: &ColumnEntry| is_position(c) && c.name.ends_with(INDEX);
            table.columns.iter().enumerate().filter(move |(_, c)| ends(c)).map(|(i, _)| i)
        };
        let (order, keys) = match (column(ROW), column(INDEX)) {
            (Some(row), _) if table.name == root => (Order::Records, vec![row]),
            (Some(row), Some(index)) => {
                let around = positions().take_while(|i| *i < index);
                (Order::Items, std::iter::once(row).chain(around).chain([index]).collect())
            }
            _ => match (table.name == format!("{root}__quarantine"), column("page"), column("record")) {
                (true, Some(page), Some(record)) => (Order::Aside, vec![page, record]),
                _ => (Order::Any, Vec::new()),
            },
        };
        let list = |(i, c): (usize, &ColumnEntry)| {
            let child = format!("{}_{}", table.name, c.name.strip_suffix("_count")?);
            (c.kind == "Int64" && tables.iter().any(|t| t.name == child)).then_some((child, i, 0))
        };
        let required = |(i, c): (usize, &ColumnEntry)| (!c.nullable).then(|| (i, c.name.clone()));
        Self {
            order,
            keys,
            lists: table.columns.iter().enumerate().filter_map(list).collect(),
            not_null: table.columns.iter().enumerate().filter_map(required).collect(),
            rows: 0,
            last: None,
            highest: None,
        }
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let first = self.rows;
        self.rows += batch.num_rows() as u64;
        let null = |(i, _): &&(usize, String)| batch.columns().get(*i).is_some_and(|c| c.null_count() > 0);
        if let Some((_, name)) = self.not_null.iter().find(null) {
            return Err(format!("the column {name} has a null, and may not"));
        }
        let integers = |i: &usize| batch.columns().get(*i).and_then(|c| c.as_primitive_opt::<Int64Type>());
        for (_, at, sum) in &mut self.lists {
            let lengths = integers(at).ok_or("a length is no integer")?;
            *sum += lengths.iter().flatten().map(i128::from).sum::<i128>();
        }
        let keys: Vec<&Int64Array> = self.keys.iter().filter_map(integers).collect();
        if self.order == Order::Any || keys.len() != self.keys.len() {
            return Ok(());
        }
        for i in 0..batch.num_rows() {
            let key: Vec<i64> = keys.iter().map(|k| k.value(i)).collect();
            let row = first + i as u64;
            self.follows(row, &key).map_err(|what| format!("row {row} {what}"))?;
            self.highest = self.highest.max(key.first().copied());
            self.last = Some(key);
        }
        Ok(())
    }

    /// Whether a row with these keys may come after the last one.
    fn follows(&self, row: u64, key: &[i64]) -> Result<(), String> {
        let last = self.last.as_deref();
        match self.order {
            Order::Any => Ok(()),
            Order::Records if key.first().is_some_and(|k| u64::try_from(*k) == Ok(row)) => Ok(()),
            Order::Records => Err(format!("has {} in {ROW}: a record was lost, doubled or moved", list(key))),
            Order::Aside if last.is_none_or(|last| last < key) => Ok(()),
            Order::Aside => Err("is of a record before the last one, or of the same".to_owned()),
            Order::Items => {
                let (Some((index, list)), last) = (key.split_last(), last.and_then(<[i64]>::split_last)) else {
                    return Ok(());
                };
                let fits = match last {
                    Some((before, same)) if same == list => before.checked_add(1) == Some(*index),
                    Some((_, earlier)) => earlier < list && *index == 0,
                    None => *index == 0,
                };
                if fits && list.iter().all(|n| *n >= 0) {
                    return Ok(());
                }
                Err(format!("has the keys {}: an item was lost, doubled or moved", self::list(key)))
            }
        }
    }
}

impl Ledger {
    pub(crate) fn new(root: &str, manifest: &Manifest) -> Self {
        let (tables, options) = (&manifest.tables, &manifest.config);
        let each = tables.iter().map(|t| (t.name.clone(), TableRows::new(root, t, tables)));
        // Who does not say how rows are laid out has a transform of their own, which may have accounts of its own.
        let account = options.contains_key("layout").then(|| options.get("account").cloned());
        Self { root: root.to_owned(), account, tables: each.collect() }
    }

    /// Takes the next rows of a table.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn take(&mut self, table: &str, batch: &RecordBatch) -> Result<(), String> {
        let accounts = batch.column_by_name(ACCOUNT).and_then(|c| c.as_string_opt::<i32>());
        if let (Some(account), Some(accounts)) = (&self.account, accounts)
            && let Some(other) = accounts.iter().find(|a| *a != account.as_deref())
        {
            let said = |account: Option<&str>| account.map_or("nobody".to_owned(), quoted);
            return Err(format!("a row is of the account of {}, not of {}", said(other), said(account.as_deref())));
        }
        self.tables.get_mut(table).map_or(Ok(()), |t| t.take(batch))
    }

    /// What does not add up, once all rows were taken.
    pub(crate) fn sums(&self, manifest: &Manifest) -> Vec<String> {
        let mut wrong = Vec::new();
        let Some(root) = self.tables.get(&self.root).filter(|t| t.order == Order::Records) else { return wrong };
        if root.rows != manifest.rows {
            wrong.push(format!(
                "{} has {} rows where the manifest says {} records",
                self.root, root.rows, manifest.rows
            ));
        }
        let aside = self.tables.iter().find(|(_, t)| t.order == Order::Aside).map_or(0, |(_, t)| t.rows);
        if aside != manifest.bad {
            wrong.push(format!("{aside} records are in quarantine where the manifest says {}", manifest.bad));
        }
        for (name, table) in &self.tables {
            let beyond = table.highest.filter(|n| u64::try_from(*n).is_ok_and(|n| n >= root.rows));
            if let Some(row) = beyond.filter(|_| table.order == Order::Items) {
                wrong.push(format!("{name} has items of the record {row}, and there are {} records", root.rows));
            }
            for (child, _, sum) in &table.lists {
                let rows = self.tables.get(child).map_or(0, |t| t.rows);
                if i128::from(rows) != *sum {
                    wrong.push(format!("{child} has {rows} rows where the lists of {name} have {sum} items"));
                }
            }
        }
        wrong
    }
}

fn is_position(column: &ColumnEntry) -> bool {
    column.kind == "Int64" && !column.nullable
}

fn list(key: &[i64]) -> String {
    key.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}
