//! The simulator as a server on localhost.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::app::{Api, Clock, router};
use crate::connection::{Connections, Slot};
use crate::fault::Fault;
use crate::ledger::Ledger;
use crate::profile::Profile;
use crate::rate::Rate;
use crate::served::Served;

/// How long a shutdown waits for answers under way.
const GRACE: Duration = Duration::from_secs(5);

/// What a simulator is like.
#[derive(Clone)]
#[must_use]
pub struct Builder {
    pub(crate) members: u64,
    pub(crate) seed: u64,
    pub(crate) profile: Profile,
    pub(crate) token: Option<String>,
    pub(crate) port: u16,
    pub(crate) default_limit: usize,
    pub(crate) max_limit: usize,
    pub(crate) cursor_first: bool,
    pub(crate) gzip: bool,
    pub(crate) account_rate: Option<Rate>,
    pub(crate) token_rate: Option<Rate>,
    pub(crate) clock: Clock,
    pub(crate) faults: Vec<Fault>,
    pub(crate) ledger: Option<Ledger>,
    pub(crate) stamp: bool,
}

impl Default for Builder {
    fn default() -> Self {
        let began = Instant::now();
        Self {
            members: 1_000,
            seed: 0,
            profile: Profile::default(),
            token: None,
            port: 0,
            default_limit: 100,
            max_limit: 1_000,
            cursor_first: false,
            gzip: false,
            account_rate: None,
            token_rate: None,
            clock: Arc::new(move || began.elapsed()),
            faults: Vec::new(),
            ledger: None,
            stamp: false,
        }
    }
}

impl Builder {
    /// How many members there are, at most [`MAX_MEMBERS`](crate::MAX_MEMBERS). Default: 1,000.
    pub fn members(self, members: u64) -> Self {
        Self { members: members.min(crate::MAX_MEMBERS), ..self }
    }

    /// What everything is computed from. Default: 0.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// How often odd things happen. Default: [`Profile::default`].
    pub fn profile(self, profile: Profile) -> Self {
        Self { profile, ..self }
    }

    /// The only bearer token taken. Default: any, as long as there is one.
    pub fn token(self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self }
    }

    /// The port on 127.0.0.1. Default: 0, any that is free.
    pub fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// Records a page where the request names no `limit`. Default: 100.
    pub fn default_limit(self, records: usize) -> Self {
        Self { default_limit: records.max(1), ..self }
    }

    /// Records a page at most, and where the request has the limit ignored. Default: 1,000.
    pub fn max_limit(self, records: usize) -> Self {
        Self { max_limit: records.max(1), ..self }
    }

    /// Writes cursors and counts before `result`. Default: after it.
    pub fn cursor_first(self, first: bool) -> Self {
        Self { cursor_first: first, ..self }
    }

    /// Compresses answers for clients that take gzip. Default: never.
    pub fn gzip(self, gzip: bool) -> Self {
        Self { gzip, ..self }
    }

    /// The rate that each account is held to. Default: none.
    pub fn account_rate(self, rate: Rate) -> Self {
        Self { account_rate: Some(rate), ..self }
    }

    /// The rate that all requests together are held to, as a token's are. Default: none.
    pub fn token_rate(self, rate: Rate) -> Self {
        Self { token_rate: Some(rate), ..self }
    }

    /// What tells the time to the rates, as the time since any fixed instant. Default: the system's monotonic clock.
    pub fn clock(self, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Something that goes wrong with the pages of lists; may be said again. Of several that strike the same page, one
    /// strikes at a time, in the order in which they were said. Default: nothing.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Writes a line of JSON for each response, before it leaves:
    ///
    /// | member | |
    /// |---|---|
    /// | `request` | the request's ordinal, from 0 |
    /// | `page` | the page's ordinal in its walk, from 0; null where the answer is no list |
    /// | `cursor_in`, `cursor_out` | the cursor that was sent, and the one that the page names |
    /// | `status`, `framing` | as they leave; `framing` is `raw` where a fault wrote the bytes itself |
    /// | `fault` | the fault that struck, as it was written; null if none did |
    /// | `whole` | whether the page left whole, with a status of 200, for a client that is patient |
    /// | `sha256` | of the body as it should have been, before it was compressed or spoiled |
    /// | `ids` | the page's records, in order |
    ///
    /// A `stream` answer is made at once rather than piece by piece where there is a ledger. Default: none.
    pub fn ledger(self, to: impl std::io::Write + Send + 'static) -> Self {
        Self { ledger: Some(Ledger::new(to)), ..self }
    }

    /// Gives each record a member `"ledger": {"page": 3, "idx": 7, "serve": 12}`: the page's ordinal in its walk, the
    /// position in the page, and the ordinal of the request, which is another whenever the page is served again. No
    /// schema declares it, so a table has it in `_extra`: `_extra->>'$.ledger.page'` in SQL. Default: no.
    pub fn stamp(self, stamp: bool) -> Self {
        Self { stamp, ..self }
    }

    /// The application without a listener, for those who bring their own. Faults of the connection, such as `reset`,
    /// need the simulator's own, and are answered with 501 without it.
    pub fn router(self) -> Router {
        router(Arc::new(Api::new(self)))
    }

    /// Listens on 127.0.0.1 and serves until the [`Simulator`] is dropped or shut down.
    ///
    /// # Errors
    ///
    /// The port cannot be bound.
    pub async fn start(self) -> std::io::Result<Simulator> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
        let address = listener.local_addr()?;
        let api = Arc::new(Api::new(self));
        let (stop, stopped) = oneshot::channel::<()>();
        let app = router(api.clone());
        let serving = tokio::spawn(async move {
            // Either a word to stop or the end of the one who could say it.
            let stopped = async { drop(stopped.await) };
            let app = app.into_make_service_with_connect_info::<Slot>();
            axum::serve(Connections(listener), app).with_graceful_shutdown(stopped).await
        });
        Ok(Simulator { address, api, stop: Some(stop), serving: Some(serving) })
    }
}

/// A simulator that is serving. Dropping it stops it, without waiting.
#[must_use = "a simulator stops when it is dropped"]
pub struct Simulator {
    address: SocketAddr,
    api: Arc<Api>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<std::io::Result<()>>>,
}

impl Simulator {
    /// Begins to describe a simulator.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL, such as `http://127.0.0.1:41234`, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has served so far.
    #[must_use]
    pub fn served(&self) -> Served {
        self.api.served().read()
    }

    /// Takes no new request and waits for the answers under way, for five seconds at most.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        if let Some(mut serving) = self.serving.take()
            && tokio::time::timeout(GRACE, &mut serving).await.is_err()
        {
            serving.abort();
        }
    }
}
