//! The file whose appearance is the commit: what was written, by what, with which columns.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field};
use pagemill_core::{Checkpoint, EXTENSION_NAME, Error, FileEntry, Position, Result, TableName, TableSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    AttemptId,
    layout::Layout,
    seal::{self, Seal},
};

/// The version of the manifest that this code writes, and the only one it reads.
pub const MANIFEST_VERSION: u32 = 1;

/// What one run published. It holds no token, no cursor and no time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// The run key: dataset and slot, such as `members/dt=2026-11-23`.
    pub run: String,
    /// The attempt whose files these are.
    pub attempt: String,
    /// What wrote it.
    pub writer: String,
    /// What it took the place of, if something was published before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaced>,
    /// The name of the format.
    pub format: String,
    /// Everything that decides which bytes are written.
    pub config: BTreeMap<String, String>,
    /// SHA-256 of what told its [pages](pagemill_core::Run::pages) from those of another run of the same configuration, if something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The tables, with or without rows.
    pub tables: Vec<TableEntry>,
    /// The files, by table and then by path.
    pub files: Vec<FileEntry>,
    /// Pages accepted.
    pub pages: u64,
    /// Records accepted.
    pub rows: u64,
    /// Records in quarantine.
    pub bad: u64,
    /// What the caller wants kept with it.
    pub summary: Value,
}

/// What a run took the place of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The attempt whose files those were.
    pub attempt: String,
    /// The tables that it had.
    pub tables: Vec<String>,
}

/// A table and its columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableEntry {
    /// Its name.
    pub name: String,
    /// SHA-256 of its columns in this form; equal for tables that can be read as one.
    pub fingerprint: String,
    /// Its columns.
    pub columns: Vec<ColumnEntry>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnEntry {
    /// Its name.
    pub name: String,
    /// Its Arrow type, without what is below it.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it can be null.
    pub nullable: bool,
    /// Its Arrow extension type, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// The members of a struct, or the element of a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<ColumnEntry>,
}

impl ColumnEntry {
    fn new(field: &Field) -> Self {
        let (kind, children) = match field.data_type() {
            DataType::List(element) => ("List".to_owned(), vec![Self::new(element)]),
            DataType::LargeList(element) => ("LargeList".to_owned(), vec![Self::new(element)]),
            DataType::Struct(fields) => ("Struct".to_owned(), fields.iter().map(|f| Self::new(f)).collect()),
            other => (other.to_string(), Vec::new()),
        };
        let extension = field.metadata().get(EXTENSION_NAME).cloned();
        Self { name: field.name().clone(), kind, nullable: field.is_nullable(), extension, children }
    }
}

impl TableEntry {
    /// Describes a table.
    ///
    /// # Errors
    /// [`Internal`](pagemill_core::ErrorKind::Internal) when it cannot be written as JSON, which would be a bug.
    pub fn new(table: &TableSchema) -> Result<Self> {
        let columns: Vec<_> = table.schema.fields().iter().map(|f| ColumnEntry::new(f)).collect();
        let text = serde_json::to_vec(&columns).map_err(bug)?;
        Ok(Self { name: table.name.to_string(), fingerprint: hex(&sha256(&text)), columns })
    }
}

