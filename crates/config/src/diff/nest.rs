//! Flat fields back to the document they came from.

use std::collections::BTreeMap;

use rig_event::FlatConfig;
use serde_json::Value;

use crate::path::Segment;
use crate::path::lenient;

/// The document whose fields these are, with secrets as their markers; `Null` for no field at all.
///
/// Fields that cannot stand beside each other in a document (`a` and `a.b`, a list with a gap; a foreign snapshot may have
/// them) make a map of all fields as they are.
pub fn nested(config: &FlatConfig) -> Value {
    let mut root = Node::Hole;
    for (path, value) in config {
        if root.insert(&lenient(path).0, value, config.len()).is_none() {
            return as_they_are(config);
        }
    }
    root.finish().unwrap_or_else(|| as_they_are(config))
}

fn as_they_are(config: &FlatConfig) -> Value {
    Value::Object(config.iter().map(|(path, value)| (path.clone(), value.clone())).collect())
}

enum Node<'a> {
    Hole,
    Leaf(&'a Value),
    Map(BTreeMap<String, Node<'a>>),
    List(Vec<Node<'a>>),
    /// The elements of a list as older recordings name them.
    Keyed(BTreeMap<(String, String), Node<'a>>),
}

impl<'a> Node<'a> {
    /// `None` where the place is taken, or lies far beyond the list.
    fn insert(&mut self, path: &[Segment], value: &'a Value, most: usize) -> Option<()> {
        let mut node = self;
        for segment in path {
            if matches!(node, Node::Hole) {
                *node = match segment {
                    Segment::Key(_) => Node::Map(BTreeMap::new()),
                    Segment::Index(_) => Node::List(Vec::new()),
                    Segment::Keyed { .. } => Node::Keyed(BTreeMap::new()),
                };
            }
            node = match (node, segment) {
                (Node::Map(entries), Segment::Key(key)) => entries.entry(key.clone()).or_insert(Node::Hole),
                (Node::Keyed(entries), Segment::Keyed { key, value }) => {
                    entries.entry((key.clone(), value.clone())).or_insert(Node::Hole)
                }
                (Node::List(items), Segment::Index(index)) if *index < most => {
                    if *index >= items.len() {
                        items.resize_with(index + 1, || Node::Hole);
                    }
                    &mut items[*index]
                }
                _ => return None,
            };
        }
        matches!(node, Node::Hole).then(|| *node = Node::Leaf(value))
    }

    fn finish(self) -> Option<Value> {
        Some(match self {
            Node::Hole => Value::Null,
            Node::Leaf(value) => value.clone(),
            Node::Map(entries) => {
                let entries = entries.into_iter().map(|(key, node)| Some((key, node.finish()?)));
                Value::Object(entries.collect::<Option<_>>()?)
            }
            Node::List(items) => {
                let items = items.into_iter().map(|node| match node {
                    Node::Hole => None,
                    node => node.finish(),
                });
                Value::Array(items.collect::<Option<_>>()?)
            }
            Node::Keyed(entries) => {
                Value::Array(entries.into_values().map(Node::finish).collect::<Option<_>>()?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(fields: Value, document: Value) {
        let fields: FlatConfig = fields.as_object().unwrap().clone().into_iter().collect();
        assert_eq!(nested(&fields), document);
    }

    #[test]
    fn fields_become_the_document_again() {
        check(json!({}), json!(null));
        check(json!({"": 5}), json!(5));
        check(
            json!({"a.b[0].c": 1, "a.b[1]": {}, "\"x.y\"": null, "p": {"redacted": "hmac:k1:0"}}),
            json!({"a": {"b": [{"c": 1}, {}]}, "x.y": null, "p": {"redacted": "hmac:k1:0"}}),
        );
        let many: serde_json::Map<String, Value> = (0..12).map(|n| (format!("[{n}]"), n.into())).collect();
        check(Value::Object(many), json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]));
        check(json!({"s[name=a].port": 1, "s[name=b].port": 2}), json!({"s": [{"port": 1}, {"port": 2}]}));
    }

    #[test]
    fn what_is_no_document_stays_flat() {
        for fields in [json!({"a": 1, "a.b": 2}), json!({"a[1]": 1}), json!({"a[4000000000]": 1})] {
            check(fields.clone(), fields);
        }
    }
}
