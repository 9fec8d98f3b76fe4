//! What a run leaves on the disk, and what the next one makes of it.

mod common;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    sync::Arc,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use bytes::Bytes;
use common::{Lines, files, name, rows, run, schema, seen, sink, sink_called, tables, write_all, write_from, written};
use pagemill_core::{Checkpoint, Cursor, Error, ErrorKind, Position, Result, Sink, TableSchema};
use pagemill_sink::{AttemptId, Encoder, FileSink, Format, Manifest, conformance, layout::Layout};

fn names(root: &Path) -> Vec<String> {
    files(root).keys().map(|p| p.display().to_string()).collect()
}

#[tokio::test]
async fn the_file_sink_is_a_sink() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    for rows in [1, 10, 1_000_000] {
        let out = out.join(rows.to_string());
        conformance::sink(&mut || Box::new(sink(&out).rows_per_part(rows)), &|| seen(&out)).await;
    }
}

#[tokio::test]
async fn files_and_manifest_are_where_the_layout_says() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("deep/out");
    let mut sink = sink_called(&out, AttemptId::from_bits(5)).rows_per_part(6);
    let run = run(Some("a=1/b=2"));
    assert_eq!(sink.open(&run, &tables()).await.expect("opens"), None);
    assert!(dir.path().join("deep/out.pagemill/m/a=1/b=2/00000000000000000000000000000005/m_c").is_dir());
    write_all(&mut sink).await.expect("writes");
    let receipt = sink.commit(&serde_json::json!({"misfits": 3})).await.expect("commits");
    assert_eq!(
        names(&out),
        [
            "m/a=1/b=2/part-00000.txt",
            "m/a=1/b=2/part-00001.txt",
            "m_c/a=1/b=2/part-00000.txt",
            "m_c/a=1/b=2/part-00001.txt",
            "m_e/a=1/b=2/part-00000.txt",
        ]
    );
    assert_eq!(seen(&out), written());
    assert_eq!(names(&dir.path().join("deep/out.pagemill")), ["m/a=1/b=2/lock", "m/a=1/b=2/manifest.json"]);

    let bytes = fs::read(&receipt.manifest).expect("manifest");
    let manifest = Manifest::from_bytes(&bytes, &Layout::new(&out, &run).expect("layout")).expect("reads");
    assert_eq!(manifest.files, receipt.files);
    assert_eq!((manifest.pages, manifest.rows, manifest.bad), (4, 12, 0));
    assert_eq!(manifest.summary, serde_json::json!({"misfits": 3}));
    assert!(!String::from_utf8(bytes).expect("text").contains("secret-cursor"));
    for file in &receipt.files {
        let bytes = fs::read(out.join(&file.path)).expect("file");
        assert_eq!(bytes.len() as u64, file.bytes);
        assert_eq!(bytes.iter().filter(|b| **b == b'\n').count() as u64 - 2, file.rows);
        use sha2::{Digest, Sha256};
        let sha: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(sha, file.sha256);
    }
}

#[tokio::test]
async fn modes_are_private_while_staged_and_for_the_group_when_published() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    let mut sink = sink_called(&out, AttemptId::from_bits(5));
    sink.open(&run(None), &tables()).await.expect("opens");
    let mode = |path: &Path| fs::metadata(path).expect("metadata").mode() & 0o777;
    let staging = dir.path().join("out.pagemill");
    for private in ["", "m", "m/_", "m/_/00000000000000000000000000000005"] {
        assert_eq!(mode(&staging.join(private)) & 0o077, 0, "{private}");
    }
    write_all(&mut sink).await.expect("writes");
    sink.commit(&serde_json::Value::Null).await.expect("commits");
    let probe = dir.path().join("probe");
    fs::create_dir(&probe).expect("dir");
    let umask = 0o777 & !mode(&probe);
    assert_eq!(mode(&out), 0o750 & !umask);
    assert_eq!(mode(&out.join("m")), 0o750 & !umask);
    assert_eq!(mode(&out.join("m/part-00000.txt")), 0o640 & !umask);
}

