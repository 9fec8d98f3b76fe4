//! What a record carries beyond the member that it is: where it was served, and what a fault does to it.

use std::borrow::Cow;

use crate::record::Look;
use crate::write::Json;

/// What is added to the records of a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    /// The page's ordinal in the walk, and a number that no other serving has.
    pub(crate) stamp: Option<(u64, u64)>,
    pub(crate) oddity: Option<Oddity>,
    /// The record's position in its page.
    position: u64,
}

/// What a fault does to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// `title` has another type in each record.
    Retyped,
    /// The first record has a value nested so deep.
    Deep(usize),
    /// The first record has a string of so many bytes.
    Huge(usize),
}

impl Look {
    /// The look of the record at `position` in its page.
    pub(crate) fn at(&self, position: u64) -> Cow<'_, Self> {
        if self.marks.stamp.is_none() && self.marks.oddity.is_none() {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Self { marks: Marks { position, ..self.marks.clone() }, ..self.clone() })
    }
}

impl Marks {
    /// Writes what stands in the place of `title`, if anything does.
    pub(crate) fn write_title(&self, json: &mut Json<'_>) -> bool {
        if self.oddity != Some(Oddity::Retyped) {
            return false;
        }
        json.key("title");
        json.verbatim(match self.position % 5 {
            0 => "4711",
            1 => r#"{"text":"Engineer"}"#,
            2 => r#"["Engineer",1]"#,
            3 => "true",
            _ => r#""Engineer""#,
        });
        true
    }

    /// Writes the members that are added.
    pub(crate) fn write(&self, json: &mut Json<'_>) {
        if let Some((page, serve)) = self.stamp {
            json.key("ledger");
            json.object(|json| {
                json.number("page", page);
                json.number("idx", self.position);
                json.number("serve", serve);
            });
        }
        if self.position > 0 {
            return;
        }
        match self.oddity {
            Some(Oddity::Deep(levels)) => {
                json.key("deep");
                json.value(|out| {
                    out.resize(out.len() + levels, b'[');
                    out.resize(out.len() + levels, b']');
                });
            }
            Some(Oddity::Huge(bytes)) => {
                json.key("huge");
                json.quoted(|out| out.resize(out.len() + bytes, b'x'));
            }
            Some(Oddity::Retyped) | None => {}
        }
    }
}
