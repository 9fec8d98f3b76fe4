//! What the process promises to the machine that it runs on, and to whoever reads what it says.

#[path = "../../../tests/tests/support/raw.rs"]
#[allow(unreachable_pub, dead_code, reason = "shared with other test binaries")]
mod raw;

use std::{
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use raw::{Raw, answer, json};

const BIN: &str = env!("CARGO_BIN_EXE_pagemill");
const TOKEN: &str = "canary-7f3a9c2e51b8d604";
const MEMBERS: &str = "instant-messaging/members";

/// A folder in memory, where there is one.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// A command that gets nothing from the environment of the tests.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env_remove("TRUTO_API_TOKEN")
        .env_remove("TRUTO_API_BASE_URL")
        .env_remove("PAGEMILL_LOG")
        .stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

/// Runs a line of shell, in which `$PAGEMILL` is the command.
fn shell(line: &str, dir: &Path) -> (Option<i32>, String, String) {
    output(command("sh").args(["-c", line]).env("PAGEMILL", BIN).current_dir(dir))
}

/// Members that take about so many bytes, as lines.
fn lines(bytes: usize) -> String {
    let mut text = String::new();
    let mut n = 0u64;
    while text.len() < bytes {
        n += 1;
        // Bios that do not compress away.
        let noise: String =
            (0..8).map(|i| format!("{:016x}", (n * 8 + i).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        text.push_str(&format!("{{\"id\":\"{n}\",\"bio\":\"{noise}\"}}\n"));
    }
    text
}

fn tree(at: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(at).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(tree(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("metadata").mode() & 0o7777
}

#[test]
fn a_file_that_may_not_grow_is_an_error_and_nothing_is_published() {
    let dir = folder();
    fs::write(dir.path().join("in.ndjson"), lines(400_000)).expect("a file");
    // Blocks of 512 or 1,024 bytes, as the shell likes; the largest file is of some 150 KiB either way.
    for (blocks, format) in [(1, "parquet"), (1, "arrow"), (1, "ndjson"), (40, "parquet"), (40, "ndjson")] {
        let line = format!(
            "ulimit -f {blocks}; \"$PAGEMILL\" convert in.ndjson --resource {MEMBERS} --out out --format {format}"
        );
        let (code, _, error) = shell(&line, dir.path());
        assert_eq!(code, Some(74), "{format} {blocks}: {error}");
        assert!(error.contains("cannot write") && error.contains("too large"), "{error}");
        assert!(!dir.path().join("out").exists());
    }
    let (code, _, error) =
        shell(&format!("\"$PAGEMILL\" convert in.ndjson --resource {MEMBERS} --out out"), dir.path());
    assert_eq!(code, Some(0), "and then it is: {error}");
}

#[test]
fn nobody_need_listen() {
    let dir = folder();
    fs::write(dir.path().join("in.ndjson"), lines(20_000)).expect("a file");
    for (n, (ends, code)) in [
        (">&-", 0),
        ("2>&-", 0),
        (">&- 2>&- <&-", 0),
        ("| true", 0),
        ("2>&1 | true", 0),
        ("| head -c 1", 0),
        // There is no room for the report, which is said; the data has been published all the same.
        (">/dev/full", 74),
        ("2>/dev/full", 0),
    ]
    .into_iter()
    .enumerate()
    {
        for log in ["warn", "trace"] {
            let line = format!(
                "PAGEMILL_LOG={log}; export PAGEMILL_LOG; ({{ \"$PAGEMILL\" convert in.ndjson --resource {MEMBERS} \
                 --out {n}{log}; echo $? >{n}{log}.code; }} {ends})"
            );
            shell(&line, dir.path());
            let found = fs::read_to_string(dir.path().join(format!("{n}{log}.code"))).expect("a code");
            assert_eq!(found.trim(), code.to_string(), "{ends}");
            assert!(dir.path().join(format!("{n}{log}/members/part-00000.parquet")).exists(), "{ends}");
        }
    }
}

#[test]
fn the_process_leaves_no_core_and_cannot_be_looked_into() {
    let dir = folder();
    // It waits for its input while it is looked at.
    let mut child = command(BIN)
        .args(["convert", "-", "--resource", MEMBERS, "--out", "out"])
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let about = PathBuf::from(format!("/proc/{}", child.id()));
    let mut seen = String::new();
    for _ in 0..100_000 {
        // The folder for its staging is made after the limits were set.
        if dir.path().join("out.pagemill").exists() {
            seen = fs::read_to_string(about.join("limits")).unwrap_or_default();
            break;
        }
        std::thread::yield_now();
    }
    child.stdin.take().expect("a pipe").write_all(b"{\"id\":\"a\"}").expect("it reads");
    assert!(child.wait().expect("it ends").success());
    let core = seen.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
}

fn export(url: &str, dir: &Path, more: &[&str]) -> Command {
    let mut command = command(BIN);
    command.args(["export", MEMBERS, "--account", "a", "--out", "out", "--base-url", url]).args(more).current_dir(dir);
    command
}

const PAGE: &str = "{\"result\":[{\"id\":\"1\"}],\"next_cursor\":null}";

#[test]
fn a_token_comes_from_where_others_cannot_read_or_that_is_told() {
    let server = Raw::start(vec![json(PAGE)]);
    for (mode, told) in [(0o600, false), (0o400, false), (0o640, true), (0o644, true), (0o604, true)] {
        let dir = folder();
        let file = dir.path().join("token");
        fs::write(&file, format!("{TOKEN}\n")).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("a mode");
        let (code, said, error) = output(&mut export(&server.url(), dir.path(), &["--token-file", "token"]));
        assert_eq!(code, Some(0), "{error}");
        assert_eq!(error.contains("chmod 600 token"), told, "{mode:o}: {error}");
        assert!(!said.contains("canary") && !error.contains("canary"));
    }
    // From standard input; a token that is too long to be one, or empty, is refused.
    for (input, code) in [(format!("{TOKEN}\n"), 0), (" \n".to_owned(), 78), ("x".repeat(70_000), 78)] {
        let dir = folder();
        let mut command = export(&server.url(), dir.path(), &["--token-file", "-"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        let found = child.wait_with_output().expect("it ends");
        assert_eq!(found.status.code(), Some(code), "{}", String::from_utf8_lossy(&found.stderr));
        assert!(found.stderr.len() < 500);
    }
    // No option takes it itself.
    let dir = folder();
    let (code, _, error) = output(&mut export(&server.url(), dir.path(), &["--token", TOKEN]));
    assert_eq!(code, Some(64));
    assert!(!error.contains("canary"), "{error}");
}

/// Everything that a terminal, or a reader of a log, could be had with.
const HOSTILE: [&str; 14] = [
    "\u{1b}]8;;http://evil.example\u{7}click\u{1b}]8;;\u{7}",
    "\u{1b}]52;c;cm0gLXJmIC8=\u{7}",
    "\u{1b}]0;title\u{1b}\\",
    "\u{1b}[2J\u{1b}[1;1H",
    "\u{1b}[31mred\u{1b}[0m",
    "\u{9b}2J\u{9d}0;x\u{9c}",
    "good\rbad",
    "one\npagemill: published",
    "\u{8}\u{8}\u{8}\u{7f}",
    "\u{202e}txt.exe\u{202c}",
    "\u{2066}a\u{2069}\u{2067}b\u{2068}",
    "a\u{2028}b\u{2029}c\u{85}d",
    "\u{0}nul\u{1}\u{1f}",
    "\u{feff}\u{200e}\u{200f}\u{61c}\u{c}\u{b}",
];

/// What must not be in the output, a line break at the end of a line aside.
fn harmful(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Runs the command and looks at what it says, on both ends, and that no line of it is the data's.
fn is_clean(command: &mut Command, what: &str) {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    assert!(status.code().is_some(), "{what}");
    for text in [stdout, stderr] {
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(!text.contains(harmful), "{what}: {text:?}");
        assert!(!text.lines().any(|line| line == "pagemill: published"), "{what}: {text:?}");
        assert!(text.lines().all(|line| line.chars().count() < 4_000), "{what}: {text:?}");
    }
}

#[test]
fn nothing_that_a_server_says_acts_on_a_terminal() {
    let cases = AtomicUsize::new(0);
    // At the same time, because some are asked for again after a while.
    let one = |hostile: &str| {
        let said = serde_json::Value::from(hostile);
        let long = serde_json::Value::from(hostile.repeat(300));
        let bytes = |parts: &[&str]| parts.concat().into_bytes();
        // With these in its head an answer is no HTTP, and asked for again and again.
        let field: String = hostile.chars().filter(|c| !c.is_ascii_control()).collect();
        let problem = format!(
            "{{\"statusCode\":400,\"error\":{said},\"message\":{said},\"truto_error_insight\":{{{said}:{{\"description\":{said},\
             \"value\":[{said}]}}}}}}"
        );
        let kind = format!("content-type: text/{field}");
        let answers = [
            answer("400 X", &[], &problem),
            answer("404 X", &[], hostile),
            answer("403 X", &[&format!("www-authenticate: {field}")], &problem),
            answer(&format!("401 {field}"), &[], &problem),
            answer("200 OK", &["content-type: text/html"], hostile),
            answer("200 OK", &[&kind], hostile),
            answer("302 X", &[&format!("location: {field}")], ""),
            json(bytes(&[
                "{\"result\":[{",
                &said.to_string(),
                ":{",
                &said.to_string(),
                ":tru}}],\"next_cursor\":null}",
            ])),
            json(bytes(&["{\"result\":[{", &long.to_string(), ":tru}],\"next_cursor\":null}"])),
            json(bytes(&["{\"result\":[{\"id\":\"", hostile, "\"}],\"next_cursor\":null}"])),
            // What is fine as data, and kept.
            json(bytes(&[
                "{\"result\":[{\"id\":",
                &said.to_string(),
                ",",
                &said.to_string(),
                ":",
                &said.to_string(),
                "}]",
                ",\"next_cursor\":null}",
            ])),
        ];
        for (n, bytes) in answers.into_iter().enumerate() {
            let server = Raw::start(vec![bytes]);
            for more in [&[][..], &["--json"], &["--max-bad-records", "9", "--json"]] {
                let dir = folder();
                let mut command = export(&server.url(), dir.path(), more);
                is_clean(
                    command.env("TRUTO_API_TOKEN", TOKEN).env("PAGEMILL_LOG", "trace"),
                    &format!("{hostile:?} {n}"),
                );
                cases.fetch_add(1, Ordering::SeqCst);
            }
            assert!(server.requests().len() >= 3, "{n}");
        }
    };
    std::thread::scope(|scope| HOSTILE.iter().for_each(|hostile| drop(scope.spawn(|| one(hostile)))));
    assert_eq!(cases.into_inner(), HOSTILE.len() * 11 * 3);
}

#[test]
fn nor_does_what_the_user_gives() {
    let dir = folder();
    for (n, hostile) in HOSTILE.into_iter().enumerate() {
        let file: String = hostile.chars().filter(|c| !matches!(c, '/' | '\0')).collect();
        let said = serde_json::Value::from(hostile);
        fs::write(dir.path().join(&file), "{\"id\":\"a\"}").expect("a file");
        let bad = format!("bad{file}");
        fs::write(dir.path().join(&bad), "{\"id\":tru}").expect("a file");
        let out = format!("{n}{file}");
        // A schema whose names, title and descriptions are hostile.
        for (at, schema) in [
            format!("{{\"title\":{said},\"type\":\"object\",\"properties\":{{\"id\":{{\"type\":\"string\"}}}}}}"),
            format!("{{\"title\":\"t\",\"description\":{said},\"type\":\"object\",\"properties\":{{\"id\":{{\"type\":\"string\"}}}}}}"),
            format!("{{\"title\":\"t\",\"type\":\"object\",\"properties\":{{{said}:{{\"type\":\"string\"}}}}}}"),
            format!("{{\"title\":\"t\",\"type\":\"object\",\"properties\":{{\"id\":{{\"type\":{said}}}}}}}"),
            format!("{{\"title\":\"t\",\"type\":\"object\",\"properties\":{{\"id\":{{\"$ref\":{said}}}}}}}"),
            format!("{{\"x-pagemill\":{{\"table\":\"t\",\"key\":{said}}},\"type\":\"object\",\"properties\":{{\"id\":{{\"type\":\"string\"}}}}}}"),
            format!("{{\"x-pagemill\":{{\"table\":\"t\",\"path\":{said}}},\"type\":\"object\",\"properties\":{{\"id\":{{\"type\":\"string\"}}}}}}"),
            hostile.to_owned(),
        ]
        .into_iter()
        .enumerate()
        {
            fs::write(dir.path().join("schema.json"), schema).expect("a file");
            for form in ["arrow", "sql", "json-schema"] {
                let mut command = command(BIN);
                is_clean(command.args(["schema", "schema.json", "--as", form]).current_dir(dir.path()), &format!("schema {at} of {n}"));
            }
        }
        let argument = file.as_str();
        for args in [
            vec!["convert", argument, "--resource", MEMBERS, "--out", &out],
            vec!["convert", argument, "--resource", MEMBERS, "--out", &out, "--json"],
            vec!["convert", argument, "--resource", MEMBERS, "--out", &out, "--format", "ndjson"],
            vec!["convert", &bad, "--resource", MEMBERS, "--out", "never"],
            vec!["convert", "no such", "--resource", argument, "--out", "never"],
            vec!["convert", argument, "--resource", MEMBERS, "--out", "never", "--slot", argument],
            vec!["convert", argument, "--resource", MEMBERS, "--out", "never", "--drop", argument],
            vec!["convert", argument, "--resource", MEMBERS, "--out", "never", "--compression", argument],
            vec!["export", MEMBERS, "--account", "a", "--out", "never", "--base-url", argument],
            vec![
                "export",
                MEMBERS,
                "--account",
                "a",
                "--out",
                "never",
                "--base-url",
                "ftp://x",
                "--token-file",
                argument,
            ],
            vec![argument],
        ] {
            let mut command = command(BIN);
            is_clean(command.args(&args).current_dir(dir.path()).env("PAGEMILL_LOG", "debug"), &format!("{args:?}"));
        }
    }
}

#[test]
fn modes_hold_whatever_the_umask_is() {
    for (umask, folder_mode, file_mode) in
        [("000", 0o750, 0o640), ("022", 0o750, 0o640), ("027", 0o750, 0o640), ("077", 0o700, 0o600)]
    {
        let dir = folder();
        fs::write(dir.path().join("in.json"), "{\"id\":\"a\"}").expect("a file");
        let line = format!("umask {umask}; \"$PAGEMILL\" convert in.json --resource {MEMBERS} --out out --slot dt=1");
        let (code, _, error) = shell(&line, dir.path());
        assert_eq!(code, Some(0), "{error}");
        let (out, staging) = (dir.path().join("out"), dir.path().join("out.pagemill"));
        for path in tree(&out).into_iter().chain([out]) {
            let expected = if path.is_dir() { folder_mode } else { file_mode };
            assert_eq!(mode(&path), expected, "{umask} {}", path.display());
        }
        for path in tree(&staging).into_iter().chain([staging]) {
            // The manifest is for readers, where the folders let them.
            let manifest = path.file_name().is_some_and(|name| name == "manifest.json");
            let expected = if manifest { file_mode & 0o077 } else { 0 };
            assert_eq!(mode(&path) & 0o077, expected, "{umask} {}", path.display());
        }
    }
}

#[test]
fn links_and_open_folders_in_the_place_of_staging_are_refused() {
    let home = "out.pagemill/members/_";
    let places = ["out.pagemill", "out.pagemill/members", home];
    for place in places {
        for trap in ["link", "dangling", "open", "group", "file"] {
            let dir = folder();
            fs::write(dir.path().join("in.json"), "{\"id\":\"a\"}").expect("a file");
            fs::create_dir(dir.path().join("elsewhere")).expect("a folder");
            let at = dir.path().join(place);
            let above = at.parent().expect("a folder");
            fs::create_dir_all(above).expect("folders");
            for private in places.iter().map(|p| dir.path().join(p)).filter(|p| p.exists()) {
                fs::set_permissions(private, fs::Permissions::from_mode(0o700)).expect("a mode");
            }
            match trap {
                "link" => symlink(dir.path().join("elsewhere"), &at).expect("a link"),
                "dangling" => symlink("nowhere", &at).expect("a link"),
                "file" => fs::write(&at, "x").expect("a file"),
                trap => {
                    fs::create_dir(&at).expect("a folder");
                    let mode = if trap == "open" { 0o777 } else { 0o770 };
                    fs::set_permissions(&at, fs::Permissions::from_mode(mode)).expect("a mode");
                }
            }
            let (code, _, error) =
                shell(&format!("\"$PAGEMILL\" convert in.json --resource {MEMBERS} --out out"), dir.path());
            assert!(matches!(code, Some(73 | 74 | 78)), "{place} {trap}: {code:?} {error}");
            assert!(error.contains("out.pagemill"), "{place} {trap}: {error}");
            assert!(
                !dir.path().join("out").exists() && tree(&dir.path().join("elsewhere")).is_empty(),
                "{place} {trap}"
            );
        }
    }
    // The lock, a manifest and a table's folder may be links as well.
    for (place, target) in [("lock", "in.json"), ("manifest.json", "in.json")] {
        let dir = folder();
        fs::write(dir.path().join("in.json"), "{\"id\":\"a\"}").expect("a file");
        fs::create_dir_all(dir.path().join(home)).expect("folders");
        for private in places {
            fs::set_permissions(dir.path().join(private), fs::Permissions::from_mode(0o700)).expect("a mode");
        }
        symlink(dir.path().join(target), dir.path().join(home).join(place)).expect("a link");
        let (code, _, error) =
            shell(&format!("\"$PAGEMILL\" convert in.json --resource {MEMBERS} --out out"), dir.path());
        assert!(matches!(code, Some(65 | 73 | 74 | 78)), "{place}: {code:?} {error}");
        assert_eq!(fs::read(dir.path().join("in.json")).expect("a file"), b"{\"id\":\"a\"}");
        assert!(!dir.path().join("out").exists());
    }
}

/// gzip of `before`, so many bytes of `filler` again and again, and `after`, made without holding it.
fn bomb(before: &str, filler: &[u8], bytes: usize, after: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let block = filler.repeat((64 << 10) / filler.len());
    encoder.write_all(before.as_bytes()).expect("memory");
    for _ in 0..bytes / block.len() {
        encoder.write_all(&block).expect("memory");
    }
    encoder.write_all(after.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

/// The most memory that a process may make its own, in KiB, as `ulimit -d` has it. The system itself sees to it.
const DATA: usize = 160 << 10;

#[test]
fn a_bomb_of_half_a_gigabyte_is_stopped_in_little_memory() {
    let gzip = ["content-type: application/json", "content-encoding: gzip"];
    let half = 512 << 20;
    let dir = folder();
    let run = |name: &str, body: &[u8], more: &str| {
        let server = Raw::start(vec![answer("200 OK", &gzip, body)]);
        let line = format!(
            "ulimit -d {DATA}; TRUTO_API_TOKEN=x; export TRUTO_API_TOKEN; \"$PAGEMILL\" export {MEMBERS} --account a \
             --base-url {} --out {name} --memory 64MiB {more}",
            server.url()
        );
        shell(&line, dir.path())
    };
    // It is enough for a page of 8 MiB, and a sixteenth of it is not: the system does see to it.
    let good = bomb(
        "{\"next_cursor\":null,\"result\":[",
        b"{\"name\":\"a name or so\",\"title\":\"one\"},",
        8 << 20,
        "{\"id\":\"1\"}]}",
    );
    let (code, _, error) = run("good", &good, "");
    assert_eq!(code, Some(0), "{error}");
    let line = format!("ulimit -d {}; \"$PAGEMILL\" demo --members 100 --out small", DATA / 16);
    assert_ne!(shell(&line, dir.path()).0, Some(0));

    let start = "{\"next_cursor\":null,\"result\":[";
    let bombs = [
        ("space", bomb(start, b" ", half, "]}"), "200 times"),
        ("text", bomb("{\"result\":[{\"name\":\"", b"x", half / 8, "\"}]}"), "200 times"),
        ("zeros", bomb("", b"\0", half / 8, ""), ""),
    ];
    for (name, packed, what) in bombs {
        assert!(packed.len() < 600 << 10, "{name}: {} bytes", packed.len());
        let (code, _, error) = run(name, &packed, "");
        assert_eq!(code, Some(65), "{name}: {error}");
        assert!(error.contains(what), "{name}: {error}");
        assert!(!dir.path().join(name).exists());
    }

    // What is not compressed has no ratio; its length has a limit.
    let spaces = " ".repeat(33 << 20);
    let server = Raw::start(vec![json(format!("{start}{spaces}]}}"))]);
    for (limit, code) in [("32MiB", 65), ("34MiB", 0)] {
        let (found, _, error) =
            output(export(&server.url(), dir.path(), &["--max-page", limit]).env("TRUTO_API_TOKEN", TOKEN));
        assert_eq!(found, Some(code), "{error}");
    }
}

#[test]
fn brackets_without_end_and_things_without_end_take_little_memory() {
    let dir = folder();
    let mut cases = 0;
    // Each is what is written again and again: so many times, after a beginning.
    for (before, again, times) in [
        ("", "[", 5_000_000),
        ("[", "[", 100_000),
        ("{\"result\":", "[", 5_000_000),
        ("{\"result\":[{\"any\":", "[", 5_000_000),
        ("{\"result\":[{\"remote_data\":", "{\"a\":", 5_000_000),
        ("{\"result\":[{\"emails\":", "[", 5_000_000),
        ("[{\"id\":\"", "x", 60 << 20),
        ("[{\"remote_data\":\"", "x", 60 << 20),
        ("[{\"", "x", 60 << 20),
        ("[{\"id\":", "1", 60 << 20),
        ("[{\"remote_data\":", " ", 60 << 20),
        ("[{\"remote_data\":[0", ",0", 30 << 20),
        ("{\"", "x", 60 << 20),
        ("{\"next_cursor\":\"", "x", 60 << 20),
        ("{\"a\":{\"b\":[0", ",0", 60 << 20),
    ] {
        let line = format!("ulimit -d {DATA}; \"$PAGEMILL\" convert - --resource {MEMBERS} --out out --memory 64MiB");
        let mut command = command("sh");
        command.args(["-c", &line]).env("PAGEMILL", BIN).current_dir(dir.path());
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut input = child.stdin.take().expect("a pipe");
        let writer = std::thread::spawn(move || {
            let block = again.repeat((64 << 10) / again.len());
            let mut left = times * again.len();
            // It stops reading when it has seen enough.
            let mut going = input.write_all(before.as_bytes()).is_ok();
            while going && left > 0 {
                going = input.write_all(&block.as_bytes()[..block.len().min(left)]).is_ok();
                left = left.saturating_sub(block.len());
            }
        });
        let found = child.wait_with_output().expect("it ends");
        writer.join().expect("no panic");
        let error = String::from_utf8_lossy(&found.stderr);
        assert_eq!(found.status.code(), Some(65), "{before}{again}: {error}");
        assert!(error.len() < 1_000 && !dir.path().join("out").exists(), "{error}");
        cases += 1;
    }
    assert_eq!(cases, 15);
}
