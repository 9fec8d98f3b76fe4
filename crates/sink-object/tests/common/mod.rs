//! A store that fails as it is told to, a run whose every byte is known, and what readers see.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test uses its own share")]

mod fault;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use pagemill_core::{Checkpoint, Cursor, Error, Position, Receipt, Result, Rewind, Run, Slot, TableName, TableSchema};
use pagemill_sink::{
    AttemptId, Manifest, Store,
    manifest::{MANIFEST_VERSION, TableEntry},
    store::{Kept, Opened, Part, Plan, Segment},
};
use pagemill_sink_object::ObjectSink;
use sha2::{Digest, Sha256};

pub use fault::{Conditions, Fault, FaultStore, Mode, Op, World};

/// Pages of a run; each is a segment.
pub const PAGES: u64 = 3;

pub const PREFIX: &str = "lake/v1";

pub fn name(text: &str) -> TableName {
    TableName::new(text).expect("a name")
}

pub fn tables() -> Vec<TableName> {
    ["m", "m_c"].map(name).to_vec()
}

pub fn run(slot: Option<&str>) -> Run {
    let slot = slot.map(|s| Slot::new(s).expect("a slot"));
    Run { dataset: name("m"), slot, config: BTreeMap::new(), pages: pagemill_core::Pages::default() }
}

pub fn plan(slot: Option<&str>, overwrite: bool) -> Plan {
    let schema = Arc::new(arrow::datatypes::Schema::empty());
    let table = |name| TableEntry::new(&TableSchema { name, schema: Arc::clone(&schema) }).expect("an entry");
    let draft = Manifest {
        version: MANIFEST_VERSION,
        run: run(slot).key(),
        attempt: String::new(),
        writer: "test".into(),
        replaces: None,
        format: "text".into(),
        config: BTreeMap::from([("what".into(), "test".into())]),
        tables: tables().into_iter().map(table).collect(),
        files: Vec::new(),
        pages: 0,
        rows: 0,
        bad: 0,
        input: None,
        summary: serde_json::Value::Null,
    };
    Plan { run: run(slot), draft, overwrite }
}

/// The bytes of a table's part of a page: of `m` several pieces, of `m_c` less than one.
pub fn bytes(table: &TableName, page: u64, edition: u64) -> Vec<u8> {
    match table.as_str() {
        "m" => (0..5).flat_map(|n| format!("{edition}:m:{page}:{n}\n").into_bytes()).collect(),
        _ => format!("{edition}:c{page}\n").into_bytes(),
    }
}

/// All that a run writes, by table.
pub fn ledger(edition: u64) -> BTreeMap<String, Vec<u8>> {
    let all = |table: &TableName| (0..PAGES).flat_map(|page| bytes(table, page, edition)).collect();
    tables().iter().map(|table| (table.to_string(), all(table))).collect()
}

/// A store in which nobody waits.
pub fn sink(world: &World, id: Option<u128>) -> ObjectSink {
    on(FaultStore::clean(world), id)
}

