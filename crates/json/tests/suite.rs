//! The 318 texts of JSONTestSuite, and numbers by their exact decimal value.

mod support;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use bytes::Bytes;
use pagemill_core::Resource;
use pagemill_json::{Decoder, Options};
use support::{Outcome, comparable, decode};

/// Name and bytes of each text.
fn suite() -> Vec<(String, Vec<u8>)> {
    let plain = |text: &str| {
        let (mut out, mut rest) = (Vec::new(), text.as_bytes());
        while let [first, after @ ..] = rest {
            (out, rest) = match (first, after) {
                (b'\\', [b'x', a, b, after @ ..]) => {
                    let digit = |c: &u8| char::from(*c).to_digit(16).expect("a digit") as u8;
                    out.push(digit(a) << 4 | digit(b));
                    (out, after)
                }
                (b'\\', [_, after @ ..]) => ([out, vec![b'\\']].concat(), after),
                _ => ([out, vec![*first]].concat(), after),
            };
        }
        out
    };
    let line = |line: &str| {
        let mut words = line.split(' ');
        let name = words.next().expect("a name").to_owned();
        let (times, again) = words.next().and_then(|word| word.split_once('*')).expect("a repetition");
        let mut bytes = plain(again).repeat(times.parse().expect("a number"));
        bytes.extend(plain(words.next().unwrap_or_default()));
        (name, bytes)
    };
    include_str!("support/suite.txt").lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

/// What the suite leaves open, and we accept: numbers, which are kept as they are, whatever their size.
///
/// Refused are: halves of surrogate pairs, bytes that are no UTF-8 (UTF-16 among them), a byte order mark anywhere but at the
/// beginning of a page, and 500 arrays within each other.
const OPEN_AND_ACCEPTED: [&str; 10] = [
    "i_number_double_huge_neg_exp",
    "i_number_huge_exp",
    "i_number_neg_int_huge_exp",
    "i_number_pos_double_huge_exp",
    "i_number_real_neg_overflow",
    "i_number_real_pos_overflow",
    "i_number_real_underflow",
    "i_number_too_big_neg_int",
    "i_number_too_big_pos_int",
    "i_number_very_big_negative_int",
];

fn resource() -> Resource {
    let schema = r#"{"x-pagemill":{"table":"t"},"properties":{"any":{},"i":{"type":"integer"},"f":{"type":"number"},
        "s":{"type":"string"}}}"#;
    Resource::from_json_schema(schema).expect("a schema")
}

fn good(outcome: &Outcome) -> bool {
    outcome.as_ref().is_ok_and(|(_, page)| page.bad.is_empty())
}

/// The ways to put a text into a page where any value may be.
const AROUND: [(&str, &str); 5] = [
    ("[{\"any\":", "}]"),
    ("[{\"unknown\":", "}]"),
    ("{\"result\":[{\"any\":", "}],\"next_cursor\":null}"),
    ("{\"result\":{\"k\":{\"any\":", "}},\"next_cursor\":null}"),
    ("{\"other\":", ",\"result\":[],\"next_cursor\":null}"),
];

#[test]
fn each_text_of_the_suite_has_its_verdict() {
    let resource = resource();
    let mut decoder = Decoder::new(&resource, Options::default());
    let (mut yes, mut no, mut open, mut accepted) = (0, 0, 0, Vec::new());
    for (name, text) in suite() {
        let verdicts: Vec<_> = AROUND
            .iter()
            .map(|(before, after)| {
                good(&decode(&mut decoder, [&[before.as_bytes(), &text, after.as_bytes()].concat()[..]]))
            })
            .collect();
        assert!(verdicts.iter().all(|v| *v == verdicts[0]), "{name}: {verdicts:?}");
        match name.as_bytes()[0] {
            b'y' => (yes += 1, assert!(verdicts[0], "{name}")).0,
            b'n' => (no += 1, assert!(!verdicts[0], "{name}")).0,
            _ => {
                open += 1;
                if verdicts[0] {
                    accepted.push(name.clone());
                }
            }
        }
        // As a record: then it has to be an object, with names that differ.
        let record = decode(&mut decoder, [&[b"{\"result\":[", &text[..], b"],\"next_cursor\":null}"].concat()[..]]);
        let object = text.trim_ascii().starts_with(b"{") && !name.contains("duplicated");
        // Nothing between the brackets is no record, and no fault.
        let nothing = text.trim_ascii().is_empty();
        assert_eq!(good(&record), (name.starts_with('y') && object) || nothing, "{name}");
    }
    assert_eq!((yes, no, open), (95, 188, 35));
    assert_eq!(accepted, OPEN_AND_ACCEPTED);
}

