//! From the simulator's socket to files that others read.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use pagemill::{ErrorKind, Parquet, json};
use pagemill_simulator::{Framing, PageOptions, Simulator, members_page};
use serde_json::Value;
use support::{formats, integers, members, parquet, pipeline, source, texts, tree};

const MEMBERS: u64 = 3_000;
const SEED: u64 = 7;

async fn simulator() -> Simulator {
    Simulator::builder().members(MEMBERS).seed(SEED).start().await.expect("a simulator")
}

/// The members that the simulator serves, by serde_json.
fn served() -> Vec<Value> {
    let options = PageOptions { framing: Framing::Array, ..PageOptions::default() };
    serde_json::from_slice(&members_page(SEED, 0..MEMBERS, &options)).expect("JSON")
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[tokio::test]
async fn every_member_is_there_once_in_order_with_its_lists() {
    let simulator = simulator().await;
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out");
    let report =
        pipeline(source(&simulator, 700), &out, std::sync::Arc::new(Parquet::default())).run().await.expect("a run");
    assert_eq!((report.totals.records, report.totals.pages, report.totals.bad), (MEMBERS, 5, 0));
    assert_eq!(simulator.served().records, MEMBERS);

    let served = served();
    let rows = parquet(&out.join("members"));
    let ids: Vec<_> = served.iter().map(|m| text(&m["id"])).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len() as u64, MEMBERS);
    assert_eq!(texts(&rows, "id"), ids);
    assert_eq!(integers(&rows, "_row"), (0..MEMBERS as i64).map(Some).collect::<Vec<_>>());
    assert_eq!(texts(&rows, "name"), served.iter().map(|m| text(&m["name"])).collect::<Vec<_>>());

    let mut seven = BTreeMap::new();
    for list in ["emails", "phones", "urls", "organizations", "workspaces", "groups", "languages"] {
        let rows = parquet(&out.join(format!("members_{list}")));
        let expected: Vec<_> = served
            .iter()
            .enumerate()
            .flat_map(|(row, m)| {
                let items = m[list].as_array().map_or(0, Vec::len);
                (0..items).map(move |index| (Some(row as i64), Some(index as i64), text(&m["id"])))
            })
            .collect();
        let (at, index) = (integers(&rows, "_row"), integers(&rows, "_index"));
        let found: Vec<_> =
            at.into_iter().zip(index).zip(texts(&rows, "members_id")).map(|((r, i), id)| (r, i, id)).collect();
        assert_eq!(found, expected, "{list}");
        seven.insert(list, found.len());
    }
    assert!(seven.values().all(|rows| *rows > 0), "{seven:?}");
}

#[tokio::test]
async fn batches_larger_than_the_memory_pass_one_by_one_and_give_the_same_bytes() {
    let simulator = simulator().await;
    let dir = tempfile::tempdir().expect("a folder");
    let (wide, narrow) = (dir.path().join("wide"), dir.path().join("narrow"));
    let format: std::sync::Arc<dyn pagemill::Format> = std::sync::Arc::new(Parquet::default());
    pipeline(source(&simulator, 500), &wide, format.clone()).run().await.expect("a run");
    pipeline(source(&simulator, 500), &narrow, format).memory(1).run().await.expect("a run");
    assert!(tree(&wide) == tree(&narrow));
}

#[tokio::test]
async fn two_runs_give_the_same_bytes_in_every_format() {
    let simulator = simulator().await;
    for format in formats() {
        let dir = tempfile::tempdir().expect("a folder");
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        pipeline(source(&simulator, 1_000), &first, format.clone()).run().await.expect("a run");
        // Other pages, the same records.
        pipeline(source(&simulator, 333), &second, format).run().await.expect("a run");
        let (first, second) = (tree(&first), tree(&second));
        assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
        assert!(first == second);
    }
}

#[tokio::test]
async fn a_slot_is_published_once() {
    let simulator = simulator().await;
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out");
    let run = || {
        let slot = pagemill::Slot::new("dt=2026-11-23").expect("a slot");
        pipeline(source(&simulator, 1_000), &out, std::sync::Arc::new(Parquet::default())).slot(Some(slot)).run()
    };
    let first = run().await.expect("a run");
    let before = tree(dir.path());
    let requests = simulator.served().requests;
    let second = run().await.expect("a run");
    assert!(second.receipt.already_published && !first.receipt.already_published);
    assert_eq!(first.receipt.files, second.receipt.files);
    assert_eq!(simulator.served().requests, requests, "nothing is asked for again");
    assert!(tree(dir.path()) == before, "nothing has changed");
}

#[tokio::test]
async fn a_run_that_is_stopped_or_fails_leaves_nothing_to_read() {
    let simulator = simulator().await;
    for format in formats() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = dir.path().join("out");
        let pages = source(&simulator, 10);
        let progress = pages.progress();
        let in_the_middle = async {
            while progress.snapshot().pages < 5 {
                tokio::task::yield_now().await;
            }
        };
        let stopped = pipeline(pages, &out, format.clone()).run_until(in_the_middle).await;
        assert_eq!(stopped.expect_err("stopped").kind(), ErrorKind::Cancelled);
        assert!(tree(&out).is_empty());
        let left = tree(&dir.path().join("out.pagemill"));
        assert_eq!(left.keys().collect::<Vec<_>>(), ["members/_/lock"]);

        let bad = dir.path().join("bad.json");
        let mut page = members_page(SEED, 0..500, &PageOptions::default());
        page.truncate(page.len() - 40);
        std::fs::write(&bad, page).expect("a file");
        let error = support::convert(&[&bad], &out, format.clone()).await.expect_err("cut short");
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.to_string().contains("bad.json"), "{error}");
        assert!(tree(&out).is_empty());

        // And what failed can be done again.
        pipeline(source(&simulator, 1_000), &out, format).run().await.expect("a run");
        assert_eq!(tree(&out).len(), 8);
    }
}

