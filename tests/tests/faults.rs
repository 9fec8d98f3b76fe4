//! Each of the simulator's faults, and what comes of it: the same files as without it, byte for byte, or an error of a
//! known kind and nothing at all.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use pagemill::source::{Timeouts, VirtualClock};
use pagemill::{
    ErrorKind, FileSink, Flatten, HttpOptions, HttpSource, Ndjson, Parquet, Pipeline, Report, Request, ResponseFormat,
    Result,
};
use pagemill_simulator::{ACCOUNT, Builder, Fault, Simulator};
use secrecy::SecretString;
use support::{integers, members, parquet, texts, tree};

const MEMBERS: u64 = 60;
const LIMIT: u64 = 10;
const SEED: u64 = 7;

/// What becomes of a run.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// The files of a run without faults.
    Same,
    /// So many records, which are not those of a run without faults.
    Records(u64),
    /// An error of this kind, and no file.
    Fails(ErrorKind),
}

use Outcome::{Fails, Records, Same};

/// Every fault there is, in each way that matters.
const TABLE: &[(&str, Outcome)] = &[
    ("reset", Same),
    ("reset:0", Same),
    ("reset:40@page=2", Same),
    ("fin", Same),
    ("fin:0@page=3", Same),
    ("fin:999999@page=3", Same),
    ("fin@times=7@page=4", Same),
    ("fin@times=8@page=0", Fails(ErrorKind::Unavailable)),
    ("stall@page=1", Same),
    ("stall:0@page=1", Same),
    ("drip:2@page=2", Same),
    ("long-length", Same),
    ("long-length@always", Fails(ErrorKind::Unavailable)),
    ("short-length", Same),
    ("short-length@always", Fails(ErrorKind::Data)),
    ("bad-chunk", Same),
    ("bad-chunk@always", Fails(ErrorKind::Unavailable)),
    ("no-last-chunk", Same),
    ("no-last-chunk@always", Fails(ErrorKind::Unavailable)),
    ("gzip-cut", Same),
    ("gzip-cut@always", Fails(ErrorKind::Data)),
    ("gzip-twice", Same),
    ("gzip-twice@always", Fails(ErrorKind::Data)),
    ("gzip-rubbish", Same),
    ("gzip-rubbish@always", Fails(ErrorKind::Data)),
    ("gzip-checksum", Same),
    ("gzip-checksum@always", Fails(ErrorKind::Data)),
    ("429", Same),
    ("429:seconds=800@page=1", Same),
    ("429:seconds=-5", Same),
    ("429:date=20", Same),
    ("429:date=-20", Same),
    ("429:reset=20", Same),
    ("429:epoch=20", Same),
    ("429:seconds=3,reset=20", Same),
    ("429:none@times=3", Same),
    ("429:none@always", Fails(ErrorKind::Unavailable)),
    ("429:seconds=1000000000@page=2", Fails(ErrorKind::Busy)),
    ("status", Same),
    ("status:500@times=7@page=3", Same),
    ("status:502@every=2@times=2", Same),
    ("status:503@p=0.5", Same),
    ("status:504", Same),
    ("status:408", Same),
    ("status:425", Same),
    ("status:503@page=0@times=8", Fails(ErrorKind::Unavailable)),
    ("status:401@page=0", Fails(ErrorKind::Denied)),
    ("status:401@page=3", Fails(ErrorKind::Denied)),
    ("status:403@page=3", Fails(ErrorKind::Denied)),
    ("status:400@page=3", Same),
    ("status:400@page=3@times=2", Fails(ErrorKind::Rejected)),
    ("status:410@page=0", Fails(ErrorKind::Rejected)),
    ("status:204@page=3", Fails(ErrorKind::Data)),
    ("redirect", Fails(ErrorKind::Rejected)),
    ("redirect:http://127.0.0.1:1/x@page=2", Fails(ErrorKind::Rejected)),
    ("error-body", Same),
    ("error-body@always", Fails(ErrorKind::Data)),
    ("html@page=2", Fails(ErrorKind::Data)),
    ("empty-body", Same),
    ("empty-body@always", Fails(ErrorKind::Data)),
    ("expired", Fails(ErrorKind::Rejected)),
    ("expired:400", Fails(ErrorKind::Rejected)),
    ("expired:404", Fails(ErrorKind::Rejected)),
    ("expired:422@page=4", Fails(ErrorKind::Rejected)),
    ("cursor-loop", Fails(ErrorKind::Data)),
    ("cursor-loop:2", Fails(ErrorKind::Data)),
    ("cursor-loop:5", Fails(ErrorKind::Data)),
    ("cursor-loop:3@page=5", Fails(ErrorKind::Data)),
    ("empty", Same),
    ("empty:1001@page=2", Fails(ErrorKind::Data)),
    ("repeat", Records(MEMBERS + 5)),
    ("repeat:10@page=2", Records(MEMBERS + 10)),
    ("differ", Same),
    ("retype", Records(MEMBERS)),
    ("invalid-utf8", Fails(ErrorKind::Data)),
    ("deep", Fails(ErrorKind::Data)),
    ("deep:100", Records(MEMBERS)),
    ("huge@page=1", Fails(ErrorKind::Data)),
    ("huge:100000@page=1", Records(MEMBERS)),
];

