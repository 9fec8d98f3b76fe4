//! Faults by name: what goes wrong, where, and how often.
//!
//! | module | what it holds |
//! |---|---|
//! | `kind` | the faults, by name |
//! | `place` | which pages a fault strikes |
//! | `strikes` | which fault strikes a request |
//! | `spoil` | a reply, spoiled |
//! | `script` | what a connection does instead of speaking HTTP |

pub(crate) mod kind;
mod place;
pub(crate) mod script;
pub(crate) mod spoil;
mod strikes;

use std::fmt;
use std::str::FromStr;

pub(crate) use kind::Kind;
pub(crate) use strikes::Strikes;

use place::Place;

/// Something that goes wrong with the pages of a list, as it is written: `NAME[:ARGUMENT][@WHERE]...`.
///
/// [`Fault::all`] has the names. `WHERE` is any of
///
/// | `WHERE` | strikes |
/// |---|---|
/// | `page=3` | the page of that ordinal, from 0; a page is told by its cursor, however often it is asked for |
/// | `every=7` | every seventh page: 6, 13, 20 |
/// | `p=0.05` | each page with that probability, drawn from the simulator's seed |
/// | `request=5` | the request of that ordinal, from 0, if it is for a page |
/// | `times=3` | the first three times that such a page is asked for, rather than the first |
/// | `always` | every time |
///
/// Without a place every page is struck, and without a number of times each page once: asked again, it is well. Faults
/// that are a property of the list rather than an accident (`cursor-loop`, `expired`, `empty`, `repeat`, `retype`)
/// strike always.
///
/// ```
/// use pagemill_simulator::Fault;
///
/// let fault: Fault = "status:503@page=3@times=2".parse()?;
/// assert_eq!(fault.to_string(), "status:503@page=3@times=2");
/// assert!("stats:503".parse::<Fault>().is_err());
/// # Ok::<(), pagemill_simulator::FaultError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    text: String,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
}

/// What a fault is called, what its argument means, and what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultName {
    /// The name.
    pub name: &'static str,
    /// How its argument is written, such as `:BYTES`; empty where there is none.
    pub argument: &'static str,
    /// What the argument is if it is left out.
    pub default: &'static str,
    /// What it does, in a line.
    pub does: &'static str,
}

impl Fault {
    /// All faults, by name.
    #[must_use]
    pub fn all() -> Vec<FaultName> {
        kind::KNOWN.iter().map(|known| known.name).collect()
    }

    /// The name, without argument and place.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text.split(['@', ':']).next().unwrap_or_default()
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut parts = text.split('@');
        let what = parts.next().unwrap_or_default();
        let (name, argument) = what.split_once(':').map_or((what, None), |(name, argument)| (name, Some(argument)));
        let kind = kind::named(name, argument).map_err(FaultError)?;
        let mut place = Place::of(&kind);
        let mut said = [false; 2];
        for part in parts {
            place.add(part).map_err(FaultError)?;
            let how_often = part == "always" || part.starts_with("times=");
            if std::mem::replace(&mut said[usize::from(how_often)], true) {
                return Err(FaultError(format!("{text:?} says twice where, or how often, it strikes")));
            }
        }
        Ok(Self { text: text.to_owned(), kind, place })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text that names no fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultError(String);

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FaultError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_fault_and_says_what_it_does() {
        for name in Fault::all() {
            let fault: Fault = name.name.parse().expect(name.name);
            assert_eq!(fault.name(), name.name);
            assert!(!name.does.is_empty());
            let documented = include_str!("../lib.rs").contains(&format!("//! | `{}", name.name));
            assert!(documented, "{} is missing from the table in lib.rs", name.name);
            let takes = format!("{}:definitely-not", name.name).parse::<Fault>().is_ok();
            assert!(!takes || !name.argument.is_empty(), "{} takes an argument that it does not name", name.name);
        }
    }

    #[test]
    fn what_is_no_fault_is_refused_with_a_reason() {
        for text in [
            "",
            "nothing",
            "reset:x",
            "reset:-1",
            "status:99",
            "status:200",
            "status",
            "reset@",
            "reset@page",
            "reset@page=x",
            "reset@every=0",
            "reset@p=2",
            "reset@p=x",
            "reset@times=0",
            "reset@often",
            "html:1",
            "429:later=1",
            "cursor-loop:0",
            "expired:500",
            "fin@page=1@every=2",
            "fin@always@times=2",
            "drip:0",
        ] {
            let error = text.parse::<Fault>().err();
            // `status` alone has a default.
            assert_eq!(error.is_none(), text == "status", "{text:?}: {error:?}");
        }
    }
}
