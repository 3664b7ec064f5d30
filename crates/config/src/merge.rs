//! Layers of configuration put on top of each other, with the origin of each leaf.
//!
//! Later layers win. Maps are merged deep; everything else, lists included, is replaced as a whole. Environment variables
//! are a layer too: behind their prefix `__` separates the steps, so that `APP_DATABASE__HOST` is `database.host`.

use std::collections::BTreeMap;

use rig_event::FlatConfig;
use serde_json::Value;

use crate::flatten::Flattener;
use crate::lines::Place;
use crate::path::Segment;
use crate::path::lenient;
use crate::provenance::{Origin, Provenance, Source};
use crate::redact::marker_key;
use crate::shown::shown;
use crate::tree::{self, Builder};
use crate::{Document, Error, Limits, Path};

/// The separator between the steps of a variable's name.
const BETWEEN_STEPS: &str = "__";

/// A configuration and where each of its fields came from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    /// Its fields.
    pub config: FlatConfig,
    /// The origin of every field.
    pub provenance: Provenance,
}

/// Layers, the lowest first.
#[derive(Debug)]
pub struct Layers<'a> {
    limits: &'a Limits,
    root: Node,
}

#[derive(Debug, Default)]
enum Node {
    /// Nothing was put here yet.
    #[default]
    Vacant,
    Leaf(Value, Origin),
    /// Never empty: an empty list is a leaf.
    List(BTreeMap<Element, Node>),
    /// Never empty: an empty map is a leaf.
    Map(BTreeMap<String, Node>),
}

/// Which element of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Element {
    Index(usize),
    Keyed(String, String),
}

impl<'a> Layers<'a> {
    /// No layers yet; the limits hold for what they make together.
    pub fn new(limits: &'a Limits) -> Self {
        Layers { limits, root: Node::Vacant }
    }

    /// Puts a document on top, under the name of its file.
    ///
    /// # Errors
    /// [`Error::BadLayer`] for plain text, which has no fields to merge.
    pub fn document(&mut self, doc: Document, name: &str) -> Result<(), Error> {
        if doc.format.is_text() {
            return Err(Error::BadLayer {
                what: shown(name),
                why: "plain text has no fields that could be merged",
            });
        }
        let file = Source::file(name, None);
        let mut layer = Node::Vacant;
        for (path, value) in doc.config {
            let source = match &file {
                Source::File { name, .. } => {
                    Source::File { name: name.clone(), line: doc.lines.get(&path).copied() }
                }
                other => other.clone(),
            };
            self.put(&mut layer, &path, value, &source.into())?;
        }
        self.root.overlay(layer);
        Ok(())
    }

    /// Puts fields on top that know where they came from. A value may be a list or a map; what is below it is of the same
    /// origin.
    ///
    /// # Errors
    /// [`Error::BadLayer`] when one path is a value and a map at the same time; [`Error::TooDeep`].
    pub fn fields(&mut self, fields: impl IntoIterator<Item = (String, Value, Origin)>) -> Result<(), Error> {
        let mut layer = Node::Vacant;
        for (path, value, origin) in fields {
            self.put(&mut layer, &path, value, &origin)?;
        }
        self.root.overlay(layer);
        Ok(())
    }

