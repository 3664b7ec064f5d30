//! Properties of the difference of any two documents.

use proptest::prelude::*;
use rig_config::diff::nest::nested;
use rig_config::diff::patch::{json_patch, merge_patch};
use rig_config::{FlatConfig, Format, Limits, Op, Policy, Timestamp, apply, diff, drift, parse};
use serde_json::{Map, Value, json};

fn flat(document: &Value) -> FlatConfig {
    parse(document.to_string().as_bytes(), Format::Json, &Limits::default()).unwrap().config
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3i64).prop_map(Value::from),
        "[a-cA ]{0,2}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
    ]
}

/// Keys that need quotes among them, and the names that lists are matched by.
fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "a-b", "a.b", "a[0]", "\"", "name", "id", "list", ""])
        .prop_map(str::to_owned)
}

/// Elements that have a name: mostly one of their own, and in any order.
fn keyed(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let name =
        prop_oneof![(0..6i64).prop_map(Value::from), "[a-e]".prop_map(Value::from), Just(json!("x]=y"))];
    prop::collection::vec((name, key(), inner), 0..6).prop_map(|elements| {
        elements.into_iter().map(|(name, key, value)| json!({ "name": name, key: value })).collect()
    })
}

fn document() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            keyed(inner.clone()),
            keyed(inner.clone()),
            prop::collection::btree_map(key(), inner, 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    let rules = prop::sample::subsequence(
        vec![
            "[[list]]\npath = \"**\"\nmode = \"set\"\n",
            "[[list]]\npath = \"**\"\nmode = \"sequence\"\n",
            "[[list]]\npath = \"**.list\"\nmode = \"index\"\n",
            "[[list]]\npath = \"**\"\nkey = \"name\"\n",
            "[[list]]\npath = \"**.a\"\nkey = \"id\"\n",
            "[[list]]\npath = \"**\"\nkey = [\"name\", \"a.b\"]\n",
            "[[list]]\npath = \"**.list\"\nkey = \"a.name\"\n",
            "profile = \"kubernetes\"\n",
            "[[compare]]\npath = \"**\"\ntrim = true\nignore_case = true\n",
            "[[compare]]\npath = \"**.a\"\nignore_type = true\ntolerance = 1\n",
            "[[ignore]]\npath = \"**.b\"\n",
            "[[severity]]\npath = \"**.a\"\nlevel = \"high\"\n",
        ],
        0..5,
    );
    rules.prop_map(|mut rules| {
        // A value cannot stand behind a table.
        rules.sort_by_key(|rule| rule.starts_with('['));
        Policy::parse(&rules.concat()).unwrap()
    })
}

/// RFC 6902, as far as the patches go, written without a look at how they are made.
fn patched(mut document: Value, patch: &[Value]) -> Value {
    fn parent<'a>(document: &'a mut Value, pointer: &str) -> (&'a mut Value, String) {
        let (above, last) = pointer.rsplit_once('/').unwrap();
        (document.pointer_mut(above).unwrap(), last.replace("~1", "/").replace("~0", "~"))
    }
    fn remove(document: &mut Value, pointer: &str) -> Value {
        match parent(document, pointer) {
            (Value::Array(items), last) => items.remove(last.parse().unwrap()),
            (Value::Object(entries), last) => entries.remove(&last).unwrap(),
            _ => panic!("{pointer}"),
        }
    }
    fn add(document: &mut Value, pointer: &str, value: Value) {
        match parent(document, pointer) {
            (Value::Array(items), last) => items.insert(last.parse().unwrap(), value),
            (Value::Object(entries), last) => drop(entries.insert(last, value)),
            _ => panic!("{pointer}"),
        }
    }
    for operation in patch {
        let text = |key: &str| operation[key].as_str().unwrap();
        match text("op") {
            "remove" => drop(remove(&mut document, text("path"))),
            "add" => add(&mut document, text("path"), operation["value"].clone()),
            "move" => {
                let value = remove(&mut document, text("from"));
                add(&mut document, text("path"), value);
            }
            _ => *document.pointer_mut(text("path")).unwrap() = operation["value"].clone(),
        }
    }
    document
}

