//! The commands that look after what was published, as a user types them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const MEMBERS: &str = "instant-messaging/members";

/// A folder with a page, in which commands are run.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a folder"));
        let page = br#"{"result":[{"id":"a","name":"Ann","languages":["en","fr"]},{"id":"b","zodiac":"lion"}],"next_cursor":null}"#;
        fs::write(place.at("page.json"), page).expect("a page");
        place
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Runs `pagemill` with these words: the exit code, and what it said on standard output and error.
    fn run(&self, words: &str) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pagemill"));
        command.args(words.split_whitespace()).current_dir(self.0.path()).env_remove("PAGEMILL_LOG");
        let output = command.stdin(Stdio::null()).output().expect("it starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
    }

    /// Runs a command that should succeed; what it said.
    fn ok(&self, words: &str) -> String {
        let (code, said, error) = self.run(words);
        assert_eq!(code, 0, "{words}: {said}{error}");
        said
    }
}

#[test]
fn what_was_published_is_verified_and_damage_is_named() {
    for format in ["parquet", "arrow", "arrow-stream", "ndjson"] {
        let place = Place::new();
        place.ok(&format!("convert page.json --resource {MEMBERS} --out lake --slot dt=2026-11-23 --format {format}"));
        let said = place.ok("verify lake");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("1 manifests, 8 files"), "{said}");
        let said = place.ok(&format!("verify lake --slot dt=2026-11-23 --rebuild page.json --resource {MEMBERS}"));
        assert!(said.contains("2 records are those of the pages"), "{said}");

        let files = place.ok("list-files lake --dataset members --table members");
        let file = place.at(files.trim_end());
        let mut bytes = fs::read(&file).expect("a file");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).expect("writes");
        let (code, said, error) = place.run("verify lake");
        assert_eq!(code, 65, "{said}{error}");
        assert!(said.contains(&format!("damage: {}: its bytes", files.trim_end())), "{said}");
        let (code, said, _) = place.run("verify lake --json");
        assert_eq!(code, 65);
        let report: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(report["worst"], "damage");
        assert_eq!(report["findings"].as_array().map(Vec::len), Some(1));
        assert_eq!(report["findings"][0]["place"], files.trim_end());
    }
}

