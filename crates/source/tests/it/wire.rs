//! Answers that break HTTP's own rules, connections that are refused, redirects: each is asked for again or refused
//! with a reason, and nothing of it is delivered.

use std::{
    fmt,
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use futures::future::BoxFuture;
use pagemill_core::ErrorKind;
use pagemill_source::{Clock, HttpOptions, Request, VirtualClock};
use socket2::{Domain, Socket, Type};

use crate::support::*;

/// A clock that does something whenever it is waited on.
struct Hooked {
    clock: VirtualClock,
    hook: Box<dyn Fn(usize) + Send + Sync>,
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.clock.fmt(f)
    }
}

impl Clock for Hooked {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn time_of_day(&self) -> SystemTime {
        self.clock.time_of_day()
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        let slept = self.clock.sleep(wait);
        (self.hook)(self.clock.waits().len());
        slept
    }
}

#[tokio::test]
async fn a_server_that_comes_up_in_time_is_waited_for() {
    for refused in 1..=8usize {
        // A port that is taken and not listened on refuses every connection.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
        let address = socket.local_addr().expect("an address").as_socket().expect("of IP");
        let server: Arc<Mutex<Option<Server>>> = Arc::default();
        let (up, socket) = (Arc::clone(&server), Mutex::new(Some(socket)));
        let clock = Arc::new(Hooked {
            clock: VirtualClock::new(SystemTime::UNIX_EPOCH),
            hook: Box::new(move |waits| {
                if waits == refused {
                    let socket = socket.lock().expect("a socket").take().expect("one");
                    socket.listen(8).expect("listens");
                    let answer = |_: usize, _: &Seen, stream: &mut std::net::TcpStream| {
                        let _ = stream.write_all(&json(page(0..2, None)));
                    };
                    *up.lock().expect("a server") = Some(Server::listening(socket.into(), answer));
                }
            }),
        });
        let options = HttpOptions {
            base_url: format!("http://{address}"),
            clock: Arc::clone(&clock) as _,
            jitter: Arc::new(|| 1.0),
            ..HttpOptions::default()
        };
        let given = collect(source(&Request::new("a"), options), None).await;
        if refused < 8 {
            given.ids_are(0..2);
            assert_eq!(given.summaries[0].retries, refused as u32);
        } else {
            assert_eq!(given.failed().kind(), ErrorKind::Unavailable);
            assert!(given.failed().to_string().contains("tried 8 times"), "{:?}", given.failed());
        }
        // Back-off is all that it takes, with the longest jitter.
        let waits: Vec<_> = clock.clock.waits().iter().map(Duration::as_secs_f64).collect();
        assert_eq!(waits, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0][..refused.min(7)]);
    }
}

/// An answer with these lines after the status, and this body.
fn raw(lines: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{lines}\r\n\r\n{body}").into_bytes()
}

/// Reads from a server that only ever gives `broken`: nothing comes of it. Then from one that gives something good
/// after it: that comes, and nothing else. Gives how many attempts were made before the first was given up.
async fn never_delivered(name: &str, broken: Vec<u8>, kind: ErrorKind) -> usize {
    let server = Server::script(vec![broken.clone()]);
    let given = read_all(&server).await;
    assert_eq!(given.failed().kind(), kind, "{name}: {:?}", given.failed());
    assert!(given.ids.is_empty() && given.checkpoints.is_empty(), "{name}");
    let attempts = server.seen().len();
    let server = Server::script(vec![broken, json(page(0..3, None))]);
    let given = read_all(&server).await;
    given.ids_are(0..3);
    assert_eq!(given.summaries[0].retries, 1, "{name}");
    attempts
}

#[tokio::test]
async fn lengths_that_do_not_fit_are_refused() {
    let body = page(50..53, None);
    let n = body.len();
    let cases = [
        ("longer than the body", raw(&format!("content-length: {}", n + 7), &body), ErrorKind::Unavailable, 8),
        ("shorter than the body", raw(&format!("content-length: {}", n - 7), &body), ErrorKind::Data, 3),
        (
            "two of them",
            raw(&format!("content-length: {n}\r\ncontent-length: {}", n + 1), &body),
            ErrorKind::Unavailable,
            8,
        ),
        ("negative", raw("content-length: -5", &body), ErrorKind::Unavailable, 8),
        ("of 20 digits", raw("content-length: 99999999999999999999", &body), ErrorKind::Unavailable, 8),
        ("no number", raw("content-length: banana", &body), ErrorKind::Unavailable, 8),
    ];
    for (name, broken, kind, attempts) in cases {
        assert_eq!(never_delivered(name, broken, kind).await, attempts, "{name}");
    }
}

#[tokio::test]
async fn chunks_that_are_none_are_refused() {
    let body = page(50..53, None);
    let chunked = |text: String| raw("transfer-encoding: chunked", &text);
    let n = body.len();
    let cases = [
        ("a size that is no number", chunked(format!("zz\r\n{body}\r\n0\r\n\r\n"))),
        ("a size beyond reason", chunked(format!("ffffffffffffffff\r\n{body}\r\n0\r\n\r\n"))),
        ("a size of more than 64 bits", chunked(format!("1ffffffffffffffff\r\n{body}\r\n0\r\n\r\n"))),
        ("no last chunk", chunked(format!("{n:x}\r\n{body}\r\n"))),
        ("a chunk longer than its size", chunked(format!("{:x}\r\n{body}\r\n0\r\n\r\n", n - 3))),
        ("a chunk shorter than its size", chunked(format!("{:x}\r\n{body}\r\n0\r\n\r\n", n + 3))),
    ];
    for (name, broken) in cases {
        assert_eq!(never_delivered(name, broken, ErrorKind::Unavailable).await, 8, "{name}");
    }
    // Where both are there, the chunks count (RFC 9112, 6.3).
    let both = "content-length: 5\r\ntransfer-encoding: chunked";
    let server = Server::script(vec![raw(both, &format!("{n:x}\r\n{body}\r\n0\r\n\r\n"))]);
    read_all(&server).await.ids_are(50..53);
}

