//! What it costs that a run survives a power cut: the same export with every sync of the disk, and without any.
//!
//! 100 pages of 1,000 members are held in memory by a server of a few lines and fetched over loopback HTTP, so that next to
//! nothing but the export is measured. The two take turns; each round is a folder of its own. Both must publish the same files.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use benches::{Corpus, members};
use bytes::Bytes;
use pagemill::{
    FileEntry, FileSink, Flatten, HttpOptions, HttpSource, Parquet, Pipeline, Request,
    sink::{Disk, LocalStore, RealDisk, disk::Stat},
};
use secrecy::SecretString;

const PAGES: u64 = 100;
const ROUNDS: usize = 9;

/// The real disk, which is not asked to make anything durable.
#[derive(Default)]
struct Hasty(RealDisk);

macro_rules! forward {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
        impl Disk for Hasty {
            fn sync_file(&mut self, _: &Path) -> io::Result<()> {
                Ok(())
            }
            fn sync_dir(&mut self, _: &Path) -> io::Result<()> {
                Ok(())
            }
            fn sync_all(&mut self, _: &[PathBuf], _: &[PathBuf]) -> Result<(), (PathBuf, io::Error)> {
                Ok(())
            }
        $(
            fn $name(&mut self, $($arg: $type),*) -> io::Result<$result> {
                self.0.$name($($arg),*)
            }
        )*}
    };
}

forward! {
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

/// Serves the pages, the one that the query's `next_cursor` names or the first, on as many connections as come.
fn serve(pages: &[Bytes]) -> String {
    let responses: Arc<[Bytes]> = pages
        .iter()
        .enumerate()
        .map(|(n, page)| {
            let next = if n + 1 < pages.len() { format!("\"{}\"", n + 1) } else { "null".to_owned() };
            // The corpus's own cursors mean nothing here.
            let body = with_cursor(page, &next);
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
            Bytes::from([head.as_bytes(), &body].concat())
        })
        .collect();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let responses = Arc::clone(&responses);
            std::thread::spawn(move || answer(&stream, &responses));
        }
    });
    url
}

/// The records of a page in an envelope of its own.
fn with_cursor(page: &[u8], next: &str) -> Vec<u8> {
    let at = page.iter().position(|b| *b == b'[').expect("records");
    let end = page.iter().rposition(|b| *b == b']').expect("records");
    [b"{\"result\":", &page[at..=end], b",\"next_cursor\":", next.as_bytes(), b"}"].concat()
}

fn answer(stream: &TcpStream, responses: &[Bytes]) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    loop {
        let request = lines.next()?.ok()?;
        while !lines.next()?.ok()?.is_empty() {}
        let cursor = request.split("next_cursor=").nth(1).and_then(|c| c.split(['&', ' ']).next());
        let n: usize = cursor.map_or(Some(0), |c| c.parse().ok())?;
        let mut stream = stream;
        stream.write_all(responses.get(n)?).ok()?;
    }
}

fn export(runtime: &tokio::runtime::Runtime, url: &str, disk: impl Disk + 'static) -> (Duration, Vec<FileEntry>) {
    let resource = members();
    let options = HttpOptions { base_url: url.to_owned(), ..HttpOptions::default() };
    let source = HttpSource::new(&resource, &Request::new("a"), SecretString::from("any"), options).expect("a source");
    let dir = tempfile::tempdir().expect("a folder");
    let sink = FileSink::to(LocalStore::new(dir.path().join("out")).disk(disk), Arc::new(Parquet::default()));
    let began = Instant::now();
    let run = Pipeline::new(source, Flatten::new(&resource, None), sink).run();
    let report = runtime.block_on(run).expect("a run");
    let took = began.elapsed();
    assert_eq!(report.totals.records, PAGES * benches::PAGE);
    (took, report.receipt.files)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let rounds = if std::env::args().any(|arg| arg == "--bench") { ROUNDS } else { 1 };
    let corpus = Corpus::fat(PAGES);
    let url = serve(&corpus.pages);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (mut durable, mut hasty) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (took, files) = export(&runtime, &url, RealDisk::new());
        durable.push(took);
        let (took, same) = export(&runtime, &url, Hasty::default());
        hasty.push(took);
        assert_eq!(files, same);
    }
    let (durable, hasty) = (median(durable), median(hasty));
    let more = durable.as_secs_f64() / hasty.as_secs_f64() - 1.0;
    println!("durable {durable:.3?}, without a sync {hasty:.3?}: {:+.1} %", more * 100.0);
}