#[test]
fn records_with_the_identifier_of_another_are_kept_and_counted() {
    for format in ["parquet", "arrow", "ndjson"] {
        let place = Place::new();
        let records = r#"{"id":"a"},{"id":"b"},{"id":"a"},{"name":"c"},{"id":null},{"id":["a"]},{"id":"a"}"#;
        fs::write(place.at("page.json"), format!(r#"{{"result":[{records}],"next_cursor":null}}"#)).expect("a page");
        place.ok(&format!("convert page.json --resource {MEMBERS} --out lake --format {format}"));
        let said = place.ok("verify lake");
        let note =
            "of 7 records 2 have the identifier of an earlier one and 3 have none; they are kept as they were sent";
        assert!(said.starts_with("note: ") && said.contains(note), "{said}");
        let report: serde_json::Value = serde_json::from_str(&place.ok("verify lake --json")).expect("JSON");
        assert_eq!((report["duplicate_ids"].as_u64(), report["missing_ids"].as_u64()), (Some(2), Some(3)));
        assert_eq!(report["worst"], "note");
    }
}

#[test]
fn pages_that_say_something_else_are_told_from_the_tables() {
    let place = Place::new();
    place.ok(&format!("convert page.json --resource {MEMBERS} --out lake --nested"));
    let page = fs::read_to_string(place.at("page.json")).expect("a page");
    fs::write(place.at("other.json"), page.replace("\"fr\"", "\"de\"")).expect("a page");
    let (code, said, _) = place.run(&format!("verify lake --rebuild other.json --resource {MEMBERS}"));
    assert_eq!(code, 65);
    assert!(said.contains("record 0, $.languages[1]: the page has \"de\", the tables have \"fr\""), "{said}");
}

#[test]
fn files_are_listed_for_readers_that_go_by_the_manifest() {
    let place = Place::new();
    for day in ["2026-11-23", "2026-11-24"] {
        place.ok(&format!("convert page.json --resource {MEMBERS} --out lake --slot dt={day}"));
    }
    let all = place.ok("list-files lake");
    assert_eq!(all.lines().count(), 16);
    assert!(all.lines().all(|line| Path::new(&place.at(line)).is_file()), "{all}");
    assert_eq!(
        place.ok("list-files lake --table members_emails --slot dt=2026-11-24"),
        "lake/members_emails/dt=2026-11-24/part-00000.parquet\n"
    );
    let said = place.ok("list-files lake --table members_languages --json");
    let listed: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    assert_eq!((&listed[0]["rows"], &listed[1]["slot"]), (&2.into(), &"dt=2026-11-24".into()));
    assert_eq!(listed[0]["sha256"].as_str().map(str::len), Some(64));
}

#[test]
fn what_dead_runs_left_is_removed_when_that_is_said() {
    let place = Place::new();
    place.ok(&format!("convert page.json --resource {MEMBERS} --out lake"));
    assert_eq!(place.ok("gc lake"), "there is nothing to remove\n");
    let dead = place.at("lake.pagemill/members/_").join("0123456789abcdef".repeat(2));
    fs::create_dir(&dead).expect("dir");
    fs::write(dead.join("journal-00000"), "something").expect("writes");
    assert!(place.ok("gc lake").contains("it is not old enough"));
    assert!(place.ok("gc lake --older-than 0").contains("1 of 1 attempts would be removed; say --yes"));
    assert!(dead.exists());
    assert!(place.ok("gc lake --yes --older-than 7d").contains("0 of 1 attempts removed"));
    assert!(dead.exists());
    let said = place.ok("gc lake --older-than 0 --yes");
    assert!(said.contains("no manifest names it") && said.contains("1 of 1 attempts removed"), "{said}");
    assert!(!dead.exists());
    place.ok("verify lake");
}

#[test]
fn what_was_published_of_pages_that_have_changed_is_left_and_that_is_said() {
    let place = Place::new();
    let convert = format!("convert page.json --resource {MEMBERS} --out lake");
    place.ok(&convert);
    let (code, said, error) = place.run(&convert);
    assert_eq!(code, 0);
    assert!(said.contains("already published") && error.is_empty(), "{said}{error}");
    let page = place.at("page.json");
    let text = fs::read_to_string(&page).expect("a page");
    fs::write(&page, format!("{text}\n")).expect("writes");
    let (code, said, error) = place.run(&convert);
    assert_eq!(code, 0);
    assert!(said.contains("already published"), "{said}");
    assert!(
        error.contains("from files that were other ones or have been written to since")
            && error.contains("--overwrite"),
        "{error}"
    );
    place.ok(&format!("{convert} --overwrite"));
    let (_, _, error) = place.run(&convert);
    assert_eq!(error, "");
}

#[test]
fn a_published_file_that_is_gone_is_an_error_until_it_is_made_again() {
    let place = Place::new();
    let convert = format!("convert page.json --resource {MEMBERS} --out lake");
    place.ok(&convert);
    fs::remove_file(place.at("lake/members_emails/part-00000.parquet")).expect("removes");
    let (code, said, error) = place.run(&convert);
    assert_eq!(code, 65, "{said}{error}");
    assert!(error.contains("members_emails/part-00000.parquet is not there as it was written"), "{error}");
    place.ok(&format!("{convert} --overwrite"));
    place.ok("verify lake");
}

#[test]
fn a_run_that_is_half_way_into_place_asks_to_be_finished() {
    let place = Place::new();
    let convert = format!("convert page.json --resource {MEMBERS} --out lake");
    place.ok(&convert);
    let home = place.at("lake.pagemill/members/_");
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(home.join("manifest.json")).expect("a manifest")).expect("JSON");
    let left = home.join(manifest["attempt"].as_str().expect("text"));
    fs::create_dir(&left).expect("dir");
    fs::rename(place.at("lake/members"), left.join("members")).expect("moves");
    let (code, said, error) = place.run("verify lake");
    assert_eq!(code, 75, "{said}{error}");
    assert!(said.starts_with("unfinished: ") && error.contains("run the same export again"), "{said}{error}");
    assert_eq!(place.run("list-files lake").0, 75);
    assert!(place.ok("gc lake --older-than 0 --yes").contains("kept"));
    place.ok(&convert);
    place.ok("verify lake");
}

#[test]
fn mistakes_are_told() {
    let place = Place::new();
    place.ok(&format!("convert page.json --resource {MEMBERS} --out lake"));
    for (words, code, what) in [
        ("verify nowhere", 78, "no manifest"),
        ("verify lake --slot dt=1", 78, "no manifest"),
        ("verify lake --slot today", 64, "slot"),
        ("verify lake --dataset ../x", 64, "dataset"),
        ("verify lake --rebuild page.json", 64, "--resource"),
        ("verify lake --rebuild nothing.json --resource instant-messaging/members", 78, "nothing.json"),
        ("verify lake --rebuild page.json --resource instant-messaging/groups", 78, "groups"),
        ("verify ftp://host/lake", 78, "s3://bucket/prefix"),
        ("list-files nowhere", 78, "no manifest"),
        ("list-files lake --table nothing", 78, "nothing"),
        ("gc lake --older-than week", 64, "7d"),
    ] {
        let (found, said, error) = place.run(words);
        assert_eq!(found, code, "{words}: {said}{error}");
        assert!(error.contains(what), "{words}: {error}");
    }
    assert_eq!(place.ok("gc nowhere"), "there is nothing to remove\n");
}
