//! Numbers as they are spelled.

use serde_json::{Number, Value};

/// The number a text spells in JSON's grammar, kept as it is spelled.
///
/// The one thing that does not stay is an exponent without a sign: reading JSON back makes `1e+3` of `1e3`, so that is
/// how it is written from the start, or a configuration would not equal its own recording.
pub(crate) fn json_number(text: &str) -> Option<Value> {
    text.parse::<Number>().ok().map(Value::Number)
}
