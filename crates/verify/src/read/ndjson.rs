//! JSON, a row a line, by serde_json.

use std::{
    io::{BufRead, BufReader, Read},
    sync::Arc,
};

use arrow::{
    array::{
        ArrayRef, BinaryBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, ListArray, RecordBatch,
        StringBuilder, StructArray, TimestampMicrosecondBuilder, UInt32Builder, UInt64Builder,
    },
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::{DataType, Field, SchemaRef},
};
use pagemill_core::{Error, Place, Result, resource::is_json};
use pagemill_sink::list::ReadAt;
use serde_json::value::RawValue;

use super::{BATCH_ROWS, Rows, Stream, unreadable};
use crate::rebuild::json::{Members, read};

/// The longest line.
const LINE: u64 = 1 << 30;
/// Bytes of lines after which a batch ends.
const BATCH_BYTES: usize = 1 << 20;

pub(super) fn open(bytes: &Arc<dyn ReadAt>, schema: SchemaRef) -> Result<Rows> {
    let lines = Lines { input: BufReader::new(Stream::new(bytes)), schema: Arc::clone(&schema), row: 0, failed: false };
    Ok(Rows { schema, batches: Box::new(lines) })
}

struct Lines {
    input: BufReader<Stream>,
    schema: SchemaRef,
    row: u64,
    failed: bool,
}

impl Iterator for Lines {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let batch = self.batch();
        self.failed = batch.is_err();
        batch.transpose()
    }
}

impl Lines {
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut columns: Vec<_> = self.schema.fields().iter().map(|f| Column::new(f)).collect::<Result<_>>()?;
        let (mut rows, mut size) = (0, 0);
        let mut line = Vec::new();
        while rows < BATCH_ROWS && size < BATCH_BYTES {
            line.clear();
            let read = (&mut self.input).take(LINE).read_until(b'\n', &mut line).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            let row = self.row;
            let placed = |e: Error| {
                e.map_place(|place| *place = Place { record: Some(row), path: place.path.take(), ..Place::default() })
            };
            let Some(text) = line.strip_suffix(b"\n") else {
                return Err(placed(Error::data("the last line has no end")));
            };
            let text = std::str::from_utf8(text).map_err(|e| placed(unreadable(e)))?;
            self.push(text, &mut columns).map_err(placed)?;
            self.row += 1;
            rows += 1;
            size += read;
        }
        if rows == 0 {
            return Ok(None);
        }
        let arrays = columns.into_iter().map(Column::finish).collect::<Result<_>>()?;
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(unreadable)?))
    }

    fn push(&self, line: &str, columns: &mut [Column]) -> Result<()> {
        let Members(members) = read(line).map_err(|e| Error::data("a line is no JSON object").because(e))?;
        let names = members.iter().map(|(name, _)| name.as_str());
        if !names.eq(self.schema.fields().iter().map(|f| f.name().as_str())) {
            return Err(Error::data("a line has other members than the table has columns"));
        }
        for ((name, value), column) in members.iter().zip(columns) {
            column.push(value).map_err(|e| e.at(Place { path: Some(name.clone()), ..Place::default() }))?;
        }
        Ok(())
    }
}

/// A column in the making.
enum Column {
    Text(StringBuilder),
    Json(StringBuilder),
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Int32(Int32Builder),
    UInt(UInt64Builder),
    UInt32(UInt32Builder),
    Float(Float64Builder),
    Time(TimestampMicrosecondBuilder),
    Bytes(BinaryBuilder),
    List(Arc<Field>, Vec<usize>, Vec<bool>, Box<Column>),
    Struct(DataType, Vec<bool>, Vec<(String, Column)>),
}

impl Column {
    fn new(field: &Field) -> Result<Self> {
        Ok(match field.data_type() {
            DataType::Utf8 if is_json(field) => Self::Json(StringBuilder::new()),
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Boolean => Self::Bool(BooleanBuilder::new()),
            DataType::Int64 => Self::Int(Int64Builder::new()),
            DataType::Int32 => Self::Int32(Int32Builder::new()),
            DataType::UInt64 => Self::UInt(UInt64Builder::new()),
            DataType::UInt32 => Self::UInt32(UInt32Builder::new()),
            DataType::Float64 => Self::Float(Float64Builder::new()),
            DataType::Timestamp(..) => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            DataType::Binary => Self::Bytes(BinaryBuilder::new()),
            DataType::List(item) => Self::List(Arc::clone(item), Vec::new(), Vec::new(), Box::new(Self::new(item)?)),
            DataType::Struct(fields) => {
                let members = fields.iter().map(|f| Ok((f.name().clone(), Self::new(f)?))).collect::<Result<_>>()?;
                Self::Struct(field.data_type().clone(), Vec::new(), members)
            }
            other => return Err(Error::data(format!("a column of type {other}"))),
        })
    }

