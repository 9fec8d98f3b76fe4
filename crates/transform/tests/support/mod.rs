//! A reference decoder, slow and plain, which turns JSON values into the nested batches that flattening is given;
//! and a generator of schemas and records.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
        StructArray, TimestampMicrosecondArray,
    },
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::{DataType, Field as ArrowField, Fields, Float64Type, Int64Type, TimestampMicrosecondType},
};
use pagemill_core::{Batch, Field, Kind, Resource};
use serde_json::{Map, Value, json};

/// A resource `t` with the key `id` (text) and the properties of a JSON object's text.
pub(crate) fn resource(properties: &str) -> Resource {
    let text = format!(
        r#"{{"x-pagemill":{{"table":"t","key":"id"}},"properties":{{"id":{{"type":"string"}},{properties}}}}}"#
    );
    Resource::from_json_schema(&text).expect("a schema")
}

/// A batch that begins at `first_row`.
pub(crate) fn batch(records: RecordBatch, first_row: u64) -> Batch {
    Batch { records, first_row, end: None }
}

/// Texts of times, each with its microseconds.
pub(crate) const TIMES: [(&str, i64); 3] = [
    ("1970-01-01T00:00:00Z", 0),
    ("1969-12-31T23:59:59.999999Z", -1),
    ("2024-02-29T12:00:00.000500Z", 1_709_208_000_000_500),
];

/// A value as its column holds it.
#[derive(Clone, Debug)]
enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Struct(Vec<Cell>),
    List(Vec<Cell>),
}

/// The cell of a value, and what `_extra` has at its path.
fn cell(kind: &Kind, value: &Value) -> (Cell, Option<Value>) {
    let misfit = || (Cell::Null, Some(value.clone()));
    match (kind, value) {
        (_, Value::Null) => (Cell::Null, None),
        (Kind::Json, value) => (Cell::Text(value.to_string()), None),
        (Kind::Text, Value::String(s)) => (Cell::Text(s.clone()), None),
        (Kind::Text, Value::Number(n)) => (Cell::Text(n.to_string()), None),
        (Kind::Bool, Value::Bool(b)) => (Cell::Bool(*b), None),
        (Kind::Int, Value::Number(n)) => n.as_i64().map_or_else(misfit, |n| (Cell::Int(n), None)),
        (Kind::Float, Value::Number(n)) => n.as_f64().map_or_else(misfit, |n| (Cell::Float(n), None)),
        (Kind::Time, Value::String(s)) => {
            TIMES.iter().find(|(text, _)| text == s).map_or_else(misfit, |(_, n)| (Cell::Int(*n), None))
        }
        (Kind::Struct(fields), Value::Object(members)) => {
            let (cells, extra) = object(fields, members);
            let blank = cells.iter().all(is_blank);
            (Cell::Struct(cells), (blank || !extra.is_empty()).then_some(Value::Object(extra)))
        }
        (Kind::List(item), Value::Array(elements)) => match &**item {
            Kind::Struct(fields) => (Cell::List(elements.iter().map(|e| list_item(fields, e)).collect()), None),
            item => {
                let mut extra = Map::new();
                let mut cells = Vec::new();
                for (i, element) in elements.iter().enumerate() {
                    let (cell, misfit) = cell(item, element);
                    cells.push(cell);
                    misfit.into_iter().for_each(|misfit| drop(extra.insert(i.to_string(), misfit)));
                }
                (Cell::List(cells), (!extra.is_empty()).then_some(Value::Object(extra)))
            }
        },
        _ => misfit(),
    }
}

fn is_blank(cell: &Cell) -> bool {
    match cell {
        Cell::Null => true,
        Cell::Struct(cells) => cells.iter().all(is_blank),
        _ => false,
    }
}

fn object(fields: &[Field], members: &Map<String, Value>) -> (Vec<Cell>, Map<String, Value>) {
    let mut extra = Map::new();
    let mut cells = Vec::new();
    for field in fields {
        let (cell, misfit) = cell(&field.kind, members.get(&field.name).unwrap_or(&Value::Null));
        cells.push(cell);
        misfit.into_iter().for_each(|misfit| drop(extra.insert(field.name.clone(), misfit)));
    }
    for (name, value) in members.iter().filter(|(name, _)| fields.iter().all(|f| f.name != **name)) {
        extra.insert(name.clone(), value.clone());
    }
    (cells, extra)
}