#[tokio::test]
async fn the_same_rows_in_other_batches_give_the_same_files() {
    let dir = tempfile::tempdir().expect("dir");
    let mut trees = Vec::new();
    for (at, length) in [1, 7, 100, 1_000].into_iter().enumerate() {
        let out = dir.path().join(at.to_string());
        let mut sink = sink(&out).bytes_per_part(2_000).batches(64, 300);
        sink.open(&run(None), &tables()).await.expect("opens");
        for page in 0..10i64 {
            let all: Vec<_> = (page * 100..page * 100 + 100).collect();
            for piece in all.chunks(length) {
                sink.write(rows("m", piece.iter().copied())).await.expect("writes");
                sink.write(rows("m_c", piece.iter().flat_map(|n| [*n; 3]))).await.expect("writes");
            }
            let next = if page == 9 { Position::End } else { Position::Next(pagemill_core::Cursor::new("c")) };
            let upto = Checkpoint { pages: page as u64 + 1, rows: page as u64 * 100 + 100, bad: 0, next };
            sink.checkpoint(upto, &serde_json::Value::Null).await.expect("checkpoint");
        }
        sink.commit(&serde_json::Value::Null).await.expect("commits");
        trees.push(files(&out));
    }
    assert!(trees[0].len() > 5, "several parts");
    assert!(trees.windows(2).all(|w| w[0] == w[1]));
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_says_what_differs() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    let mut first = sink(&out);
    first.open(&run(None), &tables()).await.expect("opens");
    write_all(&mut first).await.expect("writes");
    first.commit(&serde_json::Value::Null).await.expect("commits");
    drop(first);
    let before = files(dir.path());

    let mut same = sink(&out);
    assert!(same.open(&run(None), &tables()).await.expect("opens").is_some());
    assert_eq!(same.warnings(), [""; 0]);
    drop(same);
    let mut other = sink(&out).rows_per_part(5);
    let mut config = run(None);
    config.config.insert("query".into(), "x".into());
    let from = other.open(&config, &tables()).await.expect("opens");
    let end = Checkpoint { pages: 4, rows: 12, bad: 0, next: Position::End };
    assert_eq!(from.map(|from| from.checkpoint), Some(end));
    assert!(other.commit(&serde_json::Value::Null).await.expect("commits").already_published);
    assert!(other.warnings()[0].contains("query, sink.rows_per_part"), "{:?}", other.warnings());
    assert_eq!(files(dir.path()), before);
}

#[tokio::test]
async fn a_slot_in_use_is_busy_and_free_again_afterwards() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    let mut one = sink(&out);
    one.open(&run(Some("d=1")), &tables()).await.expect("opens");
    let mut two = sink(&out);
    let error = two.open(&run(Some("d=1")), &tables()).await.expect_err("held");
    assert_eq!(error.kind(), ErrorKind::Busy);
    sink(&out).open(&run(Some("d=2")), &tables()).await.expect("another slot is free");
    one.abort().await.expect("aborts");
    assert_eq!(sink(&out).open(&run(Some("d=1")), &tables()).await.expect("opens"), None);
}

#[tokio::test]
async fn dead_attempts_are_removed_and_nothing_else() {
    let dir = tempfile::tempdir().expect("dir");
    let (out, elsewhere) = (dir.path().join("out"), dir.path().join("elsewhere"));
    let mut dead = sink_called(&out, AttemptId::from_bits(1));
    dead.open(&run(None), &tables()).await.expect("opens");
    write_all(&mut dead).await.expect("writes");
    drop(dead);
    let home = dir.path().join("out.pagemill/m/_");
    assert!(home.join(AttemptId::from_bits(1).to_string()).is_dir());
    fs::create_dir(&elsewhere).expect("dir");
    fs::write(elsewhere.join("file"), "x").expect("file");
    let link = home.join(AttemptId::from_bits(2).to_string());
    symlink(&elsewhere, &link).expect("link");
    fs::create_dir(home.join("notes")).expect("dir");

    let mut next = sink_called(&out, AttemptId::from_bits(3));
    next.open(&run(None), &tables()).await.expect("opens");
    assert!(!home.join(AttemptId::from_bits(1).to_string()).exists());
    assert!(link.is_symlink() && elsewhere.join("file").exists() && home.join("notes").exists());
}