/// RFC 7386, section 2.
fn merged(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut target = match target {
        Value::Object(entries) => entries,
        _ => Map::new(),
    };
    for (key, value) in patch {
        let before = target.remove(key);
        if !value.is_null() {
            target.insert(key.clone(), merged(before.unwrap_or_default(), value));
        }
    }
    Value::Object(target)
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(entries) => entries.values().any(has_null),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn applying_a_diff_gives_the_new_document(old in document(), new in document(), policy in policy()) {
        let (old, new) = (flat(&old), flat(&new));
        let found = diff(&old, &new, &policy);
        let mut applied = old.clone();
        let changes = serde_json::to_string(&found.changes).unwrap();
        apply(&mut applied, &serde_json::from_str::<Vec<_>>(&changes).unwrap())
            .map_err(|error| TestCaseError::fail(format!("{error}: {changes}")))?;
        prop_assert_eq!(&applied, &new, "{}", changes);
    }

    #[test]
    fn a_document_does_not_differ_from_itself(document in document(), policy in policy()) {
        let document = flat(&document);
        let found = diff(&document, &document, &policy);
        prop_assert!(found.changes.is_empty(), "{:?}", found.changes);
    }

    #[test]
    fn another_order_of_a_keyed_list_is_nothing_but_moves(
        names in prop::collection::btree_set("[a-h]", 1..8),
        other in any::<prop::sample::Index>(),
        inner in document(),
    ) {
        let element = |name: &String| json!({ "name": name, "inner": inner });
        let old: Vec<Value> = names.iter().map(element).collect();
        let mut new = old.clone();
        let length = new.len();
        new.rotate_left(other.index(length));
        let found = diff(&flat(&json!({ "l": old })), &flat(&json!({ "l": new })), &Policy::default());
        prop_assert!(found.changes.iter().all(|change| change.op == Op::Moved), "{:?}", found.changes);
        prop_assert!(found.moved < length as u64);
    }

    #[test]
    fn another_order_of_any_list_is_nothing_but_moves(
        list in prop::collection::vec(document(), 1..7).prop_flat_map(|list| (Just(list.clone()), Just(list).prop_shuffle())),
    ) {
        let found = diff(&flat(&json!({ "l": list.0 })), &flat(&json!({ "l": list.1 })), &Policy::default());
        prop_assert!(found.changes.iter().all(|change| change.op == Op::Moved), "{:?}", found.changes);
    }

    #[test]
    fn more_elements_of_what_was_single_do_not_touch_it(
        one in document(), others in prop::collection::vec(document(), 1..4), at in any::<prop::sample::Index>(),
    ) {
        let one = json!({ "host": one });
        let mut several: Vec<Value> = others.into_iter().map(|other| json!({ "host": [other], "b": 1 })).collect();
        several.insert(at.index(several.len() + 1), one.clone());
        let single = flat(&json!({ "a": {"peer": one}, "b": 1 }));
        let several = flat(&json!({ "a": {"peer": several}, "b": 1 }));
        for (old, new, op) in [(&single, &several, Op::Added), (&several, &single, Op::Removed)] {
            let found = diff(old, new, &Policy::default());
            let allowed = [op, Op::Moved, Op::Placed];
            prop_assert!(found.changes.iter().all(|change| allowed.contains(&change.op)), "{:?}", found.changes);
            let mut applied = old.clone();
            apply(&mut applied, &found.changes)
                .map_err(|error| TestCaseError::fail(format!("{error}: {:?}", found.changes)))?;
            prop_assert_eq!(&applied, new);
        }
    }

    #[test]
    fn the_order_of_a_set_is_no_difference(mut list in prop::collection::vec(document(), 0..6), at in any::<prop::sample::Index>()) {
        let policy = Policy::parse("[[list]]\npath = \"l\"\nmode = \"set\"\n").unwrap();
        let old = flat(&json!({ "l": list }));
        let middle = at.index(list.len() + 1);
        list.rotate_left(middle);
        let new = flat(&json!({ "l": list }));
        prop_assert!(diff(&old, &new, &policy).is_empty());
    }

    #[test]
    fn ignore_and_list_rules_combine(old in keyed(leaf()), new in keyed(leaf()), policy in policy()) {
        let now = "2026-11-20T00:00:00Z".parse::<Timestamp>().unwrap();
        let (old, new) = (flat(&json!({ "l": old })), flat(&json!({ "l": new })));
        let found = diff(&old, &new, &policy);
        let told = found.changes.iter().filter(|change| change.op.is_difference());
        let expected: Vec<_> = told.filter(|c| policy.ignores(&c.path, now).is_none()).map(|c| &c.path).collect();
        let drift = drift(&old, &new, &policy, &[], now);
        let mut drifted: Vec<_> = drift.fields.iter().map(|field| &field.path).collect();
        let mut expected = expected;
        drifted.sort();
        expected.sort();
        prop_assert_eq!(drifted, expected);
    }

    #[test]
    fn a_json_patch_gives_the_new_document(old in document(), new in document(), policy in policy()) {
        let (old, new) = (flat(&old), flat(&new));
        let patch = json_patch(&old, &new, &policy);
        prop_assert_eq!(patched(nested(&old), &patch), nested(&new), "{:?}", patch);
    }

    #[test]
    fn a_merge_patch_gives_the_new_document_unless_it_says_why_not(old in document(), new in document()) {
        let (old, new) = (flat(&old), flat(&new));
        let (patch, nulls) = merge_patch(&old, &new);
        if nulls.is_empty() {
            prop_assert_eq!(merged(nested(&old), &patch), nested(&new), "{}", patch);
        } else {
            prop_assert!(has_null(&nested(&new)));
        }
    }

    #[test]
    fn fields_and_documents_are_the_same_thing(document in document()) {
        prop_assert_eq!(nested(&flat(&document)), document);
    }
}

