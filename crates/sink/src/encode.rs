//! One thread a table: recut, encode, hash.
//!
//! Encoding is work for a processor, so it stays off the threads that serve the network. A table's rows are encoded in their
//! order by one thread; tables run beside each other, and the system spreads them over its processors. What a
//! thread does depends on the commands it is sent and not on when it does it.

use std::{sync::Arc, thread::JoinHandle};

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
};

/// Batches that may wait for a table's encoder.
const QUEUE: usize = 2;

enum Command {
    /// Rows, and the memory that they were given.
    Write(RecordBatch, Hold),
    /// How many bytes the current part has: encoded, held by the encoder, or waiting to be encoded.
    Measure(oneshot::Sender<u64>),
    /// Ends the current part, or makes one without rows.
    Finish(oneshot::Sender<()>),
}

/// How a table is written.
pub(crate) struct Spec {
    pub(crate) table: TableName,
    pub(crate) schema: SchemaRef,
    pub(crate) format: Arc<dyn Format>,
    pub(crate) batch_rows: usize,
    pub(crate) batch_bytes: u64,
}

/// The way to a table's thread.
pub(crate) struct TableThread {
    queue: Option<mpsc::Sender<Command>>,
    ended: Option<oneshot::Receiver<()>>,
    thread: Option<JoinHandle<()>>,
    failure: Arc<Failure>,
}

impl TableThread {
    pub(crate) fn spawn(spec: Spec, jobs: Jobs, failure: Arc<Failure>) -> Result<Self> {
        let (queue, mut commands) = mpsc::channel(QUEUE);
        let (alive, ended) = oneshot::channel::<()>();
        let recut = Recut::new(spec.schema.clone(), spec.batch_rows, spec.batch_bytes);
        let name = format!("pagemill-{}", spec.table);
        let mut writer = Writer { spec, jobs, recut, part: None, next: 0 };
        let seen = failure.clone();
        let work = move || {
            let _alive = alive;
            while let Some(command) = commands.blocking_recv() {
                if seen.is_set() {
                    continue;
                }
                if let Err(error) = writer.obey(command) {
                    seen.set(error);
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(work)
            .map_err(|e| Error::io("cannot start a thread").because(e))?;
        Ok(Self { queue: Some(queue), ended: Some(ended), thread: Some(thread), failure })
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

    /// Ends the thread and waits for it.
    pub(crate) async fn stop(&mut self) {
        self.queue = None;
        if let Some(ended) = self.ended.take() {
            drop(ended.await);
        }
    }

    async fn send(&self, command: Command) -> Result<()> {
        self.failure.check()?;
        let Some(queue) = &self.queue else { return Err(self.lost()) };
        queue.send(command).await.map_err(|_| self.lost())
    }

    /// Why a command was not carried out.
    fn lost(&self) -> Error {
        if !self.failure.is_set() {
            self.failure.set(Error::internal("an encoder's thread ended early"));
        }
        self.failure.take()
    }
}

impl Drop for TableThread {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has shown itself as a lost answer.
            drop(thread.join());
        }
    }
}

struct Writer {
    spec: Spec,
    jobs: Jobs,
    recut: Recut,
    part: Option<OpenPart>,
    next: u32,
}

struct OpenPart {
    name: String,
    encoder: Box<dyn Encoder>,
    hash: Sha256,
    rows: u64,
    bytes: u64,
}

impl Writer {
    fn obey(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Write(rows, hold) => {
                let result = self.write(&rows);
                // By now they were copied.
                drop((rows, hold));
                result
            }
            Command::Measure(answer) => {
                let _ = answer.send(self.size());
                Ok(())
            }
            Command::Finish(answer) => {
                self.finish()?;
                let _ = answer.send(());
                Ok(())
            }
        }
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
        for piece in encoder.finish()? {
            hash.update(&piece);
            bytes += piece.len() as u64;
            append(&spec.table, &name, piece, jobs);
        }
        let part = Part { table: spec.table.clone(), name, rows, bytes, sha256: hex(&hash.finalize()) };
        jobs.post(move |store| store.close_part(&part));
        Ok(())
    }

    /// The current part, or the next.
    fn take_part(&mut self) -> Result<OpenPart> {
        if let Some(part) = self.part.take() {
            return Ok(part);
        }
        let name = part_name(self.next, self.spec.format.extension());
        self.next += 1;
        let encoder = self.spec.format.encoder(self.spec.schema.clone())?;
        let (table, file) = (self.spec.table.clone(), name.clone());
        self.jobs.post(move |store| store.create_part(&table, &file));
        Ok(OpenPart { name, encoder, hash: Sha256::new(), rows: 0, bytes: 0 })
    }
}

impl OpenPart {
    fn encode(&mut self, batch: &RecordBatch, spec: &Spec, jobs: &Jobs) -> Result<()> {
        self.encoder.write(batch)?;
        self.rows += batch.num_rows() as u64;
        for piece in self.encoder.take() {
            self.hash.update(&piece);
            self.bytes += piece.len() as u64;
            append(&spec.table, &self.name, piece, jobs);
        }
        Ok(())
    }
}

fn append(table: &TableName, name: &str, bytes: Bytes, jobs: &Jobs) {
    let (table, name) = (table.clone(), name.to_owned());
    jobs.post(move |store| store.append_part(&table, &name, &bytes));
}
