//! Memory that comes back.
//!
//! What a batch takes is as large as what the last one took, and given back by another thread, when the sink has copied
//! the rows. An allocator gives that back to the thread that it was taken from, in pieces that fit nothing any more, and
//! its heap grows; so the columns keep their memory themselves.

use std::{
    ops::RangeBounds,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

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
    /// The values of `list` as a buffer, whose memory comes back when nobody has it any more. `list` is empty then, with room for
    /// about as many as lists lately had.
    ///
    /// Batches are as large as may be, but for the last one of a page. So a list that is full goes away whole, and one that is not
    /// is copied, and stays.
    pub(crate) fn lend(&self, list: &mut Vec<T>) -> Buffer {
        let mut lists = lock(&self.0);
        let len = list.len();
        lists.lately = len.max(lists.lately - lists.lately / 8);
        let values = if len > lists.lately / 2 {
            let room = len + len / 8;
            let next = lists.take(len..).unwrap_or_else(|| Vec::with_capacity(room));
            std::mem::replace(list, next)
        } else {
            let mut values = lists.take(len..=2 * len).unwrap_or_else(|| Vec::with_capacity(len));
            values.extend_from_slice(list);
            list.clear();
            if list.capacity() / 2 > lists.lately {
                list.shrink_to(lists.lately);
            }
            values
        };
        drop(lists);
        Buffer::from(Bytes::from_owner(Lent { values, home: Arc::clone(&self.0) }))
    }
}

impl<T> Lists<T> {
    /// One that waits and has a capacity within `bounds`.
    fn take(&mut self, bounds: impl RangeBounds<usize>) -> Option<Vec<T>> {
        let found = self.waiting.iter().position(|list| bounds.contains(&list.capacity()))?;
        Some(self.waiting.swap_remove(found))
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

    fn list(len: u8, room: usize) -> Vec<u8> {
        let mut list = Vec::with_capacity(room);
        list.extend(0..len);
        list
    }

    #[test]
    fn memory_comes_back_once_nobody_has_it() {
        let (shelf, mut values) = (Shelf::<i64>::default(), vec![1, -2, 3]);
        let lent = shelf.lend(&mut values);
        assert_eq!(lent.typed_data::<i64>(), [1, -2, 3]);
        assert!(values.is_empty() && values.capacity() >= 3);
        let (place, another) = (lent.as_ptr(), lent.slice(8));
        drop(lent);
        assert!(lock(&shelf.0).waiting.is_empty());
        drop(another);
        values.extend([4, 5, 6]);
        let next = shelf.lend(&mut values);
        assert_eq!(next.typed_data::<i64>(), [4, 5, 6]);
        assert_eq!((values.as_ptr().cast(), values.len()), (place, 0));
    }

    #[test]
    fn a_list_that_is_mostly_empty_stays() {
        let (shelf, mut values) = (Shelf::default(), list(100, 100));
        drop(shelf.lend(&mut values));
        let (place, room) = (values.as_ptr(), values.capacity());
        values.extend(list(10, 10));
        let lent = shelf.lend(&mut values);
        assert_eq!(lent.as_slice(), list(10, 10));
        assert_eq!((values.as_ptr(), values.len(), values.capacity()), (place, 0, room));
    }

    #[test]
    fn what_was_unusually_large_goes() {
        let (shelf, mut values) = (Shelf::default(), list(200, 1_000));
        drop(shelf.lend(&mut values));
        for _ in 0..40 {
            values.extend(list(5, 5));
            drop(shelf.lend(&mut values));
        }
        assert!(values.capacity() < 50, "{}", values.capacity());
        assert!(lock(&shelf.0).waiting.iter().all(|list| list.capacity() < 500));
    }

    #[test]
    fn a_buffer_outlives_its_column() {
        let (shelf, mut values) = (Shelf::<i32>::default(), vec![7]);
        let lent = shelf.lend(&mut values);
        drop((shelf, values));
        assert_eq!(lent.typed_data::<i32>(), [7]);
    }
}
