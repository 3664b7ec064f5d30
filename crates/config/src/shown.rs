//! Names that come from outside, made fit for an error message.

use crate::random;

/// Formats an untrusted name for an error message: quoted, escaped, truncated. Omitted if any part of it could be a
/// secret.
pub(crate) fn shown(name: &str) -> String {
    if name.split(['.', '"']).any(random::is_random_key) {
        return "(a name that looks like a secret)".to_owned();
    }
    let cut: String = name.chars().take(80).collect();
    let more = if cut.len() < name.len() { "…" } else { "" };
    format!("{cut:?}{more}")
}
