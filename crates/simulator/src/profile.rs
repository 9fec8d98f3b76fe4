//! How often the odd things happen.

/// Whose records a member's look and `remote_data` follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// Slack: identifiers such as `U06AB12CD3E`, `remote_data` as of `users.info`.
    Slack,
    /// Microsoft 365 and Teams: UUIDs, `remote_data` as of Microsoft Graph.
    Teams,
}

/// How often the odd things happen, each in 10,000 members (or in 10,000 values, where it says so).
///
/// [`Profile::default`] is what a real account might send; [`Profile::clean`] has no value that its declared column
/// could not hold exactly. Nulls, absent members, unicode and escapes are ordinary JSON and stay in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Values that are null, in 10,000 values.
    pub null: u16,
    /// Members that are left out, in 10,000 values.
    pub absent: u16,
    /// Members whose strings are written the way of a careful encoder: non-ASCII as `\uXXXX`, `/` as `\/`.
    pub escaped: u16,
    /// Members whose `id` is a JSON number.
    pub numeric_id: u16,
    /// Members with a member (or two) that no schema knows.
    pub unknown_member: u16,
    /// Members with a scalar where a list is declared.
    pub scalar_for_list: u16,
    /// Members with an empty string for a date.
    pub empty_date: u16,
    /// Members with a date of seven fractional digits, as .NET writes them: more than a microsecond column holds.
    pub fine_date: u16,
    /// Members whose status is the provider's own word.
    pub raw_status: u16,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            null: 600,
            absent: 300,
            escaped: 400,
            numeric_id: 50,
            unknown_member: 50,
            scalar_for_list: 20,
            empty_date: 100,
            fine_date: 20,
            raw_status: 100,
        }
    }
}

impl Profile {
    /// No oddity at all: every value fits its declared column exactly.
    #[must_use]
    pub fn clean() -> Self {
        Self {
            numeric_id: 0,
            unknown_member: 0,
            scalar_for_list: 0,
            empty_date: 0,
            fine_date: 0,
            raw_status: 0,
            ..Self::default()
        }
    }
}