impl Manifest {
    /// The manifest as it is written: JSON, indented, one closing line break, and sealed: see [`seal`].
    ///
    /// # Errors
    /// [`Internal`](pagemill_core::ErrorKind::Internal) when it cannot be written as JSON, which would be a bug.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(bug)?;
        bytes.push(b'\n');
        Ok(seal::seal(bytes))
    }

    /// Reads a manifest and checks what the code that acts on it relies on.
    ///
    /// # Errors
    /// [`Data`](pagemill_core::ErrorKind::Data) when it is not a manifest of this version and of this run key,
    /// or names a file outside its tables' folders.
    pub fn from_bytes(bytes: &[u8], layout: &Layout) -> Result<Self> {
        Self::read(bytes, &layout.run_key(), |name| name.starts_with("part-") && !name.contains('/'))
    }

    /// The same, of a run in an object store, where no file is ever moved: each is in the folder of the attempt that wrote it,
    /// `<table>/<slot>/<dataset>.<attempt>/part-00000.<ext>`.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes).
    pub fn from_object(bytes: &[u8], run_key: &str) -> Result<Self> {
        let dataset = run_key.split('/').next().unwrap_or_default();
        Self::read(bytes, run_key, |name| {
            name.split_once('/').is_some_and(|(folder, part)| {
                let id = folder.strip_prefix(dataset).and_then(|rest| rest.strip_prefix('.'));
                id.and_then(AttemptId::parse).is_some() && part.starts_with("part-") && !part.contains('/')
            })
        })
    }

    /// `is_part` judges what follows the folder of the table and the slot.
    fn read(bytes: &[u8], run_key: &str, is_part: impl Fn(&str) -> bool) -> Result<Self> {
        let refuse = |what: &str| Error::data(format!("the manifest of {run_key} {what}"));
        let value: Value = serde_json::from_slice(bytes).map_err(|e| {
            refuse("is not JSON")
                .advise("restore it, or move it and what is published of its slot away, and run it again")
                .because(e)
        })?;
        let version = value.get("version").and_then(Value::as_u64);
        if version != Some(u64::from(MANIFEST_VERSION)) {
            return Err(refuse("is of a version that this program does not know")
                .advise("use the version that wrote it, or a later one"));
        }
        let manifest: Self = serde_json::from_value(value).map_err(|e| refuse("lacks something").because(e))?;
        if seal::check(bytes) == Seal::Broken {
            return Err(refuse("is not what it was when it was written")
                .advise("see what has changed it, before anything relies on it"));
        }
        if manifest.run != run_key {
            return Err(refuse(&format!("is that of {:?}", manifest.run)));
        }
        if AttemptId::parse(&manifest.attempt).is_none() {
            return Err(refuse("does not name its attempt"));
        }
        let tables = manifest.table_names()?;
        manifest.dropped_tables()?;
        // The slot, with the slash before it.
        let slot = run_key.find('/').and_then(|at| run_key.get(at..)).unwrap_or_default();
        let inside = |file: &FileEntry| {
            let name = tables
                .iter()
                .find(|t| t.as_str() == file.table)
                .and_then(|t| file.path.strip_prefix(&format!("{t}{slot}/")));
            let plain = |name: &str| !name.contains(['\\', '\0']);
            name.is_some_and(|n| is_part(n) && plain(n))
        };
        if !manifest.files.iter().all(inside) {
            return Err(refuse("names a file outside its tables' folders"));
        }
        Ok(manifest)
    }

    /// The names of its tables.
    ///
    /// # Errors
    /// When one cannot name a table.
    pub fn table_names(&self) -> Result<Vec<TableName>> {
        self.tables.iter().map(|t| TableName::new(&t.name)).collect()
    }

    /// The tables that were published under this name before, and are no more.
    ///
    /// # Errors
    /// When one cannot name a table.
    pub fn dropped_tables(&self) -> Result<Vec<TableName>> {
        let kept = |name: &&String| !self.tables.iter().any(|t| t.name == **name);
        self.replaces.iter().flat_map(|old| &old.tables).filter(kept).map(TableName::new).collect()
    }

    /// The files of one table, in their order.
    pub fn files_of(&self, table: &TableName) -> impl Iterator<Item = &FileEntry> {
        self.files.iter().filter(move |file| file.table == table.as_str())
    }

    /// What tells runs that would write other bytes from this one: a hash of its writer, its configuration and its columns.
    ///
    /// # Errors
    /// As [`to_bytes`](Self::to_bytes).
    pub fn config_hash(&self) -> Result<String> {
        let what = (self.version, &self.run, &self.writer, &self.format, &self.config, &self.tables);
        Ok(hex(&sha256(&serde_json::to_vec(&what).map_err(bug)?)))
    }

    /// The end of the walk that it records.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { pages: self.pages, rows: self.rows, bad: self.bad, next: Position::End }
    }
}

