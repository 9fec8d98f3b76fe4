//! The HTTP application: who may ask, how often, and the one place that every response passes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use axum::response::Response;

use crate::accounts::Account;
use crate::answer::{self, Answer};
use crate::connection::Slot;
use crate::cursor::Cursors;
use crate::error::ApiError;
use crate::fault::spoil::{Delivery, spoil};
use crate::fault::{Kind, Strikes};
use crate::ledger::{self, Entry};
use crate::people::People;
use crate::query::Query;
use crate::rate::{Rate, Verdict, Window};
use crate::reply::{self, JSON, Reply};
use crate::served::Counters;
use crate::server::Builder;

/// Tells the time since some fixed instant.
pub(crate) type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Everything that the application knows.
pub(crate) struct Api {
    config: Builder,
    people: HashMap<Account, Arc<People>>,
    cursors: Cursors,
    windows: Mutex<HashMap<Limited, Window>>,
    served: Arc<Counters>,
    strikes: Strikes,
}

/// Whose requests are counted together.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Limited {
    Account(Account),
    Token,
}

impl Api {
    pub(crate) fn new(config: Builder) -> Self {
        let accounts = [Account::Everything, Account::Slack, Account::Teams, Account::Microsoft365];
        let people = accounts
            .map(|account| (account, Arc::new(People::new(config.seed, config.profile.clone(), account.provider()))));
        Self {
            cursors: Cursors::new(config.seed, config.members),
            people: people.into(),
            windows: Mutex::default(),
            served: Arc::default(),
            strikes: Strikes::new(config.faults.clone(), config.seed),
            config,
        }
    }

    pub(crate) fn people(&self, account: Account) -> Arc<People> {
        self.people
            .get(&account)
            .cloned()
            .unwrap_or_else(|| Arc::new(People::new(self.config.seed, self.config.profile.clone(), account.provider())))
    }

    pub(crate) fn members(&self) -> u64 {
        self.config.members
    }

    pub(crate) fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    /// The default of `limit`, and its ceiling.
    pub(crate) fn limits(&self) -> (usize, usize) {
        (self.config.default_limit.min(self.config.max_limit), self.config.max_limit)
    }

    pub(crate) fn cursor_first(&self) -> bool {
        self.config.cursor_first
    }

    pub(crate) fn served(&self) -> &Arc<Counters> {
        &self.served
    }

    pub(crate) fn strikes(&self) -> &Strikes {
        &self.strikes
    }

    /// Whether records say where they were served.
    pub(crate) fn stamps(&self) -> bool {
        self.config.stamp
    }

    /// Whether anything has to be known of a page beyond its body.
    pub(crate) fn is_watched(&self) -> bool {
        self.config.stamp || self.config.ledger.is_some() || !self.strikes.is_empty()
    }

    fn authorize(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let sent = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty())
            .map(|(_, token)| token.trim());
        match (sent, &self.config.token) {
            (Some(_), None) => Ok(()),
            (Some(sent), Some(token)) if sent == token => Ok(()),
            _ => Err(ApiError::unauthorized()),
        }
    }

    /// Counts a request against the rates; the verdict is the narrowest, if there is any rate.
    fn pace(&self, account: Account) -> Option<Verdict> {
        let now = (self.config.clock)();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut take =
            |who: Limited, rate: Option<Rate>| rate.map(|rate| windows.entry(who).or_default().take(rate, now));
        let verdicts =
            [take(Limited::Account(account), self.config.account_rate), take(Limited::Token, self.config.token_rate)];
        verdicts.into_iter().flatten().min_by_key(|verdict| (verdict.allowed, verdict.remaining))
    }
}

/// The application as a router, to be served on whatever listens.
pub(crate) fn router(api: Arc<Api>) -> Router {
    Router::new().fallback(handle).with_state(api)
}

async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let number = api.served.request();
    let (verdict, outcome) = decide(&api, &parts, number);
    deliver(&api, &parts, number, verdict, outcome)
}

