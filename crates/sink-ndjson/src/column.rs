//! One row of one column, by type.

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray,
        StringArray, StructArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
    },
    datatypes::{
        DataType, Field, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt32Type, UInt64Type,
    },
};
use pagemill_core::{Error, Place, Result, resource::is_json};

use crate::{json_text, scalar};

/// A column, looked at through its type once a batch.
pub(crate) struct Column<'a> {
    name: &'a str,
    array: &'a dyn Array,
    values: Values<'a>,
}

enum Values<'a> {
    Text(&'a StringArray),
    Json(&'a StringArray),
    Bool(&'a BooleanArray),
    Int(&'a Int64Array),
    Int32(&'a Int32Array),
    UInt(&'a UInt64Array),
    UInt32(&'a UInt32Array),
    Float(&'a Float64Array),
    Time(&'a TimestampMicrosecondArray),
    Bytes(&'a BinaryArray),
    List(&'a ListArray, Box<Column<'a>>),
    Struct(Vec<(Vec<u8>, Column<'a>)>),
}

/// Refuses a column that has no form in JSON here, by its path.
pub(crate) fn check(field: &Field, path: &str) -> Result<()> {
    match field.data_type() {
        DataType::Utf8
        | DataType::Boolean
        | DataType::Int64
        | DataType::Int32
        | DataType::UInt64
        | DataType::UInt32
        | DataType::Float64
        | DataType::Binary => Ok(()),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if matches!(&**zone, "UTC" | "+00:00" | "Z") => Ok(()),
        DataType::List(element) => check(element, &format!("{path}[]")),
        DataType::Struct(fields) => fields.iter().try_for_each(|f| check(f, &format!("{path}.{}", f.name()))),
        other => Err(Error::config(format!("NDJSON has no form for the column {path:?} of type {other}"))),
    }
}

/// `before`, then a name, then a colon.
pub(crate) fn key(before: &str, name: &str) -> Vec<u8> {
    let mut key = before.as_bytes().to_vec();
    scalar::string(name, &mut key);
    key.push(b':');
    key
}

impl<'a> Column<'a> {
    pub(crate) fn new(field: &'a Field, array: &'a ArrayRef) -> Result<Self> {
        let other = || Error::internal(format!("the column {:?} is not of its announced type", field.name()));
        if field.data_type() != array.data_type() {
            return Err(other());
        }
        let values = match field.data_type() {
            DataType::Utf8 => {
                let text = array.as_string_opt().ok_or_else(other)?;
                if is_json(field) { Values::Json(text) } else { Values::Text(text) }
            }
            DataType::Boolean => Values::Bool(array.as_boolean_opt().ok_or_else(other)?),
            DataType::Int64 => Values::Int(array.as_primitive_opt::<Int64Type>().ok_or_else(other)?),
            DataType::Int32 => Values::Int32(array.as_primitive_opt::<Int32Type>().ok_or_else(other)?),
            DataType::UInt64 => Values::UInt(array.as_primitive_opt::<UInt64Type>().ok_or_else(other)?),
            DataType::UInt32 => Values::UInt32(array.as_primitive_opt::<UInt32Type>().ok_or_else(other)?),
            DataType::Float64 => Values::Float(array.as_primitive_opt::<Float64Type>().ok_or_else(other)?),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Values::Time(array.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(other)?)
            }
            DataType::Binary => Values::Bytes(array.as_binary_opt().ok_or_else(other)?),
            DataType::List(element) => {
                let list: &ListArray = array.as_list_opt().ok_or_else(other)?;
                Values::List(list, Box::new(Column::new(element, list.values())?))
            }
            DataType::Struct(fields) => {
                let object: &StructArray = array.as_struct_opt().ok_or_else(other)?;
                let mut members = Vec::with_capacity(fields.len());
                for (at, (field, column)) in fields.iter().zip(object.columns()).enumerate() {
                    members.push((key(if at == 0 { "{" } else { "," }, field.name()), Column::new(field, column)?));
                }
                Values::Struct(members)
            }
            _ => return Err(other()),
        };
        Ok(Self { name: field.name(), array, values })
    }

    pub(crate) fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        if self.array.is_null(row) {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        match &self.values {
            Values::Text(values) => scalar::string(values.value(row), out),
            Values::Json(values) => json_text::copy(values.value(row), out).map_err(|byte| {
                let place = Place { byte: Some(byte as u64), ..Place::default() };
                Error::data(format!("the column {:?} holds a text that is not JSON", self.name)).at(place)
            })?,
            Values::Bool(values) => out.extend_from_slice(if values.value(row) { b"true" } else { b"false" }),
            Values::Int(values) => scalar::int(values.value(row), out),
            Values::Int32(values) => scalar::int(values.value(row).into(), out),
            Values::UInt(values) => scalar::uint(values.value(row), out),
            Values::UInt32(values) => scalar::uint(values.value(row).into(), out),
            Values::Float(values) => {
                if !scalar::float(values.value(row), out) {
                    return Err(self.no_form(&values.value(row).to_string()));
                }
            }
            Values::Time(values) => {
                if !scalar::moment(values.value(row), out) {
                    return Err(self.no_form(&format!("the moment {} µs from 1970", values.value(row))));
                }
            }
            Values::Bytes(values) => scalar::hex(values.value(row), out),
            Values::List(list, elements) => {
                out.push(b'[');
                let offsets = list.value_offsets();
                let at = |i: usize| offsets.get(i).and_then(|o| usize::try_from(*o).ok()).unwrap_or(0);
                for (position, element) in (at(row)..at(row + 1)).enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    elements.write(element, out)?;
                }
                out.push(b']');
            }
            Values::Struct(members) => {
                if members.is_empty() {
                    out.push(b'{');
                }
                for (key, member) in members {
                    out.extend_from_slice(key);
                    member.write(row, out)?;
                }
                out.push(b'}');
            }
        }
        Ok(())
    }

    fn no_form(&self, value: &str) -> Error {
        Error::data(format!("JSON has no form for {value} in the column {:?}", self.name))
    }
}
