//! However the bytes of a page arrive, the same batches and the same errors come out.

mod support;

use support::{all_kinds, comparable, decode, decoder};

const RECORDS: &[&str] = &[
    r#"{"id":"a","flag":true,"count":12,"size":0.5,"at":"2026-11-23T10:00:00.25+01:00","any":{"x":[1,{"y":"}"}],"a":"b", "c" : 1,"d":true ,"e":"é\"","g":null,"h":{"i":false,"j":"k"}},"owner":{"id":"o","rank":3,"home":{"city":"Köln"}},"tags":["x","y\"\\"],"matrix":[[1,2],[],null,[3]],"parts":[{"name":"p","sizes":[1,2.5],"maker":{"id":"m"}},null,{},"odd"]}"#,
    r#"{}"#,
    r#"{"id":17,"flag":"yes","count":1.5,"size":1152921504606846976,"at":"","owner":"me","tags":"x","matrix":[1,[2,"3"]],"unknown":{"a":[]},"parts":{}}"#,
    r#"{ "id" : "\u00e9\ud83d\ude00\n" , "tags" : [ ] , "any" : "text" , "owner" : { } }"#,
    r#"{"id":null,"size":-1e-7,"any":null,"parts":[{"name":null}]}"#,
];

/// Pages in every framing, good and bad.
fn pages() -> Vec<Vec<u8>> {
    let all = RECORDS.join(",");
    let mut pages: Vec<String> = vec![
        format!(r#"{{"result":[{all}],"next_cursor":"c2","result_count":5,"prev_cursor":null}}"#),
        format!("\u{feff} {{ \"next_cursor\" : null , \"is_partial_response\":true, \"results\" : [ {all} ]\n}}\n"),
        format!("[{all}]"),
        RECORDS.join("\n"),
        RECORDS.concat(),
        RECORDS[0].to_owned(),
        format!(r#"{{"debug":{{"result":[1]}},"result":{{"k1":{},"k\n2":{}}},"next_cursor":""}}"#, RECORDS[0], RECORDS[2]),
        String::new(),
        " \n".to_owned(),
        "[]".to_owned(),
        r#"{"result":[],"next_cursor":12}"#.to_owned(),
        // Bad records among good ones.
        format!(r#"{{"result":[{},{{"id":"b","tags":[1,]}},{{"id":01}},{},{{"a":1,"a":2}},{{"id":"x","id":"y"}},3,null],"next_cursor":"z"}}"#, RECORDS[0], RECORDS[3]),
        "[{\"id\":\"a\u{1}b\"},{\"id\":\"\\ud800\"},{\"id\":\"\\x\"},{\"id\":tru},{\"any\":{\"a\":[1 2]}},{\"id\":\"good\"}]".to_owned(),
        // Bad pages.
        "{}\x0c".to_owned(),
        "{}\\\"[\"{\"}".to_owned(),
        "{} \\\" {}".to_owned(),
        format!("{{}}{}", "1".repeat(3_000)),
        format!("[{}]", "1".repeat(3_000)),
        r#"{"id":"a","results":[]}"#.to_owned(),
        format!("[{all}"),
        format!("[{all},]"),
        format!("[{all}] x"),
        format!(r#"{{"result":[{all}],"next_cursor":{{}}}}"#),
        format!(r#"{{"result":[{all}],"result":[]}}"#),
        format!(r#"{{"result":[{all}] "next_cursor":null}}"#),
        r#"{"result":null,"next_cursor":null}"#.to_owned(),
        r#"{"result":[{"id":"a}],"next_cursor":null}"#.to_owned(),
        r#"[{"id":"a"]]"#.to_owned(),
        "nonsense".to_owned(),
        "\"text\"".to_owned(),
        "{\"id\":\"a\"} {\"id\":\"b\"},".to_owned(),
    ];
    pages.push(format!("{{\"a\":\"{}\"}}", "\\\\\\\"".repeat(50)));
    let mut pages: Vec<Vec<u8>> = pages.into_iter().map(String::into_bytes).collect();
    pages.push(b"[{\"id\":\"\xff\"},{\"id\":\"ok\"},{\"\xc3\":1}]".to_vec());
    pages.push(b"{\"result\":[{}],\"x\":\"\xc3\x28\"}".to_vec());
    pages
}

#[test]
fn every_split_in_two_gives_what_the_whole_gives() {
    let resource = all_kinds();
    for page in pages() {
        let mut decoder = decoder(&resource);
        let whole = comparable(&decode(&mut decoder, [&page[..]]));
        for at in 0..=page.len() {
            let (a, b) = page.split_at(at);
            let split = comparable(&decode(&mut decoder, [a, b]));
            assert_eq!(split, whole, "{} cut at {at}", String::from_utf8_lossy(&page));
        }
    }
}

#[test]
fn chunks_of_every_small_size_give_what_the_whole_gives() {
    let resource = all_kinds();
    for page in pages() {
        let mut decoder = decoder(&resource);
        let whole = comparable(&decode(&mut decoder, [&page[..]]));
        for size in 1..=130 {
            let split = comparable(&decode(&mut decoder, page.chunks(size)));
            assert_eq!(split, whole, "{} in chunks of {size}", String::from_utf8_lossy(&page));
        }
    }
}

/// What is read depends on which blocks of 64 bytes are there, so that every place must come to stand at the end of one.
#[test]
fn every_alignment_gives_what_the_whole_gives() {
    let resource = all_kinds();
    for separator in [",", " ,\n", "\n, "] {
        let page = format!("[{}]", [&RECORDS.repeat(3)[..], &RECORDS[..1]].concat().join(separator));
        let mut decoder = decoder(&resource);
        let whole = comparable(&decode(&mut decoder, [page.as_bytes()]));
        for shift in 0..64 {
            let shifted = [vec![b' '; shift], page.clone().into_bytes()].concat();
            for size in [1, 64, 333, 1_000] {
                let mut split = decode(&mut decoder, shifted.chunks(size));
                if let Ok((_, page)) = &mut split {
                    page.bytes -= shift as u64;
                }
                assert_same(&comparable(&split), &whole, &format!("shifted by {shift}, in chunks of {size}"));
            }
        }
    }
}

#[test]
fn pages_longer_than_the_window_survive_any_chunk_size() {
    let resource = all_kinds();
    let all = RECORDS.join(" ,\n");
    let many = vec![all; 700].join(",");
    let page = format!(r#"{{"next_cursor":"n","result":[{many}]}}"#).into_bytes();
    let mut decoder = decoder(&resource);
    let whole = decode(&mut decoder, [&page[..]]);
    assert_eq!(whole.as_ref().map(|(_, p)| (p.records, p.rows, p.bad.len())), Ok((3500, 3500, 0)));
    for size in [1, 63, 64, 65, 1000, 4096, 32_767, 32_768, 32_769, 65_536, 100_000] {
        let split = decode(&mut decoder, page.chunks(size));
        assert_same(&comparable(&split), &comparable(&whole), &format!("in chunks of {size}"));
    }
}

/// As `assert_eq`, but shows only the first difference of what is long.
fn assert_same(found: &str, expected: &str, when: &str) {
    let differ = found.bytes().zip(expected.bytes()).position(|(a, b)| a != b);
    let differ = differ.unwrap_or(found.len().min(expected.len()));
    let near = |text: &str| {
        let bytes = &text.as_bytes()[differ.saturating_sub(200)..text.len().min(differ + 100)];
        String::from_utf8_lossy(bytes).into_owned()
    };
    assert!(found == expected, "{when}: {:?} where there should be {:?}", near(found), near(expected));
}
