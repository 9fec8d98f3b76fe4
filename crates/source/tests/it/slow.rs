//! Servers that are slow rather than silent: given up by the rate, by the page's time, or by the head's.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use pagemill_source::{HttpOptions, Request, Timeouts};

use crate::support::*;

/// Writes a byte at a time, `pause` apart, until the other side has had enough.
fn drip(stream: &mut TcpStream, bytes: &[u8], pause: Duration) {
    stream.set_read_timeout(Some(pause)).expect("a socket");
    for byte in bytes {
        if stream.write_all(&[*byte]).is_err() {
            return;
        }
        match stream.read(&mut [0]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => return,
        }
    }
}

/// Reads from a server whose first answer is `head` at once and then `rest`, in drops, and whose others are good.
async fn dripped(head: &'static [u8], rest: &'static [u8], timeouts: Timeouts) {
    let server = Server::start(move |n, _, stream| {
        if n == 0 {
            let _ = stream.write_all(head);
            drip(stream, &rest.repeat(5_000), Duration::from_millis(2));
        } else {
            let _ = stream.write_all(&json(page(0..3, None)));
        }
    });
    let (_, options) = options(&server);
    let given = collect(source(&Request::new("a"), HttpOptions { timeouts, ..options }), None).await;
    given.ids_are(0..3);
    assert_eq!((given.summaries[0].retries, server.seen().len()), (1, 2));
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"result\":[";
const SOON: Duration = Duration::from_millis(60);

#[tokio::test]
async fn a_drip_is_given_up_by_its_rate() {
    let timeouts = Timeouts { floor_span: SOON, floor: 64 << 10, ..Timeouts::default() };
    dripped(HEAD, b"{\"id\":\"9\"},", timeouts).await;
}

#[tokio::test]
async fn a_drip_is_given_up_when_the_page_has_had_its_time() {
    let timeouts = Timeouts { page: SOON, ..Timeouts::default() };
    dripped(HEAD, b"{\"id\":\"9\"},", timeouts).await;
}

#[tokio::test]
async fn a_head_that_drips_is_given_up() {
    let timeouts = Timeouts { first_byte: SOON, ..Timeouts::default() };
    dripped(b"HTTP/1.1 200 OK\r\n", b"x-slow: 1\r\n", timeouts).await;
}

#[tokio::test]
async fn an_error_whose_body_never_ends_is_an_error_all_the_same() {
    let timeouts = Timeouts { idle: SOON, ..Timeouts::default() };
    dripped(b"HTTP/1.1 503 X\r\n\r\n", b"x", timeouts).await;
}
