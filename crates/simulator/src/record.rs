//! A member written as the unified API writes it.

use std::io::Write as _;

use crate::ident::Id;
use crate::mark::Marks;
use crate::people::{DATES, FIELDS, LISTS, Member, Presence, REMOTE_DATA};
use crate::places::Places;
use crate::random::Random;
use crate::remote;
use crate::words;
use crate::write::{Json, Style};

/// How records look; none of it changes the members that are there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    pub(crate) style: Style,
    /// Leave out `remote_data`.
    pub(crate) without_remote_data: bool,
    /// Leave out these properties.
    pub(crate) excluded: Vec<String>,
    /// Properties in an order of their own in each record.
    pub(crate) shuffled: bool,
    /// So many members that no schema knows.
    pub(crate) extra_members: usize,
    /// The depth at which a record stands in its page, for line breaks.
    pub(crate) depth: usize,
    /// What is added to each record, or spoiled in it.
    pub(crate) marks: Marks,
}

impl Look {
    /// Whether a property is left out by wish.
    pub(crate) fn leaves_out(&self, name: &str) -> bool {
        self.without_remote_data && name == "remote_data" || self.excluded.iter().any(|excluded| excluded == name)
    }
}

const SHUFFLE: u64 = 300;

impl Member {
    /// Appends the record.
    pub(crate) fn write(&self, places: &Places, look: &Look, out: &mut Vec<u8>) {
        let style = Style {
            ascii: look.style.ascii || self.odd.escaped,
            solidus: look.style.solidus || self.odd.solidus,
            ..look.style
        };
        let mut json = Json::at_depth(out, style, look.depth);
        let last = FIELDS.len() + look.extra_members;
        json.object(|json| {
            if look.shuffled {
                let mut order: Vec<usize> = (0..last).collect();
                let random = &mut Random::of(0, self.index, SHUFFLE);
                for n in (1..order.len()).rev() {
                    order.swap(n, random.below(n as u64 + 1) as usize);
                }
                order.into_iter().for_each(|nth| self.write_nth(nth, places, look, json));
            } else {
                (0..last).for_each(|nth| self.write_nth(nth, places, look, json));
            }
            if let Some(which) = self.odd.unknown {
                write_unknown(which, json);
            }
            look.marks.write(json);
        });
    }

    fn write_nth(&self, nth: usize, places: &Places, look: &Look, json: &mut Json<'_>) {
        let Some(name) = FIELDS.get(nth) else { return write_extra(nth - FIELDS.len(), self.index, json) };
        if *name == "title" && look.marks.write_title(json) {
            return;
        }
        let presence = self.presence.get(nth).copied().unwrap_or(Presence::Absent);
        if presence == Presence::Absent || look.leaves_out(name) {
            return;
        }
        json.key(name);
        if presence == Presence::Null { json.null() } else { self.write_value(nth, places, json) }
    }

    fn write_value(&self, field: usize, places: &Places, json: &mut Json<'_>) {
        if self.odd.scalar == Some(field) {
            return json.string(if field == LISTS[0] { &self.username } else { "n/a" });
        }
        if self.odd.empty_date == Some(field) {
            return json.string("");
        }
        if let Some(moment) = DATES.iter().position(|&date| date == field).and_then(|nth| self.dates.get(nth)) {
            return json.quoted(|out| moment.write(out));
        }
        match field {
            0 => match &self.id {
                Id::Text(id) => json.string(id),
                Id::Number(id) => json.unsigned(*id),
            },
            2 => json.string(&self.avatar),
            3 => json.string(&self.bio),
            5 => self.write_emails(json),
            6 => json.string(self.first_name),
            7 => self.write_groups(places, json),
            8 => json.boolean(self.verified),
            9 => json.array(|json| {
                for language in &self.languages {
                    json.item();
                    json.string_or_null(*language);
                }
            }),
            12 => json.string(self.last_name),
            13 => json.string(&self.name),
            14 => write_places(&self.organizations, &places.organizations, json),
            15 => self.write_phones(json),
            REMOTE_DATA => remote::write(self, places, json),
            17 => json.string(self.status),
            19 => json.string(words::ZONES[self.timezone % words::ZONES.len()]),
            20 => json.string(self.title),
            21 => json.string(self.kind),
            23 => json.array(|json| {
                for (kind, url) in &self.urls {
                    json.item();
                    json.object(|json| {
                        json.text("type", kind);
                        json.text("url", url);
                    });
                }
            }),
            24 => json.string(&self.username),
            _ => write_places(&self.workspaces, &places.workspaces, json),
        }
    }

