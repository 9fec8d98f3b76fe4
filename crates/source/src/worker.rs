//! Decoding, on a thread of its own: bytes in, events out, both through bounded channels.
//!
//! A page that is given up needs no message: its channels are dropped, and the worker turns to the next page. Likewise
//! the worker ends when nobody can send it pages any more.

use bytes::{Buf, Bytes};
use pagemill_core::{Cursor, Error, Resource, Result};
use pagemill_json::{Decoder, Framing, Next, Options, Page};
use tokio::sync::mpsc;

use crate::{
    escape::Secrets,
    inflate::{GzipLimits, Inflate, Members},
    problem,
};

/// Messages that wait in a channel; they are at most a network read or a batch each.
const DEPTH: usize = 4;
/// The most bytes of a page's last line that are looked at.
const LAST_LINE: usize = 4 << 10;

/// One page to decode.
pub(crate) struct Job {
    /// How the bytes are compressed.
    pub(crate) gzip: Option<Members>,
    /// The bytes.
    pub(crate) input: mpsc::Receiver<Input>,
    /// What they turn into.
    pub(crate) output: mpsc::Sender<Event>,
}

/// What a page is fed.
#[derive(Debug)]
pub(crate) enum Input {
    /// More of it.
    Bytes(Bytes),
    /// Its end. Without it, the page was given up.
    End,
}

/// What a page turns into.
#[derive(Debug)]
pub(crate) enum Event {
    /// Its cursor, as soon as it is known.
    Next(Cursor),
    /// A full batch.
    Batch(arrow::array::RecordBatch),
    /// The whole page was read.
    End(Box<Page>, Sample),
    /// It cannot be read.
    Failed(Error, Sample),
}

/// The beginning and the end of a page, for messages.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// The first bytes, decompressed; at most 64 KiB.
    pub(crate) head: Vec<u8>,
    /// The last line, when the page is made of lines and it is short.
    pub(crate) last_line: Vec<u8>,
}

/// A page's channels, as the one who feeds it holds them.
pub(crate) struct Feed {
    /// Where its bytes go.
    pub(crate) input: mpsc::Sender<Input>,
    /// Where its events come from.
    pub(crate) output: mpsc::Receiver<Event>,
}

impl Job {
    /// A job, and the other ends of its channels.
    pub(crate) fn new(gzip: Option<Members>) -> (Self, Feed) {
        let (input_tx, input) = mpsc::channel(DEPTH);
        let (output, output_rx) = mpsc::channel(DEPTH);
        (Self { gzip, input, output }, Feed { input: input_tx, output: output_rx })
    }
}

/// Starts a worker. It ends when the sender, and the channels of the page in progress, are dropped.
///
/// # Errors
/// When the system has no thread to spare.
pub(crate) fn start(resource: Resource, options: Options, limits: GzipLimits) -> Result<mpsc::Sender<Job>> {
    let (jobs, mut queue) = mpsc::channel::<Job>(1);
    thread(move || {
        let mut decoder = Decoder::new(&resource, options);
        while let Some(mut job) = queue.blocking_recv() {
            let mut page = Decoding::new(&mut decoder, job.gzip, &limits);
            // An error means that nobody listens any more; the next job, if any, is another matter.
            let _ = page.run(&mut || job.input.blocking_recv(), &mut |event| {
                job.output.blocking_send(event).map_err(|_| Unheard)
            });
        }
    })?;
    Ok(jobs)
}

/// Starts a named thread.
///
/// # Errors
/// When the system has none to spare.
pub(crate) fn thread(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name("pagemill-decode".to_owned()).spawn(work);
    thread.map(drop).map_err(|e| Error::io("cannot start a thread to decode on").because(e))
}

/// Nobody listens any more.
#[derive(Debug)]
pub(crate) struct Unheard;

/// One page on its way through a decoder.
pub(crate) struct Decoding<'a> {
    decoder: &'a mut Decoder,
    inflate: Option<Inflate>,
    sample: Sample,
    told_next: bool,
}

impl<'a> Decoding<'a> {
    pub(crate) fn new(decoder: &'a mut Decoder, gzip: Option<Members>, limits: &GzipLimits) -> Self {
        decoder.reset();
        let inflate = gzip.map(|members| Inflate::new(members, limits.clone()));
        Self { decoder, inflate, sample: Sample::default(), told_next: false }
    }

