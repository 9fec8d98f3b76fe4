//! What goes wrong on the way, and what comes of it: asked again and then exact, or refused with a reason.

use std::{io::Write, sync::Arc, time::Duration};

use crate::support::*;
use pagemill_core::ErrorKind;
use pagemill_source::{HttpOptions, Request, Timeouts};

const GZIP: [&str; 2] = ["content-type: application/json", "content-encoding: gzip"];

#[tokio::test]
async fn a_rate_limit_is_waited_for_in_every_form() {
    // The clock stands at 1800000000, which is this moment.
    let at = |seconds| httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(seconds));
    let cases: Vec<(Vec<String>, f64)> = vec![
        (vec!["retry-after: 10".into()], 10.0),
        (vec!["Retry-After:  10 ".into()], 10.0),
        (vec!["retry-after: 900".into()], 900.0),
        (vec![format!("retry-after: {}", at(1_800_000_040))], 40.0),
        (vec![format!("retry-after: {}", at(1_700_000_000))], 0.0),
        (vec![format!("date: {}", at(1_700_000_000)), format!("retry-after: {}", at(1_700_000_015))], 15.0),
        (vec!["retry-after: -5".into()], 0.0),
        (vec!["retry-after: 0".into()], 0.0),
        (vec!["retry-after: soon".into()], 0.0),
        (vec!["retry-after: 10".into(), "ratelimit-reset: 25".into()], 25.0),
        (vec!["retry-after: 30".into(), "x-ratelimit-reset: 25".into()], 30.0),
        (vec!["ratelimit-reset: 25".into()], 25.0),
        (vec!["x-ratelimit-reset: 25".into()], 25.0),
        (vec!["ratelimit-reset: 1800000030".into()], 30.0),
        (vec!["x-ratelimit-reset: 1800000030".into()], 30.0),
        (vec!["x-ratelimit-reset: 1700000030".into()], 0.0),
        (vec!["ratelimit-remaining: 0".into(), "ratelimit-reset: 25".into()], 25.0),
        (vec![], 0.0),
    ];
    for (headers, hint) in cases {
        for jitter in [0.0, 1.0] {
            let names: Vec<_> = headers.iter().map(String::as_str).collect();
            let server = Server::script(vec![answer(429, &names, "{}"), json(page(0..2, None))]);
            let (clock, options) = options(&server);
            let options = HttpOptions { jitter: Arc::new(move || jitter), ..options };
            let given = collect(source(&Request::new("a"), options), None).await;
            given.ids_are(0..2);
            assert_eq!(given.summaries[0].retries, 1);
            let wait = clock.waits().iter().map(Duration::as_secs_f64).sum::<f64>();
            assert!(wait >= hint && wait <= hint * 1.2 + 1.0, "{headers:?}: {wait}");
        }
    }
}

#[tokio::test]
async fn a_wait_longer_than_allowed_is_for_later() {
    for hint in
        ["retry-after: 1000000000", "retry-after: 901", "ratelimit-reset: 86400", "x-ratelimit-reset: 1800000901"]
    {
        let server = Server::script(vec![answer(429, &[hint], "{}")]);
        let (clock, options) = options(&server);
        let given = collect(source(&Request::new("a"), options), None).await;
        assert_eq!(given.failed().kind(), ErrorKind::Busy, "{hint}");
        assert_eq!(server.seen().len(), 1);
        assert!(clock.waits().is_empty());
    }
}

#[tokio::test]
async fn server_errors_are_asked_again_up_to_eight_times() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        for failures in [1usize, 7, 8] {
            let server = Server::start(move |n, _, stream| {
                let good = json(page(0..1, None));
                let _ = stream.write_all(&if n < failures { answer(status, &[], "") } else { good });
            });
            let given = read_all(&server).await;
            if failures < 8 {
                given.ids_are(0..1);
                assert_eq!(given.summaries[0].retries, failures as u32);
            } else {
                let error = given.failed();
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{status}");
                assert!(error.to_string().contains("tried 8 times"), "{error}");
                assert_eq!(error.to_string().contains("blocked"), status == 503, "{error}");
                assert_eq!(server.seen().len(), 8);
            }
        }
    }
}

#[tokio::test]
async fn a_retry_asks_for_the_same_page() {
    let server = Server::start(|n, _, stream| {
        let _ = stream.write_all(&match n {
            0 => json(page(0..2, Some("b"))),
            1 | 2 => answer(502, &[], ""),
            _ => json(page(2..3, None)),
        });
    });
    read_all(&server).await.ids_are(0..3);
    let cursors: Vec<_> = server.seen().iter().map(|s| s.cursor().map(str::to_owned)).collect();
    assert_eq!(cursors, [None, Some("b".into()), Some("b".into()), Some("b".into())]);
}

