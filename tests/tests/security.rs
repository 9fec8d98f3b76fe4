//! What must not be seen: a token nowhere, a cursor nowhere but in a journal of the user's own, values of the query nowhere.
//!
//! A server says them back in every way that an answer has, plain and encoded; then everything that a run leaves behind is
//! searched: errors, logs of the finest level, `Debug` of what could hold them, and all files.

#[path = "support/raw.rs"]
#[allow(unreachable_pub, dead_code, reason = "shared with other test binaries")]
mod raw;
mod support;

use std::{
    error::Error as _,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, SystemTime},
};

use pagemill::{Error, HttpOptions, HttpSource, Ndjson, Request, source::VirtualClock};
use raw::{Raw, answer, json};
use support::{members, pipeline};

const TOKEN: &str = "canary-7f3a9c2e51b8d604/+==";
const CURSOR: &str = "cursor-canary-b1946ac92492d2347c6235b4";
const QUERY: &str = "query-canary-d41d8cd98f00b204e9800998";

/// base64 by the book: three bytes, four digits.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let at = |n: usize| three.get(n).map_or(0, |b| usize::from(*b));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..=three.len() {
            out.push(char::from(DIGITS[bits >> (18 - 6 * digit) & 63]));
        }
    }
    out
}

fn percent(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// The word in the spellings that are looked for. Of base64, the digits that the word alone decides.
fn spellings(word: &str) -> Vec<String> {
    let mut all = vec![word.to_owned(), percent(word), percent(&percent(word)), percent(word).to_lowercase()];
    all.push(word.bytes().map(|b| format!("{b:02x}")).collect());
    for before in 0..3 {
        let text = [&b"::"[..before], word.as_bytes()].concat();
        let digits = base64(&text);
        let inner = digits[(before * 8).div_ceil(6)..text.len() * 8 / 6].to_owned();
        all.push(inner.replace('+', "-").replace('/', "_"));
        all.push(inner);
    }
    all
}

/// How often any of the words, in any spelling, is in `text`.
fn hits(text: &[u8], words: &[&str]) -> usize {
    let text = String::from_utf8_lossy(text).to_lowercase();
    words.iter().flat_map(|word| spellings(word)).map(|word| text.matches(&word.to_lowercase()).count()).sum()
}

/// Everything that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        let level = tracing_subscriber::filter::LevelFilter::TRACE;
        tracing_subscriber::fmt().with_max_level(level).with_writer(move || writer.clone()).init();
        log
    })
}

/// A folder in memory, where there is one: a thousand runs sync their files.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

fn files(at: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(at).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, into);
        } else {
            into.push(path);
        }
    }
}

/// All that an error says, at every level.
fn all_of(error: &Error) -> String {
    let mut text = format!("{error}\n{error:?}\n{error:#?}\n{:?}\n{:?}", error.place(), error.advice());
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!("\n{error}\n{error:?}"));
        cause = error.source();
    }
    text
}

