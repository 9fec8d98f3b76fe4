//! Unknown members of an object must differ in name, as declared ones must.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::{
    text,
    tokens::{Bad, Parse, Text},
};

/// The unknown names of the objects in progress, outermost first.
///
/// The hash has a random seed, so that names in the data cannot be chosen to collide.
#[derive(Debug, Default)]
pub(crate) struct UnknownNames {
    names: Vec<(u64, Text)>,
    slots: Vec<u32>,
    seed: RandomState,
}

/// A slot without a name.
const FREE: u32 = u32::MAX;

/// Where an object's names begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(usize);

impl UnknownNames {
    /// Where the names of an object that begins now will begin.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.names.len())
    }

    /// Names since `mark`.
    pub(crate) fn since(&self, mark: Mark) -> usize {
        self.names.len() - mark.0
    }

    /// Adds a name, whose escapes were checked.
    pub(crate) fn add(&mut self, bytes: &[u8], name: Text) {
        let hash = match name.escaped {
            false => self.seed.hash_one(name.of(bytes)),
            true => self.seed.hash_one(plain(bytes, name).as_slice()),
        };
        self.names.push((hash, name));
    }

    /// Ends the object that began at `mark`.
    ///
    /// # Errors
    /// When two of its names are the same.
    #[inline(always)]
    pub(crate) fn check_since(&mut self, mark: Mark, bytes: &[u8]) -> Parse<()> {
        match self.names.len() > mark.0 {
            true => self.check_some_since(mark, bytes),
            false => Ok(()),
        }
    }

    #[inline(never)]
    fn check_some_since(&mut self, mark: Mark, bytes: &[u8]) -> Parse<()> {
        let names = &self.names[mark.0..];
        let mut found = None;
        if names.len() > 1 {
            // Open addressing over a table at most half full, of positions in `names`.
            let mask = (names.len() * 2).next_power_of_two() - 1;
            self.slots.clear();
            self.slots.resize(mask + 1, FREE);
            'names: for (position, (hash, name)) in names.iter().enumerate() {
                let mut slot = *hash as usize & mask;
                while let Some((other_hash, other)) = names.get(self.slots[slot] as usize) {
                    if other_hash == hash && plain(bytes, *other) == plain(bytes, *name) {
                        found = Some(name.open);
                        break 'names;
                    }
                    slot = (slot + 1) & mask;
                }
                self.slots[slot] = position as u32;
            }
        }
        self.names.truncate(mark.0);
        match found {
            Some(at) => Err(Bad::new(at, "a name that was there before")),
            None => Ok(()),
        }
    }

    /// Forgets the objects in progress.
    pub(crate) fn clear(&mut self) {
        self.names.clear();
    }
}

fn plain(bytes: &[u8], name: Text) -> Vec<u8> {
    let mut out = Vec::new();
    match text::unescape(name.of(bytes), &mut out) {
        Ok(()) => out,
        Err(_) => name.of(bytes).to_vec(),
    }
}
