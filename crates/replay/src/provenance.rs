//! What a capture says of the sources of its fields, as an event carries it: only what is new.
//!
//! A service's provenance is kept up like its config: an entry stands until a later one or the end of its field. The entry
//! under the empty path concerns the whole: all that stood before goes, and [`NONE`] puts nothing in its place.

use std::collections::BTreeMap;

use rig_event::FlatConfig;

/// The path of the whole document.
pub const WHOLE: &str = "";

/// The source of what nobody said a source of.
pub const NONE: &str = "unknown";

/// What is new in `now` against what is known, where `config` is what was captured.
pub(crate) fn news(
    known: &BTreeMap<String, String>,
    now: BTreeMap<String, String>,
    config: &FlatConfig,
) -> BTreeMap<String, String> {
    let forgotten = known.keys().any(|path| config.contains_key(path) && !now.contains_key(path));
    if forgotten {
        let mut all = now;
        all.entry(WHOLE.to_owned()).or_insert_with(|| NONE.to_owned());
        return all;
    }
    now.into_iter().filter(|(path, source)| known.get(path) != Some(source)).collect()
}
