//! Stage 2: one record, walked along its declared schema straight into the columns.

use pagemill_core::Reason;

use crate::{
    column::{Column, LABEL, ListColumn, Node, StructColumn, TextColumn},
    extra::{Label, Scope},
    misfit::{Counter, Id},
    names::{Mark, UnknownNames},
    number,
    options::Unknown,
    raw::{self, STEP},
    skip, text, time,
    tokens::{Bad, Parse, Text, Tokens, after_space},
};

/// Declared members in a row that may be absent before a name is looked up.
const MAX_ABSENT: usize = 2;

/// Bytes that are looked at for a member: a label, a quote, and a step of a copy.
const HEAD: usize = LABEL + STEP;

/// How records are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// What is done with members that are not declared.
    pub(crate) unknown: Unknown,
    /// What reads times.
    pub(crate) usual_time: time::UsualFn,
}

/// What reading a record says of it.
pub(crate) struct Read {
    /// Where it ends.
    pub(crate) at: usize,
    /// The index entry after it.
    pub(crate) next: usize,
    /// Elements of its declared lists, at all depths.
    pub(crate) elements: usize,
}

/// What is written down beside the columns, of the record in progress.
#[derive(Debug)]
pub(crate) struct Aside {
    /// Its misfits.
    pub(crate) counter: Counter,
    /// Names of its unknown members.
    pub(crate) names: UnknownNames,
    /// The `_extra` of the objects in progress that have one of their own, one behind the other; empty between records.
    extra: Vec<u8>,
}

impl Aside {
    pub(crate) fn new(counter: Counter) -> Self {
        Self { counter, names: UnknownNames::default(), extra: Vec::new() }
    }

    /// Forgets the record in progress.
    pub(crate) fn discard(&mut self) {
        self.counter.discard();
        self.names.clear();
        self.extra.clear();
    }
}

/// Reads the record that `tokens` stand at into row `row` of `root`. With `whole`, that of `tokens` is its end; otherwise it
/// may be anywhere, also behind it, and an error says no more than that it could not be read.
///
/// The columns may be left with a part of a bad record, which [`StructColumn::truncate`] removes.
pub(crate) fn read(
    tokens: Tokens<'_>,
    root: &mut StructColumn,
    row: usize,
    whole: bool,
    how: How,
    aside: &mut Aside,
) -> Parse<Read> {
    let from = tokens.at;
    if tokens.byte() != b'{' {
        tokens.check_all(from, tokens.end)?;
        return Err(Bad::new(from, "a record that is no object"));
    }
    let quick = tokens.limits.key >= LABEL && tokens.limits.string >= STEP;
    let mut walk = Walk { t: tokens, how, aside, elements: 0, any: false, quick };
    let scope = Scope::own();
    let result = walk.members(root, row, &scope, 0);
    // Bad bytes come first; texts that are no UTF-8 are never seen by anyone, as the row is undone.
    match result {
        Ok(_) => tokens.check_bytes(from, walk.t.at)?,
        Err(bad) if !whole => return Err(bad),
        Err(bad) => return tokens.check_bytes(from, tokens.end).and(Err(bad)),
    }
    if scope.end(&mut walk.aside.extra) {
        root.push_extra(row, &walk.aside.extra);
        walk.aside.extra.clear();
    }
    Ok(Read { at: walk.t.at, next: walk.t.next, elements: walk.elements })
}

struct Walk<'a, 'b> {
    t: Tokens<'a>,
    how: How,
    aside: &'b mut Aside,
    /// Elements of declared lists so far, at all depths.
    elements: usize,
    /// True when a column got a value from the object in progress.
    any: bool,
    /// True when the limits allow any name, and any text, that [`Walk::in_order`] takes at once.
    quick: bool,
}

impl Walk<'_, '_> {
    /// As [`Walk::members`], of an object within another.
    #[inline(never)]
    fn members_within(&mut self, object: &mut StructColumn, row: usize, scope: &Scope<'_>, depth: usize) -> Parse<()> {
        self.members(object, row, scope, depth)
    }

