//! The pages, the ledger of what was served, the steps of a run.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow::{
    array::{Array, AsArray, Int64Array, RecordBatch, StringArray, UInt64Array},
    compute,
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
};
use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use pagemill::{
    Arrow, Batch, Checkpoint, Cursor, Error, ErrorKind, FileSink, Format, Hold, Ndjson, PageEnd, PageSummary, Parquet,
    Pipeline, Position, Receipt, Result, Resume, Rewind, Run, Sink, Slot, Source, Table, TableName, TableSchema,
    Transform,
    sink::{
        LocalStore, Manifest, Store,
        store::{Kept, Opened, Part, Plan, Segment},
    },
};
use serde_json::{Value, json};

use super::{
    broken::{Broken, BrokenDisk, BrokenStore},
    faults::{Fault, Faulty, Watch},
    lines::Lines,
    tree::Place,
};

/// Pages of a walk.
pub const PAGES: u64 = 6;
/// Records of a page.
pub const ROWS: usize = 4;
/// Pages after which a run ends early, or goes back.
pub const STOP: u64 = 3;
/// Rows at which a part ends: those of two pages.
const ROWS_PER_PART: u64 = 2 * ROWS as u64;
/// The slot that is filled.
pub const SLOT: &str = "d=1";
/// The root table, one that has rows on odd pages, and one that has none.
pub const TABLES: [&str; 3] = ["m", "m_c", "m_e"];

/// The formats: the plain one, and the real ones.
#[must_use]
pub fn formats() -> Vec<Arc<dyn Format>> {
    vec![Arc::new(Lines), Arc::new(Ndjson), Arc::new(Parquet::default()), Arc::new(Arrow::file())]
}

/// Places of the rows of `table` in the rows of a page.
#[must_use]
pub fn places(table: &str, page: u64) -> Vec<u64> {
    match table {
        "m" => (0..ROWS as u64).collect(),
        "m_c" if page % 2 == 1 => vec![0, 2],
        _ => Vec::new(),
    }
}

/// What a row says.
#[must_use]
pub fn text(page: i64, idx: i64, serve: i64) -> String {
    format!("row {idx} of page {page}, \u{e9} serving {serve}")
}

/// The cursor of a page.
#[must_use]
pub fn cursor(page: u64) -> Cursor {
    Cursor::new(format!("page {page}"))
}

/// Which page was served when, each time with a number of its own.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Vec<u64>>);

impl Ledger {
    fn served(&self) -> MutexGuard<'_, Vec<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a page: the serving's number.
    pub fn serve(&self, page: u64) -> i64 {
        let mut served = self.served();
        served.push(page);
        served.len() as i64 - 1
    }

    /// The page of each serving.
    #[must_use]
    pub fn pages(&self) -> Vec<u64> {
        self.served().clone()
    }

    /// True when the serving was of that page.
    #[must_use]
    pub fn was(&self, serve: i64, page: u64) -> bool {
        usize::try_from(serve).is_ok_and(|at| self.served().get(at) == Some(&page))
    }

    /// How many there were.
    #[must_use]
    pub fn len(&self) -> i64 {
        self.served().len() as i64
    }

    /// True when there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One that goes on from here on its own.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Mutex::new(self.served().clone()))
    }
}

/// The columns of every table.
fn schema() -> SchemaRef {
    let number = |name| Field::new(name, DataType::Int64, true);
    let text = Field::new("text", DataType::Utf8, true);
    Arc::new(Schema::new(vec![number("page"), number("idx"), number("serve"), text]))
}

fn name(name: &str) -> TableName {
    TableName::new(name).expect("a name")
}

fn tables() -> Vec<TableSchema> {
    TABLES.map(|table| TableSchema { name: name(table), schema: schema() }).to_vec()
}

/// Rows of a page.
fn rows(page: u64, serve: i64, places: &[u64]) -> RecordBatch {
    let page = page as i64;
    let same = |n| Arc::new(Int64Array::from(vec![n; places.len()])) as Arc<dyn Array>;
    let idx = Int64Array::from_iter_values(places.iter().map(|idx| *idx as i64));
    let texts = StringArray::from_iter_values(places.iter().map(|idx| text(page, *idx as i64, serve)));
    RecordBatch::try_new(schema(), vec![same(page), Arc::new(idx), same(serve), Arc::new(texts)]).expect("rows")
}

fn table(table: &str, rows: RecordBatch) -> Table {
    Table { name: name(table), rows, hold: Hold::default() }
}

/// The point after so many pages.
fn point(pages: u64) -> Checkpoint {
    let next = if pages == PAGES { Position::End } else { Position::Next(cursor(pages)) };
    Checkpoint { pages, rows: pages * ROWS as u64, bad: 0, next }
}

/// How a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// To its end.
    Commit,
    /// To its end, by way of [`Pipeline`].
    Pipeline,
    /// It is suspended in the middle of the page after [`STOP`].
    Suspend,
    /// It is aborted there.
    Abort,
    /// It goes back from there, and then to its end.
    Rewind(Rewind),
}

