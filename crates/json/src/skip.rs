//! Values that no column takes apart: checked to the last comma, and passed. Or just passed, where nobody asked for them.

use std::ops::Range;

use crate::{
    raw,
    scan::BLOCK,
    text,
    tokens::{Bad, Parse, Text, Tokens},
};

/// Passes the value that begins here and says where it was. `depth` containers are open around it.
///
/// The value is checked against RFC 8259 as strictly as if it were read; there is no recursion.
pub(crate) fn value(c: &mut Tokens<'_>, depth: usize) -> Parse<Range<usize>> {
    let start = c.at;
    // A walk of its own, which the compiler can keep in registers.
    let mut t = *c;
    // One bit a container, 1 for objects, innermost lowest.
    let mut kinds = 0u128;
    let mut open = 0usize;
    loop {
        // A value begins here.
        match t.byte() {
            b'"' => string(&mut t)?,
            b't' | b'f' => drop(t.boolean()?),
            b'n' => t.null()?,
            bracket @ (b'{' | b'[') => {
                if depth + open >= t.limits.depth.min(128) {
                    return Err(Bad::new(t.at, format!("more than {} levels", t.limits.depth.min(128))));
                }
                t.bracket();
                t.skip_space();
                let object = bracket == b'{';
                if t.byte() == if object { b'}' } else { b']' } {
                    t.bracket();
                } else {
                    kinds = kinds << 1 | u128::from(object);
                    open += 1;
                    if object {
                        plain_members(&mut t);
                        name(&mut t)?;
                    }
                    continue;
                }
            }
            b'-' | b'0'..=b'9' => drop(t.number()?),
            _ => return Err(t.expected("a value")),
        }
        // A value has ended here.
        loop {
            if open == 0 {
                (c.at, c.next) = (t.at, t.next);
                return Ok(start..t.at);
            }
            let object = kinds & 1 == 1;
            let ended = match object {
                true => t.end_member()?,
                false => t.end_element()?,
            };
            if !ended {
                if object {
                    plain_members(&mut t);
                    name(&mut t)?;
                }
                break;
            }
            kinds >>= 1;
            open -= 1;
        }
    }
}

/// Passes the value that begins here, without looking into it: an array or object ends where as many brackets have closed
/// as have opened. Only its strings have been checked, by stage 1.
pub(crate) fn unread(t: &mut Tokens<'_>, depth: usize) -> Parse<()> {
    if !matches!(t.byte(), b'{' | b'[') {
        return value(t, depth).map(drop);
    }
    match t.closing(t.at / BLOCK, 0) {
        Ok(end) if end <= t.end => {
            t.next = t.entry_at(end);
            t.at = end;
            Ok(())
        }
        _ => Err(Bad::new(t.at, "an array or object that is not closed")),
    }
}

/// Passes members of the object here as long as they are plain: a name and a string without escapes, `true`, `false` or
/// `null`, no white space, and another member behind. Stands at the name of the first that is not.
#[inline(always)]
fn plain_members(t: &mut Tokens<'_>) {
    let Tokens { bytes, index, .. } = *t;
    let (mut at, mut next) = (t.at, t.next);
    let longest = t.limits.key.min(t.limits.string);
    // Where the string ends that begins at `open`. The entry of one with escapes is so large that it seems too long.
    let string = |open: usize, next: usize| {
        let close = *index.get(next)? as usize;
        (close.wrapping_sub(open + 1) <= longest).then_some(close + 1)
    };
    while bytes.get(at) == Some(&b'"')
        && let Some(colon) = string(at, next)
        && let Some([b':', first]) = raw::chunk(bytes, colon)
    {
        let value = colon + 1;
        let (end, entries) = match first {
            b'"' => match string(value, next + 1) {
                Some(end) => (end, 2),
                None => break,
            },
            b't' if raw::chunk(bytes, value) == Some(b"true") => (value + 4, 1),
            b'f' if raw::chunk(bytes, value) == Some(b"false") => (value + 5, 1),
            b'n' if raw::chunk(bytes, value) == Some(b"null") => (value + 4, 1),
            _ => break,
        };
        if bytes.get(end) != Some(&b',') {
            break;
        }
        (at, next) = (end + 1, next + entries);
    }
    (t.at, t.next) = (at, next);
    t.skip_space();
}

/// Passes a name, the colon after it, and the white space around that.
#[inline(always)]
fn name(t: &mut Tokens<'_>) -> Parse<()> {
    if t.byte() != b'"' {
        return Err(t.expected("a name"));
    }
    let open = t.at;
    string(t)?;
    if t.at - open - 2 > t.limits.key {
        return Err(Bad::new(open, format!("a name of more than {} bytes", t.limits.key)));
    }
    t.skip_space();
    if t.byte() != b':' {
        return Err(t.expected("`:`"));
    }
    t.at += 1;
    t.skip_space();
    Ok(())
}

/// Passes a string.
#[inline(always)]
fn string(t: &mut Tokens<'_>) -> Parse<()> {
    let text = t.text()?;
    match text.escaped {
        false => Ok(()),
        true => check_escapes(t.bytes, text),
    }
}

#[cold]
#[inline(never)]
fn check_escapes(bytes: &[u8], text: Text) -> Parse<()> {
    text::check_escapes(text.of(bytes)).map_err(|(at, why)| Bad::new(text.open + 1 + at, why))
}
