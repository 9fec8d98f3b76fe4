//! The sink that writes files.

use std::{path::PathBuf, sync::Arc};

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use pagemill_core::{
    Checkpoint, CursorId, Error, Pages, Position, Receipt, Result, Resume, Rewind, Run, Sink, Table, TableName,
    TableSchema,
};
use serde_json::Value;

use crate::{
    Format, LocalStore, Manifest, Store,
    committer::{Committer, Failure},
    encode::{Spec, TableQueue},
    format::{TABLE_KEY, VERSION_KEY},
    manifest::{MANIFEST_VERSION, TableEntry, hex, sha256},
    recut::batch_bytes,
    store::{Kept, Opened, Plan, Segment},
    workers::Pool,
};

/// What the manifest and the files name as their writer.
const WRITER: &str = concat!("pagemill ", env!("CARGO_PKG_VERSION"));

/// A part is measured each time its table has taken this share of the limit in raw bytes.
const MEASURES: u64 = 16;

/// Pages at which a part ends, however few rows they have: what is remembered of each waits for the segment's end, and is written in
/// one line.
const PAGES_PER_SEGMENT: usize = 65_536;

/// Writes each table to a folder of files, all of which appear when the run is complete, or never.
///
/// Files end at the end of a page, all tables' together, when one of them has reached the rows or the bytes of a part, or
/// when it is of 65,536 pages. So which row is in which file depends on the pages and the options alone.
///
/// Ended files survive a crash: the next run of the slot with the same options goes on behind them. Dropping the sink
/// before the commit is such a crash.
pub struct FileSink {
    store: Option<Box<dyn Store>>,
    format: Arc<dyn Format>,
    rows_per_part: u64,
    bytes_per_part: u64,
    batch_rows: usize,
    batch_bytes: u64,
    overwrite: bool,
    warnings: Vec<String>,
    state: State,
}

enum State {
    Idle,
    /// Fields are dropped in this order: encoders first, then their threads, then the committer that they send to.
    Staging(Box<Staging>),
    Published(Receipt),
}

struct Staging {
    tables: Vec<TableState>,
    pool: Option<Pool>,
    committer: Committer,
    failure: Arc<Failure>,
    manifest: Manifest,
    specs: Vec<Spec>,
    upto: Option<Checkpoint>,
    /// The cursors met since the last segment.
    met: Vec<CursorId>,
    /// Rows were written that no checkpoint covers.
    open_page: bool,
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Whatever is still queued will not be published: do not wait for it.
        self.failure.set(Error::internal("the sink was dropped"));
    }
}

struct TableState {
    name: TableName,
    schema: SchemaRef,
    queue: TableQueue,
    /// Rows in the current part.
    rows: u64,
    /// Raw bytes taken since the current part was begun or last measured.
    unmeasured: u64,
    parts: u32,
}

impl FileSink {
    /// Writes files of `format` below the folder `out`, which need not exist, and stages them in `out.pagemill` beside it.
    pub fn new(out: impl Into<PathBuf>, format: Arc<dyn Format>) -> Self {
        Self::to(LocalStore::new(out), format)
    }

    /// Writes files of `format` to `store`, which serves one run.
    pub fn to(store: impl Store + 'static, format: Arc<dyn Format>) -> Self {
        Self {
            store: Some(Box::new(store)),
            format,
            rows_per_part: 1_000_000,
            bytes_per_part: 128 << 20,
            batch_rows: 8_192,
            batch_bytes: 1 << 20,
            overwrite: false,
            warnings: Vec::new(),
            state: State::Idle,
        }
    }

    /// Rows at which a part ends, at the next page end (default 1,000,000; at least 1).
    #[must_use]
    pub fn rows_per_part(mut self, rows: u64) -> Self {
        self.rows_per_part = rows.max(1);
        self
    }

    /// Encoded bytes at which a part ends, at a page end soon after (default 128 MiB; at least 1).
    #[must_use]
    pub fn bytes_per_part(mut self, bytes: u64) -> Self {
        self.bytes_per_part = bytes.max(1);
        self
    }

    /// The batches that encoders are given: at most `rows` rows (default 8,192) and about `bytes` bytes (default 1 MiB).
    #[must_use]
    pub fn batches(mut self, rows: usize, bytes: u64) -> Self {
        (self.batch_rows, self.batch_bytes) = (rows.max(1), bytes);
        self
    }

