//! A parsed document before it is flat: what every parser builds, within the limits.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;

use serde_json::Value;

use crate::lines::Place;
use crate::shown::shown;
use crate::{Error, Limits, secrets};

/// The deepest nesting at which the recursion over a tree surely fits the smallest stack it may run on.
pub(crate) const MAX_DEPTH: usize = 512;

/// A map's entries. Its keys are borrowed from the document where it spells them without escapes.
pub(crate) type Entries<'a> = BTreeMap<Cow<'a, str>, Node<'a>>;

/// One value of a document.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    /// The line it begins on, from 1.
    pub line: u32,
    /// Number of levels of lists and maps that it spans; a leaf has 0.
    pub height: u16,
    /// The value.
    pub kind: Kind<'a>,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind<'a> {
    Leaf(Value),
    List(Vec<Node<'a>>),
    Map(Entries<'a>),
    /// A node in several places: a YAML alias is the same node again.
    Shared(Rc<Node<'a>>),
}

impl<'a> Node<'a> {
    /// The node, to be had several times without a copy.
    pub fn shared(self) -> Self {
        match self.kind {
            Kind::Shared(_) => self,
            _ => Node { line: self.line, height: self.height, kind: Kind::Shared(Rc::new(self)) },
        }
    }

    /// Returns the kind of the node, looking through sharing.
    pub fn kind(&self) -> &Kind<'a> {
        match &self.kind {
            Kind::Shared(node) => node.kind(),
            kind => kind,
        }
    }
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

    pub fn leaf<'a>(&mut self, at: Place, value: Value) -> Result<Node<'a>, Error> {
        self.node(at, 0, Kind::Leaf(value))
    }

    pub fn list<'a>(&mut self, at: Place, items: Vec<Node<'a>>) -> Result<Node<'a>, Error> {
        let height = items.iter().map(|item| item.height).max().unwrap_or(0) + 1;
        self.node(at, height, Kind::List(items))
    }

    pub fn map<'a>(&mut self, at: Place, entries: Entries<'a>) -> Result<Node<'a>, Error> {
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

    fn node<'a>(&mut self, at: Place, height: u16, kind: Kind<'a>) -> Result<Node<'a>, Error> {
        self.pay(1, at)?;
        self.check_depth(usize::from(height), at)?;
        Ok(Node { line: line_number(at), height, kind })
    }
}

/// Adds an entry to a map that must not have its key yet.
pub(crate) fn insert<'a>(
    map: &mut Entries<'a>,
    key: Cow<'a, str>,
    at: Place,
    node: Node<'a>,
) -> Result<(), Error> {
    if secrets::is_secret_key(&key) {
        return Err(Error::SecretInKey { at });
    }
    match map.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(node);
            Ok(())
        }
        Entry::Occupied(entry) => Err(Error::DuplicateKey { key: shown(entry.key()), at }),
    }
}

/// The line of a place, as documents keep it.
pub(crate) fn line_number(at: Place) -> u32 {
    u32::try_from(at.line).unwrap_or(u32::MAX)
}