#[tokio::test]
async fn what_is_not_ours_is_never_overwritten() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    fs::create_dir_all(out.join("m_c")).expect("dir");
    let error = sink(&out).open(&run(None), &tables()).await.expect_err("taken");
    assert!(error.to_string().contains(&out.join("m_c").display().to_string()), "{error}");
    // It may also appear while the run is going on.
    fs::remove_dir(out.join("m_c")).expect("remove");
    let mut late = sink(&out);
    late.open(&run(None), &tables()).await.expect("opens");
    write_all(&mut late).await.expect("writes");
    fs::create_dir_all(out.join("m")).expect("dir");
    fs::write(out.join("m/theirs"), "x").expect("file");
    late.commit(&serde_json::Value::Null).await.expect_err("taken");
    late.abort().await.expect("aborts");
    assert_eq!(names(dir.path()), ["out/m/theirs", "out.pagemill/m/_/lock"]);
}

#[tokio::test]
async fn what_was_published_and_is_damaged_is_named_and_can_be_made_again() {
    type Damage = fn(&Path);
    async fn publish(mut sink: FileSink) {
        sink.open(&run(None), &tables()).await.expect("opens");
        write_all(&mut sink).await.expect("writes");
        sink.commit(&serde_json::Value::Null).await.expect("commits");
    }
    let damages: [(&str, Damage); 4] = [
        ("m_c", |out| fs::remove_dir_all(out.join("m_c")).expect("remove")),
        ("out", |out| fs::remove_dir_all(out).expect("remove")),
        ("part-", |out| {
            let found = fs::read_dir(out.join("m")).expect("dir").next().expect("a file").expect("entry").path();
            fs::remove_file(found).expect("remove");
        }),
        ("part-", |out| {
            let found = fs::read_dir(out.join("m")).expect("dir").next().expect("a file").expect("entry").path();
            let mut bytes = fs::read(&found).expect("bytes");
            bytes.pop();
            fs::write(&found, bytes).expect("write");
        }),
    ];
    for (named, damage) in damages {
        let dir = tempfile::tempdir().expect("dir");
        let out = dir.path().join("out");
        publish(sink(&out)).await;
        damage(&out);
        let error = sink(&out).open(&run(None), &tables()).await.expect_err("damaged");
        assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        assert!(error.to_string().contains(named) && error.to_string().contains("--overwrite"), "{error}");
        publish(sink(&out).overwrite(true)).await;
        assert_eq!(seen(&out), written(), "{error}");
        assert!(sink(&out).open(&run(None), &tables()).await.expect("whole").is_some());
    }
}

#[tokio::test]
async fn a_damaged_table_of_a_replacement_that_is_half_way_is_not_taken_back_for_the_old_one() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    let mut first = sink_called(&out, AttemptId::from_bits(1));
    first.open(&run(None), &tables()).await.expect("opens");
    write_all(&mut first).await.expect("writes");
    first.commit(&serde_json::Value::Null).await.expect("commits");
    drop(first);
    let mut second = sink_called(&out, AttemptId::from_bits(2)).overwrite(true);
    second.open(&run(None), &tables()).await.expect("opens");
    write_all(&mut second).await.expect("writes");
    second.commit(&serde_json::Value::Null).await.expect("commits");
    drop(second);
    // What a run that died as it moved its tables leaves: the old one where the new one was staged.
    let old = dir.path().join("out.pagemill/m/_").join(AttemptId::from_bits(2).to_string()).join("m");
    fs::create_dir_all(&old).expect("dirs");
    fs::write(old.join("part-00000.txt"), "old\n").expect("writes");
    let published = fs::read_dir(out.join("m")).expect("dir").next().expect("a file").expect("entry").path();
    fs::write(&published, "damaged\n").expect("writes");
    for _ in 0..3 {
        let error = sink(&out).open(&run(None), &tables()).await.expect_err("damaged");
        assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        assert_eq!(fs::read_to_string(&published).expect("it stays where it is"), "damaged\n");
    }
    let mut third = sink(&out).overwrite(true);
    third.open(&run(None), &tables()).await.expect("opens");
    write_all(&mut third).await.expect("writes");
    third.commit(&serde_json::Value::Null).await.expect("commits");
    assert_eq!(seen(&out), written());
}

