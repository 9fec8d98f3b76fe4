//! Random schemas and records: flattening loses, doubles and changes nothing, and can be undone.

mod support;

use arrow::{
    array::{AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::Int64Type,
};
use pagemill_core::{Resource, Table, Transform};
use pagemill_transform::{Flatten, Unflatten, records};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Choices, Places, alike, batch, decode, leaves, own_columns, places};

/// `PROPTEST_CASES` many, or this many.
fn cases(n: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(n);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

struct Case {
    resource: Resource,
    records: Vec<Value>,
    nested: RecordBatch,
    cut: usize,
}

fn case(bytes: &[u8], members: &Resource) -> Case {
    let mut choices = Choices(bytes);
    let resource = if choices.pick(8) == 1 {
        members.clone()
    } else {
        let key = ["string", "integer"][choices.pick(2)];
        let mut properties = json!({"id": {"type": key}});
        let others = choices.properties(3);
        let all = properties.as_object_mut().expect("an object");
        all.extend(others.as_object().expect("an object").clone());
        let document = json!({"x-pagemill": {"table": "t", "key": "id"}, "properties": properties});
        Resource::from_json_schema(&document.to_string()).expect("a schema")
    };
    let garbage = choices.pick(2) == 1;
    let (rows, cut) = (1 + choices.pick(5), choices.pick(6));
    let records: Vec<_> = (0..rows).map(|_| choices.record(resource.fields())).collect();
    let nested = decode(&resource, &records, garbage);
    Case { resource, records, nested, cut: cut.min(rows) }
}

/// The values in flat columns, sorted.
fn flat_leaves(tables: &[Table]) -> Vec<String> {
    let mut out = Vec::new();
    for table in tables {
        for (name, column) in own_columns(table.rows.schema_ref().fields(), table.rows.columns()) {
            leaves(name, column, 0..column.len(), &mut out);
        }
    }
    out.sort();
    out
}

fn nested_leaves(nested: &RecordBatch) -> Vec<String> {
    let mut out = Vec::new();
    for (field, column) in nested.schema_ref().fields().iter().zip(nested.columns()) {
        leaves(field.name(), column, 0..nested.num_rows(), &mut out);
    }
    out.sort();
    out
}

/// The keys that say where each row of a child table comes from.
fn found_places(rows: &RecordBatch) -> Vec<Vec<i64>> {
    let named = rows.schema_ref().fields().iter().zip(rows.columns());
    let keys: Vec<_> =
        named.filter(|(f, _)| f.name() == "_row" || f.name().ends_with("_index")).map(|(_, c)| c).collect();
    (0..rows.num_rows())
        .map(|row| keys.iter().map(|key| key.as_primitive::<Int64Type>().value(row)).collect())
        .collect()
}

fn check(case: &Case) {
    let Case { resource, records: originals, nested, cut } = case;
    let flatten = Flatten::new(resource, Some("account".into()));
    let unflatten = Unflatten::new(resource).expect("plans");
    let planned = flatten.tables(nested.schema_ref()).expect("plans");

    let tables = flatten.apply(&batch(nested.clone(), 40)).expect("flattens");
    for table in &tables {
        assert!(planned.iter().any(|p| p.name == table.name && p.schema == *table.rows.schema_ref()));
    }
    assert_eq!(&unflatten.apply(&tables).expect("fits"), nested);

    // The ledger: every value once, every item one row.
    assert_eq!(flat_leaves(&tables), nested_leaves(nested));
    let mut expected = Places::new();
    for row in 0..nested.num_rows() {
        let fields = nested.schema_ref().fields();
        places(resource.table().as_str(), fields, nested.columns(), row, &[40 + row as i64], &mut expected);
    }
    for planned in &planned[1..] {
        let table = tables.iter().find(|t| t.name == planned.name);
        let found = table.map_or_else(Vec::new, |t| found_places(&t.rows));
        assert_eq!(found, expected.remove(planned.name.as_str()).unwrap_or_default(), "{}", planned.name);
    }
    assert!(expected.is_empty(), "every list has a table");

    // In two batches, which are slices of the one.
    let (first, second) = (nested.slice(0, *cut), nested.slice(*cut, nested.num_rows() - cut));
    let mut parts = Vec::new();
    for (part, first_row) in [(first, 40), (second, 40 + *cut as u64)] {
        let tables = flatten.apply(&batch(part.clone(), first_row)).expect("flattens");
        assert_eq!(unflatten.apply(&tables).expect("fits"), part);
        parts.extend(tables);
    }
    for planned in &planned {
        let rows = |tables: &[Table]| {
            let rows: Vec<_> = tables.iter().filter(|t| t.name == planned.name).map(|t| t.rows.clone()).collect();
            concat_batches(&planned.schema, &rows).expect("one schema")
        };
        assert_eq!(rows(&parts), rows(&tables), "how batches are cut leaves no trace");
    }
    assert_eq!(&unflatten.apply(&parts).expect("fits"), nested);

    // The records themselves.
    let ours = records(nested, resource).expect("records");
    let all_alike = |records: &[Value]| records.iter().map(|r| alike(resource.fields(), r)).collect::<Vec<_>>();
    assert_eq!(all_alike(&ours), all_alike(originals));
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn flat_tables_can_be_turned_back(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let members = Resource::builtin("instant-messaging/members").expect("built in");
        check(&case(&bytes, &members));
    }
}
