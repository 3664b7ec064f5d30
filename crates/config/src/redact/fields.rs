//! Fields that are secret by their names, by those above them, and by what stands beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use rig_event::FlatConfig;
use serde_json::Value;

use super::commands;
use crate::Path;
use crate::path::{Segment, lenient};
use crate::random::is_high_entropy;
use crate::secrets::looks::{
    is_code, is_digest, is_label, is_mode, is_odd, is_public, is_reference, is_word,
};
use crate::secrets::names::{
    Sense, covers_below, is_harmless, is_plural, is_version, is_weak, joined, key_of, sense,
};

/// Returns true if the value looks machine-generated and its name hints at a secret: `signing: {key: …}`.
pub(super) fn is_random_under_hint(path: &str, value: &Value) -> bool {
    let Value::String(text) = value else { return false };
    if !(16..=4096).contains(&text.len()) || !(is_weak_at_end(path) || path.contains("eys.")) {
        return false;
    }
    let path = lenient(path);
    let mut keys = path.0.iter().rev().filter_map(key_of);
    let last = keys.next();
    // `keys: {name: random}`
    let is_among_keys =
        keys.next().is_some_and(|above| matches!(above, "keys" | "api_keys" | "apiKeys")) && text.len() >= 32;
    // `base64:…`, as Laravel writes its keys.
    let text = text.split_once(':').map_or(text.as_str(), |(scheme, rest)| {
        if matches!(scheme, "base64" | "hex" | "base32" | "raw") { rest } else { text.as_str() }
    });
    (is_among_keys || last.is_some_and(is_weak)) && is_high_entropy(text)
}

/// A cheap look at how a path ends, before it is taken apart.
fn is_weak_at_end(path: &str) -> bool {
    const ENDS: [&str; 23] = [
        "hmac", "key", "keys", "auth", "cred", "salt", "seed", "ture", "sig", "ense", "cess", "sion", "vate",
        "pher", "crypt", "hook", "otp", "mfa", "ase", "ogin", "sid", "ode", "pin",
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
        // SNMP's, wherever in a path it says so; the enable password of Oxidized's `vars`.
        (Value::String(_), _)
            if *last == "community" && keys.iter().any(|key| key.to_ascii_lowercase().contains("snmp")) =>
        {
            true
        }
        (Value::String(text), _) if keys.ends_with(&["vars", "enable"]) => !is_mode(text),
        _ if is_tagged_reference(last) || above.last() == Some(&"scripts") => false,
        _ if keys.ends_with(&["user", "signingkey"]) => false,
        (Value::String(text), _) if is_public(text) => false,
        (Value::String(text), _) if is_mode(text) || is_reference(text) || is_version(text) => false,
        (Value::String(text), _) if is_label(text) || is_digest(last, text) => false,
        (Value::String(text), _) if is_code(text) => false,
        (Value::String(text), _) if is_listed_name(path, last, text) => false,
        // What a page calls its cookie, and where an ingress finds its users.
        (Value::String(text), _) if last.to_ascii_lowercase().ends_with("cookie") && is_word(text) => false,
        (Value::String(text), _) if last.ends_with("auth-secret") && text.contains('/') && is_word(text) => {
            false
        }
        (Value::String(text), _) if text.contains("<redacted:hmac:") => false,
        (Value::String(text), Sense::Mentions) if !variable && !below => {
            is_high_entropy(text) || is_odd(text) && text.len() >= 12 && !text.contains('/')
        }
        (Value::Number(number), _) if last.to_ascii_lowercase().ends_with("pin") => {
            number.to_string().len() >= 4
        }
        (Value::String(_), own) => own != Sense::Innocent || variable || below,
        (Value::Number(number), own) => {
            (own == Sense::Secret && !is_plural(last) && number.to_string().len() >= 4) || variable
        }
        _ => false,
    }
}

/// Returns true if the key is a YAML tag that refers to something: `!secret name`, `!Ref`.
fn is_tagged_reference(key: &str) -> bool {
    const TAGS: &str = "!secret !env !env_var !include !Ref !Sub !GetAtt !ImportValue !Join !reference !var !file !ssm !sops !vault_ref \
        !FindInMap !Select !lambda !input !data_source";
    TAGS.split_ascii_whitespace().any(|tag| tag == key)
}

/// Returns true if a list of secrets names them: `secrets: [db_password]`.
fn is_listed_name(path: &Path, last: &str, text: &str) -> bool {
    let is_item = matches!(path.0.last(), Some(Segment::Index(_)));
    let last = last.to_ascii_lowercase();
    is_item && (last.ends_with("secrets") || last.ends_with("tokens")) && is_word(text)
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
    // The type of a Terraform resource is not the name of a setting.
    let keys = match keys {
        ["resource" | "data" | "variable" | "output" | "module", _, rest @ ..] => rest,
        keys => keys,
    };
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

/// The verdict of other fields on this one: it is a secret as a whole, or a part of it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The whole value.
    Whole,
    /// These bytes of its text.
    Part(Range<usize>),
    /// It is none, whatever its name.
    Nothing,
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
                    if config
                        .get(&path)
                        .and_then(Value::as_str)
                        .is_none_or(|text| !is_reference(text) && !is_label(text) && !is_mode(text))
                    {
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
            let is_argument = said.starts_with('-') || commands::known(said).is_some() || is_command(said);
            if let Some((list, _)) = path.rsplit_once('[').filter(|_| is_argument) {
                lists.insert(list);
            }
        } else if let Some(parent) = path.strip_suffix("secretKey")
            && config.contains_key(&format!("{parent}remoteRef.key"))
        {
            // The key of the Kubernetes Secret that an external one is written to.
            told.insert(path.clone(), Told::Nothing);
        }
    }
    lists.into_iter().for_each(|list| arguments(config, list, &mut told));
    told
}

/// Returns true if the first of a list of arguments names a command that takes a secret without an option.
fn is_command(word: &str) -> bool {
    matches!(word, "mc" | "rabbitmqctl" | "htpasswd" | "vncpasswd" | "chpasswd" | "aws" | "consul" | "vault")
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
    let all: Vec<&str> = before.iter().chain(&arguments).copied().collect();
    let by_grammar = super::text::in_arguments(&all);
    let by_grammar =
        by_grammar.into_iter().filter_map(|(at, range)| Some((at.checked_sub(before.len())?, range)));
    for (at, range) in by_grammar.chain(commands::in_arguments(&before, &arguments)) {
        let whole = range.len() == arguments[at].len();
        told.insert(format!("{list}[{at}]"), if whole { Told::Whole } else { Told::Part(range) });
    }
}
