//! What it costs that a run survives a power cut: the same export with every sync of the disk, and without any.
//!
//! 100 pages of 1,000 members are held in memory by a server of a few lines and fetched over loopback HTTP, once or ten times over,
//! so that next to nothing but the export is measured. The two take turns in going first; each round is a folder of its own. Both
//! must publish the same files. Row groups are what the command makes of its default memory.

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

const PAGES: usize = 100;
/// How often the pages are walked through in one export, and how many rounds of such exports there are.
const EXPORTS: [(usize, usize); 2] = [(1, 21), (10, 7)];
const ROW_GROUP_BYTES: usize = 16 << 20;

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

/// Serves the pages as often as it is said, the one that the query's `next_cursor` names or the first, on as many connections as come.
fn serve(pages: &[Bytes], times: usize) -> String {
    let pages: Arc<[Bytes]> = pages.iter().map(records).collect();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let pages = Arc::clone(&pages);
            std::thread::spawn(move || answer(&stream, &pages, times));
        }
    });
    url
}

/// The records of a page, as its envelope begins. The corpus's own cursors mean nothing here.
fn records(page: &Bytes) -> Bytes {
    let at = page.iter().position(|b| *b == b'[').expect("records");
    let end = page.iter().rposition(|b| *b == b']').expect("records");
    Bytes::from([b"{\"result\":", &page[at..=end]].concat())
}

fn answer(stream: &TcpStream, pages: &[Bytes], times: usize) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    loop {
        let request = lines.next()?.ok()?;
        while !lines.next()?.ok()?.is_empty() {}
        let cursor = request.split("next_cursor=").nth(1).and_then(|c| c.split(['&', ' ']).next());
        let n: usize = cursor.map_or(Some(0), |c| c.parse().ok())?;
        let page = &pages[n % pages.len()];
        let next = if n + 1 < pages.len() * times { format!("\"{}\"", n + 1) } else { "null".to_owned() };
        let end = format!(",\"next_cursor\":{next}}}");
        let length = page.len() + end.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
        let mut stream = stream;
        for piece in [head.as_bytes(), page, end.as_bytes()] {
            stream.write_all(piece).ok()?;
        }
    }
}

fn export(
    runtime: &tokio::runtime::Runtime,
    url: &str,
    times: usize,
    disk: impl Disk + 'static,
) -> (Duration, Vec<FileEntry>) {
    let resource = members();
    let options = HttpOptions { base_url: url.to_owned(), ..HttpOptions::default() };
    let source = HttpSource::new(&resource, &Request::new("a"), SecretString::from("any"), options).expect("a source");
    let dir = tempfile::tempdir().expect("a folder");
    let format = Arc::new(Parquet::default().row_group_bytes(ROW_GROUP_BYTES));
    let sink = FileSink::to(LocalStore::new(dir.path().join("out")).disk(disk), format);
    let began = Instant::now();
    let run = Pipeline::new(source, Flatten::new(&resource, None), sink).run();
    let report = runtime.block_on(run).expect("a run");
    let took = began.elapsed();
    assert_eq!(report.totals.records, (PAGES * times) as u64 * benches::PAGE);
    (took, report.receipt.files)
}

fn median<T: Copy>(mut all: Vec<T>, order: impl FnMut(&T, &T) -> std::cmp::Ordering) -> T {
    all.sort_by(order);
    all[all.len() / 2]
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let whole = std::env::args().any(|arg| arg == "--bench");
    let corpus = Corpus::fat(PAGES as u64);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for (times, rounds) in if whole { &EXPORTS[..] } else { &[(1, 1)] } {
        let url = serve(&corpus.pages, *times);
        let (mut durable, mut hasty, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..*rounds {
            let first = (round % 2 == 1).then(|| export(&runtime, &url, *times, Hasty::default()));
            let (took, files) = export(&runtime, &url, *times, RealDisk::new());
            let (without, same) = first.unwrap_or_else(|| export(&runtime, &url, *times, Hasty::default()));
            assert_eq!(files, same);
            durable.push(took);
            hasty.push(without);
            shares.push(took.as_secs_f64() / without.as_secs_f64() - 1.0);
        }
        let (durable, hasty) = (median(durable, Ord::cmp), median(hasty, Ord::cmp));
        let (more, each) = (durable.as_secs_f64() / hasty.as_secs_f64() - 1.0, median(shares, f64::total_cmp));
        println!(
            "{} pages: durable {durable:.3?}, without a sync {hasty:.3?}: {:+.1} %; round by round {:+.1} %",
            PAGES * times,
            more * 100.0,
            each * 100.0
        );
    }
}
