//! Column builders: what stage 2 writes into.
//!
//! A column is only touched by the rows that have a value for it: rows it has missed are filled with nulls when the next
//! value comes, or at the end of the batch. So a member that is absent costs nothing, and a column longer than the row in
//! progress says that its member was there already. A row that turns out bad is undone by [`Column::truncate`].

mod left_out;
mod list;
mod nulls;
mod plain;
mod shelf;
mod structure;
mod text;

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, Float64Array, Int64Array, TimestampMicrosecondArray},
    datatypes::DataType,
};
use pagemill_core::{Error, Kind, Result};

pub(crate) use self::{
    left_out::LeftOut,
    list::ListColumn,
    nulls::Nulls,
    plain::Plain,
    shelf::Shelf,
    structure::{LABEL, Node, StructColumn},
    text::TextColumn,
};
use crate::misfit::Ids;

/// A column in the making. Its kind is looked at for each value, so that it is a plain byte.
#[derive(Debug)]
#[repr(u8)]
pub(crate) enum Column {
    /// Text.
    Text(TextColumn),
    /// Microseconds since the epoch.
    Time(Plain<i64>),
    /// JSON as its own text.
    Json(TextColumn),
    /// Booleans.
    Bool(Plain<bool>),
    /// Integers.
    Int(Plain<i64>),
    /// Doubles.
    Float(Plain<f64>),
    /// Objects.
    Struct(Box<StructColumn>),
    /// Arrays.
    List(Box<ListColumn>),
    /// Nothing: a declared member that nobody asked for.
    LeftOut(LeftOut),
}

/// Does the same to whichever kind of column it is.
macro_rules! each {
    ($self:expr, $column:ident => $do:expr) => {
        match $self {
            Column::Text($column) | Column::Json($column) => $do,
            Column::Bool($column) => $do,
            Column::Int($column) | Column::Time($column) => $do,
            Column::Float($column) => $do,
            Column::Struct($column) => $do,
            Column::List($column) => $do,
            Column::LeftOut($column) => $do,
        }
    };
}

impl Column {
    /// A column for values of `kind`, whose misfits are counted under `path`.
    pub(crate) fn new(kind: &Kind, path: &str, ids: &mut Ids) -> Self {
        match kind {
            Kind::Text => Self::Text(TextColumn::default()),
            Kind::Json => Self::Json(TextColumn::default()),
            Kind::Bool => Self::Bool(Plain::default()),
            Kind::Int => Self::Int(Plain::default()),
            Kind::Float => Self::Float(Plain::default()),
            Kind::Time => Self::Time(Plain::default()),
            Kind::Struct(fields) => Self::Struct(Box::new(StructColumn::new(fields, path, false, ids))),
            Kind::List(item) => Self::List(Box::new(ListColumn::new(item, path, ids))),
        }
    }

    /// Makes row `row` null, and those before it that have no value.
    #[cold]
    #[inline(never)]
    pub(crate) fn push_null(&mut self, row: usize) {
        each!(self, column => column.fill(row + 1));
    }

    /// Rows so far.
    pub(crate) fn len(&self) -> usize {
        each!(self, column => column.len())
    }

    /// Drops the rows after `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        each!(self, column => column.truncate(len));
    }

    /// The first `len` rows as an array, leaving none.
    pub(crate) fn finish(&mut self, len: usize, data_type: &DataType) -> Result<ArrayRef> {
        each!(self, column => column.fill(len));
        Ok(match self {
            Self::Text(column) | Self::Json(column) => column.finish()?,
            Self::Bool(column) => {
                let (values, nulls) = column.finish_bits();
                Arc::new(BooleanArray::new(values, nulls))
            }
            Self::Int(column) => {
                let (values, nulls) = column.finish();
                Arc::new(Int64Array::try_new(values, nulls)?)
            }
            Self::Float(column) => {
                let (values, nulls) = column.finish();
                Arc::new(Float64Array::try_new(values, nulls)?)
            }
            Self::Time(column) => {
                let (values, nulls) = column.finish();
                Arc::new(TimestampMicrosecondArray::try_new(values, nulls)?.with_data_type(data_type.clone()))
            }
            Self::Struct(column) => column.finish(len, data_type)?,
            Self::List(column) => column.finish(len, data_type)?,
            Self::LeftOut(_) => return Err(Error::internal("a member that was left out has no column")),
        })
    }
}
