//! Marks: what the text itself says is encrypted or a key, whatever stands before it.

use super::Found;
use super::looks::is_mode;
use crate::grammar::is_placeholder;

/// The kind of a secret that is encrypted with a new salt at each export, so that its fingerprint says only that it is there.
pub(crate) const SALTED: &str = "salted";

/// The most bytes between an element's tags.
const FAR: usize = 64 << 10;

/// The kind of a secret that is known by a mark.
const ENCRYPTED: &str = "encrypted";

/// Finds what Ansible's vault encrypted: the header and the lines of digits below it.
pub(crate) fn vault(text: &str, at: usize, found: &mut Vec<Found>) {
    let mut end = at + text[at..].find('\n').unwrap_or(text.len() - at);
    for line in text[end..].split_inclusive('\n').skip(1) {
        let content = line.trim();
        if content.is_empty() || !content.bytes().all(|b| b.is_ascii_hexdigit()) {
            break;
        }
        end = line.as_ptr() as usize - text.as_ptr() as usize + line.trim_end().len();
    }
    found.push(Found { range: at..end, kind: ENCRYPTED });
}

/// Finds what stands between two signs, on one line, with the signs.
pub(crate) fn between(text: &str, at: usize, open: &str, close: &str, found: &mut Vec<Found>) {
    let start = at + open.len();
    let line = &text[start..];
    let length = line.find(['\n', '"', '\'']).unwrap_or(line.len());
    let inner = &line[..length.min(line.floor_char_boundary(1 << 16))];
    if let Some(end) = inner.find(close).filter(|end| *end >= 8)
        && !inner[..end].contains(char::is_whitespace)
    {
        found.push(Found { range: at..start + end + close.len(), kind: ENCRYPTED });
    }
}

/// Finds what FortiOS encrypted: the word behind ` ENC `.
pub(crate) fn enc(text: &str, at: usize, found: &mut Vec<Found>) {
    let start = at + " ENC ".len();
    let bare = text[start..].strip_prefix('"').map_or(start, |_| start + 1);
    let in_word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    let length = text.as_bytes()[bare..].iter().take_while(|b| in_word(b)).count();
    if length >= 12 {
        found.push(Found { range: bare..bare + length, kind: SALTED });
    }
}

/// Finds what stands behind ` cipher `: long, and of the characters of encrypted values.
pub(crate) fn cipher(text: &str, at: usize, found: &mut Vec<Found>) {
    let start = at + 1 + text[at + 1..].find(' ').map_or(0, |blank| blank + 1);
    let word =
        text[start..].split(|c: char| c.is_whitespace() || matches!(c, '"' | ';')).next().unwrap_or_default();
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"+/=$%^#@!.&*".contains(&b);
    let is_odd = word.bytes().any(|b| b.is_ascii_digit()) && word.bytes().any(|b| b.is_ascii_alphabetic());
    if word.len() >= 16 && word.bytes().all(fine) && is_odd {
        found.push(Found { range: start..start + word.len(), kind: ENCRYPTED });
    }
}

/// Finds the password in `jdbc:oracle:thin:user/password@host`.
pub(crate) fn oracle(text: &str, at: usize, found: &mut Vec<Found>) {
    let near = &text[at..text.floor_char_boundary(at + 1024)];
    let word = near.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).next().unwrap_or_default();
    let Some((login, _)) = word.split_once('@') else { return };
    if let Some((user, password)) = login.split_once('/')
        && !password.is_empty()
        && !is_placeholder(password)
        && !password.starts_with("<redacted:")
    {
        let start = at + user.len() + 1;
        found.push(Found { range: start..start + password.len(), kind: "dsn-password" });
    }
}

/// Finds the content of `<key>`, `<tls-auth>` and their kin, as OpenVPN has them. What stands between `BEGIN` and `END` is found by that.
pub(crate) fn block(text: &str, at: usize, found: &mut Vec<Found>) {
    let Some(length) = text[at + 1..text.floor_char_boundary(at + 32)].find('>') else { return };
    let name = &text[at + 1..at + 1 + length];
    let start = at + length + 2;
    let is_own_line = text[start..].trim_start_matches([' ', '\t', '\r']).starts_with('\n');
    let far = text.floor_char_boundary(start + FAR);
    let Some(end) = text[start..far].find(&format!("</{name}>")).map(|end| start + end) else { return };
    let inner = &text[start..end];
    if !is_own_line || inner.contains("-BEGIN ") || inner.contains("<redacted:") {
        return;
    }
    let mut lines = inner.split_inclusive('\n').filter(|line| !line.trim().is_empty());
    if name.ends_with("user-pass") {
        // The user, and the password on the next line.
        lines.next();
    }
    for line in lines {
        let content = line.trim();
        if !content.starts_with('#') && !is_placeholder(content) {
            let from = content.as_ptr() as usize - text.as_ptr() as usize;
            found.push(Found { range: from..from + content.len(), kind: "private-key" });
        }
    }
}

/// Finds the values of headers that log somebody in: `Authorization: Bearer …`, `Cookie: a=…; b=…`, `X-Api-Key: …`.
pub(crate) fn header(text: &str, at: usize, found: &mut Vec<Found>) {
    let Some(colon) = text[at..].find(':').map(|colon| at + colon) else { return };
    let name = text[at..colon].to_ascii_lowercase();
    let rest = &text[colon + 1..];
    let line = &rest[..rest.find(['\n', '\r', '"', '\'', '`']).unwrap_or(rest.len())];
    let value = line.trim();
    if value.is_empty() || value.contains("<redacted:") || !line.starts_with([' ', '\t']) && name != "cookie"
    {
        return;
    }
    let from = value.as_ptr() as usize - text.as_ptr() as usize;
    let mut add = |part: &str| {
        let start = part.as_ptr() as usize - text.as_ptr() as usize;
        if !part.is_empty() && !is_placeholder(part) && !is_mode(part) {
            found.push(Found { range: start..start + part.len(), kind: "authorization" });
        }
    };
    if value.starts_with("Digest ") {
        let line = &rest[..rest.find(['\n', '\r']).unwrap_or(rest.len())];
        if let Some((_, response)) = line.split_once("response=\"") {
            add(response.split('"').next().unwrap_or_default());
        }
        return;
    }
    if name.ends_with("cookie") {
        const ATTRIBUTES: [&str; 6] = ["path", "domain", "expires", "max-age", "samesite", "version"];
        for pair in value.split(';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let name = name.trim();
            let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
            if is_name && !ATTRIBUTES.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                add(value.trim());
            }
        }
        return;
    }
    let is_odd = |word: &str| word.len() >= 8 && word.bytes().any(|b| b.is_ascii_digit()) || word.len() >= 20;
    match value.split_once(' ') {
        Some((_, credentials)) if name.ends_with("authorization") => {
            let credentials = credentials.trim();
            if is_odd(credentials.split(' ').next().unwrap_or_default()) {
                add(credentials);
            }
        }
        Some((word, _)) if is_odd(word) => add(word),
        None if is_odd(value) || name != "authorization" && value.len() >= 6 => {
            add(&text[from..from + value.len()]);
        }
        _ => {}
    }
}