    fn push(&mut self, value: &RawValue) -> Result<()> {
        let text = value.get();
        let null = text == "null";
        let wrong = |e: String| Error::data("a value of another type than its column").because(e);
        match self {
            Self::Json(b) => b.append_option((!null).then_some(text)),
            Self::Text(b) => b.append_option(read::<Option<String>>(text).map_err(wrong)?),
            Self::Bool(b) => b.append_option(read(text).map_err(wrong)?),
            Self::Int(b) => b.append_option(read(text).map_err(wrong)?),
            Self::Int32(b) => b.append_option(read(text).map_err(wrong)?),
            Self::UInt(b) => b.append_option(read(text).map_err(wrong)?),
            Self::UInt32(b) => b.append_option(read(text).map_err(wrong)?),
            Self::Float(b) => b.append_option(read(text).map_err(wrong)?),
            Self::Time(b) => {
                let time = read::<Option<String>>(text).map_err(wrong)?;
                let micros = |t: String| {
                    let parsed = chrono::DateTime::parse_from_rfc3339(&t).map_err(|e| wrong(e.to_string()))?;
                    Ok::<_, Error>(parsed.timestamp_micros())
                };
                b.append_option(time.map(micros).transpose()?);
            }
            Self::Bytes(b) => {
                let hex = read::<Option<String>>(text).map_err(wrong)?;
                let bytes = hex.map(|hex| unhex(&hex).ok_or_else(|| wrong("no hexadecimal digits".into())));
                b.append_option(bytes.transpose()?);
            }
            Self::List(_, lengths, valid, items) => {
                let elements: Option<Vec<&RawValue>> = read(text).map_err(wrong)?;
                valid.push(elements.is_some());
                let elements = elements.unwrap_or_default();
                lengths.push(elements.len());
                elements.into_iter().try_for_each(|e| items.push(e))?;
            }
            Self::Struct(_, valid, columns) => {
                valid.push(!null);
                let Members(members) = if null { Members(Vec::new()) } else { read(text).map_err(wrong)? };
                if !null && !members.iter().map(|(n, _)| n).eq(columns.iter().map(|(n, _)| n)) {
                    return Err(Error::data("an object has other members than its column"));
                }
                let nothing = RawValue::NULL;
                for (i, (_, column)) in columns.iter_mut().enumerate() {
                    column.push(members.get(i).map_or(nothing, |(_, value)| value))?;
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Text(mut b) | Self::Json(mut b) => Arc::new(b.finish()),
            Self::Bool(mut b) => Arc::new(b.finish()),
            Self::Int(mut b) => Arc::new(b.finish()),
            Self::Int32(mut b) => Arc::new(b.finish()),
            Self::UInt(mut b) => Arc::new(b.finish()),
            Self::UInt32(mut b) => Arc::new(b.finish()),
            Self::Float(mut b) => Arc::new(b.finish()),
            Self::Time(mut b) => Arc::new(b.finish()),
            Self::Bytes(mut b) => Arc::new(b.finish()),
            Self::List(item, lengths, valid, items) => {
                let nulls = Some(NullBuffer::from(valid));
                let offsets = OffsetBuffer::from_lengths(lengths);
                Arc::new(ListArray::try_new(item, offsets, items.finish()?, nulls).map_err(unreadable)?)
            }
            Self::Struct(kind, valid, columns) => {
                let DataType::Struct(fields) = kind else { return Err(Error::internal("a struct of another type")) };
                let rows = valid.len();
                let arrays = columns.into_iter().map(|(_, c)| c.finish()).collect::<Result<_>>()?;
                let nulls = Some(NullBuffer::from(valid));
                Arc::new(StructArray::try_new_with_length(fields, arrays, nulls, rows).map_err(unreadable)?)
            }
        })
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: &u8| char::from(*b).to_digit(16);
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
            _ => None,
        })
        .collect()
}
