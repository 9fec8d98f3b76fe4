//! Every call on the disk fails once, in turn. Whatever call it is: all or nothing, and the next run is as if nothing had been.

mod common;

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use common::{run, seen, sink_on, tables, write_from, written};
use pagemill_core::{ErrorKind, Receipt, Result, Sink};
use pagemill_sink::{Disk, RealDisk, conformance::sink::Seen, disk::Stat};

/// Fails the call number `at`, before it does anything. Syncs are counted and left out: no power is cut here.
struct FailingDisk {
    disk: RealDisk,
    at: u64,
    calls: Arc<AtomicU64>,
    code: i32,
}

impl FailingDisk {
    fn new(at: u64, code: i32) -> Self {
        Self { disk: RealDisk::new(), at, calls: Arc::default(), code }
    }

    fn never() -> Self {
        Self::new(u64::MAX, 0)
    }

    fn count(&mut self) -> io::Result<()> {
        match self.calls.fetch_add(1, Ordering::SeqCst) == self.at {
            true => Err(io::Error::from_raw_os_error(self.code)),
            false => Ok(()),
        }
    }
}

macro_rules! counted {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
        impl Disk for FailingDisk {
            fn sync_file(&mut self, _: &Path) -> io::Result<()> {
                self.count()
            }
            fn sync_dir(&mut self, _: &Path) -> io::Result<()> {
                self.count()
            }
        $(
            fn $name(&mut self, $($arg: $type),*) -> io::Result<$result> {
                self.count()?;
                self.disk.$name($($arg),*)
            }
        )*}
    };
}

counted! {
    fn lock(path: &Path) -> bool;
    fn unlock() -> ();
    fn stat(path: &Path) -> Option<Stat>;
    fn list(path: &Path) -> Vec<String>;
    fn read(path: &Path, limit: u64) -> Vec<u8>;
    fn hash(path: &Path) -> (u64, String);
    fn create_dir(path: &Path, mode: u32) -> ();
    fn create(path: &Path) -> ();
    fn append(path: &Path, bytes: &[u8]) -> ();
    fn set_mode(path: &Path, mode: u32) -> ();
    fn close(path: &Path) -> ();
    fn link(from: &Path, to: &Path) -> ();
    fn rename_noreplace(from: &Path, to: &Path) -> ();
    fn rename(from: &Path, to: &Path) -> ();
    fn exchange(one: &Path, other: &Path) -> ();
    fn remove_file(path: &Path) -> ();
    fn remove_tree(path: &Path) -> ();
}

async fn export(sink: &mut dyn Sink) -> Result<Receipt> {
    let from = sink.open(&run(Some("d=1")), &tables()).await?.map_or(0, |from| from.checkpoint.pages);
    write_from(sink, from).await?;
    sink.commit(&serde_json::Value::Null).await
}

/// Each table is there as a whole or not at all.
fn assert_whole(seen: &Seen, k: u64) {
    for (table, rows) in seen {
        assert_eq!(Some(rows), written().get(table), "{table} is there in part after call {k} failed");
    }
}

/// Runs with call `k` failing; false when there was no such call.
async fn fail_at(k: u64, code: i32, abort: bool) -> bool {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    let disk = FailingDisk::new(k, code);
    let calls = disk.calls.clone();
    let mut failing = sink_on(&out, disk).rows_per_part(5);
    let result = export(&mut failing).await;
    let reached = calls.load(Ordering::SeqCst) > k;
    assert_whole(&seen(&out), k);
    let manifest = dir.path().join("out.pagemill/m/d=1/manifest.json");
    match &result {
        Ok(_) => assert_eq!(seen(&out), written(), "call {k}: it said that all is published"),
        Err(error) => {
            // From the commit on, the outcome is in doubt, and the first error is the cause.
            let in_doubt = manifest.exists();
            let expected: &[ErrorKind] =
                if in_doubt { &[ErrorKind::Unknown, ErrorKind::Io] } else { &[ErrorKind::Io, ErrorKind::Create] };
            assert!(expected.contains(&error.kind()), "call {k}: {error:?}");
            assert!(error.to_string().contains(&dir.path().display().to_string()), "call {k}: {error}");
            let mut cause = std::error::Error::source(error);
            while let Some(deeper) = cause.and_then(std::error::Error::source) {
                cause = Some(deeper);
            }
            assert_eq!(
                cause.map(ToString::to_string),
                Some(io::Error::from_raw_os_error(code).to_string()),
                "call {k}"
            );
            if !manifest.exists() {
                assert_eq!(seen(&out), Seen::new(), "call {k}: files are visible before the commit");
            }
        }
    }
    if abort {
        // The disk fails once, so giving up works; what is committed stays.
        failing.abort().await.expect("aborts");
        assert_whole(&seen(&out), k);
    }
    drop(failing);

    let mut clean = sink_on(&out, FailingDisk::never()).rows_per_part(5);
    let receipt = export(&mut clean).await.unwrap_or_else(|e| panic!("the run after call {k} failed: {e:?}"));
    assert_eq!(seen(&out), written(), "call {k}");
    for file in &receipt.files {
        assert_eq!(fs::metadata(out.join(&file.path)).expect("file").len(), file.bytes);
    }
    drop(clean);
    let left = common::files(&dir.path().join("out.pagemill"));
    assert_eq!(left.len(), 2, "call {k} left {:?}", left.keys());
    reached
}

async fn fail_everywhere(code: i32) {
    for abort in [false, true] {
        let mut k = 0;
        while fail_at(k, code, abort).await {
            k += 1;
        }
        assert!(k > 60, "only {k} calls were tried");
    }
}

#[tokio::test]
async fn a_device_error_at_any_call() {
    fail_everywhere(rustix::io::Errno::IO.raw_os_error()).await;
}

#[tokio::test]
async fn a_full_disk_at_any_call() {
    fail_everywhere(rustix::io::Errno::NOSPC.raw_os_error()).await;
}

#[tokio::test]
async fn a_run_that_died_after_its_commit_is_finished_by_the_next() {
    let dir = tempfile::tempdir().expect("dir");
    let out = dir.path().join("out");
    // The renames are the last calls of their kind; find the first by where it leaves the manifest without the tables.
    let mut half_way = 0;
    for k in 0.. {
        let out = out.join(k.to_string());
        let mut dying = sink_on(&out, FailingDisk::new(k, rustix::io::Errno::IO.raw_os_error()));
        if export(&mut dying).await.is_ok() {
            break;
        }
        drop(dying);
        if out.with_file_name(format!("{k}.pagemill/m/d=1/manifest.json")).exists() {
            half_way += 1;
            // Nothing is written again: the run is over, only its folders are moved.
            let mut next = sink_on(&out, FailingDisk::never());
            assert!(next.open(&run(Some("d=1")), &tables()).await.expect("opens").is_some(), "call {k}");
            assert_eq!(seen(&out), written(), "call {k}");
        }
    }
    assert!(half_way > 6, "{half_way}");
}
