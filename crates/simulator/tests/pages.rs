//! Pages without a server: the same bytes every time, of the promised sizes, and valid JSON throughout.

use std::collections::{BTreeMap, HashSet};

use pagemill_simulator::{FIELDS, Framing, PageOptions, Profile, Provider, members_page};
use serde_json::Value;

fn lines(seed: u64, indexes: std::ops::Range<u64>, options: PageOptions) -> Vec<u8> {
    members_page(seed, indexes, &PageOptions { framing: Framing::Lines, ..options })
}

fn records(page: &[u8]) -> Vec<Value> {
    page.split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("each record is JSON"))
        .collect()
}

fn clean() -> PageOptions {
    PageOptions { profile: Profile::clean(), ..PageOptions::default() }
}

#[test]
fn the_fields_are_those_of_the_built_in_resource_in_its_order() {
    let resource = pagemill_core::Resource::builtin("instant-messaging/members").expect("built in");
    let declared: Vec<_> = resource.fields().iter().map(|field| field.name.clone()).collect();
    assert_eq!(declared, FIELDS);
}

#[test]
fn twenty_thousand_records_parse_and_have_the_promised_sizes() {
    for (remote_data, target) in [(true, 2_570.0), (false, 1_130.0)] {
        let page = lines(11, 0..20_000, PageOptions { remote_data, ..PageOptions::default() });
        let mean = page.len() as f64 / 20_000.0;
        let mut ids = HashSet::new();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for record in records(&page) {
            let record = record.as_object().expect("a record is an object");
            assert!(ids.insert(record["id"].to_string().trim_matches('"').to_owned()), "{}", record["id"]);
            for (name, _) in record.iter().filter(|(_, value)| !value.is_null()) {
                *seen.entry(name.clone()).or_default() += 1;
            }
        }
        assert_eq!(ids.len(), 20_000);
        for name in FIELDS.iter().filter(|&&name| remote_data || name != "remote_data") {
            assert!(seen.get(*name).is_some_and(|&count| count > 10_000), "{name}: {:?}", seen.get(*name));
        }
        assert!((mean / target - 1.0).abs() < 0.05, "{mean} bytes a record, not {target}");
    }
}

#[test]
fn no_object_has_a_name_twice() {
    struct Unique;
    impl<'de> serde::de::DeserializeSeed<'de> for Unique {
        type Value = ();
        fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            deserializer.deserialize_any(self)
        }
    }
    impl<'de> serde::de::Visitor<'de> for Unique {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("JSON without a name twice in an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            let mut names = HashSet::new();
            while let Some(name) = map.next_key::<String>()? {
                map.next_value_seed(Unique)?;
                if !names.insert(name.clone()) {
                    return Err(serde::de::Error::custom(format!("{name} twice")));
                }
            }
            Ok(())
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
            while seq.next_element_seed(Unique)?.is_some() {}
            Ok(())
        }
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }
        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }
        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }
        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
    }
    use serde::de::DeserializeSeed as _;
    let options = PageOptions { extra_members: 5, ..PageOptions::default() };
    for line in lines(3, 0..5_000, options).split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        Unique.deserialize(&mut serde_json::Deserializer::from_slice(line)).expect("no name twice");
    }
}

#[test]
fn the_seed_decides_every_byte() {
    let page = |seed| members_page(seed, 0..500, &PageOptions::default());
    assert_eq!(page(1), page(1));
    assert_ne!(page(1), page(2));
    assert!(
        records(&lines(1, 0..500, clean()))
            .iter()
            .zip(&records(&lines(2, 0..500, clean())))
            .all(|(a, b)| a["id"] != b["id"])
    );
}

#[test]
fn a_member_is_the_same_in_whatever_page_it_comes() {
    let whole = lines(5, 0..1_000, PageOptions::default());
    for size in [1, 7, 250, 999] {
        let cut: Vec<u8> = (0..1_000)
            .step_by(size)
            .flat_map(|start| lines(5, start..(start + size as u64).min(1_000), PageOptions::default()))
            .collect();
        assert_eq!(cut, whole, "pages of {size}");
    }
}