fn list_item(fields: &[Field], element: &Value) -> Cell {
    let (mut cells, extra) = match element {
        Value::Null => return Cell::Null,
        Value::Object(members) => {
            let (cells, extra) = object(fields, members);
            let needed = !extra.is_empty() || cells.iter().all(is_blank);
            (cells, needed.then_some(Value::Object(extra)))
        }
        other => (vec![Cell::Null; fields.len()], Some(other.clone())),
    };
    cells.push(extra.map_or(Cell::Null, |extra| Cell::Text(extra.to_string())));
    Cell::Struct(cells)
}

/// The batch of these records. With `garbage`, there are values under nulls, where nobody may look.
pub(crate) fn decode(resource: &Resource, records: &[Value], garbage: bool) -> RecordBatch {
    let mut columns = vec![Vec::new(); resource.fields().len() + 1];
    for record in records {
        let (mut cells, extra) = object(resource.fields(), record.as_object().expect("a record"));
        let extra = (!extra.is_empty()).then(|| Value::Object(extra).to_string());
        cells.push(extra.map_or(Cell::Null, Cell::Text));
        columns.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
    }
    let schema = resource.schema();
    let arrays = schema.fields().iter().zip(&columns).map(|(f, cells)| array(f, cells, garbage)).collect();
    RecordBatch::try_new(schema, arrays).expect("a batch")
}

fn array(field: &ArrowField, cells: &[Cell], garbage: bool) -> ArrayRef {
    let valid: Vec<bool> = cells.iter().map(|c| !matches!(c, Cell::Null)).collect();
    let nulls = valid.contains(&false).then(|| NullBuffer::from(valid));
    let under = i64::from(garbage) * 7;
    let int = |c: &Cell| if let Cell::Int(n) = c { *n } else { under };
    match field.data_type() {
        DataType::Boolean => {
            let values: Vec<bool> = cells.iter().map(|c| if let Cell::Bool(b) = c { *b } else { garbage }).collect();
            Arc::new(BooleanArray::new(values.into(), nulls))
        }
        DataType::Int64 => Arc::new(Int64Array::new(cells.iter().map(int).collect(), nulls)),
        DataType::Timestamp(..) => {
            Arc::new(TimestampMicrosecondArray::new(cells.iter().map(int).collect(), nulls).with_timezone("UTC"))
        }
        DataType::Float64 => {
            let float = |c: &Cell| if let Cell::Float(n) = c { *n } else { under as f64 };
            Arc::new(Float64Array::new(cells.iter().map(float).collect(), nulls))
        }
        DataType::Utf8 => {
            let under = if garbage { "garbage" } else { "" };
            let texts = cells.iter().map(|c| if let Cell::Text(s) = c { s.as_str() } else { under });
            let (offsets, values, _) = StringArray::from_iter_values(texts).into_parts();
            Arc::new(StringArray::new(offsets, values, nulls))
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().enumerate().map(|(i, field)| {
                let filler = if garbage { filler(field.data_type()) } else { Cell::Null };
                let member = |c: &Cell| if let Cell::Struct(cells) = c { cells[i].clone() } else { filler.clone() };
                array(field, &cells.iter().map(member).collect::<Vec<_>>(), garbage)
            });
            Arc::new(StructArray::new(fields.clone(), columns.collect(), nulls))
        }
        DataType::List(item) => {
            let filler = if garbage { vec![filler(item.data_type()); 2] } else { Vec::new() };
            let items = |c: &Cell| if let Cell::List(cells) = c { cells.clone() } else { filler.clone() };
            let items: Vec<_> = cells.iter().map(items).collect();
            // Items before the first and after the last list, as in a slice.
            let around = if garbage { filler.as_slice() } else { &[] };
            let mut offsets = vec![around.len() as i32];
            items.iter().for_each(|i| offsets.push(offsets[offsets.len() - 1] + i.len() as i32));
            let all: Vec<_> =
                around.iter().cloned().chain(items.into_iter().flatten()).chain(around.to_vec()).collect();
            Arc::new(ListArray::new(
                Arc::clone(item),
                OffsetBuffer::new(offsets.into()),
                array(item, &all, garbage),
                nulls,
            ))
        }
        other => panic!("no column has the type {other}"),
    }
}

