//! A connection that ends at any byte of an answer: asked again, and nothing of the broken serving is left.
//!
//! The serving that is cut has other records, and another cursor, than the one that is whole. So whatever comes out
//! tells which serving it is of: all of the second where the cut showed, all of the first where all of it had arrived.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use pagemill_source::{Request, ResponseFormat};

use crate::support::*;

/// How a connection ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Orderly, as when a server stops.
    Fin,
    /// By a reset, as when a process dies or a middlebox loses its table.
    Reset,
}

// Connections are not kept: a request on one that the server has just closed would be an attempt of its own.
const HEAD: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n";

/// `body` in chunks of at most `size` bytes.
fn chunks(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in body.chunks(size) {
        out.extend(format!("{:x}\r\n", piece.len()).bytes());
        out.extend(piece);
        out.extend(b"\r\n");
    }
    out.extend(b"0\r\n\r\n");
    out
}

/// How the end of a body is marked.
#[derive(Clone, Copy, Debug)]
enum Length {
    Announced,
    Chunked,
    Closed,
}

/// An answer in one framing.
fn framed(body: &[u8], length: Length, packed: bool, chunk: usize) -> Vec<u8> {
    let body = if packed { gzip(body) } else { body.to_vec() };
    let coding = if packed { "content-encoding: gzip\r\n" } else { "" };
    let (more, body) = match length {
        Length::Announced => (format!("content-length: {}\r\n", body.len()), body),
        Length::Chunked => ("transfer-encoding: chunked\r\n".to_owned(), chunks(&body, chunk)),
        Length::Closed => (String::new(), body),
    };
    [format!("{HEAD}{coding}{more}\r\n").as_bytes(), &body].concat()
}

/// How the records of a body are laid out.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Envelope,
    Array,
    Lines,
}

fn laid_out(ids: std::ops::Range<u32>, layout: Layout) -> String {
    let records: Vec<_> = ids.clone().map(|id| format!("{{\"id\":\"{id}\",\"bio\":\"é\"}}")).collect();
    match layout {
        // The cursor of the serving that will be cut leads to a page that must never be read.
        Layout::Envelope if ids.start >= 100 => {
            format!("{{\"next_cursor\":\"stale\",\"result\":[{}],\"result_count\":{}}}", records.join(","), ids.len())
        }
        Layout::Envelope => {
            format!("{{\"result\":[{}],\"result_count\":{},\"next_cursor\":null}}", records.join(","), ids.len())
        }
        Layout::Array => format!("[{}]", records.join(",")),
        Layout::Lines => records.iter().map(|record| format!("{record}\n")).collect(),
    }
}

/// What a server that cuts does next.
#[derive(Default)]
struct Plan {
    /// The first answer of a walk, and how the connection ends after it.
    cut: Option<(Vec<u8>, End)>,
    /// Every other answer for the first page.
    whole: Vec<u8>,
}

/// A server that answers the first request after a plan was made with what is cut, then with what is whole.
/// The page of the cursor `stale` is the last of its walk.
fn cutter() -> (Server, Arc<Mutex<Plan>>) {
    let plan = Arc::new(Mutex::new(Plan::default()));
    let planned = Arc::clone(&plan);
    let server = Server::start(move |_, seen, stream| {
        if seen.cursor().is_some() {
            let _ = stream.write_all(&json(page(900..901, None)));
            return;
        }
        let (bytes, end) = {
            let mut plan = planned.lock().expect("a plan");
            plan.cut.take().unwrap_or_else(|| (plan.whole.clone(), End::Fin))
        };
        if end == End::Reset {
            reset(stream);
        }
        let _ = stream.write_all(&bytes);
    });
    (server, plan)
}

/// How often a cut showed, and how often it did not.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    retried: usize,
    whole: usize,
}

