//! The members: each computed from (seed, index) alone, so that any number of them exists without being held.

use crate::ident::{self, Id, MAX_MEMBERS};
use crate::moment::{Form, Moment};
use crate::places::Places;
use crate::profile::{Profile, Provider};
use crate::random::Random;
use crate::words;

/// The 26 properties of a member, in the order of the published resource.
pub const FIELDS: [&str; 26] = [
    "id",
    "activated_at",
    "avatar",
    "bio",
    "created_at",
    "emails",
    "first_name",
    "groups",
    "is_email_verified",
    "languages",
    "last_active_at",
    "last_login_at",
    "last_name",
    "name",
    "organizations",
    "phones",
    "remote_data",
    "status",
    "status_changed_at",
    "timezone",
    "title",
    "type",
    "updated_at",
    "urls",
    "username",
    "workspaces",
];

/// The properties that are dates, as positions in [`FIELDS`].
pub(crate) const DATES: [usize; 6] = [1, 4, 10, 11, 18, 22];

/// The properties that are lists, as positions in [`FIELDS`].
pub(crate) const LISTS: [usize; 7] = [5, 7, 9, 14, 15, 23, 25];

/// The position of `id` and `remote_data`, which are there whenever they are asked for.
pub(crate) const ID: usize = 0;
pub(crate) const REMOTE_DATA: usize = 16;

/// Whether a property has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Value,
    Null,
    Absent,
}

/// What is unusual about a member.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Oddities {
    /// Strings are written with every escape that JSON knows.
    pub(crate) escaped: bool,
    /// `/` is escaped too.
    pub(crate) solidus: bool,
    /// The property that is a scalar where a list is declared.
    pub(crate) scalar: Option<usize>,
    /// The date that is an empty string.
    pub(crate) empty_date: Option<usize>,
    /// Which of the unknown members it has.
    pub(crate) unknown: Option<u64>,
}

pub(crate) struct Email {
    pub(crate) address: String,
    pub(crate) primary: bool,
    pub(crate) kind: Option<&'static str>,
}

pub(crate) struct Phone {
    pub(crate) number: String,
    pub(crate) extension: Option<u64>,
    pub(crate) kind: &'static str,
}

/// One member, as the unified API knows it.
pub(crate) struct Member {
    pub(crate) index: u64,
    pub(crate) provider: Provider,
    pub(crate) id: Id,
    pub(crate) presence: [Presence; 26],
    pub(crate) odd: Oddities,
    /// In the order of [`DATES`].
    pub(crate) dates: [Moment; 6],
    pub(crate) avatar: String,
    pub(crate) bio: String,
    pub(crate) emails: Vec<Email>,
    pub(crate) first_name: &'static str,
    pub(crate) last_name: &'static str,
    pub(crate) name: String,
    pub(crate) username: String,
    /// Positions in [`Places::groups`], organizations and workspaces.
    pub(crate) groups: Vec<usize>,
    pub(crate) organizations: Vec<usize>,
    pub(crate) workspaces: Vec<usize>,
    pub(crate) verified: bool,
    /// None is a null among the languages.
    pub(crate) languages: Vec<Option<&'static str>>,
    pub(crate) phones: Vec<Phone>,
    pub(crate) urls: Vec<(&'static str, String)>,
    pub(crate) status: &'static str,
    pub(crate) timezone: usize,
    pub(crate) title: &'static str,
    pub(crate) kind: &'static str,
}

/// The purposes that numbers are drawn for; each is a sequence of its own.
mod purpose {
    pub(super) const PROVIDER: u64 = 1;
    pub(super) const PRESENCE: u64 = 2;
    pub(super) const LIFE: u64 = 3;
    pub(super) const DATES: u64 = 4;
    pub(super) const NUMERIC_ID: u64 = 5;
    pub(super) const ODDITIES: u64 = 6;
    pub(super) const LANGUAGES: u64 = 7;
    pub(super) const RAW_STATUS: u64 = 8;
}

/// Everybody: the generator of members.
pub(crate) struct People {
    pub(crate) seed: u64,
    pub(crate) profile: Profile,
    /// None: some members look like Slack's, some like those of Teams.
    pub(crate) provider: Option<Provider>,
    pub(crate) places: Places,
}

impl People {
    pub(crate) fn new(seed: u64, profile: Profile, provider: Option<Provider>) -> Self {
        Self { seed, profile, provider, places: Places::new(seed, provider) }
    }

    fn random(&self, index: u64, purpose: u64) -> Random {
        Random::of(self.seed, index, purpose)
    }

