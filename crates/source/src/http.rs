//! [`HttpSource`]: page after page of a list.
//!
//! The walk is one task. For each page it holds two things apart: the body on its way to the decoder's thread, and
//! what comes back from there, which waits in a transaction until the page counts. The next page is asked for the
//! moment its cursor is known, which may be long before the present page has come to its end.

use std::{collections::hash_map::RandomState, fmt, hash::BuildHasher, sync::Arc, time::Duration};

use arrow::datatypes::SchemaRef;
use futures::{StreamExt, stream, stream::BoxStream};
use pagemill_core::{Batch, Checkpoint, Cursor, Error, ErrorKind, Position, Resource, Result, Resume, Rewind, Source};
use pagemill_json::{Limits, Next, Options, Page};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::{
    clock::{Clock, SystemClock},
    escape::Secrets,
    fetch::{Answer, Failed, Fetch, Parts, Timeouts},
    hold::{Gone, Queue, Task, Transaction},
    inflate::GzipLimits,
    pace::{Pace, Pacer, Rate},
    paging::{Pager, Said, Step, Stop},
    progress::Progress,
    query::Request,
    retry::{self, Attempts, Failure, Policy, Verdict, Why},
    target::{Target, VENDOR},
    worker::{self, Event, Feed, Input, Job, Sample},
};

/// A random number in `[0, 1)`, for jitter.
pub type Jitter = Arc<dyn Fn() -> f64 + Send + Sync>;

/// The most bytes of a page, decompressed, where nobody says otherwise. Memory does not depend on it: it is there so that a
/// page without an end has one.
const PAGE: u64 = 16 << 30;

/// How to read a list over HTTP. All of it has defaults.
///
/// ```
/// # use pagemill_source::HttpOptions;
/// let options = HttpOptions { base_url: "http://localhost:8080".into(), ..HttpOptions::default() };
/// ```
#[derive(Clone)]
pub struct HttpOptions {
    /// The address of the API: https, or plain http to this machine.
    pub base_url: String,
    /// The path of the list, where it is not the resource's own.
    pub path: Option<String>,
    /// How fast to ask.
    pub pace: Pace,
    /// How often to ask again.
    pub retry: Policy,
    /// How long to wait for the network.
    pub timeouts: Timeouts,
    /// Bytes of memory for batches of pages that do not count yet, and of those that nobody has taken yet. A
    /// page larger than this is handed on before it counts; if it fails then, the walk fails.
    pub page_budget: usize,
    /// How pages are decoded, and how large they may be.
    pub decode: Options,
    /// How much compressed data may be.
    pub gzip: GzipLimits,
    /// Whether `HTTPS_PROXY` and its like are heeded.
    pub env_proxies: bool,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where jitter comes from.
    pub jitter: Jitter,
    /// Counters to look at.
    pub progress: Progress,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            base_url: format!("https://{VENDOR}"),
            path: None,
            pace: Pace::Auto,
            retry: Policy::default(),
            timeouts: Timeouts::default(),
            page_budget: 64 << 20,
            decode: Options { limits: Limits { page: PAGE, ..Limits::default() }, ..Options::default() },
            gzip: GzipLimits::default(),
            env_proxies: false,
            clock: Arc::new(SystemClock::default()),
            jitter: Arc::new(random),
            progress: Progress::default(),
        }
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions")
            .field("pace", &self.pace)
            .field("retry", &self.retry)
            .field("timeouts", &self.timeouts)
            .field("page_budget", &self.page_budget)
            .finish_non_exhaustive()
    }
}

/// The standard library's hash keys are random; that is random enough to keep clients apart.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(0u8) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

/// The records of one list of the API, page after page.
pub struct HttpSource {
    schema: SchemaRef,
    walker: Arc<Walker>,
}