#[test]
fn each_text_cut_at_each_byte_gives_the_same() {
    let resource = resource();
    let mut decoder = Decoder::new(&resource, Options::default());
    let mut cuts = 0;
    for (name, text) in suite() {
        for (before, after) in [("", ""), ("{\"result\":[{\"any\":", "}],\"next_cursor\":null}")] {
            let page = [before.as_bytes(), &text, after.as_bytes()].concat();
            let whole = comparable(&decode(&mut decoder, [&page[..]]));
            if page.len() <= 2_000 {
                for at in 0..=page.len() {
                    let (first, second) = page.split_at(at);
                    assert_eq!(comparable(&decode(&mut decoder, [first, second])), whole, "{name} at {at}");
                    cuts += 1;
                }
            }
            assert_eq!(comparable(&decode(&mut decoder, page.chunks(1))), whole, "{name} byte by byte");
            cuts += 1;
        }
    }
    assert!(cuts > 15_000, "{cuts}");
}

#[test]
fn a_byte_order_mark_is_passed_once_at_the_beginning() {
    let resource = resource();
    let mut decoder = Decoder::new(&resource, Options::default());
    let page = "{\"result\":[{\"any\":1}],\"next_cursor\":null}";
    let mut run = |bytes: Vec<u8>| {
        let whole = decode(&mut decoder, [&bytes[..]]);
        assert_eq!(comparable(&decode(&mut decoder, bytes.chunks(1))), comparable(&whole));
        good(&whole)
    };
    let wide = |unit: fn(u16) -> Vec<u8>, mark: bool| -> Vec<u8> {
        mark.then_some(0xfeff).into_iter().chain(page.encode_utf16()).flat_map(unit).collect()
    };
    assert!(run(format!("\u{feff}{page}").into_bytes()));
    assert!(!run(format!("\u{feff}\u{feff}{page}").into_bytes()));
    assert!(!run(format!(" \u{feff}{page}").into_bytes()));
    assert!(!run(format!("{page}\u{feff}").into_bytes()));
    for mark in [true, false] {
        assert!(!run(wide(|u| u.to_le_bytes().to_vec(), mark)) && !run(wide(|u| u.to_be_bytes().to_vec(), mark)));
        assert!(!run(wide(|u| u32::from(u).to_le_bytes().to_vec(), mark)));
        assert!(!run(wide(|u| u32::from(u).to_be_bytes().to_vec(), mark)));
    }
}