    /// Whether a run that is published already is made again, and each of its tables replaced in one step (default: no).
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// What the caller should know although nothing failed; filled by `open`.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The manifest of the run, but for its attempt, files and counts.
    fn manifest(&self, run: &Run, tables: &[TableSchema]) -> Result<Manifest> {
        let mut config = run.config.clone();
        let mut note = |name: &str, value: String| config.insert(format!("sink.{name}"), value);
        note("format", format!("{} {}", self.format.name(), self.format.describe()).trim_end().to_owned());
        note("rows_per_part", self.rows_per_part.to_string());
        note("bytes_per_part", self.bytes_per_part.to_string());
        note("batch_rows", self.batch_rows.to_string());
        note("batch_bytes", self.batch_bytes.to_string());
        Ok(Manifest {
            version: MANIFEST_VERSION,
            run: run.key(),
            attempt: String::new(),
            writer: WRITER.to_owned(),
            replaces: None,
            format: self.format.name().to_owned(),
            config,
            tables: tables.iter().map(TableEntry::new).collect::<Result<_>>()?,
            files: Vec::new(),
            pages: 0,
            rows: 0,
            bad: 0,
            input: match &run.pages {
                Pages::Saved(state) => Some(hex(&sha256(state.as_bytes()))),
                Pages::Current | Pages::Once(_) => None,
            },
            summary: Value::Null,
        })
    }

