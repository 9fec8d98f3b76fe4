//! All the places where something can go wrong.

use std::{
    collections::{BTreeMap, HashSet},
    num::NonZero,
    sync::{Arc, Mutex, PoisonError},
};

use pagemill::{ErrorKind, Format, Resume};

use super::{
    broken::Broken,
    faults::{Fault, When},
    memory::{Chance, Image, Memory},
    tree::{Folder, Place, Tree},
    verdict::{Flaw, Judge, Known, Servings, What},
    workload::{Attempt, Course, Ledger, Outcome, PAGES, ROWS, cursor},
};

/// The errors that disks answer with: EIO, EFBIG, ENOSPC, EROFS, EDQUOT.
pub const CODES: [i32; 5] = [5, 27, 28, 30, 122];

/// What is run.
#[derive(Clone)]
pub struct Setting {
    /// In which format.
    pub format: Arc<dyn Format>,
    /// How the run goes.
    pub course: Course,
    /// Whether it makes a published run again.
    pub overwrite: bool,
    /// How the protocol is broken.
    pub broken: Broken,
}

impl Setting {
    /// A sound run to its end, into nothing.
    #[must_use]
    pub fn new(format: Arc<dyn Format>) -> Self {
        Self { format, course: Course::Commit, overwrite: false, broken: Broken::Sound }
    }

    /// What comes before: nothing, or a run that is published.
    ///
    /// # Panics
    /// When that run fails.
    #[must_use]
    pub fn start(&self) -> Start {
        let memory = Memory::empty();
        let ledger = Arc::new(Ledger::default());
        let setting = Self { broken: Broken::Sound, course: Course::Commit, ..self.clone() };
        let old = self.overwrite.then(|| {
            setting.attempt(&memory, &ledger, Fault::None).run().result.expect("the run before");
            setting.judge(&ledger, None).published(&memory.tree()).expect("the run before")
        });
        Start { image: memory.image(), ledger, old }
    }

    /// A run of it.
    pub fn attempt<'a>(&self, place: &'a dyn Place, ledger: &Arc<Ledger>, fault: Fault) -> Attempt<'a> {
        Attempt {
            place,
            format: self.format.clone(),
            ledger: ledger.clone(),
            course: self.course,
            overwrite: self.overwrite,
            fault,
            broken: self.broken,
        }
    }

    fn judge<'a>(&'a self, ledger: &'a Ledger, old: Option<&'a Servings>) -> Judge<'a> {
        Judge { ledger, old, between: None, extension: self.format.extension() }
    }

    /// About how many calls on the disk the run makes.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn calls(&self) -> u64 {
        let start = self.start();
        let memory = Memory::new(start.image);
        let outcome = self.attempt(&memory, &start.ledger, Fault::None).run();
        outcome.result.expect("a run without a fault");
        outcome.watch.calls()
    }
}

/// What is there before a run.
#[derive(Clone)]
pub struct Start {
    image: Image,
    ledger: Arc<Ledger>,
    old: Option<Servings>,
}

/// How many cases there were, and what they showed.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Cases.
    pub cases: u64,
    /// Of those, how many found a committed run whose tables were not all in place.
    pub half_moved: u64,
    /// Flaws, by kind.
    pub flaws: BTreeMap<What, u64>,
    /// The first of them, in words.
    pub first: Vec<String>,
}

impl Tally {
    /// One case.
    pub fn count(&mut self, case: impl FnOnce() -> String, result: Result<(), Flaw>) {
        self.cases += 1;
        if let Err(flaw) = result {
            *self.flaws.entry(flaw.what).or_default() += 1;
            if self.first.len() < 5 {
                self.first.push(format!("{}: {flaw}", case()));
            }
        }
    }

