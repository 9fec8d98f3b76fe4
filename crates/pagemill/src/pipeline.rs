//! The pipeline: source, transform, sink, in that order.

use std::{collections::BTreeMap, future::Future, pin::pin, sync::Arc};

use futures::{TryStreamExt, future};
use pagemill_core::{
    BadRecord, Batch, Error, ErrorKind, Hold, PageEnd, Pages, Place, Position, Result, Resume, Rewind, Run, Sink, Slot,
    Source, Table, TableName, TableSchema, Transform, quarantine,
};

use crate::{
    budget::Budget,
    report::{Report, Totals},
};

/// Batches that are transformed at the same time, besides the one that the sink is taking.
const IN_FLIGHT: usize = 2;

/// Bytes of memory between the source and the files, where nobody says otherwise.
const MEMORY: usize = 64 << 20;

/// Times that a run goes back to its last checkpoint, one after another without getting any further.
const REWINDS: u32 = 3;

/// Records from a source, through a transform, to a sink: all of them, or none.
///
/// ```no_run
/// # async fn example(source: pagemill::HttpSource, members: pagemill::Resource) -> pagemill::Result<()> {
/// use std::sync::Arc;
///
/// use pagemill::{FileSink, Flatten, Parquet, Pipeline};
///
/// let sink = FileSink::new("out", Arc::new(Parquet::default()));
/// let report = Pipeline::new(source, Flatten::new(&members, None), sink).run().await?;
/// println!("{} records", report.totals.records);
/// # Ok(()) }
/// ```
pub struct Pipeline {
    source: Box<dyn Source>,
    transform: Arc<dyn Transform>,
    sink: Box<dyn Sink>,
    slot: Option<Slot>,
    config: BTreeMap<String, String>,
    pages: Pages,
    max_bad_records: u64,
    memory: usize,
}

impl Pipeline {
    /// A pipeline that takes no bad record.
    pub fn new(source: impl Source + 'static, transform: impl Transform + 'static, sink: impl Sink + 'static) -> Self {
        Self {
            source: Box::new(source),
            transform: Arc::new(transform),
            sink: Box::new(sink),
            slot: None,
            config: BTreeMap::new(),
            pages: Pages::default(),
            max_bad_records: 0,
            memory: MEMORY,
        }
    }

    /// The slot to fill; without one, the run is the whole of its tables.
    #[must_use]
    pub fn slot(mut self, slot: Option<Slot>) -> Self {
        self.slot = slot;
        self
    }

