//! Declared members that nobody asked for.

/// No values; only which rows have had the member, so that it cannot come twice.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    rows: usize,
}

impl LeftOut {
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    pub(crate) fn fill(&mut self, len: usize) {
        self.rows = self.rows.max(len);
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.rows = self.rows.min(len);
    }
}