    fn staging(&mut self) -> Result<&mut Staging> {
        match &mut self.state {
            State::Staging(staging) => Ok(staging),
            State::Idle => Err(Error::internal("the sink is not open")),
            State::Published(_) => Err(Error::internal("the run is already published")),
        }
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn open(&mut self, run: &Run, tables: &[TableSchema]) -> Result<Option<Resume>> {
        if !matches!(self.state, State::Idle) {
            return Err(Error::internal("the sink is open already"));
        }
        self.warnings.clear();
        check_tables(run, tables)?;
        let manifest = self.manifest(run, tables)?;
        let mut specs: Vec<_> = tables
            .iter()
            .map(|t| Spec {
                table: t.name.clone(),
                schema: named(t),
                format: self.format.clone(),
                extension: self.format.extension().to_owned(),
                batch_rows: self.batch_rows,
                batch_bytes: self.batch_bytes,
            })
            .collect();
        for spec in &specs {
            // What the format cannot hold is refused before anything is made.
            spec.format.encoder(spec.schema.clone())?;
        }

        let store = self.store.take().ok_or_else(|| Error::internal("a sink serves one run"))?;
        let failure = Arc::new(Failure::default());
        let committer = Committer::spawn(store, failure.clone())?;
        let plan = Plan { run: run.clone(), draft: manifest.clone(), overwrite: self.overwrite };
        let kept = match committer.jobs()?.call(move |store| store.open(&plan)).await? {
            Opened::Published(published, receipt) => {
                self.warnings.extend(differences(&manifest, &published));
                for warning in &self.warnings {
                    tracing::warn!("{warning}");
                }
                self.state = State::Published(receipt);
                let (checkpoint, summary) = (published.checkpoint(), published.summary);
                return Ok(Some(Resume { checkpoint, seen: Vec::new(), summary }));
            }
            Opened::Fresh => None,
            Opened::Resumed(kept) => Some(kept),
        };
        if let Some(tag) = committer.jobs()?.call(|store| Ok(store.tag())).await? {
            specs.iter_mut().for_each(|spec| spec.extension = format!("{tag}.{}", spec.extension));
        }
        let mut staging = Staging {
            tables: Vec::new(),
            pool: None,
            committer,
            failure,
            manifest,
            specs,
            upto: None,
            met: Vec::new(),
            open_page: false,
        };
        let resume = staging.begin(kept)?;
        self.state = State::Staging(Box::new(staging));
        Ok(resume)
    }

    fn is_published(&self) -> bool {
        matches!(self.state, State::Published(_))
    }

    async fn write(&mut self, table: Table) -> Result<()> {
        let staging = self.staging()?;
        staging.failure.check()?;
        let Some(state) = staging.tables.iter_mut().find(|t| t.name == table.name) else {
            return Err(Error::internal(format!("the table {} was not announced", table.name)));
        };
        if table.rows.schema_ref().fields() != state.schema.fields() {
            return Err(Error::internal(format!("the columns of {} are not those announced", table.name)));
        }
        let rows = table.rows.num_rows();
        if rows == 0 {
            return Ok(());
        }
        staging.open_page = true;
        state.rows += rows as u64;
        state.unmeasured += batch_bytes(&table.rows, 0, rows);
        state.queue.write(table.rows, table.hold).await
    }

    async fn checkpoint(&mut self, upto: Checkpoint, summary: &Value) -> Result<()> {
        let (max_rows, max_bytes) = (self.rows_per_part, self.bytes_per_part);
        let staging = self.staging()?;
        staging.failure.check()?;
        staging.open_page = false;
        staging.upto = Some(upto.clone());
        if let Position::Next(cursor) = &upto.next {
            staging.met.push(cursor.id());
        }
        if staging.met.len() >= PAGES_PER_SEGMENT || staging.is_full(max_rows, max_bytes).await? {
            staging.end_parts(|t| t.rows > 0, upto, summary.clone()).await?;
        }
        Ok(())
    }

    async fn rewind(&mut self, to: Rewind) -> Result<Option<Resume>> {
        let staging = self.staging()?;
        staging.failure.check()?;
        for table in staging.tables.drain(..) {
            table.queue.stop().await;
        }
        let kept = staging.committer.jobs()?.call(move |store| store.rewind(to)).await?;
        staging.begin(kept)
    }

    /// Closes the last parts, writes the manifest, moves the folders.
    async fn commit(&mut self, summary: &Value) -> Result<Receipt> {
        if let State::Published(receipt) = &self.state {
            return Ok(receipt.clone());
        }
        let staging = self.staging()?;
        staging.failure.check()?;
        let upto = match &staging.upto {
            Some(upto) if upto.next == Position::End && !staging.open_page => upto.clone(),
            _ => return Err(Error::internal("a run is published only at the end of its walk")),
        };
        // A table without a single row is still a file.
        staging.end_parts(|t| t.rows > 0 || t.parts == 0, upto.clone(), summary.clone()).await?;
        let mut manifest = staging.manifest.clone();
        (manifest.pages, manifest.rows, manifest.bad) = (upto.pages, upto.rows, upto.bad);
        manifest.summary = summary.clone();
        let receipt = staging.committer.jobs()?.call(move |store| store.publish(manifest)).await?;
        for table in &staging.tables {
            table.queue.stop().await;
        }
        let again = Receipt { already_published: true, ..receipt.clone() };
        self.state = State::Published(again);
        Ok(receipt)
    }

    async fn suspend(&mut self) -> Result<()> {
        self.end("the run was suspended", |store| store.suspend()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.end("the run was aborted", |store| store.abort()).await
    }
}

impl FileSink {
    /// Has the threads drop what is queued, and then the store do the last thing.
    async fn end(&mut self, why: &str, last: fn(&mut dyn Store) -> Result<()>) -> Result<()> {
        let State::Staging(staging) = std::mem::replace(&mut self.state, State::Idle) else {
            return Ok(());
        };
        staging.failure.set(Error::internal(why));
        for table in &staging.tables {
            table.queue.stop().await;
        }
        staging.committer.jobs()?.always(last).await
    }
}

impl Staging {
    /// Starts the tables' encoders behind what is kept, and gives where to go on.
    fn begin(&mut self, kept: Option<Kept>) -> Result<Option<Resume>> {
        let (resume, parts) = kept.map_or((None, Vec::new()), |kept| (Some(kept.resume), kept.parts));
        let pool = match &self.pool {
            Some(pool) => pool,
            None => self.pool.insert(Pool::start()?),
        };
        for spec in &self.specs {
            let count = parts.iter().filter(|part| part.table == spec.table).count();
            let next = u32::try_from(count).map_err(|_| Error::internal("there are too many parts"))?;
            let (name, schema) = (spec.table.clone(), spec.schema.clone());
            let queue = TableQueue::start(
                spec.clone(),
                next,
                self.committer.jobs()?.clone(),
                self.failure.clone(),
                pool.workers(),
            );
            self.tables.push(TableState { name, schema, queue, rows: 0, unmeasured: 0, parts: next });
        }
        self.upto = resume.as_ref().map(|resume| resume.checkpoint.clone());
        self.met.clear();
        self.open_page = false;
        Ok(resume)
    }

    /// Whether a table's part has reached a limit. Asked at the end of a page.
    ///
    /// The answer must be the same whenever it is asked, so nothing enters it that depends on how far an encoder has come:
    /// rows are counted here, and bytes are asked for, behind all rows, when enough raw bytes have been taken for the
    /// answer to be of interest.
    async fn is_full(&mut self, max_rows: u64, max_bytes: u64) -> Result<bool> {
        if self.tables.iter().any(|t| t.rows >= max_rows) {
            return Ok(true);
        }
        let mut answers = Vec::new();
        for table in &mut self.tables {
            if table.unmeasured > 0 && table.unmeasured.saturating_mul(MEASURES) >= max_bytes {
                table.unmeasured = 0;
                answers.push((table.queue.measure().await?, &table.queue));
            }
        }
        let mut full = false;
        for (answer, queue) in answers {
            full |= queue.answer(answer).await? >= max_bytes;
        }
        Ok(full)
    }

    /// Ends the current parts of the tables that `which` picks, and with them the segment.
    async fn end_parts(&mut self, which: fn(&TableState) -> bool, upto: Checkpoint, summary: Value) -> Result<()> {
        let mut answers = Vec::new();
        for table in self.tables.iter_mut().filter(|t| which(t)) {
            table.rows = 0;
            table.unmeasured = 0;
            table.parts += 1;
            answers.push((table.queue.finish().await?, &table.queue));
        }
        for (answer, queue) in answers {
            queue.answer(answer).await?;
        }
        let segment = Segment { upto, met: std::mem::take(&mut self.met), summary };
        self.committer.jobs()?.call(move |store| store.end_segment(&segment)).await
    }
}

/// The table's columns, with what an encoder may want to say about the file.
fn named(table: &TableSchema) -> SchemaRef {
    let mut metadata = table.schema.metadata().clone();
    metadata.insert(TABLE_KEY.to_owned(), table.name.to_string());
    metadata.insert(VERSION_KEY.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    Arc::new(Schema::new_with_metadata(table.schema.fields().clone(), metadata))
}

fn check_tables(run: &Run, tables: &[TableSchema]) -> Result<()> {
    if tables.is_empty() {
        return Err(Error::config("there is no table to write"));
    }
    for (at, table) in tables.iter().enumerate() {
        // Folder names that differ only in case are one folder on some file systems.
        let same = |t: &TableSchema| t.name.as_str().eq_ignore_ascii_case(table.name.as_str());
        if tables.iter().take(at).any(same) {
            return Err(Error::config(format!("two tables are called {}", table.name)));
        }
        for partition in run.slot.iter().flat_map(|s| s.columns()) {
            if table.schema.fields().iter().any(|f| f.name().eq_ignore_ascii_case(partition)) {
                return Err(Error::config(format!(
                    "the slot's name {partition:?} is also a column of {}: readers would see two columns as one",
                    table.name
                ))
                .advise("choose another name for the slot, such as dt"));
            }
        }
    }
    Ok(())
}

/// What this run would have written otherwise than the one that is published.
fn differences(ours: &Manifest, published: &Manifest) -> Option<String> {
    let mut names: Vec<_> = ours
        .config
        .iter()
        .filter(|(name, value)| published.config.get(*name) != Some(*value))
        .map(|(name, _)| name.as_str())
        .chain(published.config.keys().filter(|name| !ours.config.contains_key(*name)).map(String::as_str))
        .collect();
    if ours.tables != published.tables {
        names.push("the tables' columns");
    }
    let other_pages = matches!((&ours.input, &published.input), (Some(ours), Some(theirs)) if ours != theirs);
    let what = match (names.is_empty(), other_pages) {
        (true, false) => return None,
        (true, true) => "from files that were other ones or have been written to since".to_owned(),
        (false, _) => format!("by a run with other options ({})", names.join(", ")),
    };
    Some(format!("{} is published already, {what}; it was left as it is (--overwrite makes it anew)", published.run))
}
