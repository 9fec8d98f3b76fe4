//! Batches of a size that depends on the rows alone.
//!
//! How rows arrive, in many small batches or a few large ones, is a matter of the network. Encoders leave traces of the
//! batches they are given (a dictionary that fills, a page that ends, a record batch of Arrow IPC), so rows are
//! cut anew before they are encoded.
//!
//! Rows are copied the moment they come, so that the batch they came in is free, and with it the share of the memory
//! that it held. What they are copied into is used again for the next batch, once nobody has the last one any more:
//! fresh memory costs more than the copy.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanBuilder, GenericByteArray, GenericByteBuilder, LargeListArray, ListArray,
        MutableArrayData, NullBufferBuilder, PrimitiveArray, PrimitiveBuilder, RecordBatch, RecordBatchOptions,
        StructArray, make_array,
    },
    buffer::{OffsetBuffer, ScalarBuffer},
    datatypes::{
        ArrowPrimitiveType, BinaryType, ByteArrayType, DataType, FieldRef, Fields, Float64Type, Int32Type, Int64Type,
        LargeBinaryType, LargeUtf8Type, SchemaRef, TimeUnit, TimestampMicrosecondType, Utf8Type,
    },
};
use pagemill_core::{Error, Result};

/// Cuts a sequence of rows into batches, whatever the batches it came in.
///
/// A cut is made before a row when the pending rows are `rows`, or when their bytes and this row's would pass
/// `bytes`. A row larger than `bytes` has a batch of its own. Every batch handed out is freshly copied, so it
/// carries no offset, no bits beyond its end and no validity that says nothing.
#[derive(Debug)]
pub struct Recut {
    schema: SchemaRef,
    rows: usize,
    bytes: u64,
    pending: Vec<Gather>,
    pending_rows: usize,
    pending_bytes: u64,
}

impl Recut {
    /// Cuts batches of `schema`, each of at most `rows` rows (at least 1) and about `bytes` bytes.
    #[must_use]
    pub fn new(schema: SchemaRef, rows: usize, bytes: u64) -> Self {
        // What one batch takes in the worst case, one large row aside.
        let kept = usize::try_from(bytes.saturating_mul(2)).unwrap_or(usize::MAX);
        let pending = schema.fields().iter().map(|f| Gather::new(f.data_type(), kept)).collect();
        Self { schema, rows: rows.max(1), bytes, pending, pending_rows: 0, pending_bytes: 0 }
    }

    /// Takes rows; calls `out` with each batch that is complete.
    ///
    /// # Errors
    /// What `out` says; or [`Internal`](pagemill_core::ErrorKind::Internal) when the rows are not of the schema.
    pub fn push(&mut self, batch: &RecordBatch, out: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        if batch.num_columns() != self.pending.len() {
            return Err(strange());
        }
        let total = batch.num_rows();
        let mut from = 0;
        while from < total {
            let upto = from + self.fit(batch, from);
            if upto == from {
                let cut = self.cut()?;
                out(cut)?;
                continue;
            }
            for (pending, column) in self.pending.iter_mut().zip(batch.columns()) {
                pending.append(column, from, upto - from)?;
            }
            self.pending_rows += upto - from;
            self.pending_bytes += batch_bytes(batch, from, upto);
            from = upto;
        }
        Ok(())
    }

    /// Hands out what is pending, if anything.
    ///
    /// # Errors
    /// As [`Recut::push`].
    pub fn flush(&mut self, out: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        if self.pending_rows == 0 {
            return Ok(());
        }
        let cut = self.cut()?;
        out(cut)
    }

    /// The bytes that are pending.
    #[must_use]
    pub fn pending_bytes(&self) -> u64 {
        self.pending_bytes
    }

    /// How many rows of `batch` from `from` on belong to the pending batch.
    fn fit(&self, batch: &RecordBatch, from: usize) -> usize {
        let rows = (batch.num_rows() - from).min(self.rows - self.pending_rows);
        let Some(room) = self.bytes.checked_sub(self.pending_bytes) else { return 0 };
        if batch_bytes(batch, from, from + rows) <= room {
            return rows;
        }
        // The bytes of a range of rows come from the offsets at its ends, so the place is found by bisection.
        let (mut fits, mut passes) = (0, rows);
        while passes - fits > 1 {
            let middle = fits + (passes - fits) / 2;
            if batch_bytes(batch, from, from + middle) <= room {
                fits = middle;
            } else {
                passes = middle;
            }
        }
        if fits == 0 && self.pending_rows == 0 { 1 } else { fits }
    }

