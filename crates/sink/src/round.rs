//! Work that is shared out: items, each done by whichever thread has nothing else to do.
//!
//! The thread whose round it is works, too, until nothing is left; so a round ends though all other threads are busy, and
//! rounds may be within each other. Whoever works on an item may add to the round: see [`More`].

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
};

use pagemill_core::{Error, Result};

use crate::workers::{Queue, Workers};

impl Workers {
    /// Does `work` for each item, by this thread and whichever others have nothing else to do. The results are in the
    /// items' order; then come those of what `work` has added by [`More::add`], in no certain order.
    ///
    /// # Errors
    /// [`Internal`](pagemill_core::ErrorKind::Internal) when `work` panics on another thread.
    pub fn each<T, R>(&self, items: Vec<T>, work: impl Fn(T, &More<T>) -> R + Send + Sync + 'static) -> Result<Vec<R>>
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        let Some(queue) = self.0.as_ref().filter(|_| !items.is_empty()) else {
            return Ok(items.into_iter().map(|item| work(item, &More::none())).collect());
        };
        let round = Arc::new(Round {
            state: Mutex::new(State {
                results: Vec::with_capacity(items.len()),
                left: items.len(),
                given: items.len(),
                helpers: 0,
                waits: false,
                items: items.into_iter().enumerate().collect(),
            }),
            done: Condvar::new(),
            work,
            queue: Arc::clone(queue),
        });
        let others = round.lock().items.len() - 1;
        Round::call_for_help(&round, others);
        let mut state = Round::work(&round);
        while state.left > 0 {
            state.waits = true;
            state = round.done.wait(state).unwrap_or_else(PoisonError::into_inner);
            // One that another thread has added since.
            if !state.items.is_empty() {
                drop(state);
                state = Round::work(&round);
            }
        }
        let mut results = std::mem::take(&mut state.results);
        results.sort_unstable_by_key(|(at, _)| *at);
        if results.len() < state.given {
            return Err(Error::internal("an encoder's thread ended early"));
        }
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }
}

/// The way to have others do a part of one's work: see [`Workers::each`].
///
/// It serves until the round of work that it was given for is over.
pub struct More<T>(Option<Weak<dyn Add<T>>>);

impl<T> More<T> {
    /// Nobody else is there.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Adds an item to those that are worked on.
    ///
    /// # Errors
    /// The item, which the caller is to do itself: as many as there are threads are waiting, or there is nobody else at all.
    pub fn add(&self, item: T) -> std::result::Result<(), T> {
        match self.0.as_ref().and_then(Weak::upgrade) {
            Some(round) => round.add(item),
            None => Err(item),
        }
    }
}

impl<T> Clone for More<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for More<T> {
    fn default() -> Self {
        Self::none()
    }
}

impl<T> std::fmt::Debug for More<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "More(some)" } else { "More(none)" })
    }
}

/// A round of work, whatever comes of it.
trait Add<T>: Send + Sync {
    fn add(self: Arc<Self>, item: T) -> std::result::Result<(), T>;

    /// Whether the one whose round it is waits, and how many helpers were called.
    #[cfg(test)]
    fn look(&self) -> (bool, usize);
}

/// Items that several threads work on.
struct Round<T, R, F> {
    state: Mutex<State<T, R>>,
    /// Told when the last item is done, and when one is added as the one whose round it is waits.
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
    /// Threads, besides the one whose round it is, that were called and have not left. One that panics is counted on.
    helpers: usize,
    /// Whether the one whose round it is has nothing to do, and has not been told of an item.
    waits: bool,
}

impl<T, R, F> Round<T, R, F>
where
    T: Send + 'static,
    R: Send + 'static,
    F: Fn(T, &More<T>) -> R + Send + Sync + 'static,
{
    /// Calls so many other threads, or as many as there are that have not been called.
    fn call_for_help(round: &Arc<Self>, items: usize) {
        let missing = {
            let mut state = round.lock();
            let missing = round.queue.threads.saturating_sub(1 + state.helpers).min(items);
            state.helpers += missing;
            missing
        };
        for _ in 0..missing {
            let helper = Arc::clone(round);
            round.queue.push(Box::new(move || Self::work(&helper).helpers -= 1));
        }
    }

    /// Works until no item waits.
    fn work(round: &Arc<Self>) -> MutexGuard<'_, State<T, R>> {
        let this: Arc<dyn Add<T>> = Arc::clone(round) as _;
        let more = More(Some(Arc::downgrade(&this)));
        drop(this);
        loop {
            let mut state = round.lock();
            let Some((at, item)) = state.items.pop_front() else { return state };
            drop(state);
            // Counted as done even when it panics: nobody may wait for it.
            let counted = Counted(round);
            let result = (round.work)(item, &more);
            round.lock().results.push((at, result));
            drop(counted);
        }
    }
}

