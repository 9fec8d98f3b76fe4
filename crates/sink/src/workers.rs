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
pub struct Workers(Option<Arc<Queue>>);

/// The threads. Dropping it waits until all work that was handed in is done.
pub(crate) struct Pool {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

struct Queue {
    /// Threads that were wanted to take from it; there may be fewer.
    threads: usize,
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
    fn of(wanted: usize) -> Result<Self> {
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

    fn push(&self, task: Task) {
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

    /// Does `work` for each item, by this thread and whichever others have nothing else to do. The results are in the
    /// items' order.
    ///
    /// # Errors
    /// [`Internal`](pagemill_core::ErrorKind::Internal) when `work` panics on another thread.
    pub fn each<T, R>(&self, items: Vec<T>, work: impl Fn(T) -> R + Send + Sync + 'static) -> Result<Vec<R>>
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        self.each_and_more(items, move |item, _| work(item))
    }

    /// As [`each`](Self::each), where `work` may add items that are to be worked on too. Their results come after those of
    /// the first, in no certain order.
    ///
    /// # Errors
    /// As [`each`](Self::each).
    pub fn each_and_more<T, R>(
        &self,
        items: Vec<T>,
        work: impl Fn(T, &mut Vec<T>) -> R + Send + Sync + 'static,
    ) -> Result<Vec<R>>
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        let Some(queue) = self.0.as_ref().filter(|_| !items.is_empty()) else {
            let (mut results, mut items) = (Vec::with_capacity(items.len()), items);
            while !items.is_empty() {
                let mut more = Vec::new();
                results.extend(items.into_iter().map(|item| work(item, &mut more)));
                items = more;
            }
            return Ok(results);
        };
        let round = Arc::new(Round {
            state: Mutex::new(State {
                results: Vec::with_capacity(items.len()),
                left: items.len(),
                given: items.len(),
                items: items.into_iter().enumerate().collect(),
            }),
            done: Condvar::new(),
            work,
            queue: Arc::clone(queue),
        });
        let others = round.lock().items.len() - 1;
        Round::call_for_help(&round, others);
        Round::help(&round);
        let mut state = round.lock();
        while state.left > 0 {
            state = round.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut results = std::mem::take(&mut state.results);
        results.sort_unstable_by_key(|(at, _)| *at);
        if results.len() < state.given {
            return Err(Error::internal("an encoder's thread ended early"));
        }
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Workers(some)" } else { "Workers(none)" })
    }
}

/// Items that several threads work on.
struct Round<T, R, F> {
    state: Mutex<State<T, R>>,
    done: Condvar,
    work: F,
    queue: Arc<Queue>,
}

struct State<T, R> {
    items: VecDeque<(usize, T)>,
    results: Vec<(usize, R)>,
    /// Items that are not done.
    left: usize,
    /// All items that there have been.
    given: usize,
}

impl<T, R, F> Round<T, R, F>
where
    T: Send + 'static,
    R: Send + 'static,
    F: Fn(T, &mut Vec<T>) -> R + Send + Sync + 'static,
{
    /// Has other threads help with so many items. One that comes late finds nothing to do.
    fn call_for_help(round: &Arc<Self>, items: usize) {
        for _ in 0..items.min(round.queue.threads.saturating_sub(1)) {
            let helper = Arc::clone(round);
            round.queue.push(Box::new(move || Self::help(&helper)));
        }
    }

    fn help(round: &Arc<Self>) {
        loop {
            let Some((at, item)) = round.lock().items.pop_front() else { return };
            // Counted as done even when it panics: nobody may wait for it.
            let counted = Counted(round);
            let mut more = Vec::new();
            let result = (round.work)(item, &mut more);
            let mut state = round.lock();
            state.results.push((at, result));
            let added = more.len();
            let from = state.given;
            state.items.extend(more.into_iter().enumerate().map(|(n, item)| (from + n, item)));
            state.given += added;
            state.left += added;
            drop(state);
            drop(counted);
            // One of them is for this thread.
            Self::call_for_help(round, added.saturating_sub(1));
        }
    }
}

impl<T, R, F> Round<T, R, F> {
    fn lock(&self) -> MutexGuard<'_, State<T, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Counted<'a, T, R, F>(&'a Round<T, R, F>);

impl<T, R, F> Drop for Counted<'_, T, R, F> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.left -= 1;
        if state.left == 0 {
            self.0.done.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_are_in_order_with_and_without_threads() {
        let pools = [1, 2, 5].map(|threads| Pool::of(threads).expect("threads"));
        for workers in pools.iter().map(Pool::workers).chain([Workers::none()]) {
            for items in [0, 1, 2, 1_000usize] {
                let squares = workers.each((0..items).collect(), |n| n * n).expect("done");
                assert_eq!(squares, (0..items).map(|n| n * n).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn what_comes_of_an_item_is_worked_on_too() {
        let pools = [1, 2, 5].map(|threads| Pool::of(threads).expect("threads"));
        for workers in pools.iter().map(Pool::workers).chain([Workers::none()]) {
            for items in [0, 1, 7, 100u64] {
                // Each item has as many as it is, of which each has one less.
                let each = |n: u64, more: &mut Vec<u64>| {
                    more.extend((0..n.min(3)).map(|_| n.min(3) - 1));
                    n
                };
                let results = workers.each_and_more((0..items).collect(), each).expect("done");
                assert_eq!(results[..items as usize], (0..items).collect::<Vec<_>>());
                let of = |n: u64| [0, 1, 4, 15][n.min(3) as usize];
                assert_eq!(results.len() as u64, items + (0..items).map(of).sum::<u64>());
            }
        }
    }

    #[test]
    fn others_help_with_what_comes_of_an_item() {
        let pool = Pool::of(2).expect("threads");
        // Two that wait for each other, which come of one: one thread alone would wait for ever.
        let meet = std::sync::Barrier::new(2);
        let each = move |n: u32, more: &mut Vec<u32>| {
            if n == 0 {
                more.extend([1, 2]);
            } else {
                meet.wait();
            }
        };
        assert_eq!(pool.workers().each_and_more(vec![0], each).expect("done").len(), 3);
    }

    #[test]
    fn rounds_within_tasks_end_though_all_threads_are_busy_with_them() {
        for threads in [1, 2, 5] {
            rounds_within_tasks(&Pool::of(threads).expect("threads"));
        }
    }

    fn rounds_within_tasks(pool: &Pool) {
        let sum = Arc::new(AtomicUsize::new(0));
        for _ in 0..50 {
            let (workers, sum) = (pool.workers(), Arc::clone(&sum));
            pool.workers().submit(move || {
                let some = workers.each((0..20usize).collect(), |n| n).expect("done");
                sum.fetch_add(some.iter().sum(), Ordering::SeqCst);
            });
        }
        while sum.load(Ordering::SeqCst) < 50 * 190 {
            std::thread::yield_now();
        }
    }

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

    #[test]
    fn a_panic_is_an_error_for_those_who_wait_and_the_threads_go_on() {
        let pool = Pool::start().expect("threads");
        pool.workers().submit(|| panic!("on purpose"));
        let workers = pool.workers();
        let result = catch_unwind(AssertUnwindSafe(|| {
            workers.each((0..100).collect(), |n: i32| assert!(n != 50, "on purpose"))
        }));
        assert!(!matches!(result, Ok(Ok(_))));
        assert_eq!(workers.each(vec![1, 2, 3], |n| n).expect("done"), [1, 2, 3]);
    }
}