#[test]
fn no_remote_data_is_the_same_member_without_it() {
    let fat = records(&lines(5, 0..500, PageOptions::default()));
    let lean = records(&lines(5, 0..500, PageOptions { remote_data: false, ..PageOptions::default() }));
    for (mut fat, lean) in fat.into_iter().zip(lean) {
        fat.as_object_mut().expect("an object").remove("remote_data").expect("was there");
        assert_eq!(fat, lean);
    }
}

#[test]
fn every_way_of_writing_means_the_same() {
    let plain = records(&lines(9, 0..300, PageOptions::default()));
    let keyed: Vec<(String, Value)> =
        plain.iter().map(|record| (record["id"].to_string().trim_matches('"').to_owned(), record.clone())).collect();
    for style in 0..8 {
        let options = PageOptions {
            pretty: style & 1 > 0,
            ascii: style & 2 > 0,
            shuffled: style & 4 > 0,
            ..PageOptions::default()
        };
        let page = |framing| members_page(9, 0..300, &PageOptions { framing, ..options.clone() });
        let array = page(Framing::Array);
        assert!(!options.ascii || array.is_ascii());
        // A map's equality does not look at the order of its members.
        assert_eq!(serde_json::from_slice::<Vec<Value>>(&array).expect("an array"), plain);
        assert_eq!(records(&page(Framing::Lines)), plain);
        let envelope: Value = serde_json::from_slice(&page(Framing::Envelope)).expect("an envelope");
        assert_eq!(envelope["result"].as_array(), Some(&plain));
        assert_eq!(envelope["result_count"], 300);
        assert!(envelope["next_cursor"].is_null());
        let by_id: Value = serde_json::from_slice(&page(Framing::Keyed("id".into()))).expect("a keyed envelope");
        let by_id: Vec<_> = by_id["result"].as_object().expect("an object").clone().into_iter().collect();
        assert_eq!(by_id, keyed);
    }
}

#[test]
fn duplicates_lose_under_a_key_and_missing_keys_are_left_out() {
    let plain = records(&lines(9, 0..300, clean()));
    let page = members_page(9, 0..300, &PageOptions { framing: Framing::Keyed("status".into()), ..clean() });
    let page: Value = serde_json::from_slice(&page).expect("a page");
    let mut expected = serde_json::Map::new();
    for record in plain {
        if let Some(status) = record["status"].as_str() {
            expected.insert(status.to_owned(), record.clone());
        }
    }
    assert_eq!(page["result"].as_object(), Some(&expected));
    assert_eq!(page["result_count"], expected.len());
    let none = members_page(9, 0..300, &PageOptions { framing: Framing::Keyed("nothing".into()), ..clean() });
    assert_eq!(serde_json::from_slice::<Value>(&none).expect("a page")["result"], serde_json::json!({}));
}

