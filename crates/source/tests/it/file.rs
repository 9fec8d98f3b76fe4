//! Saved pages: files, folders, compression, resumption.

use std::{fs, path::Path};

use pagemill_core::{Checkpoint, Cursor, ErrorKind, Position};
use pagemill_source::{FileOptions, FileSource};

use crate::support::*;

fn files(paths: &[&Path]) -> FileSource {
    FileSource::new(&members(), paths.iter().copied(), FileOptions::default()).expect("files")
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("2.ndjson"), "{\"id\":\"3\"}\n{\"id\":\"4\"}\n").expect("a file");
    fs::write(dir.path().join("1.json"), page(0..3, Some("ignored"))).expect("a file");
    fs::write(dir.path().join("3.json.gz"), [gzip("[{\"id\":\"5\"},"), gzip("{\"id\":\"6\"}]")].concat())
        .expect("a file");
    fs::write(dir.path().join("4.jsonl"), "").expect("a file");
    fs::write(dir.path().join("README.md"), "no page").expect("a file");
    dir
}

#[tokio::test]
async fn a_folder_is_its_pages_by_name() {
    let dir = folder();
    let source = files(&[dir.path()]);
    let progress = source.progress();
    let given = collect(source, None).await;
    given.ids_are(0..7);
    let rows: Vec<_> = given.checkpoints.iter().map(|c| (c.pages, c.rows)).collect();
    assert_eq!(rows, [(1, 3), (2, 5), (3, 7), (4, 7)]);
    assert_eq!(given.checkpoints[3].next, Position::End);
    assert_eq!(progress.snapshot().records, 7);
}

#[tokio::test]
async fn files_are_read_in_the_given_order_and_a_walk_resumes_at_one_of_them() {
    let dir = folder();
    let paths = [dir.path().join("2.ndjson"), dir.path().join("1.json"), dir.path().join("3.json.gz")];
    let paths: Vec<_> = paths.iter().map(AsRef::as_ref).collect();
    let whole = collect(files(&paths), None).await;
    assert_eq!(whole.ids, ["3", "4", "0", "1", "2", "5", "6"]);
    let rest = collect(files(&paths), Some(whole.checkpoints[0].clone())).await;
    assert_eq!(rest.ids, whole.ids[2..]);
    assert_eq!(rest.checkpoints, whole.checkpoints[1..]);
    assert!(collect(files(&paths), whole.checkpoints.last().cloned()).await.ids.is_empty());
    let other = Checkpoint { next: Position::Next(Cursor::new("1:elsewhere")), ..whole.checkpoints[0].clone() };
    assert_eq!(collect(files(&paths), Some(other)).await.failed().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_small_budget_and_small_reads_change_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("big.json");
    fs::write(&path, page(0..50_000, None)).expect("a file");
    let options = FileOptions { page_budget: 1, chunk: 1, ..FileOptions::default() };
    let source = FileSource::new(&members(), [&path], options).expect("a file");
    collect(source, None).await.ids_are(0..50_000);
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said_with_its_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let whole = page(0..3, None);
    let packed = gzip(&whole);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("cut.json", whole.as_bytes()[..20].to_vec(), ""),
        ("empty.json", Vec::new(), "empty"),
        ("cut.gz", packed[..packed.len() - 1].to_vec(), "ends early"),
        ("garbage.gz", [&packed[..], b"x"].concat(), "not gzip"),
        ("count.json", b"{\"result\":[],\"result_count\":2}".to_vec(), "2 records"),
        ("error.json", b"{\"statusCode\":404,\"message\":\"no such account\"}".to_vec(), "no such account"),
    ];
    for (name, bytes, says) in cases {
        let path = dir.path().join(name);
        fs::write(&path, bytes).expect("a file");
        let given = collect(files(&[&path]), None).await;
        let error = given.failed();
        assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
        assert!(error.message().contains(says), "{error:?}");
        assert!(error.place().input.as_deref().is_some_and(|input| input.ends_with(name)), "{error:?}");
        assert!(given.ids.is_empty(), "{name}");
    }
}

#[test]
fn what_is_not_there_is_refused_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let refused = |paths: &[&Path]| {
        let source = FileSource::new(&members(), paths.iter().copied(), FileOptions::default());
        source.map(drop).expect_err("refused").kind()
    };
    assert_eq!(refused(&[]), ErrorKind::Config);
    assert_eq!(refused(&[dir.path()]), ErrorKind::Config);
    assert_eq!(refused(&[&dir.path().join("missing.json")]), ErrorKind::Config);
    assert_eq!(refused(&["-".as_ref(), "-".as_ref()]), ErrorKind::Config);
}
