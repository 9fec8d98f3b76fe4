//! `_extra`: the text of an object whose members are what the columns lack.

use std::cell::Cell;

/// How a value is called in the `_extra` around it.
#[derive(Clone, Copy)]
pub(crate) enum Label<'a> {
    /// `"name":`.
    Member(&'a [u8]),
    /// A position in a list.
    Index(usize),
}

/// An object within `_extra`, which is begun only once there is something to write in it.
pub(crate) struct Scope<'a> {
    /// The object around it, and its name there; `None` for one with an `_extra` of its own.
    outer: Option<(&'a Scope<'a>, Label<'a>)>,
    /// Where it began: the position after its bracket.
    begun: Cell<Option<usize>>,
}

impl<'a> Scope<'a> {
    /// An object with an `_extra` of its own.
    pub(crate) fn own() -> Self {
        Self { outer: None, begun: Cell::new(None) }
    }

    /// The value of the member `label` of `outer`.
    pub(crate) fn within(outer: &'a Scope<'a>, label: Label<'a>) -> Self {
        Self { outer: Some((outer, label)), begun: Cell::new(None) }
    }

    /// True when something was written in it.
    #[inline]
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.get().is_some()
    }

    /// Makes sure that it has begun; returns the position after its bracket.
    #[cold]
    pub(crate) fn begin(&self, extra: &mut Vec<u8>) -> usize {
        self.begun.get().unwrap_or_else(|| {
            if let Some((outer, label)) = self.outer {
                outer.member(extra, label);
            }
            extra.push(b'{');
            self.begun.set(Some(extra.len()));
            extra.len()
        })
    }

    /// Writes the beginning of a member, up to its colon.
    #[cold]
    pub(crate) fn member(&self, extra: &mut Vec<u8>, label: Label<'_>) {
        if extra.len() > self.begin(extra) {
            extra.push(b',');
        }
        match label {
            Label::Member(name) => extra.extend_from_slice(name),
            Label::Index(n) => extra.extend_from_slice(format!("\"{n}\":").as_bytes()),
        }
    }

    /// Ends it, if it has begun.
    #[inline]
    pub(crate) fn end(&self, extra: &mut Vec<u8>) -> bool {
        let begun = self.has_begun();
        if begun {
            extra.push(b'}');
        }
        begun
    }
}
