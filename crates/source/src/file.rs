//! [`FileSource`]: pages that were saved, lines of JSON, standard input.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use pagemill_core::{Batch, Checkpoint, Cursor, Error, Pages, Position, Resource, Result, Resume, Source};
use pagemill_json::{Decoder, Options, Page};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::{
    escape::{Secrets, escape},
    hold::{Queue, Task, Transaction},
    inflate::{GzipLimits, MAGIC, Members},
    progress::Progress,
    worker::{self, Decoding, Event, Input, Sample, Unheard},
};

/// How to read files. All of it has defaults.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// How they are decoded.
    pub decode: Options,
    /// How much compressed data may be.
    pub gzip: GzipLimits,
    /// Bytes of memory for batches of a file that has not been read to its end, and of those that nobody has
    /// taken yet. A larger file is handed on as it is read.
    pub page_budget: usize,
    /// Bytes of a read.
    pub chunk: usize,
    /// Counters to look at.
    pub progress: Progress,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            decode: Options::default(),
            gzip: GzipLimits::of_files(),
            page_budget: 64 << 20,
            chunk: 64 << 10,
            progress: Progress::default(),
        }
    }
}

/// What a page is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    File(PathBuf),
    Stdin,
}

/// Records of saved pages: each file is a page, whatever its framing; a cursor in it means nothing any more.
///
/// Files are read on a thread of their own. It ends with the stream, except while it waits for standard input: then with
/// the next bytes of that.
#[derive(Debug)]
pub struct FileSource {
    resource: Resource,
    origins: Arc<[Origin]>,
    options: FileOptions,
}

impl FileSource {
    /// A source of the files `paths`, in this order. A folder stands for its `.json`, `.ndjson`, `.jsonl` and `.gz`
    /// files, by name; `-` for standard input. gzip is told by its first bytes.
    ///
    /// # Errors
    /// [`Config`](pagemill_core::ErrorKind::Config) when there is nothing to read, or not there.
    pub fn new(
        resource: &Resource,
        paths: impl IntoIterator<Item = impl Into<PathBuf>>,
        options: FileOptions,
    ) -> Result<Self> {
        let mut origins = Vec::new();
        for path in paths {
            expand(path.into(), &mut origins)?;
        }
        if origins.is_empty() {
            return Err(Error::config("there is nothing to read").advise("name a file, a folder, or `-`"));
        }
        if origins.iter().filter(|origin| **origin == Origin::Stdin).count() > 1 {
            return Err(Error::config("standard input can be read only once"));
        }
        Ok(Self { resource: resource.clone(), origins: origins.into(), options })
    }

    /// Tells the files as they are now from what they were, or may become: a hash of their names, sizes and times. Standard
    /// input is never the same again, and is told as [`Once`](Pages::Once).
    ///
    /// # Errors
    /// [`Config`](pagemill_core::ErrorKind::Config) when a file cannot be looked at.
    pub fn state(&self) -> Result<Pages> {
        let mut hash = Sha256::new();
        for (n, origin) in self.origins.iter().enumerate() {
            hash.update(origin.cursor(n).expose());
            let (bytes, time) = match origin {
                Origin::Stdin => (u64::from(std::process::id()), Ok(SystemTime::now())),
                Origin::File(path) => {
                    let cannot = |e: io::Error| Error::config(format!("cannot read {}", origin.shown())).because(e);
                    let found = fs::metadata(path).map_err(cannot)?;
                    (found.len(), found.modified())
                }
            };
            let since = time.ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
            hash.update(format!("\0{bytes}\0{}\0", since.as_nanos()));
        }
        let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let once = self.origins.iter().any(|origin| matches!(origin, Origin::Stdin));
        Ok(if once { Pages::Once(digits) } else { Pages::Saved(digits) })
    }

    /// The counters.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.options.progress.clone()
    }
}

impl Source for FileSource {
    fn schema(&self) -> SchemaRef {
        self.resource.schema()
    }