#[test]
fn the_rich_mix_is_really_there() {
    let page = lines(2, 0..20_000, PageOptions { remote_data: false, ..PageOptions::default() });
    let text = String::from_utf8(page.clone()).expect("UTF-8");
    for what in [
        "\\\"",
        "\\\\",
        "\\n",
        "\\t",
        "\\u00e9",
        "\\ud83d\\u",
        "\\/",
        "é",
        "美咲",
        "\u{1f680}",
        "[]",
        "Z\"",
        "+01:00\"",
    ] {
        assert!(text.contains(what), "{what}");
    }
    let records = records(&page);
    let count = |test: &dyn Fn(&Value) -> bool| records.iter().filter(|record| test(record)).count();
    let known: HashSet<_> = FIELDS.into_iter().collect();
    assert!((50..200).contains(&count(&|r| r["id"].is_number())));
    assert!(
        (50..200).contains(&count(&|r| r.as_object().is_some_and(|r| r.keys().any(|k| !known.contains(k.as_str())))))
    );
    assert!((10..100).contains(&count(&|r| {
        ["emails", "groups", "languages", "organizations", "phones", "urls", "workspaces"]
            .iter()
            .any(|f| r[f].is_string())
    })));
    assert!(count(&|r| r["updated_at"] == "") > 0);
    assert!(count(&|r| r["title"].is_null() && r.get("title").is_some()) > 0);
    assert!(count(&|r| r.get("title").is_none()) > 0);
    assert!(count(&|r| r["emails"].as_array().is_some_and(Vec::is_empty)) > 0);
    assert!(count(&|r| r["emails"].as_array().is_some_and(|list| list.len() > 2)) > 0);
    assert!(
        count(&|r| r["groups"][0]["organization"]["name"].is_string() && r["groups"][0]["workspace"]["id"].is_string())
            > 0
    );
    let mapped = ["active", "inactive", "deleted", "invited"];
    assert!(count(&|r| r["status"].as_str().is_some_and(|status| !mapped.contains(&status))) > 0);
    let digits = |r: &Value, n: usize| {
        ["created_at", "updated_at", "last_active_at"].iter().any(|field| {
            r[field]
                .as_str()
                .and_then(|text| text.split_once('.'))
                .is_some_and(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).count() == n)
        })
    };
    for n in [3, 6, 7] {
        assert!(count(&|r| digits(r, n)) > 0, "{n} digits");
    }
}

#[test]
fn a_clean_profile_has_only_what_the_columns_hold() {
    let known: HashSet<_> = FIELDS.into_iter().collect();
    for record in records(&lines(2, 0..5_000, clean())) {
        let record = record.as_object().expect("an object");
        assert!(record.keys().all(|name| known.contains(name.as_str())));
        assert!(record["id"].is_string());
        for (name, value) in record.iter().filter(|(_, value)| !value.is_null()) {
            match name.as_str() {
                "emails" | "groups" | "languages" | "organizations" | "phones" | "urls" | "workspaces" => {
                    assert!(value.is_array(), "{name}");
                }
                "remote_data" => assert!(value.is_object()),
                "is_email_verified" => assert!(value.is_boolean()),
                name if name.ends_with("_at") => {
                    let text = value.as_str().expect("a date is a string");
                    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
                    assert!(!text.is_empty() && fraction.bytes().take_while(u8::is_ascii_digit).count() <= 6, "{text}");
                }
                _ => assert!(value.is_string(), "{name}"),
            }
        }
    }
}

#[test]
fn remote_data_has_the_shape_of_its_provider() {
    let page = |provider| records(&lines(2, 0..200, PageOptions { provider: Some(provider), ..clean() }));
    for record in page(Provider::Slack) {
        assert_eq!(record["remote_data"]["id"], record["id"]);
        assert!(record["remote_data"]["profile"]["image_512"].is_string());
    }
    for record in page(Provider::Teams) {
        assert_eq!(record["remote_data"]["userId"], record["id"]);
        assert_eq!(record["remote_data"]["@odata.type"], "#microsoft.graph.aadUserConversationMember");
    }
}

#[test]
fn wishes_are_heard() {
    let options = PageOptions {
        exclude: vec!["bio".into(), "emails".into()],
        next_cursor: Some("next\"".into()),
        prev_cursor: Some("previous".into()),
        cursor_first: true,
        extra_members: 3,
        ..clean()
    };
    let page = members_page(1, 10..20, &options);
    assert!(
        page.starts_with(
            b"{\"next_cursor\":\"next\\\"\",\"prev_cursor\":\"previous\",\"result_count\":10,\"result\":["
        )
    );
    let page: Value = serde_json::from_slice(&page).expect("a page");
    for record in page["result"].as_array().expect("records") {
        assert!(record.get("bio").is_none() && record.get("emails").is_none());
        for nth in 0..3 {
            assert!(record.get(format!("x_custom_{nth}")).is_some());
        }
    }
}
