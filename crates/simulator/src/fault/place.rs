//! Which pages a fault strikes, and how often.

use super::Kind;
use crate::random::Random;

/// Random numbers for faults are apart from those for members.
const PURPOSE: u64 = 500;

/// Where a fault strikes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pages: Pages,
    /// How often each page is struck; None is always.
    pub(super) times: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
enum Pages {
    All,
    One(u64),
    Every(u64),
    Chance(f64),
    Request(u64),
}

impl Place {
    /// Where a kind of fault strikes unless it is said.
    pub(super) fn of(kind: &Kind) -> Self {
        let pages = match kind {
            Kind::CursorLoop(pages) => Pages::One(pages - 1),
            Kind::Expired(_) => Pages::One(1),
            _ => Pages::All,
        };
        Self { pages, times: (!kind.is_lasting()).then_some(1) }
    }

    /// Takes `page=3` and its like.
    pub(super) fn add(&mut self, text: &str) -> Result<(), String> {
        if text == "always" {
            self.times = None;
            return Ok(());
        }
        let wrong = || format!("{text:?} is none of page=N, every=N, p=0.05, request=N, times=N, always");
        let (name, value) = text.split_once('=').ok_or_else(wrong)?;
        let number = || value.parse::<u64>().map_err(|_| wrong());
        match name {
            "page" => self.pages = Pages::One(number()?),
            "every" => self.pages = Pages::Every(number().ok().filter(|n| *n > 0).ok_or_else(wrong)?),
            "request" => self.pages = Pages::Request(number()?),
            "p" => {
                let chance = value.parse().ok().filter(|p| (0.0..=1.0).contains(p));
                self.pages = Pages::Chance(chance.ok_or_else(wrong)?);
            }
            "times" => self.times = Some(value.parse().ok().filter(|n| *n > 0).ok_or_else(wrong)?),
            _ => return Err(wrong()),
        }
        Ok(())
    }

    /// Whether it is about a page at all; `nth` tells the faults of a simulator apart.
    pub(super) fn has(&self, page: u64, request: u64, seed: u64, nth: u64) -> bool {
        match self.pages {
            Pages::All => true,
            Pages::One(one) => page == one,
            Pages::Every(every) => page % every == every - 1,
            Pages::Request(one) => request == one,
            Pages::Chance(chance) => {
                let drawn = Random::of(seed, page, PURPOSE + nth).below(1 << 32) as f64;
                drawn < chance * (1u64 << 32) as f64
            }
        }
    }
}
