//! What RFC 8259 rejects is rejected, with its place; what it accepts is accepted.

mod support;

use arrow::array::AsArray;
use pagemill_core::Resource;
use pagemill_json::{Decoder, Framing, Limits, Next, Options};
use proptest::prelude::*;
use support::{Outcome, all_kinds, decode, decoder};

fn anything() -> Resource {
    Resource::from_json_schema(
        r#"{"x-pagemill":{"table":"t"},"properties":{"any":{},"s":{"type":"string"},"l":{"type":"array"}}}"#,
    )
    .expect("a schema")
}

/// Our verdict on a text as a value that is kept as JSON, and on the same as an unknown member.
fn verdicts(text: &[u8]) -> (Outcome, Outcome) {
    let resource = anything();
    let page = |name: &str| [b"[{\"".as_slice(), name.as_bytes(), b"\":", text, b"}]"].concat();
    let mut decoder = Decoder::new(&resource, Options::default());
    (decode(&mut decoder, [&page("any")[..]]), decode(&mut decoder, [&page("unknown")[..]]))
}

fn good(outcome: &Outcome) -> bool {
    outcome.as_ref().is_ok_and(|(_, page)| page.bad.is_empty())
}

#[test]
fn known_minefields() {
    let accepted: &[&[u8]] = &[
        b"0",
        b"-0",
        b"1.5e-3",
        b"\"\"",
        b"\"\\u0000\"",
        b"\"\\ud83d\\ude00\"",
        b"[]",
        b"{}",
        b"[1, 2 ,3 ]",
        b"\"\x7f\"",
        b"\"\xf0\x9f\x98\x80\"",
        b"{\"a\":{\"b\":[null,true,false]}}",
        b"\"\xe2\x80\xa8\"",
        b"1E+400",
        b"123456789012345678901234567890",
        b" \t\r\n1 ",
    ];
    let rejected: &[&[u8]] = &[
        b"",
        b"01",
        b"1.",
        b".5",
        b"+1",
        b"-",
        b"1e",
        b"0x1",
        b"NaN",
        b"Infinity",
        b"tru",
        b"True",
        b"nul",
        b"[1,]",
        b"[,1]",
        b"[1 2]",
        b"[1,,2]",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{,}",
        b"{a:1}",
        b"{'a':1}",
        b"{1:1}",
        b"{\"a\" 1}",
        b"{\"a\":1 \"b\":2}",
        b"\"\t\"",
        b"\"\\x\"",
        b"\"\\u12\"",
        b"\"\\u12g4\"",
        b"\"\\ud800\"",
        b"\"\\udc00\"",
        b"\"\\ud800\\u0041\"",
        b"\"\xff\"",
        b"\"\xc0\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf4\x90\x80\x80\"",
        b"[1}",
        b"{\"a\":1]",
        b"1 2",
        b"\"a\" \"b\"",
        b"/**/1",
        b"1//",
        b"\x0b1",
        b"\xc2\xa01",
        b"\xe2\x80\x801",
        b"-01",
        b"1.e1",
        b"--1",
        b"\"a",
        b"[",
        b"{",
        b"]",
        b"}",
        b"\\",
        b"\x00",
        b"\"a\nb\"",
        b"[\"\\\"]",
    ];
    for text in accepted {
        let (kept, unknown) = verdicts(text);
        assert!(good(&kept) && good(&unknown), "{} {kept:?}", String::from_utf8_lossy(text));
    }
    for text in rejected {
        let (kept, unknown) = verdicts(text);
        assert!(!good(&kept) && !good(&unknown), "{} {kept:?}", String::from_utf8_lossy(text));
    }
}

