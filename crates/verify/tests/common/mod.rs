//! Small runs to look at, and ways to spoil them.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use pagemill::{
    Arrow, Batch, FileOptions, FileSink, FileSource, Flatten, Format, Ndjson, Nested, Parquet, Pipeline, Resource,
    Result, Table, TableSchema, Transform, json,
};
use pagemill_sink::{
    LocalPublished, Manifest, Published,
    list::{Opened, ReadAt, RunKey, Unfinished},
};
use pagemill_verify::{Rebuild, Report, Which, verify};
use sha2::{Digest, Sha256};

pub(crate) fn formats() -> Vec<Arc<dyn Format>> {
    vec![Arc::new(Parquet::default()), Arc::new(Arrow::file()), Arc::new(Arrow::stream()), Arc::new(Ndjson)]
}

/// A resource with one column of each kind, at every place that a column can have.
pub(crate) fn kinds() -> Resource {
    Resource::from_json_schema(
        r#"{"x-pagemill":{"table":"t","key":"id"},"properties":{
            "id":{"type":"string"},"flag":{"type":"boolean"},"count":{"type":"integer"},"size":{"type":"number"},
            "at":{"type":"string","format":"date-time"},"any":{},
            "owner":{"properties":{"rank":{"type":"integer"},"home":{"properties":{"city":{"type":"string"}}}}},
            "tags":{"items":{"type":"string"}},"matrix":{"items":{"items":{"type":"integer"}}},
            "parts":{"items":{"properties":{"name":{"type":"string"},"size":{"type":"number"},"new":{"type":"boolean"},
                "at":{"type":"string","format":"date-time"},"any":{},"sizes":{"items":{"type":"number"}}}}}}}"#,
    )
    .expect("a schema")
}

/// Records of [`kinds`]: ordinary ones, and such as no column holds.
pub(crate) const RECORDS: [&str; 6] = [
    r#"{"id":"a","flag":true,"count":7,"size":0.5,"at":"2026-11-23T10:00:00Z","any":{"x": [1, 2.50]},"owner":{"rank":1,"home":{"city":"Köln"}},"tags":["x","y"],"matrix":[[1,2],[3]],"parts":[{"name":"p","size":1.5,"new":false,"at":"2026-11-23T10:00:00.5Z","any":[1],"sizes":[1.5,2.5]},{"name":"q"}]}"#,
    r#"{"id":"b","flag":false,"count":-9007199254740993,"size":1e300,"at":"1969-12-31T23:59:59.999999+02:00","any":"text","owner":{},"tags":[],"matrix":[],"parts":[]}"#,
    r#"{"id":"c","flag":"yes","count":1.5,"size":1152921504606846977,"at":"never","any":1e400,"owner":{"rank":"first"},"tags":["é",null,5],"matrix":[[1],null,["x"]],"parts":[null,7,{"name":"r","size":0.1,"new":true,"at":"2026-01-01T00:00:00Z","any":0,"sizes":[]},{"z":1}],"zzz":{"b": 1,"a":"\u00e9"}}"#,
    r#"{"id":5,"count":10,"unknown":null}"#,
    r#"{"id":"a","flag":true,"count":7,"size":0.5,"at":"2026-11-23T10:00:00Z","tags":["x","y"],"matrix":[[4]],"parts":[{"name":"p","size":1.5,"new":false,"at":"2026-11-23T10:00:00.5Z","any":[1],"sizes":[3.5]}]}"#,
    r#"{"id":"e","flag":true,"count":8,"size":2,"at":"2026-11-24T10:00:00Z","any":true,"owner":{"rank":2,"home":{"city":""}},"tags":["z"],"matrix":[[5,6]],"parts":[{"name":"s","size":2.5,"new":true,"at":"2026-11-25T10:00:00.5Z","any":{},"sizes":[9]}]}"#,
];

/// A run: what was given and where it went.
pub(crate) struct Made {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) out: PathBuf,
    pub(crate) pages: Vec<PathBuf>,
    pub(crate) resource: Resource,
}

/// What happens to the tables of a batch before they are written.
pub(crate) type Fault = Arc<dyn Fn(&mut Vec<Table>) + Send + Sync>;

