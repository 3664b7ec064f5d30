//! Fields that are secret by their names, by those above them, and by what stands beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use rig_event::FlatConfig;
use serde_json::Value;

use super::commands;
use super::names::{Sense, covers_below, ends_in_key, is_harmless, is_plural, is_weak, sense};
use super::values::is_placeholder;
use crate::Path;
use crate::path::Segment;
use crate::path::lenient;
use crate::random::is_high_entropy;

/// Returns true if the text is a switch. A switch is not a secret, whatever its name.
fn is_boolean(text: &str) -> bool {
    ["true", "false", "yes", "no", "on", "off", "none", "null"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

/// Returns true if the text only refers to a secret: a variable's name, the path of a file, an encrypted
/// value.
pub(super) fn is_reference(text: &str) -> bool {
    if text.len() > 256 {
        return text.starts_with("ENC[AES256_GCM,");
    }
    is_placeholder(text) || is_file(text) || text.starts_with("ENC[AES256_GCM,")
}

/// Returns true if the text looks like the path of a file: it starts at the root, the folder or the home, its
/// steps are words, and its ending or its first folder is one that such files have.
fn is_file(text: &str) -> bool {
    const ENDS: &str = "pem key crt cer p12 pfx jks json txt yaml yml toml env secret gpg asc pub ppk conf cfg ini keytab token";
    const ROOTS: &str = "run etc var mnt opt home usr vault secrets root srv data app config certs tmp";
    let text = text.strip_prefix("file://").unwrap_or(text);
    let rooted =
        text.starts_with('/') || text.starts_with("./") || text.starts_with("../") || text.starts_with("~/");
    let steps: Vec<&str> = text.split('/').filter(|step| !step.is_empty()).collect();
    let fine = |step: &&str| {
        step.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'~'))
            && !is_high_entropy(step)
    };
    let ending = text.rsplit_once('.').is_some_and(|(_, end)| ENDS.split(' ').any(|known| known == end));
    let root = steps.first().is_some_and(|first| ROOTS.split(' ').any(|known| known == *first));
    rooted && steps.iter().all(fine) && (ending || (root && steps.len() > 1))
}

/// Returns true if the value looks machine-generated and its name hints at a secret: `signing: {key: …}`.
pub(super) fn is_random_under_hint(path: &str, value: &Value) -> bool {
    let Value::String(text) = value else { return false };
    if !(16..=4096).contains(&text.len()) || !is_weak_at_end(path) {
        return false;
    }
    let path = lenient(path);
    let last = path.0.iter().rev().find_map(key_of);
    // `base64:…`, as Laravel writes its keys.
    let text = text.split_once(':').map_or(text.as_str(), |(scheme, rest)| {
        if matches!(scheme, "base64" | "hex" | "base32" | "raw") { rest } else { text.as_str() }
    });
    last.is_some_and(is_weak) && is_high_entropy(text)
}

/// A cheap look at how a path ends, before it is taken apart.
fn is_weak_at_end(path: &str) -> bool {
    const ENDS: [&str; 22] = [
        "key", "keys", "auth", "cred", "salt", "seed", "ture", "sig", "ense", "cess", "sion", "vate", "pher",
        "crypt", "hook", "otp", "mfa", "ase", "ogin", "sid", "ode", "pin",
    ];
    let end = path.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '[' | ']' | '"')).as_bytes();
    let ends = |piece: &str| {
        end.len() >= piece.len() && end[end.len() - piece.len()..].eq_ignore_ascii_case(piece.as_bytes())
    };
    ENDS.iter().any(|piece| ends(piece)) || ends("ion") || ends("dsn")
}

/// Returns true if the field's name makes this value a secret.
pub(super) fn names_secret(path: &Path, value: &Value) -> bool {
    let keys: Vec<&str> = path.0.iter().filter_map(key_of).collect();
    let Some((last, above)) = keys.split_last() else { return false };
    // A list of variables matched by name: `env[name=DB_PASSWORD].value`.
    let variable = path.0.iter().rev().nth(1).is_some_and(|segment| {
        let is_value = matches!(last.to_ascii_lowercase().as_str(), "value" | "val" | "default" | "content");
        matches!(segment, Segment::Keyed { value, .. } if is_value && sense(value) == Sense::Secret)
    });
    let whole = matches!(*last, "value" | "data" | "plain" | "plaintext" | "text" | "current" | "previous");
    let below = above.last().is_some_and(|above| {
        (whole && sense(above) == Sense::Secret) || (is_plural(above) && !is_harmless(last))
    }) || is_below_secret(&keys);
    // `auths."index.docker.io".auth`, where Docker keeps what it logs in with.
    let docker = *last == "auth" && above.contains(&"auths");
    let own = match sense(last) {
        Sense::Innocent if docker || is_split_key(&keys, value) => Sense::Secret,
        own => own,
    };
    match (value, own) {
        (Value::String(text), _) if is_boolean(text) || is_reference(text) => false,
        (Value::String(_), own) => own != Sense::Innocent || variable || below,
        (Value::Number(_), own) => (own == Sense::Secret && !is_plural(last)) || variable,
        _ => false,
    }
}

pub(super) fn key_of(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Key(key) => Some(key.as_str()),
        Segment::Index(_) | Segment::Keyed { .. } => None,
    }
}

