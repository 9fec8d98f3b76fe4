//! Runs that end early, and the ones after them: together they are one run.

mod support;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow::datatypes::SchemaRef;
use futures::{StreamExt, stream::BoxStream};
use pagemill::{
    Batch, Error, ErrorKind, FileOptions, FileSink, FileSource, Flatten, Format, HttpSource, Ndjson, Pipeline, Report,
    Result, Resume, Rewind, Source, json,
};
use pagemill_simulator::{ACCOUNT, Simulator};
use support::{formats, members, source, tree};

const MEMBERS: u64 = 360;
const LIMIT: u64 = 20;
const PAGES: u64 = MEMBERS / LIMIT;

async fn simulator() -> Simulator {
    Simulator::builder().members(MEMBERS).seed(3).start().await.expect("a simulator")
}

/// A source that fails after so many pages of a walk, in the middle of the next one if there is a middle.
struct Failing<S = HttpSource> {
    source: S,
    after: u64,
    error: Box<dyn Fn() -> Error + Send>,
    /// Walks that fail.
    times: Arc<AtomicU64>,
}

impl<S: Source> Source for Failing<S> {
    fn schema(&self) -> SchemaRef {
        self.source.schema()
    }

    fn read(&mut self, from: Option<Resume>) -> BoxStream<'_, Result<Batch>> {
        let fails = self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        let (after, error) = (self.after, (self.error)());
        if !fails {
            return self.source.read(from);
        }
        let mut error = Some(error);
        let mut over = false;
        self.source
            .read(from)
            .map(move |batch| {
                let batch = batch?;
                let done = batch.end.as_ref().map_or(0, |end| end.resume.pages);
                // Where a page is torn, its rows came and its end did not.
                match error.take_if(|_| done > after || (batch.end.is_none() && done == after)) {
                    Some(error) => Err(error),
                    None => Ok(batch),
                }
            })
            .take_while(move |item| {
                let go_on = !over;
                over |= item.is_err();
                futures::future::ready(go_on)
            })
            .boxed()
    }
}

fn failing(simulator: &Simulator, after: u64, times: u64, error: fn() -> Error) -> Failing {
    let times = Arc::new(AtomicU64::new(times));
    Failing { source: source(simulator, LIMIT), after, error: Box::new(error), times }
}

fn pipeline(source: impl Source + 'static, out: &Path, format: Arc<dyn Format>) -> Pipeline {
    let flatten = Flatten::new(&members(), Some(ACCOUNT.to_owned()));
    // Some table has so many rows every few pages.
    Pipeline::new(source, flatten, FileSink::new(out, format).rows_per_part(45))
}

fn away() -> Error {
    Error::new(ErrorKind::Unavailable, "the server is away")
}

/// What an undisturbed run publishes.
async fn undisturbed(simulator: &Simulator, out: &Path, format: Arc<dyn Format>) -> Report {
    pipeline(source(simulator, LIMIT), out, format).run().await.expect("a run")
}

#[tokio::test]
async fn a_run_that_fails_after_any_page_is_gone_on_with_and_is_the_same() {
    let simulator = simulator().await;
    for format in formats() {
        let dir = tempfile::tempdir().expect("a folder");
        let whole = undisturbed(&simulator, &dir.path().join("whole"), format.clone()).await;
        let expected = tree(&dir.path().join("whole"));
        let mut ends = BTreeSet::new();
        // Lines are the quickest to write; the other formats show that it is not about them.
        let step = if format.name() == Ndjson.name() { 1 } else { 7 };
        for after in (0..PAGES).step_by(step) {
            let out = dir.path().join(after.to_string());
            let first = pipeline(failing(&simulator, after, 1, away), &out, format.clone()).run().await;
            assert_eq!(first.expect_err("it fails").kind(), ErrorKind::Unavailable);
            assert!(!out.exists(), "nothing is to be seen");
            let before = simulator.served().requests;
            let second = pipeline(source(&simulator, LIMIT), &out, format.clone()).run().await.expect("a run");
            assert!(
                second.resumed <= after && after - second.resumed < 5,
                "{} of {after} pages are kept",
                second.resumed
            );
            // One that the first run had asked for ahead of its time may have come only now.
            let asked = simulator.served().requests - before;
            assert!(asked.abs_diff(PAGES - second.resumed) <= 1, "{asked} pages are asked for");
            ends.insert(second.resumed);
            assert!(tree(&out) == expected, "after {after} pages");
            assert_eq!((&second.totals, &second.rows), (&whole.totals, &whole.rows));
            assert!(!second.restarted);
        }
        assert!(step > 1 || (ends.len() > 4 && ends.len() < PAGES as usize), "{ends:?}");
    }
}

