//! What is ready to be handed on, and what has to wait for the end of its page, within one budget of memory.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arrow::array::RecordBatch;
use futures::Stream;
use pagemill_core::{Batch, Checkpoint, Error, ErrorKind, PageEnd, PageSummary, Position, Result, memory_of};
use pagemill_json::Page;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::{JoinError, JoinHandle},
};

/// A permit is for so many bytes.
const UNIT: usize = 1 << 10;

enum Message {
    Batch(Batch, OwnedSemaphorePermit),
    Failed(Error),
    Done,
}

impl From<Gone> for Error {
    fn from(_: Gone) -> Self {
        Self::new(ErrorKind::Cancelled, "nobody reads any more")
    }
}

/// The writing end: batches on their way out of a source, of at most `budget` bytes together.
#[derive(Clone)]
pub(crate) struct Queue {
    out: mpsc::UnboundedSender<Message>,
    permits: Arc<Semaphore>,
    total: u32,
}

/// The reading end: a stream of batches. What keeps it filled lives in `keep` and goes when it goes.
pub(crate) struct Batches<K> {
    messages: mpsc::UnboundedReceiver<Message>,
    done: bool,
    _keep: K,
}

/// A task that ends when its owner goes.
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(crate) fn spawn(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    pub(crate) async fn join(mut self) -> Result<T, JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The reader went away; nobody is left to tell.
#[derive(Debug)]
pub(crate) struct Gone;

impl Queue {
    /// A queue for batches that take at most `budget` bytes of memory. `keep` is called with the writing end, and its result dropped with the stream.
    pub(crate) fn start<K>(budget: usize, keep: impl FnOnce(Self) -> K) -> Batches<K> {
        let total = u32::try_from((budget / UNIT).min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX).max(1);
        let (out, messages) = mpsc::unbounded_channel();
        let queue = Self { out, permits: Arc::new(Semaphore::new(total as usize)), total };
        Batches { messages, done: false, _keep: keep(queue) }
    }

    /// Ends the stream, with an error or in peace.
    pub(crate) fn close(self, result: Result<()>) {
        // A reader that went away wants no end either.
        let _ = self.out.send(result.map_or_else(Message::Failed, |()| Message::Done));
    }

    fn cost(&self, records: &RecordBatch) -> u32 {
        let units = memory_of(records).div_ceil(UNIT).max(1);
        u32::try_from(units).unwrap_or(u32::MAX).min(self.total)
    }

    async fn permit(&self, cost: u32) -> Result<OwnedSemaphorePermit, Gone> {
        Arc::clone(&self.permits).acquire_many_owned(cost).await.map_err(|_| Gone)
    }

    fn send(&self, batch: Batch, permit: OwnedSemaphorePermit) -> Result<(), Gone> {
        self.out.send(Message::Batch(batch, permit)).map_err(|_| Gone)
    }
}

impl<K: Unpin> Stream for Batches<K> {
    type Item = Result<Batch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.done {
            return Poll::Ready(None);
        }
        self.messages.poll_recv(cx).map(|message| match message {
            Some(Message::Batch(batch, _permit)) => Some(Ok(batch)),
            Some(Message::Done) => {
                self.done = true;
                None
            }
            Some(Message::Failed(error)) => {
                self.done = true;
                Some(Err(error))
            }
            None => {
                self.done = true;
                Some(Err(Error::internal("the source stopped without saying why")))
            }
        })
    }
}

/// The batches of one page. They are handed on when the page counts, or never; but a page larger than the budget
/// is handed on as it comes.
pub(crate) struct Transaction<'a> {
    queue: &'a Queue,
    held: Vec<(Batch, OwnedSemaphorePermit)>,
    used: u32,
    next_row: u64,
    streaming: bool,
}

impl<'a> Transaction<'a> {
    /// A page whose first record has the ordinal `first_row`.
    pub(crate) fn new(queue: &'a Queue, first_row: u64) -> Self {
        Self { queue, held: Vec::new(), used: 0, next_row: first_row, streaming: false }
    }

    /// True when a part of the page has been handed on already.
    pub(crate) fn is_streaming(&self) -> bool {
        self.streaming
    }

    /// Takes the next batch of the page; waits while the reader is behind and the budget used up.
    pub(crate) async fn push(&mut self, records: RecordBatch) -> Result<(), Gone> {
        if records.num_rows() == 0 {
            return Ok(());
        }
        let cost = self.queue.cost(&records);
        if !self.streaming && self.used.saturating_add(cost) > self.queue.total {
            self.streaming = true;
            self.release()?;
        }
        let permit = self.queue.permit(cost).await?;
        let batch = Batch { first_row: self.next_row, records, end: None };
        self.next_row += batch.records.num_rows() as u64;
        if self.streaming {
            self.queue.send(batch, permit)
        } else {
            self.used += cost;
            self.held.push((batch, permit));
            Ok(())
        }
    }