impl HttpSource {
    /// A source that asks for `resource` as `request` says, in the name of `token`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) when what is asked for cannot be asked.
    pub fn new(resource: &Resource, request: &Request, token: SecretString, options: HttpOptions) -> Result<Self> {
        let target = Target::new(&options.base_url, resource, options.path.as_deref(), request)?;
        let rates = match options.pace {
            Pace::Auto if target.is_vendor() => vec![Rate::ACCOUNT, Rate::TOKEN],
            Pace::Auto | Pace::Headers => Vec::new(),
            Pace::AtMost(rate) if rate.requests == 0 || rate.per.is_zero() => {
                return Err(Error::config("a pace of no requests, or in no time, is none"));
            }
            Pace::AtMost(rate) => vec![rate],
        };
        let fetch = Fetch::new(Parts {
            target,
            format: request.format(),
            token,
            delicate: request.delicate().map(SecretString::from).collect(),
            timeouts: options.timeouts.clone(),
            longest_hint: options.retry.longest_hint,
            pacer: Pacer::new(&rates),
            clock: Arc::clone(&options.clock),
            progress: options.progress.clone(),
            env_proxies: options.env_proxies,
        })?;
        let walker = Walker { fetch: Arc::new(fetch), request: request.clone(), resource: resource.clone(), options };
        Ok(Self { schema: resource.schema(), walker: Arc::new(walker) })
    }

    /// Tells this list from others: a hash of its address and its query. A checkpoint is good for the same list only.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let target = self.walker.fetch.target();
        let hash = Sha256::new().chain_update(target.shown()).chain_update("?").chain_update(target.query()).finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The counters.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.walker.options.progress.clone()
    }
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSource").field("url", &self.walker.fetch.target().shown()).finish_non_exhaustive()
    }
}

impl Source for HttpSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn read(&mut self, from: Option<Resume>) -> BoxStream<'_, Result<Batch>> {
        let walker = Arc::clone(&self.walker);
        // Begun at the first poll, so that it is within a runtime whoever calls.
        stream::once(async move {
            let budget = walker.options.page_budget;
            Queue::start(budget, |queue| {
                Task::spawn(async move {
                    let result = walker.walk(from, &queue).await;
                    queue.close(result);
                })
            })
        })
        .flatten()
        .boxed()
    }
}

/// A request that was sent before its turn.
struct Ahead {
    cursor: Cursor,
    answer: Task<Result<Answer, Failed>>,
}

/// What a page turned out to be.
struct Accepted {
    page: Page,
    step: Step,
}

struct Walker {
    fetch: Arc<Fetch>,
    request: Request,
    resource: Resource,
    options: HttpOptions,
}

impl Walker {
    /// All pages from `from` on, into `queue`.
    async fn walk(&self, from: Option<Resume>, queue: &Queue) -> Result<()> {
        let start = Checkpoint { pages: 0, rows: 0, bad: 0, next: Position::End };
        let (mut at, seen) = from.map_or((start, Vec::new()), |from| (from.checkpoint, from.seen));
        let mut cursor = match &at.next {
            Position::Next(cursor) => Some(cursor.clone()),
            Position::End if at.pages == 0 => None,
            Position::End => return Ok(()),
        };
        let jobs = worker::start(self.resource.clone(), self.options.decode.clone(), self.options.gzip.clone())?;
        let met = seen.into_iter().chain(cursor.as_ref().map(Cursor::id));
        let mut pager = Pager::new(self.request.format(), met);
        let mut ahead = None;
        loop {
            (at, ahead) = self.page(&at, cursor.as_ref(), &jobs, &mut pager, ahead, queue).await?;
            cursor = match &at.next {
                Position::End => return Ok(()),
                Position::Next(cursor) => Some(cursor.clone()),
            };
        }
    }