impl<T, R, F> Add<T> for Round<T, R, F>
where
    T: Send + 'static,
    R: Send + 'static,
    F: Fn(T, &More<T>) -> R + Send + Sync + 'static,
{
    fn add(self: Arc<Self>, item: T) -> std::result::Result<(), T> {
        let mut state = self.lock();
        // Over, though a thread that was called may not know it yet.
        if state.left == 0 || state.items.len() >= self.queue.threads {
            return Err(item);
        }
        let at = state.given;
        state.items.push_back((at, item));
        state.given += 1;
        state.left += 1;
        // It takes one; of others that are added before it has woken, it must not be the only one to know.
        let waits = std::mem::take(&mut state.waits);
        drop(state);
        if waits {
            self.done.notify_all();
        } else {
            Self::call_for_help(&self, 1);
        }
        Ok(())
    }

    #[cfg(test)]
    fn look(&self) -> (bool, usize) {
        let state = self.lock();
        (state.waits, state.helpers)
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
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering},
        },
        time::{Duration, Instant},
    };

    use super::*;
    use crate::workers::Pool;

    #[test]
    fn results_are_in_order_with_and_without_threads() {
        let pools = [1, 2, 5].map(|threads| Pool::of(threads).expect("threads"));
        for workers in pools.iter().map(Pool::workers).chain([Workers::none()]) {
            for items in [0, 1, 2, 1_000usize] {
                let squares = workers.each((0..items).collect(), |n, _| n * n).expect("done");
                assert_eq!(squares, (0..items).map(|n| n * n).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn results_are_in_order_whatever_is_done_first() {
        let pool = Pool::of(2).expect("threads");
        let begun = AtomicUsize::new(0);
        let each = move |n: usize, _: &More<usize>| {
            begun.fetch_max(n, Ordering::SeqCst);
            // The last is begun when the second is done.
            assert!(n > 0 || becomes(|| begun.load(Ordering::SeqCst) == 2));
            n
        };
        assert_eq!(pool.workers().each(vec![0, 1, 2], each).expect("done"), [0, 1, 2]);
    }

    /// A way through a tree, of which each item has as many as it is, and each of these one less.
    fn tree(n: u64, more: &More<u64>) -> Vec<u64> {
        let mut done = vec![n];
        for below in (0..n.min(3)).map(|_| n.min(3) - 1) {
            if let Err(below) = more.add(below) {
                done.extend(tree(below, more));
            }
        }
        done
    }

    #[test]
    fn what_is_added_is_done_once_by_whoever() {
        let pools = [1, 2, 5].map(|threads| Pool::of(threads).expect("threads"));
        for workers in pools.iter().map(Pool::workers).chain([Workers::none()]) {
            for items in [0, 1, 7, 100u64] {
                let results = workers.each((0..items).collect(), tree).expect("done");
                let firsts = results.iter().take(items as usize).map(|done| done[0]);
                assert_eq!(firsts.collect::<Vec<_>>(), (0..items).collect::<Vec<_>>());
                let mut ours: Vec<_> = results.into_iter().flatten().collect();
                let mut alone: Vec<_> = (0..items).flat_map(|n| tree(n, &More::none())).collect();
                ours.sort_unstable();
                alone.sort_unstable();
                assert_eq!(ours, alone);
            }
        }
    }

    /// Whether it becomes so, in a time after which a test had better fail.
    fn becomes(so: impl Fn() -> bool) -> bool {
        let began = Instant::now();
        while !so() {
            if began.elapsed() > Duration::from_secs(10) {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }

    impl<T> More<T> {
        fn look(&self) -> (bool, usize) {
            self.0.as_ref().and_then(Weak::upgrade).map_or((false, 0), |round| round.look())
        }
    }

    fn is_helper() -> bool {
        std::thread::current().name() == Some("pagemill-encode")
    }

    #[test]
    fn others_help_with_what_is_added_before_the_item_is_done_and_are_called_again() {
        let pool = Pool::of(2).expect("threads");
        let begun = AtomicUsize::new(0);
        let each = move |n: usize, more: &More<usize>| {
            begun.store(n, Ordering::SeqCst);
            n > 0
                || [1, 2].into_iter().all(|n| {
                    more.add(n).expect("nothing waits");
                    becomes(|| begun.load(Ordering::SeqCst) == n) && becomes(|| more.look().1 == 0)
                })
        };
        assert_eq!(pool.workers().each(vec![0], each).expect("done"), [true; 3]);
    }

    /// Rounds of two items, of which a helper adds two more once the one whose round it is waits.
    fn added_while_its_owner_waits(add: impl Fn(&More<usize>, &AtomicUsize) -> bool + Send + Sync + 'static) {
        let pool = Pool::of(3).expect("threads");
        // A bit for each item, when it is begun.
        let begun = AtomicUsize::new(0);
        let each = move |n: usize, more: &More<usize>| {
            begun.fetch_or(1 << n, Ordering::SeqCst);
            match n {
                0 | 1 if is_helper() => becomes(|| more.look().0) && add(more, &begun),
                0 | 1 => becomes(|| begun.load(Ordering::SeqCst) & 3 == 3),
                // By others, each before the other is done.
                _ => becomes(|| begun.load(Ordering::SeqCst) == 15),
            }
        };
        assert_eq!(pool.workers().each(vec![0, 1], each).expect("done"), [true; 4]);
    }

    #[test]
    fn who_waits_takes_what_is_added_and_others_what_comes_then() {
        added_while_its_owner_waits(|more, begun| {
            more.add(2).expect("nothing waits");
            let taken = becomes(|| begun.load(Ordering::SeqCst) == 7);
            more.add(3).expect("nothing waits");
            taken && becomes(|| begun.load(Ordering::SeqCst) == 15)
        });
    }

    #[test]
    fn who_waits_is_not_alone_with_what_is_added_before_it_has_woken() {
        added_while_its_owner_waits(|more, begun| {
            more.add(2).and_then(|()| more.add(3)).expect("few wait");
            becomes(|| begun.load(Ordering::SeqCst) == 15)
        });
    }

    #[test]
    fn no_more_are_called_than_there_are() {
        let pool = Pool::of(2).expect("threads");
        let (busy, free) = (Arc::new(Barrier::new(3)), Arc::new(Barrier::new(3)));
        for _ in 0..2 {
            let (busy, free) = (Arc::clone(&busy), Arc::clone(&free));
            pool.workers().submit(move || {
                busy.wait();
                free.wait();
            });
        }
        busy.wait();
        let each = |n: u32, more: &More<u32>| n == 1 || more.add(1).is_ok();
        let done = pool.workers().each(vec![0, 0, 0], each).map(|done| done.len());
        let called = pool.queued();
        free.wait();
        assert!(done.expect("done") > 3);
        assert_eq!(called, 1);
    }

    #[test]
    fn a_panic_of_others_in_what_was_added_is_an_error() {
        let pool = Pool::of(2).expect("threads");
        let begun = AtomicUsize::new(0);
        let each = move |n: u32, more: &More<u32>| {
            if n == 1 {
                begun.store(1, Ordering::SeqCst);
                std::panic::resume_unwind(Box::new("on purpose"));
            }
            more.add(1).expect("nothing waits");
            becomes(|| begun.load(Ordering::SeqCst) == 1)
        };
        assert!(pool.workers().each(vec![0], each).is_err());
    }

    #[test]
    fn as_many_wait_as_there_are_threads_and_none_once_the_round_is_over() {
        let pool = Pool::of(2).expect("threads");
        let free = Arc::new(Barrier::new(3));
        for _ in 0..2 {
            let free = Arc::clone(&free);
            pool.workers().submit(move || {
                free.wait();
            });
        }
        let (kept, keep) = std::sync::mpsc::channel();
        let each = move |n: u32, more: &More<u32>| {
            if n == 0 {
                let taken = [1, 2, 3].map(|n| more.add(n));
                kept.send((taken, more.clone())).expect("a listener");
            }
        };
        let done = pool.workers().each(vec![0], each).map(|done| done.len());
        let (taken, more) = keep.recv().expect("sent");
        let late = more.add(7);
        free.wait();
        assert_eq!((taken, done.expect("done")), ([Ok(()), Ok(()), Err(3)], 3));
        assert_eq!(late, Err(7));
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
                let some = workers.each((0..20usize).collect(), |n, _| n).expect("done");
                sum.fetch_add(some.iter().sum(), Ordering::SeqCst);
            });
        }
        assert!(becomes(|| sum.load(Ordering::SeqCst) == 50 * 190));
    }

    #[test]
    fn a_panic_is_an_error_for_those_who_wait_and_the_threads_go_on() {
        let pool = Pool::start().expect("threads");
        pool.workers().submit(|| panic!("on purpose"));
        let workers = pool.workers();
        let result = catch_unwind(AssertUnwindSafe(|| {
            workers.each((0..100).collect(), |n: i32, _| assert!(n != 50, "on purpose"))
        }));
        assert!(!matches!(result, Ok(Ok(_))));
        assert_eq!(workers.each(vec![1, 2, 3], |n, _| n).expect("done"), [1, 2, 3]);
    }
}
