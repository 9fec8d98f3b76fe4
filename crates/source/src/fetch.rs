//! One request: sent, paced, timed, and its answer's head judged. The thin shell around reqwest.
//!
//! Nothing here shows a URL's query: errors of the client lose their URL, and the place is written without one.

use std::{
    collections::VecDeque,
    error::Error as StdError,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use pagemill_core::{Cursor, Error, ErrorKind, Place, Result};
use reqwest::{
    Client, Response,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    answer::{self, Media},
    clock::Clock,
    escape::{SHOWN, Secrets, escape},
    inflate::{GzipLimits, Inflate, Members},
    pace::Pacer,
    problem::{self, Problem},
    progress::Progress,
    query::ResponseFormat,
    retry::Failure,
    target::Target,
};

/// How long to wait for the network. Time in which we ourselves are not ready to take more does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// From the request to the head of its answer, the connection included.
    pub first_byte: Duration,
    /// For more of a body.
    pub idle: Duration,
    /// For all of a body.
    pub page: Duration,
    /// A body must bring [`Timeouts::floor`] bytes a second over each span of this length.
    pub floor_span: Duration,
    /// Bytes a second.
    pub floor: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(60),
            idle: Duration::from_secs(30),
            page: Duration::from_secs(600),
            floor_span: Duration::from_secs(30),
            floor: 1 << 10,
        }
    }
}

/// A failed attempt.
#[derive(Debug)]
pub(crate) struct Failed {
    /// What kind of failure, for the decision to try again.
    pub(crate) failure: Failure,
    /// The wait the server asked for.
    pub(crate) hint: Option<Duration>,
    /// What to say if it is not tried again.
    pub(crate) error: Error,
}

impl Failed {
    pub(crate) fn new(failure: Failure, error: Error) -> Self {
        Self { failure, hint: None, error }
    }
}

/// An answer whose head is good.
#[derive(Debug)]
pub(crate) struct Answer {
    response: Response,
    watch: Watch,
    /// How its body is compressed.
    pub(crate) gzip: Option<Members>,
    /// What it was announced as.
    pub(crate) media: Media,
    /// Whether anything but the end of the connection marks its end.
    pub(crate) end_is_marked: bool,
}

/// Sends requests for the pages of one list.
pub(crate) struct Fetch {
    client: Client,
    target: Target,
    format: ResponseFormat,
    bearer: HeaderValue,
    token: SecretString,
    delicate: Vec<SecretString>,
    timeouts: Timeouts,
    longest_hint: Duration,
    pacer: Mutex<Pacer>,
    /// The cursors that were asked for last, also of a walk before this one.
    asked: Mutex<VecDeque<Cursor>>,
    clock: Arc<dyn Clock>,
    progress: Progress,
}

/// What [`Fetch`] is made of.
pub(crate) struct Parts {
    pub(crate) target: Target,
    pub(crate) format: ResponseFormat,
    pub(crate) token: SecretString,
    /// Values of the query that are not to be shown either.
    pub(crate) delicate: Vec<SecretString>,
    pub(crate) timeouts: Timeouts,
    pub(crate) longest_hint: Duration,
    pub(crate) pacer: Pacer,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) progress: Progress,
    pub(crate) env_proxies: bool,
}

/// Cursors that are remembered, to be hidden where the server repeats them.
const ASKED: usize = 4;

