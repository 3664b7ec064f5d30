//! Values that are known to be secret: learned where they stood under a name that says so, and hidden wherever they come up
//! again, also in another encoding.
//!
//! They are held in memory only, and overwritten when they are dropped. A value is looked for by its first eight bytes,
//! so a text is read once whatever the number of values.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::{Zeroize as _, Zeroizing};

use crate::secrets::Found;
use crate::secrets::looks::is_reference;

/// The kind of a secret that is known by its value.
pub(super) const KNOWN: &str = "known-secret";

/// The shortest value that is learned, in bytes. A shorter one stands in too many words.
pub const SHORTEST: usize = 8;

/// The longest value that is learned, in bytes.
const LONGEST: usize = 16 << 10;

/// The longest piece of a value that is looked for where a line begins, in bytes.
const LONGEST_PIECE: usize = 512;

/// The bytes by which a value is looked for.
const KEY: usize = 8;

/// Words that are set as a password and stand in ordinary text.
const WORDS: &str = "password passwords passw0rd changeme changeit undefined localhost postgres postgresql rabbitmq mongodb \
    elasticsearch administrator username database production development staging integration testing example examples disabled \
    enabled required optional anonymous internal external default-password secret-key supersecret letmein1 12345678 123456789 \
    1234567890 qwertyui abcdefgh abcdefghij aaaaaaaa 00000000 11111111 unchanged sensitive redacted placeholder insecure topsecret \
    mysecret mypassword my-secret my-password secretkey testtest password1 password123 admin123 rootroot guestguest minioadmin \
    openssl1 yes-please configured automatic generated kubernetes container docker-registry application";

/// A set of values that are secret.
#[derive(Default)]
pub struct KnownSecrets {
    /// The values in each of their spellings.
    needles: Vec<Zeroizing<Vec<u8>>>,
    /// The needles that begin with these bytes.
    starts: HashMap<u64, Vec<usize>>,
    /// The needles that end with these bytes.
    ends: HashMap<u64, Vec<usize>>,
    /// The values that were learned, by their digest in this process.
    seen: HashSet<u64>,
    /// The pairs of bytes that some needle begins with: most places of a text are passed by this.
    first: Pairs,
    /// The pairs of bytes that some needle ends with.
    last: Pairs,
    state: std::hash::RandomState,
    most: usize,
}

/// A set of pairs of bytes.
struct Pairs(Box<[u64; 1024]>);

impl Default for Pairs {
    fn default() -> Self {
        Pairs(Box::new([0; 1024]))
    }
}

impl Pairs {
    fn add(&mut self, pair: &[u8]) {
        let at = usize::from(u16::from_le_bytes([pair[0], pair[1]]));
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn has(&self, pair: &[u8]) -> bool {
        let at = usize::from(u16::from_le_bytes([pair[0], pair[1]]));
        self.0[at / 64] >> (at % 64) & 1 == 1
    }
}

impl std::fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KnownSecrets").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Drop for KnownSecrets {
    fn drop(&mut self) {
        // The values overwrite themselves; these are pieces of them.
        self.starts.drain().for_each(|(mut key, _)| key.zeroize());
        self.ends.drain().for_each(|(mut key, _)| key.zeroize());
    }
}

impl KnownSecrets {
    /// Returns a set that learns at most so many values.
    pub fn new(most: usize) -> Self {
        let mut known = KnownSecrets::default();
        known.most = most;
        known
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Returns true if no value was learned.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Learns a value. Returns false if it is too short or too long, an ordinary word, known, or one too many.
    pub fn learn(&mut self, value: &str) -> bool {
        use std::hash::BuildHasher as _;

        let value = value.trim();
        let is_word = || WORDS.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(value));
        let distinct = || value.bytes().collect::<HashSet<u8>>().len() >= 4;
        let fits = (SHORTEST..=LONGEST).contains(&value.len());
        if !fits || self.seen.len() >= self.most || !distinct() || is_word() || is_reference(value) {
            return false;
        }
        if !self.seen.insert(self.state.hash_one(value)) {
            return false;
        }
        spellings(value).into_iter().for_each(|spelling| self.add(spelling));
        true
    }

    fn add(&mut self, text: Zeroizing<Vec<u8>>) {
        if text.len() < SHORTEST {
            return;
        }
        let at = self.needles.len();
        self.first.add(&text[..2]);
        self.last.add(&text[text.len() - 2..]);
        self.starts.entry(key(&text[..KEY])).or_default().push(at);
        self.ends.entry(key(&text[text.len() - KEY..])).or_default().push(at);
        self.needles.push(text);
    }

