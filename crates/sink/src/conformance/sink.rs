//! What every [`Sink`] promises: all or nothing, nothing twice, and what is kept can be gone on from.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Int64Array, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use pagemill_core::{
    Checkpoint, Cursor, Hold, Position, Receipt, Resume, Rewind, Run, Sink, Slot, Table, TableName, TableSchema,
};
use serde_json::Value;

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
    aborted(make, seen).await;
    let receipt = ended_early(make, seen).await;
    published(make, seen, &receipt).await;
    rewound(make, seen).await;
    reconfigured(make, seen).await;
}

/// An aborted run leaves nothing, neither to see nor to go on from.
async fn aborted(make: &mut dyn FnMut() -> Box<dyn Sink>, seen: &dyn Fn() -> Seen) {
    let mut sink = make();
    assert_eq!(sink.open(&run("d=1"), &tables()).await.expect("opens"), None);
    write(&mut *sink, 0..PAGES).await;
    assert_eq!(seen(), Seen::new(), "rows are visible before the commit");
    sink.abort().await.expect("aborts");
    assert_eq!(seen(), Seen::new(), "an aborted run left rows");
    drop(sink);
    let mut sink = make();
    assert_eq!(sink.open(&run("d=1"), &tables()).await.expect("opens"), None, "an aborted run is resumed");
    sink.abort().await.expect("aborts");
}

/// A run that is dropped after each number of pages, now with and now without a word before, is gone on with until it is whole.
async fn ended_early(make: &mut dyn FnMut() -> Box<dyn Sink>, seen: &dyn Fn() -> Seen) -> Receipt {
    for upto in 1..PAGES {
        for suspend in [true, false] {
            let mut sink = make();
            let from = begin(&mut *sink, "d=1").await;
            assert!(from <= upto, "pages are durable that were never written");
            write(&mut *sink, from..upto).await;
            // A page that is not whole is in no checkpoint.
            write_rows(&mut *sink, "things", (upto * ROWS..upto * ROWS + 3).map(|n| n as i64).collect()).await;
            if suspend {
                sink.suspend().await.expect("suspends");
            }
            drop(sink);
            assert_eq!(seen(), Seen::new(), "an unfinished run left rows");
        }
    }
    let mut sink = make();
    let from = begin(&mut *sink, "d=1").await;
    write(&mut *sink, from..PAGES - 1).await;
    sink.commit(&summary(PAGES - 1)).await.expect_err("a walk that has not ended was published");
    assert_eq!(seen(), Seen::new(), "a refused commit left rows");
    drop(sink);

    let mut sink = make();
    let from = begin(&mut *sink, "d=1").await;
    write(&mut *sink, from..PAGES).await;
    let receipt = sink.commit(&summary(PAGES)).await.expect("commits");
    drop(sink);
    assert!(!receipt.already_published, "a first run says that it was published before");
    assert_eq!(seen(), expected(1), "what is visible is not what was written");
    for table in tables() {
        let files = receipt.files.iter().filter(|f| f.table == table.name.as_str());
        let rows: u64 = files.clone().map(|f| f.rows).sum();
        assert!(files.clone().count() > 0, "the table {} has no file", table.name);
        assert_eq!(rows, expected(1).get(table.name.as_str()).map_or(0, |r| r.len() as u64), "rows of {}", table.name);
    }
    receipt
}

/// A run that is published stays as it is, whatever is done to it.
async fn published(make: &mut dyn FnMut() -> Box<dyn Sink>, seen: &dyn Fn() -> Seen, receipt: &Receipt) {
    for end in [0, 1, 2] {
        let mut again = make();
        let from = again.open(&run("d=1"), &tables()).await.expect("opens what is published");
        let from = from.expect("a published run does not say so");
        assert_eq!(from.checkpoint, checkpoint(PAGES), "a published run does not say where it ended");
        assert_eq!(from.summary, summary(PAGES), "a published run has lost its summary");
        match end {
            0 => {
                let second = again.commit(&Value::Null).await.expect("commits");
                assert!(second.already_published);
                assert_eq!(second.files, receipt.files, "a second run changed files");
            }
            1 => again.suspend().await.expect("suspends"),
            _ => again.abort().await.expect("aborts"),
        }
        assert_eq!(seen(), expected(1), "a second run changed what is visible");
    }
}