    fn write_emails(&self, json: &mut Json<'_>) {
        json.array(|json| {
            for email in &self.emails {
                json.item();
                json.object(|json| {
                    json.text("email", &email.address);
                    json.flag("is_primary", email.primary);
                    json.key("type");
                    json.string_or_null(email.kind);
                });
            }
        });
    }

    fn write_groups(&self, places: &Places, json: &mut Json<'_>) {
        json.array(|json| {
            for (nth, group) in self.groups.iter().enumerate().filter_map(|(n, &g)| Some((n, places.groups.get(g)?))) {
                json.item();
                json.object(|json| {
                    json.text("id", &group.id);
                    json.text("name", group.name);
                    json.key("organization");
                    match self.organizations.first().and_then(|&n| places.organizations.get(n)) {
                        Some(place) => json.id_and_name(&place.id, place.name),
                        None => json.null(),
                    }
                    json.text("type", if nth == 0 { "team" } else { "usergroup" });
                    if let Some(place) = self.workspaces.first().and_then(|&n| places.workspaces.get(n)) {
                        json.key("workspace");
                        json.id_and_name(&place.id, place.name);
                    }
                });
            }
        });
    }

    fn write_phones(&self, json: &mut Json<'_>) {
        json.array(|json| {
            for phone in &self.phones {
                json.item();
                json.object(|json| {
                    if let Some(extension) = phone.extension {
                        json.key("extension");
                        json.quoted(|out| {
                            let _ = write!(out, "{extension}");
                        });
                    }
                    json.text("number", &phone.number);
                    json.text("type", phone.kind);
                });
            }
        });
    }

    /// A scalar property as the key of a record; None where it has no value or is no scalar.
    pub(crate) fn key(&self, name: &str) -> Option<String> {
        let field = FIELDS.iter().position(|&field| field == name)?;
        if self.presence.get(field) != Some(&Presence::Value) {
            return None;
        }
        if self.odd.empty_date == Some(field) {
            return Some(String::new());
        }
        if let Some(moment) = DATES.iter().position(|&date| date == field).and_then(|nth| self.dates.get(nth)) {
            let mut text = Vec::new();
            moment.write(&mut text);
            return String::from_utf8(text).ok();
        }
        Some(match field {
            0 => self.id.text(),
            2 => self.avatar.clone(),
            3 => self.bio.clone(),
            6 => self.first_name.to_owned(),
            8 => self.verified.to_string(),
            12 => self.last_name.to_owned(),
            13 => self.name.clone(),
            17 => self.status.to_owned(),
            19 => words::ZONES[self.timezone % words::ZONES.len()].to_owned(),
            20 => self.title.to_owned(),
            21 => self.kind.to_owned(),
            24 => self.username.clone(),
            _ => return None,
        })
    }
}

fn write_places(which: &[usize], places: &[crate::places::Place], json: &mut Json<'_>) {
    json.array(|json| {
        for place in which.iter().filter_map(|&nth| places.get(nth)) {
            json.item();
            json.id_and_name(&place.id, place.name);
        }
    });
}

/// Members that a mapping of the user's own might add.
fn write_unknown(which: u64, json: &mut Json<'_>) {
    match which {
        0 => json.flag("is_guest", true),
        1 => {
            json.key("custom");
            json.verbatim(
                r#"{"cost_center":"4711","tags":["a",null,1.50],"limits":{"max":1e3,"id":9007199254740993}}"#,
            );
        }
        2 => json.text("_note", "über\u{2028}maps"),
        _ => {
            json.key("score");
            json.verbatim("-0.0");
            json.number("external_ref", 12_345_678_901_234_567_890);
        }
    }
}

fn write_extra(nth: usize, index: u64, json: &mut Json<'_>) {
    json.key(&format!("x_custom_{nth}"));
    match nth % 4 {
        0 => json.string("a value that no schema knows"),
        1 => json.unsigned(index),
        2 => json.object(|json| json.flag("nested", index.is_multiple_of(2))),
        _ => json.array(|json| {
            json.item();
            json.null();
        }),
    }
}
