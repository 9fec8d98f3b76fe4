//! A declared member that is left out costs no column, and nothing else is lost with it.

mod support;

use arrow::array::{Array, AsArray};
use support::{all_kinds, decode};

use pagemill_json::{Decoder, Options};

#[test]
fn what_is_left_out_is_passed_and_everything_else_kept() {
    let whole = all_kinds();
    let values = [
        r#"{"x":[1,{"y":"}]"}],"z":"\"]}"}"#,
        r#"["{",[[]],{}]"#,
        r#""text with \" and }""#,
        "null",
        "-1.5e3",
        "true",
        // Not looked into: this is no JSON, but ends where its brackets do.
        r"{nothing [that] is checked}",
    ];
    let record = |i: usize, any: &str| format!(r#"{{"id":"r{i}","any":{any},"count":{i},"tags":["t"],"more":1}}"#);
    let records: Vec<_> = values.iter().enumerate().map(|(i, any)| record(i, any)).collect();
    let page = format!("[{}]", records.join(" , "));
    for name in ["any", "owner"] {
        let resource = whole.clone().without(name).expect("a field");
        let mut decoder = Decoder::new(&resource, Options::default());
        for size in [1, 7, 64, 10_000] {
            let (batches, end) = decode(&mut decoder, page.as_bytes().chunks(size)).expect("a good page");
            assert!(batches.is_empty());
            assert!(end.rest.column_by_name(name).is_none());
            let bad = if name == "any" { 0 } else { 1 };
            assert_eq!((end.rows, end.bad.len()), (7 - bad as u64, bad), "without {name}");
            let ids = end.rest["id"].as_string::<i32>();
            assert!((0..ids.len()).all(|i| ids.value(i) == format!("r{i}")));
            // The other member that no column takes is still kept.
            let extra = end.rest["_extra"].as_string::<i32>();
            assert!(extra.iter().all(|text| text == Some(r#"{"more":1}"#)));
        }
    }
}

#[test]
fn one_that_is_left_out_may_not_come_twice_nor_stay_open() {
    let resource = all_kinds().without("any").expect("a field");
    let mut decoder = Decoder::new(&resource, Options::default());
    for bad in [r#"{"any":1,"id":"a","any":2}"#, r#"{"any":[1,"id":"a"}"#, r#"{"any":}"#, r#"{"any":01}"#] {
        let page = format!(r#"[{bad},{{"id":"good"}}]"#);
        match decode(&mut decoder, [page.as_bytes()]) {
            Ok((_, end)) => assert_eq!((end.rows, end.bad.len()), (1, 1), "{bad}"),
            Err(error) => assert!(bad.contains("[1,"), "{bad}: {error}"),
        }
    }
}
