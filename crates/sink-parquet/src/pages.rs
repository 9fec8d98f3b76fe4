//! The pages of a column until their row group is written.
//!
//! Left to itself, Parquet's writer compresses a page when it is full, by the thread that has the column and with memory
//! of the column's own. Where one column has most of a table's bytes, the others wait for that thread; and compressors for
//! some ninety columns take 13 MiB more than one for each thread. So the writer is told not to compress. It puts its
//! pages here as they are, and each is handed to other threads; but when as many wait as there are threads, the one that has
//! the column compresses the next itself, while the page is in its cache.
//!
//! The writer's word on its pages is about other bytes than those that go into the file. [`Chunk`] corrects it: the sizes in
//! the pages' headers and in the column's metadata, and where each page is. The file is, byte for byte, the one that the
//! writer would have made with a compressor; a test of the encoder compares the two.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Buf, Bytes};
use pagemill_sink::More;
use parquet::{
    arrow::arrow_writer::{ArrowColumnWriter, PageKey, PageStore, PageStoreArgs, PageStoreFactory},
    basic::Compression,
    column::writer::ColumnCloseResult,
    errors::{ParquetError, Result},
    file::{
        reader::{ChunkReader, Length},
        writer::SerializedRowGroupWriter,
    },
};

use crate::{encoder::Step, header, zstd};

/// Makes the stores of a row group's columns, and knows them.
#[derive(Debug)]
pub(crate) struct PagesFactory {
    level: Option<i32>,
    made: Mutex<Vec<(usize, Pages)>>,
}

impl PagesFactory {
    /// Pages are compressed to a `level`, if there is one.
    pub(crate) fn new(level: Option<i32>) -> Self {
        Self { level, made: Mutex::default() }
    }

    /// The pages of the columns made since the last time, in the columns' order.
    pub(crate) fn take(&self) -> Vec<Pages> {
        let mut made = mem::take(&mut *lock(&self.made));
        made.sort_by_key(|(column, _)| *column);
        made.into_iter().map(|(_, pages)| pages).collect()
    }
}

impl PageStoreFactory for PagesFactory {
    fn create(&self, args: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>> {
        let pages = Pages { level: self.level, held: Arc::default() };
        lock(&self.made).push((args.column_index(), pages.clone()));
        Ok(Box::new(pages))
    }
}

/// The pages of one column, for those who fill, compress and write them.
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    level: Option<i32>,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    /// Who compresses pages beside the thread that has the column.
    others: More<Step>,
    /// A header whose page has not come.
    header: Option<Bytes>,
    /// Comes last and is written first.
    dictionary: Option<Page>,
    data: Vec<Page>,
    /// Of all pages, with their headers.
    bytes: usize,
    /// The same as the writer left them.
    left: usize,
    /// By how much the headers have become longer or shorter.
    headers: i64,
}

#[derive(Debug, Default)]
struct Page {
    header: Bytes,
    body: Bytes,
    /// Whether it is as it will be written.
    ready: bool,
}

impl Page {
    fn len(&self) -> usize {
        self.header.len() + self.body.len()
    }
}

/// A page as the writer left it.
#[derive(Debug)]
pub(crate) struct Fresh {
    held: Arc<Mutex<Held>>,
    /// None: the dictionary.
    at: Option<usize>,
    header: Bytes,
    body: Bytes,
    level: i32,
}

impl Pages {
    /// About how many bytes the column has; `writer` fills it.
    pub(crate) fn estimate(&self, writer: &ArrowColumnWriter) -> usize {
        let Held { bytes, left, .. } = *lock(&self.held);
        // What it has not made a page of.
        bytes + writer.get_estimated_total_bytes().saturating_sub(left)
    }

    /// Has `others` [compress](Fresh::compress) pages, too, until they are told to help with something else.
    pub(crate) fn share(&self, others: &More<Step>) {
        lock(&self.held).others = others.clone();
    }
}

impl Fresh {
    /// Compresses it and puts it back.
    pub(crate) fn compress(self) -> Result<()> {
        let body = zstd::compress(&self.body, self.level)?;
        let header = Bytes::from(header::resized(&self.header, body.len())?);
        let mut held = lock(&self.held);
        held.bytes = (held.bytes + header.len() + body.len()).saturating_sub(self.header.len() + self.body.len());
        held.headers += header.len() as i64 - self.header.len() as i64;
        let page = match self.at {
            None => held.dictionary.as_mut(),
            Some(at) => held.data.get_mut(at),
        };
        *page.ok_or_else(|| broken("a page is gone"))? = Page { header, body, ready: true };
        Ok(())
    }
}

