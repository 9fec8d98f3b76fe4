//! Stage 2: one record, walked along its declared schema straight into the columns.

use pagemill_core::Reason;

use crate::{
    column::{Column, StructColumn},
    misfit::{Counter, Id},
    names::UnknownNames,
    number,
    options::Unknown,
    scan::{BLOCK, Block},
    skip, text, time,
    tokens::{Bad, Parse, Tokens},
};

/// What reading a record says of it.
pub(crate) struct Read {
    /// The index entry after it.
    pub(crate) next: usize,
    /// Elements of its declared lists, at all depths.
    pub(crate) elements: usize,
}

/// Reads the record that `tokens` stand at into row `row` of `root`.
///
/// The columns may be left with a part of a bad record, which [`StructColumn::truncate`] removes.
pub(crate) fn read(
    tokens: Tokens<'_>,
    root: &mut StructColumn,
    row: usize,
    unknown: Unknown,
    counter: &mut Counter,
    names: &mut UnknownNames,
) -> Parse<Read> {
    let mut walk = Walk { t: tokens, unknown, counter, names, elements: 0 };
    let (from, to) = (walk.t.at, walk.t.end);
    let mut seen = Block::default();
    let Some(blocks) = walk.t.blocks.get(from / BLOCK..to.div_ceil(BLOCK)) else {
        return Err(Bad::new(from, "bytes that were not scanned"));
    };
    for block in blocks {
        seen.control |= block.control;
        seen.wide |= block.wide;
        seen.backslash |= block.backslash;
    }
    walk.t.escapes = seen.backslash != 0;
    if seen.control != 0
        && let Some(at) = walk.t.first(from, to, |b| b.control)
    {
        return Err(Bad::new(at, "a raw control character within a string"));
    }
    if seen.wide != 0
        && let Err(error) = simdutf8::compat::from_utf8(&walk.t.bytes[from..to])
    {
        return Err(Bad::new(from + error.valid_up_to(), "bytes that are not UTF-8"));
    }
    if walk.t.byte() != b'{' {
        return Err(Bad::new(from, "a record that is no object"));
    }
    let mut extra = std::mem::take(&mut root.scratch);
    extra.clear();
    extra.push(b'{');
    let result = walk.members(root, row, &mut extra, 0);
    if result.is_ok() && extra.len() > 1 {
        extra.push(b'}');
        root.push_extra(row, &extra);
    }
    root.scratch = extra;
    result?;
    debug_assert_eq!(walk.t.at, to);
    Ok(Read { next: walk.t.next, elements: walk.elements })
}

/// How a value is called in the `_extra` around it.
#[derive(Clone, Copy)]
enum Label<'a> {
    /// `"name":`.
    Member(&'a [u8]),
    /// A position in a list.
    Index(usize),
}

/// Writes the beginning of a member to the object in `extra`.
fn label(extra: &mut Vec<u8>, label: Label<'_>) {
    if extra.last() != Some(&b'{') {
        extra.push(b',');
    }
    match label {
        Label::Member(name) => extra.extend_from_slice(name),
        Label::Index(n) => extra.extend_from_slice(format!("\"{n}\":").as_bytes()),
    }
}

/// An object within `extra` that is only written once it has a member.
struct Inner {
    before: usize,
    empty: usize,
}

impl Inner {
    fn begin(extra: &mut Vec<u8>, name: Label<'_>) -> Self {
        let before = extra.len();
        label(extra, name);
        extra.push(b'{');
        Self { before, empty: extra.len() }
    }

    fn is_empty(&self, extra: &[u8]) -> bool {
        extra.len() == self.empty
    }

    fn end(self, extra: &mut Vec<u8>) {
        if self.is_empty(extra) {
            extra.truncate(self.before);
        } else {
            extra.push(b'}');
        }
    }
}

struct Walk<'a, 'b> {
    t: Tokens<'a>,
    unknown: Unknown,
    counter: &'b mut Counter,
    names: &'b mut UnknownNames,
    /// Elements of declared lists so far, at all depths.
    elements: usize,
}

