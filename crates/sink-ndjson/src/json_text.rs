//! JSON inside JSON: a column whose text is a document of its own.
//!
//! The text is checked while it is copied. Dropping white space from something that is not JSON could join
//! what was apart (`1 2`), and one broken document would spoil its whole line.

use crate::scalar::escaped;

/// The deepest a document may nest.
const MAX_DEPTH: usize = 1_024;

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Value,
    /// The first element of an array, or its end.
    ElementOrEnd,
    /// The first name of an object, or its end.
    NameOrEnd,
    Name,
    /// What follows a value: `,`, an end, or nothing.
    After,
}

/// Copies a JSON document without the white space between its tokens.
///
/// # Errors
/// The byte at which `text` stops being JSON; `out` holds a part of it then.
pub(crate) fn copy(text: &str, out: &mut Vec<u8>) -> Result<(), usize> {
    let bytes = text.as_bytes();
    // The closing brackets that are still to come.
    let mut open: Vec<u8> = Vec::new();
    let mut next = Next::Value;
    let mut at = 0;
    loop {
        at = skip_space(bytes, at);
        let Some(&byte) = bytes.get(at) else {
            return if next == Next::After && open.is_empty() { Ok(()) } else { Err(at) };
        };
        match (next, byte) {
            (Next::NameOrEnd | Next::ElementOrEnd | Next::After, b'}' | b']') => {
                if open.pop() != Some(byte) {
                    return Err(at);
                }
                out.push(byte);
                at += 1;
                next = Next::After;
            }
            (Next::After, b',') => {
                next = match open.last() {
                    Some(b'}') => Next::Name,
                    Some(_) => Next::Value,
                    None => return Err(at),
                };
                out.push(byte);
                at += 1;
            }
            (Next::Name | Next::NameOrEnd, b'"') => {
                at = skip_space(bytes, copy_string(text, at, out)?);
                if bytes.get(at) != Some(&b':') {
                    return Err(at);
                }
                out.push(b':');
                at += 1;
                next = Next::Value;
            }
            (Next::Value | Next::ElementOrEnd, b'{' | b'[') => {
                if open.len() == MAX_DEPTH {
                    return Err(at);
                }
                let (close, inside) = if byte == b'{' { (b'}', Next::NameOrEnd) } else { (b']', Next::ElementOrEnd) };
                open.push(close);
                out.push(byte);
                at += 1;
                next = inside;
            }
            (Next::Value | Next::ElementOrEnd, _) => {
                at = match byte {
                    b'"' => copy_string(text, at, out)?,
                    _ => {
                        let end = word(bytes, at)?;
                        out.extend_from_slice(bytes.get(at..end).unwrap_or_default());
                        end
                    }
                };
                next = Next::After;
            }
            _ => return Err(at),
        }
    }
}

fn skip_space(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// Copies the string that begins at `from`; returns where it ends.
fn copy_string(text: &str, from: usize, out: &mut Vec<u8>) -> Result<usize, usize> {
    let bytes = text.as_bytes();
    let mut at = from + 1;
    loop {
        match bytes.get(at) {
            Some(b'"') => break,
            Some(b'\\') => match bytes.get(at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                Some(b'u') => {
                    let digits = bytes.get(at + 2..at + 6).ok_or(at)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return Err(at);
                    }
                    at += 6;
                }
                _ => return Err(at),
            },
            None | Some(0..0x20) => return Err(at),
            Some(_) => at += 1,
        }
    }
    let inside = text.get(from + 1..at).ok_or(at)?;
    out.push(b'"');
    escaped(inside, out, true);
    out.push(b'"');
    Ok(at + 1)
}

/// Where the number or literal that begins at `from` ends.
fn word(bytes: &[u8], from: usize) -> Result<usize, usize> {
    let rest = bytes.get(from..).unwrap_or_default();
    for literal in [&b"true"[..], b"false", b"null"] {
        if rest.starts_with(literal) {
            return Ok(from + literal.len());
        }
    }
    let digits = |at: usize| {
        let count = bytes.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 { Err(at) } else { Ok(at + count) }
    };
    let mut at = from + usize::from(rest.first() == Some(&b'-'));
    at = if bytes.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        at = digits(at)?;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn copied(text: &str) -> Result<String, usize> {
        let mut out = Vec::new();
        copy(text, &mut out)?;
        Ok(String::from_utf8(out).expect("utf-8"))
    }

    #[test]
    fn only_white_space_between_tokens_goes() {
        let text = " { \"a b\" : [ 1 , -0.50e+7 , 1e999, 123456789012345678901234567890, \"\\u2028 \\\" \u{2028}\u{85} \" ] ,\r\n\t\"\":{ } , \"x\" : [ ] } ";
        let expected = "{\"a b\":[1,-0.50e+7,1e999,123456789012345678901234567890,\"\\u2028 \\\" \\u2028\\u0085 \"],\"\":{},\"x\":[]}";
        assert_eq!(copied(text).as_deref(), Ok(expected));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            " ",
            "1 2",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "tru",
            "truex",
            "nul",
            "[",
            "]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{1:2}",
            "{\"a\" 1}",
            "[1}",
            "{]",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "1,",
            "\u{a0}1",
            "\u{feff}1",
            "NaN",
            "{,}",
            "[[]",
            "[]]",
            "\"a\"\"b\"",
        ] {
            assert!(copied(text).is_err(), "{text:?}");
            assert!(serde_json::from_str::<Value>(text).is_err(), "the oracle takes {text:?}");
        }
        assert_eq!(copied("[true, falsy]"), Err(7));
    }

    #[test]
    fn depth_costs_no_stack_and_is_limited() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(copied(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(copied(&nested(MAX_DEPTH + 1)), Err(MAX_DEPTH));
        assert!(copied(&"[".repeat(5_000_000)).is_err());
    }

    proptest! {
        /// Texts of JSON's own characters: what serde_json takes is copied as the same value, what it refuses is refused.
        #[test]
        fn it_agrees_with_serde_json(text in r#"([\[\]{},:"0-9eE.+\- tfn]|true|null|"[a\\n]*"|"\\u00[0-9a-f]{2}"){0,12}"#) {
            match (copied(&text), serde_json::from_str::<Value>(&text)) {
                (Ok(copy), Ok(value)) => {
                    prop_assert_eq!(serde_json::from_str::<Value>(&copy).expect("reads"), value);
                    prop_assert_eq!(copied(&copy).expect("copies"), copy);
                }
                (Err(_), Err(_)) => {}
                // Numbers beyond a double are JSON, though none that serde_json holds.
                (Ok(_), Err(e)) if e.to_string().contains("out of range") => {}
                (ours, theirs) => prop_assert!(false, "{:?} against {:?} for {}", ours, theirs.map(|v| v.to_string()), text),
            }
        }
    }
}
