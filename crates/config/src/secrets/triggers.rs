//! The one pass over every text: which parts of it are worth a closer look.
//!
//! Almost no text holds a secret, so all the beginnings of tokens and all the pieces of names that announce one are
//! looked for at once, by the three bytes each begins with, and what has none of them is done.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::names::COMMANDS;
use super::tokens::MAKERS;
use crate::grammar::grammars;

/// Something found in passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hit {
    /// The prefix of a maker's tokens.
    Token {
        /// Its place in [`MAKERS`].
        maker: usize,
        /// The length of the prefix.
        length: usize,
    },
    /// A part of a name that announces a secret, a device's word for one.
    Name,
    /// A command whose options take one.
    Command,
    /// A shape that needs a closer look at the value.
    Shape(Shape),
    /// A word that rows of the grammars need in their line.
    Word,
    /// A piece of a word that rows of the grammars need in their line; its place among them.
    Row(usize),
}

/// The shapes of secrets that are no single token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `://`
    Url,
    /// `-----BEGIN ` and its kin.
    PrivateKey,
    /// `PuTTY-User-Key-File-`
    Putty,
    /// `eyJ`: base 64 of `{"`.
    WebToken,
    /// `LS0tLS1CRUdJTi`: base 64 of `-----BEGIN `.
    EncodedKey,
    /// `Bearer ` and `Basic `
    Authorization,
    /// `@tcp(`
    Dsn,
    /// `8Q~`, in the middle of what Azure calls a client secret.
    AzureSecret,
    /// `:AA`, in the middle of what Telegram gives a bot.
    TelegramBot,
    /// `.atlasv1.`, in the middle of a token for Terraform's cloud.
    Terraform,
    /// `:5432:`, in a line of `.pgpass`.
    PgPass,
    /// `-us1` to `-us2`, at the end of a key for Mailchimp.
    Mailchimp,
    /// `$ANSIBLE_VAULT;`
    Vault,
    /// `<key>` and its kin, as OpenVPN has them.
    Block,
    /// `%^%#`, around what Huawei's devices encrypt.
    Huawei,
    /// `ENC(`, before what Jasypt encrypts.
    Jasypt,
    /// `ENC[`, before what SOPS and eyaml encrypt.
    Sops,
    /// ` ENC `, before what FortiOS encrypts.
    Enc,
    /// ` cipher `, before what Huawei's and H3C's devices encrypt.
    Cipher,
    /// `jdbc:oracle:`, before `thin:user/password@`.
    Oracle,
    /// `Authorization:` and other headers.
    Header,
}

const SHAPES: &[(&str, Shape)] = &[
    ("://", Shape::Url),
    ("-----BEGIN ", Shape::PrivateKey),
    ("---- BEGIN ", Shape::PrivateKey),
    ("PuTTY-User-Key-File-", Shape::Putty),
    ("eyJ", Shape::WebToken),
    ("LS0tLS1CRUdJTi", Shape::EncodedKey),
    ("bearer ", Shape::Authorization),
    ("basic ", Shape::Authorization),
    ("negotiate ", Shape::Authorization),
    ("splunk ", Shape::Authorization),
    ("@tcp(", Shape::Dsn),
    ("@tcp6(", Shape::Dsn),
    ("@udp(", Shape::Dsn),
    ("@unix(", Shape::Dsn),
    ("8Q~", Shape::AzureSecret),
    ("7Q~", Shape::AzureSecret),
    (":AA", Shape::TelegramBot),
    (".atlasv1.", Shape::Terraform),
    (":5432:", Shape::PgPass),
    ("-us1", Shape::Mailchimp),
    ("-us2", Shape::Mailchimp),
    ("$ANSIBLE_VAULT;", Shape::Vault),
    ("<key>", Shape::Block),
    ("<secret>", Shape::Block),
    ("<tls-auth>", Shape::Block),
    ("<tls-crypt>", Shape::Block),
    ("<tls-crypt-v2>", Shape::Block),
    ("<pkcs12>", Shape::Block),
    ("<auth-user-pass>", Shape::Block),
    ("<http-proxy-user-pass>", Shape::Block),
    ("%^%#", Shape::Huawei),
    ("ENC(", Shape::Jasypt),
    ("ENC[", Shape::Sops),
    (" ENC ", Shape::Enc),
    (" cipher ", Shape::Cipher),
    (" irreversible-cipher ", Shape::Cipher),
    ("jdbc:oracle:", Shape::Oracle),
    ("authorization:", Shape::Header),
    ("cookie:", Shape::Header),
    ("x-api-key:", Shape::Header),
    ("api-key:", Shape::Header),
    ("x-auth-token:", Shape::Header),
    ("private-token:", Shape::Header),
    ("x-vault-token:", Shape::Header),
    ("x-amz-security-token:", Shape::Header),
    ("x-csrf-token:", Shape::Header),
];

