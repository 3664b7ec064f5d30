//! The one pass over every text: which parts of it are worth a closer look.
//!
//! Almost no text holds a secret, so all the beginnings of tokens and all the pieces of names that announce one are
//! looked for at once, by one automaton (Aho-Corasick), and what has none of them is done.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind, StartKind};

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

/// A constant that takes a moment to make.
static TRIGGERS: LazyLock<Option<(AhoCorasick, Vec<Hit>)>> = LazyLock::new(|| {
    let (hits, texts) = table();
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .start_kind(StartKind::Unanchored)
        .kind(Some(AhoCorasickKind::DFA))
        .build(texts);
    Some((automaton.ok()?, hits))
});

/// Returns where the hits in a text begin, sorted.
pub(crate) fn hits(text: &str) -> Vec<(usize, Hit)> {
    let Some((automaton, kinds)) = &*TRIGGERS else { return Vec::new() };
    let mut found = Vec::new();
    for hit in automaton.find_overlapping_iter(Input::new(text)) {
        let kind = kinds[hit.pattern().as_usize()];
        // Makers write their prefixes in one way; names are written in any.
        if let Hit::Token { maker, .. } = kind {
            let written = &text.as_bytes()[hit.range()];
            let exact = MAKERS[maker].1.split_ascii_whitespace().any(|prefix| prefix.as_bytes() == written);
            let in_word = written[0].is_ascii_alphanumeric()
                && hit.start() > 0
                && text.as_bytes()[hit.start() - 1].is_ascii_alphanumeric();
            if !exact || in_word {
                continue;
            }
        }
        let in_word = hit.start() > 0 && text.as_bytes()[hit.start() - 1].is_ascii_alphanumeric();
        let goes_on = || text.as_bytes().get(hit.end()).is_some_and(u8::is_ascii_alphanumeric);
        if kind == Hit::Command && in_word || kind == Hit::Word && (in_word || goes_on()) {
            continue;
        }
        found.push((hit.start(), kind));
    }
    found.sort_by_key(|(at, _)| *at);
    found
}

/// Returns true if anything in the text needs a closer look.
pub(crate) fn any(text: &str) -> bool {
    TRIGGERS.as_ref().is_none_or(|(automaton, _)| automaton.is_match(text))
}