    /// Reads the object here into row `row`; `depth` containers are open around it. Says in `any` when a column got a value.
    #[inline(always)]
    fn members(&mut self, object: &mut StructColumn, row: usize, scope: &Scope<'_>, depth: usize) -> Parse<()> {
        self.enter(depth)?;
        if self.t.byte() == b'}' {
            self.t.bracket();
            return Ok(());
        }
        let before = self.aside.names.mark();
        // `next` is the member that should come, `highest` the one after the last of all that did.
        let (mut next, mut highest) = (0, 0);
        loop {
            // Members mostly come in the order in which they are declared, though some are absent. In that order, no name
            // can come twice.
            if next == highest && self.quick && self.in_order(&mut object.nodes, &mut next, row, scope, depth)? {
                return self.aside.names.check_since(before, self.t.bytes);
            }
            highest = highest.max(next);
            let open = self.t.at;
            match self.name(object)? {
                Name::Declared(position) => {
                    let node = &mut object.nodes[position];
                    if position < highest && node.column.len() > row {
                        return Err(Bad::new(open, "a name that was there before"));
                    }
                    next = position + 1;
                    highest = highest.max(next);
                    self.any |= self.member(node, row, scope, depth)?;
                }
                Name::Other(name) => {
                    next = highest;
                    self.unknown(object.id, name, before, scope, depth + 1)?;
                }
            }
            if self.t.end_member()? {
                return self.aside.names.check_since(before, self.t.bytes);
            }
        }
    }

