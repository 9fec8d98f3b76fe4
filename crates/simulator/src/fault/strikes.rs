//! Which fault strikes a request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Fault;

/// The faults of a simulator, and how often each has struck each page.
pub(crate) struct Strikes {
    faults: Vec<Fault>,
    seed: u64,
    struck: Mutex<HashMap<(usize, u64), u32>>,
}

impl Strikes {
    pub(crate) fn new(faults: Vec<Fault>, seed: u64) -> Self {
        Self { faults, seed, struck: Mutex::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// The first of the faults that strikes this serving of a page, if one does. Asking counts.
    pub(crate) fn next(&self, page: u64, request: u64) -> Option<&Fault> {
        let mut struck = self.struck.lock().unwrap_or_else(PoisonError::into_inner);
        self.faults.iter().enumerate().find_map(|(nth, fault)| {
            if !fault.place.has(page, request, self.seed, nth as u64) {
                return None;
            }
            if let Some(times) = fault.place.times {
                let so_far = struck.entry((nth, page)).or_default();
                if *so_far >= times {
                    return None;
                }
                *so_far += 1;
            }
            Some(fault)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(faults: &[&str], seed: u64) -> Strikes {
        Strikes::new(faults.iter().map(|text| text.parse().expect("a fault")).collect(), seed)
    }

    /// The faults that strike so many servings of each page, page after page.
    fn struck(strikes: &Strikes, pages: u64, servings: usize) -> Vec<Vec<Option<String>>> {
        let of = |page| (0..servings).map(move |_| strikes.next(page, 0).map(ToString::to_string)).collect();
        (0..pages).map(of).collect()
    }

    #[test]
    fn once_a_page_unless_it_is_said() {
        let html = Some("html".to_owned());
        assert_eq!(struck(&strikes(&["html"], 0), 2, 2), [[html.clone(), None], [html, None]]);
        let twice = strikes(&["html@page=1@times=2"], 0);
        let text = Some("html@page=1@times=2".to_owned());
        assert_eq!(struck(&twice, 2, 3), [[None, None, None], [text.clone(), text, None]]);
        assert!(struck(&strikes(&["html@always"], 0), 1, 9)[0].iter().all(Option::is_some));
        assert!(struck(&strikes(&["repeat"], 0), 1, 9)[0].iter().all(Option::is_some));
    }

    #[test]
    fn several_faults_take_turns() {
        let both = strikes(&["html", "fin"], 0);
        assert_eq!(struck(&both, 1, 3), [[Some("html".to_owned()), Some("fin".to_owned()), None]]);
    }

    #[test]
    fn places() {
        let pages = |text: &str, seed| {
            let all = struck(&strikes(&[text], seed), 10_000, 1);
            all.iter().enumerate().filter(|(_, page)| page[0].is_some()).map(|(n, _)| n).collect::<Vec<_>>()
        };
        assert_eq!(pages("html@page=3", 0), [3]);
        assert_eq!(pages("html@every=4000", 0), [3999, 7999]);
        assert_eq!(pages("cursor-loop:5", 0), [4]);
        assert_eq!(pages("expired", 0), [1]);
        assert!(pages("html@p=0", 0).is_empty());
        assert_eq!(pages("html@p=1", 0).len(), 10_000);
        let fifth = strikes(&["html@request=5"], 0);
        assert!(fifth.next(2, 4).is_none() && fifth.next(2, 5).is_some() && fifth.next(2, 6).is_none());
        let some = pages("html@p=0.05", 1);
        assert!((400..600).contains(&some.len()), "{}", some.len());
        assert_eq!(some, pages("html@p=0.05", 1));
        assert_ne!(some, pages("html@p=0.05", 2));
    }
}
