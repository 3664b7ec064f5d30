//! Kinds of values that have several spellings, and what each spelling means.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

/// `as = "quantity"` of a `[[compare]]` rule: what the values are, and so when two of them are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueKind {
    /// Kubernetes quantities: `1000m` is `1`, `1Gi` is `1024Mi`, `1G` is `1e9`.
    Quantity,
    /// Lengths of time: `90s` is `1m30s`, `1.5h` is `90min`, `PT1H` is `60m`.
    Duration,
    /// Versions: `v1.2.0` is `1.2`. What follows `-` or `+` counts as it is.
    Version,
    /// JSON in a string: the order of keys and white space do not count.
    Json,
    /// URLs (RFC 3986, 6.2.2 and 6.2.3): the case of scheme and host, a default port, an empty path, and escapes of
    /// characters that need none do not count.
    Url,
    /// Addresses and networks: `2001:DB8::0` is `2001:db8::`, `10.0.0.1/32` is `10.0.0.1`, a netmask is its length.
    Ip,
}

impl ValueKind {
    /// Returns one spelling for all values that mean the same; `None` if the value is not of this kind.
    pub(super) fn meaning(self, value: &Value) -> Option<Value> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let text = text.trim();
        Some(match self {
            ValueKind::Quantity => Value::from(quantity(text)?),
            ValueKind::Duration => Value::from(duration(text)?),
            ValueKind::Version => Value::from(version(text)?),
            ValueKind::Json => json(text)?,
            ValueKind::Url => Value::from(url(text)?),
            ValueKind::Ip => Value::from(ip(text)?),
        })
    }
}

/// A decimal number as an integer and the power of ten that it is to be multiplied by, without zeros at its end.
fn decimal(text: &str) -> Option<(i128, i32)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?)
        }
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let plain = digits.strip_prefix(['-', '+']).unwrap_or(&digits);
    if plain.is_empty() || !plain.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let power = i32::checked_sub(exponent, i32::try_from(fraction.len()).ok()?)?;
    reduced(digits.parse().ok()?, power)
}

fn reduced(mut number: i128, mut power: i32) -> Option<(i128, i32)> {
    if number == 0 {
        return Some((0, 0));
    }
    while number % 10 == 0 {
        number /= 10;
        power = power.checked_add(1)?;
    }
    Some((number, power))
}

fn spelled((number, power): (i128, i32)) -> String {
    format!("{number}e{power}")
}

fn quantity(text: &str) -> Option<String> {
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    const DECIMAL: [(&str, i32); 9] =
        [("n", -9), ("u", -6), ("m", -3), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
    for (n, suffix) in (1u32..).zip(BINARY) {
        if let Some(number) = text.strip_suffix(suffix) {
            let (number, power) = decimal(number)?;
            let number = number.checked_mul(1024i128.checked_pow(n)?)?;
            return reduced(number, power).map(spelled);
        }
    }
    for (suffix, more) in DECIMAL {
        if let Some(number) = text.strip_suffix(suffix) {
            let (number, power) = decimal(number)?;
            return reduced(number, power.checked_add(more)?).map(spelled);
        }
    }
    decimal(text).map(spelled)
}

/// A length of time in nanoseconds.
fn duration(text: &str) -> Option<String> {
    const UNITS: [(&[&str], i128); 8] = [
        (&["ns"], 1),
        (&["us", "µs", "μs"], 1_000),
        (&["ms", "msec", "millisecond", "milliseconds"], 1_000_000),
        (&["s", "sec", "secs", "second", "seconds"], 1_000_000_000),
        (&["m", "min", "mins", "minute", "minutes"], 60_000_000_000),
        (&["h", "hr", "hrs", "hour", "hours"], 3_600_000_000_000),
        (&["d", "day", "days"], 86_400_000_000_000),
        (&["w", "week", "weeks"], 604_800_000_000_000),
    ];
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    // ISO 8601, of which years and months are no lengths.
    let (mut rest, iso) = match text.strip_prefix('P') {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (mut total, mut any, mut in_time) = (0i128, false, false);
    loop {
        rest = rest.trim_start();
        if iso && let Some(time) = rest.strip_prefix('T') {
            (rest, in_time) = (time, true);
        }
        if rest.is_empty() {
            break;
        }
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, behind) = rest.split_at(end);
        let behind = behind.trim_start();
        let end = behind.find(|c: char| c.is_ascii_digit() || c.is_whitespace() || c == 'T');
        let (unit, behind) = behind.split_at(end.unwrap_or(behind.len()));
        let unit = if iso { unit.to_ascii_lowercase() } else { unit.to_owned() };
        if iso && (in_time != matches!(unit.as_str(), "h" | "m" | "s")) {
            return None;
        }
        let nanos =
            UNITS.iter().find(|(names, _)| names.contains(&unit.as_str())).map(|(_, nanos)| *nanos)?;
        let (digits, power) = decimal(number)?;
        let scaled = digits.checked_mul(nanos)?;
        let part = match u32::try_from(power) {
            Ok(power) => scaled.checked_mul(10i128.checked_pow(power)?)?,
            Err(_) => {
                let by = 10i128.checked_pow(power.unsigned_abs())?;
                (scaled % by == 0).then_some(scaled / by)?
            }
        };
        total = total.checked_add(part)?;
        (rest, any) = (behind, true);
    }
    any.then(|| (total * sign).to_string())
}

fn version(text: &str) -> Option<String> {
    let bare = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let (numbers, more) = bare.split_at(bare.find(['-', '+']).unwrap_or(bare.len()));
    let mut parts: Vec<&str> = numbers.split('.').collect();
    if parts.iter().any(|part| part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    for part in &mut parts {
        *part = part.trim_start_matches('0');
    }
    while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    Some(format!("{}{more}", parts.join(".")))
}

/// Only maps and lists: a string `1` is not the number.
fn json(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    (value.is_object() || value.is_array()).then_some(value)
}

fn url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if scheme.is_empty() || !scheme.chars().all(is_scheme) {
        return None;
    }
    let scheme = scheme.to_ascii_lowercase();
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (format!("{user}@"), host),
        None => (String::new(), authority),
    };
    let host = host.to_ascii_lowercase();
    let default = match scheme.as_str() {
        "http" | "ws" => ":80",
        "https" | "wss" => ":443",
        "ftp" => ":21",
        "ssh" | "sftp" => ":22",
        "ldap" => ":389",
        "ldaps" => ":636",
        "postgres" | "postgresql" => ":5432",
        "mysql" => ":3306",
        "redis" => ":6379",
        "amqp" => ":5672",
        _ => ":",
    };
    let host = host.strip_suffix(default).or_else(|| host.strip_suffix(':')).unwrap_or(&host);
    let slash = if path.starts_with('/') { "" } else { "/" };
    Some(format!("{scheme}://{user}{host}{slash}{}", unescaped(path)))
}