/// The answers that say `echo`, by name. The first page has been good, and its cursor is the canary.
fn endings(echo: &str) -> Vec<(String, Vec<u8>)> {
    let said = serde_json::Value::from(echo);
    let problem = format!(
        "{{\"statusCode\":400,\"error\":{said},\"message\":{said},\"truto_is_remote_error\":true,\"truto_error_insight\":\
         {{\"remote_error\":{{\"description\":{said},\"value\":[{said}]}},{said}:{{\"value\":{said}}}}}}}"
    );
    let mut all = Vec::new();
    for status in [204, 206, 400, 401, 403, 404, 405, 408, 409, 410, 422, 425, 429, 500, 501, 502, 503, 504, 599] {
        all.push((format!("{status}"), answer(&format!("{status} X"), &["content-type: application/json"], &problem)));
    }
    for status in [400, 401, 403, 404, 429, 500, 503] {
        let html = format!("<html><title>{echo}</title>{echo}");
        all.push((format!("{status} of HTML"), answer(&format!("{status} X"), &["content-type: text/html"], html)));
        all.push((format!("{status} and a reason"), answer(&format!("{status} {echo}"), &[], "")));
        let headers = [
            format!("retry-after: {echo}"),
            format!("www-authenticate: Bearer {echo}"),
            format!("x-{}: {echo}", "y".repeat(9)),
            format!("set-cookie: t={echo}"),
            format!("ratelimit-reset: {echo}"),
        ];
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        all.push((format!("{status} and headers"), answer(&format!("{status} X"), &headers, &problem)));
    }
    for status in [301, 302, 307, 308] {
        let to = format!("location: http://127.0.0.1:9/?token={echo}");
        all.push((format!("{status}"), answer(&format!("{status} X"), &[&to], "")));
    }
    let kind = |kind: String| answer("200 OK", &[&format!("content-type: {kind}")], &problem);
    all.push(("a page of HTML".into(), answer("200 OK", &["content-type: text/html"], format!("<p>{echo}"))));
    all.push(("a content type".into(), kind(echo.to_owned())));
    for before in (185..200).filter(|_| echo == TOKEN) {
        all.push((format!("a long content type, {before}"), kind(format!("text/{}{echo}", "x".repeat(before)))));
    }
    let coded = format!("content-encoding: {echo}");
    all.push(("an encoding".into(), answer("200 OK", &["content-type: application/json", &coded], &problem)));
    let gzip = ["content-type: application/json", "content-encoding: gzip"];
    all.push(("no gzip".into(), answer("200 OK", &gzip, echo)));
    let field = |name: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{name}: {echo}\r\n\r\n{echo}").into_bytes()
    };
    for name in ["content-length", "transfer-encoding", "connection", "date", "bad name"] {
        all.push((format!("a bad {name}"), field(name)));
    }
    all.push(("a bad status line".into(), format!("HTTP/1.1 {echo}\r\n\r\n").into_bytes()));
    all.push(("no HTTP".into(), format!("{echo}\r\n\r\n").into_bytes()));
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    all.push(("a bad chunk".into(), format!("{chunked}{echo}\r\n{echo}").into_bytes()));
    all.push(("nothing".into(), Vec::new()));
    all.push(("an error with status 200".into(), json(&problem)));
    for (name, page) in [
        ("an open page", format!("{{\"next_cursor\":{said},\"result\":[{{\"id\":{said}")),
        ("a bad value", format!("{{\"result\":[{{{said}:tru}}],\"next_cursor\":null}}")),
        ("a bad value, deeper", format!("{{\"result\":[{{\"remote_data\":{{{said}:{{{said}:[0,}}}}}}]}}")),
        ("a name twice", format!("{{\"result\":[{{{said}:1,{said}:2}}],\"next_cursor\":null}}")),
        ("names of no envelope", format!("{{{said}:1,\"x{echo}\":[]}}")),
        ("names after the result", format!("{{\"result\":[],{said}:tru}}")),
        ("a cursor that is no text", format!("{{\"result\":[],\"next_cursor\":{{{said}:{said}}}}}")),
        ("a long cursor", format!("{{\"result\":[],\"next_cursor\":\"{}\"}}", echo.repeat(9_000 / echo.len() + 1))),
        ("a result that is no list", format!("{{\"result\":{said},\"next_cursor\":null}}")),
        ("a keyed result", format!("{{\"result\":{{{said}:{{{said}:}}}},\"next_cursor\":null}}")),
        ("a wrong count", format!("{{\"result\":[],\"next_cursor\":{said},\"result_count\":7}}")),
        ("a count that is none", format!("{{\"result\":[],\"next_cursor\":null,\"result_count\":{said}}}")),
        ("two documents", format!("{{\"result\":[],\"next_cursor\":null}}{said}")),
        ("no JSON", echo.to_owned()),
        ("a text alone", said.to_string()),
        ("an array of it", format!("[{said},{said}]")),
        ("bad UTF-8", format!("{{\"result\":[{{\"id\":\"{echo}\u{0}\"}}]}}")),
        ("a loop", format!("{{\"result\":[],\"next_cursor\":{}}}", serde_json::Value::from(CURSOR))),
        ("a cursor", format!("{{\"result\":[],\"next_cursor\":{said}}}")),
        ("its end", "{\"result\":[],\"next_cursor\":null}".to_owned()),
    ] {
        all.push((name.to_owned(), json(page)));
    }
    all
}

/// Everything that a run leaves behind: what it said, and its folder.
async fn run(base_url: String, dir: &Path) -> String {
    let clock = Arc::new(VirtualClock::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
    let options = HttpOptions { base_url, clock: clock as _, jitter: Arc::new(|| 0.5), ..HttpOptions::default() };
    let request = Request::new("account").pair("api_key", QUERY).remote_query("secret", QUERY);
    let mut text = format!("{options:?}{request:?}");
    match HttpSource::new(&members(), &request, TOKEN.into(), options) {
        Err(error) => text.push_str(&all_of(&error)),
        Ok(source) => {
            text.push_str(&format!("{source:?}{source:#?}{}", source.fingerprint()));
            match pipeline(source, &dir.join("out"), Arc::new(Ndjson)).run().await {
                Err(error) => text.push_str(&all_of(&error)),
                Ok(report) => text.push_str(&format!("{report:?}")),
            }
        }
    }
    text
}

/// What is found in a folder: hits of the token and the query, and of cursors outside journals that only the user can read.
fn found_in(dir: &Path) -> usize {
    let mut all = Vec::new();
    files(dir, &mut all);
    let mut found = 0;
    for path in all {
        let bytes = fs::read(&path).expect("a file");
        let private = fs::metadata(&path).expect("a file").permissions().mode() & 0o077 == 0;
        let journal = private && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("journal"));
        found += hits(&bytes, &[TOKEN, QUERY]) + hits(path.to_string_lossy().as_bytes(), &[TOKEN, QUERY, CURSOR]);
        if !journal {
            found += hits(&bytes, &[CURSOR]);
        }
    }
    found
}