/// How to make a run.
#[derive(Clone)]
pub(crate) struct Make {
    pub(crate) resource: Resource,
    pub(crate) format: Arc<dyn Format>,
    pub(crate) nested: bool,
    pub(crate) bad: u64,
    pub(crate) rows_per_part: u64,
    pub(crate) fault: Option<Fault>,
    pub(crate) slot: Option<&'static str>,
    pub(crate) unknown: pagemill::Unknown,
}

impl Make {
    pub(crate) fn new(format: Arc<dyn Format>) -> Self {
        let (resource, unknown) = (kinds(), pagemill::Unknown::Extra);
        Self { resource, format, nested: false, bad: 0, rows_per_part: 1_000, fault: None, slot: None, unknown }
    }

    /// Writes `pages` to files of these names, and converts them.
    pub(crate) async fn run(&self, pages: &[(&str, &[u8])]) -> Made {
        let dir = tempfile::tempdir().expect("dir");
        self.run_in(dir, pages).await
    }

    pub(crate) async fn run_in(&self, dir: tempfile::TempDir, pages: &[(&str, &[u8])]) -> Made {
        let mut paths = Vec::new();
        for (name, bytes) in pages {
            let path = dir.path().join(name);
            fs::write(&path, bytes).expect("a page");
            paths.push(path);
        }
        let out = dir.path().join("out");
        let limits = json::Limits { bad_records: self.bad, ..json::Limits::default() };
        let decode = json::Options { limits, batch_rows: 2, unknown: self.unknown, ..json::Options::default() };
        let source = FileSource::new(&self.resource, &paths, FileOptions { decode, ..FileOptions::default() });
        let account = Some("the account".to_owned());
        let inner: Box<dyn Transform> = match self.nested {
            true => Box::new(Nested::new(&self.resource, account)),
            false => Box::new(Flatten::new(&self.resource, account)),
        };
        let sink = FileSink::new(&out, self.format.clone()).rows_per_part(self.rows_per_part);
        let transform = Faulty { inner, fault: self.fault.clone() };
        let dropped: Vec<_> = self.resource.left_out().iter().map(|(_, name)| name.as_str()).collect();
        Pipeline::new(source.expect("pages"), transform, sink)
            .slot(self.slot.map(|s| pagemill::Slot::new(s).expect("a slot")))
            .max_bad_records(self.bad)
            .config("layout", "as said")
            .config("account", "the account")
            .config("dropped", dropped.join(","))
            .config("unknown", format!("{:?}", self.unknown).to_lowercase())
            .run()
            .await
            .expect("a run");
        Made { dir, out, pages: paths, resource: self.resource.clone() }
    }
}

struct Faulty {
    inner: Box<dyn Transform>,
    fault: Option<Fault>,
}

impl Transform for Faulty {
    fn tables(&self, input: &arrow::datatypes::Schema) -> Result<Vec<TableSchema>> {
        self.inner.tables(input)
    }

    fn apply(&self, batch: &Batch) -> Result<Vec<Table>> {
        let mut tables = self.inner.apply(batch)?;
        if let Some(fault) = &self.fault {
            fault(&mut tables);
        }
        Ok(tables)
    }
}

impl Made {
    pub(crate) fn verify(&self) -> Report {
        verify(&LocalPublished::new(&self.out), &Which::default()).expect("it can be looked at")
    }

    /// As [`Made::verify`], and then the comparison with `pages`.
    pub(crate) fn rebuild(&self, pages: &[PathBuf]) -> Report {
        let mut report = self.verify();
        if report.findings.is_empty() {
            let rebuild = Rebuild::new(&self.resource, pages).expect("pages");
            rebuild.compare(&LocalPublished::new(&self.out), &Which::default(), &mut report).expect("compares");
        }
        report
    }

    /// What is found, each finding a line.
    pub(crate) fn found(&self) -> String {
        lines(&self.verify())
    }

    pub(crate) fn manifest_path(&self) -> PathBuf {
        fn find(at: &Path) -> Option<PathBuf> {
            let file = at.join("manifest.json");
            if file.exists() {
                return Some(file);
            }
            fs::read_dir(at).ok()?.find_map(|e| find(&e.ok()?.path()))
        }
        find(&self.out.with_extension("pagemill")).expect("a manifest")
    }