/// Something that must never be seen.
fn filler(data_type: &DataType) -> Cell {
    match data_type {
        DataType::Boolean => Cell::Bool(true),
        DataType::Float64 => Cell::Float(13.5),
        DataType::Utf8 => Cell::Text("{\"garbage\":1}".into()),
        DataType::Struct(fields) => Cell::Struct(fields.iter().map(|f| filler(f.data_type())).collect()),
        DataType::List(item) => Cell::List(vec![filler(item.data_type())]),
        _ => Cell::Int(13),
    }
}

/// All values that are no list and no struct, as text, with the last word of their column's name.
pub(crate) fn leaves(name: &str, array: &ArrayRef, rows: Range<usize>, out: &mut Vec<String>) {
    let name = name.rsplit('_').next().unwrap_or(name);
    for row in rows.filter(|row| array.is_valid(*row)) {
        match array.data_type() {
            DataType::Struct(fields) => {
                for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                    leaves(field.name(), column, row..row + 1, out);
                }
            }
            DataType::List(_) => {
                let items = array.as_list::<i32>().value(row);
                leaves("value", &items, 0..items.len(), out);
            }
            DataType::Boolean => out.push(format!("{name} {}", array.as_boolean().value(row))),
            DataType::Int64 => out.push(format!("{name} {}", array.as_primitive::<Int64Type>().value(row))),
            DataType::Float64 => out.push(format!("{name} {}", array.as_primitive::<Float64Type>().value(row))),
            DataType::Timestamp(..) => {
                out.push(format!("{name} {}", array.as_primitive::<TimestampMicrosecondType>().value(row)));
            }
            _ => out.push(format!("{name} {}", array.as_string::<i32>().value(row))),
        }
    }
}

/// The rows that each list's table must have, by its name: the record's ordinal in the batch, then the position in
/// each list from the outermost to its own.
pub(crate) type Places = BTreeMap<String, Vec<Vec<i64>>>;

/// Adds the places of the lists in one object, itself at `at`.
pub(crate) fn places(table: &str, fields: &Fields, columns: &[ArrayRef], row: usize, at: &[i64], out: &mut Places) {
    for (field, column) in fields.iter().zip(columns) {
        places_in(&format!("{table}_{}", field.name()), column, row, at, out);
    }
}

fn places_in(name: &str, column: &ArrayRef, row: usize, at: &[i64], out: &mut Places) {
    match column.data_type() {
        _ if column.is_null(row) => {}
        DataType::Struct(fields) => places(name, fields, column.as_struct().columns(), row, at, out),
        DataType::List(item) => {
            let items = column.as_list::<i32>().value(row);
            for i in 0..items.len() {
                let at = [at, &[i as i64]].concat();
                out.entry(name.to_owned()).or_default().push(at.clone());
                match item.data_type() {
                    DataType::Struct(_) => places_in(name, &items, i, &at, out),
                    _ => places_in(&format!("{name}_value"), &items, i, &at, out),
                }
            }
        }
        _ => {}
    }
}

/// Null members left out, numbers by value, numbers in text columns as text: what may differ between a record of
/// `fields` and what its columns say.
pub(crate) fn alike(fields: &[Field], record: &Value) -> Value {
    alike_as(&Kind::Struct(fields.to_vec()), record)
}

fn alike_as(kind: &Kind, value: &Value) -> Value {
    match (kind, value) {
        (kind, Value::Object(members)) => {
            let fields = if let Kind::Struct(fields) = kind { fields.as_slice() } else { &[] };
            let kind = |name: &str| fields.iter().find(|f| f.name == name).map_or(&Kind::Json, |f| &f.kind);
            let kept = members.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), alike_as(kind(k), v)));
            Value::Object(kept.collect())
        }
        (kind, Value::Array(elements)) => {
            let item = if let Kind::List(item) = kind { item } else { &Kind::Json };
            elements.iter().map(|e| alike_as(item, e)).collect()
        }
        (Kind::Text, Value::Number(n)) => Value::from(n.to_string()),
        (_, Value::Number(n)) => match n.as_f64() {
            Some(f) if f.abs() < 9e15 => Value::from(f),
            _ => value.clone(),
        },
        (_, other) => other.clone(),
    }
}

/// Choices made by bytes; when they are used up, every choice is the first, so fewer bytes make simpler things.
pub(crate) struct Choices<'a>(pub(crate) &'a [u8]);