/// Cuts an answer at each of `ends`, in both ways, and looks at what comes out.
async fn cut_at(
    layout: Layout,
    length: Length,
    packed: bool,
    ids: u32,
    chunk: usize,
    ends: &[usize],
    tally: &mut Tally,
) {
    let (server, plan) = cutter();
    let first = framed(laid_out(100_000..100_000 + ids, layout).as_bytes(), length, packed, chunk);
    let whole = framed(laid_out(0..ids, layout).as_bytes(), length, packed, chunk);
    let (_, options) = options(&server);
    let format = if matches!(layout, Layout::Envelope) { ResponseFormat::Unified } else { ResponseFormat::Stream };
    let mut source = source(&Request::new("a").response_format(format), options);
    for end in [End::Fin, End::Reset] {
        for &at in ends {
            let at = at.min(first.len());
            let case = format!("{layout:?}, {length:?}, gzip {packed}, {end:?} at {at} of {}", first.len());
            *plan.lock().expect("a plan") = Plan { cut: Some((first[..at].to_vec(), end)), whole: whole.clone() };
            let given = collect_from(&mut source, None).await;
            assert!(given.error.is_none(), "{case}: {:?}", given.error);
            let summaries: Vec<_> = given.summaries.iter().map(|s| (s.page, s.records, s.retries)).collect();
            match summaries[0].2 {
                0 => {
                    assert_eq!(at, first.len(), "{case}: the cut did not show");
                    let enveloped = matches!(layout, Layout::Envelope);
                    let after = enveloped.then(|| "900".to_owned());
                    let ids = (100_000..100_000 + ids).map(|id| id.to_string()).chain(after);
                    assert_eq!(given.ids, ids.collect::<Vec<_>>(), "{case}");
                    assert_eq!(summaries.len(), 1 + usize::from(enveloped), "{case}");
                    tally.whole += 1;
                }
                _ => {
                    assert!(at < first.len() || end == End::Reset, "{case}: all of it had arrived");
                    assert_eq!(given.ids, (0..ids).map(|id| id.to_string()).collect::<Vec<_>>(), "{case}");
                    assert_eq!(summaries, [(0, u64::from(ids), 1)], "{case}");
                    tally.retried += 1;
                }
            }
        }
    }
}

/// Every byte of a small page in one layout, in every framing of `lengths`. Gives the number of cases.
async fn every_byte(layout: Layout, packed: bool, lengths: &[Length]) -> usize {
    let mut tally = Tally::default();
    let mut cases = 0;
    for &length in lengths {
        let size = framed(laid_out(100_000..100_004, layout).as_bytes(), length, packed, 50).len();
        let ends: Vec<_> = (0..=size).collect();
        cases += 2 * ends.len();
        cut_at(layout, length, packed, 4, 50, &ends, &mut tally).await;
    }
    assert_eq!(tally.retried + tally.whole, cases);
    // An orderly end after the last byte is no cut, and a reset there may come too late to show.
    assert!((lengths.len()..=2 * lengths.len()).contains(&tally.whole), "{tally:?}");
    cases
}

const ALL: [Length; 3] = [Length::Announced, Length::Chunked, Length::Closed];

#[tokio::test]
async fn an_envelope_cut_at_every_byte() {
    assert!(every_byte(Layout::Envelope, false, &ALL).await > 1_000);
}

#[tokio::test]
async fn a_gzip_envelope_cut_at_every_byte() {
    assert!(every_byte(Layout::Envelope, true, &ALL).await > 1_000);
}

#[tokio::test]
async fn an_array_cut_at_every_byte() {
    assert!(every_byte(Layout::Array, false, &[Length::Announced, Length::Chunked]).await > 600);
}

#[tokio::test]
async fn lines_cut_at_every_byte() {
    // Where the connection's end is all that marks the body's, lines are refused; gzip marks its own.
    assert!(every_byte(Layout::Lines, false, &[Length::Announced, Length::Chunked]).await > 600);
    assert!(every_byte(Layout::Lines, true, &[Length::Closed]).await > 300);
}

