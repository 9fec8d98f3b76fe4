//! The command, as a user or a scheduler runs it.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

const ACCOUNT: &str = "62f44730-dd91-461e-bd6a-aedd9e0ad79d";

fn pagemill(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pagemill"));
    command.args(args).env_remove("TRUTO_API_TOKEN").env_remove("TRUTO_API_BASE_URL").env_remove("PAGEMILL_LOG");
    command
}

fn output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("a code"), text(stdout), text(stderr))
}

fn run(args: &[&str]) -> (i32, String, String) {
    output(&mut pagemill(args))
}

/// A `pagemill simulate`, stopped at the end.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        let mut child =
            pagemill(&["simulate", "--port", "0"]).args(args).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("a URL").to_owned();
        Self { child, url }
    }

    fn export(&self, token: &str, account: &str, out: &Path, more: &[&str]) -> (i32, String, String) {
        let out = out.to_str().expect("UTF-8");
        let args = ["export", "instant-messaging/members", "--account", account, "--out", out, "--base-url", &self.url];
        output(pagemill(&args).args(more).env("TRUTO_API_TOKEN", token))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is gone already when a test has killed it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_demo_exports_and_says_so_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("demo");
    let out = out.to_str().expect("UTF-8");
    let (code, said, _) = run(&["demo", "--members", "300", "--out", out]);
    assert_eq!(code, 0);
    for table in ["members ", "members_emails ", "members_languages "] {
        assert!(said.contains(table), "{said}");
    }
    assert!(Path::new(out).join("members/part-00000.parquet").exists());
    let (code, said, _) = run(&["demo", "--members", "300", "--out", out]);
    assert_eq!(code, 0);
    assert!(said.contains("already published"), "{said}");
}

#[test]
fn an_export_reports_to_people_and_to_machines() {
    let server = Server::start(&["--members", "250", "--token", "right"]);
    let dir = tempfile::tempdir().expect("a folder");
    let (code, said, _) = server.export("right", ACCOUNT, &dir.path().join("a"), &["--slot", "dt=2026-11-23"]);
    assert_eq!(code, 0);
    assert!(said.contains("250 records of 3 pages"), "{said}");
    assert!(dir.path().join("a/members/dt=2026-11-23/part-00000.parquet").exists());

    let (code, said, _) =
        server.export("right", ACCOUNT, &dir.path().join("b"), &["--json", "--format", "ndjson", "--key-by", "id"]);
    assert_eq!(code, 0);
    let report: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(report["rows"]["members"], 250);
    assert_eq!(report["already_published"], false);

    let (code, _, error) = server.export("wrong", ACCOUNT, &dir.path().join("c"), &[]);
    assert_eq!(code, 77);
    assert!(!error.contains("wrong"), "the token is never shown: {error}");
    assert!(!dir.path().join("c").exists());
}

#[test]
fn what_a_provider_requires_is_named() {
    let server = Server::start(&["--members", "100"]);
    let dir = tempfile::tempdir().expect("a folder");
    for (account, missing, options) in
        [("slack", "channel", ["--channel", "C1"]), ("msteams", "workspace", ["--workspace", "T1"])]
    {
        let (code, _, error) = server.export("any", account, &dir.path().join(account), &[]);
        assert_eq!(code, 78, "{error}");
        assert!(error.contains(missing), "{error}");
        // Whether there is such a channel is another question, but it is no longer missing.
        let (_, _, error) = server.export("any", account, &dir.path().join(account), &options);
        assert!(!error.contains("missing required"), "{error}");
    }
    let (code, _, error) = server.export("any", "nobody", &dir.path().join("nobody"), &[]);
    assert_eq!(code, 78, "{error}");
}