/// Pieces of names; every name that `names::sense` knows as a secret's has one of them.
const STEMS: &str = "pass pwd psk secret token key cred auth bearer jwt cookie kennwort passw senha wachtwoord \
    contrasen motdepasse haslo seed phrase community mnemonic sig= signature pin= rootpw bindpw userpw dbpw \
    adminpw pw= pw: pw\" pw' pw< pw> _pw -pw md5 sha tacacs radius wpa wep salt webhook license otp from-literal login userinfo \
    <prv> <phash> <tls> pepper sensitive noecho masked secured confidential encrypt \"kty\" secure";

fn table() -> (Vec<Hit>, Vec<String>) {
    let (mut hits, mut texts) = (Vec::new(), Vec::new());
    for (maker, (_, prefixes, ..)) in MAKERS.iter().enumerate() {
        for prefix in prefixes.split_ascii_whitespace() {
            hits.push(Hit::Token { maker, length: prefix.len() });
            texts.push(prefix.to_owned());
        }
    }
    for (text, shape) in SHAPES {
        hits.push(Hit::Shape(*shape));
        texts.push((*text).to_owned());
    }
    for stem in STEMS.split_ascii_whitespace().chain(["pw ", "pw\t", "allow ", "allow:"]) {
        hits.push(Hit::Name);
        texts.push(stem.to_owned());
    }
    for name in COMMANDS.iter().flat_map(|command| command.names.split_ascii_whitespace()) {
        // Two letters stand in many words; with what ends the command's name they do not.
        for end in [' ', '"', '\''] {
            hits.push(Hit::Command);
            texts.push(format!("{name}{end}"));
        }
    }
    // A word that has a stem in it is found by that.
    let has_stem = |word: &str| {
        let word = word.to_ascii_lowercase();
        STEMS.split_ascii_whitespace().any(|stem| word.contains(stem))
    };
    let words: BTreeSet<String> = grammars()
        .words
        .iter()
        .filter(|word| !has_stem(word))
        .map(|word| word.to_ascii_lowercase())
        .collect();
    for word in words {
        hits.push(Hit::Word);
        texts.push(word);
    }
    for (piece, (text, _)) in grammars().pieces.iter().enumerate() {
        hits.push(Hit::Row(piece));
        texts.push((*text).to_owned());
    }
    (hits, texts)
}

/// The classes of bytes: letters whatever their case, all others spread over what is left of five bits.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let letter = (byte as u8).to_ascii_lowercase();
        classes[byte] = match letter {
            b'a'..=b'z' => letter - b'a' + 1,
            _ => [0, 27, 28, 29, 30, 31][byte % 6],
        };
        byte += 1;
    }
    classes
};

/// The number of keys that three bytes can have.
const KEYS: usize = 1 << 15;

/// Returns the key of the three bytes that end in `byte`, from the key of the three before.
fn key(before: usize, byte: u8) -> usize {
    (before << 5 | usize::from(CLASSES[usize::from(byte)])) % KEYS
}

/// All that is looked for, by its first three bytes.
///
/// A bit for each key says whether anything begins with it: 4 KiB that stay in the processor's first cache, where an
/// automaton of all patterns has megabytes. Behind most keys there is nothing, and behind the others a few patterns.
struct Triggers {
    begins: Vec<u64>,
    /// The end of each key's patterns; they begin where those of the key before end.
    ends: Vec<u16>,
    patterns: Vec<(Vec<u8>, Hit)>,
}

