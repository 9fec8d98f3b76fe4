//! What every [`Sink`] promises: all or nothing, and nothing twice.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Int64Array, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use pagemill_core::{Checkpoint, Cursor, Hold, Position, Run, Sink, Slot, Table, TableName, TableSchema};

/// What readers see: the values of the column `n` of each table that is there, in the order of its files and rows.
pub type Seen = BTreeMap<String, Vec<i64>>;

/// Pages of the run that the suite writes.
const PAGES: u64 = 5;
/// Rows of the root table in each.
const ROWS: u64 = 10;

/// Holds a sink to its promises. `make` gives a new sink that writes to the same, at first empty, place each time;
/// `seen` reads what is published there.
///
/// # Panics
/// Where a promise is broken.
pub async fn sink(make: &mut dyn FnMut() -> Box<dyn Sink>, seen: &dyn Fn() -> Seen) {
    let nothing = Seen::new();
    let first = run("d=1");

    let mut aborted = make();
    assert_eq!(aborted.open(&first, &tables()).await.expect("opens"), None);
    write(&mut *aborted, PAGES).await;
    assert_eq!(seen(), nothing, "rows are visible before the commit");
    aborted.abort().await.expect("aborts");
    assert_eq!(seen(), nothing, "an aborted run left rows");
    drop(aborted);

    let mut dropped = make();
    let from = dropped.open(&first, &tables()).await.expect("opens after an abort");
    assert_eq!(from, None, "an aborted run is resumed");
    write(&mut *dropped, PAGES - 1).await;
    drop(dropped);
    assert_eq!(seen(), nothing, "a dropped run left rows");

    let mut early = make();
    early.open(&first, &tables()).await.expect("opens after a drop");
    early.abort().await.expect("aborts");
    drop(early);
    let mut early = make();
    if early.open(&first, &tables()).await.expect("opens").is_none() {
        write(&mut *early, PAGES - 1).await;
        early.commit(&serde_json::Value::Null).await.expect_err("a walk that has not ended was published");
        assert_eq!(seen(), nothing, "a refused commit left rows");
    }
    early.abort().await.expect("aborts");
    drop(early);

    let mut whole = make();
    assert_eq!(whole.open(&first, &tables()).await.expect("opens"), None);
    write(&mut *whole, PAGES).await;
    let receipt = whole.commit(&serde_json::Value::Null).await.expect("commits");
    drop(whole);
    assert!(!receipt.already_published, "a first run says that it was published before");
    assert_eq!(seen(), expected(1), "what is visible is not what was written");
    for table in tables() {
        let files = receipt.files.iter().filter(|f| f.table == table.name.as_str());
        let rows: u64 = files.clone().map(|f| f.rows).sum();
        assert!(files.clone().count() > 0, "the table {} has no file", table.name);
        assert_eq!(rows, expected(1).get(table.name.as_str()).map_or(0, |r| r.len() as u64), "rows of {}", table.name);
    }

    for abort in [false, true] {
        let mut again = make();
        let from = again.open(&first, &tables()).await.expect("opens what is published");
        let end = Checkpoint { pages: PAGES, rows: PAGES * ROWS, bad: 0, next: Position::End };
        assert_eq!(from, Some(end), "a published run does not say so");
        if abort {
            again.abort().await.expect("aborts");
        } else {
            let second = again.commit(&serde_json::Value::Null).await.expect("commits");
            assert!(second.already_published);
            assert_eq!(second.files, receipt.files, "a second run changed files");
        }
        assert_eq!(seen(), expected(1), "a second run changed what is visible");
    }

    let mut other = make();
    assert_eq!(other.open(&run("d=2"), &tables()).await.expect("opens another slot"), None);
    write(&mut *other, PAGES).await;
    other.commit(&serde_json::Value::Null).await.expect("commits");
    assert_eq!(seen(), expected(2), "two slots are not both visible");
}

fn run(slot: &str) -> Run {
    Run {
        dataset: TableName::new("things").expect("a name"),
        slot: Some(Slot::new(slot).expect("a slot")),
        config: BTreeMap::from([("resource".to_owned(), "things".to_owned())]),
    }
}

/// A root table, a child that has rows on some pages, and a table that stays empty.
fn tables() -> Vec<TableSchema> {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let table = |name| TableSchema { name: TableName::new(name).expect("a name"), schema: schema.clone() };
    ["things", "things_parts", "things__quarantine"].map(table).to_vec()
}

/// The rows of a page, by table.
fn page(page: u64) -> Vec<(&'static str, Vec<i64>)> {
    let rows: Vec<_> = (page * ROWS..(page + 1) * ROWS).map(|n| n as i64).collect();
    let parts: Vec<_> = rows.iter().filter(|_| page % 2 == 1).flat_map(|n| [*n, *n]).collect();
    vec![("things", rows), ("things_parts", parts)]
}

async fn write(sink: &mut dyn Sink, pages: u64) {
    for at in 0..pages {
        for (name, rows) in page(at) {
            let schema = tables()[0].schema.clone();
            let rows = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(rows))]).expect("fits");
            // A page may come in several batches.
            for half in
                [rows.slice(0, rows.num_rows() / 2), rows.slice(rows.num_rows() / 2, rows.num_rows().div_ceil(2))]
            {
                let table = Table { name: TableName::new(name).expect("a name"), rows: half, hold: Hold::default() };
                sink.write(table).await.expect("writes");
            }
        }
        let next =
            if at + 1 == PAGES { Position::End } else { Position::Next(Cursor::new(format!("page {}", at + 1))) };
        let upto = Checkpoint { pages: at + 1, rows: (at + 1) * ROWS, bad: 0, next };
        sink.checkpoint(upto).await.expect("takes a checkpoint");
    }
}

/// What readers see after this many slots; slots after each other.
fn expected(slots: usize) -> Seen {
    let mut all = Seen::new();
    for table in tables() {
        all.insert(table.name.to_string(), Vec::new());
    }
    for at in (0..slots).flat_map(|_| 0..PAGES) {
        for (name, rows) in page(at) {
            all.entry(name.to_owned()).or_default().extend(rows);
        }
    }
    all
}