    /// Reads members as long as they come in the order of `nodes`, of which `next` is the first that should; true when that was
    /// all.
    ///
    /// This is where most of the time goes: what is unusual is left to [`Walk::value`].
    #[inline(always)]
    fn in_order(
        &mut self,
        nodes: &mut [Node],
        next: &mut usize,
        row: usize,
        scope: &Scope<'_>,
        depth: usize,
    ) -> Parse<bool> {
        let (bytes, index) = (self.t.bytes, self.t.index);
        // Here and not in `self`, so that they can be kept in registers.
        let (mut at, mut entry, mut any) = (self.t.at, self.t.next, false);
        let all = nodes.len();
        let mut rest = nodes.get_mut(*next..).unwrap_or_default();
        let ended = loop {
            // The label, what follows it, and a step of a copy.
            let (Some(node), Some(head)) = (rest.first(), raw::chunk::<HEAD>(bytes, at)) else { break false };
            let Some(len) = node.begins(head) else {
                if rest.get(1).is_some_and(|node| node.begins(head).is_some()) {
                    rest = std::mem::take(&mut rest).get_mut(1..).unwrap_or_default();
                    continue;
                }
                let Some((absent, found)) = ahead(rest, bytes, at, self.t.end) else { break false };
                (rest, at) = (&mut std::mem::take(&mut rest)[absent..], found);
                continue;
            };
            let Some((node, others)) = std::mem::take(&mut rest).split_first_mut() else { break false };
            rest = others;
            let value = at + len;
            entry += 1;
            'value: {
                match (&mut node.column, head[len]) {
                    (Column::Text(column), b'"') => {
                        if let (Some(&close), Some(step)) = (index.get(entry), head[len + 1..].first_chunk()) {
                            // The entry of a text with escapes is so large that it seems too long.
                            let length = (close as usize).wrapping_sub(value + 1);
                            if column.push_short(row, step, length) || column.push_long(row, bytes, value + 1, length) {
                                (at, entry, any) = (value + length + 2, entry + 1, true);
                                break 'value;
                            }
                        }
                    }
                    (Column::Time(column), b'"') => {
                        if let (Some(&close), Some(step)) = (index.get(entry), head[len + 1..].first_chunk()) {
                            let length = (close as usize).wrapping_sub(value + 1);
                            if let Some(time) = (self.how.usual_time)(step, length) {
                                column.push(row, time);
                                (at, entry, any) = (value + length + 2, entry + 1, true);
                                break 'value;
                            }
                        }
                    }
                    (Column::Bool(column), _) => {
                        if let Some((end, truth)) = plain_bool(&head[len..], value) {
                            column.push(row, truth);
                            (at, any) = (end, true);
                            break 'value;
                        }
                    }
                    _ => {}
                }
                if head[len..].starts_with(b"null") {
                    node.column.push_null(row);
                    at = value + 4;
                    break 'value;
                }
                (self.t.at, self.t.next) = (value, entry);
                self.t.skip_space();
                let name = Label::Member(&node.label);
                let result = match (&mut node.column, self.t.byte()) {
                    (Column::List(list), b'[') => self.list(list, row, scope, name, depth + 1).map(|()| true),
                    (Column::Struct(object), b'{') => self.structure(object, node.id, row, scope, name, depth + 1),
                    (column, _) => self.value(column, node.id, row, scope, name, depth + 1),
                };
                any |= result.map_err(|bad| under(bad, &node.label))?;
                (at, entry) = (self.t.at, self.t.next);
            }
            match bytes.get(at) {
                // White space before the next name is passed when that does not match.
                Some(b',') => at += 1,
                Some(b'}') => {
                    (at, entry) = (at + 1, entry + 1);
                    break true;
                }
                _ => {
                    (self.t.at, self.t.next) = (at, entry);
                    let ended = self.t.end_member()?;
                    (at, entry) = (self.t.at, self.t.next);
                    if ended {
                        break true;
                    }
                }
            }
        };
        *next = all - rest.len();
        self.any |= any;
        (self.t.at, self.t.next) = (at, entry);
        if !ended {
            self.t.skip_space();
        }
        Ok(ended)
    }

    /// Reads the value here of the member `node` into its row `row`.
    fn member(&mut self, node: &mut Node, row: usize, scope: &Scope<'_>, depth: usize) -> Parse<bool> {
        self.value(&mut node.column, node.id, row, scope, Label::Member(&node.label), depth + 1)
            .map_err(|bad| under(bad, &node.label))
    }

    /// Passes the name here, its colon and the white space around that.
    #[inline(never)]
    fn name(&mut self, object: &StructColumn) -> Parse<Name> {
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
        let found = if name.escaped {
            let mut plain = Vec::new();
            unescape(self.t.bytes, name, &mut plain)?;
            object.find(&plain)
        } else {
            object.find(name.of(self.t.bytes))
        };
        Ok(found.map_or(Name::Other(name), Name::Declared))
    }

    /// Passes the bracket here and the white space after it.
    #[inline(always)]
    fn enter(&mut self, depth: usize) -> Parse<()> {
        if depth >= self.t.limits.depth {
            return Err(Bad::new(self.t.at, format!("more than {} levels", self.t.limits.depth)));
        }
        self.t.bracket();
        self.t.skip_space();
        Ok(())
    }

    /// Deals with the value here of a member that is not declared; `before` is where its object's names begin.
    #[inline(never)]
    fn unknown(&mut self, object: Id, name: Text, before: Mark, scope: &Scope<'_>, depth: usize) -> Parse<()> {
        let bytes = self.t.bytes;
        self.aside.names.add(bytes, name);
        if self.aside.names.since(before) > self.t.limits.members {
            return Err(Bad::new(name.open, format!("more than {} unknown members", self.t.limits.members)));
        }
        let quoted = &bytes[name.open..=name.close];
        let step = || format!("[{}]", String::from_utf8_lossy(quoted));
        if self.how.unknown == Unknown::Fail {
            let mut bad = Bad::new(name.open, "a member that the schema does not declare").under(step);
            bad.fatal = true;
            return Err(bad);
        }
        let range = skip::value(&mut self.t, depth).map_err(|bad| bad.under(step))?;
        self.aside.counter.add(object, Reason::UnknownMember);
        if self.how.unknown == Unknown::Extra {
            let extra = &mut self.aside.extra;
            scope.member(extra, Label::Member(quoted));
            extra.push(b':');
            extra.extend_from_slice(&bytes[range]);
        }
        Ok(())
    }

    /// Reads the value here into row `row` of `column`; `depth` containers are open around it. True when the column got a value.
    #[cold]
    #[inline(never)]
    fn value(
        &mut self,
        column: &mut Column,
        id: Id,
        row: usize,
        scope: &Scope<'_>,
        name: Label<'_>,
        depth: usize,
    ) -> Parse<bool> {
        let first = self.t.byte();
        if first == b'n' {
            self.t.null()?;
            column.push_null(row);
            return Ok(false);
        }
        let bytes = self.t.bytes;
        let start = self.t.at;
        // What the column cannot hold, once it has been passed.
        let reason = match (&mut *column, first) {
            (Column::Text(column), b'"') => {
                text(&mut self.t, column, row)?;
                return Ok(true);
            }
            (Column::Text(column), b'-' | b'0'..=b'9') => {
                let end = self.t.number()?.end;
                column.push(row, &bytes[start..end]);
                self.aside.counter.add(id, Reason::NumberAsText);
                return Ok(true);
            }
            (Column::Bool(column), b't' | b'f') => {
                let value = self.t.boolean()?;
                column.push(row, value);
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
                    unescape(bytes, string, &mut plain)?;
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
            (Column::LeftOut(column), _) => {
                skip::unread(&mut self.t, depth)?;
                column.fill(row + 1);
                return Ok(false);
            }
            (Column::Json(column), _) => {
                let range = skip::value(&mut self.t, depth)?;
                column.push_part(row, bytes, range.start, range.end);
                return Ok(true);
            }
            (Column::Struct(object), b'{') => {
                return self.structure(object, id, row, scope, name, depth);
            }
            (Column::List(list), b'[') => {
                self.list(list, row, scope, name, depth)?;
                return Ok(true);
            }
            _ => {
                skip::value(&mut self.t, depth)?;
                Reason::WrongType
            }
        };
        scope.member(&mut self.aside.extra, name);
        self.aside.extra.extend_from_slice(&bytes[start..self.t.at]);
        column.push_null(row);
        self.aside.counter.add(id, reason);
        Ok(false)
    }

    /// Reads the object here into row `row` of `object`. True when a column got a value.
    fn structure(
        &mut self,
        object: &mut StructColumn,
        id: Id,
        row: usize,
        scope: &Scope<'_>,
        name: Label<'_>,
        depth: usize,
    ) -> Parse<bool> {
        let inner = Scope::within(scope, name);
        let around = std::mem::take(&mut self.any);
        self.members_within(object, row, &inner, depth)?;
        let any = std::mem::replace(&mut self.any, around);
        if !any && !inner.has_begun() {
            // No column can tell it from null.
            inner.begin(&mut self.aside.extra);
            self.aside.counter.add(id, Reason::EmptyObject);
        }
        inner.end(&mut self.aside.extra);
        object.push(row);
        Ok(any)
    }

    /// Reads the array here into row `row` of `list`.
    fn list(
        &mut self,
        list: &mut ListColumn,
        row: usize,
        scope: &Scope<'_>,
        name: Label<'_>,
        depth: usize,
    ) -> Parse<()> {
        let first = list.items();
        let id = list.item_id;
        let end = match &mut list.item {
            Column::Struct(items) => self.elements(first, depth, |walk, n| walk.object(items, id, n, depth + 1))?,
            items => {
                let inner = Scope::within(scope, name);
                let end = self.elements(first, depth, |walk, n| match &mut *items {
                    Column::Text(items) if walk.t.byte() == b'"' => text(&mut walk.t, items, n),
                    items => walk.value(items, id, n, &inner, Label::Index(n - first), depth + 1).map(drop),
                })?;
                inner.end(&mut self.aside.extra);
                end
            }
        };
        list.push(row, end);
        Ok(())
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
                return Err(Bad::new(
                    self.t.at,
                    format!("lists of more than {} elements, the most that the memory allows", self.t.limits.elements),
                ));
            }
            read(self, at).map_err(|bad| bad.under(|| format!("[{}]", at - first)))?;
            at += 1;
            if self.t.end_element()? {
                return Ok(at);
            }
        }
    }

    /// Reads an element that should be an object with an `_extra` of its own.
    fn object(&mut self, items: &mut StructColumn, id: Id, row: usize, depth: usize) -> Parse<()> {
        match self.t.byte() {
            b'{' => {
                let scope = Scope::own();
                let from = self.aside.extra.len();
                self.any = false;
                self.members(items, row, &scope, depth)?;
                let extra = &mut self.aside.extra;
                if !self.any && !scope.has_begun() {
                    scope.begin(extra);
                    self.aside.counter.add(id, Reason::EmptyObject);
                }
                if scope.end(extra) {
                    items.push_extra(row, &extra[from..]);
                    extra.truncate(from);
                }
                items.push(row);
            }
            b'n' => {
                self.t.null()?;
                items.fill(row + 1);
            }
            _ => {
                let range = skip::value(&mut self.t, depth)?;
                items.push_extra(row, &self.t.bytes[range]);
                items.push(row);
                self.aside.counter.add(id, Reason::WrongType);
            }
        }
        Ok(())
    }
}

