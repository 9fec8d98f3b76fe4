//! Each limit: one below it and at it are fine, one above it is not, however the bytes come.

mod support;

use pagemill_core::Resource;
use pagemill_json::{Decoder, Limits, Options};
use support::{comparable, decode};

/// A limit, set to a number, and a page that needs so much of it.
type Case = (&'static str, usize, fn(usize) -> Limits, fn(usize) -> String);

const CASES: [Case; 12] = [
    (
        "depth",
        20,
        |depth| Limits { depth, ..Limits::default() },
        |n| format!("[{{\"any\":{}{}}}]", "[".repeat(n - 1), "]".repeat(n - 1)),
    ),
    (
        "depth of a list",
        20,
        |depth| Limits { depth, ..Limits::default() },
        |n| format!("[{{\"l\":{}{}}}]", "[".repeat(n - 1), "]".repeat(n - 1)),
    ),
    ("string", 99, |string| Limits { string, ..Limits::default() }, |n| format!("[{{\"s\":\"{}\"}}]", "x".repeat(n))),
    (
        "string, unknown",
        99,
        |string| Limits { string, ..Limits::default() },
        |n| format!("[{{\"u\":\"{}\"}}]", "x".repeat(n)),
    ),
    ("key", 70, |key| Limits { key, ..Limits::default() }, |n| format!("[{{\"{}\":1}}]", "k".repeat(n))),
    ("number", 40, |number| Limits { number, ..Limits::default() }, |n| format!("[{{\"any\":{}}}]", "1".repeat(n))),
    (
        "members",
        9,
        |members| Limits { members, ..Limits::default() },
        |n| format!("[{{{}}}]", (0..n).map(|i| format!("\"u{i}\":1")).collect::<Vec<_>>().join(",")),
    ),
    (
        "elements",
        9,
        |elements| Limits { elements, ..Limits::default() },
        |n| format!("[{{\"l\":[{}]}}]", vec!["0"; n].join(",")),
    ),
    (
        "record",
        300,
        |record| Limits { record, ..Limits::default() },
        |n| format!("[{{\"any\":{}0}}]", " ".repeat(n - 9)),
    ),
    (
        "cursor",
        50,
        |cursor| Limits { cursor, ..Limits::default() },
        |n| format!("{{\"result\":[],\"next_cursor\":\"{}\"}}", "c".repeat(n)),
    ),
    ("page", 200, |page| Limits { page: page as u64, ..Limits::default() }, |n| format!("[{}]", " ".repeat(n - 2))),
    (
        "bad records",
        3,
        |bad| Limits { bad_records: bad as u64, ..Limits::default() },
        |n| format!("[{}]", vec!["{\"any\":tru}"; n].join(",")),
    ),
];

#[test]
fn each_limit_at_one_less_at_itself_and_at_one_more() {
    let schema = r#"{"x-pagemill":{"table":"t"},"properties":{"any":{},"s":{"type":"string"},"l":{"type":"array"}}}"#;
    let resource = Resource::from_json_schema(schema).expect("a schema");
    for (name, limit, limits, page) in CASES {
        let mut decoder = Decoder::new(&resource, Options { limits: limits(limit), ..Options::default() });
        for (n, fits) in [(limit - 1, true), (limit, true), (limit + 1, false)] {
            let text = page(n);
            let whole = decode(&mut decoder, [text.as_bytes()]);
            for size in [1, 7, 64] {
                let cut = decode(&mut decoder, text.as_bytes().chunks(size));
                assert_eq!(comparable(&cut), comparable(&whole), "{name} {n} by {size}");
            }
            let good = whole.as_ref().is_ok_and(|(_, end)| end.bad.is_empty() || name == "bad records");
            assert_eq!(good, fits, "{name} {n}: {whole:?}");
        }
    }
}

/// What is on where nobody says anything.
#[test]
fn limits_are_on_by_default() {
    let limits = Limits::default();
    assert_eq!((limits.depth, limits.string, limits.key, limits.number), (128, 16 << 20, 64 << 10, 1_024));
    assert_eq!((limits.members, limits.elements, limits.cursor), (100_000, 1_000_000, 8 << 10));
    assert_eq!((limits.record, limits.bad_bytes), (32 << 20, 64 << 20));
}