/// A run goes back to its last durable point, and to its start, and is whole all the same.
async fn rewound(make: &mut dyn FnMut() -> Box<dyn Sink>, seen: &dyn Fn() -> Seen) {
    let mut sink = make();
    assert_eq!(begin(&mut *sink, "d=2").await, 0);
    let mut at = 0;
    for to in [Rewind::Checkpoint, Rewind::Start, Rewind::Checkpoint, Rewind::Checkpoint] {
        write(&mut *sink, at..PAGES - 1).await;
        write_rows(&mut *sink, "things", vec![-1; 3]).await;
        let from = sink.rewind(to).await.expect("rewinds");
        at = check(from.as_ref());
        assert!(to == Rewind::Checkpoint || at == 0, "back at the start, there are pages");
    }
    write(&mut *sink, at..PAGES).await;
    let receipt = sink.commit(&summary(PAGES)).await.expect("commits");
    drop(sink);
    assert_eq!(seen(), expected(2), "a run that went back is not what was written, or two slots are not both visible");
    let rows = receipt.files.iter().filter(|f| f.table == "things").map(|f| f.rows).sum::<u64>();
    assert_eq!(rows, PAGES * ROWS);
}

/// What was kept is not gone on from by a run that would write something else.
async fn reconfigured(make: &mut dyn FnMut() -> Box<dyn Sink>, seen: &dyn Fn() -> Seen) {
    let mut sink = make();
    assert_eq!(begin(&mut *sink, "d=3").await, 0);
    write(&mut *sink, 0..PAGES - 1).await;
    sink.suspend().await.expect("suspends");
    drop(sink);
    let (mut configured, mut fed) = (run("d=3"), run("d=3"));
    configured.config.insert("resource".to_owned(), "other things".to_owned());
    fed.pages = pagemill_core::Pages::Saved("other pages".to_owned());
    for other in [&configured, &fed] {
        let mut sink = make();
        let from = sink.open(other, &tables()).await.expect("opens");
        assert_eq!(from, None, "a run of something else is gone on with");
        sink.suspend().await.expect("suspends");
    }
    let mut sink = make();
    assert_eq!(sink.open(&configured, &tables()).await.expect("opens"), None);
    write(&mut *sink, 0..PAGES).await;
    sink.commit(&summary(PAGES)).await.expect("commits");
    assert_eq!(seen(), expected(3));
}

fn run(slot: &str) -> Run {
    Run {
        dataset: TableName::new("things").expect("a name"),
        slot: Some(Slot::new(slot).expect("a slot")),
        config: BTreeMap::from([("resource".to_owned(), "things".to_owned())]),
        pages: pagemill_core::Pages::default(),
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

/// The cursor of a page.
fn cursor(page: u64) -> Cursor {
    Cursor::new(format!("page {page}"))
}

/// The point after so many pages.
fn checkpoint(pages: u64) -> Checkpoint {
    let next = if pages == PAGES { Position::End } else { Position::Next(cursor(pages)) };
    Checkpoint { pages, rows: pages * ROWS, bad: 0, next }
}

fn summary(pages: u64) -> Value {
    serde_json::json!({ "pages": pages })
}

/// Opens, and gives the page to go on from.
async fn begin(sink: &mut dyn Sink, slot: &str) -> u64 {
    let from = sink.open(&run(slot), &tables()).await.expect("opens");
    check(from.as_ref())
}

/// The page to go on from; what is said of those before it must be what the sink was told.
fn check(from: Option<&Resume>) -> u64 {
    let Some(from) = from else { return 0 };
    let pages = from.checkpoint.pages;
    assert!((1..PAGES).contains(&pages), "{pages} pages are kept");
    assert_eq!(from.checkpoint, checkpoint(pages), "a checkpoint is given back otherwise than it was taken");
    assert_eq!(from.summary, summary(pages), "the summary is not that of the checkpoint");
    let met: Vec<_> = (1..=pages).map(|page| cursor(page).id()).collect();
    assert_eq!(from.seen, met, "the cursors that were met are not those of the pages");
    pages
}

async fn write(sink: &mut dyn Sink, pages: std::ops::Range<u64>) {
    for at in pages {
        for (name, rows) in page(at) {
            // A page may come in several batches.
            let (first, second) = rows.split_at(rows.len() / 2);
            write_rows(sink, name, first.to_vec()).await;
            write_rows(sink, name, second.to_vec()).await;
        }
        sink.checkpoint(checkpoint(at + 1), &summary(at + 1)).await.expect("takes a checkpoint");
    }
}

async fn write_rows(sink: &mut dyn Sink, name: &str, rows: Vec<i64>) {
    let schema = tables()[0].schema.clone();
    let rows = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(rows))]).expect("fits");
    let table = Table { name: TableName::new(name).expect("a name"), rows, hold: Hold::default() };
    sink.write(table).await.expect("writes");
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
