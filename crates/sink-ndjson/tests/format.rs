//! The format keeps its promises, and a row is a line for every reader.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use pagemill_core::ErrorKind;
use pagemill_sink::{
    Encoder, Format,
    conformance::{self, Rows, format::edge_values},
};
use pagemill_sink_ndjson::Ndjson;
use serde_json::Value;

fn encode(batch: &RecordBatch) -> pagemill_core::Result<String> {
    let mut encoder = Ndjson.encoder(batch.schema())?;
    encoder.write(batch)?;
    Ok(String::from_utf8(encoder.finish()?.concat()).expect("utf-8"))
}

fn column(name: &str, column: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter([(name, column)]).expect("fits")
}

#[test]
fn it_is_a_format() {
    conformance::format(&Ndjson, &|file| {
        let text = std::str::from_utf8(file).expect("utf-8");
        let read = |line: &str| serde_json::from_str::<Value>(line).expect("a JSON object");
        Rows::Json(text.lines().map(read).collect())
    });
}

#[test]
fn a_row_is_one_line_whatever_counts_as_a_line_break() {
    let rows = edge_values();
    let text = encode(&rows).expect("encodes");
    assert_eq!(text.matches('\n').count(), rows.num_rows());
    assert!(text.ends_with('\n'));
    let breaks = ['\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
    assert!(!text.contains(breaks));
    assert!(!text.contains(|c: char| c != '\n' && c.is_control()));
}

#[test]
fn what_json_cannot_say_is_an_error() {
    for value in [f64::NAN, f64::INFINITY] {
        let error = encode(&column("x", Arc::new(Float64Array::from(vec![value])))).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.to_string().contains("\"x\""), "{error}");
    }
    let field = pagemill_core::resource::json_field("j");
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["{}", "{\"a\":tru}"]));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![texts]).expect("fits");
    let error = encode(&batch).expect_err("refused");
    assert_eq!((error.kind(), error.place().byte), (ErrorKind::Data, Some(5)));

    let schema = Schema::new(vec![Field::new_list("l", Field::new("item", DataType::Date32, true), true)]);
    let error = Ndjson.encoder(Arc::new(schema)).map(|_: Box<dyn Encoder>| ()).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("l[]"), "{error}");
}
