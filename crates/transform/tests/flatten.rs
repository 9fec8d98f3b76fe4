//! What each rule of the flat tables does to a record, by hand.

mod support;

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Int64Type, Schema},
};
use pagemill_core::{ErrorKind, Hold, Resource, Table, Transform};
use pagemill_transform::{Flatten, Nested, Unflatten, records, records_json};
use serde_json::{Value, json};
use support::{alike, batch, decode, resource};

const ACCOUNT: &str = "62f44730-dd91-461e-bd6a-aedd9e0ad79d";

/// The tables of `records`, after checking that they can be turned back, with and without garbage under nulls.
fn flatten(resource: &Resource, records: &[Value], first_row: u64) -> Vec<Table> {
    let transform = Flatten::new(resource, Some(ACCOUNT.into()));
    let unflatten = Unflatten::new(resource).expect("plans");
    let [clean, dirty] = [false, true].map(|garbage| {
        let nested = decode(resource, records, garbage);
        let tables = transform.apply(&batch(nested.clone(), first_row)).expect("flattens");
        assert_eq!(unflatten.apply(&tables).expect("fits"), nested);
        let again = pagemill_transform::records(&nested, resource).expect("records");
        let all_alike = |all: &[Value]| all.iter().map(|r| alike(resource.fields(), r)).collect::<Vec<_>>();
        assert_eq!(all_alike(&again), all_alike(records));
        tables
    });
    let rows = |tables: &[Table]| tables.iter().map(|t| t.rows.clone()).collect::<Vec<_>>();
    assert_eq!(rows(&clean), rows(&dirty), "what lies under nulls is not looked at");
    clean
}

fn table<'a>(tables: &'a [Table], name: &str) -> &'a RecordBatch {
    &tables.iter().find(|t| t.name.as_str() == name).unwrap_or_else(|| panic!("no table {name}")).rows
}

