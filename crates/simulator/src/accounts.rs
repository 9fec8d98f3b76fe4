//! The accounts that can be asked, and what each of them lists.

use std::sync::Arc;

use crate::ident::MAX_MEMBERS;
use crate::listing::Records;
use crate::people::{FIELDS, People};
use crate::places::{Place, position};
use crate::profile::Provider;
use crate::record::Look;
use crate::remote;
use crate::words;
use crate::write::Json;

/// An integrated account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Account {
    /// All members, full records, no filter needed.
    Everything,
    /// Lists partial records, of one channel.
    Slack,
    /// Lists full records, of one workspace.
    Teams,
    /// As Teams.
    Microsoft365,
}

/// The account that has all members and needs no filter: the published documents' own example.
pub const ACCOUNT: &str = "62f44730-dd91-461e-bd6a-aedd9e0ad79d";
/// The account that behaves as Slack does.
pub const SLACK_ACCOUNT: &str = "slack";
/// The account that behaves as Microsoft Teams does.
pub const TEAMS_ACCOUNT: &str = "msteams";
/// The account that behaves as Microsoft 365 does.
pub const MICROSOFT_ACCOUNT: &str = "microsoft";

impl Account {
    pub(crate) fn named(id: &str) -> Option<Self> {
        match id {
            ACCOUNT => Some(Self::Everything),
            SLACK_ACCOUNT => Some(Self::Slack),
            TEAMS_ACCOUNT => Some(Self::Teams),
            MICROSOFT_ACCOUNT => Some(Self::Microsoft365),
            _ => None,
        }
    }

    /// Whose records it has; None is a mix.
    pub(crate) fn provider(self) -> Option<Provider> {
        match self {
            Self::Everything => None,
            Self::Slack => Some(Provider::Slack),
            Self::Teams | Self::Microsoft365 => Some(Provider::Teams),
        }
    }
}

/// Which members a listing is about; the number is a position in the account's places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Everybody,
    Channel(usize),
    Workspace(usize),
}

/// The members of an account, a channel or a workspace.
pub(crate) struct Members {
    people: Arc<People>,
    count: u64,
    whose: Whose,
    /// Only `id` is known, and everything else is null.
    partial: bool,
}

impl Members {
    pub(crate) fn new(people: Arc<People>, count: u64, whose: Whose) -> Self {
        Self { people, count: count.min(MAX_MEMBERS), whose, partial: false }
    }

    pub(crate) fn partial(self, partial: bool) -> Self {
        Self { partial, ..self }
    }
}

impl Records for Members {
    fn count(&self) -> u64 {
        match self.whose {
            Whose::Channel(channel) if !self.people.places.inhabited(channel) => 0,
            _ => self.count,
        }
    }

    fn selects(&self, index: u64) -> bool {
        match self.whose {
            Whose::Everybody => true,
            Whose::Channel(channel) => self.people.places.in_channel(index, channel),
            Whose::Workspace(workspace) => self.people.places.workspaces_of(index).contains(&workspace),
        }
    }

    fn write(&self, index: u64, look: &Look, out: &mut Vec<u8>) {
        if !self.partial {
            return self.people.member(index).write(&self.people.places, look, out);
        }
        let id = self.people.id_of(index).text();
        Json::at_depth(out, look.style, look.depth).object(|json| {
            for name in FIELDS.iter().filter(|&&name| name != "remote_data" && !look.leaves_out(name)) {
                json.key(name);
                if *name == "id" { json.string(&id) } else { json.null() }
            }
            look.marks.write(json);
        });
    }

    fn write_raw(&self, index: u64, look: &Look, out: &mut Vec<u8>) {
        let mut json = Json::at_depth(out, look.style, look.depth);
        if self.partial {
            json.string(&self.people.id_of(index).text());
        } else {
            remote::write(&self.people.member(index), &self.people.places, &mut json);
        }
    }

    fn key(&self, index: u64, property: &str) -> Option<String> {
        if self.partial {
            return (property == "id").then(|| self.people.id_of(index).text());
        }
        self.people.member(index).key(property)
    }
}

/// The channels of an account, or of one of its workspaces.
pub(crate) struct Channels {
    pub(crate) people: Arc<People>,
    pub(crate) workspace: Option<usize>,
    /// None: of any kind.
    pub(crate) kinds: Option<Vec<String>>,
}

impl Channels {
    fn home(&self, index: u64) -> usize {
        index as usize % self.people.places.workspaces.len().max(1)
    }

    fn kind(index: u64) -> &'static str {
        words::CHANNEL_KINDS.get(index as usize).copied().unwrap_or("channel")
    }

    /// The position of a channel by its identifier, if the listing has it.
    pub(crate) fn find(&self, id: &str) -> Option<u64> {
        position(&self.people.places.channels, id).map(|nth| nth as u64).filter(|&nth| self.selects(nth))
    }
}

