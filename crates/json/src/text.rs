//! Strings: escapes to UTF-8.

/// A rule of RFC 8259, section 7, that a string broke, and where in it.
pub(crate) type Broken = (usize, &'static str);

/// Appends the text of the string whose inside (between its quotes) is `inside`; it may have escapes.
///
/// UTF-8 and raw control characters are checked elsewhere.
///
/// # Errors
/// Where an escape is none that JSON knows, or half a surrogate pair, which no text can hold.
pub(crate) fn unescape(inside: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    let mut from = 0;
    while let Some(next) = find_backslash(inside, from) {
        out.extend_from_slice(&inside[from..next]);
        let (c, after) = escape(inside, next)?;
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        from = after;
    }
    out.extend_from_slice(&inside[from..]);
    Ok(())
}

/// Checks the escapes of `inside` as [`unescape`] does.
///
/// # Errors
/// As [`unescape`].
pub(crate) fn check_escapes(inside: &[u8]) -> Result<(), Broken> {
    let mut from = 0;
    while let Some(next) = find_backslash(inside, from) {
        from = escape(inside, next)?.1;
    }
    Ok(())
}

fn find_backslash(inside: &[u8], from: usize) -> Option<usize> {
    inside[from..].iter().position(|b| *b == b'\\').map(|n| from + n)
}

/// The character that the escape at `at` stands for, and where the escape ends.
fn escape(inside: &[u8], at: usize) -> Result<(char, usize), Broken> {
    let c = match inside.get(at + 1) {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(c @ (b'"' | b'\\' | b'/')) => char::from(*c),
        Some(b'u') => return unicode_escape(inside, at),
        _ => return Err((at, "an escape that JSON does not know")),
    };
    Ok((c, at + 2))
}

fn unicode_escape(inside: &[u8], at: usize) -> Result<(char, usize), Broken> {
    let unit = hex(inside, at)?;
    if let Some(c) = char::from_u32(unit) {
        return Ok((c, at + 6));
    }
    const HALF: &str = "half a surrogate pair, which is no character";
    if unit >= 0xdc00 || inside.get(at + 6) != Some(&b'\\') || inside.get(at + 7) != Some(&b'u') {
        return Err((at, HALF));
    }
    let low = hex(inside, at + 6)?;
    if !(0xdc00..0xe000).contains(&low) {
        return Err((at, HALF));
    }
    let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    char::from_u32(code).map(|c| (c, at + 12)).ok_or((at, HALF))
}

/// The number that the four digits of the `\u` escape at `at` write.
fn hex(inside: &[u8], at: usize) -> Result<u32, Broken> {
    let digits = inside.get(at + 2..at + 6).ok_or((at, "a \\u escape without four digits"))?;
    digits.iter().try_fold(0, |n, d| match char::from(*d).to_digit(16) {
        Some(d) => Ok(n << 4 | d),
        None => Err((at, "a \\u escape without four hexadecimal digits")),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn strings_are_read_as_serde_json_reads_them(text in r#"([a-zé😀]|\\[nrtbf"\\/u]|[0-9a-fA-FdD]|\\u[dD][89abcdefAC][0-9][0-9]|\\u00[0-9a-f][0-9a-f]){0,12}"#) {
            let mut ours = Vec::new();
            let result = unescape(text.as_bytes(), &mut ours);
            prop_assert_eq!(result.is_ok(), check_escapes(text.as_bytes()).is_ok());
            let theirs = serde_json::from_str::<String>(&format!("\"{text}\"")).ok();
            prop_assert_eq!(result.ok().and_then(|()| String::from_utf8(ours).ok()), theirs);
        }
    }
}