/// What the sink has said so far, and must stand by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// So many pages are durable.
    Durable(u64),
    /// All is published.
    Published,
    /// Of what was served before that number nothing will be published.
    Restarted(i64),
    /// What is kept is about to be given up.
    GivingUp,
    /// Nothing is kept.
    Aborted,
}

/// A run.
#[derive(Clone)]
pub struct Attempt<'a> {
    /// Where to.
    pub place: &'a dyn Place,
    /// In which format.
    pub format: Arc<dyn Format>,
    /// What it reads from.
    pub ledger: Arc<Ledger>,
    /// How it goes.
    pub course: Course,
    /// Whether what is published is made again.
    pub overwrite: bool,
    /// What goes wrong.
    pub fault: Fault,
    /// How the protocol is broken.
    pub broken: Broken,
}

/// What became of a run.
pub struct Outcome {
    /// A receipt, nothing when it ended early as it should, or an error.
    pub result: Result<Option<Receipt>>,
    /// Where it began.
    pub opened: Option<Resume>,
    /// What its disk has come to.
    pub watch: Arc<Watch>,
    /// What it has claimed, each with the number of calls until then.
    pub claims: Vec<(u64, Claim)>,
}

type Tell = Arc<dyn Fn(Claim) + Send + Sync>;

impl Attempt<'_> {
    /// Carries it out. A run that dies is dropped; one that fails is given up as [`Pipeline`] does it.
    ///
    /// # Panics
    /// Where the run panics.
    #[must_use]
    pub fn run(&self) -> Outcome {
        let watch = Arc::new(Watch::default());
        let disk = BrokenDisk::new(Faulty::new(self.place.disk(), self.fault, watch.clone()), self.broken);
        let store = BrokenStore::new(LocalStore::new(self.place.out()).disk(disk), self.broken);
        let claims = Arc::new(Mutex::new(Vec::new()));
        let (list, ledger, clock) = (claims.clone(), self.ledger.clone(), self.place.clock());
        let tell: Tell = Arc::new(move |claim| {
            let claim = match claim {
                Claim::Restarted(_) => Claim::Restarted(ledger.len()),
                other => other,
            };
            list.lock().unwrap_or_else(PoisonError::into_inner).push((clock(), claim));
        });
        let sink = FileSink::to(Watched { inner: store, tell }, self.format.clone())
            .rows_per_part(ROWS_PER_PART)
            .batches(ROWS, 1 << 20)
            .overwrite(self.overwrite);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut opened = None;
        let result = runtime.block_on(async {
            match self.course {
                Course::Pipeline => {
                    let source = Pages { ledger: self.ledger.clone() };
                    let slot = Some(Slot::new(SLOT)?);
                    Pipeline::new(source, Split, sink).slot(slot).run().await.map(|report| Some(report.receipt))
                }
                course => {
                    let mut sink = sink;
                    let result = steps(&mut sink, course, &self.ledger, &mut opened).await;
                    if let Err(error) = &result
                        && !watch.dead()
                    {
                        give_up(&mut sink, error.kind()).await;
                    }
                    result
                }
            }
        });
        let claims = std::mem::take(&mut *claims.lock().unwrap_or_else(PoisonError::into_inner));
        Outcome { result, opened, watch, claims }
    }
}

async fn give_up(sink: &mut FileSink, kind: ErrorKind) {
    // What goes wrong here as well is for the next run to deal with.
    let _ = match kind {
        ErrorKind::Unknown => Ok(()),
        ErrorKind::Data | ErrorKind::Config | ErrorKind::Internal => sink.abort().await,
        _ => sink.suspend().await,
    };
}

/// The steps that [`Pipeline`] makes, in a row.
async fn steps(
    sink: &mut FileSink,
    course: Course,
    ledger: &Ledger,
    opened: &mut Option<Resume>,
) -> Result<Option<Receipt>> {
    let run = Run {
        dataset: name("m"),
        slot: Some(Slot::new(SLOT)?),
        config: BTreeMap::new(),
        pages: pagemill::Pages::default(),
    };
    *opened = sink.open(&run, &tables()).await?;
    let mut from = opened.clone();
    let mut turn = (course != Course::Commit).then_some(course);
    loop {
        let mut serves = serves(from.as_ref());
        let first = from.as_ref().map_or(0, |from| from.checkpoint.pages);
        let mut back = None;
        for page in first..PAGES {
            let serve = ledger.serve(page);
            write(sink, page, serve, 0).await?;
            if page >= STOP
                && let Some(course) = turn.take()
            {
                match course {
                    Course::Suspend => return sink.suspend().await.map(|()| None),
                    Course::Abort => return sink.abort().await.map(|()| None),
                    Course::Rewind(to) => {
                        back = Some(sink.rewind(to).await?);
                        break;
                    }
                    Course::Commit | Course::Pipeline => {}
                }
            }
            write(sink, page, serve, 1).await?;
            serves.push(serve);
            sink.checkpoint(point(page + 1), &json!({ "serves": serves })).await?;
        }
        match back {
            Some(point) => from = point,
            None => return sink.commit(&json!({ "serves": serves })).await.map(Some),
        }
    }
}