#[test]
fn the_elements_of_a_keyed_list_are_told_by_their_key() {
    let old =
        json!({"servers": [{"name": "api", "port": "8080"}, {"name": "db", "port": 5432}, {"name": "old"}]});
    let new =
        json!({"servers": [{"name": "new"}, {"name": "db", "port": 5433}, {"name": "api", "port": 8080}]});
    let found = diff(&flat(&old), &flat(&new), &Policy::default());
    let told: Vec<_> = found
        .changes
        .iter()
        .filter(|change| change.op.is_difference())
        .map(|change| (change.op.as_str(), change.path.as_str(), change.retyped()))
        .collect();
    assert_eq!(
        told,
        [
            ("removed", "servers[name=old].name", None),
            ("added", "servers[name=new].name", None),
            ("changed", "servers[name=db].port", None),
            ("moved", "servers[name=db]", None),
            ("changed", "servers[name=api].port", Some(("string", "number"))),
        ]
    );
}

#[test]
fn what_a_rule_holds_equal_is_no_difference_and_stays_in_the_log() {
    let policy = "[[compare]]\npath = \"ratio\"\ntolerance = 0.01\n[[compare]]\npath = \"hosts[*]\"\nignore_case = true\n[[list]]\npath = \"hosts\"\nmode = \"set\"\n";
    let policy = Policy::parse(policy).unwrap();
    let old = flat(&json!({"ratio": 0.5, "hosts": ["a", "B"]}));
    let new = flat(&json!({"ratio": 0.505, "hosts": ["b", "A"]}));
    let found = diff(&old, &new, &policy);
    assert!(found.is_empty() && found.severity.is_none(), "{found:?}");
    assert_eq!(found.equivalent, 3);
    let mut applied = old;
    apply(&mut applied, &found.changes).unwrap();
    assert_eq!(applied, new);
}