    /// Decodes what `input` gives until its end, and tells `emit`.
    ///
    /// # Errors
    /// When `emit` says that nobody listens.
    pub(crate) fn run(
        &mut self,
        input: &mut dyn FnMut() -> Option<Input>,
        emit: &mut dyn FnMut(Event) -> Result<(), Unheard>,
    ) -> Result<(), Unheard> {
        loop {
            let end = match input() {
                None => return Ok(()),
                Some(Input::Bytes(bytes)) => self.bytes(bytes, emit)?,
                Some(Input::End) => Some(self.finish()),
            };
            match end {
                None => {}
                Some(Ok(page)) => {
                    if page.framing != Some(Framing::Lines) {
                        self.sample.last_line.clear();
                    }
                    return emit(Event::End(Box::new(page), std::mem::take(&mut self.sample)));
                }
                Some(Err(error)) => return emit(Event::Failed(error, std::mem::take(&mut self.sample))),
            }
        }
    }

    /// `Some(Err)`: the page cannot be read any further.
    fn bytes(
        &mut self,
        mut bytes: Bytes,
        emit: &mut dyn FnMut(Event) -> Result<(), Unheard>,
    ) -> Result<Option<Result<Page>>, Unheard> {
        loop {
            let plain = match &mut self.inflate {
                None => Ok(bytes.has_remaining().then(|| bytes.split_to(bytes.len()))),
                Some(inflate) => inflate.next(&mut bytes),
            };
            let mut plain = match plain {
                Ok(Some(plain)) => plain,
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(Err(error))),
            };
            self.sample.take(&plain);
            loop {
                let batch = self.decoder.decode(&mut plain);
                if !self.told_next
                    && batch.is_ok()
                    && let Next::Cursor(cursor) = self.decoder.next()
                {
                    self.told_next = true;
                    emit(Event::Next(cursor))?;
                }
                match batch {
                    Ok(Some(batch)) => emit(Event::Batch(batch))?,
                    Ok(None) => break,
                    Err(error) => return Ok(Some(Err(error))),
                }
            }
        }
    }

    fn finish(&mut self) -> Result<Page> {
        if let Some(inflate) = &self.inflate {
            inflate.finish()?;
        }
        self.decoder.finish_page()
    }
}

impl Sample {
    /// The error that was sent, or saved, as a page: as its only object, or as the last line of many.
    pub(crate) fn error_body(&self, page: Option<&Page>, secrets: &Secrets) -> Option<Error> {
        if page.is_some_and(|page| page.framing == Some(Framing::Envelope)) {
            return None;
        }
        let found = problem::disguised(&self.head, secrets).or_else(|| problem::disguised(&self.last_line, secrets))?;
        let error = Error::data(format!("the page is an error and no records: {}", found.message));
        Some(match found.advice {
            Some(advice) => error.advise(advice),
            None => error,
        })
    }

    fn take(&mut self, plain: &[u8]) {
        let room = problem::MOST.saturating_sub(self.head.len());
        self.head.extend_from_slice(plain.get(..room).unwrap_or(plain));
        // The last line: what follows the last line break that has something after it.
        let tail = plain.get(plain.len().saturating_sub(LAST_LINE)..).unwrap_or(plain);
        let trimmed = tail.trim_ascii_end();
        match trimmed.iter().rposition(|b| *b == b'\n') {
            Some(at) => {
                self.last_line.clear();
                self.last_line.extend_from_slice(trimmed.get(at + 1..).unwrap_or_default());
            }
            None => {
                // The line may have begun in an earlier piece.
                if self.last_line.ends_with(b"\n") && !trimmed.is_empty() {
                    self.last_line.clear();
                }
                self.last_line.extend_from_slice(trimmed);
            }
        }
        if tail.ends_with(b"\n") && !self.last_line.ends_with(b"\n") {
            self.last_line.push(b'\n');
        }
        if self.last_line.len() > LAST_LINE {
            // Too long for an error body; its beginning is lost, so it will not parse as one.
            self.last_line.truncate(LAST_LINE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_found_however_the_page_is_cut() {
        let page = b"{\"id\":\"1\"}\n{\"id\":\"2\"}\r\n{\"statusCode\":500}\n";
        for size in 1..page.len() {
            let mut sample = Sample::default();
            page.chunks(size).for_each(|chunk| sample.take(chunk));
            assert_eq!(sample.last_line.trim_ascii(), b"{\"statusCode\":500}", "{size}");
            assert_eq!(sample.head, page);
        }
    }
}