/// What the API answers, before anything about HTTP is said.
fn decide(api: &Api, parts: &Parts, number: u64) -> (Option<Verdict>, Result<Answer, ApiError>) {
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let admitted = api.authorize(&parts.headers).and_then(|()| match parts.method {
        Method::GET => answer::account(parts.uri.path(), &query),
        _ => Err(ApiError::method_not_allowed()),
    });
    let account = match admitted {
        Ok(account) => account,
        Err(refusal) => return (None, Err(refusal)),
    };
    let verdict = api.pace(account);
    let outcome = match verdict {
        Some(Verdict { allowed: false, reset, .. }) => Err(ApiError::too_many_requests(reset)),
        _ => answer::answer(api, account, parts.uri.path(), &query, &parts.uri.to_string(), number),
    };
    (verdict, outcome)
}

/// Every response leaves through here: the place to count it, to compress it, to spoil it, and to write it down.
fn deliver(
    api: &Api,
    parts: &Parts,
    number: u64,
    verdict: Option<Verdict>,
    outcome: Result<Answer, ApiError>,
) -> Response {
    let gzip = api.config.gzip && accepts_gzip(&parts.headers);
    let (mut reply, listed) = match outcome {
        Ok(Answer::Json { body, listed }) => (Reply::new(StatusCode::OK, JSON, body), listed),
        Ok(Answer::Stream(rest, listed)) => {
            let kind = if rest.array { JSON } else { "application/x-ndjson" };
            if listed.is_none() {
                let mut response = Response::new(Body::from_stream(rest.pieces(gzip, api.served.clone())));
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
                if gzip {
                    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
                }
                headers.extend(verdict.iter().flat_map(windows));
                return response;
            }
            (Reply::new(StatusCode::OK, kind, rest.whole(&api.served)), listed)
        }
        Err(refusal) => {
            let mut reply = Reply::new(reply::status(&refusal), JSON, refusal.body());
            if reply.status == StatusCode::METHOD_NOT_ALLOWED {
                reply.headers.push((header::ALLOW, HeaderValue::from_static("GET")));
            }
            (reply, None)
        }
    };
    let sha256 = api.config.ledger.as_ref().map_or_else(String::new, |_| ledger::sha256(&reply.body));
    if gzip {
        reply.compress();
    }
    reply.headers.extend(verdict.iter().flat_map(windows));
    let fault = listed.as_ref().and_then(|listed| listed.fault.as_ref()).map(|fault| &fault.kind);
    let delivery = match fault {
        None => Delivery::Whole(reply),
        Some(kind) => spoil(kind, reply),
    };
    let (status, framing) = match &delivery {
        Delivery::Whole(reply) => (reply.status, reply.framing()),
        Delivery::Raw(_) => (StatusCode::OK, "raw"),
    };
    if status != StatusCode::OK {
        api.served.refusal();
    }
    if let Some(ledger) = &api.config.ledger {
        let whole = status == StatusCode::OK && fault.is_none_or(Kind::leaves_whole);
        let (listed, status) = (listed.as_ref(), status.as_u16());
        // What cannot be written down must not count.
        if let Err(error) = ledger.write(&Entry { request: number, listed, status, framing, whole, sha256 }) {
            let refusal = ApiError::of(500, format!("the ledger cannot be written: {error}"));
            return Reply::new(reply::status(&refusal), JSON, refusal.body()).into();
        }
    }
    match (delivery, parts.extensions.get::<ConnectInfo<Slot>>()) {
        (Delivery::Whole(reply), _) => reply.into(),
        (Delivery::Raw(script), Some(ConnectInfo(slot))) => {
            slot.put(script);
            // Something to write, for the script to be noticed; none of it is sent.
            Response::new(Body::empty())
        }
        (Delivery::Raw(_), None) => {
            let refusal = ApiError::of(501, "This fault needs the simulator's own listener");
            Reply::new(reply::status(&refusal), JSON, refusal.body()).into()
        }
    }
}

/// What an answer says of the windows of requests.
fn windows(verdict: &Verdict) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = vec![
        (HeaderName::from_static("ratelimit-remaining"), verdict.remaining.into()),
        (HeaderName::from_static("ratelimit-reset"), verdict.reset.into()),
    ];
    let limit = format!("{};w={}", verdict.rate.requests, verdict.rate.window.as_secs());
    if let Ok(limit) = HeaderValue::from_str(&limit) {
        headers.push((HeaderName::from_static("ratelimit-limit"), limit));
    }
    if !verdict.allowed {
        headers.push((header::RETRY_AFTER, verdict.reset.into()));
    }
    headers
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
            let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
            (name.trim().eq_ignore_ascii_case("gzip") || name.trim() == "*") && !refused
        })
}