pub fn on(store: FaultStore, id: Option<u128>) -> ObjectSink {
    let sink = ObjectSink::new(store, "mem://bucket", PREFIX).pieces(16, 2).tries(3, Duration::ZERO);
    match id {
        Some(bits) => sink.attempt_id(AttemptId::from_bits(bits)),
        None => sink,
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

pub fn part(table: &TableName, page: u64, edition: u64) -> Part {
    let bytes = bytes(table, page, edition);
    let rows = bytes.iter().filter(|b| **b == b'\n').count() as u64;
    let name = format!("part-{page:05}.txt");
    Part { table: table.clone(), name, rows, bytes: bytes.len() as u64, sha256: sha256(&bytes) }
}

pub fn checkpoint(pages: u64) -> Checkpoint {
    let next = if pages == PAGES { Position::End } else { Position::Next(Cursor::new(format!("page {pages}"))) };
    Checkpoint { pages, rows: pages * 5, bad: 0, next }
}

/// The pages that are kept, after a look at whether what is said of them is so.
pub fn kept(kept: Option<&Kept>, edition: u64) -> u64 {
    let Some(kept) = kept else { return 0 };
    let pages = kept.resume.checkpoint.pages;
    assert_eq!(kept.resume.checkpoint, checkpoint(pages));
    let parts: Vec<_> =
        (0..pages).flat_map(|page| tables().into_iter().map(move |t| part(&t, page, edition))).collect();
    assert_eq!(kept.parts, parts);
    pages
}

/// Writes one page, and ends the segment if `end`.
pub fn write_page(store: &mut dyn Store, page: u64, edition: u64, end: bool) -> Result<()> {
    for table in tables() {
        let part = part(&table, page, edition);
        store.create_part(&table, &part.name)?;
        let bytes = bytes(&table, page, edition);
        for piece in bytes.chunks(23) {
            store.append_part(&table, &part.name, &Bytes::copy_from_slice(piece))?;
        }
        store.close_part(&part)?;
    }
    if !end {
        return Ok(());
    }
    let met = match &checkpoint(page + 1).next {
        Position::Next(cursor) => vec![cursor.id()],
        Position::End => Vec::new(),
    };
    store.end_segment(&Segment { upto: checkpoint(page + 1), met, summary: serde_json::json!(page) })
}

/// What comes of a run.
#[derive(Debug)]
pub enum Ended {
    Published(Receipt),
    Already(Receipt),
}

/// Runs to the end.
pub fn export(store: &mut dyn Store, overwrite: bool, edition: u64) -> Result<Ended> {
    let plan = plan(Some("d=1"), overwrite);
    let from = match store.open(&plan)? {
        Opened::Published(_, receipt) => return Ok(Ended::Already(receipt)),
        Opened::Fresh => 0,
        Opened::Resumed(found) => kept(Some(&found), edition),
    };
    finish(store, from, edition, plan.draft)
}

pub fn finish(store: &mut dyn Store, from: u64, edition: u64, mut manifest: Manifest) -> Result<Ended> {
    for page in from..PAGES {
        write_page(store, page, edition, true)?;
    }
    (manifest.pages, manifest.rows) = (PAGES, PAGES * 5);
    let receipt = store.publish(manifest)?;
    Ok(if receipt.already_published { Ended::Already(receipt) } else { Ended::Published(receipt) })
}

/// How a run ends that cannot go on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Suspend,
    Abort,
    Crash,
}

pub fn end(store: &mut dyn Store, how: End) -> Result<()> {
    match how {
        End::Suspend => store.suspend(),
        End::Abort => store.abort(),
        End::Crash => Ok(()),
    }
}

/// What the manifest shows, by table; `None` when there is none that can be read.
pub fn published(world: &World) -> Option<BTreeMap<String, Vec<u8>>> {
    let bytes = world.read("lake/v1.pagemill/m/d=1/manifest.json")?;
    let manifest = Manifest::from_object(&bytes, "m/d=1").ok()?;
    let mut all: BTreeMap<String, Vec<u8>> = tables().iter().map(|t| (t.to_string(), Vec::new())).collect();
    for file in &manifest.files {
        let bytes = world.read(&format!("{PREFIX}/{}", file.path)).unwrap_or_else(|| panic!("{} is gone", file.path));
        assert_eq!((bytes.len() as u64, sha256(&bytes)), (file.bytes, file.sha256.clone()), "{}", file.path);
        all.entry(file.table.clone()).or_default().extend_from_slice(&bytes);
    }
    Some(all)
}

/// All that is there beside a manifest and the files that it names: keys, and uploads that were not ended.
pub fn left(world: &World) -> Vec<String> {
    let manifest = "lake/v1.pagemill/m/d=1/manifest.json";
    let mut named = vec![manifest.to_owned()];
    if let Some(bytes) = world.read(manifest) {
        let manifest = Manifest::from_object(&bytes, "m/d=1").expect("a manifest");
        named.extend(manifest.files.iter().map(|f| format!("{PREFIX}/{}", f.path)));
    }
    let mut left = world.keys();
    left.retain(|key| !named.contains(key));
    left.extend(world.uploads());
    left
}

/// Removes what is left of all attempts, whatever their age.
pub fn clean(world: &World) -> Vec<String> {
    let later = std::time::SystemTime::now() + Duration::from_secs(3_600);
    sink(world, None).clean(&run(Some("d=1")), &tables(), later, false).expect("cleans")
}

/// Goes back, and writes all anew.
pub fn rewind(store: &mut dyn Store, to: Rewind, edition: u64) -> Result<u64, Error> {
    Ok(kept(store.rewind(to)?.as_ref(), edition))
}