    fn cut(&mut self) -> Result<RecordBatch> {
        let rows = std::mem::take(&mut self.pending_rows);
        self.pending_bytes = 0;
        let columns = self.pending.iter_mut().map(Gather::finish).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

fn strange() -> Error {
    Error::internal("a batch does not have the columns of its table")
}

/// A column's pending rows.
#[derive(Debug)]
enum Gather {
    Text(Bytes<Utf8Type>),
    LargeText(Bytes<LargeUtf8Type>),
    Binary(Bytes<BinaryType>),
    LargeBinary(Bytes<LargeBinaryType>),
    Bool(BooleanBuilder),
    Int(PrimitiveBuilder<Int64Type>),
    Float(PrimitiveBuilder<Float64Type>),
    Time(PrimitiveBuilder<TimestampMicrosecondType>),
    Struct {
        fields: Fields,
        columns: Vec<Gather>,
        nulls: NullBufferBuilder,
        rows: usize,
    },
    List {
        item: FieldRef,
        items: Box<Gather>,
        offsets: Vec<i32>,
        nulls: NullBufferBuilder,
    },
    /// Of a type that no resource has: copied when the batch is cut.
    Other(Vec<ArrayRef>),
}

impl Gather {
    /// For a column of `data_type`; memory for up to `kept` bytes is used again.
    fn new(data_type: &DataType, kept: usize) -> Self {
        match data_type {
            DataType::Utf8 => Self::Text(Bytes::new(kept)),
            DataType::LargeUtf8 => Self::LargeText(Bytes::new(kept)),
            DataType::Binary => Self::Binary(Bytes::new(kept)),
            DataType::LargeBinary => Self::LargeBinary(Bytes::new(kept)),
            DataType::Boolean => Self::Bool(BooleanBuilder::new()),
            DataType::Int64 => Self::Int(PrimitiveBuilder::new()),
            DataType::Float64 => Self::Float(PrimitiveBuilder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Time(PrimitiveBuilder::new().with_data_type(data_type.clone()))
            }
            DataType::Struct(fields) => Self::Struct {
                fields: fields.clone(),
                columns: fields.iter().map(|f| Self::new(f.data_type(), kept)).collect(),
                nulls: NullBufferBuilder::new(0),
                rows: 0,
            },
            DataType::List(item) => Self::List {
                item: item.clone(),
                items: Box::new(Self::new(item.data_type(), kept)),
                offsets: vec![0],
                nulls: NullBufferBuilder::new(0),
            },
            _ => Self::Other(Vec::new()),
        }
    }

    /// Copies `len` rows of `array` from row `from` on.
    fn append(&mut self, array: &ArrayRef, from: usize, len: usize) -> Result<()> {
        match self {
            Self::Text(column) => column.append(array, from, len)?,
            Self::LargeText(column) => column.append(array, from, len)?,
            Self::Binary(column) => column.append(array, from, len)?,
            Self::LargeBinary(column) => column.append(array, from, len)?,
            Self::Bool(column) => {
                column.append_array(&array.as_boolean_opt().ok_or_else(strange)?.slice(from, len));
            }
            Self::Int(column) => append(column, array, from, len)?,
            Self::Float(column) => append(column, array, from, len)?,
            Self::Time(column) => append(column, array, from, len)?,
            Self::Struct { columns, nulls, rows, .. } => {
                let array = array.as_struct_opt().filter(|a| a.num_columns() == columns.len()).ok_or_else(strange)?;
                for (column, member) in columns.iter_mut().zip(array.columns()) {
                    column.append(member, from, len)?;
                }
                append_nulls(nulls, array, from, len);
                *rows += len;
            }
            Self::List { items, offsets, nulls, .. } => {
                let list: &ListArray = array.as_list_opt().ok_or_else(strange)?;
                let ends = list.value_offsets().get(from..=from + len).ok_or_else(strange)?;
                let (first, last) = ends.first().zip(ends.last()).ok_or_else(strange)?;
                // Offsets are never negative, nor do they descend.
                items.append(list.values(), *first as usize, (last - first) as usize)?;
                let base = offsets.last().copied().unwrap_or_default();
                let end =
                    base.checked_add(last - first).ok_or_else(|| Error::data("a batch is too large for lists"))?;
                debug_assert!(end >= base);
                offsets.extend(ends.iter().skip(1).map(|at| base + (at - first)));
                append_nulls(nulls, array, from, len);
            }
            Self::Other(pieces) => {
                if pieces.first().is_some_and(|first| first.data_type() != array.data_type()) {
                    return Err(strange());
                }
                pieces.push(array.slice(from, len));
            }
        }
        Ok(())
    }

    /// The rows as an array, leaving none.
    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Text(column) => column.finish()?,
            Self::LargeText(column) => column.finish()?,
            Self::Binary(column) => column.finish()?,
            Self::LargeBinary(column) => column.finish()?,
            Self::Bool(column) => Arc::new(column.finish()),
            Self::Int(column) => Arc::new(column.finish()),
            Self::Float(column) => Arc::new(column.finish()),
            Self::Time(column) => Arc::new(column.finish()),
            Self::Struct { fields, columns, nulls, rows } => {
                let columns = columns.iter_mut().map(Self::finish).collect::<Result<_>>()?;
                let rows = std::mem::take(rows);
                Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls.finish(), rows)?)
            }
            Self::List { item, items, offsets, nulls } => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])));
                Arc::new(ListArray::try_new(item.clone(), offsets, items.finish()?, nulls.finish())?)
            }
            Self::Other(pieces) => {
                let data: Vec<_> = std::mem::take(pieces).iter().map(|p| p.to_data()).collect();
                let rows = data.iter().map(arrow::array::ArrayData::len).sum();
                let mut whole = MutableArrayData::new(data.iter().collect(), false, rows);
                for (index, piece) in data.iter().enumerate() {
                    whole.try_extend(index, 0, piece.len())?;
                }
                make_array(whole.freeze())
            }
        })
    }
}

