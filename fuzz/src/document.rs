//! A whole document as serde_json reads it: its framing, its envelope, its records.

use std::collections::HashSet;

use pagemill_core::{Cursor, Resource};
use pagemill_json::{Framing, Next};
use serde_json::{Deserializer, value::RawValue};

use crate::json::{self, Members, Node, Tree};

/// What serde_json and the rules for pages say of a document.
#[derive(Debug)]
pub(crate) enum Verdict<'a> {
    /// It is a page, unless its records are bad.
    Page(Document<'a>),
    /// It is none, and why.
    Refused(String),
    /// The rules leave it open.
    Open,
}

/// A page.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) framing: Option<Framing>,
    pub(crate) next: Next,
    pub(crate) result_count: Option<u64>,
    pub(crate) partial: bool,
    /// The records, which need not be objects.
    pub(crate) records: Vec<&'a RawValue>,
}

/// The most members an envelope may have, well below what is refused.
const MANY_MEMBERS: usize = 900;
/// The longest cursor.
const LONG_CURSOR: usize = 8 << 10;

/// Reads a document of `resource`, whose framing its first bytes tell.
pub(crate) fn read<'a>(page: &'a [u8], resource: &Resource) -> Verdict<'a> {
    match try_read(page, resource) {
        Ok(Some(document)) => Verdict::Page(document),
        Ok(None) => Verdict::Open,
        Err(why) => Verdict::Refused(why),
    }
}

fn try_read<'a>(page: &'a [u8], resource: &Resource) -> Result<Option<Document<'a>>, String> {
    let page = page.strip_prefix(b"\xef\xbb\xbf").unwrap_or(page);
    let page = std::str::from_utf8(page).map_err(|e| e.to_string())?;
    let mut document =
        Document { framing: None, next: Next::Absent, result_count: None, partial: false, records: Vec::new() };
    match page.trim_start_matches([' ', '\t', '\r', '\n']).bytes().next() {
        None => return Ok(Some(document)),
        Some(b'[') => {
            document.framing = Some(Framing::Array);
            document.records = json::read(page)?;
            return Ok(Some(document));
        }
        Some(b'{') => {}
        Some(_) => return Err("neither an object nor an array".into()),
    }
    let values: Result<Vec<&RawValue>, _> = Deserializer::from_str(page).into_iter().collect();
    let mut values = values.map_err(|e| e.to_string())?;
    let first = values.first().ok_or("no value")?;
    let Members(members) = json::read(first.get())?;
    let declared = |name: &str| resource.fields().iter().any(|f| f.name == name);
    let says_envelope = !declared("result") && !declared("results");
    if says_envelope && members.iter().any(|(name, _)| is_result(name)) {
        if values.len() > 1 {
            return Err("more after the envelope".into());
        }
        document.framing = Some(Framing::Envelope);
        let plain = envelope(members, resource, &mut document)?;
        return Ok(plain.then_some(document));
    }
    document.framing = Some(if values.len() > 1 { Framing::Lines } else { Framing::Object });
    document.records.append(&mut values);
    Ok(Some(document))
}

fn is_result(name: &str) -> bool {
    matches!(name, "result" | "results")
}

/// Reads the members of an envelope; false where it depends on limits or on what is not documented.
fn envelope<'a>(
    members: Vec<(String, &'a RawValue)>,
    resource: &Resource,
    document: &mut Document<'a>,
) -> Result<bool, String> {
    let names: HashSet<_> = members.iter().map(|(name, _)| name.as_str()).collect();
    if names.len() < members.len() || (names.contains("result") && names.contains("results")) {
        return Err("a name that comes twice".into());
    }
    if resource.key().is_some_and(|key| names.contains(key)) {
        return Err("both the key of a record and a `result`".into());
    }
    let mut plain = members.len() <= MANY_MEMBERS;
    for (name, value) in members {
        if is_result(&name) {
            document.records = match value.get().as_bytes() {
                [b'[', ..] => json::read(value.get())?,
                [b'{', ..] => json::read::<Members<'_>>(value.get())?.0.into_iter().map(|(_, record)| record).collect(),
                _ => return Err("a `result` that holds no records".into()),
            };
            continue;
        }
        let value = Node::read(value, 1)?;
        match (name.as_str(), &value.tree) {
            ("next_cursor", Tree::Null) => document.next = Next::End,
            ("next_cursor", Tree::Text(text)) if text.is_empty() => document.next = Next::End,
            ("next_cursor", Tree::Text(text)) => {
                document.next = Next::Cursor(Cursor::new(text));
                plain &= text.len() <= LONG_CURSOR;
            }
            ("next_cursor", Tree::Number) => document.next = Next::Cursor(Cursor::new(value.text)),
            ("next_cursor", _) => return Err("a cursor that is neither text nor null".into()),
            ("result_count", Tree::Null) => {}
            ("result_count", Tree::Number) => match value.text.parse::<u64>() {
                Ok(count) if i64::try_from(count).is_ok() => document.result_count = Some(count),
                _ => plain = false,
            },
            ("result_count", _) => return Err("a count that is no number".into()),
            ("is_partial_response", Tree::Bool(partial)) => document.partial = *partial,
            ("is_partial_response", _) => plain = false,
            _ => {}
        }
    }
    Ok(plain)
}