impl Fetch {
    pub(crate) fn new(parts: Parts) -> Result<Self> {
        let Parts { target, format, token, delicate, timeouts, longest_hint, pacer, clock, progress, env_proxies } =
            parts;
        if token.expose_secret().is_empty() {
            return Err(Error::config("the token is empty"));
        }
        let bearer = SecretString::from(format!("Bearer {}", token.expose_secret()));
        let mut bearer = HeaderValue::from_str(bearer.expose_secret()).map_err(|_| {
            Error::config("the token has characters that no header can hold")
                .advise("look for a line break or a blank at its end")
        })?;
        bearer.set_sensitive(true);
        let mut client = Client::builder()
            .user_agent(concat!("pagemill/", env!("CARGO_PKG_VERSION")))
            // A redirect could lead a token, or a cursor in a Referer, to another host.
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .https_only(target.is_https())
            .connect_timeout(timeouts.connect);
        if !env_proxies {
            client = client.no_proxy();
        }
        let client =
            client.build().map_err(|e| Error::internal("cannot set up an HTTP client").because(e.without_url()))?;
        let (pacer, asked) = (Mutex::new(pacer), Mutex::default());
        Ok(Self {
            client,
            target,
            format,
            bearer,
            token,
            delicate,
            timeouts,
            longest_hint,
            pacer,
            asked,
            clock,
            progress,
        })
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Waits on the clock, for all to see.
    pub(crate) async fn wait(&self, wait: Duration) {
        if !wait.is_zero() {
            self.progress.waiting(self.clock.time_of_day().checked_add(wait));
            self.clock.sleep(wait).await;
            self.progress.waiting(None);
        }
    }

    /// Asks for the page of `cursor`, when its turn has come.
    pub(crate) async fn send(self: Arc<Self>, cursor: Option<Cursor>) -> Result<Answer, Failed> {
        let turn = self.pacer().reserve(self.clock.now());
        self.wait(turn).await;
        self.progress.request();
        if let Some(cursor) = &cursor {
            let mut asked = self.asked();
            asked.push_back(cursor.clone());
            if asked.len() > ASKED {
                asked.pop_front();
            }
        }
        let accept = match self.format {
            ResponseFormat::Stream => "application/x-ndjson, application/json",
            _ => "application/json",
        };
        let request = self
            .client
            .get(self.target.url(cursor.as_ref().map(Cursor::expose)))
            .header(AUTHORIZATION, self.bearer.clone())
            .header(ACCEPT, accept)
            .header(ACCEPT_ENCODING, "gzip");
        let response = match tokio::time::timeout(self.timeouts.first_byte, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(network(error)),
            Err(_) => return Err(slow(format!("the server did not answer within {:?}", self.timeouts.first_byte))),
        };
        answer::check_size(response.headers()).map_err(|e| Failed::new(Failure::Final, e))?;
        let now = self.clock.time_of_day();
        // A window that opens later than we may wait is left to the server to enforce, and then to explain.
        if let Some(wait) = answer::used_up(response.headers(), now).filter(|wait| *wait <= self.longest_hint) {
            let until = self.clock.now() + wait;
            self.pacer().close_until(until);
        }
        let secrets = self.secrets(cursor.as_ref());
        let status = response.status().as_u16();
        if status != 200 {
            let hint = answer::hint(status, response.headers(), now);
            let gzip = answer::is_gzip(response.headers()).unwrap_or(false);
            let reason = response.status().canonical_reason().unwrap_or_default();
            let answered = format!("{status} {reason}").trim_end().to_owned();
            let body = self.head(response, gzip).await;
            let problem = problem::read(&body, &secrets);
            return Err(Failed { failure: Failure::Status(status), hint, error: refused(status, &answered, problem) });
        }
        let gzip = answer::is_gzip(response.headers()).map_err(|e| Failed::new(Failure::Malformed, e))?;
        match answer::media(response.headers(), self.format) {
            Ok(media) => Ok(Answer {
                gzip: gzip.then_some(Members::One),
                media,
                end_is_marked: gzip || answer::end_is_marked(response.version(), response.headers()),
                watch: Watch::new(self.timeouts.clone()),
                response,
            }),
            Err(shown) => {
                let body = self.head(response, gzip).await;
                let begins = problem::plain(&body, &secrets);
                let shown = escape(&secrets.hide(&shown), SHOWN);
                let error = Error::data(format!("the answer is no JSON but {shown}, and begins {begins:?}"));
                Err(Failed::new(Failure::Final, error.advise("look at the base URL, and at proxies on the way")))
            }
        }
    }

    /// The words that must not appear in anything shown about the page of `cursor`: a server may repeat those that it was
    /// asked for before as well.
    pub(crate) fn secrets(&self, cursor: Option<&Cursor>) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add(self.token.expose_secret());
        self.delicate.iter().for_each(|value| secrets.add(value.expose_secret()));
        let asked = self.asked().clone();
        for cursor in asked.iter().chain(cursor) {
            secrets.add(cursor.expose());
        }
        secrets
    }

