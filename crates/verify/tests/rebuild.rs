//! The tables hold what the pages hold, and every difference that is planted is found.

mod common;

use std::{fs, io::Write, path::PathBuf, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    datatypes::{DataType, Field, Float64Type, Int64Type, TimestampMicrosecondType},
};
use common::{Made, Make, RECORDS, formats, kinds, lines, page};
use pagemill::{Arrow, ErrorKind, Flatten, Format, Ndjson, Parquet, Table, Transform, Unknown, resource::is_json};
use pagemill_sink::LocalPublished;
use pagemill_verify::{Rebuild, Report, Severity, Which};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).expect("memory");
    out.finish().expect("memory")
}

/// The same records in every frame, each with the name of its file.
fn frames(records: &[&str]) -> Vec<(&'static str, Vec<u8>)> {
    let all = records.join(",");
    let keyed: Vec<_> = records.iter().enumerate().map(|(i, r)| format!("\"{i}\": {r}")).collect();
    let pretty = format!(" \n[\n{}\n ]\n", records.join(" ,\n "));
    vec![
        ("lines.ndjson", page(records)),
        ("joined.ndjson", records.concat().into_bytes()),
        ("array.json", format!("[{all}]").into_bytes()),
        ("pretty.json", pretty.into_bytes()),
        ("mark.json", format!("\u{feff}[{all}]").into_bytes()),
        ("envelope.json", format!("{{\"next_cursor\":1e999,\"result\":[{all}],\"z\":{{\"result\":1}}}}").into_bytes()),
        ("late.json", format!("{{\"a\":\"result\",\"b\":[[]],\"results\":[{all}]}}").into_bytes()),
        ("keyed.json", format!("{{\"result\":{{{}}},\"next_cursor\":null}}", keyed.join(",")).into_bytes()),
        ("lines.ndjson.gz", gzip(&page(records))),
        ("two.ndjson.gz", [gzip(records[0].as_bytes()), gzip(records[1..].join("\n").as_bytes())].concat()),
    ]
}

#[tokio::test]
async fn tables_of_every_format_and_layout_are_what_the_pages_hold() {
    for (n, format) in formats().into_iter().enumerate() {
        for nested in [false, true] {
            let make = Make { nested, rows_per_part: 1 + n as u64, ..Make::new(format.clone()) };
            let pages =
                [("a.ndjson", page(&RECORDS[..3])), ("b.ndjson", Vec::new()), ("c.ndjson", page(&RECORDS[3..]))];
            let made = make.run(&pages.each_ref().map(|(n, p)| (*n, &p[..]))).await;
            let report = made.rebuild(&made.pages);
            assert_eq!((lines(&report), report.records), (String::new(), 6), "{} {nested}", format.name());
            // A folder stands for its pages.
            assert_eq!(made.rebuild(&[made.dir.path().to_owned()]).records, 6);
        }
    }
}

#[tokio::test]
async fn pages_are_read_in_every_frame() {
    for (name, bytes) in frames(&RECORDS) {
        let made = Make::new(Arc::new(Ndjson)).run(&[(name, &bytes)]).await;
        let report = made.rebuild(&made.pages);
        assert_eq!((lines(&report), report.records), (String::new(), 6), "{name}");
        // And the pages of any frame are those of the others.
        for (other, bytes) in frames(&RECORDS) {
            let path = made.dir.path().join(format!("other-{other}"));
            fs::write(&path, bytes).expect("a page");
            assert_eq!(lines(&made.rebuild(&[path])), "", "{name} {other}");
        }
    }
    // One record alone, and none at all.
    for (records, bytes) in [(1, RECORDS[0].to_owned()), (0, "[]".to_owned()), (0, "{\"result\":[]}".to_owned())] {
        let made = Make::new(Arc::new(Ndjson)).run(&[("p.json", bytes.as_bytes())]).await;
        let report = made.rebuild(&made.pages);
        assert_eq!((lines(&report), report.records), (String::new(), records));
    }
}

