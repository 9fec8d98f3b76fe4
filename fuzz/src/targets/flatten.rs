//! Flat tables can be turned back into the nested batch, and how batches are cut leaves no trace in them.

use crate::{Input, decode};
use arrow::compute::concat_batches;
use pagemill_core::{Batch, Table, Transform};
use pagemill_json::Decoder;
use pagemill_transform::{Flatten, Unflatten, records_json};

/// Does it with one input.
pub fn run(data: &[u8]) {
    let Some(input) = Input::new(data) else { return };
    let mut decoder = Decoder::new(input.resource, input.plain_options(None));
    let outcome = decode(&mut decoder, [&*input.page]);
    let nested = concat_batches(&decoder.schema(), outcome.all_batches()).expect("one schema");
    let flatten = Flatten::new(input.resource, Some("account".into()));
    let unflatten = Unflatten::new(input.resource).expect("a plan");
    let planned = flatten.tables(nested.schema_ref()).expect("a plan");
    let apply = |records, first_row| {
        let tables = flatten.apply(&Batch { records, first_row, end: None }).expect("tables");
        for table in &tables {
            assert!(planned.iter().any(|p| p.name == table.name && p.schema == *table.rows.schema_ref()));
        }
        tables
    };

    let whole = apply(nested.clone(), 40);
    let back = unflatten.apply(&whole).expect("a batch");
    assert_eq!(back, nested);
    assert_eq!(records_json(&back, input.resource).ok(), records_json(&nested, input.resource).ok());

    let cut = input.pick(nested.num_rows() + 1);
    let mut parts = apply(nested.slice(0, cut), 40);
    parts.extend(apply(nested.slice(cut, nested.num_rows() - cut), 40 + cut as u64));
    for planned in &planned {
        let rows = |tables: &[Table]| {
            let rows: Vec<_> = tables.iter().filter(|t| t.name == planned.name).map(|t| t.rows.clone()).collect();
            concat_batches(&planned.schema, &rows).expect("one schema")
        };
        assert_eq!(rows(&parts), rows(&whole), "{}", planned.name);
    }
    assert_eq!(unflatten.apply(&parts).expect("a batch"), nested);
}
