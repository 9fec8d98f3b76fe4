//! Where members are: organizations, workspaces, groups, channels, and who is in which.

use crate::ident;
use crate::profile::Provider;
use crate::random::Random;
use crate::words;

/// Something with an identifier and a name.
pub(crate) struct Place {
    pub(crate) id: String,
    pub(crate) name: &'static str,
    /// How many of 10,000 members are in it, where that is decided place by place.
    rate: u16,
}

/// The few places of an account, all of them held.
pub(crate) struct Places {
    seed: u64,
    pub(crate) organizations: Vec<Place>,
    pub(crate) workspaces: Vec<Place>,
    pub(crate) groups: Vec<Place>,
    pub(crate) channels: Vec<Place>,
}

mod purpose {
    pub(super) const PLACES: u64 = 100;
    pub(super) const WORKSPACES: u64 = 101;
    pub(super) const CHANNELS: u64 = 200;
}

impl Places {
    pub(crate) fn new(seed: u64, provider: Option<Provider>) -> Self {
        let make = |letter: char, name, rate, nth: usize| {
            let random = &mut Random::of(seed, nth as u64, purpose::PLACES + u64::from(u32::from(letter)));
            let id = match provider {
                Some(Provider::Teams) => ident::uuid(random.next(), nth as u64),
                Some(Provider::Slack) | None => ident::token(random, letter),
            };
            Place { id, name, rate }
        };
        let named = |letter, names: &'static [&'static str]| {
            names.iter().enumerate().map(|(nth, &name)| make(letter, name, 0, nth)).collect()
        };
        Self {
            seed,
            organizations: named('E', words::ORGANIZATIONS),
            workspaces: named('T', words::WORKSPACES),
            groups: named('S', words::GROUPS),
            channels: words::CHANNELS
                .iter()
                .enumerate()
                .map(|(nth, &(name, rate))| make('C', name, rate, nth))
                .collect(),
        }
    }

    /// The workspaces of a member: one, or two.
    pub(crate) fn workspaces_of(&self, index: u64) -> Vec<usize> {
        let random = &mut Random::of(self.seed, index, purpose::WORKSPACES);
        let count = self.workspaces.len() as u64;
        let home = random.below(count);
        let second = random.chance(1_500).then(|| (home + 1 + random.below(count - 1)) % count);
        [Some(home), second].into_iter().flatten().map(|nth| nth as usize).collect()
    }

    /// Whether a member is in a channel.
    pub(crate) fn in_channel(&self, index: u64, channel: usize) -> bool {
        let rate = self.channels.get(channel).map_or(0, |place| place.rate);
        Random::of(self.seed, index, purpose::CHANNELS + channel as u64).chance(rate)
    }

    /// Whether anybody can be in a channel at all.
    pub(crate) fn inhabited(&self, channel: usize) -> bool {
        self.channels.get(channel).is_some_and(|place| place.rate > 0)
    }
}

/// The position of the place with this identifier.
pub(crate) fn position(places: &[Place], id: &str) -> Option<usize> {
    places.iter().position(|place| place.id == id)
}
