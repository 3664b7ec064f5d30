//! The looks of a secret, and the signs that announce one: by names, by the tokens of makers, by marks and shapes.
//!
//! `parse` asks here for keys that are secrets; `redact` finds and replaces the values.

pub(crate) mod looks;
mod marks;
pub(crate) mod names;
mod tokens;
pub(crate) mod triggers;
pub(crate) mod values;

use std::ops::Range;

pub(crate) use self::marks::SALTED;
use crate::path::lenient;

/// The kind of a secret that is found by the name before it.
pub(crate) const NAMED: &str = "named-secret";

/// The kind of a secret on a command line.
pub(crate) const ARGUMENT: &str = "command-line";

/// Where a secret stands in a text, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its bytes.
    pub range: Range<usize>,
    /// A word for what was found, such as `github-token`; never anything of the value.
    pub kind: &'static str,
}

/// Returns true if a key looks like a secret. Keys are kept, so the caller must refuse it.
pub(crate) fn is_secret_key(key: &str) -> bool {
    values::is_secret_key(key)
}

/// Returns true if the keys of the map at this path may be secrets, as those of `api_keys` are.
pub(crate) fn lists_secrets(path: &str) -> bool {
    let end = path.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '[' | ']' | '"'));
    end.ends_with(['s', 'S'])
        && names::may_say_something(end)
        && names::lists_secrets(&lenient(path).0.iter().filter_map(names::key_of).collect::<Vec<_>>())
}

/// Returns true if the text begins a private key and does not end it.
pub(crate) fn opens_private_key(text: &str) -> bool {
    text.contains(" BEGIN ") | text.contains("-BEGIN ") && values::opens_private_key(text)
}