    fn read(&mut self, from: Option<Resume>) -> BoxStream<'_, Result<Batch>> {
        let reader = Reader {
            resource: self.resource.clone(),
            origins: Arc::clone(&self.origins),
            options: self.options.clone(),
        };
        // Begun at the first poll, so that it is within a runtime whoever calls.
        stream::once(async move {
            Queue::start(reader.options.page_budget, |queue| {
                Task::spawn(async move {
                    let result = reader.walk(from, &queue).await;
                    queue.close(result);
                })
            })
        })
        .flatten()
        .boxed()
    }
}

struct Reader {
    resource: Resource,
    origins: Arc<[Origin]>,
    options: FileOptions,
}

impl Reader {
    /// All files from `from` on, into `queue`.
    async fn walk(self, from: Option<Resume>, queue: &Queue) -> Result<()> {
        let (mut at, first) = match from.map(|from| from.checkpoint) {
            None => (Checkpoint { pages: 0, rows: 0, bad: 0, next: Position::End }, 0),
            Some(Checkpoint { next: Position::End, .. }) => return Ok(()),
            Some(at) => {
                let named = |(n, origin): (usize, &Origin)| Position::Next(origin.cursor(n)) == at.next;
                let first = self.origins.iter().enumerate().position(named).ok_or_else(|| {
                    Error::config("the files are not those of the run that is to be resumed")
                        .advise("give the same files in the same order, or start anew")
                })?;
                (at, first)
            }
        };
        // What waits here is in no budget.
        let (events_tx, mut events) = mpsc::channel(1);
        let Self { resource, origins, options } = self;
        let (files, progress) = (Arc::clone(&origins), options.progress.clone());
        worker::thread(move || {
            let mut decoder = Decoder::new(&resource, options.decode.clone());
            for origin in files.iter().skip(first) {
                let heard = origin
                    .decode(&mut decoder, &options, &mut |event| events_tx.blocking_send(event).map_err(|_| Unheard));
                if heard.is_err() {
                    return;
                }
            }
        })?;
        for (n, origin) in origins.iter().enumerate().skip(first) {
            let next = origins.get(n + 1).map_or(Position::End, |next| Position::Next(next.cursor(n + 1)));
            let page = at.pages;
            let placed = |error: Error| {
                error.map_place(|place| {
                    place.input = Some(origin.shown());
                    place.page = Some(page);
                })
            };
            let mut transaction = Transaction::new(queue, at.rows);
            let page = loop {
                match events.recv().await {
                    Some(Event::Next(_)) => {}
                    Some(Event::Batch(records)) => transaction.push(records).await?,
                    Some(Event::Failed(error, sample)) => {
                        return Err(placed(sample.error_body(None, &Secrets::default()).unwrap_or(error)));
                    }
                    Some(Event::End(page, sample)) => {
                        origin.audit(&page, &sample).map_err(placed)?;
                        break *page;
                    }
                    None => return Err(placed(Error::internal("the decoder's thread stopped"))),
                }
            };
            let records = page.records;
            at = transaction.count(&at, page, next, 0).await?;
            progress.page(records);
        }
        Ok(())
    }
}

impl Origin {
    /// Its name, for messages.
    fn shown(&self) -> String {
        match self {
            Self::File(path) => escape(&path.to_string_lossy(), 1_000),
            Self::Stdin => "standard input".to_owned(),
        }
    }

    /// What a checkpoint calls it: its ordinal and its path, so that another list of files is noticed.
    fn cursor(&self, n: usize) -> Cursor {
        match self {
            Self::File(path) => Cursor::new(format!("{n}:{}", path.to_string_lossy())),
            Self::Stdin => Cursor::new(format!("{n}:-")),
        }
    }

