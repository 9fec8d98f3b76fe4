//! A small HTTP server whose every byte a test decides, and a reader that collects what a source gives.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use arrow::array::AsArray;
use flate2::{Compression, write::GzEncoder};
use futures::StreamExt;
use pagemill_core::{Checkpoint, Error, PageSummary, Resource, Resume, Source};
use pagemill_source::{HttpOptions, HttpSource, Request, VirtualClock};
use socket2::SockRef;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub target: String,
    pub headers: Vec<(String, String)>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The cursor, as it is written in the query.
    pub fn cursor(&self) -> Option<&str> {
        self.target.split('&').find_map(|pair| pair.strip_prefix("next_cursor="))
    }
}

/// A server on this machine. Each connection is one request, answered by a function on a thread of its own.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// `answer` gets the ordinal of the request, the request, and the connection to write to.
    pub fn start(answer: impl Fn(usize, &Seen, &mut TcpStream) + Send + Sync + 'static) -> Self {
        Self::listening(TcpListener::bind("127.0.0.1:0").expect("a port"), answer)
    }

    /// As [`Server::start`], on a port that is listened on already.
    pub fn listening(
        listener: TcpListener,
        answer: impl Fn(usize, &Seen, &mut TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("an address");
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, stopped, answer) = (Arc::clone(&seen), Arc::clone(&stop), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let Some(request) = read_request(&stream) else { return };
                    let n = {
                        let mut log = lock(&log);
                        log.push(request.clone());
                        log.len() - 1
                    };
                    answer(n, &request, &mut stream);
                    // After `reset`, closing the connection resets it; a FIN must not come before.
                    if !matches!(SockRef::from(&stream).linger(), Ok(Some(Duration::ZERO))) {
                        let _ = stream.shutdown(Shutdown::Write);
                    }
                });
            }
        });
        Self { address, seen, stop }
    }

    /// A server that answers its requests with these bytes, one after another, and the last of them for ever.
    pub fn script(answers: Vec<Vec<u8>>) -> Self {
        Self::start(move |n, _, stream| {
            let answer = answers.get(n).or(answers.last()).expect("an answer");
            let _ = stream.write_all(answer);
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Has the end of this connection be a reset rather than an orderly end.
pub fn reset(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("a socket");
}

/// This test binary again, with one ignored test of it: for what belongs to a process, such as its environment.
pub fn again(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command.args(["--ignored", "--exact", test]);
    command
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn read_request(stream: &TcpStream) -> Option<Seen> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let target = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())))
        .collect();
    Some(Seen { target, headers })
}

/// An answer with `Content-Length`.
pub fn answer(status: u16, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut out = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    headers.iter().for_each(|header| out.extend([header, "\r\n"]));
    [out.as_bytes(), b"\r\n", body].concat()
}

/// A good answer of JSON.
pub fn json(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer(200, &["content-type: application/json"], body)
}

/// Opens once; many may wait for it.
#[derive(Default)]
pub struct Gate(Mutex<bool>, Condvar);

impl Gate {
    pub fn open(&self) {
        *self.0.lock().expect("a gate") = true;
        self.1.notify_all();
    }

    /// True when it was opened in time.
    pub fn wait(&self) -> bool {
        let guard = self.0.lock().expect("a gate");
        let (guard, _) = self.1.wait_timeout_while(guard, Duration::from_secs(10), |open| !*open).expect("a gate");
        *guard
    }
}

/// As one gzip member.
pub fn gzip(plain: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain.as_ref()).expect("memory");
    encoder.finish().expect("memory")
}

/// A page of the records `ids`, whose cursor comes first or last as `first` says.
pub fn page(ids: std::ops::Range<u32>, cursor: Option<&str>) -> String {
    let records: Vec<_> = ids.map(|id| format!("{{\"id\":\"{id}\"}}")).collect();
    let cursor = cursor.map_or("null".to_owned(), |c| serde_json::Value::from(c).to_string());
    format!("{{\"next_cursor\":{cursor},\"result\":[{}]}}", records.join(","))
}

pub const TOKEN: &str = "canary-token-1234";

pub fn members() -> Resource {
    Resource::builtin("instant-messaging/members").expect("built in")
}

/// A clock, and options that go by it, with the longest jitter.
pub fn options(server: &Server) -> (Arc<VirtualClock>, HttpOptions) {
    let clock = Arc::new(VirtualClock::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
    let options = HttpOptions {
        base_url: server.url(),
        clock: Arc::clone(&clock) as _,
        jitter: Arc::new(|| 1.0),
        ..HttpOptions::default()
    };
    (clock, options)
}

pub fn source(request: &Request, options: HttpOptions) -> HttpSource {
    HttpSource::new(&members(), request, TOKEN.into(), options).expect("good options")
}

/// What a source gave.
#[derive(Debug, Default)]
pub struct Given {
    pub ids: Vec<String>,
    pub first_rows: Vec<u64>,
    pub checkpoints: Vec<Checkpoint>,
    pub summaries: Vec<PageSummary>,
    pub error: Option<Error>,
}

impl Given {
    pub fn ids_are(&self, ids: std::ops::Range<u32>) {
        assert!(self.error.is_none(), "{:?}", self.error);
        assert_eq!(self.ids, ids.map(|id| id.to_string()).collect::<Vec<_>>());
    }

    pub fn failed(&self) -> &Error {
        self.error.as_ref().expect("a failure")
    }
}

pub async fn collect(mut source: impl Source, from: Option<Checkpoint>) -> Given {
    collect_from(&mut source, from).await
}

pub async fn collect_from(source: &mut dyn Source, from: Option<Checkpoint>) -> Given {
    let mut given = Given::default();
    let from = from.map(|checkpoint| Resume { checkpoint, seen: Vec::new(), summary: serde_json::Value::Null });
    let mut batches = source.read(from);
    while let Some(batch) = batches.next().await {
        match batch {
            Err(error) => {
                assert!(given.error.replace(error).is_none(), "the stream goes on after an error");
            }
            Ok(batch) => {
                let ids = batch.records.column_by_name("id").expect("an id").as_string::<i32>();
                given.first_rows.push(batch.first_row);
                given.ids.extend(ids.iter().map(|id| id.unwrap_or("null").to_owned()));
                if let Some(end) = batch.end {
                    given.checkpoints.push(end.resume);
                    given.summaries.push(end.summary);
                }
            }
        }
    }
    given
}

/// Everything from the server with default options.
pub async fn read_all(server: &Server) -> Given {
    let (_, options) = options(server);
    collect(source(&Request::new("acct-1"), options), None).await
}
