//! The name of a snapshot file with variables in it: `snapshots/api-{{timestamp}}-{{hostname}}.json`.

use std::collections::BTreeMap;

use rig_event::Timestamp;

use crate::Error;

/// The variables a name may have. All but `timestamp` are entries of the audit metadata.
pub const VARIABLES: &[&str] = &["timestamp", "service", "hostname", "operator", "deployment", "git_sha"];

/// What changes from snapshot to snapshot of one service on one machine.
const VARYING: &[&str] = &["timestamp", "operator", "deployment", "git_sha"];

/// A name with variables, in a folder or an object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(&'static str),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`Error::Template`] for a variable that does not exist, a brace that is not closed, an empty name, or `..` in it.
    pub fn parse(text: &str) -> Result<Template, Error> {
        let bad = |why: String| Error::Template { template: text.to_owned(), why };
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("{{") {
            let Some(end) = rest[at..].find("}}").map(|end| at + end) else {
                return Err(bad("a `{{` is not closed by `}}`".to_owned()));
            };
            let name = rest[at + 2..end].trim();
            let Some(known) = VARIABLES.iter().find(|known| **known == name) else {
                let known = VARIABLES.join(", ");
                return Err(bad(format!("{name:?} is no variable; there are {known}")));
            };
            if at > 0 {
                pieces.push(Piece::Text(rest[..at].to_owned()));
            }
            pieces.push(Piece::Variable(known));
            rest = &rest[end + 2..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        if text.is_empty() || text.ends_with('/') {
            return Err(bad("it names no file".to_owned()));
        }
        if text.split('/').any(|part| part == "..") {
            return Err(bad("leave `..` out".to_owned()));
        }
        Ok(Template { text: text.to_owned(), pieces })
    }

    /// The name of a snapshot. What could not stand in a file's name (of a hostname, say) becomes `_`.
    ///
    /// # Errors
    /// [`Error::Template`] when a variable has no value.
    pub fn expand(&self, now: Timestamp, audit: &BTreeMap<String, String>) -> Result<String, Error> {
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Variable("timestamp") => name.push_str(&stamp(now)),
                Piece::Variable(variable) => {
                    let value = audit.get(*variable).filter(|value| !value.is_empty());
                    let value = value.ok_or_else(|| Error::Template {
                        template: self.text.clone(),
                        why: format!("{variable} is not known here; say it with --meta {variable}=…"),
                    })?;
                    name.push_str(&fit(value));
                }
            }
        }
        Ok(name)
    }

    /// Whether each snapshot gets a name of its own.
    pub fn has_timestamp(&self) -> bool {
        self.pieces.contains(&Piece::Variable("timestamp"))
    }

    /// Returns true if a name says of which service and machine its snapshot is.
    pub fn names_its_own(&self) -> bool {
        ["service", "hostname"].iter().all(|name| self.pieces.contains(&Piece::Variable(name)))
    }

    /// The folders that all snapshots of the template lie in, up to the last `/` before something that varies.
    pub fn folder(&self, audit: &BTreeMap<String, String>) -> Result<String, Error> {
        let fixed = self.pieces.iter().take_while(|piece| !varies(piece));
        let fixed = Template { text: self.text.clone(), pieces: fixed.cloned().collect() };
        let name = fixed.expand(Timestamp::default(), audit)?;
        Ok(name.rfind('/').map_or(String::new(), |at| name[..=at].to_owned()))
    }

    /// How many folders below [`Template::folder`] a snapshot may lie.
    pub fn depth(&self, folder: &str, name: &str) -> usize {
        name[folder.len().min(name.len())..].matches('/').count()
    }

    /// The time stamp in a name that this template makes for the same service and machine; `None` for any other name.
    pub fn matches<'a>(&self, name: &'a str, audit: &BTreeMap<String, String>) -> Option<&'a str> {
        let mut stamp = None;
        matches(&self.pieces, name, audit, &mut stamp).then_some(stamp).flatten()
    }
}

fn varies(piece: &Piece) -> bool {
    matches!(piece, Piece::Variable(name) if VARYING.contains(name))
}

