//! The columns of a manifest as an Arrow schema.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use pagemill_core::{EXTENSION_NAME, Error, JSON_EXTENSION, Result, resource::json_field};
use pagemill_sink::manifest::ColumnEntry;

/// The schema of a table with these columns.
///
/// # Errors
/// [`Data`](pagemill_core::ErrorKind::Data) when a column is of a type that no table has.
pub(crate) fn schema(columns: &[ColumnEntry]) -> Result<SchemaRef> {
    Ok(Arc::new(Schema::new(fields(columns)?)))
}

fn fields(columns: &[ColumnEntry]) -> Result<Fields> {
    columns.iter().map(field).collect()
}

fn field(column: &ColumnEntry) -> Result<Field> {
    let unknown = || Error::data(format!("the column {:?} is of the unknown type {:?}", column.name, column.kind));
    let plain = [
        DataType::Utf8,
        DataType::Boolean,
        DataType::Int64,
        DataType::Int32,
        DataType::UInt64,
        DataType::UInt32,
        DataType::Float64,
        DataType::Binary,
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    ];
    let kind = match (column.kind.as_str(), column.children.as_slice()) {
        ("List", [element]) => DataType::List(Arc::new(field(element)?)),
        ("Struct", children) => DataType::Struct(fields(children)?),
        (kind, []) => plain.into_iter().find(|t| t.to_string() == kind).ok_or_else(unknown)?,
        _ => return Err(unknown()),
    };
    match column.extension.as_deref() {
        None => Ok(Field::new(&column.name, kind, column.nullable)),
        Some(JSON_EXTENSION) if kind == DataType::Utf8 => Ok(json_field(&column.name).with_nullable(column.nullable)),
        Some(other) => Ok(Field::new(&column.name, kind, column.nullable)
            .with_metadata([(EXTENSION_NAME.to_owned(), other.to_owned())].into())),
    }
}