    /// Where an error about `page` happened.
    pub(crate) fn place(&self, page: u64) -> impl FnOnce(&mut Place) + use<> {
        let input = self.target.shown().to_owned();
        move |place| {
            place.input = Some(input);
            place.page = Some(page);
        }
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, VecDeque<Cursor>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pacer(&self) -> std::sync::MutexGuard<'_, Pacer> {
        self.pacer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The beginning of a body that is no page.
    async fn head(&self, mut response: Response, gzip: bool) -> Vec<u8> {
        let mut body = Vec::new();
        let deadline = Instant::now() + self.timeouts.idle;
        while body.len() < problem::MOST {
            let left = deadline.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, response.chunk()).await {
                Ok(Ok(Some(bytes))) => body.extend_from_slice(&bytes),
                // What there is has to do: the status is the message.
                _ => break,
            }
        }
        if gzip {
            let mut inflate = Inflate::new(Members::One, GzipLimits::default());
            let mut packed = Bytes::from(std::mem::take(&mut body));
            while let Ok(Some(piece)) = inflate.next(&mut packed) {
                body.extend_from_slice(&piece);
                if body.len() >= problem::MOST {
                    break;
                }
            }
        }
        body.truncate(problem::MOST);
        body
    }
}

impl Answer {
    /// More of the body; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Failed> {
        let patience = self.watch.patience();
        let before = Instant::now();
        match tokio::time::timeout(patience, self.response.chunk()).await {
            Ok(Ok(Some(bytes))) => {
                self.watch.took(bytes.len() as u64, before.elapsed()).map_err(slow)?;
                Ok(Some(bytes))
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) => Err(network(error)),
            Err(_) => Err(slow(format!("the server sent nothing for {patience:?}"))),
        }
    }
}

/// Watches how fast a body comes.
#[derive(Debug)]
struct Watch {
    limits: Timeouts,
    waited: Duration,
    span: Duration,
    bytes: u64,
}

impl Watch {
    fn new(limits: Timeouts) -> Self {
        Self { limits, waited: Duration::ZERO, span: Duration::ZERO, bytes: 0 }
    }

    /// How long the next wait may be.
    fn patience(&self) -> Duration {
        self.limits.idle.min(self.limits.page.saturating_sub(self.waited))
    }

    /// Counts bytes that took `waited` to come.
    fn took(&mut self, bytes: u64, waited: Duration) -> Result<(), String> {
        self.waited += waited;
        self.span += waited;
        self.bytes += bytes;
        if self.waited > self.limits.page {
            return Err(format!("the page took longer than {:?}", self.limits.page));
        }
        if self.span >= self.limits.floor_span {
            let enough = self.limits.floor as f64 * self.limits.floor_span.as_secs_f64();
            if (self.bytes as f64) < enough {
                return Err(format!("the server sent {} bytes in {:?}", self.bytes, self.span));
            }
            self.span = Duration::ZERO;
            self.bytes = 0;
        }
        Ok(())
    }
}

fn slow(what: String) -> Failed {
    Failed::new(Failure::Network, Error::new(ErrorKind::Unavailable, what))
}

