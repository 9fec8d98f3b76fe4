//! The threads that encode.
//!
//! There are as many as there are processors, whatever the number of tables: each thread keeps memory of its own for
//! what it allocates, and that of a few is used again and again. A thread takes the next piece of work that is ready, so
//! one large table does not wait for itself: its columns are pieces of work, too.

use std::{
    collections::VecDeque,
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use pagemill_core::{Error, Result};

type Task = Box<dyn FnOnce() + Send>;

/// The way to threads that take work.
///
/// Who has no threads to give it to does it alone: [`Workers::none`].
#[derive(Clone)]
pub struct Workers(pub(crate) Option<Arc<Queue>>);

/// The threads. Dropping it waits until all work that was handed in is done.
pub(crate) struct Pool {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

pub(crate) struct Queue {
    /// Threads that were wanted to take from it; there may be fewer.
    pub(crate) threads: usize,
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Default)]
struct Waiting {
    tasks: VecDeque<Task>,
    /// Threads that wait for a task.
    idle: usize,
    closed: bool,
}

impl Pool {
    /// A thread for each processor.
    pub(crate) fn start() -> Result<Self> {
        Self::of(std::thread::available_parallelism().map_or(1, NonZero::get))
    }

    /// So many threads, or fewer; at least one.
    pub(crate) fn of(wanted: usize) -> Result<Self> {
        let queue = Queue { threads: wanted, waiting: Mutex::default(), more: Condvar::new() };
        let mut pool = Self { queue: Arc::new(queue), threads: Vec::new() };
        for _ in 0..wanted {
            let queue = Arc::clone(&pool.queue);
            let thread = std::thread::Builder::new().name("pagemill-encode".to_owned()).spawn(move || {
                while let Some(task) = queue.next() {
                    // Whoever waits for a piece of work finds out that it was not done.
                    drop(catch_unwind(AssertUnwindSafe(task)));
                }
            });
            match thread {
                Ok(thread) => pool.threads.push(thread),
                Err(error) if pool.threads.is_empty() => {
                    return Err(Error::io("cannot start a thread").because(error));
                }
                // Fewer will do.
                Err(_) => break,
            }
        }
        Ok(pool)
    }

    /// Tasks that wait for a thread.
    #[cfg(test)]
    pub(crate) fn queued(&self) -> usize {
        self.queue.lock().tasks.len()
    }

    /// The way to them.
    pub(crate) fn workers(&self) -> Workers {
        Workers(Some(Arc::clone(&self.queue)))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.more.notify_all();
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a task in, for the first thread that has nothing else to do.
    pub(crate) fn push(&self, task: Task) {
        let mut waiting = self.lock();
        waiting.tasks.push_back(task);
        // To wake nobody is a call of the system, too.
        let someone = waiting.idle > 0;
        drop(waiting);
        if someone {
            self.more.notify_one();
        }
    }

    /// The next task; waits for it. `None` when there will be none.
    fn next(&self) -> Option<Task> {
        let mut waiting = self.lock();
        loop {
            if let Some(task) = waiting.tasks.pop_front() {
                return Some(task);
            }
            if waiting.closed {
                return None;
            }
            waiting.idle += 1;
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.idle -= 1;
        }
    }
}

impl Workers {
    /// No threads but the caller's own.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Hands a task in. It is done at some time, by one of the threads.
    pub(crate) fn submit(&self, task: impl FnOnce() + Send + 'static) {
        match &self.0 {
            Some(queue) => queue.push(Box::new(task)),
            None => task(),
        }
    }
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Workers(some)" } else { "Workers(none)" })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn dropping_the_pool_waits_for_the_work() {
        let (pool, done) = (Pool::of(2).expect("threads"), Arc::new(AtomicUsize::new(0)));
        for _ in 0..1_000 {
            let done = Arc::clone(&done);
            pool.workers().submit(move || {
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        drop(pool);
        assert_eq!(done.load(Ordering::SeqCst), 1_000);
    }
}