/// A column as words: `-` is null.
fn column(rows: &RecordBatch, name: &str) -> String {
    let column = rows.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
    let word = |i| match column.data_type() {
        _ if column.is_null(i) => "-".to_owned(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(i).to_string(),
        DataType::Boolean => column.as_boolean().value(i).to_string(),
        _ => column.as_string::<i32>().value(i).to_owned(),
    };
    (0..column.len()).map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_list_is_a_table_with_the_keys_of_its_record() {
    let members = Resource::builtin("instant-messaging/members").expect("built in");
    let records = [
        json!({"id": "u1", "emails": [{"email": "a@x"}, {"email": "b@x", "is_primary": true}], "languages": []}),
        json!({"id": "u2"}),
        json!({"emails": [{"email": "c@x"}], "languages": ["en", null, "fr"]}),
    ];
    let tables = flatten(&members, &records, 100);
    let names: Vec<_> = tables.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["members", "members_emails", "members_languages"], "tables without rows are left out");

    let root = table(&tables, "members");
    assert_eq!(column(root, "integrated_account_id"), [ACCOUNT; 3].join(" "));
    assert_eq!(column(root, "_row"), "100 101 102");
    assert_eq!(column(root, "emails_count"), "2 - 1");
    assert_eq!(column(root, "languages_count"), "0 - 3", "null and empty are told apart");

    let emails = table(&tables, "members_emails");
    assert_eq!(column(emails, "integrated_account_id"), [ACCOUNT; 3].join(" "));
    assert_eq!(column(emails, "_row"), "100 100 102");
    assert_eq!(column(emails, "members_id"), "u1 u1 -");
    assert_eq!(column(emails, "_index"), "0 1 0");
    assert_eq!(column(emails, "email"), "a@x b@x c@x");
    assert_eq!(column(emails, "is_primary"), "- true -");
    assert_eq!(column(table(&tables, "members_languages"), "value"), "en - fr");
}

#[test]
fn values_are_shared_not_copied() {
    let resource = resource(r#""l":{"items":{"properties":{"s":{"type":"string"}}}}"#);
    let nested =
        decode(&resource, &[json!({"l": [{"s": "one"}, {"s": "two"}]}), json!({"l": [{"s": "three"}]})], false);
    let tables = Flatten::new(&resource, None).apply(&batch(nested.slice(1, 1), 1)).expect("flattens");
    let theirs = nested.column_by_name("l").expect("column").as_list::<i32>().values().as_struct().column(0).clone();
    let ours = table(&tables, "t_l").column_by_name("s").expect("column");
    assert_eq!(ours.as_string::<i32>().values().as_ptr(), theirs.as_string::<i32>().values().as_ptr());
    assert_eq!(column(table(&tables, "t_l"), "s"), "three");
}

#[test]
fn without_an_account_or_a_key_their_columns_are_null_or_missing() {
    let resource =
        Resource::from_json_schema(r#"{"title":"t","properties":{"l":{"items":{"type":"integer"}}}}"#).expect("reads");
    let nested = decode(&resource, &[json!({"l": [5, 6]})], false);
    let tables = Flatten::new(&resource, None).apply(&batch(nested, 0)).expect("flattens");
    let names: Vec<_> = table(&tables, "t_l").schema_ref().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["integrated_account_id", "_row", "_index", "value"]);
    assert_eq!(column(table(&tables, "t_l"), "integrated_account_id"), "- -");
}

#[test]
fn lists_in_lists_know_their_place_at_every_level() {
    let resource = resource(
        r#""s":{"properties":{"l":{"items":{"properties":{"m":{"items":{"type":"integer"}},"x":{"type":"string"}}}}}}"#,
    );
    let records = [
        json!({"id": "r0", "s": {"l": [{"m": [1]}, {"m": []}, null, {"m": [2, 3]}]}}),
        json!({"id": "r1", "s": {"l": null}}),
        json!({"id": "r2", "s": {"l": [{"m": null, "x": "y"}, {"m": [4]}]}}),
    ];
    let tables = flatten(&resource, &records, 7);
    assert_eq!(column(table(&tables, "t"), "s_l_count"), "4 - 2");
    let child = table(&tables, "t_s_l");
    assert_eq!(column(child, "_index"), "0 1 2 3 0 1");
    assert_eq!(column(child, "m_count"), "1 0 - 2 - 1");
    let grandchild = table(&tables, "t_s_l_m");
    assert_eq!(column(grandchild, "_row"), "7 7 7 9");
    assert_eq!(column(grandchild, "t_id"), "r0 r0 r0 r2");
    assert_eq!(column(grandchild, "t_s_l_index"), "0 3 3 1");
    assert_eq!(column(grandchild, "_index"), "0 0 1 0");
    assert_eq!(column(grandchild, "value"), "1 2 3 4");
}

#[test]
fn lists_of_lists_have_a_table_for_each_level() {
    let resource = resource(r#""n":{"items":{"items":{"items":{"type":"string"}}}}"#);
    let records = [json!({"n": [[["a"], []], null, []]}), json!({"n": [[["b", null], 5], {"0": 1}]})];
    let tables = flatten(&resource, &records, 0);
    assert_eq!(column(table(&tables, "t_n"), "value_count"), "2 - 0 2 -");
    assert_eq!(column(table(&tables, "t_n_value"), "value_count"), "1 0 2 -");
    assert_eq!(column(table(&tables, "t_n_value_value"), "value"), "a b -");
    assert_eq!(column(table(&tables, "t_n_value_value"), "t_n_value_index"), "0 0 0");
    assert_eq!(column(table(&tables, "t_n_value_value"), "t_n_index"), "0 0 0");
    assert_eq!(column(table(&tables, "t"), "_extra"), r#"- {"n":{"0":{"1":5},"1":{"0":1}}}"#);
}

#[test]
fn structs_null_empty_and_not_an_object_are_told_apart() {
    let resource = resource(
        r#""o":{"properties":{"p":{"properties":{"x":{"type":"string"},"l":{"items":{"type":"string"}}}},"y":{"type":"string"}}}"#,
    );
    let records = [
        json!({"o": null}),
        json!({"o": {}}),
        json!({"o": {"p": {}}}),
        json!({"o": {"p": 5, "y": "y"}}),
        json!({"o": {"p": {"x": {"z": 1}, "u": null}}}),
        json!({"o": [1]}),
        json!({"o": {"p": {"l": []}}}),
        json!({"o": {"p": {"l": {"0": "no list"}}}}),
        json!({"o": {"p": {"l": [{}, "e"]}}}),
    ];
    let tables = flatten(&resource, &records, 0);
    let root = table(&tables, "t");
    assert_eq!(column(root, "o_y"), "- - - y - - - - -");
    assert_eq!(column(root, "o_p_l_count"), "- - - - - - 0 - 2");
    assert_eq!(
        column(root, "_extra"),
        r#"- {"o":{}} {"o":{"p":{}}} {"o":{"p":5}} {"o":{"p":{"x":{"z":1},"u":null}}} {"o":[1]} - {"o":{"p":{"l":{"0":"no list"}}}} {"o":{"p":{"l":{"0":{}}}}}"#
    );
}

#[test]
fn items_null_empty_and_not_an_object_are_told_apart() {
    let resource =
        resource(r#""l":{"items":{"properties":{"x":{"type":"string"},"o":{"properties":{"y":{"type":"string"}}}}}}"#);
    let records = [
        json!({"l": [null, {}, 7, [1], "s", {"x": null}, {"o": {}}, {"x": "x", "u": 1}]}),
        json!({"l": {"not": "a list"}}),
    ];
    let tables = flatten(&resource, &records, 0);
    assert_eq!(column(table(&tables, "t_l"), "x"), "- - - - - - - x");
    assert_eq!(column(table(&tables, "t_l"), "_extra"), r#"- {} 7 [1] "s" {} {"o":{}} {"u":1}"#);
    assert_eq!(column(table(&tables, "t"), "_extra"), r#"- {"l":{"not":"a list"}}"#);
}

#[test]
fn json_and_unknown_members_keep_their_text() {
    let resource = resource(r#""j":{},"l":{"items":{}},"f":{"type":"number"}"#);
    let big = r#"{"f":1e999,"u":[10000000000000000000000000.0]}"#;
    let mut nested = decode(&resource, &[json!({"j": {"b": [1, null]}, "l": [1, null, {"x": 2}]})], false);
    let mut columns = nested.columns().to_vec();
    *columns.last_mut().expect("columns") = Arc::new(StringArray::from(vec![big]));
    nested = RecordBatch::try_new(nested.schema(), columns).expect("a batch");
    assert_eq!(
        records_json(&nested, &resource).expect("text"),
        [r#"{"j":{"b":[1,null]},"l":[1,null,{"x":2}],"f":1e999,"u":[10000000000000000000000000.0]}"#]
    );
    let error = records(&nested, &resource).expect_err("no double is that large");
    assert_eq!(error.kind(), ErrorKind::Data);
    let tables = Flatten::new(&resource, None).apply(&batch(nested, 0)).expect("flattens");
    assert_eq!(column(table(&tables, "t"), "_extra"), big);
    assert_eq!(column(table(&tables, "t_l"), "value"), r#"1 - {"x":2}"#);
}

#[test]
fn records_as_deep_as_the_decoder_takes_them_are_values() {
    let resource = resource(r#""j":{}"#);
    let deep: Value = (0..600).fold(json!(1), |inner, _| json!([inner]));
    let nested = decode(&resource, &[json!({"j": deep})], false);
    assert_eq!(records(&nested, &resource).expect("a value"), [json!({"j": deep})]);
    let deeper: Value = (0..1_024).fold(json!(1), |inner, _| json!([inner]));
    assert!(records(&decode(&resource, &[json!({"j": deeper})], false), &resource).is_err());
}

#[test]
fn a_column_and_extra_cannot_both_have_a_value() {
    let resource = resource(r#""o":{"properties":{"x":{"type":"string"}}},"l":{"items":{"type":"string"}}"#);
    let clean = decode(&resource, &[json!({"id": "i", "o": {"x": "x"}, "l": ["a"]})], false);
    for (extra, path) in [
        (r#"{"id":1}"#, "$.id"),
        (r#"{"o":1}"#, "$.o"),
        (r#"{"o":{"x":1}}"#, "$.o.x"),
        (r#"{"l":{"0":1}}"#, "$.l[0]"),
        (r#"{"l":{"1":1}}"#, "$.l"),
        ("5", "$"),
        ("{", "$"),
    ] {
        let mut columns = clean.columns().to_vec();
        *columns.last_mut().expect("columns") = Arc::new(StringArray::from(vec![extra]));
        let nested = RecordBatch::try_new(clean.schema(), columns).expect("a batch");
        let error = records(&nested, &resource).expect_err(extra);
        assert_eq!((error.kind(), error.place().path.as_deref()), (ErrorKind::Data, Some(path)), "{extra}");
    }
}

#[test]
fn an_empty_batch_has_no_rows_but_all_tables_are_announced() {
    let members = Resource::builtin("instant-messaging/members").expect("built in");
    let flatten = Flatten::new(&members, None);
    assert_eq!(flatten.tables(&members.schema()).expect("plans").len(), 8);
    let empty = RecordBatch::new_empty(members.schema());
    assert!(flatten.apply(&batch(empty.clone(), 0)).expect("flattens").is_empty());
    assert_eq!(Unflatten::new(&members).expect("plans").apply(&[]).expect("fits"), empty);
}

#[test]
fn other_columns_are_refused() {
    let members = Resource::builtin("instant-messaging/members").expect("built in");
    let other = Schema::new(vec![Field::new("id", DataType::Utf8, true)]);
    let stranger = RecordBatch::new_empty(Arc::new(other.clone()));
    for transform in [&Flatten::new(&members, None) as &dyn Transform, &Nested::new(&members, None)] {
        assert_eq!(transform.tables(&other).expect_err("other columns").kind(), ErrorKind::Config);
        assert_eq!(transform.apply(&batch(stranger.clone(), 0)).expect_err("other columns").kind(), ErrorKind::Config);
    }
    let collides = resource(r#""l_count":{"type":"integer"},"l":{"items":{"type":"string"}}"#);
    let flatten = Flatten::new(&collides, None);
    for _ in 0..2 {
        let error = flatten.tables(&collides.schema()).expect_err("a collision");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("`l_count`"), "{error}");
    }
    assert!(Unflatten::new(&collides).is_err());
}

#[test]
fn a_long_list_comes_in_pieces_that_fit_together() {
    let resource = resource(r#""l":{"items":{"type":"integer"}}"#);
    let records = [json!({"id": "a", "l": (0..100_000).collect::<Vec<_>>()}), json!({"id": "b", "l": [3]})];
    let tables = flatten(&resource, &records, 0);
    let rows: Vec<_> = tables.iter().map(|t| (t.name.as_str(), t.rows.num_rows())).collect();
    assert_eq!(rows, [("t", 2), ("t_l", 65_536), ("t_l", 34_465)]);
    // One piece to the last row, and one row more.
    for more in [0, 1] {
        let record = json!({"id": "a", "l": (0..65_536 + more).collect::<Vec<_>>()});
        let rows: Vec<_> = flatten(&resource, &[record], 0).iter().map(|t| t.rows.num_rows()).collect();
        assert_eq!(rows, [vec![1, 65_536], vec![1; more]].concat());
    }
}

#[test]
fn tables_that_do_not_fit_together_are_refused() {
    let resource = resource(r#""l":{"items":{"type":"integer"}}"#);
    let records = [json!({"id": "a", "l": [1, 2]}), json!({"id": "b", "l": [3]})];
    let tables = flatten(&resource, &records, 0);
    let unflatten = Unflatten::new(&resource).expect("plans");
    let with_child =
        |rows: RecordBatch| [tables[0].clone(), Table { name: tables[1].name.clone(), rows, hold: Hold::default() }];
    let child = &tables[1].rows;
    let with_column = |i: usize, values: ArrayRef| {
        let mut columns = child.columns().to_vec();
        columns[i] = values;
        with_child(RecordBatch::try_new(child.schema(), columns).expect("a batch"))
    };
    assert!(unflatten.apply(&with_child(child.clone())).is_ok());
    for (what, broken) in [
        ("a row is missing", with_child(child.slice(0, 2))),
        ("a row of another record", with_column(1, Arc::new(Int64Array::from(vec![0, 1, 1])))),
        ("another key", with_column(2, Arc::new(StringArray::from(vec!["a", "b", "b"])))),
        ("another order", with_column(3, Arc::new(Int64Array::from(vec![1, 0, 0])))),
    ] {
        assert_eq!(unflatten.apply(&broken).expect_err(what).kind(), ErrorKind::Data);
    }
    assert!(unflatten.apply(&tables[..1]).is_err(), "the child table is missing");
    let doubled: Vec<_> = tables.iter().chain(&tables[1..]).cloned().collect();
    assert!(unflatten.apply(&doubled).is_err(), "the child table is doubled");
    let members = Unflatten::new(&Resource::builtin("instant-messaging/members").expect("built in"));
    assert!(members.expect("plans").apply(&tables).is_err(), "tables of another resource");
}

#[test]
fn nested_keeps_the_columns_as_they_are() {
    let resource = resource(r#""l":{"items":{"type":"integer"}}"#);
    let nested = decode(&resource, &[json!({"l": [1]}), json!({"l": null})], false);
    let transform = Nested::new(&resource, Some("acc".into()));
    let planned = transform.tables(&resource.schema()).expect("plans");
    let tables = transform.apply(&batch(nested.clone(), 3)).expect("keeps");
    assert_eq!((tables.len(), planned.len()), (1, 1));
    assert_eq!((&tables[0].name, tables[0].rows.schema()), (&planned[0].name, planned[0].schema.clone()));
    assert_eq!(column(&tables[0].rows, "integrated_account_id"), "acc acc");
    assert_eq!(column(&tables[0].rows, "_row"), "3 4");
    assert_eq!(tables[0].rows.columns()[2..], *nested.columns());

    let collides = support::resource(r#""_ROW":{"type":"integer"}"#);
    let error = Nested::new(&collides, None).tables(&collides.schema()).expect_err("a collision");
    assert!(error.to_string().contains("`_ROW`"), "{error}");
}

#[test]
fn ordinals_beyond_64_bits_are_an_error() {
    let resource = resource(r#""x":{"type":"string"}"#);
    let nested = decode(&resource, &[json!({}), json!({})], false);
    for first_row in [u64::MAX, i64::MAX as u64] {
        assert!(Flatten::new(&resource, None).apply(&batch(nested.clone(), first_row)).is_err());
    }
}
