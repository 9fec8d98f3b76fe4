//! Reading `_extra`.
//!
//! Its text is taken apart one object at a time, along the declared paths. Values off those paths are skipped,
//! however deep they nest, and never turned into anything else than their text.

use std::fmt;

use pagemill_core::{Error, Result};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of a JSON object, in order, each with its text.
pub(crate) struct Members<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The members of `text`; `None` when it is no object.
    ///
    /// # Errors
    /// When it begins as an object and is not JSON.
    pub(crate) fn of(text: &'a str) -> Result<Option<Self>> {
        if !text.trim_start().starts_with('{') {
            return Ok(None);
        }
        let members = serde_json::from_str(text);
        members.map(Some).map_err(|e| Error::data("a value of `_extra` is not JSON").because(e))
    }

    /// Takes the member of that name out.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let i = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(i).1)
    }
}

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

/// The declared objects within an object, numbered in the order of the schema, each before those within it.
///
/// An object without any value has no column that tells it from null, so `_extra` has it (`{"organization":{}}`).
#[derive(Debug, Default)]
pub(crate) struct Paths(Vec<(String, usize, Paths)>);

impl Paths {
    /// Adds an object of the given name and number, with those within it.
    pub(crate) fn add(&mut self, name: &str, number: usize, within: Self) {
        self.0.push((name.to_owned(), number, within));
    }

    /// Calls `seen` with the number of each declared object that is an object in `text`, too.
    ///
    /// # Errors
    /// When `text` is not JSON.
    pub(crate) fn walk(&self, text: &str, seen: &mut dyn FnMut(usize)) -> Result<()> {
        let Some(mut members) = Members::of(text)? else { return Ok(()) };
        for (name, number, within) in &self.0 {
            if let Some(value) = members.take(name)
                && value.get().starts_with('{')
            {
                seen(*number);
                within.walk(value.get(), seen)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_at_declared_paths_are_seen() {
        let mut a = Paths::default();
        a.add("b", 1, Paths::default());
        let mut paths = Paths::default();
        paths.add("a", 0, a);
        paths.add("c", 2, Paths::default());
        let seen = |text: &str| {
            let mut seen = Vec::new();
            paths.walk(text, &mut |n| seen.push(n)).map(|()| seen)
        };
        assert_eq!(seen(r#"{"x":{"a":{}},"a":{"b":{"z":1e999}, "c":{}}}"#).expect("JSON"), [0, 1]);
        assert_eq!(seen(r#" {"\u0061" : {} , "c":1e999,"d":"\ud800"}"#).expect("JSON"), [0]);
        assert_eq!(seen(r#"[{"a":{}}]"#).expect("JSON"), [] as [usize; 0]);
        assert_eq!(seen(&format!(r#"{{"c":{{"x":{}{}}}}}"#, "[".repeat(5_000), "]".repeat(5_000))).expect("JSON"), [2]);
        assert!(seen(r#"{"a":"#).is_err());
    }
}
