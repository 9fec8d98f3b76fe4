//! The tables and columns of a resource.

use arrow::datatypes::{DataType, Field};
use pagemill::{Flatten, Nested, Resource, TableSchema, Transform};

use crate::{
    args::{Schema, SchemaForm},
    plan, show,
};

pub(crate) fn show(args: &Schema) -> anyhow::Result<()> {
    let text = match &args.resource {
        None => Resource::catalog().map(|name| format!("{name}\n")).collect(),
        Some(name) => {
            let resource = plan::resource(name)?;
            match args.form {
                SchemaForm::JsonSchema => {
                    format!("{}\n", show::plain_json(&serde_json::to_string_pretty(resource.document())?))
                }
                SchemaForm::Arrow => each(&tables(&resource, args.nested)?, columns),
                SchemaForm::Sql => each(&tables(&resource, args.nested)?, create_table),
            }
        }
    };
    show::print(&text)
}

fn tables(resource: &Resource, nested: bool) -> pagemill::Result<Vec<TableSchema>> {
    match nested {
        true => Nested::new(resource, None).tables(&resource.schema()),
        false => Flatten::new(resource, None).tables(&resource.schema()),
    }
}

fn each(tables: &[TableSchema], show: fn(&TableSchema) -> String) -> String {
    tables.iter().map(show).collect::<Vec<_>>().join("\n")
}

fn columns(table: &TableSchema) -> String {
    let mut text = format!("{}\n", table.name);
    for field in table.schema.fields() {
        let kind =
            if pagemill::resource::is_json(field) { "JSON (Utf8)".to_owned() } else { field.data_type().to_string() };
        let null = if field.is_nullable() { "" } else { ", not null" };
        text.push_str(&format!("  {}: {kind}{null}\n", field.name()));
    }
    text
}

/// A `CREATE TABLE` statement in DuckDB's dialect.
fn create_table(table: &TableSchema) -> String {
    let column = |field: &std::sync::Arc<Field>| {
        let null = if field.is_nullable() { "" } else { " NOT NULL" };
        format!("  {} {}{null}", quoted(field.name()), sql_type(field))
    };
    let columns: Vec<_> = table.schema.fields().iter().map(column).collect();
    format!("CREATE TABLE {} (\n{}\n);\n", quoted(table.name.as_str()), columns.join(",\n"))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn sql_type(field: &Field) -> String {
    match field.data_type() {
        _ if pagemill::resource::is_json(field) => "JSON".to_owned(),
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Timestamp(..) => "TIMESTAMPTZ".to_owned(),
        DataType::List(item) => format!("{}[]", sql_type(item)),
        DataType::Struct(fields) => {
            let fields: Vec<_> = fields.iter().map(|f| format!("{} {}", quoted(f.name()), sql_type(f))).collect();
            format!("STRUCT({})", fields.join(", "))
        }
        DataType::Binary => "BLOB".to_owned(),
        _ => "VARCHAR".to_owned(),
    }
}
