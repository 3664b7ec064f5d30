//! Fields put back into the tree they were read from, and printed: the other direction of reading JSON.
//!
//! For tests and fuzzing. It takes fields whose lists are matched by index.

use std::collections::BTreeMap;

use rig_config::{FlatConfig, Path, Segment};
use serde_json::Value;

/// A map's or list's entries, or a leaf.
#[derive(Default)]
struct Node {
    leaf: Option<Value>,
    map: BTreeMap<String, Node>,
    list: BTreeMap<usize, Node>,
}

/// The fields as JSON without white space.
pub fn print(config: &FlatConfig) -> String {
    let mut root = Node::default();
    for (path, value) in config {
        let path = Path::parse(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let leaf = path.0.into_iter().fold(&mut root, |node, segment| match segment {
            Segment::Key(key) => node.map.entry(key).or_default(),
            Segment::Index(index) => node.list.entry(index).or_default(),
            Segment::Keyed { .. } => panic!("a list by key has no order to go back to"),
        });
        leaf.leaf = Some(value.clone());
    }
    let mut out = String::new();
    write(root, &mut out);
    out
}

fn write(node: Node, out: &mut String) {
    if let Some(leaf) = node.leaf {
        out.push_str(&leaf.to_string());
        return;
    }
    let is_list = !node.list.is_empty();
    out.push(if is_list { '[' } else { '{' });
    for (at, (_, item)) in node.list.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(item, out);
    }
    for (at, (key, entry)) in node.map.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&Value::from(key).to_string());
        out.push(':');
        write(entry, out);
    }
    out.push(if is_list { ']' } else { '}' });
}
