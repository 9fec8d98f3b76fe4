//! `pagemill simulate` with faults, a ledger and stamps, and `pagemill export` against it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

const ACCOUNT: &str = "62f44730-dd91-461e-bd6a-aedd9e0ad79d";

/// Stopped at the end.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pagemill(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pagemill"));
    command.args(args).env_remove("PAGEMILL_LOG").stdin(Stdio::null());
    command
}

#[test]
fn the_faults_are_listed_and_an_unknown_one_is_refused_with_their_names() {
    let output = pagemill(&["simulate", "--list-faults"]).output().expect("it starts");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for fault in pagemill_simulator::Fault::all() {
        assert!(text.lines().any(|line| line.starts_with(fault.name)), "{}", fault.name);
    }
    let output = pagemill(&["simulate", "--fault", "rest"]).output().expect("it starts");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(!output.status.success() && said.contains("reset"), "{said}");
}

#[test]
fn an_export_from_a_server_with_faults_is_of_the_servings_in_its_ledger() {
    let dir = tempfile::tempdir().expect("a folder");
    let (ledger, out) = (dir.path().join("served.ndjson"), dir.path().join("out"));
    let (ledger, out) = (ledger.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
    // Each page fails once at most, so no wait is longer than half a second.
    let args = ["simulate", "--port", "0", "--members", "50", "--max-limit", "10", "--stamp", "--ledger", ledger];
    let faults = ["--fault", "fin:900@page=2", "--fault", "status:503@page=3", "--fault", "gzip-twice@page=4"];
    let mut child = pagemill(&args).args(faults).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let _server = Server(child);
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("a URL");
    let args = ["export", "instant-messaging/members", "--account", ACCOUNT, "--base-url", url, "--out", out];
    let mut export = pagemill(&args);
    export.args(["--format", "ndjson"]).env("TRUTO_API_TOKEN", "any");
    let output = export.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let json = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON");
    let served: Vec<_> = std::fs::read_to_string(ledger).expect("a ledger").lines().map(json).collect();
    let struck: Vec<_> = served.iter().filter_map(|line| line["fault"].as_str()).collect();
    assert_eq!(struck.len(), 3, "{struck:?}");
    let rows = std::fs::read_to_string(format!("{out}/members/part-00000.ndjson")).expect("rows");
    let rows: Vec<_> = rows.lines().map(json).collect();
    assert_eq!(rows.len(), 50);
    for row in rows {
        let stamp = &row["_extra"]["ledger"];
        let serving = &served[stamp["serve"].as_u64().expect("a number") as usize];
        assert_eq!((&serving["page"], &serving["whole"]), (&stamp["page"], &true.into()));
        assert_eq!(serving["ids"][stamp["idx"].as_u64().expect("a number") as usize], row["id"]);
    }
}