    /// Puts the environment variables on top whose names begin with `prefix`; returns how many there were.
    ///
    /// Behind the prefix `__` separates steps. A step is the key there is, whatever its case and with `_` for `-`, or else a
    /// new one in lower case; in a list it is a number, of an element there is or of the next. A value takes the type of
    /// what it replaces where it reads as such (`true`, `8080`), and is a string otherwise.
    ///
    /// # Errors
    /// [`Error::BadLayer`] when a name has an empty step, or two names mean the same field.
    pub fn variables(
        &mut self,
        prefix: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<usize, Error> {
        let mut ours: Vec<(String, String)> =
            variables.into_iter().filter(|(name, _)| name.starts_with(prefix)).collect();
        // By number where there is one, so that a list can be extended by one element after the other.
        ours.sort_by_cached_key(|(name, _)| {
            let steps = name.split(BETWEEN_STEPS);
            steps.map(|step| (step.parse::<usize>().ok(), step.to_owned())).collect::<Vec<_>>()
        });
        let mut taken: BTreeMap<String, String> = BTreeMap::new();
        let mut count = 0;
        for (name, value) in ours {
            let steps: Vec<&str> = name[prefix.len()..].split(BETWEEN_STEPS).collect();
            let bad = |why| Error::BadLayer { what: shown(&name), why };
            if steps.iter().any(|step| step.is_empty()) {
                return Err(bad("a step of this variable's name is empty; `__` separates steps"));
            }
            if steps.len() > self.depth() {
                return Err(bad("this variable's name has too many steps"));
            }
            let same = steps.join(BETWEEN_STEPS).to_lowercase();
            if let Some(other) = taken.insert(same, name.clone()) {
                let what = format!("{} and {}", shown(&other), shown(&name));
                return Err(Error::BadLayer { what, why: "these variables mean the same field" });
            }
            let origin = Source::variable(&name).into();
            assign(&mut self.root, &steps, value, origin).map_err(bad)?;
            count += 1;
        }
        Ok(count)
    }

    /// Merges the layers, and notes where each field came from.
    ///
    /// # Errors
    /// When it passes a limit, or a key is a secret by its looks.
    pub fn finish(self) -> Result<Merged, Error> {
        if matches!(self.root, Node::Vacant) {
            return Ok(Merged::default());
        }
        // The fold to flat paths carries one number with every leaf: here not a line but the place in this list.
        let mut origins = vec![Origin::from(Source::Unknown)];
        let mut flattener = Flattener::new(self.limits);
        let tree = self.root.into_tree(&mut Builder::new(self.limits), &mut origins);
        tree.and_then(|tree| flattener.tree(tree)).map_err(|error| relocated(error, &origins))?;
        let (mut config, ids) = flattener.finish();
        let mut provenance = Provenance::new();
        for (path, id) in ids {
            match (id, origins.get(id as usize)) {
                // What only fills the gaps of a list that has some.
                (0, _) | (_, None) => drop(config.remove(&path)),
                (_, Some(origin)) => drop(provenance.insert(path, origin.clone())),
            }
        }
        Ok(Merged { config, provenance })
    }

    fn depth(&self) -> usize {
        self.limits.depth.min(tree::MAX_DEPTH)
    }

    /// Puts one field into a layer that is being made.
    fn put(&self, layer: &mut Node, path: &str, value: Value, origin: &Origin) -> Result<(), Error> {
        let Path(segments) = lenient(path);
        let too_deep = Error::TooDeep { limit: self.depth(), at: Place { line: 1, column: 1 } };
        if segments.len() > self.depth() {
            return Err(too_deep);
        }
        let mut slot = layer;
        for segment in segments {
            let next = match segment {
                Segment::Index(index) if index >= self.limits.fields => {
                    return Err(Error::TooManyFields { limit: self.limits.fields, line: None });
                }
                Segment::Key(key) => slot.entry(key),
                Segment::Index(index) => slot.element(Element::Index(index)),
                Segment::Keyed { key, value } => slot.element(Element::Keyed(key, value)),
            };
            slot = next.ok_or_else(|| clash(path))?;
        }
        if !matches!(slot, Node::Vacant) {
            return Err(clash(path));
        }
        *slot = Node::of(value, origin, self.depth()).ok_or(too_deep)?;
        Ok(())
    }
}

impl Node {
    /// The entry of a map, or of what becomes one; nothing where something else is.
    fn entry(&mut self, key: String) -> Option<&mut Node> {
        if let Node::Vacant = self {
            *self = Node::Map(BTreeMap::new());
        }
        match self {
            Node::Map(entries) => Some(entries.entry(key).or_default()),
            _ => None,
        }
    }

    /// The element of a list, or of what becomes one; nothing where something else is.
    fn element(&mut self, element: Element) -> Option<&mut Node> {
        if let Node::Vacant = self {
            *self = Node::List(BTreeMap::new());
        }
        match self {
            Node::List(elements) => Some(elements.entry(element).or_default()),
            _ => None,
        }
    }

