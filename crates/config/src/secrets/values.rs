//! Values that are secrets wherever they stand: private keys, tokens of known makers, passwords in URLs.

use std::ops::Range;

use super::Found;
use super::tokens::{Body, MAKERS};
use super::triggers::{Hit, Shape, hits};
use crate::grammar::is_placeholder;
use crate::random::{is_high_entropy, is_random};

/// Kinds that leave the rest of their line as it is: `postgres://…@host`.
pub(crate) const IN_PLACE: [&str; 3] = ["url-credentials", "dsn-password", "url-signature"];

/// Where secrets stand in a text, in no particular order.
pub(crate) fn find(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    among(text, &hits(text), &mut found);
    found
}

/// The same, for a text whose hits are known.
pub(crate) fn among(text: &str, hits: &[(usize, Hit)], found: &mut Vec<Found>) {
    // Within what was found or passed over from an earlier start, a later start finds no more.
    let mut covered = 0;
    let (mut url_end, mut dsn_end, mut web_end) = (0, 0, 0);
    // Which makers' tokens were looked for up to where: within a word that was no token, a later start gives none.
    let mut passed = Vec::<(usize, usize)>::new();
    for &(at, hit) in hits {
        let earlier = found.len();
        match hit {
            Hit::Name | Hit::Command | Hit::Word | Hit::Row(_) => {}
            _ if at < covered
                && !matches!(hit, Hit::Shape(Shape::Url | Shape::Dsn | Shape::Authorization)) => {}
            Hit::Token { maker, length } => {
                if !passed.iter().any(|&(other, end)| other == maker && at < end) {
                    let end = token(text, at, maker, length, found);
                    passed.retain(|&(other, end)| other != maker && at < end);
                    passed.push((maker, end));
                }
            }
            Hit::Shape(Shape::PrivateKey) => private_key(text, at, found),
            Hit::Shape(Shape::Putty) => putty_key(text, at, found),
            Hit::Shape(Shape::Url) if at >= url_end => url_end = url(text, at, found),
            Hit::Shape(Shape::Dsn) => {
                dsn(text, dsn_end, at, found);
                dsn_end = at + 1;
            }
            Hit::Shape(Shape::WebToken) if at >= web_end => web_end = web_token(text, at, found),
            Hit::Shape(Shape::EncodedKey) => encoded_key(text, at, found),
            Hit::Shape(Shape::Authorization) => authorization(text, at, found),
            Hit::Shape(Shape::AzureSecret) => {
                around(text, at, 3, 3, 30, Body::Loose, "azure-client-secret", found);
            }
            Hit::Shape(Shape::Terraform) => {
                around(text, at, 14, 9, 50, Body::Loose, "terraform-token", found)
            }
            Hit::Shape(Shape::TelegramBot) => telegram(text, at, found),
            Hit::Shape(Shape::Mailchimp) => mailchimp(text, at, found),
            Hit::Shape(Shape::PgPass) => pgpass(text, at, found),
            Hit::Shape(Shape::Vault) => super::marks::vault(text, at, found),
            Hit::Shape(Shape::Block) => super::marks::block(text, at, found),
            Hit::Shape(Shape::Huawei) => super::marks::between(text, at, "%^%#", "%^%#", found),
            Hit::Shape(Shape::Jasypt) => super::marks::between(text, at, "ENC(", ")", found),
            Hit::Shape(Shape::Sops) => super::marks::between(text, at, "ENC[", "]", found),
            Hit::Shape(Shape::Enc) => super::marks::enc(text, at, found),
            Hit::Shape(Shape::Cipher) => super::marks::cipher(text, at, found),
            Hit::Shape(Shape::Oracle) => super::marks::oracle(text, at, found),
            Hit::Shape(Shape::Header) => super::marks::header(text, at, found),
            Hit::Shape(Shape::Url | Shape::WebToken) => {}
        }
        covered = found[earlier..].iter().map(|one| one.range.end).fold(covered, usize::max);
    }
    if found.iter().any(|one| one.kind == "aws-access-key") {
        secret_access_keys(text, found);
    }
}