/// A JSON text, and some bytes of it changed.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i32>().prop_map(|n| n.to_string()),
        any::<f32>().prop_filter("finite", |f| f.is_finite()).prop_map(|n| format!("{n:e}")),
        "[a-zé\"\\\\\n\u{1}😀]{0,6}".prop_map(|s| serde_json::to_string(&s).expect("a string")),
    ];
    let tree = leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|v| format!("[{}]", v.join(" , "))),
            prop::collection::vec(inner, 0..5).prop_map(|v| format!(
                "{{{}}}",
                v.iter().enumerate().map(|(i, v)| format!("\"k{i}\":{v}")).collect::<Vec<_>>().join(",")
            )),
        ]
    });
    let damage = prop::collection::vec(
        (any::<prop::sample::Index>(), prop::sample::select(b"{}[]\",:\\ 0-.eEtn\xff\x01u1d8".to_vec()), 0..3u8),
        0..3,
    );
    (tree, damage).prop_map(|(text, damage)| {
        let mut bytes = text.into_bytes();
        for (at, byte, how) in damage {
            let at = at.index(bytes.len() + 1).min(bytes.len());
            match how {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                _ if at < bytes.len() => drop(bytes.remove(at)),
                _ => {}
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn our_verdict_is_that_of_serde_json(text in damaged()) {
        let mut wrapped = b"[{\"any\":".to_vec();
        wrapped.extend_from_slice(&text);
        wrapped.extend_from_slice(b"}]");
        let theirs = serde_json::from_slice::<serde_json::Value>(&wrapped);
        // That is a limit of its numbers, not of the grammar.
        prop_assume!(!theirs.as_ref().is_err_and(|e| e.to_string().contains("out of range")));
        let (kept, _) = verdicts(&text);
        // Damage may break out of the member: then there may be other members, whose names must differ, or other records, which must be objects.
        let stricter = matches!(&kept, Ok((_, page)) if page.bad.iter().all(|b| b.reason.contains("there before") || b.reason.contains("no object")));
        prop_assert!(good(&kept) == theirs.is_ok() || (theirs.is_ok() && stricter), "{:?} {:?}", kept, theirs);
        if good(&kept) && let Ok((_, page)) = &kept {
            let theirs = theirs.expect("accepted").as_array().map(Vec::len);
            prop_assert_eq!(Some(page.rows as usize), theirs);
        }
    }
}

#[test]
fn places_are_named() {
    let resource = all_kinds();
    let mut decoder = decoder(&resource);
    let page = br#"{"result":[{"id":"a"},{"id":"b","parts":[{"name":"x"},{"sizes":[1,2,x]}]}],"next_cursor":null}"#;
    let (_, page) = decode(&mut decoder, [&page[..]]).expect("a page");
    let bad = &page.bad[0];
    assert_eq!((bad.record, bad.offset, bad.error_offset), (1, 22, 68));
    assert_eq!(bad.path, "$.parts[1].sizes[2]");
    assert_eq!(&bad.bytes[..], br#"{"id":"b","parts":[{"name":"x"},{"sizes":[1,2,x]}]}"#);
    assert!(bad.reason.contains("`x`"), "{}", bad.reason);

    let error = decode(&mut decoder, [&br#"{"result":[{"id":"a"} {"id":"b"}]}"#[..]]).expect_err("no comma");
    assert!(error.contains("byte 22") && error.contains("`,` or `]`"), "{error}");
}

#[test]
fn a_good_page_follows_a_bad_one() {
    let resource = all_kinds();
    let mut decoder = decoder(&resource);
    for _ in 0..3 {
        assert!(decode(&mut decoder, [&b"[{\"id\":\"a\"},{\"id\":\"b\""[..]]).is_err());
        let (_, page) =
            decode(&mut decoder, [&b"[{\"id\":\"a\"},{\"id\":1,\"id\":2},{\"id\":\"c\"}]"[..]]).expect("a page");
        assert_eq!((page.rows, page.records, page.bad.len(), page.rest.num_rows()), (2, 3, 1, 2));
    }
}

#[test]
fn each_limit_holds_to_the_byte() {
    let resource = anything();
    let run = |limits: Limits, text: String| {
        let mut decoder = Decoder::new(&resource, Options { limits, ..Options::default() });
        let whole = decode(&mut decoder, [text.as_bytes()]);
        let bytewise = decode(&mut decoder, text.as_bytes().chunks(1));
        assert_eq!(support::comparable(&whole), support::comparable(&bytewise));
        good(&whole)
    };
    let nested = |n: usize| format!("[{{\"any\":{}{}}}]", "[".repeat(n - 1), "]".repeat(n - 1));
    let unknown = |n: usize| format!("[{{\"u\":{}{}}}]", "[".repeat(n - 1), "]".repeat(n - 1));
    let lists = |n: usize| format!("[{{\"l\":{}{}}}]", "[".repeat(n - 1), "]".repeat(n - 1));
    for make in [nested, unknown, lists] {
        assert!(run(Limits::default(), make(128)));
        assert!(!run(Limits::default(), make(129)));
        assert!(!run(Limits::default(), make(100_000)));
        assert!(run(Limits { depth: 3, ..Limits::default() }, make(3)));
        assert!(!run(Limits { depth: 3, ..Limits::default() }, make(4)));
    }
    let limits = || Limits { string: 100, key: 50, number: 30, record: 1_000, members: 7, ..Limits::default() };
    for name in ["s", "any", "u"] {
        assert!(run(limits(), format!("[{{\"{name}\":\"{}\"}}]", "x".repeat(100))), "{name}");
        assert!(!run(limits(), format!("[{{\"{name}\":\"{}\"}}]", "x".repeat(101))), "{name}");
        assert!(run(limits(), format!("[{{\"{name}\":{}}}]", "1".repeat(30))), "{name}");
        assert!(!run(limits(), format!("[{{\"{name}\":{}}}]", "1".repeat(31))), "{name}");
    }
    assert!(run(limits(), format!("[{{\"{}\":1}}]", "k".repeat(50))));
    assert!(!run(limits(), format!("[{{\"{}\":1}}]", "k".repeat(51))));
    let elements = |n: usize| format!("[{{\"l\":[{}]}}]", vec!["0"; n].join(","));
    assert!(run(Limits { elements: 9, ..Limits::default() }, elements(9)));
    assert!(!run(Limits { elements: 9, ..Limits::default() }, elements(10)));
    let spaced = |n: usize| format!("{{\"result\"{0}:{0}[]}}", " ".repeat(n));
    assert!(run(Limits { space: 70, ..Limits::default() }, spaced(70)));
    assert!(!run(Limits { space: 70, ..Limits::default() }, spaced(80)));
    let members = |n: usize| (0..n).map(|i| format!("\"u{i}\":1")).collect::<Vec<_>>().join(",");
    assert!(run(limits(), format!("[{{{}}}]", members(7))));
    assert!(!run(limits(), format!("[{{{}}}]", members(8))));
    let record = |n: usize| format!("{{\"any\":{}0}}", " ".repeat(n - 9));
    for (before, after) in [("[", "]"), ("", ""), ("{\"result\":[", "]}"), ("{\"result\":{\"k\":", "}}")] {
        assert!(run(limits(), format!("{before}{}{after}", record(1_000))), "{before}");
        assert!(!run(limits(), format!("{before}{}{after}", record(1_001))), "{before}");
        assert!(!run(limits(), format!("{before}{}{after}", record(200_000))), "{before}");
    }
    // Nothing that must be held grows past the limit, closed or not.
    for text in ["{\"", "{\"result\":[{\"", "{\"result\":{\"", "{\"a\"  ", "[\"", "{\"a\":\""] {
        assert!(!run(limits(), format!("{text}{}", "x".repeat(100_000))), "{text}");
        assert!(!run(limits(), format!("{text}{}", " ".repeat(100_000))), "{text}");
    }
    // White space between records is passed, not held.
    assert!(run(limits(), format!("[{0}{{}}{0},{0}{{}}{0}]", " ".repeat(100_000))));
    let page = Limits { page: 20, ..Limits::default() };
    assert!(run(page.clone(), "[{},{},          {}]".into()));
    assert!(!run(page, "[{},{},           {}]".into()));
}

#[test]
fn envelopes_are_told_from_records() {
    let resource = all_kinds();
    let mut decoder = decoder(&resource);
    let mut framing =
        |text: &str| decode(&mut decoder, [text.as_bytes()]).map(|(_, page)| (page.framing, page.rows, page.next));
    let cursor = |c: &str| Next::Cursor(pagemill_core::Cursor::new(c));
    assert_eq!(framing(r#"{"result":[{}],"next_cursor":"a&b"}"#), Ok((Some(Framing::Envelope), 1, cursor("a&b"))));
    assert_eq!(framing(r#"{"next_cursor":"","results":{}}"#), Ok((Some(Framing::Envelope), 0, Next::End)));
    assert_eq!(
        framing(r#"{"limit":3,"x":{"result":1},"result":[{},{}]}"#),
        Ok((Some(Framing::Envelope), 2, Next::Absent))
    );
    assert_eq!(framing(r#"{"id":"result","owner":{"result":[]}}"#), Ok((Some(Framing::Object), 1, Next::Absent)));
    assert_eq!(framing("{}\n{}\n"), Ok((Some(Framing::Lines), 2, Next::Absent)));
    assert_eq!(framing("{}\n{\"result\":[]}\n"), Ok((Some(Framing::Lines), 2, Next::Absent)));
    assert_eq!(framing("[{},{}]"), Ok((Some(Framing::Array), 2, Next::Absent)));
    assert_eq!(framing("  "), Ok((None, 0, Next::Absent)));
    assert_eq!(framing("{\"re\\u0073ult\":[{}],\"next_cursor\":null}"), Ok((Some(Framing::Envelope), 1, Next::End)));
    assert!(framing(r#"{"id":"a","results":[{}]}"#).is_err());
    assert!(framing(r#"{"result":[],"results":[]}"#).is_err());
    assert!(framing(r#"{"result":7}"#).is_err());
    assert!(framing(r#"{"result":[]}{"result":[]}"#).is_err());
    assert!(framing(r#"{"result":[],"result_count":-1}"#).is_err());
}

#[test]
fn long_names_are_read_and_nothing_else_taken_for_them() {
    for len in [28, 29, 30, 31, 40, 255] {
        let name = "n".repeat(len);
        let schema = format!(
            r#"{{"x-pagemill":{{"table":"t"}},"type":"object","properties":{{"{name}":{{"type":"string"}},"b":{{"type":"string"}}}}}}"#
        );
        let resource = Resource::from_json_schema(&schema).expect("a schema");
        let mut decoder = Decoder::new(&resource, Options::default());
        let page = format!(r#"[{{"{name}":"x","b":"y"}},{{"b":"y","{name}":"x"}},{{"{name}x":"z"}}]"#);
        let (_, end) = decode(&mut decoder, [page.as_bytes()]).expect("a good page");
        let column = end.rest.column_by_name(&name).expect("a column").as_string::<i32>();
        assert_eq!(column.iter().collect::<Vec<_>>(), [Some("x"), Some("x"), None]);
        for filler in [&b"x\"a\",\"b\":\"c\""[..], b"\"\"\"\"\"\"", b":1"] {
            let page = [b"[{", &[0xff; 32][..], filler, b"}]", &[b' '; 300]].concat();
            let outcome = decode(&mut decoder, [&page[..]]);
            assert!(outcome.is_err() || outcome.is_ok_and(|(_, end)| end.rows == 0 && end.bad.len() == 1));
        }
    }
}

#[test]
fn no_limit_at_all_is_a_limit_too() {
    let most = usize::MAX;
    let limits = Limits {
        depth: most,
        string: most,
        key: most,
        number: most,
        members: most,
        elements: most,
        space: most,
        record: most,
        cursor: most,
        ..Limits::default()
    };
    let mut decoder = Decoder::new(&all_kinds(), Options { limits, ..Options::default() });
    let page = br#"{"result":[{"id":"a","count":1,"tags":["x"],"u":{"v":[1]}}], "next_cursor" : null}"#;
    for size in [1, 64, 1_000] {
        let (_, end) = decode(&mut decoder, page.chunks(size)).expect("a good page");
        assert_eq!((end.rows, end.bad.len()), (1, 0));
    }
}

#[test]
fn small_limits_hold_where_the_way_is_short() {
    let run = |limits: Limits, page: &str| {
        let mut decoder = Decoder::new(&all_kinds(), Options { limits, ..Options::default() });
        good(&decode(&mut decoder, [page.as_bytes()]))
    };
    let string = |string| Limits { string, ..Limits::default() };
    assert!(run(string(20), r#"[{"at":"2026-11-23T10:00:00Z"}]"#));
    assert!(!run(string(19), r#"[{"at":"2026-11-23T10:00:00Z"}]"#));
    let key = |key| Limits { key, ..Limits::default() };
    assert!(run(key(5), r#"[{"count":1}]"#));
    assert!(!run(key(4), r#"[{"count":1}]"#));
}

#[test]
fn a_quote_that_begins_nothing_is_told_however_the_bytes_come() {
    let page = [b"{}\\\"".as_slice(), &[b' '; 128], b"[]", &[b' '; 60]].concat();
    let limits = Limits { record: 70, ..Limits::default() };
    let mut decoder = Decoder::new(&anything(), Options { limits, ..Options::default() });
    let whole = support::comparable(&decode(&mut decoder, [&page[..]]));
    for size in [1, 63, 64, 65] {
        assert_eq!(support::comparable(&decode(&mut decoder, page.chunks(size))), whole, "in chunks of {size}");
    }
}

#[test]
fn a_character_that_breaks_off_at_the_end_of_the_input_is_called_so_by_every_kernel() {
    use pagemill_json::KernelName;
    let resource = anything();
    for tail in [&b"\xf1"[..], b"\xf1\x80", b"\xf1\x80\x80", b"\xe2\x82", b"\xc3", b"1\xc3"] {
        // The last byte stands at each place of a block, the very last among them.
        for space in 0..130 {
            let page = [&b"{\"s\":\"x\"}\n"[..], &b" ".repeat(space), tail].concat();
            for kernel in [KernelName::Scalar, KernelName::Avx2, KernelName::Avx512, KernelName::Neon] {
                let limits = Limits { bad_records: 1, ..Limits::default() };
                let options = Options { kernel: Some(kernel), limits, ..Options::default() };
                let mut decoder = Decoder::new(&resource, options);
                let (_, read) = decode(&mut decoder, [&page[..]]).expect("one bad record");
                let bad = &read.bad[0];
                assert_eq!(bad.reason, "bytes that are not UTF-8", "{kernel}, {space}");
                assert_eq!(
                    bad.error_offset as usize,
                    page.len() - tail.len() + usize::from(tail[0] == b'1'),
                    "{kernel}"
                );
            }
        }
    }
}
