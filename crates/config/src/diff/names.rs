//! The names of fields as a diff gives them: elements of lists by their key, where they are matched by one.

use rig_event::FlatConfig;

use super::entries;
use super::fields::{Fields, bracket, elements};
use super::lists::{key, rule};
use crate::Policy;
use crate::path::{Segment, print_keyed};

/// A configuration with the elements of lists named as a diff with another version of it would name them:
/// `servers[name=api].port`, and by index where no key tells them apart.
///
/// These are names to look up and to show; the order of keyed lists is not in them.
pub fn named(config: &FlatConfig, policy: &Policy) -> FlatConfig {
    let mut names = Names { policy, config: FlatConfig::new() };
    let entries = entries(config);
    names.fields(Fields { entries: &entries, skip: 0 }, "");
    names.config
}

struct Names<'p> {
    policy: &'p Policy,
    config: FlatConfig,
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
        let key = key(&elements, &elements, rule(at, self.policy));
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
        let config = flat(json!({"s[0].name": "x", "s[0].p": 1, "s[1].name": "y", "s[1].l[0].id": 3, "t[0]": 1}));
        let names: Vec<String> = named(&config, &Policy::default()).into_keys().collect();
        assert_eq!(
            names,
            ["s[name=x].name", "s[name=x].p", "s[name=y].l[id=3].id", "s[name=y].name", "t[0]"]
        );
    }
}
