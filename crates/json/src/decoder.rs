//! The decoder: windows of bytes to framed records to batches.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::SchemaRef,
};
use bytes::Bytes;
use pagemill_core::{BadRecord, Error, Place, Resource, Result};

use crate::{
    column::StructColumn,
    misfit::{Counter, Ids},
    options::{DecodeError, Limits, Next, Options, Page},
    page::{Framer, Step},
    record::{self, Aside, How, Read},
    scan::Scanner,
    time,
    tokens::Bad,
    window::Window,
};

/// The most bytes of a record, and of the records of a batch.
const MOST_HELD: usize = 256 << 20;

/// The most elements of the lists of a record.
const MOST_ELEMENTS: usize = 16 << 20;

/// Elements of lists that a batch may have for each row it may have: an element of two bytes takes dozens in the tables.
const ELEMENTS_A_ROW: usize = 8;

/// What a bad record takes beside its bytes.
const BAD_RECORD_BYTES: u64 = 256;

/// Turns the bytes of one page after another into batches of one resource.
///
/// After an error the decoder must be [`reset`](Decoder::reset) before the next page.
#[derive(Debug)]
pub struct Decoder {
    schema: SchemaRef,
    options: Options,
    how: How,
    result_declared: bool,
    key: Option<String>,
    /// True from an error to the next reset.
    failed: bool,
    window: Window,
    framer: Framer,
    root: StructColumn,
    aside: Aside,
    /// Rows in the columns, and bytes of their records.
    rows: usize,
    bytes: usize,
    elements: usize,
    /// Of the page: rows that batches have carried, bytes taken, bad records and their bytes.
    rows_out: u64,
    page_bytes: u64,
    bad: Vec<BadRecord>,
    bad_bytes: u64,
}

impl Decoder {
    /// A decoder for `resource`.
    #[must_use]
    pub fn new(resource: &Resource, mut options: Options) -> Self {
        // Positions in a batch, and in what is held of a page, are numbers of 32 bits.
        options.batch_rows = options.batch_rows.clamp(1, 1 << 20);
        options.batch_bytes = options.batch_bytes.clamp(1, MOST_HELD);
        let Limits { string, key, number, members, elements, space, record, cursor, .. } = &mut options.limits;
        for limit in [string, key, number, members, space, record, cursor] {
            *limit = (*limit).min(MOST_HELD);
        }
        *elements = (*elements).min(MOST_ELEMENTS);
        let mut ids = Ids::default();
        let root = StructColumn::root(resource.fields(), resource.left_out(), &mut ids);
        let names: HashSet<_> = resource.fields().iter().map(|f| f.name.as_str()).collect();
        let result_declared = names.contains("result") || names.contains("results");
        let scanner = options.kernel.and_then(Scanner::named).unwrap_or_else(Scanner::best);
        Self {
            schema: resource.schema(),
            how: How { unknown: options.unknown, usual_time: time::usual(scanner.name()) },
            result_declared,
            window: Window::new(scanner),
            framer: Framer::new(options.framing, result_declared, resource.key().map(str::to_owned)),
            key: resource.key().map(str::to_owned),
            failed: false,
            root,
            aside: Aside::new(Counter::new(ids)),
            rows: 0,
            bytes: 0,
            elements: 0,
            rows_out: 0,
            page_bytes: 0,
            bad: Vec::new(),
            bad_bytes: 0,
            options,
        }
    }

    /// The columns of every batch.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Takes bytes until a batch is full or `input` is empty.
    ///
    /// `Ok(Some)`: a full batch; call again, there may be input left. `Ok(None)`: all input was taken.
    /// Where batches are cut depends on the records alone, never on how the bytes arrived.
    ///
    /// # Errors
    /// When the page cannot be read any further; bad records alone are no error, up to [`Limits`](crate::Limits).
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<RecordBatch>, DecodeError> {
        self.check_usable()?;
        let result = self.decode_more(input);
        self.noting(result)
    }

    fn decode_more(&mut self, input: &mut Bytes) -> Result<Option<RecordBatch>, DecodeError> {
        loop {
            if self.advance()? {
                return self.batch().map(Some);
            }
            if input.is_empty() {
                return Ok(None);
            }
            let room = self.options.limits.page - self.page_bytes;
            if room == 0 {
                let reason = format!("a page of more than {} bytes", self.options.limits.page);
                return Err(Error::data(reason).at(Place { byte: Some(self.page_bytes), ..Place::default() }));
            }
            self.framer.shift(self.window.discard(self.framer.keep_from()));
            let before = input.len();
            self.window.fill(input, usize::try_from(room).unwrap_or(usize::MAX));
            self.page_bytes += (before - input.len()) as u64;
        }
    }

    /// Ends the page: what was fed since the last end is a whole document. The decoder is ready for the next page.
    ///
    /// # Errors
    /// When the document is not complete.
    pub fn finish_page(&mut self) -> Result<Page, DecodeError> {
        self.check_usable()?;
        let result = self.finish();
        self.noting(result)
    }

    fn finish(&mut self) -> Result<Page, DecodeError> {
        self.window.end();
        // What is left to read lies within the last block, and so does not fill a batch by much.
        while self.advance()? {}
        let rest = self.batch()?;
        let fresh = self.new_framer();
        let framer = std::mem::replace(&mut self.framer, fresh);
        let page = Page {
            rest,
            framing: framer.framing,
            next: framer.next_page,
            result_count: framer.result_count,
            partial: framer.partial,
            records: framer.records,
            rows: self.rows_out,
            bad: std::mem::take(&mut self.bad),
            misfits: self.aside.counter.take(),
            bytes: self.page_bytes,
            members: framer.members.into_iter().take(16).collect(),
        };
        self.reset();
        Ok(page)
    }