#[tokio::test]
async fn a_run_that_fails_again_and_again_comes_to_its_end() {
    let simulator = simulator().await;
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out");
    undisturbed(&simulator, &dir.path().join("whole"), Arc::new(Ndjson)).await;
    let mut starts = BTreeSet::new();
    for after in (4..PAGES).step_by(3) {
        let failed = pipeline(failing(&simulator, after, 1, away), &out, Arc::new(Ndjson)).run().await;
        failed.expect_err("it fails");
        starts.insert(after);
    }
    let report = pipeline(source(&simulator, LIMIT), &out, Arc::new(Ndjson)).run().await.expect("a run");
    assert!(starts.len() > 4 && report.resumed > 12, "{}", report.resumed);
    assert!(tree(&out) == tree(&dir.path().join("whole")));
}

#[tokio::test]
async fn a_page_that_failed_after_rows_of_it_were_handed_on_leaves_none_of_them() {
    let simulator = simulator().await;
    let dir = tempfile::tempdir().expect("a folder");
    let whole = undisturbed(&simulator, &dir.path().join("whole"), Arc::new(Ndjson)).await;
    for (at, times) in [(0, 1), (4, 1), (7, 2), (PAGES - 1, 3)] {
        let out = dir.path().join(at.to_string());
        let torn = || away().rewind(Rewind::Checkpoint);
        let report = pipeline(failing(&simulator, at, times, torn), &out, Arc::new(Ndjson)).run().await;
        let report = report.expect("it goes back and on");
        assert!(tree(&out) == tree(&dir.path().join("whole")), "page {at}");
        assert_eq!(report.totals, whole.totals);
    }
    // Nothing is gained where it fails each time; what is durable is kept.
    let out = dir.path().join("always");
    let torn = || away().rewind(Rewind::Checkpoint);
    let failed = pipeline(failing(&simulator, 4, u64::MAX, torn), &out, Arc::new(Ndjson)).run().await;
    assert_eq!(failed.expect_err("it fails").kind(), ErrorKind::Unavailable);
    let report = pipeline(source(&simulator, LIMIT), &out, Arc::new(Ndjson)).run().await.expect("a run");
    assert!(report.resumed > 0 && report.resumed <= 4);
    assert!(tree(&out) == tree(&dir.path().join("whole")));
}

#[tokio::test]
async fn a_cursor_that_is_not_accepted_any_more_restarts_the_walk_once() {
    let simulator = simulator().await;
    let dir = tempfile::tempdir().expect("a folder");
    undisturbed(&simulator, &dir.path().join("whole"), Arc::new(Ndjson)).await;
    let expired = || Error::new(ErrorKind::Rejected, "no such cursor").rewind(Rewind::Start);
    for after in [0, 5, PAGES - 1] {
        let out = dir.path().join(after.to_string());
        // A walk that was left behind, and whose cursor is not accepted when it is gone on with.
        let left = pipeline(failing(&simulator, after, 1, away), &out, Arc::new(Ndjson)).run().await;
        left.expect_err("it fails");
        let report = pipeline(failing(&simulator, after, 1, expired), &out, Arc::new(Ndjson)).run().await;
        let report = report.expect("it begins anew");
        assert!(report.restarted && report.resumed == 0);
        assert_eq!(report.totals.records, MEMBERS);
        assert!(tree(&out) == tree(&dir.path().join("whole")), "page {after}");
    }
    let out = dir.path().join("twice");
    let failed = pipeline(failing(&simulator, 5, 2, expired), &out, Arc::new(Ndjson)).run().await;
    assert_eq!(failed.expect_err("once and no more").kind(), ErrorKind::Rejected);
}