    /// Hands the whole page on: it counts. Gives the checkpoint after it, of which the next page is `next`.
    pub(crate) async fn count(
        mut self,
        at: &Checkpoint,
        page: Page,
        next: Position,
        retries: u32,
    ) -> Result<Checkpoint> {
        let mut bad = page.bad;
        bad.iter_mut().for_each(|bad| bad.page = at.pages);
        let resume =
            Checkpoint { pages: at.pages + 1, rows: at.rows + page.rows, bad: at.bad + bad.len() as u64, next };
        let summary = PageSummary {
            page: at.pages,
            records: page.records,
            bytes: page.bytes,
            bad,
            misfits: page.misfits,
            partial: page.partial,
            retries,
        };
        if self.next_row + page.rest.num_rows() as u64 != resume.rows {
            return Err(Error::internal("the decoder counted other rows than it gave"));
        }
        self.release()?;
        let permit = self.queue.permit(self.queue.cost(&page.rest)).await?;
        let end = PageEnd { resume: resume.clone(), summary };
        self.queue.send(Batch { first_row: self.next_row, records: page.rest, end: Some(end) }, permit)?;
        Ok(resume)
    }

    fn release(&mut self) -> Result<(), Gone> {
        self.held.drain(..).try_for_each(|(batch, permit)| self.queue.send(batch, permit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{
        array::{ArrayRef, Int64Array},
        datatypes::{DataType, Field, Schema},
    };
    use futures::{StreamExt, poll};
    use pagemill_json::Next;
    use std::pin::pin;

    /// A batch of about 8 KiB.
    fn batch() -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        RecordBatch::try_new(schema, vec![numbers]).expect("one column")
    }

    fn page(rows: u64, rest: RecordBatch) -> Page {
        Page {
            rest,
            framing: None,
            next: Next::End,
            result_count: None,
            partial: false,
            records: rows,
            rows,
            bad: Vec::new(),
            misfits: Default::default(),
            bytes: 0,
            members: Vec::new(),
        }
    }

    fn queue(budget: usize) -> (Queue, Batches<()>) {
        let mut writer = None;
        let reader = Queue::start(budget, |queue| writer = Some(queue));
        (writer.expect("called"), reader)
    }

    const START: Checkpoint = Checkpoint { pages: 0, rows: 0, bad: 0, next: Position::End };

    #[tokio::test]
    async fn a_page_that_does_not_count_is_never_seen_and_frees_its_place() {
        let (queue, mut reader) = queue(64 << 10);
        for _ in 0..50 {
            let mut page = Transaction::new(&queue, 0);
            page.push(batch()).await.expect("a reader");
            assert!(!page.is_streaming());
        }
        let mut good = Transaction::new(&queue, 0);
        good.push(batch()).await.expect("a reader");
        assert!(poll!(reader.next()).is_pending());
        let at = good.count(&START, page(2000, batch()), Position::End, 0).await.expect("a reader");
        assert_eq!(at.rows, 2000);
        queue.close(Ok(()));
        let batches: Vec<_> = reader.map(|batch| batch.expect("good")).collect().await;
        assert_eq!(
            batches.iter().map(|b| (b.first_row, b.end.is_some())).collect::<Vec<_>>(),
            [(0, false), (1000, true)]
        );
    }

    #[tokio::test]
    async fn what_waits_for_a_reader_stays_within_the_budget() {
        let (queue, mut reader) = queue(64 << 10);
        let mut pages = 0;
        loop {
            let mut counted = pin!(Transaction::new(&queue, 0).count(&START, page(1000, batch()), Position::End, 0));
            if poll!(counted.as_mut()).is_pending() {
                // One batch taken makes room for one.
                reader.next().await.expect("a batch").expect("good");
                counted.await.expect("a reader");
                break;
            }
            pages += 1;
        }
        assert!((5..=8).contains(&pages), "{pages} batches of 8 KiB in 64 KiB");
    }

    #[tokio::test]
    async fn a_page_larger_than_the_budget_streams_and_waits_for_its_reader() {
        let (queue, mut reader) = queue(20 << 10);
        let mut large = Transaction::new(&queue, 5);
        large.push(batch()).await.expect("a reader");
        large.push(batch()).await.expect("a reader");
        {
            let mut third = pin!(large.push(batch()));
            assert!(poll!(third.as_mut()).is_pending());
            assert_eq!(reader.next().await.expect("a batch").expect("good").first_row, 5);
            third.await.expect("a reader");
        }
        assert!(large.is_streaming());
        assert_eq!(reader.next().await.expect("a batch").expect("good").first_row, 1005);
    }

    #[tokio::test]
    async fn a_writer_that_vanishes_is_an_error_and_a_reader_that_does_ends_the_writing() {
        let (writer, mut reader) = queue(64 << 10);
        drop(writer);
        assert_eq!(reader.next().await.expect("a word").expect_err("no end").kind(), ErrorKind::Internal);
        assert!(reader.next().await.is_none());
        let (writer, reader) = queue(64 << 10);
        drop(reader);
        let counted = Transaction::new(&writer, 0).count(&START, page(1000, batch()), Position::End, 0).await;
        assert_eq!(counted.expect_err("nobody reads").kind(), ErrorKind::Cancelled);
    }
}
