//! What the tests share.
#![allow(unreachable_pub, dead_code, reason = "a module of several test binaries")]

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use pagemill::{
    Arrow, FileOptions, FileSink, FileSource, Flatten, Format, HttpOptions, HttpSource, Ndjson, Parquet, Pipeline,
    Report, Request, Resource, Result,
};
use pagemill_simulator::{ACCOUNT, Simulator};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use secrecy::SecretString;

pub fn members() -> Resource {
    Resource::builtin("instant-messaging/members").expect("built in")
}

pub fn formats() -> Vec<Arc<dyn Format>> {
    vec![Arc::new(Parquet::default()), Arc::new(Arrow::file()), Arc::new(Ndjson)]
}

/// A source of a simulator's members.
pub fn source(simulator: &Simulator, limit: u64) -> HttpSource {
    let options = HttpOptions { base_url: simulator.url(), ..HttpOptions::default() };
    let request = Request::new(ACCOUNT).limit(limit);
    HttpSource::new(&members(), &request, SecretString::from("any"), options).expect("a source")
}

pub fn pipeline(source: impl pagemill::Source + 'static, out: &Path, format: Arc<dyn Format>) -> Pipeline {
    let flatten = Flatten::new(&members(), Some(ACCOUNT.to_owned()));
    Pipeline::new(source, flatten, FileSink::new(out, format))
}

/// Converts saved pages.
pub async fn convert(inputs: &[&Path], out: &Path, format: Arc<dyn Format>) -> Result<Report> {
    let source = FileSource::new(&members(), inputs.iter().copied(), FileOptions::default())?;
    pipeline(source, out, format).run().await
}

/// Each file below `root` with its bytes.
pub fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, at: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
        let Ok(entries) = fs::read_dir(at) else { return };
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(root, &path, into);
            } else {
                let name = path.strip_prefix(root).expect("below").to_string_lossy().into_owned();
                into.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(root, root, &mut files);
    files
}

/// The rows of a table of Parquet files.
pub fn parquet(folder: &Path) -> Vec<RecordBatch> {
    let mut files: Vec<_> = fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    let mut batches = Vec::new();
    for file in files {
        let file = fs::File::open(file).expect("a file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("a reader");
        batches.extend(reader.map(|batch| batch.expect("rows")));
    }
    batches
}

/// The texts of a column.
pub fn texts(batches: &[RecordBatch], column: &str) -> Vec<Option<String>> {
    let columns = batches.iter().map(|b| b.column_by_name(column).expect("a column").as_string::<i32>());
    columns.flat_map(|c| c.iter().map(|v| v.map(str::to_owned)).collect::<Vec<_>>()).collect()
}

/// The integers of a column.
pub fn integers(batches: &[RecordBatch], column: &str) -> Vec<Option<i64>> {
    let columns = batches.iter().map(|b| b.column_by_name(column).expect("a column").as_primitive::<Int64Type>());
    columns.flat_map(|c| c.iter().collect::<Vec<_>>()).collect()
}