    /// The cases of another one as well.
    pub fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.half_moved += other.half_moved;
        for (what, count) in other.flaws {
            *self.flaws.entry(what).or_default() += count;
        }
        self.first.extend(other.first);
        self.first.truncate(5);
    }

    /// Flaws of a kind.
    #[must_use]
    pub fn of(&self, what: What) -> u64 {
        self.flaws.get(&what).copied().unwrap_or(0)
    }

    /// Asserts that there were at least `least` cases, and no flaw.
    ///
    /// # Panics
    /// Otherwise.
    pub fn assert_sound(&self, least: u64) {
        assert!(self.flaws.is_empty(), "of {} cases, {:?}: {:#?}", self.cases, self.flaws, self.first);
        assert!(self.cases >= least, "only {} cases", self.cases);
    }
}

/// Does `work` for each item, on all processors.
pub fn spread<I: Send>(items: Vec<I>, work: impl Fn(I) -> Tally + Sync) -> Tally {
    let items = Mutex::new(items.into_iter());
    let total = Mutex::new(Tally::default());
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                while let Some(item) = next() {
                    let tally = work(item);
                    total.lock().unwrap_or_else(PoisonError::into_inner).add(tally);
                }
            });
        }
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Some of `items`, in their order.
pub fn sample<I>(items: Vec<I>, some: usize, chance: &mut Chance) -> Vec<I> {
    let (mut left, mut wanted) = (items.len(), some);
    let mut picked = Vec::new();
    for item in items {
        if chance.below(left) < wanted {
            wanted -= 1;
            picked.push(item);
        }
        left -= 1;
    }
    picked
}

/// The point that a run was told to go on from must be one that it was told of.
fn check_opened(opened: Option<&Resume>) -> Result<u64, Flaw> {
    let Some(opened) = opened else { return Ok(0) };
    let (at, serves) = (&opened.checkpoint, &opened.summary["serves"]);
    let met: Vec<_> = (1..=at.pages.min(PAGES - 1)).map(|page| cursor(page).id()).collect();
    let ended = at.pages == PAGES;
    let same = at.rows == at.pages * ROWS as u64
        && at.is_end() == ended
        && (opened.seen == met || (ended && opened.seen.is_empty()))
        && serves.as_array().is_some_and(|serves| serves.len() as u64 == at.pages);
    if same { Ok(at.pages) } else { Err(Flaw::new(What::Changed, format!("a run was to go on from {opened:?}"))) }
}

/// What must hold at a place where a run has ended in whatever way, and after the runs that follow.
///
/// # Errors
/// The first flaw.
pub fn aftermath(
    setting: &Setting,
    place: &dyn Place,
    ledger: &Arc<Ledger>,
    old: Option<&Servings>,
    known: &Known,
) -> Result<(), Flaw> {
    let judge = Judge { between: known.between.as_ref(), ..setting.judge(ledger, old) };
    let before = place.tree();
    judge.view(&before)?;
    if known.published {
        judge.published(&before).map_err(|flaw| Flaw::new(What::Undone, format!("of what was published, {flaw}")))?;
    }
    let course = if setting.course == Course::Pipeline { Course::Pipeline } else { Course::Commit };
    let overwrite = setting.overwrite && !known.published;
    let next = Setting { course, overwrite, ..setting.clone() };
    let outcome = next.attempt(place, ledger, Fault::None).run();
    if let Err(error) = &outcome.result {
        return Err(Flaw::new(What::Stuck, format!("the next run failed: {error:?}")));
    }
    let tree = place.tree();
    let servings = judge.published(&tree)?;
    let pages = check_opened(outcome.opened.as_ref())?;
    // To replace what was committed and not yet in place is to begin at the start.
    let replaced = overwrite && judge.unpublished(&before).is_err();
    let committed = overwrite && judge.is_committed(&before);
    if course == Course::Commit && !known.published && !replaced && !committed {
        if pages < known.durable {
            let why = format!("{} pages were durable, {pages} are there", known.durable);
            return Err(Flaw::new(What::Undone, why));
        }
        if known.aborted && pages > 0 {
            return Err(Flaw::new(What::Undone, format!("after an abort, {pages} pages are there")));
        }
    }
    if servings.values().any(|serve| *serve < known.since) && Some(&servings) != old {
        let why = format!("{servings:?} where the walk was begun anew at {}", known.since);
        return Err(Flaw::new(What::Mixed, why));
    }
    judge.tidy(&tree)?;
    if known.published && files(&before) != files(&tree) {
        return Err(Flaw::new(What::Changed, "the next run changed what was published"));
    }
    let again = Setting { overwrite: false, broken: Broken::Sound, ..next };
    match again.attempt(place, ledger, Fault::None).run().result {
        Ok(Some(receipt)) if receipt.already_published => {}
        other => return Err(Flaw::new(What::Undone, format!("the run after it says {other:?}"))),
    }
    if place.tree() != tree {
        return Err(Flaw::new(What::Changed, "the run after it changed something"));
    }
    Ok(())
}

