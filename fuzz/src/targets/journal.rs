//! What is read back of a run: journals and manifests. Somebody may have been at them.

use std::{collections::BTreeMap, path::Path};

use pagemill_core::{Run, Slot, TableName};
use pagemill_sink::{Journal, Manifest, layout::Layout};
use sha2::{Digest, Sha256};

fn tables() -> Vec<TableName> {
    ["m", "m_c"].map(|name| TableName::new(name).expect("a name")).to_vec()
}

/// The lines with the digits that they should have, so that what they say is looked at.
fn linked(data: &[u8]) -> Vec<u8> {
    let (mut link, mut out) = ([0u8; 32], Vec::new());
    for line in data.split(|b| *b == b'\n') {
        link = Sha256::new().chain_update(link).chain_update(line).finalize().into();
        let digits: String = link[..8].iter().map(|b| format!("{b:02x}")).collect();
        out.extend_from_slice(digits.as_bytes());
        out.push(b' ');
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out
}

fn journal(bytes: &[u8]) {
    let Some(journal) = Journal::read(bytes, &tables()) else { return };
    let parts = journal.parts().expect("tables that are known");
    for part in &parts {
        assert!(tables().contains(&part.table));
        assert!(part.name.starts_with("part-") && Path::new(&part.name).components().count() == 1, "{}", part.name);
    }
    for table in tables() {
        let numbers = parts.iter().filter(|p| p.table == table).map(|p| p.name.clone());
        assert!(numbers.enumerate().all(|(n, name)| name.starts_with(&format!("part-{n:05}."))));
    }
    let kept = journal.kept().expect("tables that are known");
    assert_eq!(kept.is_some(), !journal.is_empty());
    let again = Journal::read(&journal.to_bytes().expect("JSON"), &tables()).expect("what was written");
    assert_eq!((again.len(), again.pages(), again.kept().expect("tables")), (journal.len(), journal.pages(), kept));
}

fn manifest(bytes: &[u8]) {
    let run = Run {
        dataset: TableName::new("m").expect("a name"),
        slot: Some(Slot::new("d=1").expect("a slot")),
        config: BTreeMap::new(),
        pages: pagemill_core::Pages::default(),
    };
    let layout = Layout::new(Path::new("/out"), &run).expect("a folder");
    let Ok(manifest) = Manifest::from_bytes(bytes, &layout) else { return };
    for file in &manifest.files {
        let inside = Path::new(&file.path).strip_prefix(&file.table).and_then(|p| p.strip_prefix("d=1"));
        assert!(inside.is_ok_and(|name| name.components().count() == 1), "{}", file.path);
        assert!(!file.path.contains("..") || !file.path.split('/').any(|part| part == ".."), "{}", file.path);
    }
}

/// Does it with one input.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((0..=63, data)) => journal(data),
        Some((64..=191, data)) => journal(&linked(data)),
        Some((_, data)) => manifest(data),
        None => {}
    }
}