#[tokio::test]
async fn data_that_break_a_rule_leave_nothing_to_go_on_from() {
    let simulator = simulator().await;
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out");
    let circle = || Error::data("the cursor is repeated");
    let failed = pipeline(failing(&simulator, 7, 1, circle), &out, Arc::new(Ndjson)).run().await;
    assert_eq!(failed.expect_err("it fails").kind(), ErrorKind::Data);
    let report = pipeline(source(&simulator, LIMIT), &out, Arc::new(Ndjson)).run().await.expect("a run");
    assert_eq!(report.resumed, 0);
}

#[tokio::test]
async fn a_circle_is_seen_that_began_before_the_run_was_gone_on_with() {
    // The cursors that the first attempt has met are known to the second.
    let simulator = simulator().await;
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out");
    struct Seen(Failing, Arc<AtomicU64>);
    impl Source for Seen {
        fn schema(&self) -> SchemaRef {
            self.0.schema()
        }
        fn read(&mut self, from: Option<Resume>) -> BoxStream<'_, Result<Batch>> {
            let met: BTreeSet<_> = from.iter().flat_map(|f| &f.seen).map(ToString::to_string).collect();
            self.1.store(met.len() as u64, Ordering::SeqCst);
            self.0.read(from)
        }
    }
    let mut kept = None;
    for after in [4, 10, 16] {
        let met = Arc::new(AtomicU64::new(u64::MAX));
        let seen = Seen(failing(&simulator, after, 1, away), Arc::clone(&met));
        pipeline(seen, &out, Arc::new(Ndjson)).run().await.expect_err("it fails");
        let met = met.load(Ordering::SeqCst);
        let kept = kept.replace(after).map_or(0..=0, |before| 1..=before);
        assert!(kept.contains(&met), "{met} cursors, one a page");
    }
}

#[tokio::test]
async fn a_run_with_more_bad_records_than_are_allowed_now_stays_for_one_that_allows_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let inputs: Vec<_> = (0..6).map(|page| dir.path().join(format!("{page}.ndjson"))).collect();
    for (page, path) in inputs.iter().enumerate() {
        let mut text: String = (0..50).map(|n| format!("{{\"id\":\"{page}-{n}\"}}\n")).collect();
        if page == 1 {
            text.push_str(&"{\"id\":01}\n".repeat(3));
        }
        std::fs::write(path, text).expect("a file");
    }
    let files = |allowed| {
        let limits = json::Limits { bad_records: allowed, ..json::Limits::default() };
        let decode = json::Options { limits, ..json::Options::default() };
        FileSource::new(&members(), &inputs, FileOptions { decode, ..FileOptions::default() }).expect("a source")
    };
    let out = dir.path().join("out");
    let times = Arc::new(AtomicU64::new(1));
    let dying = Failing { source: files(3), after: 4, error: Box::new(away), times };
    pipeline(dying, &out, Arc::new(Ndjson)).max_bad_records(3).run().await.expect_err("it fails");
    let before = tree(&dir.path().join("out.pagemill"));

    let error = pipeline(files(1), &out, Arc::new(Ndjson)).max_bad_records(1).run().await.expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("set 3 bad records aside, where 1 are allowed"), "{error}");
    let parts = |tree: &std::collections::BTreeMap<String, Vec<u8>>| {
        tree.iter().filter(|(name, _)| name.contains("/part-")).map(|(n, b)| (n.clone(), b.clone())).collect::<Vec<_>>()
    };
    assert!(!parts(&before).is_empty());
    assert_eq!(parts(&tree(&dir.path().join("out.pagemill"))), parts(&before), "what was staged stays");

    let report = pipeline(files(3), &out, Arc::new(Ndjson)).max_bad_records(3).run().await.expect("enough");
    assert!(report.resumed > 1, "{}", report.resumed);
    assert_eq!((report.totals.records, report.totals.bad), (303, 3));
}

/// A sink that stands at the end of its walk and has not published, as one may that died just before.
struct AtTheEnd {
    bad: u64,
    published: bool,
    suspended: Arc<AtomicU64>,
}