#[tokio::test]
async fn the_same_records_in_any_frame_give_the_same_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    let page = |framing| members_page(SEED, 0..MEMBERS, &PageOptions { framing, ..PageOptions::default() });
    let gzip = |bytes: &[u8]| {
        use std::io::Write;
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        to.write_all(bytes).expect("memory");
        to.finish().expect("memory")
    };
    std::fs::write(at("envelope.json"), page(Framing::Envelope)).expect("a file");
    std::fs::write(at("keyed.json"), page(Framing::Keyed("id".to_owned()))).expect("a file");
    std::fs::write(at("array.json"), page(Framing::Array)).expect("a file");
    std::fs::write(at("lines.ndjson"), page(Framing::Lines)).expect("a file");
    std::fs::write(at("lines.ndjson.gz"), gzip(&page(Framing::Lines))).expect("a file");
    for format in formats() {
        let mut trees = Vec::new();
        for (n, name) in
            ["envelope.json", "keyed.json", "array.json", "lines.ndjson", "lines.ndjson.gz"].iter().enumerate()
        {
            let out = at(&format!("{}-{n}", format.name()));
            let report = support::convert(&[&at(name)], &out, format.clone()).await.expect(name);
            assert_eq!(report.totals.records, MEMBERS, "{name}");
            trees.push((name, tree(&out)));
        }
        for (name, other) in &trees[1..] {
            assert!(*other == trees[0].1, "{name} gives other {} files", format.name());
        }
    }
}

#[tokio::test]
async fn bad_records_are_set_aside_with_their_bytes_if_that_is_allowed() {
    let dir = tempfile::tempdir().expect("a folder");
    let input = dir.path().join("pages.ndjson");
    std::fs::write(&input, "{\"id\":\"a\"}\n{\"id\":01}\n{\"id\":\"b\",\"id\":\"c\"}\n{\"id\":\"d\"}\n")
        .expect("a file");
    let run = |out: &str, allowed| {
        let out = dir.path().join(out);
        let decode = json::Options {
            limits: json::Limits { bad_records: allowed, ..json::Limits::default() },
            ..json::Options::default()
        };
        let options = pagemill::FileOptions { decode, ..pagemill::FileOptions::default() };
        let source = pagemill::FileSource::new(&members(), [&input], options).expect("a source");
        pipeline(source, &out, std::sync::Arc::new(Parquet::default())).max_bad_records(allowed).run()
    };
    assert_eq!(run("none", 0).await.expect_err("none allowed").kind(), ErrorKind::Data);
    assert_eq!(run("one", 1).await.expect_err("one allowed").kind(), ErrorKind::Data);
    let report = run("two", 2).await.expect("two allowed");
    assert_eq!((report.totals.records, report.totals.bad), (4, 2));
    let good = parquet(&dir.path().join("two/members"));
    assert_eq!(texts(&good, "id"), [Some("a".to_owned()), Some("d".to_owned())]);
    let bad = parquet(&dir.path().join("two/members__quarantine"));
    assert_eq!(integers(&bad, "record"), [Some(1), Some(2)]);
    use arrow::array::AsArray;
    let bytes: Vec<&[u8]> =
        bad[0].column_by_name("bytes").expect("bytes").as_binary::<i32>().iter().flatten().collect();
    assert_eq!(bytes, [&b"{\"id\":01}"[..], b"{\"id\":\"b\",\"id\":\"c\"}"]);
}

#[tokio::test]
async fn stream_answers_are_read_in_the_framing_they_come_in() {
    use pagemill::{HttpOptions, HttpSource, Request, ResponseFormat};
    let simulator = simulator().await;
    for framing in ["ndjson", "array"] {
        let dir = tempfile::tempdir().expect("a folder");
        let options = HttpOptions { base_url: simulator.url(), ..HttpOptions::default() };
        let request = Request::new(pagemill_simulator::ACCOUNT)
            .response_format(ResponseFormat::Stream)
            .remote_query("stream", framing);
        let source = HttpSource::new(&members(), &request, "any".to_owned().into(), options).expect("a source");
        let out = dir.path().join("out");
        let report = pipeline(source, &out, std::sync::Arc::new(Parquet::default())).run().await.expect(framing);
        assert_eq!((report.totals.records, report.totals.pages), (MEMBERS, 1), "{framing}");
        let ids: Vec<_> = served().iter().map(|m| text(&m["id"])).collect();
        assert_eq!(texts(&parquet(&out.join("members")), "id"), ids);
    }
}

#[test]
fn an_empty_listing_makes_empty_tables() {
    let mut decoder = pagemill::Decoder::new(&members(), json::Options::default());
    let mut input = Bytes::from_static(b"{\"result\":[],\"next_cursor\":null}");
    assert!(decoder.decode(&mut input).expect("decodes").is_none());
    assert_eq!(decoder.finish_page().expect("a page").rest.num_rows(), 0);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let simulator = Simulator::builder().members(0).start().await.expect("a simulator");
        for format in formats() {
            let dir = tempfile::tempdir().expect("a folder");
            let out = dir.path().join("out");
            let report = pipeline(source(&simulator, 100), &out, format).run().await.expect("a run");
            assert_eq!(report.totals.records, 0);
            assert_eq!(tree(&out).len(), 8, "each table is a file");
        }
    });
}
