//! Errors: whose fault, where, and the way out.

use std::{
    error::Error as StdError,
    fmt::{self, Write},
};

use crate::escape::{Escaping, SHOWN, escape};

use crate::Rewind;

/// A `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault an error is; it decides what a scheduler should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for cannot be done as asked; nothing was requested or written.
    Config,
    /// The data broke a rule: JSON, a limit, the envelope, a cursor loop, too many bad records.
    Data,
    /// The source could not be reached, or kept failing after all retries.
    Unavailable,
    /// The source refused us: 401 or 403.
    Denied,
    /// The source rejected the request for a reason that asking again cannot change: 400, 404, 422.
    Rejected,
    /// A file or folder of the sink could not be created.
    Create,
    /// Reading or writing failed: disk full, device error, read-only.
    Io,
    /// Somebody else holds the slot, or a rate limit asks for a longer wait than allowed. Later.
    Busy,
    /// A commit was sent and its answer lost. Nothing was deleted.
    Unknown,
    /// The run was told to stop.
    Cancelled,
    /// A bug of ours.
    Internal,
}

/// Where in the input an error was met. Every part may be unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The input: a file's name or a URL without secrets.
    pub input: Option<String>,
    /// Ordinal of the page in the run, from 0.
    pub page: Option<u64>,
    /// Ordinal of the record in its page, from 0.
    pub record: Option<u64>,
    /// Byte offset in the (decompressed) page, from 0.
    pub byte: Option<u64>,
    /// JSON path from the record, such as `$.emails[1].is_primary`.
    pub path: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sep = "";
        let mut part = |f: &mut fmt::Formatter<'_>, name: &str, value: Option<String>| match value {
            None => Ok(()),
            Some(value) => {
                let result = write!(f, "{sep}{name}{value}");
                sep = ", ";
                result
            }
        };
        part(f, "", self.input.clone())?;
        part(f, "page ", self.page.map(|n| n.to_string()))?;
        part(f, "record ", self.record.map(|n| n.to_string()))?;
        part(f, "byte ", self.byte.map(|n| n.to_string()))?;
        // Its steps are names that the data gave.
        part(f, "", self.path.as_ref().map(|path| escape(path, SHOWN)))
    }
}

impl Place {
    /// True when nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What went wrong, where, and what to do about it.
///
/// `Display` says one level; [`StdError::source`] holds the next. What it shows is [escaped](crate::escape), whoever wrote
/// it, and so are the causes that `Debug` shows.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    place: Place,
    advice: Option<String>,
    remedy: Option<Rewind>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name(message: impl Into<String>) -> Self {
            Self::new(ErrorKind::$kind, message)
        }
    )*};
}

impl Error {
    /// An error of `kind` that says `message` (one sentence, no trailing full stop).
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            place: Place::default(),
            advice: None,
            remedy: None,
            source: None,
        }))
    }

    constructors! {
        /// An [`ErrorKind::Config`] error.
        config => Config;
        /// An [`ErrorKind::Data`] error.
        data => Data;
        /// An [`ErrorKind::Io`] error.
        io => Io;
        /// An [`ErrorKind::Internal`] error.
        internal => Internal;
    }

    /// Adds where it happened.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.0.place = place;
        self
    }

    /// Adds to, or corrects, where it happened.
    #[must_use]
    pub fn map_place(mut self, f: impl FnOnce(&mut Place)) -> Self {
        f(&mut self.0.place);
        self
    }

    /// Adds the way out, as an instruction.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.0.advice = Some(advice.into());
        self
    }

    /// Says that the walk may succeed if it is taken up again further back.
    #[must_use]
    pub fn rewind(mut self, to: Rewind) -> Self {
        self.0.remedy = Some(to);
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Has `f` rewrite the message, the advice and the path of the place: all that may repeat what the data said.
    #[must_use]
    pub fn map_text(mut self, f: impl Fn(&str) -> String) -> Self {
        self.0.message = f(&self.0.message);
        self.0.advice = self.0.advice.as_deref().map(&f);
        self.0.place.path = self.0.place.path.as_deref().map(&f);
        self
    }

    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What happened, without place or advice.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where it happened.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// How far back the walk would have to go to have another try, if that may help.
    #[must_use]
    pub fn remedy(&self) -> Option<Rewind> {
        self.0.remedy
    }

    /// The way out, if one is known.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = Escaping(f);
        f.write_str(&self.0.message)?;
        if !self.0.place.is_empty() {
            write!(f, " ({})", self.0.place)?;
        }
        if let Some(advice) = &self.0.advice {
            write!(f, "; {advice}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(Escaping(f), ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::internal("columns do not fit together").because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_says_message_place_and_advice() {
        let error = Error::data("a string is not closed")
            .at(Place { page: Some(3), record: Some(7), byte: Some(1041), path: Some("$.name".into()), input: None })
            .advise("ask for the page again");
        assert_eq!(
            error.to_string(),
            "a string is not closed (page 3, record 7, byte 1041, $.name); ask for the page again"
        );
    }

    #[test]
    fn no_part_of_it_can_act_on_a_terminal() {
        let hostile = "\u{1b}]52;c;aGk=\u{7}\r\n\u{202e}\u{9b}2J";
        let place = Place { input: Some(hostile.into()), path: Some(hostile.repeat(100)), ..Place::default() };
        let error = Error::data(hostile).at(place).advise(hostile).because(std::io::Error::other(hostile));
        let shown = format!("{error}{error:?}");
        assert!(!shown.chars().any(crate::escape::is_harmful), "{shown}");
        assert!(shown.len() < 5_000, "the path is cut");
        let rewritten = format!("{:?}", error.map_text(|_| "x".to_owned()));
        assert!(rewritten.starts_with("Data: x (") && rewritten.contains(", x); x"), "{rewritten}");
    }

    #[test]
    fn the_cause_is_one_level_down() {
        let error = Error::io("cannot write").because(std::io::Error::other("no space"));
        assert_eq!(error.to_string(), "cannot write");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("no space"));
        assert_eq!(std::mem::size_of::<Error>(), 8);
    }
}