    /// Says what decides the bytes that are written: options by name, without secrets. The sink keeps it with the run.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.insert(name.into(), value.into());
        self
    }

    /// Tells the pages from those of another run of the same configuration, such as by [`FileSource::state`]: an unfinished
    /// run is gone on with only if this is the same.
    ///
    /// [`FileSource::state`]: crate::FileSource::state
    #[must_use]
    pub fn pages(mut self, pages: Pages) -> Self {
        self.pages = pages;
        self
    }

    /// Lets up to `n` bad records go to the table `<root>__quarantine`, which there is only if `n` is not 0.
    #[must_use]
    pub fn max_bad_records(mut self, n: u64) -> Self {
        self.max_bad_records = n;
        self
    }

    /// Bytes of memory that batches and tables may take from the source on until the sink has taken their rows in
    /// (default 64 MiB). A single batch that is larger passes all the same, when nothing else is on its way.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// Whatever the stages meet. Nothing has been published then, unless the error's kind is [`ErrorKind::Unknown`].
    pub async fn run(self) -> Result<Report> {
        self.run_until(future::pending()).await
    }

    /// Runs to the end, or until `stop` is ready: then it gives up, leaving nothing that readers see, and in the sink what a
    /// later run can go on from.
    ///
    /// # Errors
    /// As [`Pipeline::run`], and [`ErrorKind::Cancelled`].
    pub async fn run_until(mut self, stop: impl Future<Output = ()> + Send) -> Result<Report> {
        let tables = self.tables()?;
        let root = root(&tables)?;
        let run = Run {
            dataset: root.clone(),
            slot: self.slot.take(),
            config: std::mem::take(&mut self.config),
            pages: std::mem::take(&mut self.pages),
        };
        let mut from = self.sink.open(&run, &tables).await?;
        let published = self.sink.is_published();
        if let Some(kept) = from.as_ref().filter(|_| !published)
            && kept.checkpoint.bad > self.max_bad_records
        {
            // Whoever asked for less may ask for more again: what is staged stays.
            let error = kept_too_many(kept.checkpoint.bad, self.max_bad_records);
            return Err(self.suspend(error).await);
        }
        let resumed = from.as_ref().map_or(0, |from| from.checkpoint.pages);
        let mut totals;
        let mut tries = Tries::default();
        let mut stop = pin!(stop);
        loop {
            totals = from.as_ref().map_or_else(Totals::default, |from| Totals::from_json(&from.summary));
            if ended(from.as_ref()) {
                break;
            }
            let result = {
                let flow = pin!(self.flow(from.take(), &root, &mut totals));
                match future::select(flow, stop.as_mut()).await {
                    future::Either::Left((result, _)) => result,
                    future::Either::Right(_) => Err(Error::new(ErrorKind::Cancelled, "the run was told to stop")),
                }
            };
            let Err(error) = result else { break };
            from = match tries.after(&error, totals.pages) {
                None => return Err(self.give_up(error).await),
                Some(to) => {
                    tracing::warn!(%error, ?to, "going back");
                    match self.sink.rewind(to).await {
                        Ok(from) => from,
                        Err(second) => return Err(self.give_up(second).await),
                    }
                }
            };
        }
        let receipt = match self.sink.commit(&totals.to_json()).await {
            Ok(receipt) => receipt,
            // What may have been published is for the next run to find out.
            Err(error) if error.kind() == ErrorKind::Unknown => return Err(error),
            Err(error) => return Err(self.give_up(error).await),
        };
        let mut rows = BTreeMap::new();
        if !receipt.already_published {
            rows.extend(tables.iter().map(|t| (t.name.clone(), 0)));
            for file in &receipt.files {
                *rows.entry(TableName::new(&file.table)?).or_default() += file.rows;
            }
        }
        let restarted = tries.restarted;
        let resumed = if restarted || published { 0 } else { resumed };
        Ok(Report { receipt, rows, resumed, restarted, totals })
    }

    /// Ends the run, keeping what another one can go on from, and hands the reason on.
    ///
    /// Where the data are at fault, going on from there would only meet the same fault again, or build on a walk that is not to
    /// be trusted.
    async fn give_up(&mut self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Data | ErrorKind::Internal => {
                let ended = self.sink.abort().await;
                put_in_order(ended, error)
            }
            _ => self.suspend(error).await,
        }
    }

    /// Ends the run, keeping all that is staged.
    async fn suspend(&mut self, error: Error) -> Error {
        let ended = self.sink.suspend().await;
        put_in_order(ended, error)
    }

    /// The tables that will be written.
    fn tables(&self) -> Result<Vec<TableSchema>> {
        let mut tables = self.transform.tables(&self.source.schema())?;
        if self.max_bad_records > 0 {
            let quarantine = quarantine::schema(&root(&tables)?);
            if tables.iter().any(|t| t.name.as_str().eq_ignore_ascii_case(quarantine.name.as_str())) {
                return Err(Error::config(format!("the table name {} is taken", quarantine.name)));
            }
            tables.push(quarantine);
        }
        Ok(tables)
    }

    /// Moves every batch through the stages, in order.
    async fn flow(&mut self, from: Option<Resume>, root: &TableName, totals: &mut Totals) -> Result<()> {
        let transform = Arc::clone(&self.transform);
        let mut bad_so_far = from.as_ref().map_or(0, |from| from.checkpoint.bad);
        let mut last = None;
        let budget = Budget::new(self.memory);
        // Shares are given out in the order of the batches: one that came before never waits for one after it.
        let share = async |batch: Batch| budget.share(&batch.records).await.map(|hold| (batch, hold));
        let transformed = |(batch, hold)| transformed(Arc::clone(&transform), batch, hold);
        let mut batches = pin!(self.source.read(from).and_then(share).map_ok(transformed).try_buffered(IN_FLIGHT));
        while let Some((end, mut tables)) = batches.try_next().await? {
            if let Some(end) = &end {
                totals.add(&end.summary);
                bad_so_far += end.summary.bad.len() as u64;
                if bad_so_far > self.max_bad_records {
                    return Err(too_many(bad_so_far, self.max_bad_records, &end.summary.bad));
                }
                if !end.summary.bad.is_empty() {
                    tables.push(quarantine::table(root, &end.summary.bad)?);
                }
            }
            for table in tables {
                self.sink.write(table).await?;
            }
            if let Some(end) = end {
                last = Some(end.resume.next.clone());
                self.sink.checkpoint(end.resume, &totals.to_json()).await?;
            }
        }
        match last {
            Some(Position::End) => Ok(()),
            _ => Err(Error::internal("the source stopped before its end")),
        }
    }
}

