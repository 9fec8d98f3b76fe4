//! What serde_json reads: a tree that keeps the text of every value.
//!
//! serde_json takes the text apart one container at a time, so that numbers keep all their digits and names may repeat.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Containers within containers, the outermost counted: `Limits::depth` as it is by default.
const DEPTH: usize = 128;
/// Characters of a number: `Limits::number` as it is by default.
const NUMBER: usize = 1_024;

/// A value and its text.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) text: &'a str,
    pub(crate) tree: Tree<'a>,
}

#[derive(Debug)]
pub(crate) enum Tree<'a> {
    Null,
    Bool(bool),
    /// Its text is the node's.
    Number,
    Text(String),
    List(Vec<Node<'a>>),
    Object(Vec<(String, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// Reads a value, around which `depth` containers are open.
    pub(crate) fn read(raw: &'a RawValue, depth: usize) -> Result<Self, String> {
        let text = raw.get();
        let first = text.bytes().next().unwrap_or(b' ');
        if matches!(first, b'{' | b'[') && depth >= DEPTH {
            return Err("nests too deep".into());
        }
        let tree = match first {
            b'n' => Tree::Null,
            b't' | b'f' => Tree::Bool(first == b't'),
            b'"' => Tree::Text(read(text)?),
            b'[' => {
                let elements: Vec<&RawValue> = read(text)?;
                Tree::List(elements.into_iter().map(|e| Self::read(e, depth + 1)).collect::<Result<_, _>>()?)
            }
            b'{' => {
                let Members(members) = read(text)?;
                let member = |(name, value)| Ok((name, Self::read(value, depth + 1)?));
                Tree::Object(members.into_iter().map(member).collect::<Result<_, String>>()?)
            }
            _ if text.len() > NUMBER => return Err("a number that is too long".into()),
            _ => Tree::Number,
        };
        Ok(Self { text, tree })
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.tree, Tree::Null)
    }
}

/// Reads text with serde_json.
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

/// The members of an object, in order, each with its text.
#[derive(Debug)]
pub(crate) struct Members<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        reader.deserialize_map(Object)
    }
}