    /// A value with all that is in it; nothing where that is nested too deep.
    fn of(value: Value, origin: &Origin, depth: usize) -> Option<Node> {
        let below = |value| Node::of(value, origin, depth.checked_sub(1)?);
        match value {
            Value::Array(items) if !items.is_empty() => {
                let items = items.into_iter().enumerate();
                items
                    .map(|(index, item)| Some((Element::Index(index), below(item)?)))
                    .collect::<Option<_>>()
                    .map(Node::List)
            }
            Value::Object(ref entries) if !entries.is_empty() && marker_key(&value).is_none() => {
                let Value::Object(entries) = value else { return None };
                entries
                    .into_iter()
                    .map(|(key, entry)| Some((key, below(entry)?)))
                    .collect::<Option<_>>()
                    .map(Node::Map)
            }
            leaf => Some(Node::Leaf(leaf, origin.clone())),
        }
    }

    /// Puts another node on top of this one.
    fn overlay(&mut self, over: Node) {
        match (self, over) {
            (_, Node::Vacant) => {}
            (Node::Map(entries), Node::Map(over)) => {
                for (key, node) in over {
                    entries.entry(key).or_default().overlay(node);
                }
            }
            // A map without entries changes no map that has some.
            (Node::Map(_), Node::Leaf(Value::Object(empty), _)) if empty.is_empty() => {}
            (node, over) => *node = over,
        }
    }

    /// The tree that is made flat; the line of a leaf is its place among `origins`.
    fn into_tree(
        self,
        builder: &mut Builder,
        origins: &mut Vec<Origin>,
    ) -> Result<tree::Node<'static>, Error> {
        let at = |id: usize| Place { line: id as u64, column: 1 };
        match self {
            Node::Vacant => builder.leaf(at(0), Value::Null),
            Node::Leaf(value, origin) => {
                origins.push(origin);
                builder.leaf(at(origins.len() - 1), value)
            }
            Node::List(elements) => {
                let mut items = Vec::new();
                for (element, node) in elements {
                    // What was left out of a list leaves a gap: the others keep their places.
                    while matches!(element, Element::Index(index) if items.len() < index) {
                        items.push(builder.leaf(at(0), Value::Null)?);
                    }
                    items.push(node.into_tree(builder, origins)?);
                }
                builder.list(at(origins.len() - 1), items)
            }
            Node::Map(entries) => {
                let mut map = BTreeMap::new();
                for (key, node) in entries {
                    let tree = node.into_tree(builder, origins)?;
                    tree::insert(&mut map, key.into(), at(origins.len() - 1), tree)?;
                }
                builder.map(at(origins.len() - 1), map)
            }
        }
    }
}

/// Sets what a variable's steps lead to.
fn assign(root: &mut Node, steps: &[&str], text: String, origin: Origin) -> Result<(), &'static str> {
    let mut node = root;
    for step in steps {
        // A value in the way gives way to a map, and a list of nothing to one of something.
        match node {
            Node::Leaf(Value::Array(_), _) => *node = Node::List(BTreeMap::new()),
            Node::Leaf(..) | Node::Vacant => *node = Node::Map(BTreeMap::new()),
            Node::List(_) | Node::Map(_) => {}
        }
        node = match node {
            Node::List(elements) => {
                let index: usize = step
                    .parse()
                    .map_err(|_| "it leads into a list; a step there is the number of an element")?;
                let element = match elements.keys().nth(index) {
                    Some(element) => element.clone(),
                    None if index == elements.len() => Element::Index(index),
                    None => return Err("it leads into a list that has fewer elements"),
                };
                elements.entry(element).or_default()
            }
            Node::Map(entries) => {
                let key = key_for(entries, step);
                entries.entry(key).or_default()
            }
            Node::Leaf(..) | Node::Vacant => return Err("it leads nowhere"),
        };
    }
    let value = match node {
        Node::Leaf(old, _) => like(old, text),
        _ => Value::String(text),
    };
    *node = Node::Leaf(value, origin);
    Ok(())
}

/// The key of a map that a step means, or the one that it makes.
fn key_for(entries: &BTreeMap<String, Node>, step: &str) -> String {
    let lower = step.to_lowercase();
    if entries.contains_key(&lower) {
        return lower;
    }
    let same = |key: &&String| key.replace('-', "_").to_lowercase() == lower;
    entries.keys().find(same).cloned().unwrap_or(lower)
}

