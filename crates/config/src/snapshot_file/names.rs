//! The names of a snapshot file's fields, as Rigging spells them: keys with dots between them, and nothing quoted.
//!
//! rig's paths quote a key such as `with space`; a name of Rigging does not. A path is written as Rigging would write it
//! wherever that reads back to the same path.

use std::borrow::Cow;

use crate::path::{Segment, lenient};

/// Returns the path of a field by its name in a file.
pub(super) fn path_of(name: &str) -> Cow<'_, str> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let is_path =
        name.bytes().all(is_plain) && !name.starts_with('.') && !name.ends_with('.') && !name.contains("..");
    if is_path { Cow::Borrowed(name) } else { lenient(name).to_string().into() }
}

/// Returns the name of a field by its path.
pub(super) fn name_of(path: &str) -> Cow<'_, str> {
    if memchr::memchr(b'"', path.as_bytes()).is_none() {
        return Cow::Borrowed(path);
    }
    let mut bare = String::with_capacity(path.len());
    for segment in lenient(path).0 {
        match segment {
            Segment::Key(key) => {
                if !bare.is_empty() {
                    bare.push('.');
                }
                bare.push_str(&key);
            }
            other => other.print(&mut bare),
        }
    }
    if path_of(&bare) == path { bare.into() } else { path.into() }
}

/// Returns the path above, up to the last step; nothing of a path of one step.
pub(super) fn above(path: &str) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'"', path.as_bytes()).is_none() {
        return path.rfind(['.', '[']).filter(|end| *end > 0).map(|end| path[..end].into());
    }
    let mut above = lenient(path);
    above.0.pop();
    (!above.0.is_empty()).then(|| above.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_spelled_as_rigging_spells_it_where_it_reads_back() {
        for (name, path) in [
            ("a.b", "a.b"),
            ("a[0].b", "a[0].b"),
            ("a.with space", "a.\"with space\""),
            ("ünï.x", "ünï.x"),
            ("a..b", "\"a..b\""),
            ("a*", "\"a*\""),
            ("", ""),
        ] {
            assert_eq!((path_of(name).as_ref(), name_of(path).as_ref()), (path, name));
        }
        for path in ["\"a.b\"", "a.\"x[0]\"", "\"\"", "a.\"\\\"\""] {
            assert_eq!(path_of(&name_of(path)), path);
        }
        assert_eq!(above("a.b[0]").as_deref(), Some("a.b"));
        assert_eq!(above("a.\"b.c\"").as_deref(), Some("a"));
        assert_eq!(above("a"), None);
    }
}
