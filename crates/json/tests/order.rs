//! Members in the order of the schema are read by a loop of their own; what it makes of a record is what any other way makes of it.

mod support;

use std::collections::HashSet;

use pagemill_core::Resource;
use pagemill_json::{Decoder, KernelName, Options, Page};
use proptest::prelude::*;
use support::decode;

/// Declared members, each with values that it can hold and one that it cannot.
const MEMBERS: [(&str, &str, [&str; 3]); 8] = [
    ("a", r#"{"type":"string"}"#, [r#""x""#, r#""a text of more than thirty-two bytes, so that it is long""#, "1"]),
    ("bb", r#"{"type":"boolean"}"#, ["true", "false", r#""yes""#]),
    ("a_name_that_is_longer_than_a_label", r#"{"type":"string"}"#, [r#""y""#, r#""""#, "[]"]),
    ("n", r#"{"type":"integer"}"#, ["0", "-7", "1.5"]),
    (
        "t",
        r#"{"type":"string","format":"date-time"}"#,
        [r#""2026-11-23T12:00:00Z""#, r#""2026-11-23T12:00:00.123+01:00""#, r#""noon""#],
    ),
    (
        "o",
        r#"{"properties":{"p":{"type":"string"},"q":{"type":"boolean"}}}"#,
        [r#"{"p":"1","q":true}"#, r#"{"q":false}"#, r#"{"q":true,"p":"2","r":3}"#],
    ),
    (
        "l",
        r#"{"type":"array","items":{"properties":{"p":{"type":"string"},"q":{"type":"boolean"}}}}"#,
        [r#"[{"p":"1"},{"q":true}]"#, "[]", r#"[null,{"q":true,"p":"2"}]"#],
    ),
    ("z", r#"{"type":"string"}"#, [r#""last""#, r#""\u00e9""#, "{}"]),
];

fn resource() -> Resource {
    let members: Vec<_> = MEMBERS.iter().map(|(name, kind, _)| format!("\"{name}\":{kind}")).collect();
    let schema =
        format!(r#"{{"x-pagemill":{{"table":"t","key":"a"}},"type":"object","properties":{{{}}}}}"#, members.join(","));
    Resource::from_json_schema(&schema).expect("a schema")
}

/// Members by their positions, mostly in order and some of them absent, with one that is not declared and one out of place or twice.
fn members() -> impl Strategy<Value = Vec<(usize, usize, &'static str)>> {
    let one = (prop::bool::weighted(0.6), 0usize..4, prop_oneof![4 => Just(""), 1 => Just(" \n")]);
    let odd = prop::collection::vec((0..=MEMBERS.len(), 0..MEMBERS.len() + 1), 0..3);
    (prop::collection::vec(one, MEMBERS.len()), odd).prop_map(|(kept, odd)| {
        let kept = kept.into_iter().enumerate().filter(|(_, (kept, ..))| *kept);
        let mut members: Vec<_> = kept.map(|(n, (_, value, space))| (n, value, space)).collect();
        for (place, member) in odd {
            members.insert(place.min(members.len()), (member, place % 4, ""));
        }
        members
    })
}

/// A record of `members`. With `escaped`, the first letter of each declared name is written so that no name is what is expected.
fn record(members: &[(usize, usize, &str)], escaped: bool) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|&(n, value, space)| {
            let Some((name, _, values)) = MEMBERS.get(n) else { return format!("{space}\"unknown\"{space}:1") };
            let value = values.get(value).copied().unwrap_or("null");
            match escaped {
                true => format!("{space}\"\\u{:04x}{}\":{space}{value}", name.as_bytes()[0], &name[1..]),
                false => format!("{space}\"{name}\":{space}{value}"),
            }
        })
        .collect();
    format!("{{{}}}", members.join(","))
}

fn page(decoder: &mut Decoder, records: &[String]) -> Page {
    let (batches, end) = decode(decoder, [format!("[{}]", records.join(",")).as_bytes()]).expect("a page");
    assert!(batches.is_empty());
    end
}

proptest! {
    #[test]
    fn the_way_that_members_are_found_does_not_matter(records in prop::collection::vec(members(), 1..8)) {
        let twice = |members: &Vec<(usize, usize, &str)>| {
            let mut seen = HashSet::new();
            !members.iter().all(|(n, ..)| seen.insert(*n))
        };
        let plain: Vec<_> = records.iter().map(|members| record(members, false)).collect();
        let escaped: Vec<_> = records.iter().map(|members| record(members, true)).collect();
        for kernel in [None, Some(KernelName::Scalar)] {
            let mut decoder = Decoder::new(&resource(), Options { kernel, ..Options::default() });
            let (plain, escaped) = (page(&mut decoder, &plain), page(&mut decoder, &escaped));
            prop_assert_eq!(&plain.rest, &escaped.rest);
            prop_assert_eq!(&plain.misfits, &escaped.misfits);
            let bad: Vec<_> = plain.bad.iter().map(|bad| bad.record).collect();
            prop_assert_eq!(&bad, &escaped.bad.iter().map(|bad| bad.record).collect::<Vec<_>>());
            let expected: Vec<_> = (0..).zip(&records).filter(|(_, members)| twice(members)).map(|(n, _)| n).collect();
            prop_assert_eq!(bad, expected);
        }
    }
}