fn matches<'a>(
    pieces: &[Piece],
    name: &'a str,
    audit: &BTreeMap<String, String>,
    stamp: &mut Option<&'a str>,
) -> bool {
    let Some((piece, rest)) = pieces.split_first() else { return name.is_empty() };
    match piece {
        Piece::Text(text) => {
            name.strip_prefix(text.as_str()).is_some_and(|name| matches(rest, name, audit, stamp))
        }
        Piece::Variable("timestamp") => {
            let Some(found) = name.get(..15).filter(|found| is_stamp(found)) else { return false };
            if !matches(rest, &name[15..], audit, stamp) {
                return false;
            }
            *stamp = Some(found);
            true
        }
        Piece::Variable(variable) if !VARYING.contains(variable) => {
            let value = audit.get(*variable).map(|value| fit(value)).unwrap_or_default();
            name.strip_prefix(value.as_str()).is_some_and(|name| matches(rest, name, audit, stamp))
        }
        Piece::Variable(_) => {
            let longest = name.bytes().take_while(|b| is_fit(char::from(*b))).count();
            (1..=longest).any(|end| matches(rest, &name[end..], audit, stamp))
        }
    }
}

/// `20060102-150405`, in UTC.
fn stamp(now: Timestamp) -> String {
    let text = now.to_string();
    let digits: String = text.chars().take(19).filter(char::is_ascii_digit).collect();
    if digits.len() == 14 { format!("{}-{}", &digits[..8], &digits[8..]) } else { digits }
}

fn is_stamp(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, b)| if at == 8 { b == b'-' } else { b.is_ascii_digit() })
}

fn is_fit(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn fit(value: &str) -> String {
    let fit: String = value.chars().take(128).map(|c| if is_fit(c) { c } else { '_' }).collect();
    // No name may lead out of its folder, or be hidden.
    fit.strip_prefix('.').map(|rest| format!("_{rest}")).unwrap_or(fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit() -> BTreeMap<String, String> {
        [("service", "shop/api"), ("hostname", "h1"), ("git_sha", "abc")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    fn now() -> Timestamp {
        "2026-01-15T10:30:00.5Z".parse().unwrap()
    }

    #[test]
    fn variables_expand() {
        let name = |text: &str| Template::parse(text).unwrap().expand(now(), &audit()).unwrap();
        assert_eq!(name("s/api-{{timestamp}}-{{ hostname }}.json"), "s/api-20260115-103000-h1.json");
        assert_eq!(name("{{service}}-{{git_sha}}.json"), "shop_api-abc.json");
        let mut odd = audit();
        odd.insert("hostname".into(), "../x y".into());
        assert_eq!(Template::parse("{{hostname}}").unwrap().expand(now(), &odd).unwrap(), "_._x_y");
    }

    #[test]
    fn what_cannot_be_expanded_is_an_error_that_says_why() {
        for (text, word) in [
            ("{{time}}.json", "timestamp"),
            ("{{timestamp.json", "not closed"),
            ("", "no file"),
            ("a/", "no file"),
            ("../{{timestamp}}", ".."),
        ] {
            let error = Template::parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let error = Template::parse("{{deployment}}").unwrap().expand(now(), &audit()).unwrap_err();
        assert!(error.to_string().contains("--meta deployment="), "{error}");
    }

    #[test]
    fn a_template_knows_its_own_names() {
        let stamp = |text: &str, name: &str| {
            Template::parse(text).unwrap().matches(name, &audit()).map(str::to_owned)
        };
        let found = Some("20260115-103000".to_owned());
        let text = "s/api-{{timestamp}}-{{hostname}}.json";
        assert_eq!(stamp(text, "s/api-20260115-103000-h1.json"), found);
        for other in [
            "s/api-20260115-103000-h2.json",
            "s/api-20260115-103000-h1.json.bak",
            "s/api-2026011-5103000-h1.json",
            "s/api-20260115-103000.json",
            "s/web-20260115-103000-h1.json",
            "api-20260115-103000-h1.json",
            "s/api-20260115-10300ü-h1.json",
        ] {
            assert_eq!(stamp(text, other), None, "{other}");
        }
        assert_eq!(stamp("{{git_sha}}-{{timestamp}}.json", "a-b-20260115-103000.json"), found);
        assert_eq!(stamp("{{git_sha}}/{{timestamp}}", "a/b/20260115-103000"), None);
    }

    #[test]
    fn the_folder_ends_before_what_varies() {
        let folder = |text: &str| Template::parse(text).unwrap().folder(&audit()).unwrap();
        assert_eq!(folder("/a/{{service}}/x-{{timestamp}}.json"), "/a/shop_api/");
        assert_eq!(folder("a/{{git_sha}}/x-{{timestamp}}.json"), "a/");
        assert_eq!(folder("x-{{timestamp}}.json"), "");
    }
}