impl Walk<'_, '_> {
    /// Reads the object here into row `row`; `depth` containers are open around it. True when a column got a value.
    fn members(&mut self, object: &mut StructColumn, row: usize, extra: &mut Vec<u8>, depth: usize) -> Parse<bool> {
        self.enter(depth)?;
        if self.t.byte() == b'}' {
            self.t.bracket();
            return Ok(false);
        }
        let before = self.names.mark();
        let mut any = false;
        let mut expected = 0;
        loop {
            // Members mostly come in the order in which they are declared.
            if let Some(node) = object.nodes.get_mut(expected)
                && let Some(len) = node.begins(&self.t.bytes[self.t.at..])
                && node.rows <= row
            {
                self.t.at += len;
                self.t.next += 2;
                self.t.skip_space();
                node.rows = row + 1;
                any |= self
                    .value(&mut node.column, node.id, row, Label::Member(&node.label), extra, depth + 1)
                    .map_err(|bad| bad.under(|| format!(".{}", name_of(&node.label))))?;
                expected += 1;
                if self.end_member()? {
                    break;
                }
                continue;
            }
            if self.t.byte() != b'"' {
                return Err(self.t.expected("a name"));
            }
            let name = self.t.text()?;
            if name.close - name.open - 1 > self.t.limits.key {
                return Err(Bad::new(name.open, format!("a name of more than {} bytes", self.t.limits.key)));
            }
            self.t.skip_space();
            if self.t.byte() != b':' {
                return Err(self.t.expected("`:`"));
            }
            self.t.at += 1;
            self.t.skip_space();
            let bytes = self.t.bytes;
            let found = if name.escaped {
                let mut plain = Vec::new();
                text::unescape(name.of(bytes), &mut plain).map_err(|(at, why)| Bad::new(name.open + 1 + at, why))?;
                object.find(&plain, expected)
            } else {
                object.find(name.of(bytes), expected)
            };
            match found {
                Some(position) => {
                    expected = position + 1;
                    let node = &mut object.nodes[position];
                    if node.rows > row {
                        return Err(Bad::new(name.open, "a name that was there before"));
                    }
                    node.rows = row + 1;
                    any |= self
                        .value(&mut node.column, node.id, row, Label::Member(&node.label), extra, depth + 1)
                        .map_err(|bad| bad.under(|| format!(".{}", name_of(&node.label))))?;
                }
                None => {
                    self.names.add(bytes, name);
                    if self.names.since(before) > self.t.limits.members {
                        return Err(Bad::new(
                            name.open,
                            format!("more than {} unknown members", self.t.limits.members),
                        ));
                    }
                    self.unknown(object.id, &bytes[name.open..=name.close], name.open, extra, depth + 1)?;
                }
            }
            if self.end_member()? {
                break;
            }
        }
        self.names.check_since(before, self.t.bytes)?;
        Ok(any)
    }

    /// Passes the comma, or the bracket, after a member; true when the object has ended.
    #[inline]
    fn end_member(&mut self) -> Parse<bool> {
        self.t.skip_space();
        match self.t.byte() {
            b',' => {
                self.t.at += 1;
                self.t.skip_space();
                Ok(false)
            }
            b'}' => {
                self.t.bracket();
                Ok(true)
            }
            _ => Err(self.t.expected("`,` or `}`")),
        }
    }

    /// Passes the bracket here and the white space after it.
    fn enter(&mut self, depth: usize) -> Parse<()> {
        if depth >= self.t.limits.depth {
            return Err(Bad::new(self.t.at, format!("more than {} levels", self.t.limits.depth)));
        }
        self.t.bracket();
        self.t.skip_space();
        Ok(())
    }

    /// Deals with the value here of a member that is not declared, whose name is `name`, quotes and all.
    fn unknown(&mut self, object: Id, name: &[u8], at: usize, extra: &mut Vec<u8>, depth: usize) -> Parse<()> {
        let step = || format!("[{}]", String::from_utf8_lossy(name));
        if self.unknown == Unknown::Fail {
            let mut bad = Bad::new(at, "a member that the schema does not declare").under(step);
            bad.fatal = true;
            return Err(bad);
        }
        let range = skip::value(&mut self.t, depth).map_err(|bad| bad.under(step))?;
        self.counter.add(object, Reason::UnknownMember);
        if self.unknown == Unknown::Extra {
            label(extra, Label::Member(name));
            extra.push(b':');
            extra.extend_from_slice(&self.t.bytes[range]);
        }
        Ok(())
    }

