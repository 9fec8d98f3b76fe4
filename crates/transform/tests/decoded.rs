//! From JSON text to flat tables and back to the records, with the real decoder.

mod support;

use arrow::{array::RecordBatch, compute::concat_batches};
use bytes::Bytes;
use pagemill_core::Resource;
use pagemill_core::Transform;
use pagemill_json::{Decoder, Options};
use pagemill_transform::{Flatten, Unflatten, records, records_json};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Choices, alike, batch, resource};

/// All records of a page's text, which has no bad ones.
fn read(resource: &Resource, text: &str) -> RecordBatch {
    let mut decoder = Decoder::new(resource, Options::default());
    let mut input = Bytes::copy_from_slice(text.as_bytes());
    let mut batches = Vec::new();
    while let Some(full) = decoder.decode(&mut input).expect("JSON") {
        batches.push(full);
    }
    let page = decoder.finish_page().expect("a page");
    assert!(page.bad.is_empty(), "{:?}", page.bad);
    batches.push(page.rest);
    concat_batches(&resource.schema(), &batches).expect("one schema")
}

/// Flattens and puts back together, whole and in two slices.
fn round_trip(resource: &Resource, nested: &RecordBatch) {
    let flatten = Flatten::new(resource, None);
    let unflatten = Unflatten::new(resource).expect("plans");
    let rows = nested.num_rows();
    for (from, to) in [(0, rows), (0, rows / 2), (rows / 2, rows)] {
        let part = nested.slice(from, to - from);
        let tables = flatten.apply(&batch(part.clone(), from as u64)).expect("flattens");
        assert_eq!(unflatten.apply(&tables).expect("fits"), part);
    }
}