impl PageStore for Pages {
    /// A page comes as its header, then its body.
    fn put(&mut self, bytes: Bytes) -> Result<PageKey> {
        let mut held = lock(&self.held);
        held.bytes += bytes.len();
        held.left += bytes.len();
        // Nobody will ask for it.
        let key = Ok(PageKey::new(0));
        let Some(header) = held.header.take() else {
            held.header = Some(bytes);
            return key;
        };
        let is_dictionary = header::is_dictionary(&header)?;
        let at = (!is_dictionary).then_some(held.data.len());
        let (page, fresh) = match self.level {
            None => (Page { header, body: bytes, ready: true }, None),
            Some(level) => (Page::default(), Some(Fresh { held: self.held.clone(), at, header, body: bytes, level })),
        };
        if is_dictionary {
            held.dictionary = Some(page);
        } else {
            held.data.push(page);
        }
        let others = held.others.clone();
        drop(held);
        // While it is in this processor's cache, when enough are waiting for others.
        match fresh.map(|fresh| others.add(Step::Compress(fresh))) {
            Some(Err(step)) => step.carry_out(&others).and(key),
            _ => key,
        }
    }

    fn take(&mut self, _: PageKey) -> Result<Bytes> {
        Err(broken("pages are not handed out one by one"))
    }

    fn memory_size(&self) -> usize {
        lock(&self.held).bytes
    }
}

/// A column that has ended.
pub(crate) struct Chunk {
    said: ColumnCloseResult,
    pages: Pages,
}

impl Chunk {
    /// Ends the column of `writer`, which leaves its last pages in `pages`.
    pub(crate) fn end(writer: ArrowColumnWriter, pages: Pages) -> Result<Self> {
        Ok(Self { said: writer.close()?.close().clone(), pages })
    }

    /// What [`append`](Self::append) writes.
    pub(crate) fn pieces(&self) -> Vec<Bytes> {
        let held = lock(&self.pages.held);
        let all = held.dictionary.iter().chain(&held.data);
        all.flat_map(|page| [page.header.clone(), page.body.clone()]).collect()
    }

    /// Writes it as the next column. `codec` is what its pages are compressed by. They are let go one by one.
    pub(crate) fn append<W: Write + Send>(
        self,
        codec: Compression,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        let mut said = self.said;
        let Held { dictionary, data, bytes, headers, .. } = mem::take(&mut *lock(&self.pages.held));
        if !dictionary.iter().chain(&data).all(|page| page.ready) {
            return Err(broken("a page was not compressed"));
        }
        let first = dictionary.as_ref().map_or(0, Page::len) as i64;
        if let Some(index) = &mut said.offset_index {
            if index.page_locations.len() != data.len() {
                return Err(broken("the index has other pages"));
            }
            let mut offset = first;
            for (location, page) in index.page_locations.iter_mut().zip(&data) {
                location.offset = offset;
                location.compressed_page_size = i32::try_from(page.len()).map_err(|_| broken("a page is too large"))?;
                offset += page.len() as i64;
            }
        }
        let plain = said.metadata.uncompressed_size() + headers;
        said.metadata = said
            .metadata
            .into_builder()
            .set_compression(codec)
            .set_total_compressed_size(bytes as i64)
            .set_total_uncompressed_size(plain)
            .set_dictionary_page_offset(dictionary.is_some().then_some(0))
            .set_data_page_offset(first)
            .build()?;
        said.bytes_written = bytes as u64;
        let pieces = dictionary.into_iter().chain(data).flat_map(|page| [page.header, page.body]).collect();
        group.append_column(&Splice { pieces: Mutex::new(pieces), bytes }, said)
    }
}

/// Pieces of a column that are read once, from the first to the last.
struct Splice {
    pieces: Mutex<VecDeque<Bytes>>,
    bytes: usize,
}

impl Length for Splice {
    fn len(&self) -> u64 {
        self.bytes as u64
    }
}

impl ChunkReader for Splice {
    type T = Pieces;

    fn get_read(&self, start: u64) -> Result<Pieces> {
        if start != 0 {
            return Err(broken("a column is read from its beginning"));
        }
        Ok(Pieces(mem::take(&mut *lock(&self.pieces))))
    }

    fn get_bytes(&self, _: u64, _: usize) -> Result<Bytes> {
        Err(broken("a column is read from its beginning"))
    }
}

struct Pieces(VecDeque<Bytes>);

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(piece) = self.0.front_mut() {
            if piece.has_remaining() {
                let some = piece.remaining().min(into.len());
                piece.copy_to_slice(into.get_mut(..some).unwrap_or_default());
                return Ok(some);
            }
            self.0.pop_front();
        }
        Ok(0)
    }
}

/// What a thread that panicked has left is never written: the panic ends the row group, and with it the file.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn broken(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}
