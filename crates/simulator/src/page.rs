//! One page: records in their frame.

use std::collections::HashMap;
use std::ops::Range;

use crate::accounts::{Members, Whose};
use crate::listing::Records;
use crate::people::People;
use crate::profile::{Profile, Provider};
use crate::record::Look;
use crate::write::{Json, Style};

/// How the records of a page are laid out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// `{"result": [record, …], "next_cursor": …}`.
    #[default]
    Envelope,
    /// `{"result": {"key": record, …}, "next_cursor": …}`, by the property that is named. Of two records with the same
    /// key the later one stays, in the place of the earlier; a record without the property is left out.
    Keyed(String),
    /// `[record, …]`.
    Array,
    /// One record a line, each ended by `\n`; never pretty.
    Lines,
}

/// What [`members_page`] writes.
#[derive(Clone, Debug)]
pub struct PageOptions {
    /// How often odd things happen.
    pub profile: Profile,
    /// Whose members: a mix of all where it is None.
    pub provider: Option<Provider>,
    /// With `remote_data` a member takes about 2,570 bytes, without about 1,130.
    pub remote_data: bool,
    /// The frame.
    pub framing: Framing,
    /// `next_cursor` of the envelope.
    pub next_cursor: Option<String>,
    /// `prev_cursor` of the envelope.
    pub prev_cursor: Option<String>,
    /// The cursors and counts stand before `result`.
    pub cursor_first: bool,
    /// Line breaks and two spaces a level.
    pub pretty: bool,
    /// Every character outside ASCII as `\uXXXX`.
    pub ascii: bool,
    /// The properties of each record in an order of their own.
    pub shuffled: bool,
    /// So many members in each record that no schema knows.
    pub extra_members: usize,
    /// Properties left out.
    pub exclude: Vec<String>,
}

impl Default for PageOptions {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            provider: None,
            remote_data: true,
            framing: Framing::Envelope,
            next_cursor: None,
            prev_cursor: None,
            cursor_first: false,
            pretty: false,
            ascii: false,
            shuffled: false,
            extra_members: 0,
            exclude: Vec::new(),
        }
    }
}

/// Members `indexes.start` up to `indexes.end` (not included) of a seed, as one page: the bytes that the simulator
/// would serve, without the server. The same arguments give the same bytes.
#[must_use]
pub fn members_page(seed: u64, indexes: Range<u64>, options: &PageOptions) -> Vec<u8> {
    let people = People::new(seed, options.profile.clone(), options.provider);
    let members = Members::new(people.into(), indexes.end, Whose::Everybody);
    let indexes: Vec<u64> = indexes.collect();
    let look = Look {
        style: Style { pretty: options.pretty, ascii: options.ascii, solidus: false },
        without_remote_data: !options.remote_data,
        excluded: options.exclude.clone(),
        shuffled: options.shuffled,
        extra_members: options.extra_members,
        ..Look::default()
    };
    let envelope = Envelope {
        next_cursor: options.next_cursor.as_deref(),
        prev_cursor: options.prev_cursor.as_deref(),
        cursor_first: options.cursor_first,
        ..Envelope::default()
    };
    let mut out = Vec::new();
    write(&members, &indexes, &options.framing, &envelope, &look, &mut out);
    out
}

/// What stands beside the records.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Envelope<'a> {
    pub(crate) next_cursor: Option<&'a str>,
    pub(crate) prev_cursor: Option<&'a str>,
    /// Before `result` rather than after it.
    pub(crate) cursor_first: bool,
    pub(crate) partial: Option<bool>,
    /// The URL asked for, in an answer that explains itself.
    pub(crate) debug: Option<&'a str>,
}

