//! JSON text, appended to a buffer by hand: no tree in between, so that making a page costs less than reading it.

/// How JSON is written. None of it changes what a record means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    /// Line breaks and two spaces a level.
    pub(crate) pretty: bool,
    /// Every character outside ASCII as `\uXXXX`, in surrogate pairs where it needs two.
    pub(crate) ascii: bool,
    /// `/` as `\/`.
    pub(crate) solidus: bool,
}

/// What a byte of a string is, so that each style can pick what it escapes.
const ALWAYS: u8 = 1;
const NON_ASCII: u8 = 2;
const SOLIDUS: u8 = 4;
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = match byte as u8 {
            0..=0x1f | b'"' | b'\\' => ALWAYS,
            b'/' => SOLIDUS,
            0x80.. => NON_ASCII,
            _ => 0,
        };
        byte += 1;
    }
    class
};

/// Appends one JSON value.
pub(crate) struct Json<'a> {
    out: &'a mut Vec<u8>,
    style: Style,
    depth: usize,
    /// Nothing was written yet in the container we are in.
    fresh: bool,
}

impl<'a> Json<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, style: Style) -> Self {
        Self { out, style, depth: 0, fresh: true }
    }

    /// A writer for the value of a container that is `depth` levels down already.
    pub(crate) fn at_depth(out: &'a mut Vec<u8>, style: Style, depth: usize) -> Self {
        Self { out, style, depth, fresh: true }
    }

    pub(crate) fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.depth += 1;
        self.fresh = true;
    }

    pub(crate) fn close(&mut self, bracket: u8) {
        self.depth = self.depth.saturating_sub(1);
        if !self.fresh {
            self.line();
        }
        self.out.push(bracket);
        self.fresh = false;
    }

    /// What stands before an element of an array.
    pub(crate) fn item(&mut self) {
        if !self.fresh {
            self.out.push(b',');
        }
        self.fresh = false;
        self.line();
    }

    /// What stands before the value of an object's member.
    pub(crate) fn key(&mut self, name: &str) {
        self.item();
        self.string(name);
        self.out.push(b':');
        if self.style.pretty {
            self.out.push(b' ');
        }
    }

    pub(crate) fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.open(b'{');
        members(self);
        self.close(b'}');
    }

    pub(crate) fn array(&mut self, items: impl FnOnce(&mut Self)) {
        self.open(b'[');
        items(self);
        self.close(b']');
    }

    pub(crate) fn null(&mut self) {
        self.out.extend_from_slice(b"null");
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(crate) fn unsigned(&mut self, mut value: u64) {
        let mut digits = [0u8; 20];
        let mut start = digits.len();
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
            start -= 1;
            if value == 0 {
                break;
            }
        }
        self.out.extend_from_slice(digits.get(start..).unwrap_or_default());
    }

    pub(crate) fn signed(&mut self, value: i64) {
        if value < 0 {
            self.out.push(b'-');
        }
        self.unsigned(value.unsigned_abs());
    }

    /// Text that is JSON already.
    pub(crate) fn verbatim(&mut self, json: &str) {
        self.out.extend_from_slice(json.as_bytes());
    }

    /// Whatever `value` appends, which has to be one JSON value.
    pub(crate) fn value(&mut self, value: impl FnOnce(&mut Vec<u8>)) {
        value(self.out);
    }

    /// Whatever `text` appends, in quotes: for text that needs no escape, such as a timestamp.
    pub(crate) fn quoted(&mut self, text: impl FnOnce(&mut Vec<u8>)) {
        self.out.push(b'"');
        text(self.out);
        self.out.push(b'"');
    }

    /// A string, escaped as the style says.
    pub(crate) fn string(&mut self, text: &str) {
        let mask = ALWAYS | if self.style.ascii { NON_ASCII } else { 0 } | if self.style.solidus { SOLIDUS } else { 0 };
        self.out.push(b'"');
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| CLASS[usize::from(byte)] & mask != 0) {
            // The byte that stopped us begins a character, so neither cut goes through one.
            let (plain, odd) = rest.split_at(at);
            self.out.extend_from_slice(plain.as_bytes());
            let mut characters = odd.chars();
            characters.next().into_iter().for_each(|character| self.escape(character));
            rest = characters.as_str();
        }
        self.out.extend_from_slice(rest.as_bytes());
        self.out.push(b'"');
    }

    /// A string, or null.
    pub(crate) fn string_or_null(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.null(),
        }
    }

    fn escape(&mut self, character: char) {
        let short = match character {
            '"' => b'"',
            '\\' => b'\\',
            '/' => b'/',
            '\n' => b'n',
            '\r' => b'r',
            '\t' => b't',
            '\u{8}' => b'b',
            '\u{c}' => b'f',
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    self.out.extend_from_slice(b"\\u");
                    for shift in [12, 8, 4, 0] {
                        self.out.push(b"0123456789abcdef"[usize::from(*unit >> shift & 15)]);
                    }
                }
                return;
            }
        };
        self.out.extend_from_slice(&[b'\\', short]);
    }

    fn line(&mut self) {
        if self.style.pretty {
            self.out.push(b'\n');
            self.out.resize(self.out.len() + 2 * self.depth, b' ');
        }
    }

    /// `"key": "value"`.
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.string(value);
    }

    /// `"key": true`.
    pub(crate) fn flag(&mut self, key: &str, value: bool) {
        self.key(key);
        self.boolean(value);
    }

    /// `"key": 1`.
    pub(crate) fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        self.unsigned(value);
    }

    /// `"key": {"id": …, "name": …}`.
    pub(crate) fn id_and_name(&mut self, id: &str, name: &str) {
        self.object(|json| {
            json.text("id", id);
            json.text("name", name);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn written(style: Style, write: impl FnOnce(&mut Json<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Json::new(&mut out, style));
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn every_character_comes_back_in_every_style() {
        let all: String = (0..=0x10_ffff).step_by(7).chain(0..0x3000).filter_map(char::from_u32).collect();
        for bits in 0..8 {
            let style = Style { pretty: bits & 1 > 0, ascii: bits & 2 > 0, solidus: bits & 4 > 0 };
            let text = written(style, |json| json.string(&all));
            assert_eq!(serde_json::from_str::<String>(&text).expect("valid"), all);
            assert!(!style.ascii || text.is_ascii());
            assert!(!style.solidus || !text.replace("\\/", "").contains('/'));
        }
    }

    #[test]
    fn compact_and_pretty_mean_the_same() {
        let write = |json: &mut Json<'_>| {
            json.object(|json| {
                json.text("a", "x");
                json.key("b");
                json.array(|json| {
                    json.item();
                    json.signed(-12);
                    json.item();
                    json.unsigned(u64::MAX);
                    json.item();
                    json.null();
                });
                json.key("c");
                json.array(|_| {});
                json.flag("d", false);
                json.number("e", 0);
            });
        };
        let compact = written(Style::default(), write);
        assert_eq!(compact, r#"{"a":"x","b":[-12,18446744073709551615,null],"c":[],"d":false,"e":0}"#);
        let pretty = written(Style { pretty: true, ..Style::default() }, write);
        let value: Value = serde_json::from_str(&pretty).expect("valid");
        assert_eq!(value, json!({"a": "x", "b": [-12, u64::MAX, null], "c": [], "d": false, "e": 0}));
        assert_eq!(pretty, serde_json::to_string_pretty(&value).expect("writes"));
    }
}