    /// Returns where known values stand in a text, and pieces of them where a line begins or ends: a program's output is cut
    /// where its buffer ends.
    pub(super) fn find(&self, text: &str, found: &mut Vec<Found>) {
        if self.needles.is_empty() {
            return;
        }
        let bytes = text.as_bytes();
        let mut at = 0;
        while at + KEY <= bytes.len() {
            if !self.first.has(&bytes[at..at + 2]) {
                at += 1;
                continue;
            }
            let candidates = self.starts.get(&key(&bytes[at..at + KEY]));
            let length = candidates.and_then(|candidates| {
                let matching = candidates.iter().map(|needle| &self.needles[*needle]);
                matching.filter(|needle| bytes[at..].starts_with(needle)).map(|needle| needle.len()).max()
            });
            match length {
                Some(length) => {
                    self.push(text, at..at + length, found);
                    at += length;
                }
                None => {
                    // The end of the text is the start of a value.
                    let is_cut = candidates.is_some_and(|candidates| {
                        candidates.iter().any(|needle| self.needles[*needle].starts_with(&bytes[at..]))
                    });
                    if is_cut {
                        self.push(text, at..bytes.len(), found);
                        break;
                    }
                    at += 1;
                }
            }
        }
        // The start of the text is the end of a value.
        for end in KEY..=bytes.len().min(LONGEST_PIECE) {
            if !self.last.has(&bytes[end - 2..end]) {
                continue;
            }
            let Some(candidates) = self.ends.get(&key(&bytes[end - KEY..end])) else { continue };
            if candidates.iter().any(|needle| self.needles[*needle].ends_with(&bytes[..end])) {
                self.push(text, 0..end, found);
                break;
            }
        }
    }

    fn push(&self, text: &str, range: Range<usize>, found: &mut Vec<Found>) {
        if text.is_char_boundary(range.start) && text.is_char_boundary(range.end) {
            found.push(Found { range, kind: KNOWN });
        }
    }
}

/// The first bytes of a value as a number.
fn key(bytes: &[u8]) -> u64 {
    bytes.iter().take(KEY).fold(0, |key, byte| key << 8 | u64::from(*byte))
}

/// Returns a value as it stands in other encodings: percent-encoded, escaped as in JSON, and in base 64 at each of the three
/// places that it can begin at.
fn spellings(value: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let mut spellings = vec![Zeroizing::new(value.as_bytes().to_vec())];
    let mut add = |text: String| {
        let text = Zeroizing::new(text.into_bytes());
        if !spellings.contains(&text) {
            spellings.push(text);
        }
    };
    let json = serde_json::Value::from(value).to_string();
    add(json[1..json.len() - 1].to_owned());
    let percent = |upper: bool, plus: bool| {
        value.bytes().fold(String::new(), |mut text, byte| {
            match byte {
                b' ' if plus => text.push('+'),
                _ if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => text.push(char::from(byte)),
                _ if upper => text.push_str(&format!("%{byte:02X}")),
                _ => text.push_str(&format!("%{byte:02x}")),
            }
            text
        })
    };
    add(percent(true, false));
    add(percent(false, false));
    add(percent(true, true));
    for line in
        value.lines().map(str::trim).filter(|line| line.len() >= 2 * SHORTEST && line.len() < value.len())
    {
        add(line.to_owned());
    }
    for shift in 0..3 {
        let mut bytes = vec![0; shift];
        bytes.extend_from_slice(value.as_bytes());
        // What depends on the bytes before and behind it is left out.
        let whole = bytes.len() / 3 * 3;
        let from = if shift == 0 { 0 } else { 4 };
        let standard = STANDARD_NO_PAD.encode(&bytes[..whole]);
        let url = URL_SAFE_NO_PAD.encode(&bytes[..whole]);
        for text in [standard, url] {
            if text.len() >= from + 12 {
                add(text[from..].to_owned());
            }
        }
        bytes.zeroize();
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(known: &KnownSecrets, text: &str) -> String {
        let mut found = Vec::new();
        known.find(text, &mut found);
        let mut found = super::super::scan::disjoint(text, found);
        let mut out = text.to_owned();
        found.sort_by_key(|one| std::cmp::Reverse(one.range.start));
        found.into_iter().for_each(|one| out.replace_range(one.range, "#"));
        out
    }

    #[test]
    fn a_value_is_found_in_every_spelling() {
        let mut known = KnownSecrets::new(10);
        let value = "s3cr3t \"wörd\"/7";
        assert!(known.learn(value) && !known.learn(value));
        for text in [
            format!("got {value}!"),
            format!("{{\"x\":{}}}", serde_json::Value::from(value)),
            "GET /x?p=s3cr3t%20%22w%C3%B6rd%22%2F7&y=1".to_owned(),
            "GET /x?p=s3cr3t+%22w%C3%B6rd%22%2F7&y=1".to_owned(),
        ] {
            let out = hidden(&known, &text);
            assert!(out.contains('#') && !out.contains("s3cr") && !out.contains("rd"), "{text}: {out}");
        }
        for before in ["", "u", "us", "use", "user:"] {
            let text = base64::engine::general_purpose::STANDARD.encode(format!("{before}{value}@host"));
            assert!(hidden(&known, &text).contains('#'), "{before}");
        }
    }

    #[test]
    fn pieces_at_the_ends_of_a_line_are_found() {
        let mut known = KnownSecrets::new(10);
        known.learn("0123456789abcdef");
        assert_eq!(hidden(&known, "key 0123456789"), "key #");
        assert_eq!(hidden(&known, "89abcdef done"), "# done");
        assert_eq!(hidden(&known, "cdef done"), "cdef done");
    }

    #[test]
    fn words_and_short_values_are_not_learned() {
        let mut known = KnownSecrets::new(1);
        for text in ["short", "changeme", "PASSWORD", "aaaaaaaaaaaa", "${SECRET_NAME}"] {
            assert!(!known.learn(text), "{text}");
        }
        assert!(known.learn("correct-horse") && !known.learn("battery-staple"));
    }
}