/// Appends a page and says how many records are in it.
pub(crate) fn write(
    records: &dyn Records,
    indexes: &[u64],
    framing: &Framing,
    envelope: &Envelope<'_>,
    look: &Look,
    out: &mut Vec<u8>,
) -> u64 {
    match framing {
        Framing::Lines => {
            let look = Look { style: Style { pretty: false, ..look.style }, ..look.clone() };
            for (position, &index) in (0..).zip(indexes) {
                records.write(index, &look.at(position), out);
                out.push(b'\n');
            }
            indexes.len() as u64
        }
        Framing::Array => {
            write_array(records, indexes, look, 1, &mut Json::new(out, look.style));
            indexes.len() as u64
        }
        Framing::Envelope => {
            let mut json = Json::new(out, look.style);
            write_envelope(envelope, indexes.len(), &mut json, |json| write_array(records, indexes, look, 2, json));
            indexes.len() as u64
        }
        Framing::Keyed(property) => {
            let keyed = by_key(records, indexes, property);
            let look = Look { depth: 2, ..look.clone() };
            write_envelope(envelope, keyed.len(), &mut Json::new(out, look.style), |json| {
                json.object(|json| {
                    for (position, (key, index)) in (0..).zip(&keyed) {
                        json.key(key);
                        json.value(|out| records.write(*index, &look.at(position), out));
                    }
                });
            });
            keyed.len() as u64
        }
    }
}

fn write_array(records: &dyn Records, indexes: &[u64], look: &Look, depth: usize, json: &mut Json<'_>) {
    let look = Look { depth, ..look.clone() };
    json.array(|json| {
        for (position, &index) in (0..).zip(indexes) {
            json.item();
            json.value(|out| records.write(index, &look.at(position), out));
        }
    });
}

fn write_envelope(envelope: &Envelope<'_>, count: usize, json: &mut Json<'_>, result: impl FnOnce(&mut Json<'_>)) {
    let around = |json: &mut Json<'_>| {
        for (name, cursor) in [("next_cursor", envelope.next_cursor), ("prev_cursor", envelope.prev_cursor)] {
            json.key(name);
            json.string_or_null(cursor);
        }
        json.number("result_count", count as u64);
        if let Some(partial) = envelope.partial {
            json.flag("is_partial_response", partial);
        }
    };
    json.object(|json| {
        if envelope.cursor_first {
            around(json);
        }
        json.key("result");
        result(json);
        if !envelope.cursor_first {
            around(json);
        }
        if let Some(url) = envelope.debug {
            json.key("debug");
            json.object(|json| {
                json.text("requestUrl", url);
                json.key("list");
                json.object(|json| {
                    json.key("nextCursor");
                    json.string_or_null(envelope.next_cursor);
                    json.flag("isLooping", false);
                    json.flag("isEmptyResult", count == 0);
                    json.number("resultCount", count as u64);
                });
            });
        }
    });
}

/// The records by key, in the order in which the keys first appear; the last record of a key is the one that stays,
/// as in an assignment to an object's member.
fn by_key(records: &dyn Records, indexes: &[u64], property: &str) -> Vec<(String, u64)> {
    let mut places = HashMap::new();
    let mut keyed: Vec<(String, u64)> = Vec::new();
    for &index in indexes {
        let Some(key) = records.key(index, property) else { continue };
        let place = *places.entry(key.clone()).or_insert(keyed.len());
        match keyed.get_mut(place) {
            Some(slot) => slot.1 = index,
            None => keyed.push((key, index)),
        }
    }
    keyed
}

/// Appends the provider's own page: its records under its own envelope.
pub(crate) fn write_raw(
    records: &dyn Records,
    indexes: &[u64],
    provider: Provider,
    plural: &str,
    next_cursor: Option<&str>,
    look: &Look,
    out: &mut Vec<u8>,
) -> u64 {
    let mut json = Json::new(out, look.style);
    let look = Look { depth: 2, ..look.clone() };
    let list = |json: &mut Json<'_>| {
        json.array(|json| {
            for &index in indexes {
                json.item();
                json.value(|out| records.write_raw(index, &look, out));
            }
        });
    };
    json.object(|json| match provider {
        Provider::Slack => {
            json.flag("ok", true);
            json.key(plural);
            list(json);
            json.key("response_metadata");
            json.object(|json| json.text("next_cursor", next_cursor.unwrap_or_default()));
        }
        Provider::Teams => {
            json.text("@odata.context", &format!("https://graph.example.com/v1.0/$metadata#{plural}"));
            json.number("@odata.count", indexes.len() as u64);
            if let Some(cursor) = next_cursor {
                json.text("@odata.nextLink", &format!("https://graph.example.com/v1.0/{plural}?$skiptoken={cursor}"));
            }
            json.key("value");
            list(json);
        }
    });
    indexes.len() as u64
}