    pub(crate) fn manifest(&self) -> Manifest {
        serde_json::from_slice(&fs::read(self.manifest_path()).expect("a manifest")).expect("reads")
    }

    pub(crate) fn write_manifest(&self, manifest: &Manifest) {
        fs::write(self.manifest_path(), manifest.to_bytes().expect("bytes")).expect("writes");
    }

    /// Writes a file of the run anew, and makes the manifest agree with its bytes.
    pub(crate) fn replace(&self, path: &str, bytes: &[u8]) {
        fs::write(self.out.join(path), bytes).expect("writes");
        let mut manifest = self.manifest();
        let entry = manifest.files.iter_mut().find(|f| f.path == path).expect("is named");
        entry.bytes = bytes.len() as u64;
        entry.sha256 = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        self.write_manifest(&manifest);
    }

    /// The run's files by path.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let read = |path: String| {
            let bytes = fs::read(self.out.join(&path)).expect("a file");
            (path, bytes)
        };
        self.manifest().files.into_iter().map(|f| read(f.path)).collect()
    }
}

pub(crate) fn lines(report: &Report) -> String {
    report.findings.iter().map(|f| format!("{f}\n")).collect()
}

/// A page of lines.
pub(crate) fn page(records: &[&str]) -> Vec<u8> {
    records.iter().flat_map(|r| format!("{r}\n").into_bytes()).collect()
}

/// What was published, in memory: another place than a disk, and a faster one.
pub(crate) struct Memory {
    pub(crate) run: RunKey,
    pub(crate) manifest: Vec<u8>,
    pub(crate) files: BTreeMap<String, Arc<Vec<u8>>>,
}

impl Memory {
    pub(crate) fn new(made: &Made) -> Self {
        let run = LocalPublished::new(&made.out).runs().expect("runs").remove(0);
        let manifest = fs::read(made.manifest_path()).expect("a manifest");
        Self { run, manifest, files: made.files().into_iter().map(|(path, bytes)| (path, Arc::new(bytes))).collect() }
    }

    pub(crate) fn verify(&self) -> Report {
        verify(self, &Which::default()).expect("it can be looked at")
    }

    /// Puts other bytes in the place of a file's, and makes the manifest agree with them.
    pub(crate) fn replace(&mut self, path: &str, bytes: Vec<u8>) {
        let mut manifest: Manifest = serde_json::from_slice(&self.manifest).expect("reads");
        let entry = manifest.files.iter_mut().find(|f| f.path == path).expect("is named");
        entry.bytes = bytes.len() as u64;
        entry.sha256 = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        self.manifest = manifest.to_bytes().expect("bytes");
        self.files.insert(path.to_owned(), Arc::new(bytes));
    }
}

struct Bytes(Arc<Vec<u8>>);

impl ReadAt for Bytes {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> std::io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.0.get(at..)).unwrap_or_default();
        let n = rest.len().min(into.len());
        into[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}

impl Published for Memory {
    fn runs(&self) -> Result<Vec<RunKey>> {
        Ok(vec![self.run.clone()])
    }
    fn manifest(&self, _: &RunKey) -> Result<Vec<u8>> {
        Ok(self.manifest.clone())
    }
    fn manifest_place(&self, run: &RunKey) -> String {
        format!("memory:{run}/manifest.json")
    }
    fn place(&self, path: &str) -> String {
        format!("memory:{path}")
    }
    fn open(&self, _: &RunKey, _: &Manifest, file: &pagemill::FileEntry) -> Result<Option<Opened>> {
        let opened =
            |bytes: &Arc<Vec<u8>>| Opened { place: self.place(&file.path), bytes: Arc::new(Bytes(bytes.clone())) };
        Ok(self.files.get(&file.path).map(opened))
    }
    fn contents(&self, path: &str) -> Result<Vec<String>> {
        Ok(self.files.keys().filter(|f| f.starts_with(&format!("{path}/"))).cloned().collect())
    }
    fn unfinished(&self, _: &RunKey, _: &Manifest) -> Result<Option<Unfinished>> {
        Ok(None)
    }
}
