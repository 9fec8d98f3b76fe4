//! What pages say: cursors of every kind, envelopes in every order, identifiers that are none.

use std::io::Write;

use pagemill_core::{ErrorKind, Reason};
use pagemill_source::Request;

use crate::support::*;

#[tokio::test]
async fn the_members_of_an_envelope_come_in_any_order() {
    let members = [r#""result":[{"id":"0"},{"id":"1"}]"#, r#""next_cursor":null"#, r#""result_count":2"#];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let body = format!("{{{}}}", order.map(|n| members[n]).join(","));
        read_all(&Server::script(vec![json(body)])).await.ids_are(0..2);
    }
}

#[tokio::test]
async fn an_envelope_that_says_a_thing_twice_or_no_records_is_refused() {
    for body in [
        r#"{"result":[{"id":"0"}],"next_cursor":null,"next_cursor":null}"#,
        r#"{"next_cursor":"a","result":[{"id":"0"}],"next_cursor":null}"#,
        r#"{"result":[{"id":"0"}],"next_cursor":null,"result":[{"id":"1"}]}"#,
        r#"{"result":[{"id":"0"}],"results":[{"id":"1"}],"next_cursor":null}"#,
        r#"{"result":null,"next_cursor":null}"#,
        r#"{"result":7,"next_cursor":null}"#,
        r#"{"result":"x","next_cursor":null}"#,
        r#"{"result":true,"next_cursor":null}"#,
        r#"{"result":[{"id":"0"}],"next_cursor":{"after":"x"}}"#,
        r#"{"result":[{"id":"0"}],"next_cursor":["x"]}"#,
        r#"{"result":[{"id":"0"}],"next_cursor":true}"#,
        r#"{"result":[{"id":"0"}],"next_cursor":"\ud800"}"#,
    ] {
        let server = Server::script(vec![json(body)]);
        let given = read_all(&server).await;
        assert_eq!(given.failed().kind(), ErrorKind::Data, "{body}");
        assert!(given.ids.is_empty() && given.checkpoints.is_empty(), "{body}");
        assert_eq!(server.seen().len(), 3, "{body}: it may have been the transport");
    }
}

/// Percent-decoding.
fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut digit = || char::from(bytes.next().expect("a digit")).to_digit(16).expect("a digit") as u8;
        out.push(if byte == b'%' { digit() << 4 | digit() } else { byte });
    }
    out
}

#[tokio::test]
async fn a_cursor_is_data_whatever_is_in_it() {
    let mut cursors: Vec<String> = [
        "a&limit=1",
        "a#b",
        "a?b=c",
        "a\r\nx-injected: 1",
        "\r\n\r\nGET / HTTP/1.1",
        "../../admin",
        "..%2f..",
        "a\0b",
        "%",
        "%00",
        "%zz",
        "+",
        " ",
        "a b",
        "http://127.0.0.1:1/x",
        "//127.0.0.1:1",
        "@127.0.0.1:1",
        "\\\\x",
        "é\u{1f600}",
        "\u{202e}",
        "\"'<>",
        "null",
        "=",
        "a=b;c",
        "\u{7f}",
        "\t",
        "[]",
        "{}",
        "|",
        "^`",
    ]
    .map(str::to_owned)
    .into();
    cursors.push("c".repeat(8 << 10));
    let walk = cursors.clone();
    let server = Server::start(move |n, _, stream| {
        let n = n as u32;
        let _ = stream.write_all(&json(page(n..n + 1, walk.get(n as usize).map(String::as_str))));
    });
    read_all(&server).await.ids_are(0..cursors.len() as u32 + 1);
    let seen = server.seen();
    let first = &seen[0];
    for (request, cursor) in seen[1..].iter().zip(&cursors) {
        let (start, value) = request.target.split_at(first.target.len());
        assert_eq!(start, first.target, "{cursor:?}");
        let value = value.strip_prefix("&next_cursor=").expect("a cursor");
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~%".contains(&b);
        assert!(value.bytes().all(plain), "{value:?}");
        assert_eq!(decoded(value), cursor.as_bytes());
        assert_eq!(request.headers, first.headers, "{cursor:?}");
    }
}

#[tokio::test]
async fn a_cursor_that_is_a_number_goes_back_as_it_came_and_one_too_long_not_at_all() {
    let first = r#"{"result":[{"id":"0"}],"next_cursor":12345678901234567890}"#;
    let server = Server::script(vec![json(first), json(page(1..2, None))]);
    read_all(&server).await.ids_are(0..2);
    assert_eq!(server.seen()[1].cursor(), Some("12345678901234567890"));

    let server = Server::script(vec![json(page(0..1, Some(&"c".repeat((8 << 10) + 1))))]);
    let given = read_all(&server).await;
    assert_eq!(given.failed().kind(), ErrorKind::Data);
    assert!(given.ids.is_empty() && server.seen().iter().all(|seen| seen.cursor().is_none()));
}

#[tokio::test]
async fn records_that_come_twice_stay_twice() {
    let server = Server::script(vec![
        json(page(0..3, Some("b"))),
        json(page(2..5, Some("c"))),
        json(r#"{"result":[{"id":"4"},{"id":"4"}],"next_cursor":null}"#),
    ]);
    let given = read_all(&server).await;
    assert!(given.error.is_none(), "{:?}", given.error);
    assert_eq!(given.ids, ["0", "1", "2", "2", "3", "4", "4", "4"]);
    assert_eq!(given.checkpoints.last().map(|c| (c.pages, c.rows)), Some((3, 8)));
}

#[tokio::test]
async fn identifiers_that_are_none_lose_no_record_and_are_counted() {
    let body = r#"{"result":[{"name":"x"},{"id":null},{"id":7},{"id":"a"},{"id":"a"},{"id":{"x":1}},{"id":[]},{"id":true},
        {"id":1.50}],"next_cursor":null}"#;
    let given = read_all(&Server::script(vec![json(body)])).await;
    assert!(given.error.is_none(), "{:?}", given.error);
    assert_eq!(given.ids, ["null", "null", "7", "a", "a", "null", "null", "null", "1.50"]);
    let misfits = &given.summaries[0].misfits;
    let count =
        |reason| misfits.iter().filter(|(path, why, _)| *path == "id" && *why == reason).map(|(.., n)| n).sum::<u64>();
    assert_eq!((count(Reason::NumberAsText), count(Reason::WrongType)), (2, 3), "{misfits:?}");
}

#[tokio::test]
async fn a_walk_asks_with_get_alone_and_in_one_name() {
    let server = Server::script(vec![json(page(0..1, Some("b"))), json(page(1..2, None))]);
    let (_, options) = options(&server);
    collect(source(&Request::new("a"), options), None).await.ids_are(0..2);
    for seen in server.seen() {
        let mut names: Vec<_> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "accept-encoding", "authorization", "host", "user-agent"]);
    }
}