fn append<T: ArrowPrimitiveType>(
    to: &mut PrimitiveBuilder<T>,
    array: &ArrayRef,
    from: usize,
    len: usize,
) -> Result<()> {
    let array: &PrimitiveArray<T> = array.as_primitive_opt().ok_or_else(strange)?;
    to.append_array(&array.slice(from, len));
    Ok(())
}

fn append_nulls(to: &mut NullBufferBuilder, array: &dyn Array, from: usize, len: usize) {
    match array.nulls() {
        Some(nulls) => to.append_buffer(&nulls.slice(from, len)),
        None => to.append_n_non_nulls(len),
    }
}

/// Values of any length.
struct Bytes<T: ByteArrayType> {
    builder: GenericByteBuilder<T>,
    /// No rows, and the memory of the batch before.
    spare: Option<GenericByteArray<T>>,
    kept: usize,
}

impl<T: ByteArrayType> std::fmt::Debug for Bytes<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bytes").field("builder", &self.builder).finish_non_exhaustive()
    }
}

impl<T: ByteArrayType> Bytes<T> {
    fn new(kept: usize) -> Self {
        Self { builder: GenericByteBuilder::with_capacity(0, 0), spare: None, kept }
    }

    fn append(&mut self, array: &ArrayRef, from: usize, len: usize) -> Result<()> {
        if let Some(spare) = self.spare.take()
            && let Ok(builder) = spare.into_builder()
            && builder.values_capacity() <= self.kept
        {
            self.builder = builder;
        }
        let array: &GenericByteArray<T> = array.as_bytes_opt().ok_or_else(strange)?;
        Ok(self.builder.append_array(&array.slice(from, len))?)
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let array = self.builder.finish();
        // Without validity: a builder that had one would say that all rows are valid.
        let (offsets, values, _) = array.clone().into_parts();
        let empty = GenericByteArray::try_new(offsets.slice(0, 0), values.slice_with_length(0, 0), None)?;
        self.spare = Some(empty);
        Ok(Arc::new(array))
    }
}

/// The bytes that the values of rows `from..upto` take in Arrow's buffers; offsets and validity not counted.
#[must_use]
pub fn batch_bytes(batch: &RecordBatch, from: usize, upto: usize) -> u64 {
    batch.columns().iter().map(|c| array_bytes(c, from, upto)).sum()
}