#[test]
fn mistakes_are_told_before_anything_is_asked_or_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("out");
    let out = out.to_str().expect("UTF-8");
    let members = "instant-messaging/members";
    for (args, code, what) in [
        (vec!["export", members, "--account", "a", "--out", out], 78, "TRUTO_API_TOKEN"),
        (vec!["convert", "nowhere.json", "--resource", members, "--out", out], 78, "nowhere.json"),
        (vec!["convert", "-", "--resource", "no/such", "--out", out], 78, "no built-in resource"),
        (vec!["convert", "-", "--resource", members, "--out", out, "--slot", "today"], 64, "slot"),
        (vec!["convert", "-", "--resource", members, "--out", out, "--slot", "id=1"], 78, "id"),
        (vec!["convert", "-", "--resource", members, "--out", out, "--compression", "zip"], 78, "zip"),
        (vec!["convert", "-", "--resource", members, "--out", out, "--memory", "1"], 64, "memory"),
        (vec!["convert", "-", "--resource", members, "--out", out, "--drop", "id"], 78, "key"),
        (vec!["convert", "-", "--resource", members, "--out", out, "--drop", "nothing"], 78, "nothing"),
        (vec!["fly"], 64, "fly"),
    ] {
        let (found, _, error) = run(&args);
        assert_eq!(found, code, "{args:?}: {error}");
        assert!(error.contains(what), "{args:?}: {error}");
    }
    assert!(!Path::new(out).exists());
}

#[test]
fn standard_input_is_converted_and_bad_data_is_placed() {
    let dir = tempfile::tempdir().expect("a folder");
    let convert = |name: &str, input: &[u8], more: &[&str]| {
        let out = dir.path().join(name);
        let args = ["convert", "-", "--resource", "instant-messaging/members", "--out", out.to_str().expect("UTF-8")];
        let mut child = pagemill(&args)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        // It may have given up before it has read all.
        let _ = child.stdin.take().expect("a pipe").write_all(input);
        let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
        (status.code(), String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned())
    };
    let (code, said, error) = convert("good", b"{\"id\":\"a\"}\n{\"id\":\"b\"}\n", &["--format", "ndjson"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(said.contains("2 records"), "{said}");
    let rows = std::fs::read_to_string(dir.path().join("good/members/part-00000.ndjson")).expect("a file");
    assert_eq!(rows.lines().count(), 2);

    let page = b"{\"id\":\"a\",\"bio\":\"b\",\"title\":\"c\"}";
    let (code, _, error) = convert("less", page, &["--format", "ndjson", "--drop", "bio"]);
    assert_eq!(code, Some(0), "{error}");
    let row = std::fs::read_to_string(dir.path().join("less/members/part-00000.ndjson")).expect("a file");
    assert!(row.contains("title") && !row.contains("bio") && row.contains("\"_extra\":null"), "{row}");

    let bad = b"{\"id\":\"a\"}\n{\"id\":tru}\n";
    let (code, _, error) = convert("bad", bad, &[]);
    assert_eq!(code, Some(65));
    assert!(error.contains("record 1") && error.contains("byte 17"), "{error}");
    assert!(!dir.path().join("bad").exists());

    let (code, said, error) = convert("aside", bad, &["--max-bad-records", "1"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(said.contains("1 records in quarantine"), "{said}");

    let (code, _, error) = convert("strict", b"{\"id\":\"a\",\"new\":1}", &["--unknown", "fail"]);
    assert_eq!(code, Some(65));
    assert!(error.contains("new"), "{error}");
}

#[test]
fn schemas_are_shown_in_three_ways() {
    let (code, said, _) = run(&["schema"]);
    assert_eq!(code, 0);
    assert!(said.lines().any(|line| line == "instant-messaging/members"), "{said}");
    let (_, said, _) = run(&["schema", "instant-messaging/members"]);
    assert!(said.contains("members_emails\n  integrated_account_id: Utf8"), "{said}");
    let (_, said, _) = run(&["schema", "instant-messaging/members", "--as", "sql"]);
    assert_eq!(said.matches("CREATE TABLE").count(), 8);
    let (_, said, _) = run(&["schema", "instant-messaging/members", "--as", "json-schema"]);
    let document: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(document["properties"].as_object().map(serde_json::Map::len), Some(26));
}