    pub(crate) fn provider_of(&self, index: u64) -> Provider {
        self.provider.unwrap_or_else(|| match self.random(index, purpose::PROVIDER).below(100) {
            0..60 => Provider::Slack,
            _ => Provider::Teams,
        })
    }

    pub(crate) fn id_of(&self, index: u64) -> Id {
        let numeric = self.random(index, purpose::NUMERIC_ID).chance(self.profile.numeric_id);
        ident::member(self.seed, index, self.provider_of(index), numeric)
    }

    /// The index of the member with this identifier, among the first `count`.
    pub(crate) fn find(&self, id: &str, count: u64) -> Option<u64> {
        let index = ident::index_of(self.seed, id)?;
        (index < count.min(MAX_MEMBERS) && self.id_of(index).text() == id).then_some(index)
    }

    pub(crate) fn member(&self, index: u64) -> Member {
        let provider = self.provider_of(index);
        let odd = self.oddities(index);
        let life = &mut self.random(index, purpose::LIFE);
        let first_name = life.pick(words::FIRST);
        let last_name = life.pick(words::LAST);
        let name = match life.below(20) {
            0 => format!("{last_name}, {first_name}"),
            1 => format!("{first_name} \u{201c}{}\u{201d} {last_name}", life.pick(words::FIRST)),
            2 => format!("{first_name} {last_name} \u{1f680}"),
            _ => format!("{first_name} {last_name}"),
        };
        let username = format!("{}.{}{}", ascii(first_name, 'x'), ascii(last_name, 'y'), index % 1000);
        let zone = life.below(words::ZONES.len() as u64) as usize;
        Member {
            index,
            provider,
            id: self.id_of(index),
            presence: self.presence(index),
            odd,
            dates: self.dates(index, zone),
            avatar: avatar(provider, life.next()),
            bio: bio(life),
            emails: emails(life, &username),
            first_name,
            last_name,
            name,
            groups: several(life, self.places.groups.len(), [38, 32, 20, 10]),
            organizations: several(life, self.places.organizations.len(), [20, 72, 8, 0]),
            workspaces: self.places.workspaces_of(index),
            verified: life.below(10) > 1,
            languages: self.languages(index),
            phones: phones(life),
            urls: urls(life, &username),
            status: self.status(index, life),
            timezone: zone,
            title: life.pick(words::TITLES),
            kind: life.pick(words::KINDS),
            username,
        }
    }

    fn oddities(&self, index: u64) -> Oddities {
        let random = &mut self.random(index, purpose::ODDITIES);
        let mut one_of = |per_10_000: u16, of: &[usize]| {
            let (hit, which) = (random.chance(per_10_000), random.below(of.len() as u64) as usize);
            of.get(which).copied().filter(|_| hit)
        };
        let escaped = one_of(self.profile.escaped, &[0, 1, 2]);
        Oddities {
            escaped: escaped.is_some(),
            solidus: escaped == Some(1),
            scalar: one_of(self.profile.scalar_for_list, &LISTS),
            empty_date: one_of(self.profile.empty_date, &DATES),
            unknown: one_of(self.profile.unknown_member, &[0, 1, 2, 3]).map(|which| which as u64),
        }
    }

    fn presence(&self, index: u64) -> [Presence; 26] {
        let random = &mut self.random(index, purpose::PRESENCE);
        let (null, absent) = (u64::from(self.profile.null), u64::from(self.profile.absent));
        std::array::from_fn(|field| match random.below(10_000) {
            _ if field == ID || field == REMOTE_DATA => Presence::Value,
            n if n < null => Presence::Null,
            n if n < null + absent => Presence::Absent,
            _ => Presence::Value,
        })
    }

    /// The six dates, in a believable order of time.
    fn dates(&self, index: u64, zone: usize) -> [Moment; 6] {
        const DAY: u64 = 86_400;
        let random = &mut self.random(index, purpose::DATES);
        let east = words::EAST.get(zone).copied().unwrap_or(0);
        // From 2015 on; nothing happens after 2026.
        let created = 1_420_070_400 + random.below(3_600 * DAY);
        let activated = created + random.below(9 * DAY);
        let active = activated + random.below(700 * DAY);
        let login = active - random.below(active - activated + 1);
        let changed = activated + random.below(active - activated + 1);
        let updated = active - random.below(DAY).min(active - activated);
        let fine = random.chance(self.profile.fine_date).then(|| random.below(6) as usize);
        let house = random.below(10);
        let mut seconds = [activated, created, active, login, changed, updated].into_iter().enumerate();
        std::array::from_fn(|_| {
            let (nth, seconds) = seconds.next().unwrap_or_default();
            // A provider mostly keeps to one form; the last activity is often known more exactly.
            let form = match (house, nth) {
                _ if fine == Some(nth) => Form::TenthMicros,
                (0..4, _) => Form::Millis,
                (4..6, 2) => Form::Micros,
                (4..7, _) => Form::Seconds,
                (7, _) => Form::Micros,
                (8, _) => Form::Offset(east),
                _ => Form::MillisOffset(east),
            };
            Moment { seconds: seconds as i64, tenths: random.below(10_000_000) as u32, form }
        })
    }

