//! What serde_json reads: a tree that keeps the text of every value, and numbers by their decimal value.
//!
//! serde_json takes the text apart one container at a time, so that numbers keep all their digits and names may repeat.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Containers within containers; more are not taken apart.
const DEPTH: usize = 512;

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
    pub(crate) fn read(text: &'a str, depth: usize) -> Result<Self, String> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if depth >= DEPTH {
            return Err(format!("more than {DEPTH} containers within containers"));
        }
        let tree = match text.bytes().next().unwrap_or(b' ') {
            b'n' => Tree::Null,
            b't' => Tree::Bool(true),
            b'f' => Tree::Bool(false),
            b'"' => Tree::Text(read(text)?),
            b'[' => {
                let elements: Vec<&RawValue> = read(text)?;
                Tree::List(elements.into_iter().map(|e| Self::read(e.get(), depth + 1)).collect::<Result<_, _>>()?)
            }
            b'{' => {
                let Members(members) = read(text)?;
                let member = |(name, value): (String, &'a RawValue)| Ok((name, Self::read(value.get(), depth + 1)?));
                Tree::Object(members.into_iter().map(member).collect::<Result<_, String>>()?)
            }
            _ => Tree::Number,
        };
        Ok(Self { text, tree })
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.tree, Tree::Null)
    }

    /// Whether two values are the same: numbers by their decimal value, texts by their characters, members in order.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (&self.tree, &other.tree) {
            (Tree::Null, Tree::Null) => true,
            (Tree::Bool(a), Tree::Bool(b)) => a == b,
            (Tree::Number, Tree::Number) => Decimal::of(self.text) == Decimal::of(other.text),
            (Tree::Text(a), Tree::Text(b)) => a == b,
            (Tree::List(a), Tree::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Tree::Object(a), Tree::Object(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((n, a), (m, b))| n == m && a.same(b))
            }
            _ => false,
        }
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

/// A number's exact value: `digits * 10^power`, without zeros at either end of the digits. Zero has no sign.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    digits: String,
    power: i128,
}

impl Decimal {
    /// The value of a well-formed number.
    pub(crate) fn of(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{}{fraction}", whole.trim_start_matches('-'));
        let digits = all.trim_end_matches('0');
        // An exponent beyond 128 bits is as good as any other that is beyond all columns.
        let far = if exponent.starts_with('-') { i128::MIN / 2 } else { i128::MAX / 2 };
        let power = exponent.parse().map_or(far, |e: i128| e.clamp(i128::MIN / 2, i128::MAX / 2));
        let power = power - fraction.len() as i128 + (all.len() - digits.len()) as i128;
        let digits = digits.trim_start_matches('0').to_owned();
        match digits.is_empty() {
            true => Self { negative: false, digits, power: 0 },
            false => Self { negative: text.starts_with('-'), digits, power },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        for (a, b) in [("1", "1.0"), ("100", "1e2"), ("-0", "0.00e9"), ("1.50", "15E-1"), ("1e+3", "1000")] {
            assert_eq!(Decimal::of(a), Decimal::of(b), "{a} {b}");
        }
        for (a, b) in [
            ("1", "-1"),
            ("9007199254740993", "9007199254740992"),
            ("0.1", "0.10000000000000001"),
            ("1e400", "1e401"),
            ("1", "10"),
        ] {
            assert_ne!(Decimal::of(a), Decimal::of(b), "{a} {b}");
        }
        Decimal::of(&format!("1e{}", "9".repeat(200)));
    }

    #[test]
    fn values_are_compared_by_what_they_say() {
        let same = |a: &str, b: &str| Node::read(a, 0).expect("JSON").same(&Node::read(b, 0).expect("JSON"));
        assert!(same(r#"{ "a" : [ 1.0, "\u0041" ] }"#, r#"{"a":[1,"A"]}"#));
        for (a, b) in
            [("1", "\"1\""), ("[1]", "[1,1]"), (r#"{"a":1}"#, r#"{"b":1}"#), ("null", "false"), ("true", "false")]
        {
            assert!(!same(a, b), "{a} {b}");
        }
        assert!(Node::read(&"[".repeat(10_000), 0).is_err());
        assert!(Node::read(&format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), 0).is_err());
    }
}
