//! Lists over real sockets: paging, framings, what is sent, what comes of it.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::*;
use futures::StreamExt;
use pagemill_core::{Checkpoint, Cursor, ErrorKind, Position, Source};
use pagemill_source::{HttpOptions, HttpSource, Pace, Rate, Request, ResponseFormat};

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_gives_every_record_once_in_order_with_its_checkpoints() {
    let server = Server::script(vec![
        json(page(0..3, Some("a"))),
        json(page(3..3, Some("b"))),
        json(page(3..7, Some("c/+ d"))),
        json(page(7..8, None)),
    ]);
    let (clock, options) = options(&server);
    let progress = options.progress.clone();
    let given = collect(source(&Request::new("acct-1"), options), None).await;
    given.ids_are(0..8);
    let rows: Vec<_> = given.checkpoints.iter().map(|c| (c.pages, c.rows, c.bad)).collect();
    assert_eq!(rows, [(1, 3, 0), (2, 3, 0), (3, 7, 0), (4, 8, 0)]);
    assert_eq!(given.first_rows, [0, 3, 3, 7]);
    assert_eq!(given.checkpoints[0].next, Position::Next(Cursor::new("a")));
    assert_eq!(given.checkpoints[3].next, Position::End);
    let cursors: Vec<_> = server.seen().iter().map(|s| s.cursor().map(str::to_owned)).collect();
    assert_eq!(cursors, [None, Some("a".into()), Some("b".into()), Some("c%2F%2B%20d".into())]);
    let counted = progress.snapshot();
    assert_eq!((counted.requests, counted.pages, counted.records, counted.retries), (4, 4, 8, 0));
    assert!(clock.waits().is_empty(), "nothing paces a host that is not the vendor's");
}