#[tokio::test]
async fn refusals_are_not_asked_again() {
    let cases = [
        (401, ErrorKind::Denied),
        (403, ErrorKind::Denied),
        (400, ErrorKind::Rejected),
        (404, ErrorKind::Rejected),
        (405, ErrorKind::Rejected),
        (409, ErrorKind::Rejected),
        (422, ErrorKind::Rejected),
        (302, ErrorKind::Rejected),
        (501, ErrorKind::Unavailable),
        (204, ErrorKind::Data),
        (206, ErrorKind::Data),
    ];
    for (status, kind) in cases {
        let elsewhere = Server::script(vec![json(page(0..1, None))]);
        let location = format!("location: {}/x", elsewhere.url());
        let server = Server::script(vec![answer(status, &[&location], "")]);
        let given = read_all(&server).await;
        assert_eq!(given.failed().kind(), kind, "{status}");
        assert_eq!(server.seen().len(), 1, "{status}");
        assert!(elsewhere.seen().is_empty(), "redirects are not followed");
    }
}

#[tokio::test]
async fn an_insight_is_passed_on_as_advice() {
    let body = r#"{"statusCode":400,"error":"Bad Request","message":"Missing required parameters\u001b[31m",
        "truto_error_insight":{"missing_required_query_parameters":{"description":"Needed for Slack","value":["channel"]}}}"#;
    for packed in [false, true] {
        let reply = if packed { answer(400, &GZIP, gzip(body)) } else { answer(400, &[], body) };
        let error = read_all(&Server::script(vec![reply])).await.error.expect("a failure");
        assert_eq!(error.message(), "the server answered 400 Bad Request: Missing required parameters\\u{1b}[31m");
        assert_eq!(error.advice(), Some("missing required query parameters: Needed for Slack (channel)"));
        assert!(error.place().input.as_deref().is_some_and(|i| i.ends_with("/unified/instant-messaging/members")));
    }
}

#[tokio::test]
async fn malformed_pages_get_three_attempts() {
    let good = page(0..3, None);
    let mut bad_crc = gzip(&good);
    let at = bad_crc.len() - 8;
    bad_crc[at] ^= 1;
    let mut bad_length = gzip(&good);
    *bad_length.last_mut().expect("bytes") ^= 1;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("cut json", json(&good[..20])),
        ("second document", json(format!("{good}{good}"))),
        ("no cursor", json("{\"result\":[]}")),
        ("no result", json("{\"data\":[],\"next_cursor\":null}")),
        ("result null", json("{\"result\":null,\"next_cursor\":null}")),
        ("wrong count", json("{\"result\":[],\"result_count\":1,\"next_cursor\":null}")),
        ("an error", json("{\"statusCode\":500,\"error\":\"Oops\",\"message\":\"gone wrong\"}")),
        ("bare array", json("[]")),
        ("empty", json("")),
        ("bad crc", answer(200, &GZIP, bad_crc)),
        ("bad length", answer(200, &GZIP, bad_length)),
        ("garbage after gzip", answer(200, &GZIP, [gzip(&good), b"x".to_vec()].concat())),
        ("two members", answer(200, &GZIP, [gzip(&good), gzip("")].concat())),
        ("plain labelled gzip", answer(200, &GZIP, &good)),
        ("empty gzip", answer(200, &GZIP, "")),
        ("deflate", answer(200, &["content-type: application/json", "content-encoding: deflate"], "x")),
        (
            "gzip twice",
            answer(200, &["content-type: application/json", "content-encoding: gzip, gzip"], gzip(gzip(&good))),
        ),
        ("brotli", answer(200, &["content-type: application/json", "content-encoding: br"], "x")),
    ];
    for (name, case) in cases {
        let server = Server::script(vec![case.clone()]);
        let given = read_all(&server).await;
        assert_eq!(given.failed().kind(), ErrorKind::Data, "{name}");
        assert!(given.ids.is_empty(), "{name}");
        assert_eq!(server.seen().len(), 3, "{name}: {:?}", given.failed());
        let server = Server::script(vec![case, json(&good)]);
        read_all(&server).await.ids_are(0..3);
    }
}

