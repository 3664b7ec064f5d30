//! Identities of list elements: the values that tell the elements of one list apart.
//!
//! A key is the name of an entry (`name`), the way to one further down (`metadata.name`), or several of these
//! (`kind,metadata.name`), whose values are joined. One key is made up: [`OBJECT`] names a Kubernetes object by its
//! kind, API group, namespace and name, as `kubectl` would.

use std::borrow::Cow;

use rig_event::FlatConfig;
use serde_json::Value;

use crate::Path;
use crate::path::Segment;

/// The key of a Kubernetes object: `Service/web`, `Deployment.apps/prod/web`.
pub(crate) const OBJECT: &str = "object";

/// The separator between the parts of a composite key, and between their values.
pub(crate) const BETWEEN: char = ',';

/// A key, ready to be looked up in elements.
pub(crate) struct ElementKey {
    /// The key as one entry's name, which wins where there is such an entry.
    whole: Way,
    kind: Kind,
}

enum Kind {
    /// Nothing beside the entry of that name.
    Entry,
    Parts(Vec<(Way, Option<Way>)>),
    Object([Way; 4]),
}

/// The way from an element to a value below it.
pub(crate) struct Way {
    /// As the rest of a flat path: `.metadata.name`.
    pub rest: String,
    /// As keys.
    pub keys: Vec<String>,
}

impl Way {
    fn new(keys: Vec<String>) -> Way {
        // As it stands behind another step, with a dot.
        let mut path = "_".to_owned();
        keys.iter().for_each(|key| Segment::Key(key.clone()).print(&mut path));
        Way { rest: path.split_off(1), keys }
    }

    fn entry(key: &str) -> Way {
        Way::new(vec![key.to_owned()])
    }

    /// The way that a text with dots spells, if it spells one of several steps.
    fn nested(text: &str) -> Option<Way> {
        let keys: Option<Vec<String>> = Path::parse(text).ok()?.0.into_iter().map(key_of).collect();
        keys.filter(|keys| keys.len() > 1).map(Way::new)
    }
}

fn key_of(segment: Segment) -> Option<String> {
    match segment {
        Segment::Key(key) => Some(key),
        Segment::Index(_) | Segment::Keyed { .. } => None,
    }
}

impl ElementKey {
    /// Reads a key as policies and paths spell it.
    pub fn new(text: &str) -> ElementKey {
        let ways = |text: &str| (Way::entry(text), Way::nested(text));
        let kind = if text == OBJECT {
            let way = |keys: &[&str]| Way::new(keys.iter().map(|key| (*key).to_owned()).collect());
            Kind::Object([
                way(&["apiVersion"]),
                way(&["kind"]),
                way(&["metadata", "namespace"]),
                way(&["metadata", "name"]),
            ])
        } else if text.contains(BETWEEN) {
            Kind::Parts(text.split(BETWEEN).map(ways).collect())
        } else if let Some(way) = Way::nested(text) {
            Kind::Parts(vec![(Way::entry(text), Some(way))])
        } else {
            Kind::Entry
        };
        ElementKey { whole: Way::entry(text), kind }
    }

    /// Returns the element's value of the key, if it has one; `scalar` looks up the text of a string, number or boolean.
    pub fn value<'a>(&self, scalar: impl Fn(&Way) -> Option<Cow<'a, str>>) -> Option<Cow<'a, str>> {
        if let Some(value) = scalar(&self.whole) {
            return Some(value);
        }
        match &self.kind {
            Kind::Entry => None,
            Kind::Object(ways) => object(ways, scalar).map(Cow::Owned),
            Kind::Parts(parts) => {
                let value =
                    |(entry, nested): &(Way, Option<Way>)| scalar(entry).or_else(|| scalar(nested.as_ref()?));
                if let [part] = parts.as_slice() {
                    return value(part);
                }
                // A part may be absent, as the namespace is of what has none; not all of them.
                let values: Vec<_> = parts.iter().map(value).collect();
                values.iter().any(Option::is_some).then(|| {
                    let values = values.iter().map(|value| spelled(value.as_deref().unwrap_or_default()));
                    Cow::Owned(values.collect::<Vec<_>>().join(","))
                })
            }
        }
    }
}

/// A part of a composite value, in quotes where it could be taken for two.
fn spelled(part: &str) -> Cow<'_, str> {
    if part.contains(BETWEEN) || part.starts_with('"') {
        Cow::Owned(Value::from(part).to_string())
    } else {
        Cow::Borrowed(part)
    }
}

/// Names a Kubernetes object. Its version is not in it: `apps/v1beta1` becoming `apps/v1` is a change of the same object.
fn object<'a>(
    [version, kind, namespace, name]: &[Way; 4],
    scalar: impl Fn(&Way) -> Option<Cow<'a, str>>,
) -> Option<String> {
    let (version, kind) = (scalar(version)?, scalar(kind)?);
    let mut said = kind.into_owned();
    if let Some((group, _)) = version.split_once('/') {
        said.push('.');
        said.push_str(group);
    }
    for part in [scalar(namespace), scalar(name)].into_iter().flatten() {
        said.push('/');
        said.push_str(&part);
    }
    Some(said)
}

/// The text of a value that can identify an element.
pub(crate) fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        value @ (Value::Bool(_) | Value::Number(_)) => Some(Cow::Owned(value.to_string())),
        _ => None,
    }
}

/// Names each list element in the path by the first of the keys that the element has a value of.
pub(crate) fn with_keys(mut path: Path, keys: &[&str], config: &FlatConfig) -> Path {
    let mut at = String::new();
    for segment in &mut path.0 {
        let index = matches!(segment, Segment::Index(_));
        segment.print(&mut at);
        let named = |key: &&str| {
            let scalar = |way: &Way| text_of(config.get(&format!("{at}{}", way.rest))?);
            let value = ElementKey::new(key).value(scalar)?.into_owned();
            Some(Segment::Keyed { key: (*key).to_owned(), value })
        };
        if index && let Some(named) = keys.iter().find_map(named) {
            *segment = named;
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(key: &str, element: Value) -> Option<String> {
        let scalar = |way: &Way| {
            let found = way.keys.iter().try_fold(&element, |value, key| value.get(key))?;
            text_of(found).map(|text| Cow::Owned(text.into_owned()))
        };
        ElementKey::new(key).value(scalar).map(Cow::into_owned)
    }

    #[test]
    fn a_key_may_be_nested_composite_or_an_object() {
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
        assert_eq!(value("object", deployment.clone()).as_deref(), Some("Deployment.apps/web"));
        assert_eq!(value("metadata.name", deployment.clone()).as_deref(), Some("web"));
        assert_eq!(value("kind,metadata.name", deployment.clone()).as_deref(), Some("Deployment,web"));
        assert_eq!(value("kind,metadata.namespace", deployment.clone()).as_deref(), Some("Deployment,"));
        assert_eq!(value("a,b", deployment).as_deref(), None);
        let service =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "w", "namespace": "p"}});
        assert_eq!(value("object", service).as_deref(), Some("Service/p/w"));
        // An entry of that very name wins.
        assert_eq!(value("a.b", json!({"a.b": 1, "a": {"b": 2}})).as_deref(), Some("1"));
        assert_eq!(
            value("object", json!({"object": "x", "apiVersion": "v1", "kind": "A"})).as_deref(),
            Some("x")
        );
        // Values with commas are not mixed up.
        assert_ne!(value("a,b", json!({"a": "x,y", "b": "z"})), value("a,b", json!({"a": "x", "b": "y,z"})));
    }
}