    /// The page of `cursor`, asked for as often as it takes. Gives what comes after it, and the request for that if it
    /// is under way already.
    async fn page(
        &self,
        at: &Checkpoint,
        cursor: Option<&Cursor>,
        jobs: &mpsc::Sender<Job>,
        pager: &mut Pager,
        mut ahead: Option<Ahead>,
        queue: &Queue,
    ) -> Result<(Checkpoint, Option<Ahead>)> {
        let clock = &self.options.clock;
        let started = clock.now();
        let mut attempts = Attempts::default();
        let mut stalled = Duration::ZERO;
        loop {
            attempts.all += 1;
            let mut transaction = Transaction::new(queue, at.rows);
            let mut next_ahead = None;
            let answer = match ahead.take() {
                Some(ahead) => ahead.answer.join().await.unwrap_or_else(|e| Err(stopped(e))),
                None => Arc::clone(&self.fetch).send(cursor.cloned()).await,
            };
            let result = match answer {
                Ok(answer) => {
                    let mut attempt = Attempt {
                        walker: self,
                        transaction: &mut transaction,
                        ahead: &mut next_ahead,
                        stalled: &mut stalled,
                    };
                    attempt.receive(answer, cursor, jobs, pager).await
                }
                Err(failed) => Err(failed),
            };
            let failed = match result {
                Ok(Accepted { page, step }) => {
                    let next = match step {
                        Step::Continue(cursor) => Position::Next(cursor),
                        Step::End => Position::End,
                    };
                    let records = page.records;
                    let at = transaction.count(at, page, next, attempts.all - 1).await?;
                    self.options.progress.page(records);
                    let ahead = next_ahead.filter(|ahead: &Ahead| Position::Next(ahead.cursor.clone()) == at.next);
                    return Ok((at, ahead));
                }
                Err(failed) => failed,
            };
            let streaming = transaction.is_streaming();
            // Nothing of this attempt may live on: neither its rows nor a request that came of it.
            drop((transaction, next_ahead));
            // Names of members, for one, are the server's, and it may put anything in them.
            let secrets = self.fetch.secrets(cursor);
            let error = failed.error.map_place(self.fetch.place(at.pages)).map_text(|text| secrets.hide(text));
            attempts.malformed += u32::from(failed.failure == Failure::Malformed);
            let elapsed = clock.now().saturating_sub(started).saturating_sub(stalled);
            let rand = (self.options.jitter)();
            match retry::decide(attempts, failed.failure, failed.hint, elapsed, &self.options.retry, rand) {
                Verdict::Retry(wait) if streaming => {
                    // A part of the page was handed on already: whoever has it must let it go first.
                    self.fetch.wait(wait).await;
                    return Err(
                        advise_more(error, "the page is larger than the page budget").rewind(Rewind::Checkpoint)
                    );
                }
                Verdict::Retry(wait) => {
                    tracing::warn!(page = at.pages, attempt = attempts.all, ?wait, %error, "asking again");
                    self.options.progress.retry();
                    self.fetch.wait(wait).await;
                }
                Verdict::Fail(why) => {
                    let error = given_up(error, why, attempts.all, elapsed);
                    return Err(match cursor.is_some() && is_expired(failed.failure) {
                        true => error.rewind(Rewind::Start),
                        false => error,
                    });
                }
            }
        }
    }
}

/// One attempt at a page.
struct Attempt<'a, 'q> {
    walker: &'a Walker,
    transaction: &'a mut Transaction<'q>,
    ahead: &'a mut Option<Ahead>,
    stalled: &'a mut Duration,
}

