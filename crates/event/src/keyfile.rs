//! The lines of a key file, `ID ALGORITHM HEX`, and the hexadecimal spelling of keys and signatures.
//!
//! What a key signs is the business of the crate that uses it (seals of a log, baselines); the file is one format.

use std::fmt;

/// One key of a file.
#[derive(Clone)]
pub struct Key {
    /// Its id: up to 64 letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// What it is a key for.
    pub algorithm: Algorithm,
    /// The key, the seed or the public key.
    pub bytes: [u8; 32],
    /// The line it stands in, from 1.
    pub line: usize,
}

/// What a key is a key for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `hmac-sha256`: signs and checks.
    HmacSha256,
    /// `ed25519`: the 32-byte seed; signs and checks.
    Ed25519,
    /// `ed25519-public`: checks.
    Ed25519Public,
}

/// A key file cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the key file: {why}")]
pub struct BadKey {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Reads a key file: a line a key, `ID hmac-sha256 HEX`, `ID ed25519 HEX` or `ID ed25519-public HEX`; `#` begins a
/// comment.
///
/// # Errors
/// [`BadKey`] with the line. It quotes nothing: what is not understood may be a key.
pub fn parse(text: &str) -> Result<Vec<Key>, BadKey> {
    let mut keys: Vec<Key> = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let bad = |why| BadKey { line, why };
        let content = content.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        let words: Vec<&str> = content.split_whitespace().collect();
        let &[id, algorithm, digits] = words.as_slice() else {
            return Err(bad("it must have three words: ID ALGORITHM HEX"));
        };
        if !is_id(id) {
            return Err(bad("an id has up to 64 letters, digits, `-`, `_` and `.`"));
        }
        if keys.iter().any(|key| key.id == id) {
            return Err(bad("this id stands in the file twice"));
        }
        let bytes = unhex(digits).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let bytes = bytes.ok_or(bad("a key is 64 hexadecimal digits, a-f in small letters"))?;
        let algorithm = match algorithm {
            "hmac-sha256" => Algorithm::HmacSha256,
            "ed25519" => Algorithm::Ed25519,
            "ed25519-public" => Algorithm::Ed25519Public,
            _ => return Err(bad("the algorithm is hmac-sha256, ed25519 or ed25519-public")),
        };
        keys.push(Key { id: id.to_owned(), algorithm, bytes, line });
    }
    Ok(keys)
}

/// Whether a text can be the id of a key.
pub fn is_id(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(fine)
}

/// Bytes in hexadecimal, in small letters.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from(b"0123456789abcdef"[usize::from(n & 15)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(*b)]).collect()
}

/// Reads what [`hex`] writes. Small letters only, so that a signature has one spelling.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let digits = text.as_bytes();
    let pairs = digits.chunks(2).map(|pair| match pair {
        &[high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect()
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_key_a_line() {
        let text =
            format!("# mine\n\nk1 hmac-sha256 {}\nk-2 ed25519 {} # new\n", "0f".repeat(32), "a0".repeat(32));
        let keys = parse(&text).unwrap();
        assert_eq!((keys[0].id.as_str(), keys[0].bytes[0], keys[0].line), ("k1", 15, 3));
        assert_eq!((keys[1].id.as_str(), keys[1].algorithm), ("k-2", Algorithm::Ed25519));
        assert!(!format!("{keys:?}").contains("15, 15"));
    }

    #[test]
    fn what_is_no_key_names_the_line_and_quotes_nothing() {
        let good = "ab".repeat(32);
        for bad in [
            "a".to_owned(),
            "a hmac-sha256 00".to_owned(),
            format!("a rot13 {good}"),
            format!("ä hmac-sha256 {good}"),
            format!("a hmac-sha256 {}", good.to_uppercase()),
            format!("a hmac-sha256 {good}0"),
            format!("x ed25519 {good}\nx ed25519 {good}"),
        ] {
            let error = parse(&format!("# keys\n{bad}")).unwrap_err();
            assert_eq!(error.line, 1 + bad.lines().count(), "{bad}");
            assert!(!error.to_string().contains("abab"), "{error}");
        }
    }

    #[test]
    fn hex_has_one_spelling() {
        assert_eq!(unhex(&hex(&[0, 9, 10, 255])), Some(vec![0, 9, 10, 255]));
        for bad in ["0", "0A", "0g", "00 ", "é"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