/// Applies the transform on a thread of its own: it is work for a processor, and the reactor has other things to do.
///
/// The tables hold the batch's share of the budget; its records are let go.
async fn transformed(transform: Arc<dyn Transform>, batch: Batch, hold: Hold) -> Result<(Option<PageEnd>, Vec<Table>)> {
    let work = move || {
        let mut tables = transform.apply(&batch)?;
        tables.iter_mut().for_each(|table| table.hold = hold.clone());
        Ok((batch.end, tables))
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("the transform did not finish").because(e))?
}

/// The first table, after which the run is named.
fn root(tables: &[TableSchema]) -> Result<TableName> {
    let first = tables.first().ok_or_else(|| Error::config("the transform makes no tables"))?;
    Ok(first.name.clone())
}

fn ended(from: Option<&Resume>) -> bool {
    from.is_some_and(|from| from.checkpoint.is_end())
}

/// How often a run has gone back.
#[derive(Default)]
struct Tries {
    /// To a checkpoint, without getting any further since.
    rewinds: u32,
    /// Pages that were accepted in the walk that got furthest.
    furthest: u64,
    restarted: bool,
}

impl Tries {
    /// Whether to go back after an error that came after so many pages, and how far.
    fn after(&mut self, error: &Error, pages: u64) -> Option<Rewind> {
        if pages > self.furthest {
            (self.furthest, self.rewinds) = (pages, 0);
        }
        match error.remedy()? {
            Rewind::Checkpoint => {
                self.rewinds += 1;
                (self.rewinds <= REWINDS).then_some(Rewind::Checkpoint)
            }
            // A second time, it is not the cursor's age.
            Rewind::Start => (!std::mem::replace(&mut self.restarted, true)).then_some(Rewind::Start),
        }
    }
}

/// The reason why a run has ended, which comes before what went wrong as it ended.
fn put_in_order(ended: Result<()>, reason: Error) -> Error {
    if let Err(second) = ended {
        tracing::warn!("what was staged could not be put in order: {second}");
    }
    reason
}

fn kept_too_many(bad: u64, allowed: u64) -> Error {
    let message = format!(
        "the unfinished run that this one would go on from has set {bad} bad records aside, where {allowed} are allowed"
    );
    Error::config(message).advise(
        "allow as many, or remove the unfinished run with `pagemill gc --older-than 0 --yes`; it was left as it is",
    )
}

fn too_many(bad: u64, allowed: u64, latest: &[BadRecord]) -> Error {
    let place = latest.first().map_or_else(Place::default, |b| Place {
        input: None,
        page: Some(b.page),
        record: Some(b.record),
        byte: Some(b.error_offset),
        path: Some(b.path.clone()),
    });
    let reason = latest.first().map_or("", |b| b.reason.as_str());
    Error::data(format!("{bad} bad records where {allowed} are allowed: {reason}"))
        .at(place)
        .advise("allow more to have them set aside in the quarantine table")
}
