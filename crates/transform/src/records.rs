//! The JSON records that a batch was made from, `_extra` merged back.
//!
//! A value in `_extra` stands where its path says: in place of a null column, merged into an object, or in place of a
//! null element. Null members are left out: null and absent are the same.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Field, Fields, Float64Type, Int64Type, TimestampMicrosecondType},
};
use pagemill_core::{EXTRA, Error, Place, Resource, Result, resource::is_json};
use serde::de::Deserialize;
use serde_json::Value;

use crate::{extra::Members, plan::same_columns};

/// Deeper records are not turned into values, which are built and dropped by recursion.
const MAX_DEPTH: usize = 1_024;

/// The records of a nested batch, each as JSON text.
///
/// Exact: numbers kept in `_extra` and JSON columns are the text that was read. Declared members come first, in the
/// order of the schema; times are RFC 3339 in UTC.
///
/// # Errors
/// [`Config`](pagemill_core::ErrorKind::Config) when the batch is not of `resource`; [`Data`](pagemill_core::ErrorKind::Data),
/// with the row and the path, when a column and `_extra` both claim a place, or `_extra` is not JSON.
pub fn records_json(batch: &RecordBatch, resource: &Resource) -> Result<Vec<String>> {
    same_columns(batch.schema_ref(), &resource.schema())?;
    let mut out = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let mut writer = Writer { out: String::new(), path: "$".into() };
        match writer.record(resource.schema().fields(), batch.columns(), row) {
            Ok(()) => out.push(writer.out),
            Err(error) => {
                let place = Place { record: Some(row as u64), path: Some(writer.path), ..Place::default() };
                return Err(error.at(place));
            }
        }
    }
    Ok(out)
}

/// The records of a nested batch, as values.
///
/// As [`records_json`], but numbers are what `serde_json` makes of them: 64-bit integers are exact, others become doubles.
///
/// # Errors
/// As [`records_json`]; and when a number is beyond a double, or a record nests deeper than 1,024 levels.
pub fn records(batch: &RecordBatch, resource: &Resource) -> Result<Vec<Value>> {
    let value = |(row, text): (usize, String)| {
        let place = || Place { record: Some(row as u64), ..Place::default() };
        if depth(&text) > MAX_DEPTH {
            return Err(Error::data(format!("a record nests deeper than {MAX_DEPTH} levels")).at(place()));
        }
        let mut reader = serde_json::Deserializer::from_str(&text);
        reader.disable_recursion_limit();
        Value::deserialize(&mut reader)
            .and_then(|value| reader.end().map(|()| value))
            .map_err(|e| Error::data("a record cannot be held as a value").at(place()).because(e))
    };
    records_json(batch, resource)?.into_iter().enumerate().map(value).collect()
}

/// How deep JSON text nests.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

struct Writer {
    out: String,
    /// Of the value being written; stays where it is at an error.
    path: String,
}

impl Writer {
    /// A record, or an item of a list of objects: what has an `_extra` of its own, in its last column.
    fn record(&mut self, fields: &Fields, columns: &[ArrayRef], row: usize) -> Result<()> {
        let extra = columns.last().and_then(|c| c.as_string_opt::<i32>()).filter(|c| c.is_valid(row));
        let Some(text) = extra.map(|c| c.value(row)) else {
            return self.object(fields, columns, row, Members(Vec::new()));
        };
        if let Some(members) = Members::of(text)? {
            return self.object(fields, columns, row, members);
        }
        let declared = columns.get(..columns.len() - 1).unwrap_or_default();
        if declared.iter().any(|c| c.is_valid(row)) {
            return Err(conflict());
        }
        self.out.push_str(text);
        Ok(())
    }

    fn object(&mut self, fields: &Fields, columns: &[ArrayRef], row: usize, mut members: Members<'_>) -> Result<()> {
        self.out.push('{');
        let start = self.out.len();
        for (field, column) in fields.iter().zip(columns).filter(|(f, _)| f.name() != EXTRA) {
            let extra = members.take(field.name());
            if column.is_null(row) && extra.is_none() {
                continue;
            }
            self.name(start, field.name())?;
            let parent = self.path.len();
            self.path.push('.');
            self.path.push_str(field.name());
            self.value(field, column, row, extra.map(|e| e.get()))?;
            self.path.truncate(parent);
        }
        for (name, value) in members.0 {
            self.name(start, &name)?;
            self.out.push_str(value.get());
        }
        self.out.push('}');
        Ok(())
    }

