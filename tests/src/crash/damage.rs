//! What an unfinished run has left is damaged: the next run sees it, and goes on from before it.

use std::sync::Arc;

use super::{
    cases::{self, Setting, Tally, spread},
    faults::Fault,
    memory::{Chance, Image, Memory},
    tree::{Entry, Place, Tree},
    verdict::{Flaw, Known, What},
    workload::{Course, Ledger, SLOT, STOP},
};

/// An unfinished run, of which two segments are kept.
pub struct Unfinished {
    tree: Tree,
    ledger: Arc<Ledger>,
    /// The attempt's folder.
    attempt: String,
}

/// What is done to it, in words; the tree after it; the pages that must be kept, where that is known.
type Damage = (String, Tree, Option<u64>);

impl Unfinished {
    /// A run that dies when two segments are durable.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(setting: &Setting) -> Self {
        let setting = Setting { course: Course::Commit, ..setting.clone() };
        // The first death at which two segments are durable.
        let calls = setting.calls();
        let found = (0..calls).find_map(|at| {
            let (memory, ledger) = (Memory::empty(), Arc::new(Ledger::default()));
            let fault = Fault::Die { at, when: super::faults::When::Before };
            let outcome = setting.attempt(&memory, &ledger, fault).run();
            let known = Known::default().until(&outcome.claims, u64::MAX);
            (known.durable == 2 * (STOP - 1)).then(|| (memory.tree(), ledger))
        });
        let (tree, ledger) = found.expect("an unfinished run");
        let home = format!("out.pagemill/m/{SLOT}/");
        let attempt = tree.keys().find(|path| path.strip_prefix(&home).is_some_and(|name| name.len() == 32));
        let attempt = attempt.expect("an attempt").clone();
        Self { tree, ledger, attempt }
    }

    fn files(&self, kind: &str) -> Vec<(&String, &Arc<Vec<u8>>)> {
        let is_kind = |path: &str| path.rsplit('/').next().is_some_and(|name| name.starts_with(kind));
        let ours = self.tree.iter().filter(|(path, _)| path.starts_with(&self.attempt) && is_kind(path));
        ours.filter_map(|(path, entry)| Some((path, entry.data.as_ref()?))).collect()
    }

    fn with(&self, path: &str, data: Option<Vec<u8>>) -> Tree {
        let mut tree = self.tree.clone();
        match data {
            Some(data) => {
                tree.insert(path.to_owned(), Entry { mode: 0o600, data: Some(Arc::new(data)) });
            }
            None => {
                tree.remove(path);
            }
        }
        tree
    }

    /// The next run on a damaged tree.
    fn judge(&self, setting: &Setting, damage: Damage) -> Tally {
        let (what, tree, kept) = damage;
        let mut tally = Tally::default();
        let memory = Memory::new(Image::holding(&tree));
        let ledger = Arc::new(self.ledger.fork());
        let known = Known { durable: kept.unwrap_or(0), ..Known::default() };
        let mut result = cases::aftermath(setting, &memory, &ledger, None, &known);
        if let (Ok(()), Some(kept)) = (&result, kept) {
            // Not more either: what is damaged is not relied on.
            let memory = Memory::new(Image::holding(&tree));
            let fork = Arc::new(self.ledger.fork());
            let opened = setting.attempt(&memory, &fork, Fault::None).run().opened;
            let pages = opened.map_or(0, |opened| opened.checkpoint.pages);
            if pages != kept {
                result = Err(Flaw::new(What::Undone, format!("{kept} pages are whole, and {pages} are gone on from")));
            }
        }
        tally.count(|| what, result);
        tally
    }
}

/// Every byte of the journal is changed, one in `every`; and it is cut there.
#[must_use]
pub fn journal(setting: &Setting, every: usize) -> Tally {
    let unfinished = Unfinished::new(setting);
    let mut damages: Vec<Damage> = Vec::new();
    for (path, data) in unfinished.files("journal-") {
        let lines = |upto: usize| data[..upto].iter().filter(|b| **b == b'\n').count() as u64;
        for at in (0..data.len()).step_by(every) {
            // The first line says whose it is; each of the others is a segment of two pages.
            let kept = lines(at).saturating_sub(1) * 2;
            let mut changed = data.to_vec();
            changed[at] ^= 1 << (at % 8);
            damages.push((format!("byte {at} of {path}"), unfinished.with(path, Some(changed)), Some(kept)));
            let cut = unfinished.with(path, Some(data[..at].to_vec()));
            damages.push((format!("{path} cut at {at}"), cut, Some(kept)));
        }
        damages.push((format!("{path} missing"), unfinished.with(path, None), Some(0)));
    }
    spread(damages, |damage| unfinished.judge(setting, damage))
}

/// So many bytes of parts are changed by chance; parts are cut, go missing, are empty; and there are some too many.
#[must_use]
pub fn parts(setting: &Setting, some: usize, seed: u64) -> Tally {
    let unfinished = Unfinished::new(setting);
    let mut chance = Chance::new(seed);
    let mut damages: Vec<Damage> = Vec::new();
    // Of the root table, each part is a segment; of the other, only pages that have rows are told by its name.
    let kept = |path: &str| {
        let number: String = path.chars().rev().skip_while(|c| !c.is_ascii_digit()).take(5).collect();
        let number: u64 = number.chars().rev().collect::<String>().parse().expect("a number");
        (number < 2).then_some(number * 2)
    };
    let files = unfinished.files("part-");
    let named: Vec<_> = files.iter().filter(|(path, _)| kept(path).is_some()).collect();
    for _ in 0..some {
        let (path, data) = named[chance.below(named.len())];
        let at = chance.below(data.len());
        let mut changed = data.to_vec();
        changed[at] ^= 1 << chance.below(8);
        damages.push((format!("byte {at} of {path}"), unfinished.with(path, Some(changed)), kept(path)));
    }
    for (path, data) in files {
        for length in [0, 1, data.len() / 2, data.len().saturating_sub(1)] {
            if length < data.len() {
                let cut = unfinished.with(path, Some(data[..length].to_vec()));
                damages.push((format!("{path} cut at {length}"), cut, kept(path)));
            }
        }
        let longer = [data.as_slice(), b"\n"].concat();
        damages.push((format!("{path} longer"), unfinished.with(path, Some(longer)), kept(path)));
        damages.push((format!("{path} missing"), unfinished.with(path, None), kept(path)));
    }
    let (attempt, extension) = (&unfinished.attempt, setting.format.extension());
    for extra in ["m/part-00002", "m/part-00099", "m_c/part-00002", "m_e/part-00000", "m/other", "other"] {
        let path = format!("{attempt}/{extra}.{extension}");
        damages.push((format!("{path} added"), unfinished.with(&path, Some(b"begin\nend\n".to_vec())), Some(4)));
    }
    spread(damages, |damage| unfinished.judge(setting, damage))
}