#[tokio::test]
async fn what_is_sent_is_what_was_asked() {
    let server = Server::script(vec![json(page(0..1, None))]);
    let (_, options) = options(&server);
    let request = Request::new("acct-1").limit(10).workspace("T1").exclude_field("bio");
    collect(source(&request, options), None).await.ids_are(0..1);
    let seen = &server.seen()[0];
    assert_eq!(
        seen.target,
        "/unified/instant-messaging/members?integrated_account_id=acct-1&truto_response_format=unified&limit=10\
         &truto_exclude_fields%5B%5D=bio&workspace%5Bid%5D=T1"
    );
    assert_eq!(seen.header("authorization"), Some(&*format!("Bearer {TOKEN}")));
    assert_eq!(seen.header("accept"), Some("application/json"));
    assert_eq!(seen.header("accept-encoding"), Some("gzip"));
    assert_eq!(seen.header("user-agent"), Some(concat!("pagemill/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(seen.header("referer"), None);
}

#[tokio::test]
async fn a_walk_resumes_where_a_checkpoint_says() {
    let server = Server::script(vec![json(page(3..5, Some("y"))), json(page(5..6, None))]);
    let (_, options) = options(&server);
    let from = Checkpoint { pages: 7, rows: 3, bad: 2, next: Position::Next(Cursor::new("x")) };
    let mut source = source(&Request::new("acct-1"), options);
    let given = collect_from(&mut source, Some(from)).await;
    given.ids_are(3..6);
    assert_eq!(given.first_rows, [3, 5]);
    let last = given.checkpoints.last().expect("a page");
    assert_eq!((last.pages, last.rows, last.bad), (9, 6, 2));
    assert_eq!(given.summaries[0].page, 7);
    assert_eq!(server.seen()[0].cursor(), Some("x"));
    let end = Checkpoint { next: Position::End, ..last.clone() };
    assert!(collect_from(&mut source, Some(end)).await.checkpoints.is_empty());
    assert_eq!(server.seen().len(), 2, "a walk at its end asks for nothing");
}

#[tokio::test]
async fn cursors_that_go_in_circles_fail_at_the_first_repetition() {
    for length in [1, 2, 3, 4, 5, 1000] {
        let server = Server::start(move |n, _, stream| {
            let cursor = format!("canary-cursor-{}", n % length);
            let _ = stream.write_all(&json(page(n as u32..n as u32 + 1, Some(&cursor))));
        });
        let given = read_all(&server).await;
        let error = given.failed();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.message().contains("repeated"), "{error}");
        assert_eq!(error.place().page, Some(length as u64));
        assert!(!format!("{error:?}{error}").contains("canary"), "{error:?}");
        assert_eq!(given.ids.len(), length);
        assert_eq!(server.seen().len(), length + 1, "the repeated cursor is not asked for");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_empty_pages_are_walked_through() {
    let server = Server::start(|n, _, stream| {
        let body = if n < 1000 { page(0..0, Some(&n.to_string())) } else { page(0..2, None) };
        let _ = stream.write_all(&json(body));
    });
    let given = read_all(&server).await;
    given.ids_are(0..2);
    assert_eq!(given.checkpoints.len(), 1001);
}

#[tokio::test]
async fn keyed_results_are_records_like_others() {
    let body = r#"{"result":{"1":{"id":"0"},"2":{"id":"1"}},"result_count":2,"next_cursor":""}"#;
    let server = Server::script(vec![json(body)]);
    let (_, options) = options(&server);
    collect(source(&Request::new("a").key_by("id"), options), None).await.ids_are(0..2);
}

#[tokio::test]
async fn a_stream_may_come_as_lines_an_array_an_envelope_or_one_object() {
    let chunked = |lines: &[&str]| {
        let mut out = b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        lines.iter().for_each(|line| out.extend(format!("{:x}\r\n{line}\r\n", line.len()).bytes()));
        out.extend(b"0\r\n\r\n");
        out
    };
    let cases = [
        answer(200, &["content-type: application/x-ndjson"], "{\"id\":\"0\"}\n{\"id\":\"1\"}\n"),
        chunked(&["{\"id\":\"0\"}\n{\"id\"", ":\"1\"}"]),
        answer(200, &["content-type: text/plain"], "[{\"id\":\"0\"},{\"id\":\"1\"}]"),
        json(page(0..2, None)),
    ];
    for case in cases {
        let server = Server::script(vec![case]);
        let (_, options) = options(&server);
        let request = Request::new("a").response_format(ResponseFormat::Stream);
        let given = collect(source(&request, options), None).await;
        given.ids_are(0..2);
        assert_eq!(given.checkpoints.last().expect("a page").next, Position::End);
        assert_eq!(server.seen()[0].header("accept"), Some("application/x-ndjson, application/json"));
    }
}

#[tokio::test]
async fn a_stream_that_is_an_error_or_has_no_end_is_no_table() {
    let error = "{\"statusCode\":500,\"error\":\"Oops\",\"message\":\"gone wrong\"}";
    let open = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/x-ndjson\r\n\r\n{\"id\":\"0\"}\n";
    let cases = [
        (json(error), "gone wrong"),
        (answer(200, &["content-type: application/x-ndjson"], format!("{{\"id\":\"0\"}}\n{error}\n")), "gone wrong"),
        (open.into(), "where the lines end"),
        (answer(200, &["content-type: text/plain"], ""), "empty"),
    ];
    for (case, says) in cases {
        let server = Server::script(vec![case]);
        let (_, options) = options(&server);
        let request = Request::new("a").response_format(ResponseFormat::Stream);
        let given = collect(source(&request, options), None).await;
        let error = given.error.expect(says);
        assert!(error.message().contains(says), "{error:?}");
        assert!(given.ids.is_empty());
        assert_eq!(server.seen().len(), 3);
    }
}

#[tokio::test]
async fn the_next_page_is_asked_for_before_this_one_has_ended() {
    let (asked, in_time) = (Arc::new(Gate::default()), Arc::new(Mutex::new(false)));
    let (gate, noted) = (Arc::clone(&asked), Arc::clone(&in_time));
    let server = Server::start(move |n, _, stream| match n {
        0 => {
            let whole = json(page(0..2000, Some("b")));
            let (head, tail) = whole.split_at(whole.len() - 20);
            let _ = stream.write_all(head);
            *noted.lock().expect("a flag") = gate.wait();
            let _ = stream.write_all(tail);
        }
        _ => {
            gate.open();
            let _ = stream.write_all(&json(page(2000..2001, None)));
        }
    });
    read_all(&server).await.ids_are(0..2001);
    assert!(*in_time.lock().expect("a flag"), "the tail was sent only after the next request");
    assert_eq!(server.seen().len(), 2, "it is asked for once");
}

#[tokio::test]
async fn dropping_the_stream_ends_the_walk() {
    let (closed, begun) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
    let (noted, started) = (Arc::clone(&closed), Arc::clone(&begun));
    let server = Server::start(move |n, _, stream| match n {
        0 => drop(stream.write_all(&json(page(0..10, Some("b"))))),
        _ => {
            // A body without end, until nobody takes it any more.
            let _ = stream.write_all(b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\n\r\n{\"result\":[");
            started.open();
            while stream.write_all(&[b' '; 4096]).is_ok() {}
            noted.open();
        }
    });
    let (_, options) = options(&server);
    let mut source = source(&Request::new("a"), options);
    let mut batches = source.read(None);
    assert_eq!(batches.next().await.expect("a batch").expect("good").records.num_rows(), 10);
    assert!(tokio::task::spawn_blocking(move || begun.wait()).await.expect("a thread"));
    drop(batches);
    assert!(tokio::task::spawn_blocking(move || closed.wait()).await.expect("a thread"), "the connection is closed");
}

#[tokio::test]
async fn a_page_larger_than_the_budget_is_handed_on_as_it_comes() {
    let gate = Arc::new(Gate::default());
    let begun = Arc::clone(&gate);
    let server = Server::start(move |_, _, stream| {
        let whole = json(page(0..60_000, None));
        let (head, tail) = whole.split_at(whole.len() - 20);
        let _ = stream.write_all(head);
        begun.wait();
        let _ = stream.write_all(tail);
    });
    let (_, options) = options(&server);
    let mut source = source(&Request::new("a"), HttpOptions { page_budget: 1 << 20, ..options });
    let mut batches = source.read(None);
    let first = batches.next().await.expect("a batch").expect("good");
    assert!(first.end.is_none(), "a batch came before the page's end");
    gate.open();
    let mut rows = first.records.num_rows() as u64;
    while let Some(batch) = batches.next().await {
        let batch = batch.expect("good");
        assert_eq!(batch.first_row, rows);
        rows += batch.records.num_rows() as u64;
    }
    assert_eq!(rows, 60_000);
}

#[tokio::test]
async fn a_page_larger_than_the_budget_cannot_be_asked_for_again() {
    let gate = Arc::new(Gate::default());
    let begun = Arc::clone(&gate);
    let server = Server::start(move |_, _, stream| {
        let whole = json(page(0..60_000, None));
        let _ = stream.write_all(&whole[..whole.len() - 20]);
        begun.wait();
    });
    let (_, options) = options(&server);
    let mut source = source(&Request::new("a"), HttpOptions { page_budget: 1 << 20, ..options });
    let mut batches = source.read(None);
    batches.next().await.expect("a batch").expect("good");
    gate.open();
    let error = loop {
        match batches.next().await.expect("a failure") {
            Ok(batch) => assert!(batch.end.is_none(), "the page never counts"),
            Err(error) => break error,
        }
    };
    assert!(error.advice().is_some_and(|advice| advice.contains("larger than the page budget")), "{error:?}");
    assert!(batches.next().await.is_none());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_pace_is_kept_without_the_caller_noticing() {
    let server = Server::start(|n, _, stream| {
        let cursor = (n < 24).then(|| n.to_string());
        let _ = stream.write_all(&json(page(n as u32..n as u32 + 1, cursor.as_deref())));
    });
    let (clock, options) = options(&server);
    let pace = Pace::AtMost(Rate { requests: 5, per: Duration::from_secs(10) });
    collect(source(&Request::new("a"), HttpOptions { pace, ..options }), None).await.ids_are(0..25);
    assert_eq!(clock.waits(), [Duration::from_secs(10); 4]);
}

#[tokio::test]
async fn a_window_that_is_used_up_is_waited_for() {
    let used_up = ["content-type: application/json", "ratelimit-remaining: 0", "ratelimit-reset: 7"];
    let server = Server::script(vec![answer(200, &used_up, page(0..1, Some("a"))), json(page(1..2, None))]);
    let (clock, options) = options(&server);
    collect(source(&Request::new("a"), options), None).await.ids_are(0..2);
    assert_eq!(clock.waits(), [Duration::from_secs(7)]);
}

#[test]
fn what_cannot_be_asked_is_refused_before_anything_is_sent() {
    let new = |request: &Request, token: &str, options: HttpOptions| {
        HttpSource::new(&members(), request, token.to_owned().into(), options).map(drop)
    };
    let request = Request::new("a");
    let pace = Pace::AtMost(Rate { requests: 0, per: Duration::from_secs(1) });
    let cases = [
        new(&Request::new(""), TOKEN, HttpOptions::default()),
        new(&request, "", HttpOptions::default()),
        new(&request, "canary\ntoken", HttpOptions::default()),
        new(&request, TOKEN, HttpOptions { base_url: "http://api.truto.one".into(), ..HttpOptions::default() }),
        new(&request, TOKEN, HttpOptions { pace, ..HttpOptions::default() }),
    ];
    for case in cases {
        let error = case.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

#[test]
fn a_fingerprint_tells_lists_apart() {
    let of = |request: &Request| {
        let source = HttpSource::new(&members(), request, TOKEN.into(), HttpOptions::default()).expect("good");
        assert!(!format!("{source:?}").contains("canary"));
        source.fingerprint()
    };
    assert_eq!(of(&Request::new("a")), of(&Request::new("a")));
    assert_ne!(of(&Request::new("a")), of(&Request::new("b")));
    assert_ne!(of(&Request::new("a")), of(&Request::new("a").limit(5)));
    assert_eq!(of(&Request::new("a")).len(), 64);
}