impl Triggers {
    fn new((hits, texts): (Vec<Hit>, Vec<String>)) -> Triggers {
        let mut sorted = Vec::new();
        for (text, hit) in texts.into_iter().zip(hits) {
            let text = text.into_bytes();
            let first = text.iter().take(3).fold(0, |before, byte| key(before, *byte));
            match text.len() {
                // Any byte may follow the two.
                2 => sorted.extend((0..32).map(|third| ((first << 5 | third) % KEYS, text.clone(), hit))),
                _ => sorted.push((first, text, hit)),
            }
        }
        sorted.sort_by_key(|(key, text, _)| (*key, text.len()));
        let (mut begins, mut ends, mut patterns) = (vec![0; KEYS / 64], vec![0; KEYS + 1], Vec::new());
        for (key, text, hit) in sorted {
            patterns.push((text, hit));
            begins[key / 64] |= 1 << (key % 64);
            ends[key + 1] = u16::try_from(patterns.len()).unwrap_or(u16::MAX);
        }
        for key in 0..KEYS {
            ends[key + 1] = ends[key + 1].max(ends[key]);
        }
        Triggers { begins, ends, patterns }
    }

    /// Calls `each` with what is found in a text and where it begins, from left to right, until it returns false.
    fn find(&self, text: &[u8], mut each: impl FnMut(usize, Hit) -> bool) {
        let mut three = text.iter().take(2).fold(0, |before, byte| key(before, *byte));
        for at in 0..text.len().saturating_sub(1) {
            // A pattern of two bytes may be the end.
            three = key(three, text.get(at + 2).copied().unwrap_or(0));
            if self.begins[three / 64] >> (three % 64) & 1 == 0 {
                continue;
            }
            for (pattern, hit) in &self.patterns[self.ends[three].into()..self.ends[three + 1].into()] {
                let is_there =
                    text.get(at..at + pattern.len()).is_some_and(|it| it.eq_ignore_ascii_case(pattern));
                if is_there && counts(text, at, pattern.len(), *hit) && !each(at, *hit) {
                    return;
                }
            }
        }
    }
}

/// Returns true if a hit counts for what stands around it, and as it is written.
fn counts(text: &[u8], at: usize, length: usize, hit: Hit) -> bool {
    let in_word = at > 0 && text[at - 1].is_ascii_alphanumeric();
    let goes_on = || text.get(at + length).is_some_and(u8::is_ascii_alphanumeric);
    match hit {
        // Makers write their prefixes in one way; names are written in any.
        Hit::Token { maker, .. } => {
            let written = &text[at..at + length];
            MAKERS[maker].1.split_ascii_whitespace().any(|prefix| prefix.as_bytes() == written)
                && !(in_word && written[0].is_ascii_alphanumeric())
        }
        Hit::Command => !in_word,
        Hit::Word => !in_word && !goes_on(),
        Hit::Name | Hit::Shape(_) | Hit::Row(_) => true,
    }
}

static TRIGGERS: LazyLock<Triggers> = LazyLock::new(|| Triggers::new(table()));

/// Returns where the hits in a text begin, sorted.
pub(crate) fn hits(text: &str) -> Vec<(usize, Hit)> {
    let mut found = Vec::new();
    TRIGGERS.find(text.as_bytes(), |at, hit| {
        found.push((at, hit));
        true
    });
    found
}

/// Returns true if anything in the text needs a closer look.
pub(crate) fn any(text: &str) -> bool {
    let mut is_found = false;
    TRIGGERS.find(text.as_bytes(), |_, _| {
        is_found = true;
        false
    });
    is_found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_two_bytes_is_found_at_the_end() {
        assert!(table().1.iter().any(|text| text == "=>"));
        assert!(any("a =>"));
        assert!(!any("=") && !any(""));
    }

    #[test]
    fn every_pattern_is_found_in_upper_and_lower_case() {
        let (hits, texts) = table();
        for (hit, text) in hits.iter().zip(&texts) {
            let line = format!("- {text} .");
            assert!(super::hits(&line).contains(&(2, *hit)), "{text}");
            if !matches!(hit, Hit::Token { .. }) {
                assert!(super::hits(&line.to_ascii_uppercase()).contains(&(2, *hit)), "{text}");
            }
        }
    }
}
