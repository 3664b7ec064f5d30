//! Numbers as they are spelled.

use rig_event::spelled;
use serde_json::Value;

/// The number a text spells in JSON's grammar, kept as it is spelled.
pub(super) fn json_number(text: &str) -> Option<Value> {
    spelled::number(text).map(Value::Number)
}

/// The number a text spells in the core schema of YAML or in TOML, less their freedoms that JSON lacks: a plus sign,
/// nothing before or after the point, another base. Infinities and `007`, which are more than JSON can say or mean
/// different things to different readers, are none.
pub(super) fn lenient_number(text: &str) -> Option<Value> {
    if let Some(number) = json_number(text) {
        return Some(number);
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            // The standard library would take a second sign.
            let plain = digits.bytes().all(|b| b.is_ascii_alphanumeric());
            let number = plain.then(|| u128::from_str_radix(digits, radix).ok()).flatten();
            return number.and_then(|number| json_number(&number.to_string()));
        }
    }
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let (mantissa, exponent) = unsigned.split_at(unsigned.find(['e', 'E']).unwrap_or(unsigned.len()));
    let spelled = match mantissa.split_once('.') {
        Some(("", "")) => return None,
        Some(("", fraction)) => format!("{sign}0.{fraction}{exponent}"),
        Some((whole, "")) => format!("{sign}{whole}.0{exponent}"),
        _ => format!("{sign}{unsigned}"),
    };
    json_number(&spelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_become_those_of_json() {
        for (text, expected) in [
            ("1.50", "1.50"),
            ("18446744073709551616", "18446744073709551616"),
            ("1e3", "1e3"),
            ("1E3", "1E3"),
            ("+1", "1"),
            (".5", "0.5"),
            ("-.5", "-0.5"),
            ("1.", "1.0"),
            ("+1.e5", "1.0e5"),
            ("0x1F", "31"),
            ("0o17", "15"),
        ] {
            assert_eq!(lenient_number(text).unwrap().to_string(), expected, "{text}");
        }
        for text in [
            "", "+", "-", ".", "e5", ".e5", "007", "+-1", "--1", "0x", "0x+1", "0xfg", "1_000", "inf",
            "1.2.3",
        ] {
            assert_eq!(lenient_number(text), None, "{text}");
        }
    }
}