fn files(tree: &Tree) -> Vec<(&String, &super::tree::Entry)> {
    tree.iter().filter(|(path, _)| path.starts_with("out/")).collect()
}

/// A run that may fail must say what happened to what.
fn check_error(setting: &Setting, place: &dyn Place, start: &Start, outcome: &Outcome) -> Result<(), Flaw> {
    let Err(error) = &outcome.result else { return Ok(()) };
    let said = format!("{error:?}");
    if !matches!(error.kind(), ErrorKind::Io | ErrorKind::Create | ErrorKind::Unknown) {
        return Err(Flaw::new(What::Changed, format!("the error is {said}")));
    }
    let root = place.out().parent().map(|p| p.display().to_string()).unwrap_or_default();
    if !said.contains(&root) {
        return Err(Flaw::new(What::Changed, format!("the error names no path: {said}")));
    }
    match error.kind() {
        ErrorKind::Unknown => Ok(()),
        _ => setting.judge(&start.ledger, start.old.as_ref()).unpublished(&place.tree()),
    }
}

/// Every death of a run: before, in the middle of and after each call. On the real file system, or on that in memory.
#[must_use]
pub fn deaths(setting: &Setting, real: bool, some: Option<(usize, u64)>) -> Tally {
    let mut all: Vec<_> = (0..setting.calls() + 2)
        .flat_map(|at| [When::Before, When::Middle, When::After].map(|when| (at, when)))
        .collect();
    if let Some((some, seed)) = some {
        all = sample(all, some, &mut Chance::new(seed));
    }
    let start = setting.start();
    spread(all, |(at, when)| {
        let mut tally = Tally::default();
        let start = Start { ledger: Arc::new(start.ledger.fork()), ..start.clone() };
        let place: Box<dyn Place> = match real {
            true => Box::new(Folder::holding(&start.image.tree())),
            false => Box::new(Memory::new(start.image.clone())),
        };
        let outcome = setting.attempt(&*place, &start.ledger, Fault::Die { at, when }).run();
        if outcome.watch.struck() {
            let known = Known::default().until(&outcome.claims, u64::MAX);
            let result = aftermath(setting, &*place, &start.ledger, start.old.as_ref(), &known);
            tally.count(|| format!("death {when:?} call {at}"), result);
        }
        tally
    })
}

