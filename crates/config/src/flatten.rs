//! From a tree to flat paths.

use std::collections::BTreeMap;
use std::rc::Rc;

use rig_event::FlatConfig;
use serde_json::Value;

use crate::lines::Place;
use crate::path::Segment;
use crate::random::is_random_key;
use crate::shown::shown;
use crate::tree::{Kind, Node, line_number};
use crate::{Error, Limits, secrets};

/// The longest path: with it and two values at their limit an event still fits.
const MAX_PATH: usize = 64 << 10;

/// Collects the fields of a document, within its limits.
pub(crate) struct Flattener<'a> {
    limits: &'a Limits,
    bytes_left: u64,
    path: String,
    fields: BTreeMap<String, (Value, u32)>,
    in_private_key: bool,
}

impl<'a> Flattener<'a> {
    pub fn new(limits: &'a Limits) -> Self {
        Flattener {
            limits,
            bytes_left: room(limits),
            path: String::new(),
            fields: BTreeMap::new(),
            in_private_key: false,
        }
    }

    /// The fields and the line of each.
    pub fn finish(self) -> (FlatConfig, BTreeMap<String, u32>) {
        // Maps that are made of sorted fields in one go have full nodes, where grown ones are half empty, and the paths of the
        // fields lie side by side: a walk over them waits for memory more than for anything else.
        let mut lines = Vec::with_capacity(self.fields.len());
        let field = |(path, (value, line)): (String, (Value, u32))| {
            lines.push((path.clone(), line));
            (path, value)
        };
        let config = self.fields.into_iter().map(field).collect();
        (config, lines.into_iter().collect())
    }

    /// Adds one field of a format without nesting, in the place of an earlier one of that path. Returns true if there was one.
    pub fn put(&mut self, steps: &[Segment], value: Value, at: Place) -> Result<bool, Error> {
        // The lines below a private key's first are no keys, though they are read as such.
        let keys: Vec<&str> = steps.iter().filter_map(secrets::names::key_of).collect();
        let name = keys.join(".");
        let listed = || {
            let above = name.rsplit_once('.');
            above.is_some_and(|(above, key)| is_random_key(key) && secrets::lists_secrets(above))
        };
        if self.in_private_key || secrets::is_secret_key(&name) || listed() {
            return Err(Error::SecretInKey { at });
        }
        self.in_private_key = value.as_str().is_some_and(secrets::opens_private_key);
        self.path.clear();
        for step in steps {
            step.print(&mut self.path);
        }
        let is_repeated = self.fields.contains_key(&self.path);
        self.field(line_number(at), value)?;
        Ok(is_repeated)
    }

    /// Adds the fields of a tree and takes it apart on the way: a value is moved and not copied.
    pub fn tree(&mut self, node: Node<'_>) -> Result<(), Error> {
        match node.kind {
            Kind::Leaf(value) => self.field(node.line, value),
            Kind::List(items) if items.is_empty() => self.field(node.line, Value::Array(Vec::new())),
            Kind::Map(entries) if entries.is_empty() => {
                self.field(node.line, Value::Object(serde_json::Map::new()))
            }
            Kind::List(items) => self.list(items),
            Kind::Map(entries) => {
                let listed = secrets::lists_secrets(&self.path);
                entries.into_iter().try_for_each(|(key, entry)| {
                    if listed && is_random_key(&key) {
                        let at = Place { line: u64::from(entry.line), column: 1 };
                        return Err(Error::SecretInKey { at });
                    }
                    self.step(Segment::Key(key.into_owned()), entry)
                })
            }
            // What is below it is shared in its turn, so that little is copied here.
            Kind::Shared(node) => self.tree(Rc::unwrap_or_clone(node)),
        }
    }

    fn list(&mut self, items: Vec<Node<'_>>) -> Result<(), Error> {
        items.into_iter().enumerate().try_for_each(|(index, item)| self.step(Segment::Index(index), item))
    }

    fn step(&mut self, segment: Segment, node: Node<'_>) -> Result<(), Error> {
        let length = self.path.len();
        segment.print(&mut self.path);
        if self.path.len() > MAX_PATH {
            return Err(Error::PathTooLong { path: shown(&self.path), limit: MAX_PATH });
        }
        self.tree(node)?;
        self.path.truncate(length);
        Ok(())
    }

    fn field(&mut self, line: u32, value: Value) -> Result<(), Error> {
        let at_line = Some(u64::from(line));
        if self.path.len() > MAX_PATH {
            return Err(Error::PathTooLong { path: shown(&self.path), limit: MAX_PATH });
        }
        if self.fields.len() >= self.limits.fields {
            return Err(Error::TooManyFields { limit: self.limits.fields, line: at_line });
        }
        let bytes = json_length(&value);
        let limit = self.limits.value_bytes;
        if bytes > limit {
            return Err(Error::ValueTooLarge { path: shown(&self.path), bytes, limit, line: at_line });
        }
        let needed = (self.path.len() + bytes) as u64;
        let too_far = Error::ExpandsTooFar { limit: room(self.limits) };
        self.bytes_left = self.bytes_left.checked_sub(needed).ok_or(too_far)?;
        self.fields.insert(self.path.clone(), (value, line));
        Ok(())
    }
}

/// Returns the room for all paths and values, in bytes: paths repeat what a document nests, so it is more
/// than the document has.
fn room(limits: &Limits) -> u64 {
    limits.bytes.saturating_mul(4)
}

/// Returns the length of a leaf as JSON, in bytes.
pub(crate) fn json_length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2 + text.bytes().map(|b| usize::from(escaped(b))).sum::<usize>(),
        Value::Number(number) => number.as_str().len(),
        Value::Null => 4,
        Value::Bool(value) => 5 - usize::from(*value),
        other => other.to_string().len(),
    }
}

/// Returns the number of extra bytes that a byte of a string takes as JSON.
fn escaped(byte: u8) -> u8 {
    const MORE: [u8; 256] = {
        let mut more = [0; 256];
        let mut byte = 0;
        while byte < 0x20 {
            more[byte] = 5;
            byte += 1;
        }
        let short = b"\"\\\n\r\t\x08\x0c";
        let mut at = 0;
        while at < short.len() {
            more[short[at] as usize] = 1;
            at += 1;
        }
        more
    };
    MORE[usize::from(byte)]
}
