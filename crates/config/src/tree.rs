//! A parsed document before it is flat: what every parser builds, within the limits.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use crate::error::{Place, shown};
use crate::{Error, Limits, redact};

/// The deepest nesting at which the recursion over a tree surely fits the smallest stack it may run on.
pub(crate) const MAX_DEPTH: usize = 512;

/// A node; shared, because a YAML alias is the same node once more.
pub(crate) type Tree = Rc<Node>;

/// One value of a document.
#[derive(Debug)]
pub(crate) struct Node {
    /// The line it begins on, from 1.
    pub line: u32,
    /// How many levels of lists and maps it spans; a leaf has 0.
    pub height: usize,
    /// The value.
    pub kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Leaf(Value),
    List(Vec<Tree>),
    Map(BTreeMap<String, Tree>),
}

/// Makes nodes, and refuses the one that would pass a limit.
///
/// Fields are counted here so that a document of a hundred million brackets fails before it fills the memory;
/// aliases cost nothing here and are counted when the tree is made flat.
pub(crate) struct Builder {
    depth: usize,
    fields: usize,
    nodes_left: usize,
}

impl Builder {
    pub fn new(limits: &Limits) -> Self {
        // A field may have lists and maps around it, most of them shared with other fields.
        let nodes_left = limits.fields.saturating_mul(4).saturating_add(MAX_DEPTH);
        Builder { depth: limits.depth.min(MAX_DEPTH), fields: limits.fields, nodes_left }
    }

    pub fn leaf(&mut self, at: Place, value: Value) -> Result<Tree, Error> {
        self.node(at, 0, Kind::Leaf(value))
    }

    pub fn list(&mut self, at: Place, items: Vec<Tree>) -> Result<Tree, Error> {
        let height = items.iter().map(|item| item.height).max().unwrap_or(0) + 1;
        self.node(at, height, Kind::List(items))
    }

    pub fn map(&mut self, at: Place, entries: BTreeMap<String, Tree>) -> Result<Tree, Error> {
        let height = entries.values().map(|entry| entry.height).max().unwrap_or(0) + 1;
        self.node(at, height, Kind::Map(entries))
    }

    /// Refuses to open a list or map at this depth, where the outermost is at 1.
    pub fn check_depth(&self, depth: usize, at: Place) -> Result<(), Error> {
        if depth > self.depth { Err(Error::TooDeep { limit: self.depth, at }) } else { Ok(()) }
    }

    /// Pays for work that is proportional to a number of nodes but makes none.
    pub fn pay(&mut self, nodes: usize, at: Place) -> Result<(), Error> {
        let too_many = Error::TooManyFields { limit: self.fields, line: Some(at.line) };
        self.nodes_left = self.nodes_left.checked_sub(nodes).ok_or(too_many)?;
        Ok(())
    }

    fn node(&mut self, at: Place, height: usize, kind: Kind) -> Result<Tree, Error> {
        self.pay(1, at)?;
        self.check_depth(height, at)?;
        Ok(Rc::new(Node { line: line_number(at), height, kind }))
    }
}

/// Adds an entry to a map that must not have its key yet.
pub(crate) fn insert(
    map: &mut BTreeMap<String, Tree>,
    key: String,
    at: Place,
    tree: Tree,
) -> Result<(), Error> {
    if redact::is_secret_key(&key) {
        return Err(Error::SecretInKey { at });
    }
    match map.entry(key) {
        std::collections::btree_map::Entry::Vacant(entry) => {
            entry.insert(tree);
            Ok(())
        }
        std::collections::btree_map::Entry::Occupied(entry) => {
            Err(Error::DuplicateKey { key: shown(entry.key()), at })
        }
    }
}

/// The line of a place, as documents keep it.
pub(crate) fn line_number(at: Place) -> u32 {
    u32::try_from(at.line).unwrap_or(u32::MAX)
}