#[tokio::test]
async fn many_records_are_put_together_in_groups() {
    let records: Vec<String> = (0..5_000)
        .map(|n| {
            let tags: Vec<_> = (0..n % 40).map(|t| format!("\"tag {t}\"")).collect();
            let parts: Vec<_> = (0..n % 3).map(|p| format!("{{\"name\":\"{p}\",\"sizes\":[{p},{n}]}}")).collect();
            format!("{{\"id\":\"{n}\",\"count\":{n},\"tags\":[{}],\"parts\":[{}]}}", tags.join(","), parts.join(","))
        })
        .collect();
    let records: Vec<_> = records.iter().map(String::as_str).collect();
    let format: Arc<dyn Format> = Arc::new(Parquet::new().row_group_rows(700));
    let make = Make { rows_per_part: 1_500, ..Make::new(format) };
    let pages: Vec<_> = records.chunks(1_000).map(page).collect();
    let names = ["0.ndjson", "1.ndjson", "2.ndjson", "3.ndjson", "4.ndjson"];
    let pages: Vec<_> = names.into_iter().zip(pages.iter().map(Vec::as_slice)).collect();
    let made = make.run(&pages).await;
    let report = made.rebuild(&made.pages);
    assert_eq!((lines(&report), report.records), (String::new(), 5_000));
    // In another order they are not the same.
    let mut swapped = made.pages.clone();
    swapped.swap(3, 4);
    let report = made.rebuild(&swapped);
    assert!(lines(&report).contains("4.ndjson (page 3): record 0, $.id"), "{}", lines(&report));
    assert_eq!(report.records, 3_000);
}

#[tokio::test]
async fn records_that_were_lost_doubled_moved_or_changed_are_named() {
    let changed = RECORDS[4].replace("[3.5]", "[3.6]");
    let without = |at: usize| RECORDS.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, r)| *r).collect::<Vec<_>>();
    let mut cases: Vec<(Vec<&str>, String)> = vec![
        (without(0), "record 0, $.id: the page has \"a\", the tables have \"b\"".to_owned()),
        (without(5), "record 5 and all that follow are not in the tables".to_owned()),
        ([&RECORDS[..], &RECORDS[5..]].concat(), "the tables have more records than the pages".to_owned()),
        ([&RECORDS[..1], &RECORDS[..]].concat(), "record 1, $.id".to_owned()),
        (vec![RECORDS[1], RECORDS[0], RECORDS[2], RECORDS[3], RECORDS[4], RECORDS[5]], "record 0, $.id".to_owned()),
        (Vec::new(), "record 0 and all that follow".to_owned()),
    ];
    let mut last = RECORDS.to_vec();
    last[4] = &changed;
    cases.push((last, "record 4, $.parts[0].sizes[0]: the page has 3.5, the tables have 3.6".to_owned()));
    for format in formats() {
        for nested in [false, true] {
            for (records, expected) in &cases {
                let made = Make { nested, ..Make::new(format.clone()) }.run(&[("tables.ndjson", &page(records))]).await;
                let right = made.dir.path().join("pages.ndjson");
                fs::write(&right, page(&RECORDS)).expect("a page");
                let report = made.rebuild(&[right]);
                assert_eq!((report.findings.len(), report.worst()), (1, Some(Severity::Damage)));
                assert!(lines(&report).contains(expected), "{expected}: {}", lines(&report));
            }
        }
    }
}

