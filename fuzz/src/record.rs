//! What is promised of one record: whether it is good, and what must come back.

use std::collections::{BTreeMap, HashSet};

use chrono::DateTime;
use pagemill_core::{Field, Kind, Misfits, Reason};
use serde_json::value::RawValue;

use crate::json::{Node, Tree};

/// Reads a record that is good.
///
/// # Errors
/// What makes it bad: it is no JSON, no object, breaks a limit, or says a name twice where names are looked at.
pub(crate) fn good<'a>(fields: &[Field], record: &'a RawValue) -> Result<Node<'a>, String> {
    let node = Node::read(record, 0)?;
    let Tree::Object(members) = &node.tree else { return Err("no object".into()) };
    if !distinct(fields, members) {
        return Err("a name that comes twice".into());
    }
    Ok(node)
}

/// True when no object with declared members has two members of one name; within free JSON and values of another type
/// than the declared one they may repeat.
fn distinct(fields: &[Field], members: &[(String, Node<'_>)]) -> bool {
    fn within(kind: &Kind, node: &Node<'_>) -> bool {
        match (kind, &node.tree) {
            (Kind::Struct(fields), Tree::Object(members)) => distinct(fields, members),
            (Kind::List(item), Tree::List(elements)) => elements.iter().all(|e| within(item, e)),
            _ => true,
        }
    }
    let names: HashSet<_> = members.iter().map(|(name, _)| name).collect();
    let kind = |name: &str| fields.iter().find(|f| f.name == name).map(|f| &f.kind);
    names.len() == members.len() && members.iter().all(|(name, node)| kind(name).is_none_or(|k| within(k, node)))
}

/// How many values are not in their columns, by path and reason. Why a number or a time does not fit is not told apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts(BTreeMap<(String, &'static str), u64>);

impl Counts {
    fn add(&mut self, path: &str, reason: Reason, n: u64) {
        let reason = match reason {
            Reason::OutOfRange | Reason::Inexact | Reason::NotATime | Reason::TimeTooFine => "does_not_fit",
            reason => reason.as_str(),
        };
        *self.0.entry((path.to_owned(), reason)).or_default() += n;
    }
}

impl From<&Misfits> for Counts {
    fn from(misfits: &Misfits) -> Self {
        let mut counts = Self::default();
        misfits.iter().for_each(|(path, reason, n)| counts.add(path, reason, n));
        counts
    }
}

/// Holds records that came back against those that were read.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Values that cannot be in their columns.
    pub(crate) misfits: Counts,
}

impl Ledger {
    /// Panics where `back` is not what must come back of `read`.
    pub(crate) fn record(&mut self, fields: &[Field], read: &Node<'_>, back: &Node<'_>) {
        let (Tree::Object(read), Tree::Object(back)) = (&read.tree, &back.tree) else { panic!("{read:?} {back:?}") };
        self.object(fields, "", read, back);
    }

    /// Compares objects; true when the one that was read has no value at all.
    fn object(
        &mut self,
        fields: &[Field],
        path: &str,
        read: &[(String, Node<'_>)],
        back: &[(String, Node<'_>)],
    ) -> bool {
        let find = |members: &'_ [(String, Node<'_>)], name: &str| members.iter().position(|(n, _)| n == name);
        let mut none = true;
        for field in fields {
            let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            let back = find(back, &field.name).map(|i| &back[i].1);
            match find(read, &field.name).map(|i| &read[i].1) {
                Some(read) => {
                    none &= read.is_null();
                    self.value(&field.kind, &path, read, back);
                }
                None => assert!(back.is_none_or(Node::is_null), "{path} out of nothing: {back:?}"),
            }
        }
        let declared = |name: &str| fields.iter().any(|f| f.name == name);
        for (name, value) in read.iter().filter(|(name, _)| !declared(name)) {
            none = false;
            self.misfits.add(if path.is_empty() { "$" } else { path }, Reason::UnknownMember, 1);
            verbatim(path, value, find(back, name).map(|i| &back[i].1));
        }
        for (i, (name, _)) in back.iter().enumerate() {
            assert!(declared(name) || find(read, name).is_some(), "{path} has a {name} out of nothing");
            assert_eq!(find(back, name), Some(i), "{path} has two {name}");
        }
        none
    }

    fn value(&mut self, kind: &Kind, path: &str, read: &Node<'_>, back: Option<&Node<'_>>) {
        let tree = back.map(|b| &b.tree);
        match (kind, &read.tree) {
            (_, Tree::Null) => assert!(back.is_none_or(Node::is_null), "{path}: null became {back:?}"),
            (Kind::Json, _) => verbatim(path, read, back),
            (Kind::Bool, Tree::Bool(_)) => verbatim(path, read, back),
            (Kind::Text, Tree::Text(text)) => {
                assert!(matches!(tree, Some(Tree::Text(t)) if t == text), "{path}: {read:?} became {back:?}");
            }
            (Kind::Text, Tree::Number) => {
                assert!(matches!(tree, Some(Tree::Text(t)) if t == read.text), "{path}: {read:?} became {back:?}");
                self.misfits.add(path, Reason::NumberAsText, 1);
            }
            (Kind::Int | Kind::Float, Tree::Number) => {
                let number = Decimal::of(read.text);
                let fits = match kind {
                    Kind::Int => number.is_i64(),
                    _ => number.is_f64(read.text),
                };
                if fits {
                    let same = back.filter(|b| matches!(b.tree, Tree::Number)).map(|b| Decimal::of(b.text));
                    assert_eq!(same, Some(number), "{path}: {read:?} became {back:?}");
                } else {
                    self.outside(path, Reason::Inexact, read, back);
                }
            }
            (Kind::Time, Tree::Text(text)) => match micros(text) {
                Some(moment) => {
                    let same = matches!(tree, Some(Tree::Text(t)) if micros(t) == Some(moment));
                    assert!(same, "{path}: {read:?} became {back:?}");
                }
                None => self.outside(path, Reason::NotATime, read, back),
            },
            (Kind::Struct(fields), Tree::Object(members)) => {
                let Some(Tree::Object(back)) = tree else { panic!("{path}: {read:?} became {back:?}") };
                if self.object(fields, path, members, back) {
                    self.misfits.add(path, Reason::EmptyObject, 1);
                }
            }
            (Kind::List(item), Tree::List(elements)) => {
                let Some(Tree::List(back)) = tree else { panic!("{path}: {read:?} became {back:?}") };
                assert_eq!(elements.len(), back.len(), "elements of {path}");
                for (read, back) in elements.iter().zip(back) {
                    self.value(item, &format!("{path}[]"), read, Some(back));
                }
            }
            _ => self.outside(path, Reason::WrongType, read, back),
        }
    }

    /// A value that its column cannot hold: it is kept to the letter, and counted.
    fn outside(&mut self, path: &str, reason: Reason, read: &Node<'_>, back: Option<&Node<'_>>) {
        verbatim(path, read, back);
        self.misfits.add(path, reason, 1);
    }
}

fn verbatim(path: &str, read: &Node<'_>, back: Option<&Node<'_>>) {
    assert_eq!(back.map(|b| b.text), Some(read.text), "{path}");
}

/// A number's exact value: `digits * 10^power`, without zeros at either end of the digits. Zero has no sign.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    power: i128,
}

impl Decimal {
    /// The value of a well-formed number of at most some thousand characters.
    fn of(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{}{fraction}", whole.trim_start_matches('-'));
        let digits = all.trim_end_matches('0');
        // An exponent beyond 128 bits is as good as any other that is beyond all columns.
        let far = if exponent.starts_with('-') { i128::MIN / 2 } else { i128::MAX / 2 };
        let power = exponent.parse().unwrap_or(far) - fraction.len() as i128 + (all.len() - digits.len()) as i128;
        let digits = digits.trim_start_matches('0').to_owned();
        match digits.is_empty() {
            true => Self { negative: false, digits, power: 0 },
            false => Self { negative: text.starts_with('-'), digits, power },
        }
    }

    fn is_i64(&self) -> bool {
        let sign = if self.negative { "-" } else { "" };
        let zeros = "0".repeat(usize::try_from(self.power.min(20)).unwrap_or(0));
        self.power >= 0 && format!("{sign}0{}{zeros}", self.digits).parse::<i64>().is_ok()
    }

    /// True when the shortest text of the nearest double, which is what `text` reads as, is the same number.
    fn is_f64(&self, text: &str) -> bool {
        let double = serde_json::from_str::<f64>(text).ok().filter(|double| double.is_finite());
        double.is_some_and(|double| Self::of(&format!("{double:e}")) == *self)
    }
}

/// Microseconds since 1970 of a date and time of RFC 3339, if they are exact and within the years 0000 to 9999 of UTC.
fn micros(text: &str) -> Option<i64> {
    let digits = text.split_once('.').map_or("", |(_, rest)| rest);
    let finer = digits.bytes().take_while(u8::is_ascii_digit).skip(6).any(|digit| digit != b'0');
    let leap_second = text.get(17..19) == Some("60");
    if !text.is_ascii() || leap_second || finer {
        return None;
    }
    let micros = DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros();
    let year = |text| DateTime::parse_from_rfc3339(text).map(|t| t.timestamp_micros());
    let (first, last) = (year("0000-01-01T00:00:00Z").ok()?, year("9999-12-31T23:59:59.999999Z").ok()?);
    (first..=last).contains(&micros).then_some(micros)
}