fn bug(error: serde_json::Error) -> Error {
    Error::internal("the manifest cannot be written as JSON").because(error)
}

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).into()
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use arrow::datatypes::Schema;
    use pagemill_core::{JSON_EXTENSION, Run, Slot};

    use super::*;

    fn layout() -> Layout {
        let run = Run {
            dataset: TableName::new("m").expect("name"),
            slot: Some(Slot::new("d=1").expect("slot")),
            config: BTreeMap::new(),
            pages: pagemill_core::Pages::default(),
        };
        Layout::new(Path::new("/o"), &run).expect("layout")
    }

    fn manifest() -> Manifest {
        let json = Field::new("j", DataType::Utf8, true)
            .with_metadata([(EXTENSION_NAME.to_owned(), JSON_EXTENSION.to_owned())].into());
        let list = Field::new_list("l", Field::new("item", DataType::Int64, true), true);
        let schema =
            TableSchema { name: TableName::new("m").expect("name"), schema: Arc::new(Schema::new(vec![json, list])) };
        let file =
            FileEntry { table: "m".into(), path: "m/d=1/part-00000.x".into(), rows: 1, bytes: 2, sha256: "0".into() };
        Manifest {
            version: MANIFEST_VERSION,
            run: "m/d=1".into(),
            attempt: AttemptId::from_bits(1).to_string(),
            writer: "w".into(),
            replaces: None,
            format: "x".into(),
            config: BTreeMap::new(),
            tables: vec![TableEntry::new(&schema).expect("entry")],
            files: vec![file],
            pages: 1,
            rows: 2,
            bad: 3,
            input: None,
            summary: Value::Null,
        }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let bytes = manifest().to_bytes().expect("bytes");
        assert_eq!(Manifest::from_bytes(&bytes, &layout()).expect("reads"), manifest());
        let text = String::from_utf8(bytes).expect("text");
        assert!(text.contains(r#""extension": "arrow.json""#) && text.contains(r#""type": "Int64""#), "{text}");
    }

    #[test]
    fn one_that_is_not_ours_or_was_tampered_with_is_refused() {
        let refused = |change: &dyn Fn(&mut Manifest)| {
            let mut changed = manifest();
            change(&mut changed);
            Manifest::from_bytes(&changed.to_bytes().expect("bytes"), &layout()).expect_err("refused").to_string()
        };
        assert!(refused(&|m| m.version = 2).contains("version"));
        assert!(refused(&|m| m.run = "m/d=2".into()).contains("m/d=2"));
        assert!(refused(&|m| m.attempt = "../../etc".into()).contains("attempt"));
        for path in ["m/d=1/../../part-00000.x", "part-00000.x", "m/d=1/part-0/../../x", "/m/d=1/part-00000.x"] {
            assert!(refused(&|m| m.files[0].path = path.into()).contains("outside"), "{path}");
        }
        assert!(refused(&|m| m.tables[0].name = "../m".into()).contains("cannot name a table"));
        assert!(refused(&|m| m.files[0].path = format!("m/d=1/{}/part-00000.x", "0".repeat(32))).contains("outside"));
        assert!(Manifest::from_bytes(b"{", &layout()).is_err());
    }

    #[test]
    fn in_an_object_store_files_are_in_their_attempts_folders() {
        let read = |path: &str| {
            let mut manifest = manifest();
            manifest.files[0].path = path.into();
            Manifest::from_object(&manifest.to_bytes().expect("bytes"), "m/d=1").is_ok()
        };
        let id = "0123456789abcdef0123456789abcdef";
        assert!(read(&format!("m/d=1/m.{id}/part-00000.x")));
        assert!(!read(&format!("m/d=1/{id}/part-00000.x")) && !read(&format!("m/d=1/n.{id}/part-00000.x")));
        for path in ["m/d=1/part-00000.x", "m/d=1/../part-00000.x", "m/d=1/id/part-00000.x", "n/d=1/part-00000.x"] {
            assert!(!read(path), "{path}");
        }
        for name in ["x", "part-0/../x", "../part-0", "part-0\\x"] {
            assert!(!read(&format!("m/d=1/m.{id}/{name}")), "{name}");
        }
    }
}