/// A number's exact value: whether it is below zero, its digits without zeros at either end, and the power of ten of the last.
fn decimal(text: &str) -> (bool, String, i64) {
    let (neg, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let mut exponent = exponent.parse::<i64>().expect("an exponent") - fraction.len() as i64;
    let shorter = digits.trim_end_matches('0');
    exponent += (digits.len() - shorter.len()) as i64;
    match shorter.trim_start_matches('0') {
        "" => (false, String::new(), 0),
        digits => (neg, digits.to_owned(), exponent),
    }
}

/// Whether it is an integer of 64 bits.
fn integer((neg, digits, exponent): &(bool, String, i64)) -> Option<i64> {
    if *exponent < 0 || *exponent > 20 {
        return digits.is_empty().then_some(0);
    }
    let text = format!("{}{digits}{}", if *neg { "-" } else { "" }, "0".repeat(*exponent as usize));
    if digits.is_empty() { Some(0) } else { text.parse().ok() }
}

/// Numbers of all shapes, by a generator of their own.
fn numbers(count: usize) -> Vec<String> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let edges = [
        "0",
        "-0",
        "0.0",
        "-0.0",
        "0e0",
        "1e999",
        "-1e999",
        "1e-999",
        "5e-324",
        "2e-324",
        "1.7976931348623157e308",
        "1.7976931348623159e308",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "1.0",
        "1e2",
        "100e-2",
        "12e-1",
        "0.1",
        "0.30000000000000004",
        "9007199254740993",
        "9007199254740992.0",
        "1e22",
        "1e23",
        "123456789012345678901234567890",
        "0.1000000000000000055511151231257827021181583404541015625",
        "1E400",
        "1e+2",
        "1e0000000002",
        "1e-0",
    ];
    let mut all: Vec<_> = edges.iter().map(|e| (*e).to_owned()).collect();
    for digits in [1_022, 1_023, 1_024] {
        all.push("7".repeat(digits));
    }
    while all.len() < count {
        let n = next();
        let sign = if n & 1 == 0 { "" } else { "-" };
        let digits = |n: u64, most: u64| n.to_string().chars().take((n % most) as usize + 1).collect::<String>();
        let text = match n >> 1 & 7 {
            0 => format!("{sign}{}", next()),
            1 => format!("{sign}{}", next() >> 1),
            2 => format!("{}", f64::from_bits(next())).replace("inf", "1").replace("NaN", "2").replace("-0.", "0."),
            3 => format!("{:e}", f64::from_bits(next())).replace("inf", "1").replace("NaN", "2"),
            4 => format!("{sign}{}.{}", next() % 100_000, digits(next(), 4)),
            5 => format!("{sign}{}.{}e{}", next() % 10, digits(next(), 19), next() as i64 % 330),
            6 => format!("{sign}{}{}e-{}", next(), next(), next() % 60),
            _ => format!("{sign}{}000e{}", next() % 1_000 + 1, next() % 20),
        };
        all.push(text);
    }
    all
}

#[test]
fn a_quarter_of_a_million_numbers_keep_their_value_in_each_of_four_columns() {
    let resource = resource();
    let mut decoder = Decoder::new(&resource, Options::default());
    let texts = numbers(250_000);
    let mut checks = 0;
    for texts in texts.chunks(5_000) {
        let records: Vec<_> = texts.iter().map(|t| format!("{{\"any\":{t},\"i\":{t},\"f\":{t},\"s\":{t}}}")).collect();
        let mut page = Bytes::from(format!("[{}]", records.join(",")));
        let mut batches: Vec<RecordBatch> = Vec::new();
        decoder.reset();
        while let Some(batch) = decoder.decode(&mut page).expect("a good page") {
            batches.push(batch);
        }
        let end = decoder.finish_page().expect("a good page");
        assert_eq!((end.rows, end.bad.len()), (texts.len() as u64, 0));
        batches.push(end.rest);
        let mut texts = texts.iter();
        for batch in &batches {
            let column = |name: &str| batch.column_by_name(name).expect("a column");
            let (any, text) = (column("any").as_string::<i32>(), column("s").as_string::<i32>());
            let (int, float) = (column("i").as_primitive::<Int64Type>(), column("f").as_primitive::<Float64Type>());
            let extra = column("_extra").as_string::<i32>();
            for row in 0..batch.num_rows() {
                let number = texts.next().expect("a number");
                let exact = decimal(number);
                assert_eq!((any.value(row), text.value(row)), (number.as_str(), number.as_str()));
                let held = integer(&exact);
                assert_eq!((!int.is_null(row)).then(|| int.value(row)), held, "{number}");
                let double = (!float.is_null(row)).then(|| float.value(row));
                let nearest = number.parse::<f64>().expect("a number");
                let holds = nearest.is_finite() && decimal(&format!("{nearest:e}")) == exact;
                assert_eq!(double.map(f64::to_bits), holds.then(|| nearest.to_bits()), "{number}");
                let kept = match (held, double) {
                    (Some(_), Some(_)) => None,
                    (None, Some(_)) => Some(format!("{{\"i\":{number}}}")),
                    (Some(_), None) => Some(format!("{{\"f\":{number}}}")),
                    (None, None) => Some(format!("{{\"i\":{number},\"f\":{number}}}")),
                };
                assert_eq!((!extra.is_null(row)).then(|| extra.value(row)), kept.as_deref(), "{number}");
                checks += 4;
            }
        }
        assert!(texts.next().is_none());
    }
    assert_eq!(checks, 1_000_000);
}