    fn languages(&self, index: u64) -> Vec<Option<&'static str>> {
        let random = &mut self.random(index, purpose::LANGUAGES);
        let mut languages: Vec<_> = several(random, words::LANGUAGES.len(), [30, 40, 20, 10])
            .into_iter()
            .map(|n| words::LANGUAGES.get(n).copied())
            .collect();
        if random.chance(self.profile.null / 10) {
            languages.push(None);
        }
        languages
    }

    fn status(&self, index: u64, life: &mut Random) -> &'static str {
        let mapped = life.pick(words::STATUSES);
        let random = &mut self.random(index, purpose::RAW_STATUS);
        if random.chance(self.profile.raw_status) { random.pick(words::RAW_STATUSES) } else { mapped }
    }
}

/// Some of `of` things, none twice; `weights` says how often there are 0, 1, 2 or 3 of them, of 100.
fn several(random: &mut Random, of: usize, weights: [u64; 4]) -> Vec<usize> {
    let mut draw = random.below(100);
    let count = weights.iter().position(|&weight| {
        let hit = draw < weight;
        draw = draw.saturating_sub(weight);
        hit
    });
    let start = random.below(of as u64) as usize;
    (0..count.unwrap_or(0).min(of)).map(|n| (start + n * 5) % of).collect()
}

/// The ASCII letters of a name in lower case; the stand-in where it has none.
fn ascii(name: &str, stand_in: char) -> String {
    let letters: String = name.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_lowercase()).collect();
    if letters.is_empty() { stand_in.into() } else { letters }
}

fn avatar(provider: Provider, hash: u64) -> String {
    match provider {
        Provider::Slack => format!("https://avatars.example.com/2026-03-{:02}/{hash:020x}_512.png", hash % 28 + 1),
        Provider::Teams => format!("https://graph.example.com/v1.0/users/{hash:016x}/photo/$value"),
    }
}

fn bio(random: &mut Random) -> String {
    let count = [0, 1, 1, 1, 1, 2, 2, 2, 3, 3][random.below(10) as usize];
    let sentences: Vec<_> = (0..count).map(|_| random.pick(words::SENTENCES)).collect();
    sentences.join(" ")
}

fn emails(random: &mut Random, username: &str) -> Vec<Email> {
    const KINDS: [Option<&str>; 4] = [Some("work"), Some("work"), Some("personal"), None];
    let domain = random.below(words::DOMAINS.len() as u64) as usize;
    (0..[1, 1, 1, 1, 1, 2, 2, 3, 0, 1][random.below(10) as usize])
        .map(|n| Email {
            address: format!("{username}@{}", words::DOMAINS[(domain + n) % words::DOMAINS.len()]),
            primary: n == 0,
            kind: KINDS[random.below(4) as usize],
        })
        .collect()
}

fn phones(random: &mut Random) -> Vec<Phone> {
    (0..[0, 0, 0, 0, 1, 1, 1, 1, 2, 3][random.below(10) as usize])
        .map(|_| Phone {
            number: format!("+{} {:03} {:07}", 1 + random.below(98), random.below(1000), random.below(10_000_000)),
            extension: (random.below(3) == 0).then(|| random.below(10_000)),
            kind: random.pick(&["mobile", "work", "home"]),
        })
        .collect()
}

fn urls(random: &mut Random, username: &str) -> Vec<(&'static str, String)> {
    (0..[0, 0, 0, 1, 1, 1, 1, 2, 2, 3][random.below(10) as usize])
        .map(|n| match n {
            0 => ("profile", format!("https://people.example.com/@{username}?ref=chat&v={}", random.below(9))),
            1 => ("website", format!("https://{username}.example.dev/")),
            _ => ("linkedin", format!("https://linkedin.example/in/{username}-{:x}", random.below(1 << 24))),
        })
        .collect()
}