impl Attempt<'_, '_> {
    /// The body of `answer`, decoded and judged.
    async fn receive(
        &mut self,
        mut answer: Answer,
        cursor: Option<&Cursor>,
        jobs: &mpsc::Sender<Job>,
        pager: &mut Pager,
    ) -> Result<Accepted, Failed> {
        let (job, Feed { input, output }) = Job::new(answer.gzip);
        jobs.send(job).await.map_err(|_| worker_gone())?;
        let (media, end_is_marked) = (answer.media, answer.end_is_marked);
        let progress = &self.walker.options.progress;
        let secrets = self.walker.fetch.secrets(cursor);
        let feed = async move {
            // A worker that takes no more has said why; the other half will hear it.
            while let Some(bytes) = answer.chunk().await? {
                progress.bytes(bytes.len());
                if input.send(Input::Bytes(bytes)).await.is_err() {
                    return Ok(());
                }
            }
            let _ = input.send(Input::End).await;
            Ok(())
        };
        let (mut page, sample) = tokio::try_join!(feed, self.drain(output, pager, &secrets)).map(|((), page)| page)?;
        for bad in &mut page.bad {
            // Its bytes are kept as they are; its path may end in a message.
            bad.path = secrets.hide(&bad.path);
        }
        if let Some(error) = sample.error_body(Some(&page), &secrets) {
            return Err(Failed::new(Failure::Malformed, error));
        }
        let said = Said {
            framing: page.framing,
            next: &page.next,
            records: page.records,
            result_count: page.result_count,
            end_is_marked,
            announced_lines: media == crate::answer::Media::Lines,
        };
        match pager.accept(&said) {
            Ok(step) => Ok(Accepted { page, step }),
            Err(Stop::Malformed(error)) => Err(Failed::new(Failure::Malformed, with_members(error, &page, &secrets))),
            Err(Stop::Final(error)) => Err(Failed::new(Failure::Final, error)),
        }
    }

    /// What the decoder says, until the page's end.
    async fn drain(
        &mut self,
        mut output: mpsc::Receiver<Event>,
        pager: &Pager,
        secrets: &Secrets,
    ) -> Result<(Page, Sample), Failed> {
        let clock = &self.walker.options.clock;
        while let Some(event) = output.recv().await {
            match event {
                Event::Next(cursor) if pager.may_ask(&cursor) => {
                    let answer = Arc::clone(&self.walker.fetch).send(Some(cursor.clone()));
                    *self.ahead = Some(Ahead { cursor, answer: Task::spawn(answer) });
                }
                Event::Next(_) => {}
                Event::Batch(records) => {
                    let before = clock.now();
                    self.transaction.push(records).await?;
                    *self.stalled += clock.now().saturating_sub(before);
                }
                Event::End(page, sample) => return Ok((*page, sample)),
                Event::Failed(error, sample) => {
                    let error = sample.error_body(None, secrets).unwrap_or(error);
                    return Err(Failed::new(Failure::Malformed, error));
                }
            }
        }
        Err(worker_gone())
    }
}

/// Adds what was there instead of what should have been.
fn with_members(error: Error, page: &Page, secrets: &Secrets) -> Error {
    if page.members.is_empty() || page.next != Next::Absent {
        return error;
    }
    let names: Vec<_> = page.members.iter().map(|name| crate::escape::escape(&secrets.hide(name), 40)).collect();
    advise_more(error, &format!("the answer has the members {}", names.join(", ")))
}

fn advise_more(error: Error, more: &str) -> Error {
    let advice = error.advice().map_or_else(|| more.to_owned(), |advice| format!("{more}; {advice}"));
    error.advise(advice)
}

/// Whether the answer to a cursor may mean that the API knows it no more.
fn is_expired(failure: Failure) -> bool {
    matches!(failure, Failure::Status(400 | 404 | 410 | 422))
}

/// The last word about a page.
fn given_up(error: Error, why: Why, attempts: u32, elapsed: Duration) -> Error {
    match why {
        Why::Final => error,
        Why::Exhausted => advise_more(error, &format!("tried {attempts} times in {:.0} s", elapsed.as_secs_f64())),
        Why::WaitTooLong(wait) => {
            let what = format!("the server asks to wait {} s, longer than allowed", wait.as_secs());
            let place = error.place().clone();
            Error::new(ErrorKind::Busy, what).at(place).because(error).advise("run again later")
        }
    }
}

fn worker_gone() -> Failed {
    Failed::new(Failure::Final, Error::internal("the decoder's thread stopped"))
}

fn stopped(error: tokio::task::JoinError) -> Failed {
    Failed::new(Failure::Final, Error::internal("a request stopped by itself").because(error))
}

impl From<Gone> for Failed {
    fn from(gone: Gone) -> Self {
        Self::new(Failure::Final, gone.into())
    }
}
