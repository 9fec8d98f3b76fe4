//! Objects with declared members.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, StructArray},
    datatypes::{DataType, Fields},
};
use pagemill_core::{EXTRA, Error, Field, Result};

use super::{Column, LeftOut, Nulls, TextColumn};
use crate::{
    misfit::{Id, Ids},
    raw,
};

/// A declared member and its column.
#[derive(Debug)]
pub(crate) struct Node {
    /// `"name":`, to be compared with all these bytes at once; which of them count, one bit each; what must be the same of
    /// those, which is all of them unless the label is too long for this, and then something impossible; and its length.
    short: [u8; LABEL],
    counts: u32,
    same: u32,
    len: u32,
    pub(crate) id: Id,
    pub(crate) column: Column,
    /// The same, as it begins a member in `_extra`.
    pub(crate) label: Box<[u8]>,
}

/// Bytes that a label is compared with: one more than it may have.
pub(crate) const LABEL: usize = 32;

impl Node {
    fn new(label: Box<[u8]>, id: Id, column: Column) -> Self {
        let mut short = [0; LABEL];
        let (counts, same) = match short[..LABEL - 1].get_mut(..label.len()) {
            Some(short) => {
                short.copy_from_slice(&label);
                let counts = (u64::MAX >> (64 - label.len())) as u32;
                (counts, counts)
            }
            None => (0, 1),
        };
        Self { short, counts, same, len: label.len() as u32, id, column, label }
    }

    /// The length of the member's label, which is below [`LABEL`], if `head` begins with it.
    #[inline(always)]
    pub(crate) fn begins<const N: usize>(&self, head: &[u8; N]) -> Option<usize> {
        const { assert!(N >= LABEL) };
        let first = head.first_chunk()?;
        (raw::same_bytes(&self.short, first) & self.counts == self.same).then_some(self.len as usize & (LABEL - 1))
    }
}

/// Objects: a column for each declared member, and perhaps an `_extra` for everything else.
#[derive(Debug)]
pub(crate) struct StructColumn {
    pub(crate) nodes: Vec<Node>,
    names: Names,
    /// Under which unknown members are counted.
    pub(crate) id: Id,
    len: usize,
    nulls: Nulls,
    /// The objects' own `_extra`; without it, they write into that of the object around them.
    extra: Option<TextColumn>,
}

impl StructColumn {
    pub(crate) fn new(fields: &[Field], path: &str, own_extra: bool, ids: &mut Ids) -> Self {
        let id = ids.add(if path.is_empty() { "$" } else { path });
        let node = |field: &Field| {
            let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            let id = ids.add(&path);
            Node::new(label(&field.name), id, Column::new(&field.kind, &path, ids))
        };
        Self {
            nodes: fields.iter().map(node).collect(),
            names: Names::new(fields.iter().map(|f| f.name.as_bytes())),
            id,
            len: 0,
            nulls: Nulls::default(),
            extra: own_extra.then(TextColumn::default),
        }
    }

    /// The columns of whole records; `left_out` are members without a column, and their places among the others.
    pub(crate) fn root(fields: &[Field], left_out: &[(usize, String)], ids: &mut Ids) -> Self {
        let mut root = Self::new(fields, "", true, ids);
        let mut names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        for (position, name) in left_out {
            let node = Node::new(label(name), root.id, Column::LeftOut(LeftOut::default()));
            root.nodes.insert((*position).min(names.len()), node);
            names.insert((*position).min(names.len()), name);
        }
        root.names = Names::new(names.into_iter().map(str::as_bytes));
        root
    }

    /// The position of the member `name`.
    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<usize> {
        self.names.find(name)
    }

    /// Makes row `row` an object.
    #[inline]
    pub(crate) fn push(&mut self, row: usize) {
        self.fill(row);
        self.len = row + 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes `text` the `_extra` of row `row`.
    pub(crate) fn push_extra(&mut self, row: usize, text: &[u8]) {
        if let Some(extra) = &mut self.extra {
            extra.push(row, text);
        }
    }

    /// Adds nulls up to `len`.
    #[inline]
    pub(crate) fn fill(&mut self, len: usize) {
        if self.len < len {
            self.nulls.push(self.len, len);
            self.len = len;
        }
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.nulls.truncate(len);
        for node in &mut self.nodes {
            node.column.truncate(len);
        }
        if let Some(extra) = &mut self.extra {
            extra.truncate(len);
        }
    }

    pub(crate) fn finish(&mut self, len: usize, data_type: &DataType) -> Result<ArrayRef> {
        let DataType::Struct(fields) = data_type else {
            return Err(Error::internal("a struct column of another type"));
        };
        let columns = self.finish_columns(len, fields)?;
        let nulls = self.nulls.finish(len);
        self.len = 0;
        Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, len)?))
    }

    /// The columns of the first `len` rows, leaving none.
    pub(crate) fn finish_columns(&mut self, len: usize, fields: &Fields) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::with_capacity(fields.len());
        for node in self.nodes.iter_mut().filter(|node| matches!(node.column, Column::LeftOut(_))) {
            node.column.truncate(0);
        }
        let nodes = self.nodes.iter_mut().filter(|node| !matches!(node.column, Column::LeftOut(_)));
        for (node, field) in nodes.zip(fields) {
            columns.push(node.column.finish(len, field.data_type())?);
        }
        if let Some(extra) = &mut self.extra {
            debug_assert_eq!(fields.last().map(|f| f.name().as_str()), Some(EXTRA));
            extra.fill(len);
            columns.push(extra.finish()?);
        }
        Ok(columns)
    }
}

/// `"name":`.
fn label(name: &str) -> Box<[u8]> {
    format!("{}:", quoted(name)).into_bytes().into()
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Names to positions: open addressing over a table at most a quarter full.
#[derive(Debug)]
struct Names {
    names: Vec<Box<[u8]>>,
    /// Positions in `names`; `NONE` where free. A power of two long.
    slots: Vec<u16>,
}

const NONE: u16 = u16::MAX;

impl Names {
    fn new<'a>(names: impl Iterator<Item = &'a [u8]>) -> Self {
        let names: Vec<Box<[u8]>> = names.map(Into::into).collect();
        let mut slots = vec![NONE; (names.len() * 4).next_power_of_two().max(8)];
        for (position, name) in names.iter().enumerate() {
            let mut slot = hash(name) & (slots.len() - 1);
            while slots[slot] != NONE {
                slot = (slot + 1) & (slots.len() - 1);
            }
            slots[slot] = position as u16;
        }
        Self { names, slots }
    }

    #[inline]
    fn find(&self, name: &[u8]) -> Option<usize> {
        let mut slot = hash(name) & (self.slots.len() - 1);
        loop {
            let position = usize::from(self.slots[slot]);
            match self.names.get(position) {
                None => return None,
                Some(n) if **n == *name => return Some(position),
                Some(_) => slot = (slot + 1) & (self.slots.len() - 1),
            }
        }
    }
}

/// A hash of the length and the first and last eight bytes. The table holds the schema's names alone, so that names
/// in the data cannot make it degenerate.
#[inline]
fn hash(name: &[u8]) -> usize {
    let eight = |bytes: &[u8]| bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
    let (head, tail) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(head), Some(tail)) => (u64::from_be_bytes(*head), u64::from_be_bytes(*tail)),
        _ => (eight(name), 0),
    };
    let mixed = (head ^ tail.rotate_left(29) ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as usize
}
