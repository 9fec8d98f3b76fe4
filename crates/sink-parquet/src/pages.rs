//! The pages of a column until their row group is written.
//!
//! A page is compressed into a buffer as large as the page was before, which is then cut to what was needed: the rest is a
//! hole in the memory, too small for the next such buffer. So pages are copied behind one another, and the buffers
//! come and go in one place.

use bytes::Bytes;
use parquet::{
    arrow::arrow_writer::{PageKey, PageStore, PageStoreArgs, PageStoreFactory},
    errors::{ParquetError, Result},
};

/// Bytes of the first block of a column, and of its largest, unless a page is larger.
const BLOCKS: (usize, usize) = (4 << 10, 256 << 10);

/// Makes a [`Pages`] for each column of each row group.
#[derive(Debug)]
pub(crate) struct PagesFactory;

impl PageStoreFactory for PagesFactory {
    fn create(&self, _: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>> {
        Ok(Box::<Pages>::default())
    }
}

/// Pages behind one another, in blocks.
#[derive(Default)]
struct Pages {
    /// Blocks that are full, until all in them was taken.
    blocks: Vec<Block>,
    last: Vec<u8>,
    /// In which block each is, and where there.
    places: Vec<(usize, std::ops::Range<usize>)>,
    size: usize,
}

#[derive(Default)]
struct Block {
    bytes: Bytes,
    left: usize,
}

impl Pages {
    fn end_block(&mut self) {
        let bytes = std::mem::take(&mut self.last);
        if !bytes.is_empty() {
            self.blocks.push(Block { left: bytes.len(), bytes: bytes.into() });
        }
    }
}

impl PageStore for Pages {
    fn put(&mut self, page: Bytes) -> Result<PageKey> {
        if self.last.capacity() - self.last.len() < page.len() {
            self.end_block();
            let (least, most) = BLOCKS;
            self.last.reserve_exact(page.len().max(self.size.clamp(least, most)));
        }
        let start = self.last.len();
        self.last.extend_from_slice(&page);
        self.places.push((self.blocks.len(), start..self.last.len()));
        self.size += page.len();
        Ok(PageKey::new(self.places.len() as u64 - 1))
    }

    fn take(&mut self, key: PageKey) -> Result<Bytes> {
        self.end_block();
        let place = usize::try_from(key.get()).ok().and_then(|key| self.places.get(key));
        let (at, range) = place.cloned().ok_or_else(|| ParquetError::General("no such page".into()))?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let block = self.blocks.get_mut(at).filter(|block| range.end <= block.bytes.len() && range.len() <= block.left);
        let block = block.ok_or_else(|| ParquetError::General("a page was taken twice".into()))?;
        let page = block.bytes.slice(range);
        block.left -= page.len();
        self.size -= page.len();
        if block.left == 0 {
            block.bytes = Bytes::new();
        }
        Ok(page)
    }

    fn memory_size(&self) -> usize {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_back_and_leave_nothing() {
        let mut pages = Pages::default();
        let all: Vec<Bytes> = (0..200usize).map(|n| vec![n as u8; n * n * 10 % 300_000].into()).collect();
        let keys: Vec<_> = all.iter().map(|page| pages.put(page.clone()).expect("memory")).collect();
        assert_eq!(pages.memory_size(), all.iter().map(Bytes::len).sum::<usize>());
        // The last first, as a dictionary is.
        for n in (150..200).chain(0..150) {
            assert_eq!(pages.take(keys[n]).expect("there"), all[n]);
        }
        assert_eq!(pages.memory_size(), 0);
        assert!(pages.blocks.iter().all(|block| block.bytes.is_empty()));
        assert!(pages.take(keys[1]).is_err());
        assert!(pages.take(PageKey::new(999)).is_err());
    }
}
