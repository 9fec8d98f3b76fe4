//! What can be listed: records by index, some of which a request selects, cut into windows.

use crate::record::Look;

/// Records that are made when they are asked for.
pub(crate) trait Records: Send + Sync {
    /// How many indexes there are, selected or not.
    fn count(&self) -> u64;
    /// Whether the record of an index belongs to the listing.
    fn selects(&self, index: u64) -> bool;
    /// Appends the record of an index.
    fn write(&self, index: u64, look: &Look, out: &mut Vec<u8>);
    /// Appends the provider's own record of an index.
    fn write_raw(&self, index: u64, look: &Look, out: &mut Vec<u8>);
    /// A scalar property of a record, as text; None where it has none.
    fn key(&self, index: u64, property: &str) -> Option<String>;
}

/// One page's worth of a listing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// The records, in order.
    pub(crate) indexes: Vec<u64>,
    /// Where the next window starts, if it has a record.
    pub(crate) next: Option<u64>,
    /// Where the window before starts, if it has a record.
    pub(crate) previous: Option<u64>,
}

impl Window {
    /// At most `limit` records from index `start` on.
    pub(crate) fn of(records: &dyn Records, start: u64, limit: usize) -> Self {
        let mut ahead = (start..records.count()).filter(|&index| records.selects(index));
        let indexes = ahead.by_ref().take(limit).collect();
        let next = ahead.next();
        let previous = (0..start.min(records.count())).rev().filter(|&index| records.selects(index)).take(limit).last();
        Self { indexes, next, previous }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thirds(u64);

    impl Records for Thirds {
        fn count(&self) -> u64 {
            self.0
        }
        fn selects(&self, index: u64) -> bool {
            index.is_multiple_of(3)
        }
        fn write(&self, _: u64, _: &Look, _: &mut Vec<u8>) {}
        fn write_raw(&self, _: u64, _: &Look, _: &mut Vec<u8>) {}
        fn key(&self, _: u64, _: &str) -> Option<String> {
            None
        }
    }

    #[test]
    fn a_window_knows_its_neighbours() {
        let records = Thirds(10);
        let window = |start, limit| Window::of(&records, start, limit);
        assert_eq!(window(0, 2), Window { indexes: vec![0, 3], next: Some(6), previous: None });
        assert_eq!(window(6, 2), Window { indexes: vec![6, 9], next: None, previous: Some(0) });
        assert_eq!(window(9, 1), Window { indexes: vec![9], next: None, previous: Some(6) });
        assert_eq!(window(10, 5), Window { indexes: vec![], next: None, previous: Some(0) });
        assert_eq!(Window::of(&Thirds(0), 0, 5), Window::default());
    }
}