#[tokio::test]
async fn no_word_that_is_secret_is_seen_whatever_the_server_says() {
    let log = log();
    let mut first = format!("{{\"result\":[{{\"id\":\"1\"}}],\"next_cursor\":\"{CURSOR}\"}}").into_bytes();
    first.extend(b" ".repeat(100));
    let (mut cases, mut seen) = (0, Vec::new());
    for word in [TOKEN, CURSOR, QUERY] {
        let mut echoes = vec![word.to_owned(), base64(format!("Bearer {word}").as_bytes())];
        if word == TOKEN {
            echoes.extend([percent(word), base64(word.as_bytes())]);
        }
        for echo in echoes {
            for (name, ending) in endings(&echo) {
                // What comes after the first page, and, where nothing was wrong with it, after that.
                let server = Raw::start(vec![json(&first), ending.clone(), answer("400 X", &[], &echo)]);
                let dir = folder();
                let text = run(server.url(), dir.path()).await;
                if hits(text.as_bytes(), &[TOKEN, CURSOR, QUERY]) > 0 {
                    seen.push(format!("{name} of {echo}: {text}"));
                }
                if found_in(dir.path()) > 0 {
                    seen.push(format!("{name} of {echo}: in a file"));
                }
                assert!(server.requests().len() > 1 && server.requests()[0].contains(QUERY), "{name}");
                cases += 1;
            }
        }
    }
    assert!(seen.is_empty(), "{} of {cases}: {}", seen.len(), seen.join("\n"));
    let logged = log.0.lock().expect("no panic").clone();
    assert!(logged.len() > 10_000, "the log was heard");
    let line = String::from_utf8_lossy(&logged)
        .lines()
        .find(|l| hits(l.as_bytes(), &[TOKEN, CURSOR, QUERY]) > 0)
        .map(str::to_owned);
    assert_eq!(line, None);
    assert_eq!(cases, 8 * endings("word").len() + 15);
    assert_eq!(cases, 639);
}

#[tokio::test]
async fn nor_when_there_is_no_server_or_no_such_url() {
    for base_url in [
        "http://127.0.0.1:1".to_owned(),
        "https://127.0.0.1:1".to_owned(),
        "https://no-such-host.invalid".to_owned(),
        format!("https://user:{TOKEN}@localhost"),
        format!("https://{CURSOR}:{QUERY}@localhost"),
        format!("https://localhost/?key={QUERY}"),
        format!("https://localhost/#{QUERY}"),
        format!("http://elsewhere.example/{}", "x"),
        format!("{TOKEN} {QUERY}"),
    ] {
        let dir = folder();
        let text = run(base_url.clone(), dir.path()).await;
        assert_eq!(hits(text.as_bytes(), &[TOKEN, CURSOR, QUERY]), 0, "{base_url}: {text}");
        assert_eq!(found_in(dir.path()), 0);
        assert!(text.contains("Config") || text.contains("Unavailable"), "{text}");
    }
}

/// The search itself: what is planted is found, in each spelling, alone and within other text.
#[test]
fn the_search_finds_what_is_planted() {
    for word in [TOKEN, CURSOR, QUERY] {
        let hidden = [
            word.to_owned(),
            percent(word),
            word.to_uppercase(),
            base64(word.as_bytes()),
            base64(format!("Bearer {word}").as_bytes()),
            base64(format!("u:{word}\n").as_bytes()),
            base64(format!("user:{word}:x").as_bytes()).replace('+', "-").replace('/', "_"),
            word.bytes().map(|b| format!("{b:02x}")).collect(),
        ];
        for text in hidden {
            assert!(hits(format!("what{text}not").as_bytes(), &[word]) > 0, "{text}");
        }
        let dir = folder();
        fs::create_dir(dir.path().join("a")).expect("a folder");
        fs::write(dir.path().join("a/part-00000.ndjson"), format!("{{\"id\":\"{word}\"}}")).expect("a file");
        assert!(found_in(dir.path()) > 0);
    }
    assert_eq!(hits(b"canary-7f3a and other birds", &[TOKEN, CURSOR, QUERY]), 0);
}
