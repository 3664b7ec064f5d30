//! The names of fields as a diff gives them: elements of lists by their key, where they are matched by one.

use std::cmp::Ordering;
use std::collections::HashMap;

use rig_event::FlatConfig;

use super::entries;
use super::fields::{Fields, bracket, elements};
use super::lists::{key, rule};
use super::walk::join;
use crate::Policy;
use crate::path::Segment;

/// Both configurations with the elements of lists named as a diff of the two would name them, `servers[name=api].port`,
/// and by index where it would match them otherwise. So the same name is the same field in both.
///
/// These are names to look up and to show; the order of keyed lists is not in them.
pub fn named(a: &FlatConfig, b: &FlatConfig, policy: &Policy) -> (FlatConfig, FlatConfig) {
    let mut names = Names { policy, a: FlatConfig::new(), b: FlatConfig::new() };
    let (a, b) = (entries(a), entries(b));
    names.fields(Fields { entries: &a, skip: 0 }, Fields { entries: &b, skip: 0 }, "");
    (names.a, names.b)
}

struct Names<'p> {
    policy: &'p Policy,
    a: FlatConfig,
    b: FlatConfig,
}

impl Names<'_> {
    fn fields(&mut self, a: Fields<'_>, b: Fields<'_>, at: &str) {
        let (mut i, mut j) = (0, 0);
        loop {
            let order = match (a.get(i), b.get(j)) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let first = if order.is_le() { a.get(i) } else { b.get(j) };
            let Some((rest, _)) = first else { return };
            if let Some(open) = bracket(rest) {
                let list = &rest[..=open];
                let run = |fields: Fields<'_>, at: usize| match fields.get(at) {
                    Some((rest, _)) if rest.starts_with(list) => fields.run(at, list),
                    _ => 0,
                };
                let (m, n) = (run(a, i), run(b, j));
                self.list(a.slice(i..i + m, open), b.slice(j..j + n, open), &join(at, &rest[..open]));
                (i, j) = (i + m, j + n);
                continue;
            }
            if order.is_le() {
                self.a.extend(a.get(i).map(|(rest, value)| (join(at, rest), value.clone())));
                i += 1;
            }
            if order.is_ge() {
                self.b.extend(b.get(j).map(|(rest, value)| (join(at, rest), value.clone())));
                j += 1;
            }
        }
    }

    fn list(&mut self, a: Fields<'_>, b: Fields<'_>, at: &str) {
        let (Some(olds), Some(news)) = (elements(a), elements(b)) else {
            self.a.extend(a.iter().map(|(rest, value)| (join(at, rest), value.clone())));
            self.b.extend(b.iter().map(|(rest, value)| (join(at, rest), value.clone())));
            return;
        };
        let none = Fields { entries: &[], skip: 0 };
        let Some(key) = key(&olds, &news, rule(at, self.policy)) else {
            for index in 0..olds.len().max(news.len()) {
                let a = olds.get(index).copied().unwrap_or(none);
                self.fields(a, news.get(index).copied().unwrap_or(none), &format!("{at}[{index}]"));
            }
            return;
        };
        let mut places: HashMap<&str, usize> =
            key.new.iter().enumerate().map(|(index, value)| (value.as_ref(), index)).collect();
        let step = |value: &str| {
            let mut path = at.to_owned();
            Segment::Keyed { key: key.name.to_owned(), value: value.to_owned() }.print(&mut path);
            path
        };
        for (element, value) in olds.iter().zip(&key.old) {
            let other = places.remove(value.as_ref()).map_or(none, |index| news[index]);
            self.fields(*element, other, &step(value));
        }
        for (element, value) in
            news.iter().zip(&key.new).filter(|(_, value)| places.contains_key(value.as_ref()))
        {
            self.fields(none, *element, &step(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_field_has_one_name_in_both() {
        let flat = |value: Value| -> FlatConfig { value.as_object().unwrap().clone().into_iter().collect() };
        let a = flat(json!({"s[0].name": "x", "s[0].p": 1, "s[1].name": "y", "s[1].l[0].id": 3, "t[0]": 1}));
        let b = flat(json!({"s[0].name": "y", "s[0].l[0].id": 3, "t[0]": 1, "u[0].id": 1}));
        let (a, b) = named(&a, &b, &Policy::default());
        let names = |config: &FlatConfig| config.keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            names(&a),
            ["s[name=x].name", "s[name=x].p", "s[name=y].l[id=3].id", "s[name=y].name", "t[0]"]
        );
        assert_eq!(names(&b), ["s[name=y].l[id=3].id", "s[name=y].name", "t[0]", "u[id=1].id"]);
    }
}
