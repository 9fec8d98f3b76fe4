//! Where a walk goes next. Pure: what a page said in, "go on", "end" or an error out.

use std::collections::HashSet;

use pagemill_core::{Cursor, CursorId, Error, Result};
use pagemill_json::{Framing, Next};

use crate::query::ResponseFormat;

/// The longest cursor, in bytes.
const LONGEST: usize = 8 << 10;
/// Pages without a record, one after another, that are still believed.
const EMPTY_PAGES: u32 = 1_000;

/// What a page said that matters for where to go next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    /// How it was laid out.
    pub(crate) framing: Option<Framing>,
    /// Its cursor.
    pub(crate) next: &'a Next,
    /// Its records, good and bad.
    pub(crate) records: u64,
    /// How many it says it has.
    pub(crate) result_count: Option<u64>,
    /// True when the transport marked the end of the body: a length, a last chunk, a checksum.
    pub(crate) end_is_marked: bool,
    /// True when it was announced as lines, of which there may be none.
    pub(crate) announced_lines: bool,
}

/// What comes after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The page of this cursor.
    Continue(Cursor),
    /// Nothing.
    End,
}

/// Why a page does not count.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The page is not what it should be. It may have been damaged on the way: worth another request.
    Malformed(Error),
    /// The walk cannot go on.
    Final(Error),
}

/// Remembers every cursor of a run by its id: about 40 MB for a million pages.
#[derive(Debug)]
pub(crate) struct Pager {
    format: ResponseFormat,
    seen: HashSet<CursorId>,
    empty: u32,
}

impl Pager {
    /// A pager for a walk that has met the cursors `seen`: none at its beginning.
    pub(crate) fn new(format: ResponseFormat, seen: impl IntoIterator<Item = CursorId>) -> Self {
        Self { format, seen: seen.into_iter().collect(), empty: 0 }
    }

    /// True when the page of `cursor` may be asked for before the present page is complete.
    pub(crate) fn may_ask(&self, cursor: &Cursor) -> bool {
        cursor.expose().len() <= LONGEST && !self.seen.contains(&cursor.id())
    }

    /// Judges a complete page. After an error nothing has changed.
    pub(crate) fn accept(&mut self, said: &Said<'_>) -> Result<Step, Stop> {
        let malformed = |error: Error| Err(Stop::Malformed(error));
        let enveloped = match (said.framing, self.format) {
            (Some(Framing::Envelope), _) => true,
            (Some(_), ResponseFormat::Stream) => false,
            (Some(framing), format) => {
                return malformed(Error::data(format!(
                    "the answer has no `result`: a {format} answer is an envelope, this is {}",
                    name(framing)
                )));
            }
            (None, ResponseFormat::Stream) if said.announced_lines => false,
            (None, _) => return malformed(Error::data("the answer is empty")),
        };
        // Brackets say themselves where they end. Lines do not, and one object may be the first of many lines.
        let open = matches!(said.framing, None | Some(Framing::Lines | Framing::Object));
        if open && !said.end_is_marked {
            return malformed(
                Error::data("nothing says where the lines end: a broken connection would look the same")
                    .advise("the server has to send Content-Length, or chunks, or gzip"),
            );
        }
        if let Some(count) = said.result_count
            && count != said.records
        {
            let error = Error::data(format!("the page says it has {count} records, and has {}", said.records));
            return malformed(
                error.advise("if records are keyed by a field, two of them may share its value: ask without a key"),
            );
        }
        let cursor = match said.next {
            Next::End => return Ok(Step::End),
            Next::Absent if enveloped => {
                return malformed(Error::data(
                    "the page does not say whether another one follows: it has no `next_cursor`",
                ));
            }
            Next::Absent => return Ok(Step::End),
            Next::Cursor(cursor) => cursor,
        };
        if cursor.expose().len() > LONGEST {
            return Err(Stop::Final(Error::data(format!("the cursor is longer than {LONGEST} bytes"))));
        }
        let empty = if said.records == 0 { self.empty + 1 } else { 0 };
        if empty > EMPTY_PAGES {
            return Err(Stop::Final(Error::data(format!(
                "more than {EMPTY_PAGES} pages without a record came one after another"
            ))));
        }
        if !self.seen.insert(cursor.id()) {
            return Err(Stop::Final(
                Error::data("the cursor is repeated: the pages go round in a circle")
                    .advise("report it to the API's vendor; nothing that was read can be trusted to be complete"),
            ));
        }
        self.empty = empty;
        Ok(Step::Continue(cursor.clone()))
    }
}