/// Returns true if a key is a secret. Prose is not: a token has digits.
pub(crate) fn is_secret_key(key: &str) -> bool {
    if key.len() < 8 {
        return false;
    }
    let is_public = key.contains("CERTIFICATE") || key.contains("PUBLIC KEY");
    if (key.contains("-----BEGIN") || key.contains("-----END")) && !is_public {
        return true;
    }
    find(key).into_iter().any(|one| {
        let secret = &key[one.range];
        one.kind != "authorization" && (secret.contains(':') || secret.contains(|c: char| c.is_ascii_digit()))
    })
}

/// Returns true if the text begins a private key and does not end it.
pub(crate) fn opens_private_key(text: &str) -> bool {
    let last = find(text).into_iter().rfind(|one| one.kind == "private-key");
    last.is_some_and(|one| {
        let key = &text[one.range];
        key.contains("-BEGIN ") && !key.contains("-END ")
    })
}

/// The token that begins here, if enough follows its prefix. Returns the end of its word.
fn token(text: &str, at: usize, maker: usize, length: usize, found: &mut Vec<Found>) -> usize {
    let (kind, _, least, body) = MAKERS[maker];
    let start = at + length;
    let rest = &text.as_bytes()[start..];
    let end = start + rest.iter().position(|byte| !body.has(*byte)).unwrap_or(rest.len());
    // Hexadecimal and upper case bodies end in a word's middle where something else is written: that is no token.
    let goes_on = matches!(body, Body::Hex | Body::Upper)
        && text.as_bytes().get(end).is_some_and(|byte| byte.is_ascii_alphanumeric());
    let odd = body == Body::Hex || is_random(&text[start..end]) || kind == "private-key";
    if end - start >= least && odd && !goes_on {
        // The mark says how it is encrypted, and stays.
        let start = if kind == "encrypted" { start } else { at };
        found.push(Found { range: start..end, kind });
    }
    end
}

/// The PEM block of a private key; one without an end reaches to the end of the text.
fn private_key(text: &str, at: usize, found: &mut Vec<Found>) {
    let label_at = at + text[at..].find("BEGIN ").unwrap_or(0) + "BEGIN ".len();
    let label = text[label_at..].split("----").next().unwrap_or_default();
    let is_private = label.len() < 64
        && ["PRIVATE KEY", " SEED", "OpenVPN Static key", "OpenVPN tls-crypt-v2"]
            .iter()
            .any(|known| label.contains(known));
    if !is_private {
        return;
    }
    let body = label_at + label.len();
    let end = ["-END ", "- END "]
        .iter()
        .filter_map(|word| Some(body + text[body..].find(word)? + word.len()))
        .min();
    let end = end.and_then(|end| Some(end + text[end..].find("----")? + 4));
    let end = end.map(|end| end + text[end..].len() - text[end..].trim_start_matches('-').len());
    found.push(Found { range: at..end.unwrap_or(text.len()), kind: "private-key" });
}

/// A key as PuTTY writes it: to the end of the line with its MAC.
fn putty_key(text: &str, at: usize, found: &mut Vec<Found>) {
    let mac = text[at..].find("Private-MAC:").or_else(|| text[at..].find("Private-Hash:"));
    let end = match mac {
        Some(mac) => at + mac + text[at + mac..].find('\n').unwrap_or(text.len() - at - mac),
        None => text.len(),
    };
    found.push(Found { range: at..end, kind: "private-key" });
}

/// A run of characters around a hit: so many before it, and so many at least behind it.
#[expect(clippy::too_many_arguments, reason = "each is a number of one shape")]
fn around(
    text: &str,
    at: usize,
    before: usize,
    length: usize,
    least: usize,
    body: Body,
    kind: &'static str,
    found: &mut Vec<Found>,
) {
    let bytes = text.as_bytes();
    let start = at.saturating_sub(before);
    let behind = bytes[at + length..].iter().take(512).take_while(|byte| body.has(**byte)).count();
    let fits = at >= before && bytes[start..at].iter().all(|byte| body.has(*byte)) && behind >= least;
    if fits && text.is_char_boundary(start) {
        found.push(Found { range: start..at + length + behind, kind });
    }
}

/// `123456789:AA…`
fn telegram(text: &str, at: usize, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let digits = bytes[..at].iter().rev().take(11).take_while(|byte| byte.is_ascii_digit()).count();
    let behind = bytes[at + 1..].iter().take(64).take_while(|byte| Body::Word.has(**byte)).count();
    if (8..=10).contains(&digits) && (33..=36).contains(&behind) {
        found.push(Found { range: at - digits..at + 1 + behind, kind: "telegram-token" });
    }
}