fn simulator(faults: &[&str], seed: u64) -> Builder {
    let builder = Simulator::builder().members(MEMBERS).seed(seed);
    faults.iter().fold(builder, |builder, fault| builder.fault(fault.parse().expect("a fault")))
}

/// A source that waits on no clock, and not long for a network that is slow on purpose.
fn source(simulator: &Simulator, slow: bool) -> HttpSource {
    let soon = Duration::from_millis(300);
    let impatient = Timeouts { first_byte: soon, idle: soon, floor_span: soon, floor: 4 << 10, ..Timeouts::default() };
    let options = HttpOptions {
        base_url: simulator.url(),
        // The day it is: the simulator's dates are of this day.
        clock: Arc::new(VirtualClock::new(SystemTime::now())),
        timeouts: if slow { impatient } else { Timeouts::default() },
        ..HttpOptions::default()
    };
    HttpSource::new(&members(), &Request::new(ACCOUNT).limit(LIMIT), SecretString::from("any"), options).expect("good")
}

async fn run(faults: &[&str], seed: u64, out: &Path) -> Result<Report> {
    let simulator = simulator(faults, seed).start().await.expect("a simulator");
    let slow = faults.iter().any(|fault| fault.starts_with("stall") || fault.starts_with("drip"));
    let flatten = Flatten::new(&members(), Some(ACCOUNT.to_owned()));
    Pipeline::new(source(&simulator, slow), flatten, FileSink::new(out, Arc::new(Ndjson))).run().await
}

/// Runs with these faults, and compares what is there with the files of a run without.
async fn comes_to(faults: &[&str], seed: u64, outcome: Outcome, well: &BTreeMap<String, Vec<u8>>) {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out");
    let result = run(faults, seed, &out).await;
    let files = tree(&out);
    match (outcome, result) {
        (Same, Ok(report)) => {
            assert_eq!(report.totals.records, MEMBERS, "{faults:?}");
            assert!(files == *well, "{faults:?}: other files");
        }
        (Records(records), Ok(report)) => {
            assert_eq!((report.totals.records, report.totals.bad), (records, 0), "{faults:?}");
            assert!(files.keys().eq(well.keys()) && files != *well, "{faults:?}");
        }
        (Fails(kind), Err(error)) => {
            assert_eq!(error.kind(), kind, "{faults:?}: {error:?}");
            assert!(files.is_empty(), "{faults:?}: {:?}", files.keys());
        }
        (outcome, result) => panic!("{faults:?} should come to {outcome:?}, not {:?}", result.map(|r| r.totals)),
    }
}

async fn well(seed: u64) -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out");
    run(&[], seed, &out).await.expect("a run");
    tree(&out)
}