    /// Reads and decodes all of it.
    fn decode(
        &self,
        decoder: &mut Decoder,
        options: &FileOptions,
        emit: &mut dyn FnMut(Event) -> Result<(), Unheard>,
    ) -> Result<(), Unheard> {
        let chunk = options.chunk.clamp(4 << 10, 16 << 20);
        let opened: io::Result<Box<dyn Read>> = match self {
            Self::File(path) => File::open(path).map(|file| Box::new(file) as _),
            Self::Stdin => Ok(Box::new(io::stdin().lock())),
        };
        let mut failed = None;
        match opened.and_then(|mut file| read_chunk(&mut file, chunk).map(|first| (file, first))) {
            Err(error) => failed = Some(error),
            Ok((mut file, first)) => {
                let gzip = first.starts_with(&MAGIC).then_some(Members::Many);
                let mut first = Some(first);
                let mut input = || {
                    let bytes = match first.take() {
                        Some(first) => Ok(first),
                        None => read_chunk(&mut file, chunk),
                    };
                    match bytes {
                        Ok(bytes) if bytes.is_empty() => Some(Input::End),
                        Ok(bytes) => {
                            options.progress.bytes(bytes.len());
                            Some(Input::Bytes(bytes))
                        }
                        Err(error) => {
                            failed = Some(error);
                            None
                        }
                    }
                };
                Decoding::new(decoder, gzip, &options.gzip).run(&mut input, emit)?;
            }
        }
        match failed {
            None => Ok(()),
            Some(error) => emit(Event::Failed(Error::io("cannot read the input").because(error), Sample::default())),
        }
    }

    /// Whether a page that was read to its end is what it should be.
    fn audit(&self, page: &Page, sample: &Sample) -> Result<()> {
        if let Some(error) = sample.error_body(Some(page), &Secrets::default()) {
            return Err(error);
        }
        if let Some(count) = page.result_count
            && count != page.records
        {
            return Err(Error::data(format!("the page says it has {count} records, and has {}", page.records)));
        }
        // No lines are a table without rows; but a document is never nothing.
        let document = match self {
            Self::File(path) => {
                let name = path.to_string_lossy();
                name.strip_suffix(".gz").unwrap_or(&name).ends_with(".json")
            }
            // More often a command that failed than a listing without members.
            Self::Stdin => true,
        };
        if page.framing.is_none() && document {
            let what = if *self == Self::Stdin { "standard input" } else { "the file" };
            return Err(Error::data(format!("{what} is empty")));
        }
        Ok(())
    }
}

/// A read of up to `chunk` bytes, filled as far as the input goes on; empty at its end.
fn read_chunk(file: &mut dyn Read, chunk: usize) -> io::Result<Bytes> {
    // Not `vec![0; chunk]`: what is read into need not be cleared before.
    let mut buffer = Vec::with_capacity(chunk);
    file.take(chunk as u64).read_to_end(&mut buffer)?;
    Ok(buffer.into())
}

/// What `path` stands for.
fn expand(path: PathBuf, origins: &mut Vec<Origin>) -> Result<()> {
    if path.as_os_str() == "-" {
        origins.push(Origin::Stdin);
        return Ok(());
    }
    let cannot =
        |e: io::Error| Error::config(format!("cannot read {}", escape(&path.to_string_lossy(), 1_000))).because(e);
    if !fs::metadata(&path).map_err(cannot)?.is_dir() {
        origins.push(Origin::File(path));
        return Ok(());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(&path).map_err(cannot)? {
        let file = entry.map_err(cannot)?.path();
        if is_page(&file) && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Error::config(format!("there are no pages in {}", escape(&path.to_string_lossy(), 1_000)))
            .advise("pages are files called *.json, *.ndjson, *.jsonl or *.gz"));
    }
    // By name, byte by byte: the same order on every machine.
    files.sort();
    origins.extend(files.into_iter().map(Origin::File));
    Ok(())
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|ext| ["json", "ndjson", "jsonl", "gz"].iter().any(|known| ext == *known))
}