#[tokio::test]
async fn an_answer_that_is_no_envelope_says_what_it_is() {
    let read =
        async |body: &str| read_all(&Server::script(vec![json(body)])).await.error.expect("a failure").to_string();
    let other = read(r#"{"data":[],"paging":{}}"#).await;
    assert!(other.contains("data, paging"), "{other}");
    let disguised = read(r#"{"statusCode":401,"error":"Unauthorized","message":"Invalid token"}"#).await;
    assert!(disguised.contains("401 Invalid token"), "{disguised}");
}

#[tokio::test]
async fn a_page_of_a_proxy_is_shown_and_not_asked_for_again() {
    let html = "<html>\u{1b}]0;x\u{7}please log in</html>";
    let json = page(0..1, None);
    for (kind, body, says) in [
        ("content-type: text/html", html, "text/html"),
        ("content-type: application/xml", html, "application/xml"),
        ("content-type: application/problem+json", &*json, "problem+json"),
        ("x-none: 1", &*json, "no content type"),
        ("content-type: ", &*json, "no content type"),
    ] {
        let server = Server::script(vec![answer(200, &[kind], body)]);
        let error = read_all(&server).await.error.expect("a failure");
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.message().contains(says), "{error}");
        assert_eq!(error.message().contains("please log in"), body == html, "{error}");
        assert!(!error.to_string().chars().any(char::is_control));
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_retried_page_leaves_nothing_of_its_first_serving() {
    let server = Server::start(|n, _, stream| {
        let _ = match n {
            // The first serving has other records and another cursor, and breaks off.
            0 => {
                let whole = json(page(100..5000, Some("old")));
                stream.write_all(&whole[..whole.len() - 9])
            }
            _ => stream.write_all(&json(page(0..3, None))),
        };
    });
    let given = read_all(&server).await;
    // What was asked for ahead of the broken page is dropped with it: only the walk's own requests count.
    given.ids_are(0..3);
    assert_eq!(given.summaries[0].retries, 1);
}

#[tokio::test]
async fn silence_is_a_failure() {
    let quick =
        Timeouts { first_byte: Duration::from_millis(60), idle: Duration::from_millis(60), ..Timeouts::default() };
    for sent in [0, 40, 120] {
        let server = Server::start(move |n, _, stream| {
            let whole = json(page(0..3, None));
            if n == 0 {
                let _ = stream.write_all(&whole[..sent]);
                // Held open until the other side has had enough.
                let _ = std::io::Read::read(stream, &mut [0]);
            } else {
                let _ = stream.write_all(&whole);
            }
        });
        let (_, options) = options(&server);
        let given = collect(source(&Request::new("a"), HttpOptions { timeouts: quick.clone(), ..options }), None).await;
        given.ids_are(0..3);
        assert_eq!(given.summaries[0].retries, 1, "{sent}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let server = Server::script(vec![json(page(0..1, None))]);
    let (clock, options) = options(&server);
    drop(server);
    let given = collect(source(&Request::new("a"), options), None).await;
    assert_eq!(given.failed().kind(), ErrorKind::Unavailable);
    let waits: Vec<_> = clock.waits().iter().map(Duration::as_secs_f64).collect();
    assert_eq!(waits, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0]);
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_not_asked_again() {
    let connections = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let counted = std::sync::Arc::clone(&connections);
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            // No TLS at all.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = std::io::Read::read(&mut stream, &mut [0; 1024]);
        }
    });
    let options = HttpOptions { base_url: format!("https://{address}"), ..HttpOptions::default() };
    let given = collect(source(&Request::new("a"), options), None).await;
    assert_eq!(given.failed().kind(), ErrorKind::Unavailable);
    assert!(given.failed().message().contains("secure"), "{:?}", given.failed());
    assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn no_error_shows_a_token_a_cursor_or_a_value() {
    let echo = format!("{{\"message\":\"no {TOKEN} canary-cursor\",\"error\":\"canary-cursor\"}}");
    let endings: Vec<Vec<u8>> = vec![
        answer(400, &[], &echo),
        answer(401, &[], &echo),
        answer(500, &[], &echo),
        answer(200, &["content-type: text/html"], &echo),
        json(&echo),
        json("{\"result\":[{\"id\":"),
        json(page(0..1, Some("canary-cursor"))),
        b"HTTP/1.1 200 OK\r\ncontent-length: banana\r\n\r\n".to_vec(),
        Vec::new(),
    ];
    for ending in endings {
        let server = Server::script(vec![json(page(0..1, Some("canary-cursor"))), ending]);
        let (_, options) = options(&server);
        let request = Request::new("canary-account").channel("canary-channel");
        let given = collect(source(&request, options), None).await;
        let error = given.failed();
        let shown = format!("{error}{error:?}");
        assert!(!shown.contains("canary") && !shown.contains("integrated_account_id"), "{shown}");
        assert_eq!(error.place().page, Some(1), "{shown}");
    }
}
