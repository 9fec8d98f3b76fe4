//! The faults, by name.

use super::FaultName;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The connection is reset after so many bytes of the answer, or half of it.
    Reset(Option<usize>),
    /// The connection ends after so many bytes.
    Fin(Option<usize>),
    /// Nothing comes after so many bytes.
    Stall(Option<usize>),
    /// A byte each so many milliseconds.
    Drip(u64),
    /// A length that is longer than the body by so many bytes.
    LongLength(usize),
    /// A length that is shorter than the body by so many bytes.
    ShortLength(usize),
    BadChunk,
    NoLastChunk,
    GzipCut,
    GzipTwice,
    GzipRubbish,
    GzipChecksum,
    /// 429, with these hints.
    RateLimit(Vec<Hint>),
    Status(u16),
    Redirect(String),
    ErrorBody,
    Html,
    EmptyBody,
    /// A cursor is answered with this status.
    Expired(u16),
    /// The cursor leads so many pages back.
    CursorLoop(u64),
    /// So many empty pages before the page.
    Empty(u64),
    /// The last records of the page before come again.
    Repeat(u64),
    /// The page has its records in another order, and breaks off.
    Differ,
    /// A member has another type in each record.
    Retype,
    InvalidUtf8,
    /// A value nested so deep.
    Deep(usize),
    /// A string of so many bytes.
    Huge(usize),
}

/// What a 429 says about how long to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// `Retry-After` as it is.
    Seconds(String),
    /// `Retry-After` as a date, so many seconds from now.
    Date(i64),
    /// `ratelimit-reset` in seconds.
    Reset(u64),
    /// `x-ratelimit-reset` as a moment, so many seconds from now.
    Epoch(i64),
}

impl Kind {
    /// Whether it is a property of the list rather than an accident.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self, Self::Expired(_) | Self::CursorLoop(_) | Self::Empty(_) | Self::Repeat(_) | Self::Retype)
    }

    /// Whether the answer still leaves whole, with a status of 200, for a client that is patient.
    pub(crate) fn leaves_whole(&self) -> bool {
        matches!(
            self,
            Self::CursorLoop(_)
                | Self::Empty(_)
                | Self::Repeat(_)
                | Self::Retype
                | Self::Deep(_)
                | Self::Huge(_)
                | Self::Drip(_)
        )
    }
}

type Argument<'a> = Option<&'a str>;

