//! Values that are secrets wherever they stand: private keys, tokens of known makers, passwords in URLs.

use std::ops::Range;

/// How tokens of known makers begin, by how many characters follow at least.
const TOKENS: [(usize, &str); 5] = [
    (10, "xoxa- xoxb- xoxe- xoxp- xoxr- xoxs- xapp- sk_live_ sk_test_ rk_live_ rk_test_ whsec_"),
    (
        16,
        "glpat- gldt- glrt- glptt- glcbt- sk-ant- sk-proj- ya29. pypi-AgE hvs. hvb. \
        dckr_pat_ hooks.slack.com/services/ discord.com/api/webhooks/",
    ),
    (20, "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ shpat_ shpss_ AGE-SECRET-KEY-1"),
    (30, "AIza SG. npm_ dop_v1_"),
    (32, "sk-"),
];

/// Where secrets stand in a text, in no particular order.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found = private_keys(text);
    // Nothing below is shorter.
    if text.len() >= 8 {
        tokens(text, &mut found);
        passwords_in_urls(text, &mut found);
        passwords_in_dsns(text, &mut found);
        authorizations(text, &mut found);
    }
    found
}

/// Whether what stands where a key belongs is a secret. Prose is no such thing: a token has digits.
pub(super) fn is_secret_key(key: &str) -> bool {
    let is_public = key.contains("CERTIFICATE") || key.contains("PUBLIC KEY");
    if (key.contains("-----BEGIN") || key.contains("-----END")) && !is_public {
        return true;
    }
    let mut found = Vec::new();
    if key.len() >= 8 {
        tokens(key, &mut found);
        passwords_in_urls(key, &mut found);
    }
    found
        .into_iter()
        .any(|range| key[range.clone()].contains(':') || key[range].contains(|c: char| c.is_ascii_digit()))
}

/// Whether a text begins a private key that it does not end.
pub(super) fn opens_private_key(text: &str) -> bool {
    private_keys(text).last().is_some_and(|range| !text[range.clone()].contains("-----END "))
}

/// PEM blocks of private keys; one without an end reaches to the end of the text.
fn private_keys(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(begin) = text[at..].find("-----BEGIN ").map(|begin| at + begin) {
        let label_at = begin + "-----BEGIN ".len();
        at = label_at;
        let label = text[label_at..].split("-----").next().unwrap_or_default();
        let is_private = label.len() < 64 && label.contains("PRIVATE KEY");
        if is_private {
            let body = label_at + label.len();
            let end = text[body..].find("-----END ").map(|end| body + end + "-----END ".len());
            let end = end.and_then(|end| text[end..].find("-----").map(|dashes| end + dashes + 5));
            at = end.unwrap_or(text.len());
            found.push(begin..at);
        }
    }
    found
}

/// A JSON Web Token is three parts in base 64, the first of which is `{"`.
const WEB_TOKEN: &str = "eyJ";

/// Only capitals and digits follow these: `ASIA_PACIFIC_SOUTHEAST` is none.
const ACCESS_KEYS: [&str; 2] = ["AKIA", "ASIA"];

/// Whether a token can begin with a byte.
const BEGINS: [bool; 256] = {
    let mut begins = [false; 256];
    begins[WEB_TOKEN.as_bytes()[0] as usize] = true;
    begins[ACCESS_KEYS[0].as_bytes()[0] as usize] = true;
    begins[ACCESS_KEYS[1].as_bytes()[0] as usize] = true;
    let mut group = 0;
    while group < TOKENS.len() {
        let prefixes = TOKENS[group].1.as_bytes();
        let mut i = 0;
        while i < prefixes.len() {
            if i == 0 || prefixes[i - 1] == b' ' {
                begins[prefixes[i] as usize] = true;
            }
            i += 1;
        }
        group += 1;
    }
    begins
};

/// Every text that a client sends comes through here, so it is passed over once and not once for each prefix.
fn tokens(text: &str, found: &mut Vec<Range<usize>>) {
    let in_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+');
    let mut in_word = false;
    // Within a word that was too short from its first match of a prefix on, a later one is shorter still.
    let mut covered = Vec::<(&str, usize)>::new();
    for (at, &byte) in text.as_bytes().iter().enumerate() {
        let begins = BEGINS[usize::from(byte)] && !in_word;
        in_word = byte.is_ascii_alphanumeric();
        if !begins {
            continue;
        }
        let mut look = |prefix: &'static str, fits: &dyn Fn(&str) -> bool| {
            let is_covered = || covered.iter().any(|&(other, end)| other == prefix && at < end);
            if !text[at..].starts_with(prefix) || is_covered() {
                return;
            }
            let end = text[at..].find(|c| !in_token(c)).map_or(text.len(), |end| at + end);
            covered.retain(|&(other, _)| other != prefix);
            covered.push((prefix, end));
            if fits(&text[at + prefix.len()..end]) {
                found.push(at..end);
            }
        };
        for (length, prefixes) in TOKENS {
            prefixes.split(' ').for_each(|prefix| look(prefix, &|rest| rest.len() >= length));
        }
        let is_access_key = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        for prefix in ACCESS_KEYS {
            look(prefix, &|rest| rest.len() >= 16 && rest.bytes().take(16).all(is_access_key));
        }
        look(WEB_TOKEN, &|rest| rest.len() >= 24 && rest.matches('.').count() >= 2);
    }
}