/// Joins the last name with the one above it: `key` below `api` is `api_key`.
fn joined(keys: &[&str]) -> Option<String> {
    match keys {
        [.., above, last] if ends_in_key(last) || last.eq_ignore_ascii_case("community") => {
            Some(format!("{above}_{last}"))
        }
        _ => None,
    }
}

/// Returns true if a secret's name is split into steps: `api.key`, `aws.secret.key`. The path of a file is
/// not a key.
fn is_split_key(keys: &[&str], value: &Value) -> bool {
    !value.as_str().is_some_and(is_reference)
        && joined(keys).is_some_and(|name| sense(&name) == Sense::Secret)
}

/// Returns true if a step above the last is a secret's name and no step below it is known to be harmless,
/// unlike `secret.name` and `token.labels.app`.
fn is_below_secret(keys: &[&str]) -> bool {
    for end in (1..=keys.len()).rev() {
        let here = &keys[..end];
        let name = joined(here).filter(|name| sense(name) == Sense::Secret);
        let name = name.as_deref().unwrap_or(here[end - 1]);
        if end < keys.len() && covers_below(name) {
            return true;
        }
        if is_harmless(here[end - 1]) && !covers_below(name) {
            return false;
        }
    }
    false
}

/// Returns true if the keys of a map may be secrets, by the names that lead to it: `api_keys`, `tokens`, or
/// `keys` in `api`.
pub(super) fn lists_secrets(above: &[&str]) -> bool {
    let joined = || joined(above).is_some_and(|name| is_plural(&name));
    above.last().is_some_and(|last| (is_plural(last) && covers_below(last)) || joined())
}

/// The verdict of other fields on this one: it is a secret as a whole, or a part of it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The whole value.
    Whole,
    /// These bytes of its text.
    Part(Range<usize>),
}

/// The fields that are secret by what other fields say: `value` beside a `name` that announces a secret, arguments of a
/// command that takes one, and the data of a Kubernetes Secret.
pub(super) fn told_by_others(config: &FlatConfig) -> BTreeMap<String, Told> {
    // With `@` and `#` as XML has them: `<property name="password" value="…"/>`, `<entry key="password">…</entry>`.
    const NAMES: [&str; 11] = [
        ".name",
        ".key",
        ".variable",
        ".Name",
        ".Key",
        ".header",
        ".parameter",
        ".setting",
        ".@name",
        ".@key",
        ".@id",
    ];
    const VALUES: [&str; 12] = [
        "value",
        "val",
        "Value",
        "Val",
        "default",
        "content",
        "plaintext",
        "stringValue",
        "secureValue",
        "@value",
        "#text",
        "@content",
    ];
    let mut told = BTreeMap::new();
    let mut lists = BTreeSet::new();
    for (path, value) in config {
        let Some(said) = value.as_str() else { continue };
        if said.len() > 1024 {
            continue;
        }
        if let Some(parent) = NAMES.iter().find_map(|name| path.strip_suffix(name)) {
            if sense(said) == Sense::Secret {
                for name in VALUES {
                    let path = format!("{parent}.{name}");
                    if config.get(&path).and_then(Value::as_str).is_none_or(|text| !is_reference(text)) {
                        told.insert(path, Told::Whole);
                    }
                }
            }
        } else if path.ends_with(']') {
            // Headers as a list of pairs.
            if let Some(pair) = path.strip_suffix("[0]").filter(|pair| pair.ends_with(']'))
                && sense(said) == Sense::Secret
                && !config.contains_key(&format!("{pair}[2]"))
            {
                told.insert(format!("{pair}[1]"), Told::Whole);
            }
            // An option or a command makes a list one of arguments.
            let is_argument = said.starts_with('-') || commands::known(said).is_some();
            if let Some((list, _)) = path.rsplit_once('[').filter(|_| is_argument) {
                lists.insert(list);
            }
        } else if said == "Secret" && (path == "kind" || path.ends_with(".kind")) {
            let root = path.strip_suffix("kind").unwrap_or_default();
            for part in ["data.", "stringData."].map(|part| format!("{root}{part}")) {
                let below = config.range(part.clone()..).take_while(|(path, _)| path.starts_with(&part));
                told.extend(below.map(|(path, _)| (path.clone(), Told::Whole)));
            }
        }
    }
    lists.into_iter().for_each(|list| arguments(config, list, &mut told));
    told
}

/// Looks through a list of arguments; what Kubernetes calls `args` comes behind its `command`.
fn arguments(config: &FlatConfig, list: &str, told: &mut BTreeMap<String, Told>) {
    let all = |list: &str| -> Vec<&str> {
        (0..).map_while(|at| config.get(&format!("{list}[{at}]")).and_then(Value::as_str)).collect()
    };
    let parent = list.rfind('.').map_or("", |dot| &list[..=dot]);
    let mut before = Vec::new();
    for name in ["command", "entrypoint", "Entrypoint", "Command"].map(|name| format!("{parent}{name}")) {
        if name != list {
            before.extend(
                config.get(&name).and_then(Value::as_str).into_iter().flat_map(str::split_whitespace),
            );
            before.extend(all(&name));
        }
    }
    let arguments = all(list);
    for (at, range) in commands::in_arguments(&before, &arguments) {
        let whole = range.len() == arguments[at].len();
        told.insert(format!("{list}[{at}]"), if whole { Told::Whole } else { Told::Part(range) });
    }
}
