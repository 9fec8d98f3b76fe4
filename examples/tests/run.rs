//! Each example does what it says.

use std::{fs::File, path::Path, process::Command};

use parquet::file::reader::{FileReader, SerializedFileReader};

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .env_remove("TRUTO_API_TOKEN")
        .env_remove("TRUTO_ACCOUNT")
        .output()
        .expect("the example starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn rows(path: &Path) -> i64 {
    let reader = SerializedFileReader::new(File::open(path).expect("a file")).expect("Parquet");
    reader.metadata().file_metadata().num_rows()
}

#[test]
fn exports_write_the_eight_tables_in_each_format() {
    for (program, extension) in [
        (env!("CARGO_BIN_EXE_export_members"), "parquet"),
        (env!("CARGO_BIN_EXE_export_arrow"), "arrow"),
        (env!("CARGO_BIN_EXE_export_ndjson"), "ndjson"),
    ] {
        let dir = tempfile::tempdir().expect("a folder");
        let out = dir.path().join("out");
        let said = run(program, &[out.to_str().expect("UTF-8")]);
        assert!(said.contains("members: 2000 rows"), "{said}");
        for child in ["emails", "phones", "urls", "organizations", "workspaces", "groups", "languages"] {
            let file = out.join(format!("members_{child}/part-00000.{extension}"));
            assert!(file.exists(), "{}", file.display());
        }
        if extension == "parquet" {
            assert_eq!(rows(&out.join("members/part-00000.parquet")), 2000);
        }
    }
}

#[test]
fn a_night_is_dumped_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = dir.path().join("lake");
    let lake = lake.to_str().expect("UTF-8");
    let program = env!("CARGO_BIN_EXE_nightly_dump");
    assert!(run(program, &["dt=2026-11-23", lake]).contains("2000 records published"));
    let file = Path::new(lake).join("members/dt=2026-11-23/part-00000.parquet");
    let before = std::fs::read(&file).expect("a file");
    assert!(run(program, &["dt=2026-11-23", lake]).contains("already published"));
    assert_eq!(std::fs::read(&file).expect("a file"), before);
    assert!(run(program, &["dt=2026-11-24", lake]).contains("2000 records published"));
}

#[test]
fn a_sink_of_ones_own_sees_every_member() {
    assert!(run(env!("CARGO_BIN_EXE_custom_sink"), &[]).contains("2000 members"));
}

#[test]
fn decoding_needs_nothing_else() {
    let said = run(env!("CARGO_BIN_EXE_decode_only"), &[]);
    assert!(said.contains("2 rows of 27 columns"), "{said}");
    assert!(said.contains("1 at is_email_verified kept in _extra: wrong_type"), "{said}");
    assert!(said.contains("1 at $ kept in _extra: unknown_member"), "{said}");
}