/// Reads the string here into row `row`.
#[inline(always)]
fn text(t: &mut Tokens<'_>, column: &mut TextColumn, row: usize) -> Parse<()> {
    let string = t.text()?;
    let bytes = t.bytes;
    match string.escaped {
        false => {
            column.push_part(row, bytes, string.open + 1, string.close);
            Ok(())
        }
        true => column.push_with(row, |out| unescape(bytes, string, out)),
    }
}

/// How many of the members `nodes` are absent before the one that begins here, behind white space, and where that is; `None` where
/// several are, or another one comes.
#[cold]
#[inline(never)]
fn ahead(nodes: &[Node], bytes: &[u8], at: usize, end: usize) -> Option<(usize, usize)> {
    let at = after_space(bytes, at, end);
    let head = raw::chunk::<LABEL>(bytes, at)?;
    let absent = nodes.iter().take(1 + MAX_ABSENT).position(|node| node.begins(head).is_some())?;
    Some((absent, at))
}

/// The `true` or `false` at the beginning of `head`, which is at `at`, and where it ends.
#[inline(always)]
fn plain_bool(head: &[u8], at: usize) -> Option<(usize, bool)> {
    let (truth, falsehood) = (head.starts_with(b"true"), head.starts_with(b"false"));
    // Without a branch on which of the two it is, as that is anyone's guess.
    (truth | falsehood).then_some((at + 4 + usize::from(falsehood), truth))
}

/// Adds the member that led here.
#[cold]
#[inline(never)]
fn under(bad: Box<Bad>, label: &[u8]) -> Box<Bad> {
    bad.under(|| format!(".{}", name_of(label)))
}

/// What a member is called.
enum Name {
    /// The declared member at this position.
    Declared(usize),
    /// None that is declared.
    Other(Text),
}

/// Appends the text of `string`, which has escapes.
#[cold]
#[inline(never)]
fn unescape(bytes: &[u8], string: Text, out: &mut Vec<u8>) -> Parse<()> {
    text::unescape(string.of(bytes), out).map_err(|(at, why)| Bad::new(string.open + 1 + at, why))
}

/// The name within a label such as `"name":`.
fn name_of(label: &[u8]) -> String {
    String::from_utf8_lossy(label).trim_end_matches(':').trim_matches('"').to_owned()
}
