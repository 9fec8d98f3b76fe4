//! The one thread that touches the disk.
//!
//! Durable steps have an order, and a failing one must stop those after it. Both are easiest to see, and to test, when one
//! thread makes them all: jobs are done in the order they are sent, and after the first failure none is begun.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use pagemill_core::{Error, ErrorKind, Result};
use tokio::sync::{mpsc, oneshot};

use crate::store::Store;

type Boxed = Box<dyn Store>;

type Job = Box<dyn FnOnce(&mut dyn Store) + Send>;

/// Jobs that may wait. Each holds at most what an encoder hands out at once.
const QUEUE: usize = 4;

/// The first thing that went wrong in any thread of a sink; after it they do no more.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    failed: AtomicBool,
    first: Mutex<Option<Error>>,
}

impl Failure {
    pub(crate) fn set(&self, error: Error) {
        // Under the lock, so that nobody who sees the mark finds the error not yet there.
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.failed.swap(true, Ordering::SeqCst) {
            *first = Some(error);
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// The error, for whoever asks first.
    pub(crate) fn take(&self) -> Error {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.unwrap_or_else(|| Error::new(ErrorKind::Internal, "the sink stopped before"))
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.is_set() { Err(self.take()) } else { Ok(()) }
    }
}

/// Sends jobs to the thread.
#[derive(Clone)]
pub(crate) struct Jobs {
    queue: mpsc::Sender<Job>,
    failure: Arc<Failure>,
}

impl Jobs {
    /// Sends a job from a thread that may block. Its failure is found by whoever asks next.
    pub(crate) fn post(&self, job: impl FnOnce(&mut dyn Store) -> Result<()> + Send + 'static) {
        let failure = self.failure.clone();
        let job: Job = Box::new(move |store| {
            if !failure.is_set()
                && let Err(error) = job(store)
            {
                failure.set(error);
            }
        });
        if self.queue.blocking_send(job).is_err() {
            self.failure.set(Error::internal("the committer thread is gone"));
        }
    }

    /// Does a job after those sent before it; not if one of them failed, whose error is returned then.
    pub(crate) async fn call<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Store) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let failure = self.failure.clone();
        let result = self
            .send(move |store| match failure.is_set() {
                true => Err(None),
                false => job(store).map_err(Some),
            })
            .await;
        match result {
            Some(Ok(result)) => Ok(result),
            Some(Err(Some(error))) => {
                // Whatever comes later must not go on from here.
                self.failure.set(Error::internal("the sink failed before"));
                Err(error)
            }
            Some(Err(None)) | None => Err(self.failure.take()),
        }
    }

    /// Does a job whatever happened before.
    pub(crate) async fn always<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Store) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        self.send(job).await.unwrap_or_else(|| Err(Error::internal("the committer thread is gone")))
    }

    async fn send<R: Send + 'static>(&self, job: impl FnOnce(&mut dyn Store) -> R + Send + 'static) -> Option<R> {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move |store| drop(answer.send(job(store))));
        self.queue.send(job).await.ok()?;
        result.await.ok()
    }
}

/// The thread and the way to it. Dropping it waits for the job at hand and lets the lock go.
pub(crate) struct Committer {
    jobs: Option<Jobs>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    pub(crate) fn spawn(mut store: Boxed, failure: Arc<Failure>) -> Result<Self> {
        let (queue, mut jobs) = mpsc::channel::<Job>(QUEUE);
        let work = move || {
            while let Some(job) = jobs.blocking_recv() {
                job(&mut *store);
            }
        };
        let thread = std::thread::Builder::new()
            .name("pagemill-commit".to_owned())
            .spawn(work)
            .map_err(|e| Error::io("cannot start a thread").because(e))?;
        Ok(Self { jobs: Some(Jobs { queue, failure }), thread: Some(thread) })
    }

    pub(crate) fn jobs(&self) -> Result<&Jobs> {
        self.jobs.as_ref().ok_or_else(|| Error::internal("the committer thread is gone"))
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has shown itself as a lost answer.
            drop(thread.join());
        }
    }
}
