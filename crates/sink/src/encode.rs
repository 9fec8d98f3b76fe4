//! A table's encoder: recut, encode, hash.
//!
//! Encoding is work for a processor, so it stays off the threads that serve the network. A table's rows are encoded in their
//! order, by one of the [`Workers`] at a time; tables run beside each other. What is written depends on the commands
//! that a table is sent and not on when, or by which thread, they are carried out.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use bytes::Bytes;
use pagemill_core::{Error, Hold, Result, TableName};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Encoder, Format, Recut,
    committer::{Failure, Jobs},
    layout::part_name,
    manifest::hex,
    store::Part,
    workers::Workers,
};

/// Batches that may wait for a table's encoder.
const QUEUE: usize = 2;
/// Bytes that are handed to the committer at a time, but for a piece that is larger. An encoder waits while a few such loads wait.
const LOAD: usize = 512 << 10;

enum Command {
    /// Rows, and the memory that they were given.
    Write(RecordBatch, Hold),
    /// How many bytes the current part has: encoded, held by the encoder, or waiting to be encoded.
    Measure(oneshot::Sender<u64>),
    /// Ends the current part, or makes one without rows.
    Finish(oneshot::Sender<()>),
    /// Ends it all; what was not finished is lost.
    End(oneshot::Sender<()>),
}

impl Command {
    /// Answers, if somebody waits. Rows were copied by now, and their memory is free.
    fn done(self, size: u64) {
        match self {
            Self::Write(rows, hold) => drop((rows, hold)),
            Self::Measure(answer) => drop(answer.send(size)),
            Self::Finish(answer) | Self::End(answer) => drop(answer.send(())),
        }
    }
}

/// How a table is written.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) table: TableName,
    pub(crate) schema: SchemaRef,
    pub(crate) format: Arc<dyn Format>,
    /// What its files' names end in.
    pub(crate) extension: String,
    pub(crate) batch_rows: usize,
    pub(crate) batch_bytes: u64,
}

/// The way to a table's encoder.
pub(crate) struct TableQueue {
    queue: mpsc::Sender<Command>,
    table: Arc<Table>,
    workers: Workers,
    failure: Arc<Failure>,
}

/// A table at work: one thread at a time carries out its commands, in their order.
struct Table {
    /// True when a thread is at it, or will be: it looks for more commands before it leaves.
    awake: AtomicBool,
    work: Mutex<Work>,
    failure: Arc<Failure>,
}

struct Work {
    commands: mpsc::Receiver<Command>,
    /// Until the end.
    writer: Option<Writer>,
}

impl TableQueue {
    /// `next` is the number of the table's next part.
    pub(crate) fn start(spec: Spec, next: u32, jobs: Jobs, failure: Arc<Failure>, workers: Workers) -> Self {
        let (queue, commands) = mpsc::channel(QUEUE);
        let recut = Recut::new(spec.schema.clone(), spec.batch_rows, spec.batch_bytes);
        let writer = Writer { spec, jobs, recut, part: None, next, workers: workers.clone() };
        let work = Mutex::new(Work { commands, writer: Some(writer) });
        let table = Arc::new(Table { awake: AtomicBool::new(false), work, failure: failure.clone() });
        Self { queue, table, workers, failure }
    }

    /// Hands rows over; waits while too many are waiting.
    pub(crate) async fn write(&self, rows: RecordBatch, hold: Hold) -> Result<()> {
        self.send(Command::Write(rows, hold)).await
    }

    /// Asks for the size of the current part, all rows handed over before it counted.
    pub(crate) async fn measure(&self) -> Result<oneshot::Receiver<u64>> {
        let (answer, size) = oneshot::channel();
        self.send(Command::Measure(answer)).await?;
        Ok(size)
    }

    /// Asks for the end of the current part.
    pub(crate) async fn finish(&self) -> Result<oneshot::Receiver<()>> {
        let (answer, done) = oneshot::channel();
        self.send(Command::Finish(answer)).await?;
        Ok(done)
    }

    /// Waits for an answer, or for the failure that keeps it from coming.
    pub(crate) async fn answer<T>(&self, answer: oneshot::Receiver<T>) -> Result<T> {
        answer.await.map_err(|_| self.lost())
    }

    /// Waits until all commands are carried out, or dropped after a failure, and the encoder is gone.
    pub(crate) async fn stop(&self) {
        let (answer, ended) = oneshot::channel();
        if self.queue.send(Command::End(answer)).await.is_ok() {
            Table::wake(&self.table, &self.workers);
            drop(ended.await);
        }
    }

    async fn send(&self, command: Command) -> Result<()> {
        self.failure.check()?;
        self.queue.send(command).await.map_err(|_| self.lost())?;
        Table::wake(&self.table, &self.workers);
        Ok(())
    }

    /// Why a command was not carried out.
    fn lost(&self) -> Error {
        if !self.failure.is_set() {
            self.failure.set(Error::internal("an encoder ended early"));
        }
        self.failure.take()
    }
}

impl Table {
    /// Has the commands carried out by some thread.
    fn wake(table: &Arc<Self>, workers: &Workers) {
        if !table.awake.swap(true, Ordering::SeqCst) {
            Self::hand_in(table, workers);
        }
    }