#[tokio::test]
async fn a_staged_file_that_was_damaged_before_it_was_moved_is_told() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    let mut first = sink_called(&out, AttemptId::from_bits(2));
    first.open(&run(None), &tables()).await.expect("opens");
    write_all(&mut first).await.expect("writes");
    first.commit(&serde_json::Value::Null).await.expect("commits");
    drop(first);
    // As after a death between the commit and the move of this table.
    let attempt = dir.path().join("out.pagemill/m/_").join(AttemptId::from_bits(2).to_string());
    fs::create_dir(&attempt).expect("dir");
    fs::rename(out.join("m"), attempt.join("m")).expect("moves");
    let file = fs::read_dir(attempt.join("m")).expect("dir").next().expect("a file").expect("entry").path();
    let mut bytes = fs::read(&file).expect("bytes");
    bytes[3] ^= 1;
    fs::write(&file, bytes).expect("writes");
    let error = sink(&out).open(&run(None), &tables()).await.expect_err("damaged");
    assert_eq!(error.kind(), ErrorKind::Data, "{error}");
    assert!(!out.join("m").exists(), "nobody is shown what is damaged");
    let mut again = sink(&out).overwrite(true);
    again.open(&run(None), &tables()).await.expect("opens");
    write_all(&mut again).await.expect("writes");
    again.commit(&serde_json::Value::Null).await.expect("commits");
    assert_eq!(seen(&out), written());
}

#[tokio::test]
async fn slots_that_hide_a_column_or_lie_in_another_are_refused() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    let error = sink(&out).open(&run(Some("d=1/N=5")), &tables()).await.expect_err("a column");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(!dir.path().join("out.pagemill").exists(), "refused before anything is made");
    let twice = [TableSchema { name: name("M"), schema: schema() }, tables().remove(0)];
    assert_eq!(sink(&out).open(&run(None), &twice).await.expect_err("twice").kind(), ErrorKind::Config);

    let mut whole = sink(&out);
    whole.open(&run(Some("d=1")), &tables()).await.expect("opens");
    write_all(&mut whole).await.expect("writes");
    whole.commit(&serde_json::Value::Null).await.expect("commits");
    assert_eq!(sink(&out).open(&run(Some("d=1/e=1")), &tables()).await.expect_err("inside").kind(), ErrorKind::Config);
    assert_eq!(sink(&out).open(&run(None), &tables()).await.expect_err("around").kind(), ErrorKind::Config);
    assert_eq!(sink(&out).open(&run(Some("d=2")), &tables()).await.expect("beside"), None);
}

#[tokio::test]
async fn a_staging_folder_that_others_can_write_to_is_refused() {
    let dir = tempfile::tempdir().expect("dir");
    let (out, staging) = (dir.path().join("out"), dir.path().join("out.pagemill"));
    fs::create_dir(&staging).expect("dir");
    fs::set_permissions(&staging, fs::Permissions::from_mode(0o777)).expect("mode");
    assert_eq!(sink(&out).open(&run(None), &tables()).await.expect_err("open to all").kind(), ErrorKind::Config);
    fs::remove_dir(&staging).expect("remove");
    fs::create_dir(dir.path().join("target")).expect("dir");
    symlink(dir.path().join("target"), &staging).expect("link");
    assert_eq!(sink(&out).open(&run(None), &tables()).await.expect_err("a link").kind(), ErrorKind::Config);
}

#[tokio::test]
async fn misuse_is_an_error_and_not_a_panic() {
    let dir = tempfile::tempdir().expect("dir");
    let mut sink = pagemill_sink::FileSink::new(dir.path().join("out"), Arc::new(Lines));
    assert!(sink.write(rows("m", 0..1)).await.is_err());
    assert!(sink.commit(&serde_json::Value::Null).await.is_err());
    sink.abort().await.expect("nothing to give up");
    sink.open(&run(None), &tables()).await.expect("opens");
    assert!(sink.open(&run(None), &tables()).await.is_err());
    assert!(sink.write(rows("other", 0..1)).await.is_err());
    sink.abort().await.expect("aborts");
    assert!(sink.open(&run(None), &tables()).await.is_err(), "a sink serves one run");
}