#[test]
fn no_fault_is_missing_from_the_table() {
    let known: BTreeSet<_> = Fault::all().iter().map(|fault| fault.name).collect();
    let faults: Vec<Fault> = TABLE.iter().map(|(text, _)| text.parse().expect("a fault")).collect();
    assert_eq!(known, faults.iter().map(Fault::name).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_comes_to_the_same_files_or_to_none() {
    let well = &well(SEED).await;
    let all = futures::stream::iter(TABLE);
    all.for_each_concurrent(8, async |(fault, outcome)| comes_to(&[fault], SEED, *outcome, well).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_together_come_to_the_same_files() {
    let seeds = 1..=4u64;
    futures::stream::iter(seeds)
        .for_each_concurrent(4, async |seed| {
            let well = well(seed).await;
            // Each fault draws for itself: a page may be struck by none of them, or by all.
            let faults = [
                "fin@p=0.5",
                "status:502@p=0.5",
                "gzip-cut@p=0.5",
                "differ@p=0.5",
                "429@p=0.5",
                "reset@p=0.5",
                "empty:2",
            ];
            comes_to(&faults, seed, Same, &well).await;
            comes_to(&["short-length", "error-body"], seed, Same, &well).await;
            // Three answers that are no page are one too many.
            let three = ["short-length", "error-body", "gzip-rubbish"];
            comes_to(&three, seed, Fails(ErrorKind::Data), &well).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_comes_to_the_same_files() {
    let dir = tempfile::tempdir().expect("a folder");
    for framing in ["ndjson", "array"] {
        let request = Request::new(ACCOUNT).response_format(ResponseFormat::Stream).remote_query("stream", framing);
        let mut well = None;
        for fault in
            ["", "fin", "reset", "fin:20000", "long-length", "no-last-chunk", "gzip-twice", "gzip-cut", "status:502"]
        {
            let faults: Vec<_> = Some(fault).into_iter().filter(|fault| !fault.is_empty()).collect();
            let simulator = simulator(&faults, SEED).start().await.expect("a simulator");
            let clock = Arc::new(VirtualClock::new(SystemTime::now()));
            let options = HttpOptions { base_url: simulator.url(), clock, ..HttpOptions::default() };
            let source = HttpSource::new(&members(), &request, SecretString::from("any"), options).expect("good");
            let out = dir.path().join(format!("{framing}-{fault}"));
            let flatten = Flatten::new(&members(), Some(ACCOUNT.to_owned()));
            let report = Pipeline::new(source, flatten, FileSink::new(&out, Arc::new(Ndjson))).run().await;
            assert_eq!(report.expect(fault).totals.records, MEMBERS, "{framing} {fault}");
            let files = tree(&out);
            assert!(files == *well.get_or_insert_with(|| files.clone()), "{framing} {fault}: other files");
            assert_eq!(simulator.served().requests, 1 + faults.len() as u64, "{framing} {fault}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_of_the_last_whole_serving_of_its_page() {
    let dir = tempfile::tempdir().expect("a folder");
    let (out, ledger) = (dir.path().join("out"), dir.path().join("ledger.ndjson"));
    let file = std::fs::File::create(&ledger).expect("a file");
    let faults = ["differ@p=0.5", "fin@p=0.5", "status:500@p=0.5", "gzip-checksum@p=0.3"];
    let simulator = simulator(&faults, SEED).ledger(file).stamp(true).start().await.expect("a simulator");
    let flatten = Flatten::new(&members(), Some(ACCOUNT.to_owned()));
    let report =
        Pipeline::new(source(&simulator, false), flatten, FileSink::new(&out, Arc::new(Parquet::default()))).run();
    assert_eq!(report.await.expect("a run").totals.records, MEMBERS);

    let lines = std::fs::read_to_string(&ledger).expect("a ledger");
    let mut whole = BTreeMap::new();
    let mut struck = 0;
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        struck += usize::from(!line["fault"].is_null());
        if line["whole"] == true {
            whole.entry(line["page"].as_u64()).or_insert_with(Vec::new).push(line);
        }
    }
    assert!(struck >= 4, "{struck}");
    let rows = parquet(&out.join("members"));
    let (ids, extras, ordinals) = (texts(&rows, "id"), texts(&rows, "_extra"), integers(&rows, "_row"));
    let mut servings: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    let mut at = BTreeSet::new();
    for (id, (extra, row)) in ids.iter().zip(extras.iter().zip(&ordinals)) {
        let extra: serde_json::Value = serde_json::from_str(extra.as_deref().expect("a stamp")).expect("JSON");
        let stamp = |name: &str| extra["ledger"][name].as_u64().expect("a number");
        let (page, idx, serve) = (stamp("page"), stamp("idx"), stamp("serve"));
        assert_eq!(Some((page * LIMIT + idx) as i64), *row);
        assert!(at.insert((page, idx)), "twice");
        servings.entry(page).or_default().insert(serve);
        let line = whole[&Some(page)].iter().find(|line| line["request"] == serve).expect("a whole serving");
        assert_eq!(line["ids"][idx as usize].as_str(), id.as_deref());
    }
    assert_eq!(at.len() as u64, MEMBERS);
    assert_eq!(servings.len() as u64, MEMBERS / LIMIT);
    assert!(servings.values().all(|servings| servings.len() == 1), "{servings:?}");
}