#[tokio::test]
async fn a_large_page_cut_at_random_bytes() {
    // More of them for those who have the time: 2,000 take some minutes.
    let cuts: u64 = std::env::var("PAGEMILL_CUTS").map_or(12, |cuts| cuts.parse().expect("a number"));
    let mut cases = 0;
    for (layout, packed, length) in [
        (Layout::Envelope, false, Length::Announced),
        (Layout::Envelope, false, Length::Chunked),
        (Layout::Envelope, false, Length::Closed),
        (Layout::Envelope, true, Length::Announced),
        (Layout::Envelope, true, Length::Closed),
        (Layout::Lines, false, Length::Chunked),
    ] {
        let size = framed(laid_out(100_000..102_300, layout).as_bytes(), length, packed, 4096).len();
        // Weyl's sequence: spread evenly, and the same in every run.
        let ends: Vec<_> = (1..=cuts).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % size).collect();
        let mut tally = Tally::default();
        cut_at(layout, length, packed, 2_300, 4096, &ends, &mut tally).await;
        assert_eq!(tally, Tally { retried: 2 * ends.len(), whole: 0 });
        cases += 2 * ends.len();
    }
    assert_eq!(cases, 12 * cuts as usize);
}

#[tokio::test]
async fn the_middle_page_of_a_walk_cut_at_every_byte() {
    // The serving that breaks off names another page after it, which is asked for ahead and must leave no trace.
    let first = json(page(0..3, Some("b")));
    let broken = json(page(500..503, Some("stale")));
    let middle = json(page(3..6, Some("c")));
    let last = json(page(6..8, None));
    let cut: Arc<Mutex<Option<usize>>> = Arc::default();
    let (planned, broken_bytes) = (Arc::clone(&cut), broken.clone());
    let server = Server::start(move |_, seen, stream| {
        let _ = match seen.cursor() {
            None => stream.write_all(&first),
            Some("b") => match planned.lock().expect("a plan").take() {
                Some(at) => stream.write_all(&broken_bytes[..at]),
                None => stream.write_all(&middle),
            },
            Some("c") => stream.write_all(&last),
            Some(_) => stream.write_all(&json(page(900..901, None))),
        };
    });
    let (_, options) = options(&server);
    let mut source = source(&Request::new("a"), options);
    for at in 0..broken.len() {
        *cut.lock().expect("a plan") = Some(at);
        let given = collect_from(&mut source, None).await;
        given.ids_are(0..8);
        let pages: Vec<_> = given.summaries.iter().map(|s| (s.page, s.records, s.retries)).collect();
        assert_eq!(pages, [(0, 3, 0), (1, 3, 1), (2, 2, 0)], "cut at {at}");
        let rows: Vec<_> = given.checkpoints.iter().map(|c| (c.pages, c.rows)).collect();
        assert_eq!(rows, [(1, 3), (2, 6), (3, 8)], "cut at {at}");
    }
}

#[tokio::test]
async fn what_was_asked_for_ahead_of_a_page_that_breaks_off_is_dropped_with_it() {
    let asked = Arc::new(Gate::default());
    let gate = Arc::clone(&asked);
    let server = Server::start(move |n, seen, stream| match (n, seen.cursor()) {
        (0, None) => {
            // It breaks off only after the page that it names was asked for.
            let whole = json(page(500..2_500, Some("stale")));
            let _ = stream.write_all(&whole[..whole.len() - 20]);
            assert!(gate.wait());
        }
        (_, None) => drop(stream.write_all(&json(page(0..3, Some("b"))))),
        (_, Some("stale")) => {
            asked.open();
            let _ = stream.write_all(&json(page(900..901, None)));
        }
        _ => drop(stream.write_all(&json(page(3..4, None)))),
    });
    let given = read_all(&server).await;
    given.ids_are(0..4);
    let cursors: Vec<_> = server.seen().iter().map(|seen| seen.cursor().map(str::to_owned)).collect();
    assert_eq!(cursors, [None, Some("stale".to_owned()), None, Some("b".to_owned())]);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_loses_nothing() {
    // No answer says that its connection ends, and each one does.
    let server = Server::start(|_, seen, stream| {
        let n: u32 = seen.cursor().map_or(0, |cursor| cursor.parse().expect("a number"));
        let body = page(n..n + 1, (n < 19).then(|| (n + 1).to_string()).as_deref());
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        let _ = stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    });
    let given = read_all(&server).await;
    given.ids_are(0..20);
    assert_eq!(given.checkpoints.last().map(|c| (c.pages, c.rows)), Some((20, 20)));
}