/// Writes one half of a page.
async fn write(sink: &mut FileSink, page: u64, serve: i64, half: u64) -> Result<()> {
    for at in TABLES {
        let places: Vec<_> = places(at, page).into_iter().filter(|place| place * 2 / ROWS as u64 == half).collect();
        if !places.is_empty() {
            sink.write(table(at, rows(page, serve, &places))).await?;
        }
    }
    Ok(())
}

/// The servings of the pages before a point.
fn serves(from: Option<&Resume>) -> Vec<i64> {
    let listed = from.and_then(|from| from.summary["serves"].as_array());
    listed.into_iter().flatten().filter_map(Value::as_i64).collect()
}

/// A store that says when it has claimed something.
struct Watched {
    inner: BrokenStore,
    tell: Tell,
}

impl Store for Watched {
    fn open(&mut self, plan: &Plan) -> Result<Opened> {
        self.inner.open(plan)
    }

    fn tag(&self) -> Option<String> {
        self.inner.tag()
    }

    fn create_part(&mut self, table: &TableName, name: &str) -> Result<()> {
        self.inner.create_part(table, name)
    }

    fn append_part(&mut self, table: &TableName, name: &str, bytes: &Bytes) -> Result<()> {
        self.inner.append_part(table, name, bytes)
    }

    fn close_part(&mut self, part: &Part) -> Result<()> {
        self.inner.close_part(part)
    }

    fn end_segment(&mut self, segment: &Segment) -> Result<()> {
        self.inner.end_segment(segment)?;
        // The segment that ends the walk is durable with the manifest, and not before.
        if !segment.upto.is_end() {
            (self.tell)(Claim::Durable(segment.upto.pages));
        }
        Ok(())
    }

    fn rewind(&mut self, to: Rewind) -> Result<Option<Kept>> {
        if to == Rewind::Start {
            (self.tell)(Claim::GivingUp);
        }
        let kept = self.inner.rewind(to)?;
        if to == Rewind::Start {
            (self.tell)(Claim::Restarted(0));
        }
        Ok(kept)
    }

    fn publish(&mut self, manifest: Manifest) -> Result<Receipt> {
        let receipt = self.inner.publish(manifest)?;
        (self.tell)(Claim::Published);
        Ok(receipt)
    }

    fn suspend(&mut self) -> Result<()> {
        self.inner.suspend()
    }

    fn abort(&mut self) -> Result<()> {
        (self.tell)(Claim::GivingUp);
        self.inner.abort()?;
        (self.tell)(Claim::Aborted);
        Ok(())
    }
}

/// The pages, for [`Pipeline`]: each in two batches.
pub struct Pages {
    /// What is served.
    pub ledger: Arc<Ledger>,
}

impl Source for Pages {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn read(&mut self, from: Option<Resume>) -> BoxStream<'_, Result<Batch>> {
        let first = from.map_or(0, |from| from.checkpoint.pages);
        let ledger = &self.ledger;
        stream::iter(first..PAGES).flat_map(move |page| stream::iter(batches(page, ledger.serve(page)))).boxed()
    }
}

/// A page as [`Pages`] hands it out.
#[must_use]
pub fn batches(page: u64, serve: i64) -> Vec<Result<Batch>> {
    let half = ROWS as u64 / 2;
    let summary = PageSummary { page, records: ROWS as u64, ..PageSummary::default() };
    let batch = |places: std::ops::Range<u64>, end| {
        let first_row = page * ROWS as u64 + places.start;
        Ok(Batch { records: rows(page, serve, &places.collect::<Vec<_>>()), first_row, end })
    };
    vec![batch(0..half, None), batch(half..ROWS as u64, Some(PageEnd { resume: point(page + 1), summary }))]
}

/// Pages into the tables, for [`Pipeline`].
pub struct Split;

impl Transform for Split {
    fn tables(&self, _: &Schema) -> Result<Vec<TableSchema>> {
        Ok(tables())
    }

    fn apply(&self, batch: &Batch) -> Result<Vec<Table>> {
        let numbers = |column: usize| batch.records.column(column).as_primitive::<Int64Type>();
        let (page, idx) = (numbers(0), numbers(1));
        let picked = |at: &str| {
            let wanted = |row: &usize| places(at, page.value(*row) as u64).contains(&(idx.value(*row) as u64));
            let rows =
                UInt64Array::from_iter_values((0..batch.records.num_rows()).filter(wanted).map(|row| row as u64));
            Ok::<_, Error>(table(at, compute::take_record_batch(&batch.records, &rows)?))
        };
        TABLES.into_iter().map(picked).collect()
    }
}
