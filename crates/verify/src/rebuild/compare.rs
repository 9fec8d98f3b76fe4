//! A record of the tables against the record of the page.

use pagemill_core::{Field, Kind, Resource};

use super::json::{Decimal, Node, Tree};
use crate::report::quoted;

/// The first difference between two records.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Where in the record, such as `$.emails[1].email`.
    pub(crate) path: String,
    /// What the page has, and what the tables have.
    pub(crate) what: String,
}

/// What the tables promise to keep.
pub(crate) struct Rules<'a> {
    pub(crate) resource: &'a Resource,
    /// Members that the schema does not declare were dropped.
    pub(crate) unknown_dropped: bool,
    /// JSON is kept to the byte, white space included.
    pub(crate) verbatim: bool,
}

impl Rules<'_> {
    /// Compares the text of a record with that of the same record from the tables.
    pub(crate) fn compare(&self, page: &str, tables: &str) -> Result<(), Difference> {
        let root = |what: String| Difference { path: "$".to_owned(), what };
        let page = Node::read(page, 0).map_err(|e| root(format!("the page's record cannot be read: {e}")))?;
        let tables = Node::read(tables, 0).map_err(|e| root(format!("the tables' record is not JSON: {e}")))?;
        match (&page.tree, &tables.tree) {
            (Tree::Object(read), Tree::Object(back)) => {
                let dropped = |name: &str| self.resource.left_out().iter().any(|(_, left)| left == name);
                self.object(self.resource.fields(), "$", read, back, &dropped)
            }
            _ => Err(root(differ(&page, Some(&tables)))),
        }
    }

    fn object(
        &self,
        fields: &[Field],
        path: &str,
        read: &[(String, Node<'_>)],
        back: &[(String, Node<'_>)],
        dropped: &dyn Fn(&str) -> bool,
    ) -> Result<(), Difference> {
        let at = |name: &str| format!("{path}.{}", quoted(name));
        for field in fields {
            let back = find(back, &field.name);
            match find(read, &field.name) {
                Some(read) => self.value(&field.kind, &at(&field.name), read, back)?,
                None => no_more(&at(&field.name), back)?,
            }
        }
        let declared = |name: &str| fields.iter().any(|f| f.name == name);
        for (name, value) in read.iter().filter(|(name, _)| !declared(name) && !dropped(name)) {
            match self.unknown_dropped {
                true => no_more(&at(name), find(back, name))?,
                false => self.verbatim(&at(name), value, find(back, name))?,
            }
        }
        for (i, (name, value)) in back.iter().enumerate().filter(|(_, (name, _))| !declared(name)) {
            if find(read, name).is_none() || dropped(name) {
                no_more(&at(name), Some(value))?;
            }
            if back.iter().take(i).any(|(other, _)| other == name) {
                return Err(Difference { path: at(name), what: "the tables have it twice".to_owned() });
            }
        }
        Ok(())
    }

    fn value(&self, kind: &Kind, path: &str, read: &Node<'_>, back: Option<&Node<'_>>) -> Result<(), Difference> {
        let tree = back.map(|b| &b.tree);
        let same = match (kind, &read.tree) {
            (_, Tree::Null) => back.is_none_or(Node::is_null),
            (Kind::Text, Tree::Text(text)) => matches!(tree, Some(Tree::Text(t)) if t == text),
            (Kind::Text, Tree::Number) => matches!(tree, Some(Tree::Text(t)) if t == read.text),
            (Kind::Bool, Tree::Bool(read)) => matches!(tree, Some(Tree::Bool(b)) if b == read),
            (Kind::Int | Kind::Float, Tree::Number) => {
                let number = back.filter(|b| matches!(b.tree, Tree::Number));
                number.is_some_and(|b| Decimal::of(b.text) == Decimal::of(read.text))
            }
            (Kind::Time, Tree::Text(text)) => match (micros(text), tree) {
                (Some(moment), Some(Tree::Text(back))) => micros(back) == Some(moment),
                (Some(_), _) => false,
                (None, _) => return self.verbatim(path, read, back),
            },
            (Kind::Struct(fields), Tree::Object(members)) => match tree {
                Some(Tree::Object(back)) => return self.object(fields, path, members, back, &|_| false),
                _ => false,
            },
            (Kind::List(item), Tree::List(elements)) => match tree {
                Some(Tree::List(back)) if back.len() == elements.len() => {
                    let pairs = elements.iter().zip(back).enumerate();
                    return pairs
                        .into_iter()
                        .try_for_each(|(i, (read, back))| self.value(item, &format!("{path}[{i}]"), read, Some(back)));
                }
                _ => false,
            },
            _ => return self.verbatim(path, read, back),
        };
        if same { Ok(()) } else { Err(Difference { path: path.to_owned(), what: differ(read, back) }) }
    }

    /// Free JSON, and what no column holds: kept as it was written.
    fn verbatim(&self, path: &str, read: &Node<'_>, back: Option<&Node<'_>>) -> Result<(), Difference> {
        let same = back.is_some_and(|b| b.text == read.text || (!self.verbatim && b.same(read)));
        // A null is not told from an absent member, whoever declares it.
        if same || (read.is_null() && back.is_none_or(Node::is_null)) {
            return Ok(());
        }
        Err(Difference { path: path.to_owned(), what: differ(read, back) })
    }
}

fn find<'n, 'a>(members: &'n [(String, Node<'a>)], name: &str) -> Option<&'n Node<'a>> {
    members.iter().find(|(n, _)| n == name).map(|(_, value)| value)
}

/// Nothing was there, so nothing may come back.
fn no_more(path: &str, back: Option<&Node<'_>>) -> Result<(), Difference> {
    match back.filter(|b| !b.is_null()) {
        None => Ok(()),
        Some(back) => Err(Difference {
            path: path.to_owned(),
            what: format!("the page has nothing, the tables have {}", quoted(back.text)),
        }),
    }
}

fn differ(read: &Node<'_>, back: Option<&Node<'_>>) -> String {
    let back = back.map_or("nothing".to_owned(), |b| quoted(b.text));
    format!("the page has {}, the tables have {back}", quoted(read.text))
}

/// Microseconds since 1970 of a date and time of RFC 3339, if they are exact and within the years 0000 to 9999 of UTC.
fn micros(text: &str) -> Option<i64> {
    let digits = text.split_once('.').map_or("", |(_, rest)| rest);
    let finer = digits.bytes().take_while(u8::is_ascii_digit).skip(6).any(|digit| digit != b'0');
    let leap_second = text.get(17..19) == Some("60");
    if !text.is_ascii() || leap_second || finer {
        return None;
    }
    let micros = chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros();
    // 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z.
    (-62_167_219_200_000_000..=253_402_300_799_999_999).contains(&micros).then_some(micros)
}