fn array_bytes(array: &dyn Array, from: usize, upto: usize) -> u64 {
    fn span<T: Copy + TryInto<usize>>(offsets: &[T], from: usize, upto: usize) -> (usize, usize) {
        let at = |i: usize| offsets.get(i).and_then(|o| (*o).try_into().ok()).unwrap_or(0);
        (at(from), at(upto))
    }
    let length = |(start, end): (usize, usize)| end.saturating_sub(start) as u64;
    match array.data_type() {
        DataType::Utf8 => length(span(array.as_string::<i32>().value_offsets(), from, upto)),
        DataType::LargeUtf8 => length(span(array.as_string::<i64>().value_offsets(), from, upto)),
        DataType::Binary => length(span(array.as_binary::<i32>().value_offsets(), from, upto)),
        DataType::LargeBinary => length(span(array.as_binary::<i64>().value_offsets(), from, upto)),
        DataType::List(_) => {
            let list: &ListArray = array.as_list();
            let (start, end) = span(list.value_offsets(), from, upto);
            array_bytes(list.values(), start, end)
        }
        DataType::LargeList(_) => {
            let list: &LargeListArray = array.as_list();
            let (start, end) = span(list.value_offsets(), from, upto);
            array_bytes(list.values(), start, end)
        }
        DataType::Struct(_) => array.as_struct().columns().iter().map(|c| array_bytes(c, from, upto)).sum(),
        DataType::Boolean | DataType::Null => (upto - from) as u64,
        DataType::Dictionary(key, _) if **key == DataType::Int32 => {
            array_bytes(array.as_dictionary::<Int32Type>().keys(), from, upto)
        }
        DataType::Dictionary(key, _) if **key == DataType::Int64 => {
            array_bytes(array.as_dictionary::<Int64Type>().keys(), from, upto)
        }
        other => (upto - from) as u64 * other.primitive_width().unwrap_or(16) as u64,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{ArrayRef, Int64Array, ListBuilder, StringArray, StringBuilder, StructArray},
        compute::concat_batches,
        datatypes::{Field, Fields},
    };
    use proptest::prelude::*;

    use super::*;

    type Row = (Option<i64>, Option<String>, Option<Vec<Option<String>>>);

    fn batch(rows: &[Row]) -> RecordBatch {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for (_, _, list) in rows {
            match list {
                None => lists.append_null(),
                Some(words) => lists.append_value(words.iter().cloned()),
            }
        }
        let text: ArrayRef = Arc::new(rows.iter().map(|r| r.1.as_deref()).collect::<StringArray>());
        let fields = Fields::from(vec![Field::new("t", DataType::Utf8, true)]);
        let nested = StructArray::new(fields, vec![text.clone()], text.nulls().cloned());
        let columns: [(&str, ArrayRef, bool); 4] = [
            ("n", Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>()), true),
            ("t", text, true),
            ("l", Arc::new(lists.finish()), true),
            ("s", Arc::new(nested), true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).expect("fits")
    }

    fn cuts(pieces: &[RecordBatch], rows: usize, bytes: u64) -> Vec<RecordBatch> {
        let mut out = Vec::new();
        let mut take = |b| {
            out.push(b);
            Ok(())
        };
        let mut recut = Recut::new(pieces[0].schema(), rows, bytes);
        for piece in pieces {
            recut.push(piece, &mut take).expect("push");
        }
        recut.flush(&mut take).expect("flush");
        assert_eq!(recut.pending_bytes(), 0);
        out
    }

    /// The rule as it is written, one row after the other.
    fn by_the_rule(all: &RecordBatch, rows: usize, bytes: u64) -> Vec<usize> {
        let (mut lengths, mut pending, mut held) = (Vec::new(), 0, 0);
        for row in 0..all.num_rows() {
            let size = batch_bytes(all, row, row + 1);
            if pending > 0 && (pending == rows || held + size > bytes) {
                lengths.push(pending);
                (pending, held) = (0, 0);
            }
            pending += 1;
            held += size;
        }
        lengths.extend((pending > 0).then_some(pending));
        lengths
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let text = proptest::option::of("[a-zé]{0,40}");
        let list = proptest::option::of(proptest::collection::vec(text.clone(), 0..4));
        proptest::collection::vec((any::<Option<i64>>(), text, list), 1..60)
    }

    proptest! {
        #[test]
        fn any_batching_of_the_same_rows_gives_the_same_cuts(
            rows in rows(),
            marks in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
            limit in 1usize..20,
            bytes in 0u64..400,
        ) {
            let whole = batch(&rows);
            let mut marks: Vec<_> = marks.iter().map(|m| m.index(rows.len() + 1)).collect();
            marks.extend([0, rows.len()]);
            marks.sort_unstable();
            let sliced: Vec<_> = marks.windows(2).map(|w| whole.slice(w[0], w[1] - w[0])).collect();
            let built: Vec<_> = marks.windows(2).map(|w| batch(&rows[w[0]..w[1]])).collect();
            let expected = cuts(std::slice::from_ref(&whole), limit, bytes);
            prop_assert_eq!(expected.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), by_the_rule(&whole, limit, bytes));
            prop_assert_eq!(&concat_batches(&whole.schema(), &expected).expect("concat"), &whole);
            for pieces in [sliced, built] {
                let got = cuts(&pieces, limit, bytes);
                prop_assert_eq!(&got, &expected);
                for (a, b) in got.iter().flat_map(|b| b.columns()).zip(expected.iter().flat_map(|b| b.columns())) {
                    prop_assert_eq!(a.nulls().is_some(), b.nulls().is_some());
                    prop_assert_eq!(a.offset(), 0);
                }
            }
        }
    }

    #[test]
    fn a_row_larger_than_the_limit_has_a_batch_of_its_own() {
        let big = "x".repeat(100);
        let rows: Vec<Row> = ["a", &big, "b", "c"].iter().map(|t| (None, Some((*t).to_owned()), None)).collect();
        let lengths: Vec<_> = cuts(&[batch(&rows)], 10, 50).iter().map(RecordBatch::num_rows).collect();
        assert_eq!(lengths, [1, 1, 2]);
    }
}