/// The column with another value in row `row`.
fn spoiled(field: &Field, column: &ArrayRef, row: usize) -> ArrayRef {
    let is = |i: usize| i == row;
    match column.data_type() {
        DataType::Boolean => {
            let values = column.as_boolean().iter().enumerate();
            Arc::new(values.map(|(i, v)| if is(i) { Some(v != Some(true)) } else { v }).collect::<BooleanArray>())
        }
        DataType::Int64 => {
            let values = column.as_primitive::<Int64Type>().iter().enumerate();
            Arc::new(values.map(|(i, v)| if is(i) { Some(v.map_or(1, |v| v + 1)) } else { v }).collect::<Int64Array>())
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>().iter().enumerate();
            // By the least that there is.
            let other = |v: Option<f64>| Some(v.map_or(1.0, f64::next_up));
            Arc::new(values.map(|(i, v)| if is(i) { other(v) } else { v }).collect::<Float64Array>())
        }
        DataType::Timestamp(..) => {
            let values = column.as_primitive::<TimestampMicrosecondType>().iter().enumerate();
            let other = values.map(|(i, v)| if is(i) { Some(v.map_or(0, |v| v + 1)) } else { v });
            Arc::new(other.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
        DataType::Utf8 => {
            let values = column.as_string::<i32>().iter().enumerate();
            let other = |v: Option<&str>| match is_json(field) {
                true if v == Some("{\"planted\":1}") => "{\"planted\":2}".to_owned(),
                true => "{\"planted\":1}".to_owned(),
                false => format!("{}~", v.unwrap_or_default()),
            };
            let values = values.map(|(i, v)| if is(i) { Some(other(v)) } else { v.map(str::to_owned) });
            Arc::new(values.collect::<StringArray>())
        }
        other => panic!("no column is of type {other}"),
    }
}

/// The column with a null in row `row`.
fn nulled(column: &ArrayRef, row: usize) -> ArrayRef {
    let keep: BooleanArray = (0..column.len()).map(|i| Some(i == row)).collect();
    arrow::compute::nullif(column, &keep).expect("a column")
}

/// Makes a run, in which the value of one column in row `row` of its table's first batch is another, and looks at it.
async fn planted(format: &Arc<dyn Format>, table: &str, column: &str, row: usize, null: bool) -> Option<Report> {
    let done = Arc::new(std::sync::Mutex::new(false));
    let (table, column) = (table.to_owned(), column.to_owned());
    let changed = Arc::clone(&done);
    let started = std::sync::atomic::AtomicBool::new(false);
    let fault = Arc::new(move |tables: &mut Vec<Table>| {
        // Batches are transformed beside each other: the first is the one with the first record.
        let root = tables.iter().find(|t| t.name.as_str() == "t").and_then(|t| t.rows.column_by_name("_row"));
        let first = root.is_some_and(|rows| rows.as_primitive::<Int64Type>().values().first() == Some(&0));
        let mut done = changed.lock().expect("a lock");
        if first {
            started.store(true, std::sync::atomic::Ordering::SeqCst);
        }
        if !first && row < 3 && !started.load(std::sync::atomic::Ordering::SeqCst) {
            return;
        }
        for t in tables.iter_mut().filter(|t| t.name.as_str() == table && t.rows.num_rows() > row) {
            let at = t.rows.schema_ref().index_of(&column).expect("a column");
            let old = Arc::clone(t.rows.column(at));
            if *done || (null && (old.is_null(row) || !t.rows.schema_ref().field(at).is_nullable())) {
                return;
            }
            let mut columns = t.rows.columns().to_vec();
            columns[at] = if null { nulled(&old, row) } else { spoiled(t.rows.schema_ref().field(at), &old, row) };
            t.rows = RecordBatch::try_new(t.rows.schema(), columns).expect("rows");
            *done = true;
        }
    });
    let made = Make { fault: Some(fault), ..Make::new(format.clone()) }.run(&[("p.ndjson", &page(&RECORDS))]).await;
    let report = made.rebuild(&made.pages);
    let done = *done.lock().expect("a lock");
    done.then_some(report)
}

#[tokio::test]
async fn a_changed_value_in_any_column_of_any_table_is_found() {
    let schema = kinds().schema();
    let tables = Flatten::new(&kinds(), None).tables(&schema).expect("tables");
    let formats = formats();
    let (mut cases, mut turn) = (0, 0);
    for table in &tables {
        for field in table.schema.fields() {
            for null in [false, true] {
                let format = &formats[turn % formats.len()];
                turn += 1;
                let name = format!("{} {} {} null: {null}", format.name(), table.name, field.name());
                let Some(report) = planted(format, table.name.as_str(), field.name(), 0, null).await else { continue };
                assert_eq!(report.worst(), Some(Severity::Damage), "{name}");
                cases += 1;
            }
        }
    }
    println!("{cases} planted values");
    assert!(cases > 60, "{cases}");
}

#[tokio::test]
async fn a_changed_value_of_every_type_is_found_in_every_format() {
    for format in formats() {
        for (table, column, row, path) in [
            ("t", "id", 1, "record 1, $.id"),
            ("t", "flag", 0, "record 0, $.flag"),
            ("t", "count", 1, "record 1, $.count"),
            ("t", "size", 0, "record 0, $.size"),
            ("t", "at", 0, "record 0, $.at"),
            ("t", "any", 0, "record 0, $.any"),
            ("t", "owner_home_city", 0, "record 0, $.owner.home.city"),
            ("t", "_extra", 0, "record 0, $.planted"),
            ("t_tags", "value", 1, "record 0, $.tags[1]"),
            ("t_matrix_value", "value", 2, "record 0, $.matrix[1][0]"),
            ("t_parts", "name", 1, "record 0, $.parts[1].name"),
            ("t_parts_sizes", "value", 1, "record 0, $.parts[0].sizes[1]"),
        ] {
            let report = planted(&format, table, column, row, false).await.expect("was planted");
            // A key of the record is also in the tables of its lists, which then do not fit.
            let found = lines(&report);
            assert!(found.contains(path) || (column == "id" && found.contains("keys")), "{}: {found}", format.name());
        }
    }
}

#[tokio::test]
async fn records_in_quarantine_are_those_of_the_pages() {
    let bad = ["{\"id\":01}", "{\"id\":\"b\",\"id\":\"c\"}", "{\"id\":[1,]}"];
    let first = page(&[RECORDS[0], bad[0], RECORDS[1], bad[1], bad[2]]);
    let second = format!("\u{feff}{{\"result\":[{},{},{}]}}", bad[1], RECORDS[2], bad[0]).into_bytes();
    for (n, format) in formats().into_iter().enumerate() {
        let make = Make { bad: 5, rows_per_part: 1 + n as u64, ..Make::new(format) };
        let made = make.run(&[("a.ndjson", &first), ("b.json", &second)]).await;
        let report = made.rebuild(&made.pages);
        assert_eq!((lines(&report), report.records), (String::new(), 3));
        for (page, from, to, what) in [
            (0, "{\"id\":01}", "{\"id\":02}", "record 1 in quarantine is not what the page has"),
            (0, "{\"id\":01}\n", "", "record 1 in quarantine is not"),
            (1, "{\"id\":\"b\",\"id\":\"c\"}", "{\"id\":\"b\",\"id\":\"d\"}", "record 0 in quarantine is not"),
            (1, ",{\"id\":01}", "", "in quarantine"),
        ] {
            let right = fs::read(&made.pages[page]).expect("a page");
            let text = String::from_utf8(right.clone()).expect("text");
            fs::write(&made.pages[page], text.replacen(from, to, 1)).expect("writes");
            let found = lines(&made.rebuild(&made.pages));
            assert!(found.contains(what), "{what}: {found}");
            fs::write(&made.pages[page], right).expect("writes");
        }
        let found = lines(&made.rebuild(&made.pages[..1]));
        assert!(found.contains("more records than the pages"), "{found}");
    }
}

#[tokio::test]
async fn what_was_left_out_on_purpose_is_not_missed_and_nothing_else_is() {
    let dropped = kinds().without("any").and_then(|r| r.without("tags")).expect("fields");
    let make = Make { resource: dropped, ..Make::new(Arc::new(Parquet::default())) };
    let made = make.run(&[("p.ndjson", &page(&RECORDS))]).await;
    let compare = |made: &Made, page: &PathBuf| {
        let mut report = made.verify();
        let rebuild = Rebuild::new(&kinds(), [page]).expect("pages");
        rebuild.compare(&LocalPublished::new(&made.out), &Which::default(), &mut report).expect("compares");
        lines(&report)
    };
    assert_eq!(compare(&made, &made.pages[0]), "");
    let changed = made.dir.path().join("changed.ndjson");
    for (from, to, found) in [("\"tags\":[\"x\"", "\"tags\":[\"w\"", ""), ("\"zzz\"", "\"yyy\"", "$.yyy")] {
        fs::write(&changed, String::from_utf8(page(&RECORDS)).expect("text").replace(from, to)).expect("writes");
        let lines = compare(&made, &changed);
        assert_eq!(lines.is_empty(), found.is_empty(), "{lines}");
        assert!(lines.contains(found), "{lines}");
    }

    let make = Make { unknown: Unknown::Ignore, ..Make::new(Arc::new(Arrow::file())) };
    let made = make.run(&[("p.ndjson", &page(&RECORDS))]).await;
    assert_eq!(compare(&made, &made.pages[0]), "");
    fs::write(&changed, String::from_utf8(page(&RECORDS)).expect("text").replace("\"zzz\"", "\"yyy\""))
        .expect("writes");
    assert_eq!(compare(&made, &changed), "");
    fs::write(&changed, String::from_utf8(page(&RECORDS)).expect("text").replace("\"yes\"", "\"no\"")).expect("writes");
    assert!(compare(&made, &changed).contains("record 2, $.flag"));
}

#[tokio::test]
async fn pages_that_cannot_be_read_and_runs_that_are_not_there_are_said_so() {
    let make = Make { slot: Some("d=1"), ..Make::new(Arc::new(Ndjson)) };
    let made = make.run(&[("p.json", format!("[{}]", RECORDS.join(",")).as_bytes())]).await;
    let right = fs::read(&made.pages[0]).expect("a page");
    for end in (0..right.len()).step_by(11) {
        fs::write(&made.pages[0], &right[..end]).expect("writes");
        assert_eq!(made.rebuild(&made.pages).worst(), Some(Severity::Damage), "cut at {end}");
    }
    for wrong in [&b"7"[..], b"]", b"[", b"\xff", b"\x1f\x8b\x08", b"[{\"id\":\xff}]"] {
        fs::write(&made.pages[0], wrong).expect("writes");
        assert_eq!(made.rebuild(&made.pages).worst(), Some(Severity::Damage));
    }
    fs::write(&made.pages[0], [&right[..], b"1"].concat()).expect("writes");
    assert!(lines(&made.rebuild(&made.pages)).contains("cannot be read"));

    let published = LocalPublished::new(&made.out);
    let kind = |resource: &pagemill::Resource, which: Which| {
        let rebuild = Rebuild::new(resource, &made.pages).expect("pages");
        rebuild.compare(&published, &which, &mut Report::default()).expect_err("refused").kind()
    };
    let slot = pagemill::Slot::new("d=2").expect("a slot");
    assert_eq!(kind(&kinds(), Which { slot: Some(slot), ..Which::default() }), ErrorKind::Config);
    let text = r#"{"x-pagemill":{"table":"t","key":"id"},"properties":{"id":{"type":"string"}}}"#;
    let other = pagemill::Resource::from_json_schema(text).expect("a schema");
    assert_eq!(kind(&other, Which::default()), ErrorKind::Config);
    assert!(Rebuild::new(&kinds(), [made.dir.path().join("nothing")]).is_err());
    let Made { dir, .. } = Make { slot: Some("d=2"), ..make }.run_in(made.dir, &[("q.ndjson", &page(&RECORDS))]).await;
    assert_eq!(kind(&kinds(), Which::default()), ErrorKind::Config, "which of two?");
    drop(dir);
}