#[tokio::test]
async fn an_unfinished_run_with_other_options_is_left_until_one_is_published() {
    let dir = tempfile::tempdir().expect("dir");
    let (out, home) = (dir.path().join("out"), dir.path().join("out.pagemill/m/_"));
    let started = home.join(AttemptId::from_bits(1).to_string());
    let mut first = sink_called(&out, AttemptId::from_bits(1)).rows_per_part(1);
    first.open(&run(None), &tables()).await.expect("opens");
    write_from(&mut first, 0).await.expect("writes");
    drop(first);

    let mut other = sink(&out).rows_per_part(2);
    assert_eq!(other.open(&run(None), &tables()).await.expect("opens"), None, "parts would end elsewhere");
    assert!(started.is_dir());
    other.abort().await.expect("aborts");
    assert!(started.is_dir());

    let mut same = sink(&out).rows_per_part(1);
    let from = same.open(&run(None), &tables()).await.expect("opens").expect("kept");
    // What ends the walk is durable with the manifest alone.
    assert_eq!(from.checkpoint.pages, 3);
    write_from(&mut same, 3).await.expect("writes");
    same.commit(&serde_json::Value::Null).await.expect("commits");
    drop(same);
    assert_eq!(seen(&out), written());
    assert_eq!(names(&home), ["lock", "manifest.json"]);
}

#[tokio::test]
async fn the_journal_is_private_and_the_only_place_of_a_cursor() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    let mut sink = sink_called(&out, AttemptId::from_bits(1)).rows_per_part(1);
    sink.open(&run(None), &tables()).await.expect("opens");
    write_from(&mut sink, 0).await.expect("writes");
    drop(sink);
    let journal = dir.path().join("out.pagemill/m/_").join(AttemptId::from_bits(1).to_string()).join("journal-00000");
    assert_eq!(fs::metadata(&journal).expect("journal").mode() & 0o777, 0o600);
    let with_cursors: Vec<_> = files(dir.path())
        .into_iter()
        .filter(|(_, bytes)| bytes.windows(13).any(|w| w == b"secret-cursor"))
        .map(|(path, _)| dir.path().join(path))
        .collect();
    assert_eq!(with_cursors, [journal]);
}

#[tokio::test]
async fn very_many_pages_end_a_part_and_are_all_remembered() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    let cursor = |page: u64| Cursor::new(format!("c{page}"));
    let upto = |page: u64| Checkpoint { pages: page, rows: page.min(1), bad: 0, next: Position::Next(cursor(page)) };
    let mut sink = sink_called(&out, AttemptId::from_bits(1));
    sink.open(&run(None), &tables()).await.expect("opens");
    sink.write(rows("m", 0..1)).await.expect("writes");
    for page in 1..=65_540 {
        sink.checkpoint(upto(page), &serde_json::Value::Null).await.expect("a page");
    }
    drop(sink);
    let mut sink = sink_called(&out, AttemptId::from_bits(2));
    let resume = sink.open(&run(None), &tables()).await.expect("opens").expect("something to go on from");
    assert_eq!(resume.checkpoint, upto(65_536));
    assert!(resume.seen.iter().copied().eq((1..=65_536).map(|page| cursor(page).id())));
}

/// Rows of another run of the same slot, which `write_from` does not write.
async fn write_other(sink: &mut dyn Sink) {
    sink.write(rows("m", 100..103)).await.expect("writes");
    let end = Checkpoint { pages: 1, rows: 3, bad: 0, next: Position::End };
    sink.checkpoint(end, &serde_json::Value::Null).await.expect("checkpoint");
}

#[tokio::test]
async fn what_is_published_is_replaced_when_that_is_asked_for() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    let mut first = sink(&out);
    first.open(&run(Some("d=1")), &tables()).await.expect("opens");
    write_from(&mut first, 0).await.expect("writes");
    let before = first.commit(&serde_json::Value::Null).await.expect("commits");
    drop(first);

    // Without the table that has no row, to see it go.
    let mut second = sink(&out).overwrite(true);
    assert_eq!(second.open(&run(Some("d=1")), &tables()[..2]).await.expect("opens"), None);
    write_other(&mut second).await;
    assert_eq!(seen(&out), written(), "the old files are there until the commit");
    let receipt = second.commit(&serde_json::Value::Null).await.expect("commits");
    drop(second);
    assert!(!receipt.already_published);
    assert_ne!(receipt.files, before.files);
    let now = seen(&out);
    assert_eq!(now.keys().collect::<Vec<_>>(), ["m", "m_c"]);
    assert_eq!((&now["m"], &now["m_c"]), (&vec![100, 101, 102], &vec![]));
    assert_eq!(names(&dir.path().join("out.pagemill")), ["m/d=1/lock", "m/d=1/manifest.json"]);

    let mut third = sink(&out);
    let from = third.open(&run(Some("d=1")), &tables()[..2]).await.expect("opens").expect("published");
    assert_eq!(from.checkpoint.rows, 3);
}