    /// Reads the value here into row `row` of `column`; `depth` containers are open around it. True when the column got a value.
    fn value(
        &mut self,
        column: &mut Column,
        id: Id,
        row: usize,
        name: Label<'_>,
        extra: &mut Vec<u8>,
        depth: usize,
    ) -> Parse<bool> {
        let first = self.t.byte();
        if first == b'n' {
            self.t.literal("null")?;
            column.push_null(row);
            return Ok(false);
        }
        let bytes = self.t.bytes;
        let start = self.t.at;
        // What the column cannot hold, once it has been passed.
        let reason = match (&mut *column, first) {
            (Column::Text(column), b'"') => {
                let string = self.t.text()?;
                if string.escaped {
                    column
                        .push_with(row, |out| text::unescape(string.of(bytes), out))
                        .map_err(|(at, why)| Bad::new(start + 1 + at, why))?;
                } else {
                    column.push_part(row, bytes, string.open + 1, string.close);
                }
                return Ok(true);
            }
            (Column::Text(column), b'-' | b'0'..=b'9') => {
                let end = self.t.number()?.end;
                column.push(row, &bytes[start..end]);
                self.counter.add(id, Reason::NumberAsText);
                return Ok(true);
            }
            (Column::Bool(column), b't' | b'f') => {
                self.t.literal(if first == b't' { "true" } else { "false" })?;
                column.push(row, first == b't');
                return Ok(true);
            }
            (Column::Int(column), b'-' | b'0'..=b'9') => {
                let extent = self.t.number()?;
                match number::int(&bytes[start..extent.end], extent.whole) {
                    Ok(value) => {
                        column.push(row, value);
                        return Ok(true);
                    }
                    Err(reason) => reason,
                }
            }
            (Column::Float(column), b'-' | b'0'..=b'9') => {
                let extent = self.t.number()?;
                match number::float(&bytes[start..extent.end]) {
                    Ok(value) => {
                        column.push(row, value);
                        return Ok(true);
                    }
                    Err(reason) => reason,
                }
            }
            (Column::Time(column), b'"') => {
                let string = self.t.text()?;
                let value = if string.escaped {
                    let mut plain = Vec::new();
                    text::unescape(string.of(bytes), &mut plain).map_err(|(at, why)| Bad::new(start + 1 + at, why))?;
                    time::micros(&plain)
                } else {
                    time::micros(string.of(bytes))
                };
                match value {
                    Ok(value) => {
                        column.push(row, value);
                        return Ok(true);
                    }
                    Err(reason) => reason,
                }
            }
            (Column::Json(column), _) => {
                let range = skip::value(&mut self.t, depth)?;
                column.push_part(row, bytes, range.start, range.end);
                return Ok(true);
            }
            (Column::Struct(object), b'{') => {
                let inner = Inner::begin(extra, name);
                let any = self.members(object, row, extra, depth)?;
                if !any && inner.is_empty(extra) {
                    // No column can tell it from null.
                    extra.push(b'}');
                    self.counter.add(id, Reason::EmptyObject);
                } else {
                    inner.end(extra);
                }
                object.push(row);
                return Ok(any);
            }
            (Column::List(list), b'[') => {
                let first = list.items();
                let end = match &mut *list.item {
                    Column::Struct(items) => self.elements(first, depth, |walk, n| {
                        walk.object(items, list.item_id, n, depth + 1)
                            .map_err(|bad| bad.under(|| format!("[{}]", n - first)))
                    })?,
                    items => {
                        let inner = Inner::begin(extra, name);
                        let end = self.elements(first, depth, |walk, n| {
                            walk.value(items, list.item_id, n, Label::Index(n - first), extra, depth + 1)
                                .map(drop)
                                .map_err(|bad| bad.under(|| format!("[{}]", n - first)))
                        })?;
                        inner.end(extra);
                        end
                    }
                };
                list.push(row, end);
                return Ok(true);
            }
            _ => {
                skip::value(&mut self.t, depth)?;
                Reason::WrongType
            }
        };
        label(extra, name);
        extra.extend_from_slice(&bytes[start..self.t.at]);
        column.push_null(row);
        self.counter.add(id, reason);
        Ok(false)
    }

    /// Passes the array here, reading each element by its position in the column; returns the position after the last.
    fn elements(
        &mut self,
        first: usize,
        depth: usize,
        mut read: impl FnMut(&mut Self, usize) -> Parse<()>,
    ) -> Parse<usize> {
        self.enter(depth)?;
        if self.t.byte() == b']' {
            self.t.bracket();
            return Ok(first);
        }
        let mut at = first;
        loop {
            self.elements += 1;
            if self.elements > self.t.limits.elements {
                return Err(Bad::new(self.t.at, format!("lists of more than {} elements", self.t.limits.elements)));
            }
            read(self, at)?;
            at += 1;
            self.t.skip_space();
            match self.t.byte() {
                b',' => self.t.at += 1,
                b']' => {
                    self.t.bracket();
                    return Ok(at);
                }
                _ => return Err(self.t.expected("`,` or `]`")),
            }
            self.t.skip_space();
        }
    }

    /// Reads an element that should be an object with an `_extra` of its own.
    fn object(&mut self, items: &mut StructColumn, id: Id, row: usize, depth: usize) -> Parse<()> {
        match self.t.byte() {
            b'{' => {
                let mut extra = std::mem::take(&mut items.scratch);
                extra.clear();
                extra.push(b'{');
                let result = self.members(items, row, &mut extra, depth);
                if let Ok(any) = result {
                    if !any && extra.len() == 1 {
                        self.counter.add(id, Reason::EmptyObject);
                    }
                    extra.push(b'}');
                    if !any || extra.len() > 2 {
                        items.push_extra(row, &extra);
                    }
                }
                items.scratch = extra;
                result?;
                items.push(row);
            }
            b'n' => {
                self.t.literal("null")?;
                items.fill(row + 1);
            }
            _ => {
                let range = skip::value(&mut self.t, depth)?;
                items.push_extra(row, &self.t.bytes[range]);
                items.push(row);
                self.counter.add(id, Reason::WrongType);
            }
        }
        Ok(())
    }
}

/// The name within a label such as `"name":`.
fn name_of(label: &[u8]) -> String {
    String::from_utf8_lossy(label).trim_end_matches(':').trim_matches('"').to_owned()
}
