//! What was looked at, and what is wrong.

use std::fmt;

/// The most findings that are kept; the others are counted.
const MOST: usize = 1_000;
/// The most characters of a text from a file or a page that are shown.
const SHOWN: usize = 200;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For the reader to know; nothing is wrong.
    Note,
    /// Something is committed and not done; running the same export again does it.
    Unfinished,
    /// The data is not what was written.
    Damage,
}

impl Severity {
    /// `note`, `unfinished` or `damage`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Unfinished => "unfinished",
            Self::Damage => "damage",
        }
    }
}

/// Something that was found, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file, folder or page.
    pub place: String,
    /// What is the matter, and the way out where there is one.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.severity.as_str(), self.place, self.what)
    }
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Manifests.
    pub runs: u64,
    /// Files whose bytes were hashed.
    pub files: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Records that were compared with the pages.
    pub records: u64,
    /// Records whose identifier an earlier record of their run has. Counted where the manifest's options say which column is the `key`; such
    /// records are as they were sent, and no damage.
    pub repeated: u64,
    /// Records without an identifier, where that is known.
    pub unidentified: u64,
    /// What was found, in the order in which it was; the first thousand.
    pub findings: Vec<Finding>,
    /// How many more were.
    pub more: u64,
    /// The worst of all.
    worst: Option<Severity>,
}

impl Report {
    /// Adds a finding.
    pub(crate) fn add(&mut self, severity: Severity, place: impl AsRef<str>, what: impl AsRef<str>) {
        self.worst = self.worst.max(Some(severity));
        if self.findings.len() == MOST {
            self.more += 1;
            return;
        }
        let (place, what) = (shown(place.as_ref(), usize::MAX), shown(what.as_ref(), usize::MAX));
        self.findings.push(Finding { severity, place, what });
    }

    pub(crate) fn damage(&mut self, place: impl AsRef<str>, what: impl AsRef<str>) {
        self.add(Severity::Damage, place, what);
    }

    /// The worst that was found, if anything was.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.worst
    }
}

/// A text from elsewhere as a message may hold it: nothing that a terminal acts on, cut at 200 characters.
pub(crate) fn quoted(text: &str) -> String {
    shown(text, SHOWN)
}

fn shown(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len().min(most));
    for (n, c) in text.chars().enumerate() {
        if n == most {
            out.push('…');
            break;
        }
        if is_harmful(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// Controls, marks and overrides of direction, line and paragraph separators, byte order marks.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_whatever_is_in_it() {
        let mut report = Report::default();
        report.damage("a\nb\u{1b}[31m", "is \u{202e}not\r\n there");
        let line = report.findings[0].to_string();
        assert_eq!(line, "damage: a\\u{a}b\\u{1b}[31m: is \\u{202e}not\\u{d}\\u{a} there");
        assert_eq!(quoted(&"x".repeat(300)).chars().count(), 201);
    }

    #[test]
    fn findings_are_counted_when_there_are_too_many() {
        let mut report = Report::default();
        (0..1_500).for_each(|_| report.add(Severity::Note, "a", "b"));
        assert_eq!((report.findings.len(), report.more, report.worst()), (1_000, 500, Some(Severity::Note)));
        report.damage("a", "b");
        assert_eq!(report.worst(), Some(Severity::Damage));
    }
}