/// Every death of a run with every death of the run after it.
#[must_use]
pub fn double_deaths(setting: &Setting, some: Option<(usize, u64)>) -> Tally {
    let calls = setting.calls() + 2;
    // A second run makes some calls more than a first: it looks at what is there.
    let seconds = calls + 60;
    let ends = || [When::Before, When::Middle].into_iter();
    let mut firsts: Vec<_> = (0..calls).flat_map(|at| ends().map(move |when| (at, when, None))).collect();
    if let Some((some, seed)) = some {
        let mut chance = Chance::new(seed);
        let pairs = |(at, when, _)| (0..seconds).flat_map(move |j| ends().map(move |w| (at, when, Some((j, w)))));
        firsts = sample(firsts.into_iter().flat_map(pairs).collect(), some, &mut chance);
    }
    let start = setting.start();
    spread(firsts, |(at, when, second)| {
        let mut tally = Tally::default();
        let memory = Memory::new(start.image.clone());
        let ledger = Arc::new(start.ledger.fork());
        let outcome = setting.attempt(&memory, &ledger, Fault::Die { at, when }).run();
        if !outcome.watch.struck() {
            return tally;
        }
        let known = Known::default().until(&outcome.claims, u64::MAX);
        let image = memory.image();
        let half_moved = is_half_moved(setting, &ledger, start.old.as_ref(), &image.tree());
        // The next run moves it, and then may make another one.
        let between = setting.judge(&ledger, start.old.as_ref()).committed(&image.tree());
        let next = Setting { overwrite: setting.overwrite && !known.published, ..setting.clone() };
        let each = || (0..seconds).flat_map(|j| ends().map(move |w| (j, w)));
        for (j, w) in second.map_or_else(|| each().collect::<Vec<_>>(), |one| vec![one]) {
            let memory = Memory::new(image.clone());
            let ledger = Arc::new(ledger.fork());
            let outcome = next.attempt(&memory, &ledger, Fault::Die { at: j, when: w }).run();
            if !outcome.watch.struck() {
                if w == When::Before && second.is_none() {
                    break;
                }
                continue;
            }
            // What was durable may have been given up for a run that replaces it.
            let durable = if setting.overwrite { 0 } else { known.durable };
            let base = Known { durable, between: between.clone(), ..known.clone() };
            let known = base.until(&outcome.claims, u64::MAX);
            let result = aftermath(&next, &memory, &ledger, start.old.as_ref(), &known);
            tally.count(|| format!("death {when:?} call {at}, then {w:?} call {j}"), result);
            tally.half_moved += u64::from(half_moved);
        }
        tally
    })
}

/// True when a new run is committed and not all its tables are where they belong.
fn is_half_moved(setting: &Setting, ledger: &Ledger, old: Option<&Servings>, tree: &Tree) -> bool {
    let judge = setting.judge(ledger, old);
    judge.is_committed(tree) && judge.published(tree).is_err()
}

/// How many states of a power cut are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Cuts {
    /// States by chance at each moment, besides the regular ones.
    pub more: usize,
    /// One in so many states has the run after it cut as well, at each of its moments; 0 for none.
    pub again: usize,
    /// At most so many states, by chance.
    pub some: Option<usize>,
    /// Where chance begins.
    pub seed: u64,
    /// Whether one flaw is enough.
    pub first_only: bool,
}

/// A power cut after each call, with each state that it may leave.
#[must_use]
pub fn power_cuts(setting: &Setting, cuts: Cuts) -> Tally {
    let start = setting.start();
    let memory = Memory::new(start.image.clone());
    let outcome = setting.attempt(&memory, &start.ledger, Fault::None).run();
    let mut chance = Chance::new(cuts.seed);
    let mut states = states_of(&memory, &outcome, &Known::default(), cuts.more, &mut chance);
    if let Some(some) = cuts.some {
        states = sample(states, some, &mut chance);
    }
    let found = std::sync::atomic::AtomicBool::new(false);
    let numbered: Vec<_> = states.into_iter().enumerate().collect();
    spread(numbered, |(number, (moment, image, known))| {
        let mut tally = Tally::default();
        if cuts.first_only && found.load(std::sync::atomic::Ordering::SeqCst) {
            return tally;
        }
        let cut = |image: &Image, known: &Known, ledger: &Ledger| {
            let memory = Memory::new(image.clone());
            let ledger = Arc::new(ledger.fork());
            aftermath(setting, &memory, &ledger, start.old.as_ref(), known)
                .and_then(|()| lasting(setting, &memory, &ledger, start.old.as_ref(), &mut Chance::new(moment)))
        };
        let result = cut(&image, &known, &start.ledger);
        if result.is_err() {
            found.store(true, std::sync::atomic::Ordering::SeqCst);
        }
        tally.count(|| format!("cut after call {moment}"), result);
        if cuts.again > 0 && number % cuts.again == 0 {
            let between = setting.judge(&start.ledger, start.old.as_ref()).committed(&image.tree());
            let memory = Memory::new(image);
            let ledger = Arc::new(start.ledger.fork());
            let next = Setting { overwrite: setting.overwrite && !known.published, ..setting.clone() };
            let outcome = next.attempt(&memory, &ledger, Fault::None).run();
            let durable = if setting.overwrite { 0 } else { known.durable };
            let base = Known { durable, between, ..known };
            for (then, image, known) in states_of(&memory, &outcome, &base, 0, &mut Chance::new(moment)) {
                let result = cut(&image, &known, &ledger);
                tally.count(|| format!("cut after call {moment}, then after call {then}"), result);
            }
        }
        tally
    })
}