    /// A member's name, in an object whose members begin at `start`.
    fn name(&mut self, start: usize, name: &str) -> Result<()> {
        if self.out.len() > start {
            self.out.push(',');
        }
        self.string(name)?;
        self.out.push(':');
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<()> {
        let quoted =
            serde_json::to_string(text).map_err(|e| Error::internal("a string cannot be quoted").because(e))?;
        self.out.push_str(&quoted);
        Ok(())
    }

    /// A value; `extra` is what `_extra` has at its path.
    fn value(&mut self, field: &Field, column: &ArrayRef, row: usize, extra: Option<&str>) -> Result<()> {
        if column.is_null(row) {
            self.out.push_str(extra.unwrap_or("null"));
            return Ok(());
        }
        match field.data_type() {
            DataType::Struct(fields) => {
                let members = match extra {
                    Some(extra) => Members::of(extra)?.ok_or_else(conflict)?,
                    None => Members(Vec::new()),
                };
                return self.object(fields, column.as_struct().columns(), row, members);
            }
            DataType::List(item) => return self.list(item, &column.as_list::<i32>().value(row), extra),
            _ if extra.is_some() => return Err(conflict()),
            DataType::Boolean => self.out.push_str(if column.as_boolean().value(row) { "true" } else { "false" }),
            DataType::Int64 => self.out.push_str(&column.as_primitive::<Int64Type>().value(row).to_string()),
            DataType::Float64 => {
                let number = serde_json::Number::from_f64(column.as_primitive::<Float64Type>().value(row));
                let number = number.ok_or_else(|| Error::data("a number is infinite, or none"))?;
                self.out.push_str(&number.to_string());
            }
            DataType::Timestamp(..) => {
                let time = column.as_primitive::<TimestampMicrosecondType>().value(row);
                self.out.push('"');
                self.out.push_str(&rfc3339(time));
                self.out.push('"');
            }
            DataType::Utf8 if is_json(field) => self.out.push_str(column.as_string::<i32>().value(row)),
            DataType::Utf8 => self.string(column.as_string::<i32>().value(row))?,
            other => return Err(Error::internal(format!("a column of type {other}"))),
        }
        Ok(())
    }

    fn list(&mut self, item: &Field, items: &ArrayRef, extra: Option<&str>) -> Result<()> {
        let object = match item.data_type() {
            DataType::Struct(fields) => Some((fields, items.as_struct().columns())),
            _ => None,
        };
        // Elements that are no objects have no `_extra`: the list's own place has them, by position.
        let mut misfits = match extra {
            Some(_) if object.is_some() => return Err(conflict()),
            Some(extra) => Members::of(extra)?.ok_or_else(conflict)?,
            None => Members(Vec::new()),
        };
        self.out.push('[');
        let parent = self.path.len();
        for i in 0..items.len() {
            if i > 0 {
                self.out.push(',');
            }
            self.path.push_str(&format!("[{i}]"));
            let misfit = if misfits.0.is_empty() { None } else { misfits.take(&i.to_string()) };
            match object {
                Some((fields, columns)) if items.is_valid(i) => self.record(fields, columns, i)?,
                _ => self.value(item, items, i, misfit.map(|m| m.get()))?,
            }
            self.path.truncate(parent);
        }
        if !misfits.0.is_empty() {
            return Err(Error::data("`_extra` has an element that the list has not"));
        }
        self.out.push(']');
        Ok(())
    }
}

fn conflict() -> Error {
    Error::data("both the column and `_extra` have a value")
}

/// A moment, in microseconds since 1970, in UTC; a fraction only where there is one.
fn rfc3339(micros: i64) -> String {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days are counted from 0000-03-01, so that a leap day ends its year, and in cycles of 400 years, all alike.
    let since = days + 719_468;
    let (cycle, day) = (since.div_euclid(146_097), since.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year + 400 * cycle + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:06}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use arrow::array::TimestampMicrosecondArray;

    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(rfc3339(1_709_208_000_000_500), "2024-02-29T12:00:00.000500Z");
        assert_eq!(rfc3339(-62_167_219_200_000_000), "0000-01-01T00:00:00Z");
        assert_eq!(rfc3339(253_402_300_799_999_999), "9999-12-31T23:59:59.999999Z");
        for day in -719_528..2_932_896_i64 {
            let micros = day * 86_400_000_000;
            if day % 97 == 0 || day % 365 < 3 {
                let theirs = TimestampMicrosecondArray::from(vec![micros]).value_as_datetime(0).expect("in range");
                assert_eq!(rfc3339(micros), format!("{theirs:?}Z"), "day {day}");
            }
        }
    }

    #[test]
    fn depth_counts_brackets_outside_strings() {
        assert_eq!(depth(r#"{"a]}\"[[[":[1,{"b":"\\"},[]]}"#), 3);
        assert_eq!(depth("1"), 0);
    }
}
