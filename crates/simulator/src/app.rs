//! The HTTP application: who may ask, how often, and the one place that every response passes.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::accounts::Account;
use crate::answer::{self, Answer};
use crate::cursor::Cursors;
use crate::error::ApiError;
use crate::people::People;
use crate::query::Query;
use crate::rate::{Rate, Verdict, Window};
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
    let (verdict, outcome) = decide(&api, &parts);
    deliver(&api, &parts, verdict, outcome)
}

/// What the API answers, before anything about HTTP is said.
fn decide(api: &Api, parts: &Parts) -> (Option<Verdict>, Result<Answer, ApiError>) {
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
        _ => answer::answer(api, account, parts.uri.path(), &query, &parts.uri.to_string()),
    };
    (verdict, outcome)
}

/// Every response leaves through here: the place to count it, to compress it, or to spoil it.
fn deliver(api: &Api, parts: &Parts, verdict: Option<Verdict>, outcome: Result<Answer, ApiError>) -> Response {
    api.served.request();
    let gzip = api.config.gzip && accepts_gzip(&parts.headers);
    let (status, kind, body) = match outcome {
        Ok(Answer::Json { body }) => (StatusCode::OK, "application/json; charset=utf-8", whole(body, gzip)),
        Ok(Answer::Stream(rest)) => {
            let kind = if rest.array { "application/json; charset=utf-8" } else { "application/x-ndjson" };
            (StatusCode::OK, kind, Body::from_stream(rest.pieces(gzip, api.served.clone())))
        }
        Err(refusal) => {
            api.served.refusal();
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, "application/json; charset=utf-8", whole(refusal.body(), gzip))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
    }
    if let Some(verdict) = verdict {
        let limit = format!("{};w={}", verdict.rate.requests, verdict.rate.window.as_secs());
        if let Ok(limit) = HeaderValue::from_str(&limit) {
            headers.insert("ratelimit-limit", limit);
        }
        headers.insert("ratelimit-remaining", verdict.remaining.into());
        headers.insert("ratelimit-reset", verdict.reset.into());
        if !verdict.allowed {
            headers.insert(header::RETRY_AFTER, verdict.reset.into());
        }
    }
    response
}

fn whole(body: Vec<u8>, gzip: bool) -> Body {
    if !gzip {
        return body.into();
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Compressing into memory cannot fail.
    let _ = encoder.write_all(&body);
    encoder.finish().unwrap_or_default().into()
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