type State = (u64, Image, Known);

/// The states that a cut may leave at any moment of a run, each with what was claimed until then, and each once.
fn states_of(memory: &Memory, outcome: &Outcome, base: &Known, more: usize, chance: &mut Chance) -> Vec<State> {
    let mut seen = HashSet::new();
    let mut states = Vec::new();
    // A claim is made right after a call: a cut at that moment may come before it, or after it, which is the one to look at.
    let moments: std::collections::BTreeSet<_> =
        memory.moments().into_iter().chain(outcome.claims.iter().map(|(at, _)| *at)).collect();
    for moment in moments {
        let known = base.clone().until(&outcome.claims, moment);
        for image in memory.states(moment, more, chance) {
            if seen.insert((image.digest(), known.clone())) {
                states.push((moment, image, known.clone()));
            }
        }
    }
    states
}

/// That what is published now stays so, whatever happens to the power.
fn lasting(
    setting: &Setting,
    memory: &Memory,
    ledger: &Ledger,
    old: Option<&Servings>,
    chance: &mut Chance,
) -> Result<(), Flaw> {
    for image in memory.states(u64::MAX, 2, chance) {
        let published = setting.judge(ledger, old).published(&image.tree());
        published.map_err(|flaw| Flaw::new(What::Undone, format!("a power cut after the end: {flaw}")))?;
    }
    Ok(())
}

/// Every call failing in every way. What a failed sync had not made durable is lost when the power is cut afterwards.
#[must_use]
pub fn failures(setting: &Setting, some: Option<(usize, u64)>) -> Tally {
    let ways = |at| {
        CODES.into_iter().flat_map(move |code| {
            [(false, false), (true, false), (false, true)].map(|(half, lasting)| Fault::Fail {
                at,
                code,
                half,
                lasting,
            })
        })
    };
    let mut all: Vec<_> = (0..setting.calls() + 2).flat_map(ways).collect();
    if let Some((some, seed)) = some {
        all = sample(all, some, &mut Chance::new(seed));
    }
    let start = setting.start();
    spread(all, |fault| {
        let mut tally = Tally::default();
        let start = Start { ledger: Arc::new(start.ledger.fork()), ..start.clone() };
        let memory = Memory::new(start.image.clone());
        let outcome = setting.attempt(&memory, &start.ledger, fault).run();
        if outcome.watch.struck() {
            let known = Known::default().until(&outcome.claims, u64::MAX);
            let result = check_error(setting, &memory, &start, &outcome)
                .and_then(|()| aftermath(setting, &memory, &start.ledger, start.old.as_ref(), &known))
                .and_then(|()| lasting(setting, &memory, &start.ledger, start.old.as_ref(), &mut Chance::new(1)));
            tally.count(|| format!("{fault:?}"), result);
        }
        tally
    })
}

/// A panic in every call of a run, one in `every`: an error comes of it, and the slot is free.
#[must_use]
pub fn panics(setting: &Setting, every: usize) -> Tally {
    let start = setting.start();
    let all: Vec<_> = (0..setting.calls()).step_by(every).collect();
    spread(all, |at| {
        let mut tally = Tally::default();
        let memory = Memory::new(start.image.clone());
        let ledger = Arc::new(start.ledger.fork());
        let outcome = setting.attempt(&memory, &ledger, Fault::Panic { at }).run();
        if outcome.watch.struck() {
            let known = Known::default().until(&outcome.claims, u64::MAX);
            // After the commit, what is lost is the tidying up: that may succeed all the same.
            let told = match &outcome.result {
                Ok(_) if !known.published => Err(Flaw::new(What::Changed, "a panic was not told")),
                _ => Ok(()),
            };
            let result = told.and_then(|()| aftermath(setting, &memory, &ledger, start.old.as_ref(), &known));
            tally.count(|| format!("panic in call {at}"), result);
        }
        tally
    })
}