impl Records for Channels {
    fn count(&self) -> u64 {
        self.people.places.channels.len() as u64
    }

    fn selects(&self, index: u64) -> bool {
        self.workspace.is_none_or(|workspace| workspace == self.home(index))
            && self.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|k| k == "all" || k == Self::kind(index)))
    }

    fn write(&self, index: u64, look: &Look, out: &mut Vec<u8>) {
        let places = &self.people.places;
        let Some(channel) = places.channels.get(index as usize) else { return };
        let archived = !places.inhabited(index as usize);
        write_object(
            look,
            out,
            |name, json| match name {
                "id" => json.string(&channel.id),
                "name" => json.string(channel.name),
                "description" if archived => json.null(),
                "description" => json.string(&format!("Everything about {}.", channel.name)),
                "organization" => write_place(places.organizations.first(), json),
                "workspace" => write_place(places.workspaces.get(self.home(index)), json),
                "type" => json.string(Self::kind(index)),
                "status" => json.string(if archived { "archived" } else { "active" }),
                "is_member" => json.boolean(index < 4),
                "created_by" => json.object(|json| json.text("id", &self.people.id_of(index).text())),
                "created_at" => json.string("2019-03-04T08:15:00.000Z"),
                "updated_at" => json.string("2026-05-06T07:08:09+02:00"),
                "remote_data" => write_channel(channel, archived, json),
                _ => json.null(),
            },
            &[
                "id",
                "name",
                "description",
                "organization",
                "workspace",
                "group",
                "type",
                "status",
                "is_member",
                "created_by",
                "created_at",
                "updated_at",
                "remote_data",
            ],
        );
    }

    fn write_raw(&self, index: u64, look: &Look, out: &mut Vec<u8>) {
        let places = &self.people.places;
        let Some(channel) = places.channels.get(index as usize) else { return };
        write_channel(channel, !places.inhabited(index as usize), &mut Json::at_depth(out, look.style, look.depth));
    }

    fn key(&self, index: u64, property: &str) -> Option<String> {
        let channel = self.people.places.channels.get(index as usize)?;
        match property {
            "id" => Some(channel.id.clone()),
            "name" => Some(channel.name.to_owned()),
            "type" => Some(Self::kind(index).to_owned()),
            _ => None,
        }
    }
}

/// The workspaces of an account.
pub(crate) struct Workspaces {
    pub(crate) people: Arc<People>,
}

impl Records for Workspaces {
    fn count(&self) -> u64 {
        self.people.places.workspaces.len() as u64
    }

    fn selects(&self, _: u64) -> bool {
        true
    }

    fn write(&self, index: u64, look: &Look, out: &mut Vec<u8>) {
        let places = &self.people.places;
        let Some(workspace) = places.workspaces.get(index as usize) else { return };
        write_object(
            look,
            out,
            |name, json| match name {
                "id" => json.string(&workspace.id),
                "name" => json.string(workspace.name),
                "description" => json.string("Where it happens."),
                "status" => json.string("active"),
                "organization" => {
                    write_place(places.organizations.get(index as usize % places.organizations.len().max(1)), json)
                }
                "created_at" => json.string("2018-01-02T03:04:05Z"),
                "remote_data" => write_team(workspace, json),
                _ => json.null(),
            },
            &["id", "name", "description", "status", "organization", "created_at", "updated_at", "remote_data"],
        );
    }

    fn write_raw(&self, index: u64, look: &Look, out: &mut Vec<u8>) {
        let Some(workspace) = self.people.places.workspaces.get(index as usize) else { return };
        write_team(workspace, &mut Json::at_depth(out, look.style, look.depth));
    }

    fn key(&self, index: u64, property: &str) -> Option<String> {
        let workspace = self.people.places.workspaces.get(index as usize)?;
        match property {
            "id" => Some(workspace.id.clone()),
            "name" => Some(workspace.name.to_owned()),
            _ => None,
        }
    }
}

fn write_object(look: &Look, out: &mut Vec<u8>, value: impl Fn(&str, &mut Json<'_>), names: &[&str]) {
    Json::at_depth(out, look.style, look.depth).object(|json| {
        for name in names.iter().filter(|name| !look.leaves_out(name)) {
            json.key(name);
            value(name, json);
        }
        look.marks.write(json);
    });
}

fn write_place(place: Option<&Place>, json: &mut Json<'_>) {
    match place {
        Some(place) => json.id_and_name(&place.id, place.name),
        None => json.null(),
    }
}

fn write_channel(channel: &Place, archived: bool, json: &mut Json<'_>) {
    json.object(|json| {
        json.text("id", &channel.id);
        json.text("name", channel.name);
        json.flag("is_archived", archived);
        json.number("created", 1_551_687_300);
    });
}

fn write_team(workspace: &Place, json: &mut Json<'_>) {
    json.object(|json| {
        json.text("id", &workspace.id);
        json.text("displayName", workspace.name);
        json.text("visibility", "private");
    });
}