#[async_trait::async_trait]
impl pagemill::Sink for AtTheEnd {
    async fn open(&mut self, _: &pagemill::Run, _: &[pagemill::TableSchema]) -> Result<Option<Resume>> {
        let checkpoint = pagemill::Checkpoint { pages: 1, rows: 1, bad: self.bad, next: pagemill::Position::End };
        Ok(Some(Resume { checkpoint, seen: Vec::new(), summary: serde_json::Value::Null }))
    }
    fn is_published(&self) -> bool {
        self.published
    }
    async fn write(&mut self, _: pagemill::Table) -> Result<()> {
        Err(Error::internal("there is nothing to write"))
    }
    async fn checkpoint(&mut self, _: pagemill::Checkpoint, _: &serde_json::Value) -> Result<()> {
        Err(Error::internal("there is nothing to write"))
    }
    async fn rewind(&mut self, _: Rewind) -> Result<Option<Resume>> {
        Err(Error::internal("there is nothing to go back to"))
    }
    async fn commit(&mut self, _: &serde_json::Value) -> Result<pagemill::Receipt> {
        Ok(pagemill::Receipt { manifest: String::new(), already_published: self.published, files: Vec::new() })
    }
    async fn suspend(&mut self) -> Result<()> {
        self.suspended.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    async fn abort(&mut self) -> Result<()> {
        Err(Error::internal("what is staged is given up"))
    }
}

#[tokio::test]
async fn the_number_of_bad_records_is_held_at_the_end_of_the_walk_too() {
    for (bad, published, kept) in [(3, false, true), (1, false, false), (3, true, false)] {
        let dir = tempfile::tempdir().expect("a folder");
        let input = dir.path().join("page.ndjson");
        std::fs::write(&input, "").expect("a file");
        let source = FileSource::new(&members(), [&input], FileOptions::default()).expect("a source");
        let suspended = Arc::new(AtomicU64::new(0));
        let sink = AtTheEnd { bad, published, suspended: suspended.clone() };
        let flatten = Flatten::new(&members(), Some(ACCOUNT.to_owned()));
        let result = Pipeline::new(source, flatten, sink).max_bad_records(2).run().await;
        assert_eq!(result.err().map(|e| e.kind()), kept.then_some(ErrorKind::Config), "{bad} {published}");
        assert_eq!(suspended.load(Ordering::SeqCst), u64::from(kept));
    }
}

/// Options decide which tables there are; what a run with others has staged stays for it.
#[tokio::test]
async fn a_run_with_fewer_tables_leaves_what_another_has_staged() {
    let simulator = simulator().await;
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out");
    let parts = |tree: std::collections::BTreeMap<String, Vec<u8>>| {
        tree.into_keys().filter(|name| name.contains("/part-")).collect::<Vec<_>>()
    };
    pipeline(failing(&simulator, 12, 1, away), &out, Arc::new(Ndjson)).run().await.expect_err("it fails");
    let staged = parts(tree(&dir.path().join("out.pagemill")));
    assert!(staged.len() > 8, "{staged:?}");
    let nested = |source| {
        Pipeline::new(
            source,
            pagemill::Nested::new(&members(), Some(ACCOUNT.to_owned())),
            FileSink::new(&out, Arc::new(Ndjson)),
        )
    };
    nested(failing(&simulator, 0, 1, away)).run().await.expect_err("it fails, too");
    assert_eq!(parts(tree(&dir.path().join("out.pagemill"))), staged);
    // What was in the way of publishing can be taken out of it.
    let taken = out.join("members");
    std::fs::create_dir_all(&taken).expect("a folder");
    let refused = pipeline(source(&simulator, LIMIT), &out, Arc::new(Ndjson)).run().await.expect_err("taken");
    assert_eq!(refused.kind(), ErrorKind::Config, "{refused}");
    std::fs::remove_dir(&taken).expect("it is empty");
    let report = pipeline(source(&simulator, LIMIT), &out, Arc::new(Ndjson)).run().await.expect("a run");
    assert!(report.resumed > 4, "{}", report.resumed);
}