#[test]
fn what_no_column_holds_comes_back_as_it_was_written() {
    let resource = resource(
        r#""s":{"type":"string"},"f":{"type":"number"},"i":{"type":"integer"},"b":{"type":"boolean"},
           "t":{"type":"string","format":"date-time"},"j":{},"ts":{"items":{"type":"string","format":"date-time"}},
           "n":{"items":{"items":{"type":"integer"}}},
           "o":{"properties":{"p":{"properties":{"x":{"type":"integer"}}},"q":{"items":{"type":"integer"}}}},
           "l":{"items":{"properties":{"x":{"type":"integer"},"o":{"properties":{"y":{"type":"string"}}}}}}"#,
    );
    // Each record, and what comes back where that is another text. Members are in the order of the schema.
    let cases = [
        (
            r#"{"id":"plain","s":"\u0061\n\"\\é😀","f":0.5,"i":-9,"b":true}"#,
            Some(r#"{"id":"plain","s":"a\n\"\\é😀","f":0.5,"i":-9,"b":true}"#),
        ),
        (r#"{"id":"numbers","f":1152921504606846977,"i":1.5,"u":1e999}"#, None),
        (r#"{"id":"large","f":1e999,"i":9223372036854775808}"#, None),
        (r#"{"id":"times","t":"2024-02-29T12:00:00.0000005Z","ts":["2024-02-29T12:00:00Z","never",5,null]}"#, None),
        (
            r#"{"id":"zone","t":"2024-02-29T12:00:00.5+02:00"}"#,
            Some(r#"{"id":"zone","t":"2024-02-29T10:00:00.500000Z"}"#),
        ),
        (r#"{"id":"types","s":[1,"a"],"b":"yes","t":0,"ts":{"0":1},"n":[[1,"x"],{"0":0},[]],"l":5}"#, None),
        (r#"{"id":7,"s":1.50}"#, Some(r#"{"id":"7","s":"1.50"}"#)),
        (r#"{"id":"blank","o":{},"l":[]}"#, None),
        (r#"{"id":"blank in blank","o":{"p":{}}}"#, None),
        (r#"{"id":"not blank","o":{"q":[]}}"#, None),
        (r#"{"id":"misfit","o":{"p":"p","q":[1,"1"]}}"#, None),
        (r#"{"id":"unknown","o":{"p":{"x":1,"z":[{"a":"\u00e9"}]},"z":{}},"z":{"o":{}}}"#, None),
        (r#"{"id":"items","l":[null,{},3,[],"s",{"o":{}},{"x":1,"o":{"y":"y","z":1}},{"x":"1"}]}"#, None),
        (r#"{"id":"nulls","s":null,"o":null,"l":null,"n":[null,[null]]}"#, Some(r#"{"id":"nulls","n":[null,[null]]}"#)),
        (r#"{"id":"json","j":{"a":[1.0,1e2,null]}}"#, None),
    ];
    let page: Vec<_> = cases.iter().map(|(record, _)| *record).collect();
    let nested = read(&resource, &page.join("\n"));
    let expected: Vec<_> = cases.iter().map(|(record, other)| other.unwrap_or(record)).collect();
    let found = records_json(&nested, &resource).expect("records");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
    round_trip(&resource, &nested);
    // Records that came back are read to the same batch: they say the same.
    assert_eq!(read(&resource, &found.join("\n")), nested);
}

#[test]
fn the_deepest_records_come_back() {
    let resource = resource(r#""j":{}"#);
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let text = format!(r#"{{"j":{0},"u":{0}}}"#, deep(127));
    let nested = read(&resource, &text);
    assert_eq!(records_json(&nested, &resource).expect("records"), [text]);
    assert_eq!(records(&nested, &resource).expect("values").len(), 1);
    round_trip(&resource, &nested);
}

/// `PROPTEST_CASES` many, or this many.
fn cases(n: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(n);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn records_come_back(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut choices = Choices(&bytes);
        let resource = if choices.pick(8) == 1 {
            Resource::builtin("instant-messaging/members").expect("built in")
        } else {
            let document = json!({"title": "t", "properties": choices.properties(3)});
            Resource::from_json_schema(&document.to_string()).expect("a schema")
        };
        let originals: Vec<Value> = (0..choices.pick(6)).map(|_| choices.record(resource.fields())).collect();
        let pretty = choices.pick(2) == 1;
        let to_text = if pretty { serde_json::to_string_pretty::<Vec<Value>> } else { serde_json::to_string };
        let nested = read(&resource, &to_text(&originals).expect("text"));
        let all_alike = |all: &[Value]| all.iter().map(|r| alike(resource.fields(), r)).collect::<Vec<_>>();
        prop_assert_eq!(
            all_alike(&records(&nested, &resource).expect("records")),
            all_alike(&originals),
        );
        round_trip(&resource, &nested);
    }
}

/// A value of any type in a column of any type, at the first record and far behind it: it is in its column or beside it, and nowhere null.
#[test]
fn a_member_of_any_type_comes_back_from_a_column_of_any_type() {
    let columns = [
        ("text", r#"{"type":"string"}"#),
        ("number", r#"{"type":"number"}"#),
        ("integer", r#"{"type":"integer"}"#),
        ("boolean", r#"{"type":"boolean"}"#),
        ("time", r#"{"type":"string","format":"date-time"}"#),
        ("object", r#"{"properties":{"x":{"type":"integer"}}}"#),
        ("list", r#"{"items":{"type":"integer"}}"#),
        ("any", "{}"),
    ];
    let values = [
        r#""a text""#,
        r#""2024-02-29T12:00:00Z""#,
        "-7",
        "2.5",
        "true",
        "{}",
        r#"{"x":1}"#,
        r#"{"x":"1","y":[null]}"#,
        "[]",
        "[1,2]",
        r#"[1,"2",{"x":null}]"#,
    ];
    let declared: Vec<_> = columns.iter().map(|(name, schema)| format!(r#""{name}":{schema}"#)).collect();
    let resource = resource(&declared.join(","));
    let mut pairs = 0;
    for (name, _) in columns {
        for value in values {
            for before in [0, 1_000] {
                let ordinary = r#"{"id":"ordinary","text":"a","number":0.5,"integer":1,"boolean":false}"#;
                let odd = format!(r#"{{"id":"odd","{name}":{value}}}"#);
                let page: String =
                    std::iter::repeat_n(ordinary, before).chain([&*odd]).flat_map(|r| [r, "\n"]).collect();
                let nested = read(&resource, &page);
                let found = records_json(&nested, &resource).expect("records");
                let last: Value = serde_json::from_str(found.last().expect("a record")).expect("JSON");
                // A column of texts holds the digits of a number as a text.
                let number = name == "text" && value.parse::<f64>().is_ok();
                let expected: Value = serde_json::from_str(value).expect("JSON");
                let expected = if number { Value::from(value) } else { expected };
                // -7 and -7.0 are one number.
                let same = last[name] == expected
                    || matches!((last[name].as_f64(), expected.as_f64()), (Some(a), Some(b)) if a == b);
                assert!(same && last["id"] == "odd", "{name}: {value} after {before}: {last}");
                assert_eq!(last.as_object().map(serde_json::Map::len), Some(2), "{last}");
                assert_eq!(found.len(), before + 1);
                round_trip(&resource, &nested);
                pairs += 1;
            }
        }
    }
    assert_eq!(pairs, 8 * 11 * 2);
}