    fn hand_in(table: &Arc<Self>, workers: &Workers) {
        let (table, on) = (Arc::clone(table), workers.clone());
        workers.submit(move || Self::turn(&table, &on));
    }

    /// One command, after which it is the other tables' turn.
    fn turn(table: &Arc<Self>, workers: &Workers) {
        let mut work = table.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(command) = work.commands.try_recv() else {
            drop(work);
            table.awake.store(false, Ordering::SeqCst);
            // A command may have come since, whose sender saw it awake.
            let more = !table.work.lock().unwrap_or_else(PoisonError::into_inner).commands.is_empty();
            if more {
                Self::wake(table, workers);
            }
            return;
        };
        // Whatever becomes of this command, the next is looked for.
        let _next = Next(table, workers);
        match command {
            Command::End(_) => {
                work.writer = None;
                drop(work);
                command.done(0);
            }
            // After a failure, commands are dropped, and with them the answers.
            command if !table.failure.is_set() => {
                // A writer that panics is gone.
                let Some(mut writer) = work.writer.take() else { return };
                match writer.obey(&command) {
                    Ok(size) => {
                        work.writer = Some(writer);
                        command.done(size);
                    }
                    // Before the command goes, and with it the answer: who waits for it looks for the reason then.
                    Err(error) => table.failure.set(error),
                }
            }
            _ => work.writer = None,
        }
    }
}

/// Hands the table in again when it is dropped.
struct Next<'a>(&'a Arc<Table>, &'a Workers);

impl Drop for Next<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failure.set(Error::internal("an encoder panicked"));
        }
        Table::hand_in(self.0, self.1);
    }
}

struct Writer {
    spec: Spec,
    jobs: Jobs,
    recut: Recut,
    part: Option<OpenPart>,
    next: u32,
    workers: Workers,
}

struct OpenPart {
    name: String,
    encoder: Box<dyn Encoder>,
    hash: Sha256,
    rows: u64,
    bytes: u64,
}

impl Writer {
    /// Does what is to be done; says the size of the part, where it is asked for.
    fn obey(&mut self, command: &Command) -> Result<u64> {
        match command {
            Command::Write(rows, _) => self.write(rows)?,
            Command::Measure(_) => return Ok(self.size()),
            Command::Finish(_) => self.finish()?,
            Command::End(_) => {}
        }
        Ok(0)
    }

    fn size(&self) -> u64 {
        let part = self.part.as_ref().map_or(0, |p| p.bytes + p.encoder.buffered() as u64);
        part + self.recut.pending_bytes()
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let mut part = self.take_part()?;
        let Self { recut, spec, jobs, .. } = self;
        let result = recut.push(rows, &mut |batch| part.encode(&batch, spec, jobs));
        self.part = Some(part);
        result
    }

    fn finish(&mut self) -> Result<()> {
        let mut part = self.take_part()?;
        let Self { recut, spec, jobs, .. } = self;
        recut.flush(&mut |batch| part.encode(&batch, spec, jobs))?;
        let OpenPart { name, encoder, mut hash, rows, mut bytes } = part;
        let pieces = encoder.finish()?;
        bytes += append(&spec.table, &name, pieces, &mut hash, jobs);
        let part = Part { table: spec.table.clone(), name, rows, bytes, sha256: hex(&hash.finalize()) };
        jobs.post(move |store| store.close_part(&part));
        Ok(())
    }

    /// The current part, or the next.
    fn take_part(&mut self) -> Result<OpenPart> {
        if let Some(part) = self.part.take() {
            return Ok(part);
        }
        let name = part_name(self.next, &self.spec.extension);
        self.next += 1;
        let mut encoder = self.spec.format.encoder(self.spec.schema.clone())?;
        encoder.help(&self.workers);
        let (table, file) = (self.spec.table.clone(), name.clone());
        self.jobs.post(move |store| store.create_part(&table, &file));
        Ok(OpenPart { name, encoder, hash: Sha256::new(), rows: 0, bytes: 0 })
    }
}

impl OpenPart {
    fn encode(&mut self, batch: &RecordBatch, spec: &Spec, jobs: &Jobs) -> Result<()> {
        self.encoder.write(batch)?;
        self.rows += batch.num_rows() as u64;
        let pieces = self.encoder.take();
        self.bytes += append(&spec.table, &self.name, pieces, &mut self.hash, jobs);
        Ok(())
    }
}

/// Hashes the pieces of a part and has them written; says how many bytes they are.
fn append(table: &TableName, name: &str, pieces: Vec<Bytes>, hash: &mut Sha256, jobs: &Jobs) -> u64 {
    let mut all = 0;
    let mut pieces = pieces.into_iter().peekable();
    while pieces.peek().is_some() {
        let (mut load, mut bytes) = (Vec::new(), 0);
        while bytes < LOAD
            && let Some(piece) = pieces.next()
        {
            hash.update(&piece);
            bytes += piece.len();
            load.push(piece);
        }
        all += bytes as u64;
        let (table, name) = (table.clone(), name.to_owned());
        jobs.post(move |store| load.iter().try_for_each(|piece| store.append_part(&table, &name, piece)));
    }
    all
}