/// A failure below HTTP.
fn network(error: reqwest::Error) -> Failed {
    let error = error.without_url();
    if error.is_builder() {
        return Failed::new(Failure::Final, Error::internal("the request cannot be built").because(error));
    }
    let certificate = error.is_connect() && is_tls(&error);
    let what = match () {
        () if certificate => "no secure connection to the server could be made",
        () if error.is_connect() => "cannot connect to the server",
        () if error.is_timeout() => "the server took too long",
        () => "the connection broke before the answer was complete",
    };
    // A certificate that is wrong now is wrong in a second, and asking on would only hide an attack.
    let failure = if certificate { Failure::Final } else { Failure::Network };
    Failed::new(failure, Error::new(ErrorKind::Unavailable, what).because(error))
}

/// rustls reports through an `io::Error` of kind `InvalidData`; nothing else does while connecting.
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    // The source of an `io::Error` that wraps another skips the wrapped one.
    let wrapped = error.downcast_ref::<io::Error>();
    wrapped.is_some_and(|e| e.kind() == io::ErrorKind::InvalidData)
        || wrapped.and_then(io::Error::get_ref).is_some_and(|inner| is_tls(inner))
        || error.source().is_some_and(is_tls)
}

/// An answer with a status other than 200, in words.
fn refused(status: u16, answered: &str, problem: Problem) -> Error {
    let kind = match status {
        401 | 403 => ErrorKind::Denied,
        408 | 425 | 429 | 500.. => ErrorKind::Unavailable,
        300..500 => ErrorKind::Rejected,
        _ => ErrorKind::Data,
    };
    let message = match problem.message.as_str() {
        "" => format!("the server answered {answered}"),
        said => format!("the server answered {answered}: {said}"),
    };
    let own = match status {
        200..300 => Some("a list is answered with 200"),
        300..=399 => Some("redirects are not followed: give the address that it leads to as the base URL"),
        401 if problem.remote => Some("the account's own credentials no longer work: reconnect it"),
        401 => Some("check the token"),
        403 => Some("check what the token, or the account's connection, is allowed to read"),
        404 => Some("check the account, the resource and the base URL"),
        429 => Some("the rate limit is used up: ask again later, or pace the requests"),
        503 => Some("the integrated account may be blocked: if this goes on, ask the vendor's support"),
        _ => None,
    };
    let error = Error::new(kind, message);
    match (problem.advice, own) {
        (Some(said), _) => error.advise(said),
        (None, Some(own)) => error.advise(own),
        (None, None) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drip_is_too_slow_and_a_stream_is_not() {
        let second = Duration::from_secs(1);
        let mut drip = Watch::new(Timeouts::default());
        let seconds = (0..).take_while(|_| drip.took(5, second).is_ok()).count();
        assert_eq!(seconds, 29);
        // A span of less than a second counts like any other.
        let short = Timeouts { floor_span: second / 10, ..Timeouts::default() };
        assert!(Watch::new(short.clone()).took(102, second / 10).is_err());
        assert!(Watch::new(short).took(103, second / 10).is_ok());
        let mut stream = Watch::new(Timeouts::default());
        for _ in 0..599 {
            stream.took(2048, second).expect("fast enough");
        }
        assert_eq!(stream.patience(), second, "the page's time is nearly over");
        assert!(stream.took(2048, 2 * second).is_err());
    }

    #[test]
    fn whose_fault_a_status_is() {
        let kind = |status| refused(status, "", Problem::default()).kind();
        assert_eq!(kind(401), ErrorKind::Denied);
        assert_eq!(kind(403), ErrorKind::Denied);
        for status in [301, 308, 400, 404, 405, 409, 410, 422] {
            assert_eq!(kind(status), ErrorKind::Rejected, "{status}");
        }
        for status in [408, 425, 429, 500, 501, 502, 503, 504, 520] {
            assert_eq!(kind(status), ErrorKind::Unavailable, "{status}");
        }
        assert_eq!(kind(204), ErrorKind::Data);
        assert_eq!(kind(206), ErrorKind::Data);
        let blocked = refused(503, "503 Service Unavailable", Problem::default()).to_string();
        assert!(blocked.contains("blocked"), "{blocked}");
    }
}