/// `host:5432:database:user:password`, a line of PostgreSQL's password file.
fn pgpass(text: &str, at: usize, found: &mut Vec<Found>) {
    let line = text[at..].split(['\n', ' ']).next().unwrap_or_default();
    let Some((colon, _)) = line.match_indices(':').nth(3) else { return };
    let password = &line[colon + 1..];
    if !password.is_empty() && !password.starts_with("<redacted:") {
        found.push(Found { range: at + colon + 1..at + line.len(), kind: "pgpass" });
    }
}

/// `0123456789abcdef0123456789abcdef-us12`
fn mailchimp(text: &str, at: usize, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let digits = bytes[..at].iter().rev().take(33).take_while(|byte| byte.is_ascii_hexdigit()).count();
    let behind = bytes[at + 3..].iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 32 && (1..=2).contains(&behind) {
        found.push(Found { range: at - 32..at + 3 + behind, kind: "mailchimp-key" });
    }
}

/// A JSON Web Token: three parts in base 64 (five where it is encrypted), the first of which is `{"`. Grafana's older
/// keys are one such part. Returns the end of the word.
fn web_token(text: &str, at: usize, found: &mut Vec<Found>) -> usize {
    let bytes = text.as_bytes();
    if at > 0 && Body::Word.has(bytes[at - 1]) {
        return at;
    }
    let length = bytes[at..].iter().take_while(|byte| Body::Loose.has(**byte)).count();
    let token = &text[at..at + length];
    let is_grafana = token.starts_with("eyJrIjoi") && length >= 40;
    if (length >= 27 && token.matches('.').count() >= 2) || is_grafana {
        found.push(Found { range: at..at + length, kind: "jwt" });
    }
    at + length
}

/// The PEM block of a private key in base 64, as Kubernetes and environment variables hold it.
fn encoded_key(text: &str, at: usize, found: &mut Vec<Found>) {
    const PRIVATE: [&str; 6] = [
        // "-----BEGIN " and then: "PRIVATE", "RSA PRI", "EC PRIV", "OPENSSH", "ENCRYPT", "DSA PRI"
        "LS0tLS1CRUdJTiBQUklWQ",
        "LS0tLS1CRUdJTiBSU0EgUFJJ",
        "LS0tLS1CRUdJTiBFQyBQUklW",
        "LS0tLS1CRUdJTiBPUEVOU1NI",
        "LS0tLS1CRUdJTiBFTkNSWVBU",
        "LS0tLS1CRUdJTiBEU0EgUFJJ",
    ];
    if PRIVATE.iter().any(|start| text[at..].starts_with(start)) {
        let in_key = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_-\n".contains(byte);
        let length = text.as_bytes()[at..].iter().take_while(|byte| in_key(byte)).count();
        let end = at + text[at..at + length].trim_end().len();
        found.push(Found { range: at..end, kind: "private-key" });
    }
}

/// Returns true for characters that end a URL or DSN inside a longer text.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`')
}

/// User and password of the URLs in the word of a `://`. Returns the end of the word.
fn url(text: &str, at: usize, found: &mut Vec<Found>) -> usize {
    let end = text[at..].find(ends_word).map_or(text.len(), |end| at + end);
    let Some(last_at) = text[at..end].rfind('@').map(|last| at + last) else { return end };
    let word = &text[at..last_at];
    let mut covered = 0;
    for (scheme_end, _) in word.match_indices("://") {
        let start = scheme_end + 3;
        if let Some(secret) = user_and_password(&word[start..]).filter(|_| start >= covered) {
            covered = start + secret.end;
            found.push(Found { range: at + start + secret.start..at + covered, kind: "url-credentials" });
        }
    }
    end
}

/// Returns where the secret stands after the scheme of a URL, in a word cut at its last `@`: the password, and a user who looks like a
/// token.
fn user_and_password(rest: &str) -> Option<Range<usize>> {
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let Some((_, password)) = authority.split_once(':') else {
        let user = authority.rsplit_once('@').map_or(rest, |(user, _)| user);
        return looks_like_token(user).then_some(0..user.len());
    };
    let user_info = match authority.rsplit_once('@') {
        Some((user_info, _)) => user_info,
        // A password may have a slash in it that should have been escaped; a port is no password.
        None if authority.len() < rest.len() && password.bytes().all(|b| b.is_ascii_digit()) => return None,
        None => rest,
    };
    let (user, password) = user_info.split_once(':')?;
    let start = if user.is_empty() || looks_like_token(user) { 0 } else { user.len() + 1 };
    let start = if user.is_empty() { 1 } else { start };
    let fine = !password.is_empty() && !is_placeholder(password) && !user_info.contains("<redacted:hmac:");
    fine.then_some(start..user_info.len())
}