/// What a reader finds who lists a folder and then opens what was there: the numbers, or that a file is gone.
fn read_by_name(folder: &Path) -> Option<Vec<i64>> {
    // A folder that was removed since it was opened is an error as well.
    let mut names: Vec<_> = fs::read_dir(folder).ok()?.map(|entry| Some(entry.ok()?.path())).collect::<Option<_>>()?;
    names.sort();
    let mut rows = Vec::new();
    for name in names {
        let text = fs::read_to_string(name).ok()?;
        rows.extend(text.lines().filter(|line| !line.starts_with('#')).map(|n| n.parse::<i64>().expect("a number")));
    }
    Some(rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_while_a_table_is_replaced_sees_the_old_one_or_the_new_one_and_no_mixture() {
    let rounds: i64 = std::env::var("PAGEMILL_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    let folder = out.join("m/d=1");
    // Each round has as many files as the next, of other rows.
    let publish = async |round: i64| {
        let mut sink = sink(&out).rows_per_part(10).overwrite(true);
        sink.open(&run(Some("d=1")), &tables()).await.expect("opens");
        for page in 0..5u64 {
            sink.write(rows("m", vec![round; 10])).await.expect("writes");
            let next = if page == 4 { Position::End } else { Position::Next(Cursor::new(page.to_string())) };
            let upto = Checkpoint { pages: page + 1, rows: (page + 1) * 10, bad: 0, next };
            sink.checkpoint(upto, &serde_json::Value::Null).await.expect("checkpoint");
        }
        sink.commit(&serde_json::Value::Null).await.expect("commits");
    };
    publish(0).await;
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (reader, folder) = (done.clone(), folder.clone());
    let polls = std::thread::spawn(move || {
        let mut seen = std::collections::BTreeMap::new();
        while !reader.load(std::sync::atomic::Ordering::SeqCst) {
            if let Some(found) = read_by_name(&folder) {
                assert_eq!(found.len(), 50, "not whole");
                assert!(found.iter().all(|n| *n == found[0]), "a mixture: {found:?}");
                *seen.entry(found[0]).or_insert(0u64) += 1;
            }
        }
        seen
    });
    for round in 1..=rounds {
        publish(round).await;
    }
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    let seen = polls.join().expect("a reader");
    let polls = seen.values().sum::<u64>();
    println!("{rounds} replacements, {polls} whole readings, of {} of them", seen.len());
    assert!(seen.len() as i64 > rounds / 2 && polls > 200, "{seen:?}");
}

/// A format whose files cannot be finished.
struct Endless;

struct EndlessEncoder;

impl Format for Endless {
    fn name(&self) -> &str {
        "endless"
    }
    fn extension(&self) -> &str {
        "txt"
    }
    fn encoder(&self, _: SchemaRef) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(EndlessEncoder))
    }
    fn describe(&self) -> String {
        String::new()
    }
}

impl Encoder for EndlessEncoder {
    fn write(&mut self, _: &RecordBatch) -> Result<()> {
        Ok(())
    }
    fn take(&mut self) -> Vec<Bytes> {
        Vec::new()
    }
    fn buffered(&self) -> usize {
        0
    }
    fn finish(self: Box<Self>) -> Result<Vec<Bytes>> {
        Err(Error::data("there is no end"))
    }
}

/// Who waits for an encoder that fails finds its reason, and not that it ended early.
#[tokio::test]
async fn why_a_file_could_not_be_finished_is_said() {
    for _ in 0..200 {
        let folder = tempfile::tempdir().expect("a folder");
        let mut sink = FileSink::new(folder.path().join("out"), Arc::new(Endless));
        sink.open(&run(None), &tables()).await.expect("opens");
        write_all(&mut sink).await.expect("written");
        let error = sink.commit(&serde_json::Value::Null).await.expect_err("cannot be finished");
        assert!(error.to_string().contains("there is no end"), "{error}");
    }
}
