//! What every [`Format`] promises: the rows come back, and the bytes depend on them alone.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, Int64Array, Int64Builder, ListBuilder,
        RecordBatch, StringArray, StringBuilder, StructArray, TimestampMicrosecondArray,
    },
    buffer::{NullBuffer, OffsetBuffer},
    compute::{concat_batches, take_record_batch},
    datatypes::{
        DataType, Field, Fields, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
    },
};
use bytes::Bytes;
use pagemill_core::resource::{is_json, json_field};
use serde_json::{Map, Value};

use crate::{Format, Recut};

/// What a reader made of a file.
pub enum Rows {
    /// Arrow batches, in order.
    Batches(Vec<RecordBatch>),
    /// One JSON object a row, in order.
    Json(Vec<Value>),
}

/// Holds a format to its promises. `read` turns the bytes of one file back into rows.
///
/// # Panics
/// Where a promise is broken.
pub fn format(format: &dyn Format, read: &dyn Fn(&[u8]) -> Rows) {
    assert!(!format.name().is_empty() && !format.extension().starts_with('.'));
    assert_eq!(format.describe(), format.describe());
    let edges = edge_values();
    let empty = edges.slice(0, 0);
    comes_back(format, read, &empty, &[]);
    comes_back(format, read, &empty, &[0]);
    comes_back(format, read, &edges, &[edges.num_rows()]);
    let many = repeat(&edges, 3_000);
    comes_back(format, read, &many, &[1, 999, 1_000, 0, 1_000]);
    let lean = many.slice(0, 0);
    assert_eq!(encode(format, &lean, &[]), encode(format, &lean, &[]), "an empty file has different bytes each time");
    batching_leaves_no_trace(format, read, &many);
    progress(format, &many);
}

/// Encodes `rows`, cut into pieces of these lengths.
fn encode(format: &dyn Format, rows: &RecordBatch, lengths: &[usize]) -> Vec<u8> {
    let mut encoder = format.encoder(rows.schema()).expect("an encoder");
    let mut file = Vec::new();
    let mut from = 0;
    for length in lengths {
        encoder.write(&rows.slice(from, *length)).expect("encodes");
        file.extend_from_slice(&encoder.take().concat());
        from += length;
    }
    assert_eq!(from, rows.num_rows(), "the suite writes all rows");
    file.extend_from_slice(&encoder.finish().expect("finishes").concat());
    file
}

fn comes_back(format: &dyn Format, read: &dyn Fn(&[u8]) -> Rows, rows: &RecordBatch, lengths: &[usize]) {
    same(rows, read(&encode(format, rows, lengths)));
}

fn same(expected: &RecordBatch, got: Rows) {
    match got {
        Rows::Json(got) => {
            let expected = json_rows(expected);
            assert_eq!(got.len(), expected.len(), "rows");
            for (row, (got, expected)) in got.iter().zip(&expected).enumerate() {
                // As text, because -0.0 equals 0.0 and is another value.
                assert_eq!(got.to_string(), expected.to_string(), "row {row}");
            }
        }
        Rows::Batches(got) => {
            let total: usize = got.iter().map(RecordBatch::num_rows).sum();
            assert_eq!(total, expected.num_rows(), "rows");
            let Some(first) = got.first() else { return };
            for (field, read) in expected.schema().fields().iter().zip(first.schema().fields()) {
                assert_eq!(read, field, "a column changed");
            }
            let got = concat_batches(&first.schema(), &got).expect("batches of one schema");
            for (column, field) in expected.schema().fields().iter().enumerate() {
                let (got, expected) = (got.column(column), expected.column(column));
                assert_eq!(got.to_data(), expected.to_data(), "column {}", field.name());
                if let (Some(got), Some(expected)) =
                    (got.as_primitive_opt::<Float64Type>(), expected.as_primitive_opt::<Float64Type>())
                {
                    let bits = |a: &Float64Array| a.iter().map(|v| v.map(f64::to_bits)).collect::<Vec<_>>();
                    assert_eq!(bits(got), bits(expected), "column {}", field.name());
                }
            }
        }
    }
}

