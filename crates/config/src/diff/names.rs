//! The names of fields as a diff gives them: elements of lists by their key, where they are matched by one.

use rig_event::FlatConfig;

use super::entries;
use super::fields::{Fields, bracket, elements};
use super::lists::{key, rule};
use crate::Policy;
use crate::path::{Segment, print_keyed};
use crate::policy::Matching;

/// A configuration with the elements of lists named as a diff with another version of it would name them:
/// `servers[name=api].port`, and by index where no key tells them apart.
///
/// These are names to look up and to show; the order of keyed lists is not in them.
///
/// The second answer is the lists to which a `[[list]]` rule with a key cannot apply, with that key.
pub fn named<'p>(config: &FlatConfig, policy: &'p Policy) -> (FlatConfig, Vec<(String, &'p str)>) {
    let mut names = Names { policy, config: FlatConfig::new(), without_key: Vec::new() };
    let entries = entries(config);
    names.fields(Fields { entries: &entries, skip: 0 }, "");
    (names.config, names.without_key)
}

struct Names<'p> {
    policy: &'p Policy,
    config: FlatConfig,
    without_key: Vec<(String, &'p str)>,
}

impl Names<'_> {
    fn fields(&mut self, fields: Fields<'_>, at: &str) {
        let mut i = 0;
        while let Some((rest, value)) = fields.get(i) {
            match bracket(rest) {
                Some(open) => {
                    let run = fields.run(i, &rest[..=open]);
                    self.list(fields.slice(i..i + run, open), &format!("{at}{}", &rest[..open]));
                    i += run;
                }
                None => {
                    self.config.insert(format!("{at}{rest}"), value.clone());
                    i += 1;
                }
            }
        }
    }

    fn list(&mut self, list: Fields<'_>, at: &str) {
        let Some(elements) = elements(list) else {
            self.config.extend(list.iter().map(|(rest, value)| (format!("{at}{rest}"), value.clone())));
            return;
        };
        let rule = rule(at, self.policy);
        let key = key(&elements, &elements, rule);
        if let (None, Some(Matching::Key { key, .. })) = (&key, rule) {
            self.without_key.push((at.to_owned(), key));
        }
        for (index, element) in elements.iter().enumerate() {
            let mut path = at.to_owned();
            match &key {
                Some(key) => print_keyed(&mut path, key.name, &key.new[index]),
                None => Segment::Index(index).print(&mut path),
            }
            self.fields(*element, &path);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn elements_are_named_by_their_keys() {
        let flat = |value: Value| -> FlatConfig { value.as_object().unwrap().clone().into_iter().collect() };
        let config =
            flat(json!({"s[0].name": "x", "s[0].p": 1, "s[1].name": "y", "s[1].l[0].id": 3, "t[0]": 1}));
        let names: Vec<String> = named(&config, &Policy::default()).0.into_keys().collect();
        assert_eq!(
            names,
            ["s[name=x].name", "s[name=x].p", "s[name=y].l[id=3].id", "s[name=y].name", "t[0]"]
        );
    }
}