fn passwords_in_urls(text: &str, found: &mut Vec<Range<usize>>) {
    if !text.contains('@') {
        return;
    }
    let mut word_at = 0;
    for word in text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`')) {
        if let Some(last_at) = word.rfind('@') {
            let word = &word[..last_at];
            let mut covered = 0;
            for (scheme_end, _) in word.match_indices("://") {
                let start = scheme_end + 3;
                if let Some(length) = user_and_password(&word[start..]).filter(|_| start >= covered) {
                    covered = start + length;
                    found.push(word_at + start..word_at + covered);
                }
            }
        }
        word_at += word.len();
    }
}

/// How long the user and password are that a URL begins with behind its scheme, in a word cut at its last `@`.
fn user_and_password(rest: &str) -> Option<usize> {
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let Some((_, password)) = authority.split_once(':') else {
        let user = authority.rsplit_once('@').map_or(rest, |(user, _)| user);
        return looks_like_token(user).then_some(user.len());
    };
    let user_info = match authority.rsplit_once('@') {
        Some((user_info, _)) => user_info,
        // A password may have a slash in it that should have been escaped; a port is no password.
        None if authority.len() < rest.len() && password.bytes().all(|b| b.is_ascii_digit()) => return None,
        None => rest,
    };
    // What is left of a marker's neighbours is no password: it would have gone with them.
    let secret = user_info.split_once(':').is_some_and(|(_, password)| !password.is_empty());
    (secret && !user_info.contains("<redacted:hmac:")).then_some(user_info.len())
}

/// Whether the user in a URL without a password is a token: long, of letters and digits.
fn looks_like_token(user: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'~');
    user.len() >= 16
        && user.bytes().all(fine)
        && user.bytes().any(|b| b.is_ascii_digit())
        && user.bytes().any(|b| b.is_ascii_alphabetic())
}

/// `user:password@tcp(host)/name`, as drivers of MySQL for Go are told it.
fn passwords_in_dsns(text: &str, found: &mut Vec<Range<usize>>) {
    if !text.contains('@') {
        return;
    }
    let mut word_at = 0;
    for word in text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`')) {
        let end =
            ["@tcp(", "@tcp6(", "@udp(", "@unix("].iter().filter_map(|address| word.rfind(address)).max();
        let before = &word[..end.unwrap_or(0)];
        if let Some((user, password)) = before.split_once(':')
            && !password.is_empty()
            && !before.contains("<redacted:")
        {
            found.push(word_at + user.len() + 1..word_at + before.len());
        }
        word_at += word.len();
    }
}

/// `Bearer …` and `Basic …` with something that looks like no word.
fn authorizations(text: &str, found: &mut Vec<Range<usize>>) {
    const SCHEMES: [&str; 5] = ["Bearer", "bearer", "BEARER", "Basic", "basic"];
    for (space, _) in text.match_indices(' ') {
        if SCHEMES.iter().any(|scheme| text[..space].ends_with(scheme)) {
            let start = space + 1;
            let in_token = |c: char| c.is_ascii_alphanumeric() || "+/=._~-".contains(c);
            let token =
                &text[start..text[start..].find(|c| !in_token(c)).map_or(text.len(), |end| start + end)];
            let odd = token.bytes().any(|b| b.is_ascii_digit()) || token.contains('=') || token.len() >= 24;
            if token.len() >= 8 && odd {
                found.push(start..start + token.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_looks() {
        for (text, expected) in [
            ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
            ("key is ghp_0123456789abcdefghij!", "ghp_0123456789abcdefghij"),
            ("xoxb-1234567890-abc", "xoxb-1234567890-abc"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_1", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_1"),
            ("postgres://app:s3cr3t@db:5432/x", "app:s3cr3t"),
            ("amqp://u:p/w@h", "u:p/w"),
            ("redis://:pw@h/0", ":pw"),
            ("see http://h:80/x,http://u:p@h", "u:p"),
            ("Authorization: Bearer abcdef0123", "abcdef0123"),
            ("git clone https://0123456789abcdef0123@h/x", "0123456789abcdef0123"),
            ("dsn u:p:w@tcp(h:3306)/db", "p:w"),
            (
                "x-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----y",
                "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----",
            ),
            ("-----BEGIN PRIVATE KEY-----\nMII", "-----BEGIN PRIVATE KEY-----\nMII"),
        ] {
            let found: Vec<_> = find(text).into_iter().map(|range| &text[range]).collect();
            assert_eq!(found, [expected], "{text}");
        }
        for text in [
            "https://example.com:8080/a@b",
            "ssh://git@github.com/x",
            "https://some-long-user-name@h/x",
            "u@tcp(h:3306)/db",
            "http://h/?a=b:c",
            "basic authentication",
            "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
            "sk-short",
            "Bearer tokens",
            "task-1234",
        ] {
            assert!(find(text).is_empty(), "{text}: {:?}", find(text));
        }
    }
}
