//! Numbers by value, however they are spelled: `8080`, `8080.0` and `8.08e3` are one.

use serde_json::Number;

/// Returns true if two numbers have the same value, however they are spelled.
pub(crate) fn same_number(a: &Number, b: &Number) -> bool {
    a == b || decimal(&a.to_string()) == decimal(&b.to_string())
}

/// A number's value: its sign, its digits without zeros at either end, and the power of ten behind them. However it is
/// spelled, equal values give equal answers; the work is linear in the spelling.
fn decimal(spelled: &str) -> (bool, String, i128) {
    let (negative, magnitude) = match spelled.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, spelled),
    };
    let (mantissa, exponent) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let trimmed = digits.trim_end_matches('0');
    let power = exponent.trim_start_matches('+').parse::<i64>();
    let significant = trimmed.trim_start_matches('0');
    match power {
        _ if significant.is_empty() => (false, "0".to_owned(), 0),
        Ok(power) => {
            let power = i128::from(power) - fraction.len() as i128 + (digits.len() - trimmed.len()) as i128;
            (negative, significant.to_owned(), power)
        }
        // An exponent beyond all bounds is equal to itself only.
        Err(_) => (negative, spelled.to_owned(), 0),
    }
}