/// Returns true if the user in a URL without a password is a token: long, of letters and digits.
fn looks_like_token(user: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'~');
    user.len() >= 16
        && user.bytes().all(fine)
        && user.bytes().any(|b| b.is_ascii_digit())
        && user.bytes().any(|b| b.is_ascii_alphabetic())
}

/// `user:password@tcp(host)/name`, as drivers of MySQL for Go are told it; `at` is where its `@` stands,
/// and it begins at `from` or later.
fn dsn(text: &str, from: usize, at: usize, found: &mut Vec<Found>) {
    let blank = text[from..at].char_indices().rfind(|(_, c)| ends_word(*c));
    let start = blank.map_or(from, |(blank, c)| from + blank + c.len_utf8());
    let before = &text[start..at];
    if let Some((user, password)) = before.split_once(':')
        && !password.is_empty()
        && !before.contains("<redacted:")
    {
        found.push(Found { range: start + user.len() + 1..at, kind: "dsn-password" });
    }
}

/// `Bearer …` and `Basic …` with something that looks like no word.
fn authorization(text: &str, at: usize, found: &mut Vec<Found>) {
    let start = at + text[at..].find(' ').map_or(0, |blank| blank + 1);
    let in_token = |b: &u8| b.is_ascii_alphanumeric() || b"+/=._~-".contains(b);
    let length = text.as_bytes()[start..].iter().take_while(|byte| in_token(byte)).count();
    let token = &text[start..start + length];
    let odd = token.bytes().any(|b| b.is_ascii_digit()) || token.contains('=') || length >= 24;
    if length >= 8 && odd && (at == 0 || !text.as_bytes()[at - 1].is_ascii_alphanumeric()) {
        found.push(Found { range: start..start + length, kind: "authorization" });
    }
}

/// The 40 characters of a secret access key, in a text that has the id of one.
fn secret_access_keys(text: &str, found: &mut Vec<Found>) {
    let in_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| in_key(**byte)).count();
        if length == 40 && is_high_entropy(&text[at..at + length]) {
            found.push(Found { range: at..at + length, kind: "aws-secret-key" });
        }
        at += length + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_looks() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----";
        let framed = format!("x{key}y");
        for (text, expected) in [
            ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
            ("key is ghp_0123456789abcdefghij!", "ghp_0123456789abcdefghij"),
            ("xoxb-1234567890-abc", "xoxb-1234567890-abc"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_1", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_1"),
            ("postgres://app:s3cr3t@db:5432/x", "s3cr3t"),
            ("amqp://u:p/w@h", "p/w"),
            ("redis://:pw@h/0", "pw"),
            ("see http://h:80/x,http://u:p@h", "p"),
            ("Authorization: Bearer abcdef0123", "abcdef0123"),
            ("git clone https://0123456789abcdef0123@h/x", "0123456789abcdef0123"),
            ("dsn u:p:w@tcp(h:3306)/db", "p:w"),
            (&framed, key),
            ("-----BEGIN PRIVATE KEY-----\nMII", "-----BEGIN PRIVATE KEY-----\nMII"),
            (
                "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nP2/\n---- END SSH2 ENCRYPTED PRIVATE KEY ----",
                "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nP2/\n---- END SSH2 ENCRYPTED PRIVATE KEY ----",
            ),
        ] {
            let mut found: Vec<_> = find(text).into_iter().map(|one| &text[one.range]).collect();
            found.dedup();
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
            "postgres://app:${DB_PASSWORD}@db/x",
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "npm_config_user_agent_of_a_long_name_1",
        ] {
            assert!(find(text).is_empty(), "{text}: {:?}", find(text));
        }
    }

    #[test]
    fn many_beginnings_cost_no_more_than_their_number() {
        for piece in
            ["://a:b", "eyJ", "-----BEGIN PRIVATE", "sk-", "@tcp(", "://", "Basic ", "LS0tLS1CRUdJTi", "$6$"]
        {
            find(&piece.repeat(100_000));
        }
    }
}