fn name(framing: Framing) -> &'static str {
    match framing {
        Framing::Envelope => "an envelope",
        Framing::Array => "a bare array",
        Framing::Object => "another object",
        Framing::Lines => "a sequence of values",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(framing: Option<Framing>, next: &Next, records: u64) -> Said<'_> {
        Said { framing, next, records, result_count: None, end_is_marked: true, announced_lines: false }
    }

    fn cursor(text: &str) -> Next {
        Next::Cursor(Cursor::new(text))
    }

    fn go(pager: &mut Pager, text: &str, records: u64) -> Result<Step, Stop> {
        pager.accept(&page(Some(Framing::Envelope), &cursor(text), records))
    }

    #[test]
    fn the_ends_of_a_walk() {
        use ResponseFormat::{Normalized, Stream, Unified};
        for format in [Unified, Normalized, Stream] {
            let mut pager = Pager::new(format, []);
            let end = pager.accept(&page(Some(Framing::Envelope), &Next::End, 1));
            assert_eq!(end.expect("an end"), Step::End);
            let absent = pager.accept(&page(Some(Framing::Envelope), &Next::Absent, 1));
            assert!(matches!(absent, Err(Stop::Malformed(_))));
            for bare in [Framing::Array, Framing::Object, Framing::Lines] {
                let said = pager.accept(&page(Some(bare), &Next::Absent, 1));
                match format {
                    Stream => assert_eq!(said.expect("an end"), Step::End),
                    _ => assert!(matches!(said, Err(Stop::Malformed(_)))),
                }
            }
            assert!(matches!(pager.accept(&page(None, &Next::Absent, 0)), Err(Stop::Malformed(_))));
        }
    }

    #[test]
    fn a_circle_of_any_length_is_seen_at_its_first_repetition() {
        for length in 1..=1000u32 {
            let mut pager = Pager::new(ResponseFormat::Unified, []);
            for n in 0..length {
                assert!(pager.may_ask(&Cursor::new(n.to_string())));
                go(&mut pager, &n.to_string(), 1).expect("new");
            }
            assert!(!pager.may_ask(&Cursor::new("0")));
            assert!(matches!(go(&mut pager, "0", 1), Err(Stop::Final(_))), "{length}");
        }
    }

    #[test]
    fn a_resumed_walk_knows_the_cursors_it_has_met() {
        let met = ["a", "b", "c"].map(|c| Cursor::new(c).id());
        for known in ["a", "b", "c"] {
            let mut pager = Pager::new(ResponseFormat::Unified, met);
            assert!(!pager.may_ask(&Cursor::new(known)));
            assert!(matches!(go(&mut pager, known, 1), Err(Stop::Final(_))));
            assert!(go(&mut pager, "d", 1).is_ok());
        }
    }

    #[test]
    fn a_thousand_empty_pages_are_believed_and_no_more() {
        let mut pager = Pager::new(ResponseFormat::Unified, []);
        for n in 0..1000 {
            go(&mut pager, &n.to_string(), 0).expect("believed");
        }
        assert!(matches!(go(&mut pager, "x", 0), Err(Stop::Final(_))));
        go(&mut pager, "y", 1).expect("a record");
        go(&mut pager, "z", 0).expect("counted anew");
    }

    #[test]
    fn the_count_must_be_true() {
        let mut pager = Pager::new(ResponseFormat::Unified, []);
        let next = cursor("a");
        let said = |count| Said { result_count: Some(count), ..page(Some(Framing::Envelope), &next, 5) };
        assert!(matches!(pager.accept(&said(6)), Err(Stop::Malformed(_))));
        assert!(pager.accept(&said(5)).is_ok(), "a refused page is not remembered");
    }

    #[test]
    fn lines_need_a_marked_end_and_may_be_none() {
        let mut pager = Pager::new(ResponseFormat::Stream, []);
        let lines = page(Some(Framing::Lines), &Next::Absent, 3);
        assert_eq!(pager.accept(&lines).expect("marked"), Step::End);
        for framing in [Framing::Lines, Framing::Object] {
            let open = Said { end_is_marked: false, framing: Some(framing), ..lines };
            assert!(matches!(pager.accept(&open), Err(Stop::Malformed(_))));
        }
        let none = Said { announced_lines: true, ..page(None, &Next::Absent, 0) };
        assert_eq!(pager.accept(&none).expect("no lines"), Step::End);
        assert!(matches!(pager.accept(&Said { end_is_marked: false, ..none }), Err(Stop::Malformed(_))));
        let mut unified = Pager::new(ResponseFormat::Unified, []);
        assert!(matches!(unified.accept(&none), Err(Stop::Malformed(_))));
    }

    #[test]
    fn a_long_cursor_is_refused_and_no_error_shows_it() {
        let mut pager = Pager::new(ResponseFormat::Unified, []);
        assert!(go(&mut pager, &"c".repeat(8 << 10), 1).is_ok());
        let Err(Stop::Final(error)) = go(&mut pager, &"d".repeat((8 << 10) + 1), 1) else { panic!("too long") };
        assert!(!error.to_string().contains("dd"));
        go(&mut pager, "canary-cursor", 1).expect("new");
        let Err(Stop::Final(error)) = go(&mut pager, "canary-cursor", 1) else { panic!("repeated") };
        assert!(!format!("{error:?}{error}").contains("canary"));
    }
}
