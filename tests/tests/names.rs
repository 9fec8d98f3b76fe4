//! What data and schema documents may call things, and what becomes of it in lines, columns and paths.

mod support;

use std::{collections::HashMap, path::Path, sync::Arc};

use pagemill::{FileOptions, FileSink, FileSource, Flatten, Ndjson, Pipeline, Resource, Slot};
use support::{convert, members, tree};

/// Random numbers, the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    /// A text of up to `most` characters, most of them of the kinds that do harm.
    fn text(&mut self, most: usize) -> String {
        const HARM: &[char] = &[
            '\n',
            '\r',
            '\t',
            '\0',
            '\u{b}',
            '\u{c}',
            '\u{1b}',
            '\u{7f}',
            '\u{80}',
            '\u{85}',
            '\u{9b}',
            '\u{9f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202e}',
            '\u{feff}',
            '"',
            '\\',
            '{',
            '}',
            ',',
            '/',
            '.',
            '=',
            '\u{1f600}',
            'é',
        ];
        let length = self.roll(most + 1);
        (0..length)
            .map(|_| match self.roll(3) {
                0 => char::from(b' ' + self.roll(95) as u8),
                1 => char::from_u32(self.roll(0x11_0000) as u32).unwrap_or('x'),
                _ => HARM[self.roll(HARM.len())],
            })
            .collect()
    }
}

#[tokio::test]
async fn a_line_is_a_row_whatever_is_in_it() {
    let mut dice = Dice(7);
    let texts: Vec<_> = (0..100_000).map(|_| dice.text(12)).collect();
    // Four in a record: as a text, in a list, in an object of any kind, and as name and value of an unknown member.
    let page: Vec<String> = texts
        .chunks(5)
        .enumerate()
        .map(|(n, five)| {
            let said: Vec<_> = five.iter().map(|t| serde_json::Value::from(t.as_str()).to_string()).collect();
            format!(
                "{{\"id\":\"{n}\",\"name\":{},\"languages\":[{}],\"remote_data\":{{\"x\":{}}},\"u{n}\":{{{}:{}}}}}",
                said[0], said[1], said[2], said[3], said[4]
            )
        })
        .collect();
    let dir = tempfile::tempdir().expect("a folder");
    let input = dir.path().join("in.ndjson");
    std::fs::write(&input, page.join("\n")).expect("a file");
    let report = convert(&[&input], &dir.path().join("out"), Arc::new(Ndjson)).await.expect("a run");
    assert_eq!(report.totals.records, 20_000);
    let mut rows = 0;
    for file in &report.receipt.files {
        let bytes = std::fs::read(dir.path().join("out").join(&file.path)).expect("a file");
        assert_eq!(bytes.iter().filter(|b| **b == b'\n').count() as u64, file.rows, "{}", file.path);
        assert!(bytes.is_empty() || bytes.ends_with(b"\n"));
        let text = String::from_utf8(bytes).expect("UTF-8");
        let harm = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{2028}' | '\u{2029}');
        assert!(!text.contains(harm), "{}", file.path);
        if file.table == "members" {
            // And they are what they were.
            for (line, five) in text.lines().zip(texts.chunks(5)) {
                let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
                assert_eq!(row["name"], five[0].as_str());
                assert_eq!(row["remote_data"]["x"], five[2].as_str());
                let extra = row["_extra"].as_object().expect("an object").values().next().expect("a member").clone();
                assert_eq!(extra[&five[3]], five[4].as_str());
                rows += 1;
            }
        }
    }
    assert_eq!(rows, 20_000);
}

#[test]
fn a_million_texts_name_slots_below_the_root_or_none() {
    let mut dice = Dice(11);
    let (mut accepted, mut folded) = (HashMap::<String, String>::new(), 0u64);
    for n in 0..1_000_000u32 {
        let text = match n % 4 {
            0 => dice.text(10),
            1 => format!("dt={}", dice.text(8)),
            2 => {
                const PIECES: [&str; 16] =
                    ["dt", "=", "..", ".", "/", "a", "A", "b", "-", "_", "%2e", "\\", "~", " ", "1", "=1"];
                (0..dice.roll(9)).map(|_| PIECES[dice.roll(PIECES.len())]).collect()
            }
            _ => format!("a={}/b={}", dice.roll(1_000), dice.text(3)),
        };
        let Ok(slot) = Slot::new(text.clone()) else { continue };
        let path = Path::new(slot.as_str());
        assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))), "{text:?}");
        assert!(path.components().all(|part| !part.as_os_str().to_string_lossy().starts_with('.')), "{text:?}");
        assert!(slot.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.=/".contains(&b)), "{text:?}");
        assert!(Path::new("/root").join(path).starts_with("/root") && slot.as_str().len() <= 200);
        // The path is the text: no two texts share one. Where a file system folds case, two that differ in it do.
        assert_eq!(slot.as_str(), text);
        if let Some(other) = accepted.insert(text.to_lowercase(), text.clone()) {
            folded += u64::from(other != text);
        }
    }
    assert!(accepted.len() > 10_000, "{}", accepted.len());
    assert!(folded > 0, "slots that differ in case alone are two slots");
}