/// The way of the rows is hidden by [`Recut`]; what it hands out must encode to the same bytes.
fn batching_leaves_no_trace(format: &dyn Format, read: &dyn Fn(&[u8]) -> Rows, rows: &RecordBatch) {
    let through = |lengths: &[usize]| {
        let mut encoder = format.encoder(rows.schema()).expect("an encoder");
        let mut recut = Recut::new(rows.schema(), 512, 100_000);
        let mut file = Vec::new();
        let mut out = |batch: RecordBatch| {
            encoder.write(&batch)?;
            file.extend_from_slice(&encoder.take().concat());
            Ok(())
        };
        let mut from = 0;
        for length in lengths.iter().cycle() {
            let length = (*length).min(rows.num_rows() - from);
            // Copied by another way than by slicing, so that validity and offsets differ too.
            let picks = (from..from + length).map(|i| i as i64).collect::<Int64Array>();
            let piece = match length % 2 {
                0 => rows.slice(from, length),
                _ => take_record_batch(rows, &picks).expect("takes"),
            };
            recut.push(&piece, &mut out).expect("encodes");
            from += length;
            if from == rows.num_rows() {
                break;
            }
        }
        recut.flush(&mut out).expect("encodes");
        file.extend_from_slice(&encoder.finish().expect("finishes").concat());
        file
    };
    let whole = through(&[rows.num_rows()]);
    same(rows, read(&whole));
    for lengths in [&[1][..], &[7, 1, 300], &[512], &[1_999, 2]] {
        assert!(through(lengths) == whole, "batches of {lengths:?} rows gave other bytes than one batch");
    }
}

fn progress(format: &dyn Format, rows: &RecordBatch) {
    let mut encoder = format.encoder(rows.schema()).expect("an encoder");
    let mut taken = length(&encoder.take());
    encoder.write(rows).expect("encodes");
    assert!(taken + encoder.buffered() > 0, "an encoder that has rows neither holds bytes nor gave some");
    taken += length(&encoder.take());
    assert!(encoder.take().is_empty(), "bytes were handed out twice");
    let total = taken + length(&encoder.finish().expect("finishes"));
    assert_eq!(total, encode(format, rows, &[rows.num_rows()]).len(), "bytes were lost, or handed out twice");
}

/// The bytes of all pieces, none of which may be empty.
fn length(pieces: &[Bytes]) -> usize {
    assert!(pieces.iter().all(|piece| !piece.is_empty()), "an empty piece");
    pieces.iter().map(Bytes::len).sum()
}

fn repeat(rows: &RecordBatch, total: usize) -> RecordBatch {
    let picks = (0..total).map(|i| (i * 7 % rows.num_rows()) as i64).collect::<Int64Array>();
    take_record_batch(rows, &picks).expect("takes")
}