impl Choices<'_> {
    /// A number below `n`.
    pub(crate) fn pick(&mut self, n: usize) -> usize {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*byte) % n
    }

    /// A schema's properties: names without `_`, so that no two columns collide.
    pub(crate) fn properties(&mut self, depth: usize) -> Value {
        let names = ["a", "b", "C", "dé", "e"];
        let mut lists = ["l", "m", "n"].into_iter();
        let mut members = Map::new();
        for name in &names[..1 + self.pick(names.len())] {
            let kind = self.kind(depth);
            // A list names a table, which cannot have every name.
            let name = if holds_list(&kind) { lists.next() } else { Some(*name) };
            name.into_iter().for_each(|name| drop(members.insert(name.into(), kind.clone())));
        }
        if members.is_empty() {
            members.insert("a".into(), json!({}));
        }
        Value::Object(members)
    }

    fn kind(&mut self, depth: usize) -> Value {
        match self.pick(if depth == 0 { 6 } else { 10 }) {
            0 => json!({"type": "string"}),
            1 => json!({"type": "integer"}),
            2 => json!({"type": "boolean"}),
            3 => json!({"type": "number"}),
            4 => json!({"type": "string", "format": "date-time"}),
            5 => json!({}),
            6 | 7 => json!({"properties": self.properties(depth - 1)}),
            _ => json!({"items": self.kind(depth - 1)}),
        }
    }

    /// A record of these fields.
    pub(crate) fn record(&mut self, fields: &[Field]) -> Value {
        let mut members = Map::new();
        for field in fields {
            match self.value(&field.kind) {
                Value::Null if self.pick(2) == 0 => {}
                value => drop(members.insert(field.name.clone(), value)),
            }
        }
        if self.pick(6) == 1 {
            let name = ["unknown", "A", "0", "\"\\\n", "_extra"][self.pick(5)];
            members.insert(name.into(), self.any(2));
        }
        Value::Object(members)
    }

    fn value(&mut self, kind: &Kind) -> Value {
        match (self.pick(8), kind) {
            (0 | 1, _) => Value::Null,
            (2, _) => self.any(2),
            (_, Kind::Text) => {
                Value::from(["", "x", "\"\\\n\u{2028}é", "a longer text, of more than twelve bytes"][self.pick(4)])
            }
            (_, Kind::Bool) => json!(self.pick(2) == 1),
            (_, Kind::Int) => Value::from([0, -1, i64::MAX, i64::MIN][self.pick(4)]),
            (_, Kind::Float) => Value::from([0.0, -0.5, 1e300, 5e-324][self.pick(4)]),
            (_, Kind::Time) => Value::from(TIMES[self.pick(3)].0),
            (_, Kind::Json) => self.any(3),
            (_, Kind::Struct(fields)) => self.record(fields),
            (_, Kind::List(item)) => (0..self.pick(4)).map(|_| self.value(item)).collect(),
        }
    }

    fn any(&mut self, depth: usize) -> Value {
        match self.pick(if depth == 0 { 5 } else { 8 }) {
            0 => Value::Null,
            1 => Value::from(["a", "{}", "\u{1F600}"][self.pick(3)]),
            2 => json!(self.pick(2) == 1),
            3 => json!(self.pick(256)),
            4 => json!(0.25),
            5 => (0..self.pick(3)).map(|_| self.any(depth - 1)).collect(),
            _ => {
                // Names that are declared elsewhere, and positions, so that paths can be mistaken.
                let names = ["a", "b", "l", "0", "1", "id"];
                Value::Object((0..self.pick(3)).map(|_| (names[self.pick(6)].into(), self.any(depth - 1))).collect())
            }
        }
    }
}

fn holds_list(kind: &Value) -> bool {
    kind.get("items").is_some()
        || kind.get("properties").and_then(Value::as_object).is_some_and(|p| p.values().any(holds_list))
}

/// The values of a flat table's own columns: no keys, no lengths.
pub(crate) fn own_columns<'a>(
    fields: &'a Fields,
    columns: &'a [ArrayRef],
) -> impl Iterator<Item = (&'a str, &'a ArrayRef)> {
    let keys = |name: &str| name == "integrated_account_id" || name == "_row" || name == "t_id" || name == "members_id";
    fields
        .iter()
        .zip(columns)
        .map(|(f, c)| (f.name().as_str(), c))
        .filter(move |(name, _)| !keys(name) && !name.ends_with("_index") && !name.ends_with("_count"))
}