/// A fault that has a name.
pub(super) struct Known {
    pub(super) name: FaultName,
    make: fn(Argument<'_>) -> Result<Kind, String>,
}

const fn known(
    name: &'static str,
    argument: &'static str,
    default: &'static str,
    does: &'static str,
    make: fn(Argument<'_>) -> Result<Kind, String>,
) -> Known {
    Known { name: FaultName { name, argument, default, does }, make }
}

pub(super) const KNOWN: &[Known] = &[
    known("reset", ":BYTES", "half of them", "the connection is reset after so many bytes, the head included", |a| {
        Ok(Kind::Reset(optional(a)?))
    }),
    known("fin", ":BYTES", "half of them", "the connection ends after so many bytes", |a| Ok(Kind::Fin(optional(a)?))),
    known("stall", ":BYTES", "half of them", "nothing comes after so many bytes, and the connection stays", |a| {
        Ok(Kind::Stall(optional(a)?))
    }),
    known("drip", ":MILLISECONDS", "200", "a byte comes each so many milliseconds", |a| {
        Ok(Kind::Drip(number(a, 200, 1, 60_000)?))
    }),
    known("long-length", ":BYTES", "10", "Content-Length is more than there is", |a| {
        Ok(Kind::LongLength(number(a, 10, 1, 1 << 40)? as usize))
    }),
    known("short-length", ":BYTES", "10", "Content-Length is less than there is", |a| {
        Ok(Kind::ShortLength(number(a, 10, 1, 1 << 40)? as usize))
    }),
    known("bad-chunk", "", "", "the size of a chunk in mid-body is no number", |a| none(a, Kind::BadChunk)),
    known("no-last-chunk", "", "", "the body comes in chunks, without the last", |a| none(a, Kind::NoLastChunk)),
    known("gzip-cut", "", "", "the gzip data ends early, and its length says so", |a| none(a, Kind::GzipCut)),
    known("gzip-twice", "", "", "a second gzip member follows", |a| none(a, Kind::GzipTwice)),
    known("gzip-rubbish", "", "", "other bytes follow the gzip data", |a| none(a, Kind::GzipRubbish)),
    known("gzip-checksum", "", "", "the gzip checksum is another one's", |a| none(a, Kind::GzipChecksum)),
    known(
        "429",
        ":seconds=N | date=N | reset=N | epoch=N | none, with commas between",
        "seconds=1",
        "too many requests: wait by Retry-After in seconds, as a date, by ratelimit-reset, by x-ratelimit-reset as a moment",
        |a| hints(a.unwrap_or("seconds=1")).map(Kind::RateLimit),
    ),
    known("status", ":CODE", "500", "an answer with that status and an error body", |a| {
        Ok(Kind::Status(number(a, 500, 201, 599)? as u16))
    }),
    known("redirect", ":URL", "http://127.0.0.1:9/", "302 to another address", |a| {
        Ok(Kind::Redirect(a.unwrap_or("http://127.0.0.1:9/").to_owned()))
    }),
    known("error-body", "", "", "an error body with a status of 200", |a| none(a, Kind::ErrorBody)),
    known("html", "", "", "a page of HTML with a status of 200, as a proxy sends it", |a| none(a, Kind::Html)),
    known("empty-body", "", "", "a status of 200, and nothing", |a| none(a, Kind::EmptyBody)),
    known("expired", ":CODE of 400 to 422", "410", "the second page's cursor is not known any more", |a| {
        Ok(Kind::Expired(number(a, 410, 400, 422)? as u16))
    }),
    known("cursor-loop", ":PAGES", "1", "after so many pages the cursor leads back to the first of them", |a| {
        Ok(Kind::CursorLoop(number(a, 1, 1, 1 << 40)?))
    }),
    known("empty", ":PAGES", "3", "so many pages without a record come before each page", |a| {
        Ok(Kind::Empty(number(a, 3, 1, 32_000)?))
    }),
    known("repeat", ":RECORDS", "1", "each page begins with the last records of the page before", |a| {
        Ok(Kind::Repeat(number(a, 1, 1, 1 << 20)?))
    }),
    known("differ", "", "", "the page breaks off, and has other contents when it is asked for again", |a| {
        none(a, Kind::Differ)
    }),
    known("retype", "", "", "`title` is a number, an object, an array, a boolean and a string in turn", |a| {
        none(a, Kind::Retype)
    }),
    known("invalid-utf8", "", "", "a byte in a string is no UTF-8", |a| none(a, Kind::InvalidUtf8)),
    known("deep", ":LEVELS", "200", "a value of a record is nested so deep", |a| {
        Ok(Kind::Deep(number(a, 200, 1, 1 << 24)? as usize))
    }),
    known("huge", ":BYTES", "17825792", "a string of a record is so long", |a| {
        Ok(Kind::Huge(number(a, 17 << 20, 1, 1 << 30)? as usize))
    }),
];

/// The fault of a name, with its argument.
pub(super) fn named(name: &str, argument: Argument<'_>) -> Result<Kind, String> {
    let known = KNOWN.iter().find(|known| known.name.name == name).ok_or_else(|| {
        let names: Vec<_> = KNOWN.iter().map(|known| known.name.name).collect();
        format!("there is no fault {name:?}, but {}", names.join(", "))
    })?;
    (known.make)(argument).map_err(|why| format!("{name}: {why}"))
}

fn none(argument: Argument<'_>, kind: Kind) -> Result<Kind, String> {
    argument.map_or(Ok(kind), |argument| Err(format!("it takes no argument such as {argument:?}")))
}

fn optional(argument: Argument<'_>) -> Result<Option<usize>, String> {
    argument.map(|text| text.parse().map_err(|_| format!("{text:?} is no number of bytes"))).transpose()
}

fn number(argument: Argument<'_>, default: u64, least: u64, most: u64) -> Result<u64, String> {
    let Some(text) = argument else { return Ok(default) };
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("{text:?} is no number from {least} to {most}"))
}

fn hints(text: &str) -> Result<Vec<Hint>, String> {
    let mut hints = Vec::new();
    for part in text.split(',').filter(|part| *part != "none") {
        let wrong = || format!("{part:?} is none of seconds=N, date=N, reset=N, epoch=N, none");
        let (name, value) = part.split_once('=').ok_or_else(wrong)?;
        let seconds = || value.parse::<i64>().map_err(|_| wrong());
        hints.push(match name {
            "seconds" if seconds().is_ok() => Hint::Seconds(value.to_owned()),
            "date" => Hint::Date(seconds()?),
            "reset" => Hint::Reset(value.parse().map_err(|_| wrong())?),
            "epoch" => Hint::Epoch(seconds()?),
            _ => return Err(wrong()),
        });
    }
    Ok(hints)
}