    /// The envelope's cursor, as soon as it has been read; [`Next::Absent`] before.
    #[must_use]
    pub fn next(&self) -> Next {
        self.framer.next_page.clone()
    }

    /// Forgets the page in progress.
    pub fn reset(&mut self) {
        self.window.clear();
        self.framer = self.new_framer();
        self.failed = false;
        self.root.truncate(0);
        self.aside.counter.take();
        self.aside.discard();
        self.bad.clear();
        (self.rows, self.bytes, self.elements) = (0, 0, 0);
        (self.rows_out, self.page_bytes, self.bad_bytes) = (0, 0, 0);
    }

    fn new_framer(&self) -> Framer {
        Framer::new(self.options.framing, self.result_declared, self.key.clone())
    }

    /// Remembers that the page failed: what is held of it is no longer of a piece.
    fn noting<T>(&mut self, result: Result<T, DecodeError>) -> Result<T, DecodeError> {
        self.failed |= result.is_err();
        result
    }

    fn check_usable(&self) -> Result<(), DecodeError> {
        match self.failed {
            false => Ok(()),
            true => Err(Error::internal("the decoder was not reset after an error")),
        }
    }

    /// Reads records until a batch is full (true) or more bytes are needed (false).
    fn advance(&mut self) -> Result<bool> {
        loop {
            let full = self.rows >= self.options.batch_rows
                || self.bytes >= self.options.batch_bytes
                || self.elements / ELEMENTS_A_ROW >= self.options.batch_rows;
            if full && !self.window.ended() {
                return Ok(true);
            }
            match self.framer.step(&self.window, &self.options.limits) {
                Ok(Step::Begun { at, next }) => {
                    let scanned = self.window.scanned();
                    let tokens = self.window.tokens(at, next, scanned, &self.options.limits);
                    match record::read(tokens, &mut self.root, self.rows, false, self.how, &mut self.aside) {
                        Ok(read) if read.at <= scanned && read.at - at <= self.options.limits.record => {
                            self.good_record(&read, read.at - at);
                            self.framer.ended(read.at, read.next);
                        }
                        // What is wrong with it, or whether it is merely incomplete, shows once its end is known.
                        _ => {
                            self.root.truncate(self.rows);
                            self.aside.discard();
                            self.framer.look_for_end();
                        }
                    }
                }
                Ok(Step::Record { range, next }) => {
                    let tokens = self.window.tokens(range.start, next, range.end, &self.options.limits);
                    match record::read(tokens, &mut self.root, self.rows, true, self.how, &mut self.aside) {
                        Ok(read) => {
                            self.good_record(&read, range.len());
                            self.framer.resume(range.end, read.next);
                        }
                        Err(bad) => {
                            self.framer.resume(range.end, tokens.entry_at(range.end));
                            self.quarantine(*bad, range)?;
                        }
                    }
                }
                Ok(Step::More | Step::Done) => return Ok(false),
                Err(bad) => return Err(self.page_error(*bad, self.framer.records > 0)),
            }
        }
    }

    /// Counts a record that is in the columns.
    fn good_record(&mut self, read: &Read, bytes: usize) {
        self.rows += 1;
        self.bytes += bytes;
        self.elements += read.elements;
        self.aside.counter.keep();
    }

    /// Undoes the row in progress and puts its record aside.
    #[cold]
    fn quarantine(&mut self, bad: Bad, range: std::ops::Range<usize>) -> Result<()> {
        self.root.truncate(self.rows);
        self.aside.discard();
        self.bad_bytes += range.len() as u64 + BAD_RECORD_BYTES;
        let limits = &self.options.limits;
        let too_many = self.bad.len() as u64 >= limits.bad_records || self.bad_bytes > limits.bad_bytes;
        if bad.fatal || too_many {
            let advice = match bad.fatal {
                true => "declare it in the schema, or keep it in `_extra`",
                false => "allow bad records to have them set aside in the quarantine table",
            };
            return Err(self.page_error(bad, true).advise(advice));
        }
        self.bad.push(BadRecord {
            page: 0,
            record: self.framer.records - 1,
            offset: self.window.base() + range.start as u64,
            error_offset: self.window.base() + bad.at as u64,
            path: bad.json_path(),
            reason: bad.reason.into_owned(),
            bytes: Bytes::copy_from_slice(&self.window.bytes()[range]),
        });
        Ok(())
    }

    #[cold]
    fn page_error(&self, bad: Bad, in_records: bool) -> Error {
        let path = (!bad.path.is_empty()).then(|| bad.json_path());
        let record = in_records.then(|| self.framer.records.saturating_sub(1));
        let byte = Some(self.window.base() + bad.at as u64);
        Error::data(bad.reason).at(Place { input: None, page: None, record, byte, path })
    }

    /// The rows so far as a batch, leaving none.
    fn batch(&mut self) -> Result<RecordBatch> {
        let rows = std::mem::take(&mut self.rows);
        (self.bytes, self.elements) = (0, 0);
        self.rows_out += rows as u64;
        let columns = self.root.finish_columns(rows, self.schema.fields())?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema(), columns, &options)?)
    }
}
