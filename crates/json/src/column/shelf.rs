//! Memory that comes back.
//!
//! What a batch takes is as large as what the last one took, and given back by another thread, when the sink has copied
//! the rows. An allocator gives that back to the thread that it was taken from, in pieces that fit nothing any more, and
//! its heap grows; so the columns keep their memory themselves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::{
    buffer::Buffer,
    datatypes::{ArrowNativeType, ToByteSlice},
};
use bytes::Bytes;

/// Lists that wait to be used again. Many columns of a batch may be on their way at a time, each with one.
const MOST: usize = 64;

/// Lists of one column, of which one is in use and the others are on their way or wait.
#[derive(Debug)]
pub(crate) struct Shelf<T>(Arc<Mutex<Lists<T>>>);

#[derive(Debug)]
struct Lists<T> {
    waiting: Vec<Vec<T>>,
    /// The most values that a list lately had.
    lately: usize,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Lists { waiting: Vec::new(), lately: 0 })))
    }
}

impl<T: ArrowNativeType> Shelf<T> {
    /// An empty list with room for `room` values at least.
    pub(crate) fn take(&self, room: usize) -> Vec<T> {
        let mut list = lock(&self.0).waiting.pop().unwrap_or_default();
        list.reserve_exact(room);
        list
    }

    /// The values as a buffer, whose memory comes back when nobody has it any more.
    pub(crate) fn lend(&self, values: Vec<T>) -> Buffer {
        let mut lists = lock(&self.0);
        lists.lately = values.len().max(lists.lately - lists.lately / 8);
        drop(lists);
        Buffer::from(Bytes::from_owner(Lent { values, home: Arc::clone(&self.0) }))
    }
}

fn lock<T>(lists: &Mutex<Lists<T>>) -> MutexGuard<'_, Lists<T>> {
    lists.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Values on their way.
struct Lent<T> {
    values: Vec<T>,
    home: Arc<Mutex<Lists<T>>>,
}

impl<T: ArrowNativeType> AsRef<[u8]> for Lent<T> {
    fn as_ref(&self) -> &[u8] {
        self.values.as_slice().to_byte_slice()
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        let mut values = std::mem::take(&mut self.values);
        let mut lists = lock(&self.home);
        // What once held something unusually large is let go.
        if values.capacity() / 2 <= lists.lately && lists.waiting.len() < MOST {
            values.clear();
            lists.waiting.push(values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_once_nobody_has_it() {
        let shelf = Shelf::<i64>::default();
        let lent = shelf.lend(vec![1, -2, 3]);
        assert_eq!(lent.typed_data::<i64>(), [1, -2, 3]);
        let (place, another) = (lent.as_ptr(), lent.slice(8));
        drop(lent);
        assert!(lock(&shelf.0).waiting.is_empty());
        drop(another);
        let again = shelf.take(2);
        assert_eq!((again.as_ptr().cast(), again.len()), (place, 0));
    }

    #[test]
    fn what_is_much_too_large_does_not_come_back() {
        let shelf = Shelf::<u8>::default();
        let list = |len: usize| {
            let mut list = Vec::with_capacity(1_000);
            list.resize(len, 1);
            list
        };
        drop(shelf.lend(list(600)));
        drop(shelf.lend(list(1)));
        assert_eq!(lock(&shelf.0).waiting.len(), 2, "it is as large as others lately were");
        for _ in 0..20 {
            drop(shelf.lend(shelf.take(0)));
        }
        assert_eq!(shelf.take(0).capacity(), 0);
    }

    #[test]
    fn a_buffer_outlives_its_column() {
        let shelf = Shelf::<i32>::default();
        let lent = shelf.lend(vec![7]);
        drop(shelf);
        assert_eq!(lent.typed_data::<i32>(), [7]);
    }
}