/// Decodes the escapes of characters that need none, and spells the others in capital letters.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let digits = rest.get(at + 1..at + 3);
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(b) if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') => {
                out.push(char::from(b))
            }
            Some(b) => out.push_str(&format!("%{b:02X}")),
            None => {
                out.push('%');
                rest = &rest[at + 1..];
                continue;
            }
        }
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    out
}

fn ip(text: &str) -> Option<String> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address.parse::<IpAddr>().ok()?, Some(length)),
        None => (text.parse::<IpAddr>().ok()?, None),
    };
    let whole = if address.is_ipv4() { 32u32 } else { 128 };
    let length = match length {
        None => whole,
        Some(length) => match length.parse::<u32>() {
            Ok(length) => length,
            Err(_) => {
                let IpAddr::V4(mask) = length.parse().ok()? else { return None };
                let mask = u32::from(mask);
                (mask.leading_ones() + mask.trailing_zeros() >= 32).then_some(mask.leading_ones())?
            }
        },
    };
    (length <= whole).then(|| format!("{address}/{length}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(kind: ValueKind, equal: &[(Value, Value)], other: &[(Value, Value)]) {
        let meaning = |value: &Value| kind.meaning(value).unwrap_or_else(|| value.clone());
        for (a, b) in equal {
            assert_eq!(meaning(a), meaning(b), "{a} and {b}");
        }
        for (a, b) in other {
            assert_ne!(meaning(a), meaning(b), "{a} and {b}");
        }
    }

    #[test]
    fn each_kind_holds_equal_what_means_the_same_and_no_more() {
        let pair = |a: &str, b: &str| (json!(a), json!(b));
        check(
            ValueKind::Quantity,
            &[
                (json!("1000m"), json!(1)),
                (json!(0.5), json!("500m")),
                pair("1Gi", "1024Mi"),
                pair("1G", "1000M"),
                pair("1e3", "1k"),
                pair("1.5Gi", "1536Mi"),
                pair("0", "0m"),
            ],
            &[pair("1G", "1Gi"), pair("1", "1k"), pair("500m", "0.51"), pair("1x", "1"), pair("auto", "1")],
        );
        check(
            ValueKind::Duration,
            &[
                pair("90s", "1m30s"),
                pair("1.5h", "90min"),
                pair("PT1H30M", "90m"),
                pair("P1DT1H", "25h"),
                pair("2 hours", "120m"),
                pair("1min 30s", "90 seconds"),
                pair("1000ms", "1s"),
                pair("168h", "1w"),
            ],
            &[pair("90", "90s"), pair("1m", "1ms"), pair("P1M", "PT1M"), pair("s", "1s"), pair("1h", "61m")],
        );
        check(
            ValueKind::Version,
            &[pair("v1.2.0", "1.2"), pair("1.02", "1.2.0"), pair("v2.0.0-rc.1", "2-rc.1"), pair("0.0", "0")],
            &[pair("1.2", "1.20"), pair("1.2.0-rc1", "1.2.0"), pair("1.x", "1"), pair("10", "1")],
        );
        check(
            ValueKind::Json,
            &[pair("{\"a\": 1, \"b\": [2]}", "{\"b\":[2],\"a\":1}")],
            &[pair("{\"a\":1}", "{\"a\":2}"), (json!("1"), json!(1)), pair("{a}", "{ a }")],
        );
        check(
            ValueKind::Url,
            &[
                pair("HTTP://Example.ORG:80", "http://example.org/"),
                pair("https://a.b/%7euser/%c3%bc", "https://a.b/~user/%C3%BC"),
                pair("https://a.b:443/x?q", "https://a.b/x?q"),
            ],
            &[
                pair("http://a.b/X", "http://a.b/x"),
                pair("http://a.b:8080/", "http://a.b/"),
                pair("http://a.b/%2F", "http://a.b//"),
                pair("https://U@a.b/", "https://u@a.b/"),
                pair("http://a.b/%", "http://a.b/%25"),
            ],
        );
        check(
            ValueKind::Ip,
            &[
                pair("2001:DB8::0", "2001:db8::"),
                pair("10.0.0.1/32", "10.0.0.1"),
                pair("10.0.0.0/255.255.255.0", "10.0.0.0/24"),
            ],
            &[
                pair("10.0.0.5/24", "10.0.0.0/24"),
                pair("10.0.0.1", "10.0.0.2"),
                pair("10.0.0.0/255.0.255.0", "10.0.0.0/8"),
            ],
        );
    }
}
