//! Values that no column takes apart: checked to the last comma, and passed.

use std::ops::Range;

use crate::{
    text,
    tokens::{Bad, Parse, Tokens},
};

/// Passes the value that begins here and says where it was. `depth` containers are open around it.
///
/// The value is checked against RFC 8259 as strictly as if it were read; there is no recursion.
pub(crate) fn value(c: &mut Tokens<'_>, depth: usize) -> Parse<Range<usize>> {
    let start = c.at;
    // One bit a container, 1 for objects, innermost lowest.
    let mut kinds = 0u128;
    let mut open = 0usize;
    loop {
        // A value begins here.
        match c.byte() {
            bracket @ (b'{' | b'[') => {
                if depth + open >= c.limits.depth.min(128) {
                    return Err(Bad::new(c.at, format!("more than {} levels", c.limits.depth.min(128))));
                }
                c.bracket();
                c.skip_space();
                let object = bracket == b'{';
                if c.byte() == if object { b'}' } else { b']' } {
                    c.bracket();
                } else {
                    kinds = kinds << 1 | u128::from(object);
                    open += 1;
                    if object {
                        name(c)?;
                    }
                    continue;
                }
            }
            b'"' => string(c)?,
            b't' => c.literal("true")?,
            b'f' => c.literal("false")?,
            b'n' => c.literal("null")?,
            b'-' | b'0'..=b'9' => drop(c.number()?),
            _ => return Err(c.expected("a value")),
        }
        // A value has ended here.
        loop {
            if open == 0 {
                return Ok(start..c.at);
            }
            c.skip_space();
            let object = kinds & 1 == 1;
            match c.byte() {
                b',' => {
                    c.at += 1;
                    c.skip_space();
                    if object {
                        name(c)?;
                    }
                    break;
                }
                b'}' if object => c.bracket(),
                b']' if !object => c.bracket(),
                _ => return Err(c.expected(if object { "`,` or `}`" } else { "`,` or `]`" })),
            }
            kinds >>= 1;
            open -= 1;
        }
    }
}

/// Passes a name, the colon after it, and the white space around that.
fn name(c: &mut Tokens<'_>) -> Parse<()> {
    if c.byte() != b'"' {
        return Err(c.expected("a name"));
    }
    let open = c.at;
    string(c)?;
    if c.at - open - 2 > c.limits.key {
        return Err(Bad::new(open, format!("a name of more than {} bytes", c.limits.key)));
    }
    c.skip_space();
    if c.byte() != b':' {
        return Err(c.expected("`:`"));
    }
    c.at += 1;
    c.skip_space();
    Ok(())
}

/// Passes a string.
fn string(c: &mut Tokens<'_>) -> Parse<()> {
    let text = c.text()?;
    if text.escaped {
        text::check_escapes(text.of(c.bytes)).map_err(|(at, why)| Bad::new(text.open + 1 + at, why))?;
    }
    Ok(())
}