#[tokio::test]
async fn heads_beyond_reason_are_refused() {
    let body = page(50..53, None);
    let many: String = (0..200).map(|n| format!("x-{n}: v\r\n")).collect();
    let cases = [
        ("many headers", raw(&format!("{many}content-length: {}", body.len()), &body)),
        ("a header of 1 MiB", raw(&format!("x: {}\r\ncontent-length: {}", "v".repeat(1 << 20), body.len()), &body)),
        ("no HTTP at all", b"220 mail.example.com ESMTP\r\n".to_vec()),
    ];
    for (name, broken) in cases {
        assert_eq!(never_delivered(name, broken, ErrorKind::Unavailable).await, 8, "{name}");
    }
}

#[tokio::test]
async fn headers_of_64_kib_are_read_and_no_more() {
    let body = page(0..3, None);
    let length = format!("content-length: {}", body.len());
    // Name and value of each, and the four bytes around them.
    let rest = ["connection: close", "content-type: application/json", &length]
        .iter()
        .map(|line| line.len() + 2)
        .sum::<usize>();
    for (bytes, fits) in [((64 << 10) - 1, true), (64 << 10, true), ((64 << 10) + 1, false), (380_000, false)] {
        let value = "v".repeat(bytes - rest - 5);
        let server =
            Server::script(vec![answer(200, &["content-type: application/json", &format!("x: {value}")], &body)]);
        let given = read_all(&server).await;
        if fits {
            given.ids_are(0..3);
        } else {
            assert_eq!(given.failed().kind(), ErrorKind::Data);
            assert!(given.failed().message().contains(&format!("{bytes} bytes of headers")), "{}", given.failed());
            assert_eq!(server.seen().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_refusal_in_mid_walk_keeps_what_came_before_and_can_be_resumed() {
    for (status, kind) in [
        (401, ErrorKind::Denied),
        (403, ErrorKind::Denied),
        // What a server says of a cursor that it no longer knows.
        (400, ErrorKind::Rejected),
        (404, ErrorKind::Rejected),
        (410, ErrorKind::Rejected),
        (422, ErrorKind::Rejected),
    ] {
        let refusal = answer(status, &[], "{\"message\":\"no\"}");
        let rest = json(page(4..5, None));
        let server = Server::script(vec![json(page(0..2, Some("b"))), json(page(2..4, Some("c"))), refusal, rest]);
        let given = read_all(&server).await;
        assert_eq!(given.failed().kind(), kind, "{status}");
        assert_eq!(given.failed().place().page, Some(2), "{status}");
        assert_eq!(given.ids, ["0", "1", "2", "3"], "{status}");
        assert_eq!(server.seen().len(), 3, "{status} is asked for once");
        let (_, options) = options(&server);
        let from = given.checkpoints.last().cloned();
        let rest = collect(source(&Request::new("a"), options), from).await;
        rest.ids_are(4..5);
        assert_eq!(rest.first_rows, [4]);
        assert_eq!(server.seen()[3].cursor(), Some("c"));
    }
}

#[tokio::test]
async fn a_redirect_leads_nowhere_and_takes_nothing_along() {
    // Connections that nobody takes stay in the queue of this listener, to be counted at the end.
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = elsewhere.local_addr().expect("an address").port();
    let mut cases = 0;
    for status in [301, 302, 303, 307, 308] {
        for location in [
            "/elsewhere".to_owned(),
            format!("http://127.0.0.1:{port}/x"),
            format!("http://localhost:{port}/x"),
            format!("https://127.0.0.1:{port}/x"),
            format!("//127.0.0.1:{port}/x"),
            "file:///etc/hostname".to_owned(),
        ] {
            let server = Server::script(vec![
                json(page(0..2, Some("canary-cursor"))),
                answer(status, &[&format!("location: {location}")], ""),
            ]);
            let given = read_all(&server).await;
            assert_eq!(given.failed().kind(), ErrorKind::Rejected, "{status} {location}");
            assert_eq!(server.seen().len(), 2, "{status} {location}");
            assert!(
                server.seen().iter().all(|seen| seen.header("referer").is_none() && seen.header("cookie").is_none())
            );
            assert!(!given.failed().to_string().contains("canary"), "{:?}", given.failed());
            cases += 1;
        }
    }
    assert_eq!(cases, 30);
    elsewhere.set_nonblocking(true).expect("a listener");
    assert_eq!(elsewhere.accept().expect_err("nobody came").kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn cookies_are_not_kept() {
    let with_cookie = ["content-type: application/json", "set-cookie: session=canary"];
    let server = Server::script(vec![answer(200, &with_cookie, page(0..1, Some("b"))), json(page(1..2, None))]);
    read_all(&server).await.ids_are(0..2);
    assert_eq!(server.seen()[1].header("cookie"), None);
}