/// A text as the type of the value that it replaces, where it reads as such.
fn like(old: &Value, text: String) -> Value {
    let read = match old {
        Value::Bool(_) => text.to_ascii_lowercase().parse().ok().map(Value::Bool),
        Value::Number(_) => serde_json::from_str(&text).ok().map(Value::Number),
        _ => None,
    };
    read.unwrap_or(Value::String(text))
}

fn clash(path: &str) -> Error {
    Error::BadLayer { what: shown(path), why: "it is there twice, or is a value and a map at once" }
}

/// An error about the tree, with the line in its file where the numbers of origins stand.
fn relocated(error: Error, origins: &[Origin]) -> Error {
    let real = |line: u64| origins.get(line as usize).and_then(|origin| origin.source.line()).map(u64::from);
    let place = |at: Place| Place { line: real(at.line).unwrap_or(1), column: 1 };
    match error {
        Error::TooManyFields { limit, line } => Error::TooManyFields { limit, line: line.and_then(real) },
        Error::ValueTooLarge { path, bytes, limit, line } => {
            Error::ValueTooLarge { path, bytes, limit, line: line.and_then(real) }
        }
        Error::TooDeep { limit, at } => Error::TooDeep { limit, at: place(at) },
        Error::SecretInKey { at } => Error::SecretInKey { at: place(at) },
        Error::DuplicateKey { key, at } => Error::DuplicateKey { key, at: place(at) },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;

    fn doc(text: &str, format: Format) -> Document {
        crate::parse(text.as_bytes(), format, &Limits::default()).unwrap()
    }

    /// Two documents and variables; the fields as `path = value (source)`.
    #[track_caller]
    fn check(documents: &[(&str, Format, &str)], variables: &[(&str, &str)], expected: &[&str]) {
        let limits = Limits::default();
        let mut layers = Layers::new(&limits);
        for (name, format, text) in documents {
            layers.document(doc(text, *format), name).unwrap();
        }
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        layers.variables("APP_", variables).unwrap();
        let Merged { config, provenance } = layers.finish().unwrap();
        assert!(config.keys().eq(provenance.keys()));
        let found: Vec<String> = config
            .iter()
            .map(|(path, value)| format!("{path} = {value} ({})", provenance[path].source))
            .collect();
        assert_eq!(found, expected);
    }

    const BASE: &str = "database:\n  host: a\n  port: 5432\nservers:\n  - x\n  - y\nempty: {}\n";

    #[test]
    fn maps_merge_deep_lists_are_replaced_and_later_wins() {
        check(
            &[
                ("a.yaml", Format::Yaml, BASE),
                ("b.toml", Format::Toml, "servers = [\"z\"]\n[database]\nhost = \"b\"\n[empty]\nnow = 1\n"),
            ],
            &[],
            &[
                "database.host = \"b\" (file:b.toml:3)",
                "database.port = 5432 (file:a.yaml:3)",
                "empty.now = 1 (file:b.toml:5)",
                "servers[0] = \"z\" (file:b.toml:1)",
            ],
        );
    }

    #[test]
    fn a_map_gives_way_to_a_value_and_a_value_to_a_map() {
        let over = r#"{"database": null, "empty": {}, "servers": {"a": 1}}"#;
        check(
            &[("a.yaml", Format::Yaml, BASE), ("b.json", Format::Json, over)],
            &[],
            &[
                "database = null (file:b.json:1)",
                "empty = {} (file:b.json:1)",
                "servers.a = 1 (file:b.json:1)",
            ],
        );
        // A map without entries removes nothing.
        let over = r#"{"database": {}, "servers": [], "empty": {}}"#;
        check(
            &[("a.yaml", Format::Yaml, BASE), ("b.json", Format::Json, over)],
            &[],
            &[
                "database.host = \"a\" (file:a.yaml:2)",
                "database.port = 5432 (file:a.yaml:3)",
                "empty = {} (file:b.json:1)",
                "servers = [] (file:b.json:1)",
            ],
        );
    }

    #[test]
    fn variables_take_the_key_and_the_type_that_are_there() {
        let text = "database: {host: a, port: 5432, pool-size: 5, SSL: false}\nservers: [x]\n";
        check(
            &[("a.yaml", Format::Yaml, text)],
            &[
                ("APP_DATABASE__HOST", "true"),
                ("APP_DATABASE__PORT", "6000"),
                ("APP_DATABASE__POOL_SIZE", "many"),
                ("APP_DATABASE__SSL", "TRUE"),
                ("APP_SERVERS__1", "y"),
                ("APP_NEW__KEY", "1"),
                ("APPLE", "no"),
            ],
            &[
                "database.SSL = true (env:APP_DATABASE__SSL)",
                "database.host = \"true\" (env:APP_DATABASE__HOST)",
                "database.pool-size = \"many\" (env:APP_DATABASE__POOL_SIZE)",
                "database.port = 6000 (env:APP_DATABASE__PORT)",
                "new.key = \"1\" (env:APP_NEW__KEY)",
                "servers[0] = \"x\" (file:a.yaml:2)",
                "servers[1] = \"y\" (env:APP_SERVERS__1)",
            ],
        );
    }

    #[test]
    fn variables_extend_a_list_past_ten() {
        let limits = Limits::default();
        let mut layers = Layers::new(&limits);
        layers.document(doc("list: []", Format::Yaml), "a.yaml").unwrap();
        let count = layers.variables("", (0..12).map(|n| (format!("LIST__{n}"), n.to_string()))).unwrap();
        let config = layers.finish().unwrap().config;
        assert_eq!((count, config.len(), &config["list[11]"]), (12, 12, &Value::from("11")));
    }

    #[test]
    fn a_variable_that_means_nothing_is_an_error_that_names_it_and_not_its_value() {
        for variables in [
            &[("APP_", "hunter2")][..],
            &[("APP_A____B", "hunter2")],
            &[("APP_a", "hunter2"), ("APP_A", "hunter2")],
            &[("APP_LIST__2", "hunter2")],
            &[("APP_LIST__X", "hunter2")],
        ] {
            let limits = Limits::default();
            let mut layers = Layers::new(&limits);
            layers.document(doc("list: [1]", Format::Yaml), "a.yaml").unwrap();
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let error = layers.variables("APP_", variables).unwrap_err();
            assert_eq!(error.code(), "bad-layer");
            let text = error.to_string();
            assert!(text.contains("APP_") && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn text_has_nothing_to_merge() {
        let limits = Limits::default();
        for format in [Format::Text, Format::Routeros, Format::Nginx] {
            let error = Layers::new(&limits).document(doc("hello", format), "a.txt").unwrap_err();
            assert_eq!(error.code(), "bad-layer", "{format}");
        }
    }

    #[test]
    fn a_list_keeps_its_gaps() {
        let limits = Limits::default();
        let field =
            |path: &str, value: &str| (path.to_owned(), Value::from(value), Origin::from(Source::Default));
        let mut layers = Layers::new(&limits);
        layers.fields(vec![field("x[0]", "a"), field("x[3]", "b")]).unwrap();
        let merged = layers.finish().unwrap();
        assert_eq!(merged.config.into_keys().collect::<Vec<_>>(), ["x[0]", "x[3]"]);
    }

    #[test]
    fn hostile_fields_are_refused_within_bounds() {
        let limits = Limits { fields: 10, depth: 4, ..Limits::default() };
        let code = |fields: &[&str]| {
            let mut layers = Layers::new(&limits);
            let fields =
                fields.iter().map(|path| ((*path).to_owned(), Value::Null, Origin::from(Source::Default)));
            layers.fields(fields).and_then(|()| layers.finish()).map_err(|e| e.code())
        };
        assert_eq!(code(&["a[99999999999]"]).unwrap_err(), "too-many-fields");
        assert_eq!(code(&["a.b.c.d.e"]).unwrap_err(), "too-deep");
        assert_eq!(code(&["a", "a.b"]).unwrap_err(), "bad-layer");
        assert_eq!(code(&["a.b", "a"]).unwrap_err(), "bad-layer");
        assert_eq!(code(&["a[0]", "a.b"]).unwrap_err(), "bad-layer");
        assert_eq!(code(&["a", "a"]).unwrap_err(), "bad-layer");
        let many: Vec<String> = (0..11).map(|n| format!("k{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(code(&many).unwrap_err(), "too-many-fields");
        assert_eq!(
            code(&[&format!("{:?}.x", "ghp_16C7e42F292c6912E7710c838347Ae178B4a")]).unwrap_err(),
            "secret-in-key"
        );
        assert!(code(&["",]).is_ok());
    }
}
