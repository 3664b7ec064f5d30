//! Names as small numbers: types, services and pairs of services come up a million times and are few.

use std::collections::HashMap;
use std::sync::Arc;

/// A name that stands for none.
pub const NONE: u32 = u32::MAX;

/// What stands for a name that is too long to keep.
pub const TOO_LONG: &str = "…";

/// Longest name that is kept, in bytes.
const MOST: usize = crate::apply::MAX_EDGE_NAME;

/// Where a name was found last, so that it is found again without hashing it well.
const SLOTS: usize = 256;

/// Names in the order in which they came up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    ids: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
    recent: Vec<u32>,
}

impl Names {
    /// The number of a name, which must be UTF-8; longer ones than [`MOST`] are all the same.
    #[inline]
    pub fn intern(&mut self, name: &[u8]) -> u32 {
        if self.recent.is_empty() {
            self.recent.resize(SLOTS, NONE);
        }
        let slot = slot(name);
        if let Some(&id) = self.recent.get(slot)
            && self.names.get(id as usize).is_some_and(|known| known.as_bytes() == name)
        {
            return id;
        }
        let id = self.intern_slowly(name);
        self.recent[slot] = id;
        id
    }

    fn intern_slowly(&mut self, name: &[u8]) -> u32 {
        let text = match std::str::from_utf8(name) {
            Ok(text) if text.len() <= MOST => text,
            _ => TOO_LONG,
        };
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = self.names.len() as u32;
        let name: Arc<str> = text.into();
        self.names.push(name.clone());
        self.ids.insert(name, id);
        id
    }

    /// The number of a name that came up.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    /// The name of a number; empty for [`NONE`].
    pub fn get(&self, id: u32) -> &str {
        self.names.get(id as usize).map_or("", AsRef::as_ref)
    }

    /// All of them.
    pub fn all(&self) -> &[Arc<str>] {
        &self.names
    }
}

#[inline]
fn slot(name: &[u8]) -> usize {
    let edge = |bytes: Option<&[u8]>| {
        bytes
            .and_then(|eight| eight.try_into().ok())
            .map_or_else(|| name.iter().fold(0, |n: u64, b| n << 7 ^ u64::from(*b)), u64::from_le_bytes)
    };
    let mixed = if name.len() < 8 {
        edge(None)
    } else {
        edge(name.get(..8)) ^ edge(name.get(name.len() - 8..)).rotate_left(29)
    };
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize ^ (name.len() & 7)
}

/// Pairs of names, from source to target.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pairs {
    ids: HashMap<(u32, u32), u32>,
    pairs: Vec<(u32, u32)>,
    recent: Vec<u32>,
}

impl Pairs {
    /// The number of a pair.
    #[inline]
    pub fn intern(&mut self, pair: (u32, u32)) -> u32 {
        if self.recent.is_empty() {
            self.recent.resize(SLOTS, NONE);
        }
        let slot = (pair.0.wrapping_mul(31) ^ pair.1) as usize % SLOTS;
        let id = self.recent[slot];
        if self.pairs.get(id as usize) == Some(&pair) {
            return id;
        }
        let id = *self.ids.entry(pair).or_insert_with(|| {
            self.pairs.push(pair);
            self.pairs.len() as u32 - 1
        });
        self.recent[slot] = id;
        id
    }

    /// The pair of a number.
    pub fn get(&self, id: u32) -> Option<(u32, u32)> {
        self.pairs.get(id as usize).copied()
    }

    /// All of them.
    pub fn all(&self) -> &[(u32, u32)] {
        &self.pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number() {
        let mut names = Names::default();
        let many: Vec<String> = (0..2000).map(|n| format!("service-{n}")).collect();
        let ids: Vec<u32> = many.iter().map(|name| names.intern(name.as_bytes())).collect();
        for (name, id) in many.iter().zip(ids) {
            assert_eq!(names.intern(name.as_bytes()), id);
            assert_eq!(names.get(id), name);
            assert_eq!(names.find(name), Some(id));
        }
        let long = "x".repeat(10_000);
        let id = names.intern(long.as_bytes());
        assert_eq!((names.get(id), names.get(NONE)), (TOO_LONG, ""));
    }
}