fn schema(name: &str) -> Result<Resource, pagemill::Error> {
    let name = serde_json::Value::from(name);
    Resource::from_json_schema(&format!(
        "{{\"x-pagemill\":{{\"table\":\"t\"}},\"type\":\"object\",\"properties\":{{{name}:{{\"type\":\"string\"}},\"id\":{{\"type\":\"string\"}}}}}}"
    ))
}

#[test]
fn hostile_names_of_columns_are_refused() {
    let long = "n".repeat(256);
    for name in [
        "",
        "\0",
        "a\0b",
        "a\nb",
        "\u{1b}[31m",
        "\u{7f}",
        "\u{85}",
        "\u{202e}x",
        "a\u{2028}b",
        "\u{feff}id",
        &long,
        "ID",
        "_extra",
        "_EXTRA",
    ] {
        let error = schema(name).expect_err(name);
        assert_eq!(error.kind(), pagemill::ErrorKind::Config, "{name:?}");
        assert!(!error.to_string().chars().any(char::is_control));
    }
    // Names that others act on are names here, and paths are never made of them.
    for table in ["", ".", "..", "a/b", "a\\b", "a b", "-a", "a\0", "é", "t\u{202e}", &"t".repeat(201)] {
        let table = serde_json::Value::from(table);
        let document = format!("{{\"x-pagemill\":{{\"table\":{table}}},\"properties\":{{\"id\":{{}}}}}}");
        assert!(Resource::from_json_schema(&document).is_err(), "{table}");
    }
}

#[tokio::test]
async fn names_that_others_act_on_stay_names_of_columns() {
    for name in ["PARQUET:field_id", "ARROW:schema", "pandas", "../../x", "a/b", "a\"b", "'; DROP TABLE t; --", "$(id)"]
    {
        let resource = schema(name).expect("a name");
        let dir = tempfile::tempdir().expect("a folder");
        let input = dir.path().join("in.json");
        let said = serde_json::Value::from(name);
        std::fs::write(&input, format!("{{\"id\":\"1\",{said}:\"v\",\"x{}\":1}}", name.len())).expect("a file");
        let source = FileSource::new(&resource, [&input], FileOptions::default()).expect("a source");
        let sink = FileSink::new(dir.path().join("out"), Arc::new(pagemill::Parquet::default()));
        Pipeline::new(source, Flatten::new(&resource, None), sink).run().await.expect("a run");
        assert_eq!(tree(&dir.path().join("out")).into_keys().collect::<Vec<_>>(), ["t/part-00000.parquet"], "{name}");
        let rows = support::parquet(&dir.path().join("out/t"));
        assert_eq!(support::texts(&rows, name), [Some("v".to_owned())]);
        assert_eq!(support::texts(&rows, "id"), [Some("1".to_owned())]);
    }
}

#[tokio::test]
async fn names_in_the_data_become_no_columns_and_no_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let (input, plain) = (dir.path().join("in.json"), dir.path().join("plain.json"));
    let mut record = serde_json::Map::new();
    record.insert("id".into(), "1".into());
    for name in
        ["../../evil", "/etc/passwd", "PARQUET:field_id", "ARROW:schema", "a.b", "ID", "_row", "_extra", "\0", ""]
    {
        record.insert(name.into(), name.into());
    }
    record.insert("remote_data".into(), serde_json::json!({"../x": 1}));
    let record = serde_json::Value::Object(record);
    std::fs::write(&input, record.to_string()).expect("a file");
    std::fs::write(&plain, "{\"id\":\"1\"}").expect("a file");
    for format in support::formats() {
        let (hostile, good) =
            (dir.path().join(format!("h{}", format.name())), dir.path().join(format!("g{}", format.name())));
        convert(&[&input], &hostile, format.clone()).await.expect("a run");
        convert(&[&plain], &good, format).await.expect("a run");
        assert_eq!(tree(&hostile).into_keys().collect::<Vec<_>>(), tree(&good).into_keys().collect::<Vec<_>>());
    }
    let rows = support::parquet(&dir.path().join("hparquet/members"));
    let extra = support::texts(&rows, "_extra")[0].clone().expect("members that have no column");
    let extra: serde_json::Value = serde_json::from_str(&extra).expect("JSON");
    for name in
        ["../../evil", "/etc/passwd", "PARQUET:field_id", "ARROW:schema", "a.b", "ID", "_row", "_extra", "\0", ""]
    {
        assert_eq!(extra[name], name);
    }
    let fields = rows[0].schema();
    let expected = Flatten::new(&members(), Some(pagemill_simulator::ACCOUNT.to_owned()));
    let tables = pagemill::Transform::tables(&expected, &members().schema()).expect("tables");
    let names =
        |schema: &arrow::datatypes::Schema| schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    assert_eq!(names(&fields), names(&tables[0].schema));
}