/// A table with a column of every type that a resource can have, and the values that most easily go wrong.
#[must_use]
pub fn edge_values() -> RecordBatch {
    let texts: [Option<&str>; 16] = [
        Some("plain"),
        None,
        Some(""),
        Some("\u{2028} \u{2029} \u{85} \u{b} \u{c} \r\n"),
        Some("\0"),
        Some("\"quotes\" and \\ and /"),
        Some("😀 \u{1F468}\u{200D}\u{1F469} e\u{301} \u{FEFF} \u{FFFF}"),
        Some("\u{1}\u{1f}\u{7f}\u{80}\u{9f}\u{a0}"),
        Some("null"),
        Some("true"),
        Some("2026-11-23"),
        Some("="),
        Some(" spaces  \t"),
        Some("\u{202e}bidi"),
        Some("\u{10FFFF}\u{E000}\u{D7FF}"),
        Some("0"),
    ];
    let ints = [i64::MIN, i64::MAX, 0, -1, 1, 1 << 53, (1 << 53) + 1, -(1 << 53) - 1, 10, -10, 99, 100, 7, 8, 9, 11];
    let floats = [
        -0.0,
        0.0,
        5e-324,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        0.1,
        1.0 / 3.0,
        1e21,
        1e-7,
        123_456_789.125,
        -1.5,
        9_007_199_254_740_993.0,
        1e16,
        1e15,
        2.5e-5,
    ];
    // 0001-01-01T00:00:00Z, 9999-12-31T23:59:59.999999Z, and moments around them, the epoch and a leap day.
    let times = [
        -62_135_596_800_000_000,
        253_402_300_799_999_999,
        0,
        -1,
        1,
        1_000,
        -1_000,
        999_999,
        1_795_428_000_000_000,
        951_782_400_000_000,
        951_868_799_999_999,
        1_709_164_800_123_000,
        -62_135_596_799_999_999,
        1_000_000,
        60_000_000,
        -86_400_000_000,
    ];
    let json: [Option<&str>; 16] = [
        Some("{}"),
        None,
        Some("[]"),
        Some("null"),
        Some(r#"{"a":{"b":[1,2.50,-0.0,18446744073709551615]},"a b":"\u2028\ud83d\ude00\/"}"#),
        Some("\"text\""),
        Some("true"),
        Some("[false,null,[[[]]],{\"\":\"\"}]"),
        Some("{\"k\":\"raw \u{2028} \u{85} é 😀 \u{7f}\"}"),
        Some("0"),
        Some("-1.25E-3"),
        Some("{ \"spaced\" : [ 1 , 2 ] }"),
        Some("{\n\t\"lines\": \"a\\nb\"\r\n}"),
        Some("\"\""),
        Some("[\"\\\\\", \"\\\"\"]"),
        Some("{\"z\":1,\"a\":2}"),
    ];
    let text: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    let null_at = |n: usize| NullBuffer::from((0..16).map(|i| i % 5 != n).collect::<Vec<_>>());
    let int: ArrayRef = Arc::new(Int64Array::new(ints.to_vec().into(), None));
    let some_ints: ArrayRef =
        Arc::new(Int64Array::from((0..16).map(|i| (i % 5 != 1).then_some(i)).collect::<Vec<_>>()));
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC"));

    let mut numbers = ListBuilder::new(Int64Builder::new());
    let mut words = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
    for row in 0..16 {
        match row % 4 {
            0 => numbers.append_null(),
            1 => numbers.append_value([]),
            n => numbers.append_value((0..n).map(|i| (i != 2).then_some(i as i64))),
        }
        for inner in 0..row % 3 {
            match inner {
                0 => words.values().append_value([Some("a"), None, Some("\u{2028}")]),
                _ => words.values().append_null(),
            }
        }
        words.append(row % 5 != 4);
    }
    // Objects in a list, with members that are null, and objects that are null themselves.
    let members = Fields::from(vec![
        Field::new("t", DataType::Utf8, true),
        Field::new("n", DataType::Int64, true),
        json_field("j"),
    ]);
    let objects = StructArray::new(
        members.clone(),
        vec![text.clone(), some_ints.clone(), Arc::new(StringArray::from(json.to_vec()))],
        Some(null_at(2)),
    );
    // Nothing lies under a null: a format may leave it out, another may write it.
    let objects = take_all(&objects);
    let lengths = [1, 0, 0, 3, 1, 1, 0, 2, 0, 1, 1, 1, 1, 1, 2, 1];
    let lists = arrow::array::ListArray::new(
        Arc::new(Field::new("item", DataType::Struct(members.clone()), true)),
        OffsetBuffer::from_lengths(lengths),
        objects.clone(),
        Some(NullBuffer::from(lengths.iter().enumerate().map(|(i, n)| *n > 0 || i % 2 == 1).collect::<Vec<_>>())),
    );
    let fields = vec![
        Field::new("text", DataType::Utf8, true),
        Field::new("flag", DataType::Boolean, true),
        Field::new("int", DataType::Int64, false),
        Field::new("some_int", DataType::Int64, true),
        Field::new("float", DataType::Float64, true),
        Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        json_field("json"),
        Field::new("object", DataType::Struct(members), true),
        Field::new("objects", lists.data_type().clone(), true),
        Field::new_list("numbers", Field::new("item", DataType::Int64, true), true),
        Field::new_list("words", Field::new_list("item", Field::new("item", DataType::Utf8, true), true), true),
        Field::new("bytes", DataType::Binary, true),
        Field::new("_extra \"\u{2028}", DataType::Utf8, true),
    ];
    let columns: Vec<ArrayRef> = vec![
        text,
        Arc::new((0..16).map(|i| (i % 3 != 2).then_some(i % 3 == 0)).collect::<BooleanArray>()),
        int,
        some_ints,
        Arc::new(Float64Array::from(floats.to_vec())),
        time,
        Arc::new(StringArray::from(json.to_vec())),
        objects,
        Arc::new(lists),
        Arc::new(numbers.finish()),
        Arc::new(words.finish()),
        Arc::new(BinaryArray::from_iter((0..16u8).map(|i| (i % 6 != 5).then(|| vec![i * 16, 0, 255])))),
        Arc::new(StringArray::new_null(16)),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns fit their schema")
}

fn take_all(objects: &StructArray) -> ArrayRef {
    let columns = objects.columns().iter().map(|column| {
        let picks = (0..column.len()).map(|i| objects.is_valid(i).then_some(i as i64)).collect::<Int64Array>();
        arrow::compute::take(column, &picks, None).expect("takes")
    });
    Arc::new(StructArray::new(objects.fields().clone(), columns.collect(), objects.nulls().cloned()))
}

/// The rows of a batch as JSON objects, as a text format should write them: every column in every row,
/// timestamps as RFC 3339 with `Z` and 0, 3 or 6 digits of a second, JSON columns as JSON, bytes in hexadecimal.
///
/// # Panics
/// On a type that no resource has.
#[must_use]
pub fn json_rows(batch: &RecordBatch) -> Vec<Value> {
    let schema: SchemaRef = batch.schema();
    let row = |row| {
        let columns = schema.fields().iter().zip(batch.columns());
        Value::Object(columns.map(|(f, c)| (f.name().clone(), json_value(f, c, row))).collect())
    };
    (0..batch.num_rows()).map(row).collect()
}

fn json_value(field: &Field, array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match field.data_type() {
        DataType::Utf8 => {
            let text = array.as_string::<i32>().value(row);
            if is_json(field) { serde_json::from_str(text).expect("JSON") } else { text.into() }
        }
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).into(),
        DataType::Binary => {
            let bytes = array.as_binary::<i32>().value(row);
            bytes.iter().map(|b| format!("{b:02x}")).collect::<String>().into()
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            let times = array.as_primitive::<TimestampMicrosecondType>();
            let time = times.value_as_datetime(row).expect("a moment");
            let pattern = match times.value(row).rem_euclid(1_000_000) {
                0 => "%Y-%m-%dT%H:%M:%SZ",
                n if n % 1_000 == 0 => "%Y-%m-%dT%H:%M:%S%.3fZ",
                _ => "%Y-%m-%dT%H:%M:%S%.6fZ",
            };
            time.format(pattern).to_string().into()
        }
        DataType::List(element) => {
            let values = array.as_list::<i32>().value(row);
            (0..values.len()).map(|i| json_value(element, &values, i)).collect()
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            Value::Object(columns.map(|(f, c)| (f.name().clone(), json_value(f, c, row))).collect::<Map<_, _>>())
        }
        other => panic!("no resource has columns of type {other}"),
    }
}
