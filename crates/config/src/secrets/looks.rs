//! Answers from the looks of a value: that it only refers to a secret, that it is a mode, a label, a sentence, something public.

use super::names::is_own_name;
use crate::grammar::is_placeholder;
use crate::random::is_high_entropy;

/// Words that are the value of a setting and not a secret.
const MODES: &str = "0 1 read write true false yes no on off error warn warning info debug none null nil undefined unset required optional sufficient requisite enabled \
    disabled enable disable never prompt ask inherit auto ~ {} [] { [ ( | > |- >- set hidden masked random generated absent present \
    changed ok missing string str int bool boolean integer varchar text bytes uuid bytea \
    jsonb numeric bigint timestamptz files compat systemd sss";

/// Words of prose.
const PROSE: &str = "the a an is are was were be been has have had will would should must can cannot could may might for to of and or \
    with your you we our their its this that these those please if when where which who not from";

/// Returns true if a list of words has this one, in any case.
pub(crate) fn is_in(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|listed| listed.eq_ignore_ascii_case(word))
}

/// Returns true if the text is the value of a setting: a switch, a mode.
pub(crate) fn is_mode(text: &str) -> bool {
    is_in(MODES, text)
}

/// Returns true if the text reads like a sentence.
pub(crate) fn is_prose(text: &str) -> bool {
    prose_words(text) >= 2
}

/// Returns the number of words in a text that only sentences have.
pub(crate) fn prose_words(text: &str) -> usize {
    text.split_whitespace().filter(|word| is_in(PROSE, word.trim_end_matches([',', '.']))).count()
}

/// Returns true if the text is an expression of a program: `getenv("X")`, `$password`, `config.get(x)`.
pub(crate) fn is_code(text: &str) -> bool {
    let variable = text.strip_prefix('$').is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .bytes()
                .all(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'[' | b']' | b'\'' | b'>' | b'-'))
    });
    let name = text.trim_start_matches(['$', '@', '&', '*', '!']);
    let called = name
        .trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '>' | '-'));
    let calls = called.len() < name.len() && called.starts_with('(') && text.contains(')');
    let environment = [
        "os.environ",
        "process.env",
        "ENV[",
        "env(",
        "getenv",
        "System.get",
        "var.",
        "local.",
        "data.",
        "module.",
        "self.",
        "this.",
        "Rails.",
        "std::env",
        "r.Header",
        "req.",
        "request.",
        "config.",
        "random_password.",
        "jsonencode(",
        "params[",
        "secrets.",
        "args.",
    ];
    variable || calls || text.starts_with("@/") || environment.iter().any(|start| text.starts_with(start))
}

/// Returns true if the value is not a word: it has a digit and a letter, a sign, or capitals inside.
pub(crate) fn is_odd(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let signs = text.bytes().any(|b| b"!#$%^&*+=~@".contains(&b));
    let humps = text
        .as_bytes()
        .windows(2)
        .filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
        .count();
    text.len() >= 4
        && digits < text.len()
        && (digits > 0 || signs || humps > 0 && text.len() >= 12)
        && !text.contains(char::is_whitespace)
}

/// Returns true if the text only refers to a secret: a variable, a place in a store, the path of a file; or if it says that the secret
/// was masked where it came from.
pub(crate) fn is_reference(text: &str) -> bool {
    if text.len() > 512 {
        return false;
    }
    is_placeholder(text) || is_file(text) || is_in_store(text) || is_masked(text)
}

/// Returns true if the text names a secret in a store, or in the environment.
pub(crate) fn is_in_store(text: &str) -> bool {
    const SCHEMES: &str = "ref+ op:// secret:// secretref: secretsmanager: awssm: awsssm: aws-sm: aws-ssm: ssm:/ sm:// gsm:// gcpsm: \
        azurekeyvault:// akv:// keyvault: doppler: conjur: bao: arn:aws:secretsmanager: arn:aws:ssm: arn:aws:kms: arn:aws-us-gov: \
        @microsoft.keyvault( vault: vault:// vault+ env: env. env:// environment: process.env. os.environ file:/ file:. k8s:secret \
        secretkeyref: kubernetes:// keyring: keychain: 1password: bitwarden: lookup( !vault ansible_vault: (( gcp-sm:// infisical:// kms: credentialsjson: akeyless: \
        keeper:// bws:// bitwarden:// chamber:// berglas:// secretmanager: azure-kv:// projects/ [parameters( [variables( [reference( \
        [listkeys( @microsoft.";
    let begins =
        |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let is_known = SCHEMES.split_ascii_whitespace().any(begins);
    // `vault:v1:…` is what Vault encrypted.
    let is_ciphertext =
        text.strip_prefix("vault:v").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let is_path = text.starts_with("projects/") && text.contains("/secrets/");
    // `name:/path`, as systemd has its credentials.
    let is_named_path = text.split_once(":/").is_some_and(|(name, _)| is_word(name) && !name.contains("://"));
    let is_resolved = text.starts_with("{{resolve:") && text.ends_with("}}");
    (is_known && !is_ciphertext && !text.contains(char::is_whitespace)
        || is_path
        || is_resolved
        || is_named_path && !text.contains("://") && !text.contains(char::is_whitespace))
        || (text.starts_with("lookup(") || text.starts_with("(( ")) && text.ends_with(')')
}

/// Returns true if a value was hidden before it came here: `(sensitive value)`, `REDACTED`, `<<< secret >>>`.
pub(crate) fn is_masked(text: &str) -> bool {
    const MASKS: &str = "mask redacted masked hidden removed sensitive secret sensitivevalue secrethidden configurationremoved passwordremoved \
        notshown suppressed filtered scrubbed sanitized omitted knownafterapply";
    let inner = text.trim_matches(|c: char| c.is_whitespace() || b"<>()[]{}#*!\"'".contains(&(c as u8)));
    let framed =
        inner.len() < text.len() || inner.bytes().all(|b| b.is_ascii_uppercase() || b == b'_' || b == b' ');
    let word: String =
        inner.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).collect::<String>().to_ascii_lowercase();
    let repeats = |sign: u8| text.len() >= 3 && text.bytes().all(|b| b == sign);
    let is_name = framed && MASKS.split_ascii_whitespace().any(|mask| mask == word);
    is_name || [b'*', b'x', b'X', b'?', b'.', b'#'].into_iter().any(repeats)
}

/// Returns true if the text looks like the path of a file: it starts at the root, the folder or the home, its
/// steps are words, and its ending or its first folder is one that such files have.
pub(crate) fn is_file(text: &str) -> bool {
    const ENDS: &str = "pem key crt cer p12 pfx jks json txt yaml yml toml env secret gpg asc pub ppk conf cfg ini keytab token \
        sock keystore bcfks kdbx properties xml lock tf tpl";
    // Of documents and sources, also without a folder at the root.
    const SOURCES: &str =
        "md js mjs cjs ts tsx jsx py rs go rb java kt cs html htm sh json yaml yml toml xml css rst";
    if !text.contains(char::is_whitespace)
        && text.rsplit_once('.').is_some_and(|(stem, end)| {
            let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-');
            !stem.is_empty()
                && stem.bytes().all(fine)
                && !is_high_entropy(stem)
                && SOURCES.split(' ').any(|known| known == end)
        })
    {
        return true;
    }
    // `C:\\folder\\file`
    if text.as_bytes().get(1..3) == Some(b":\\") && text.as_bytes()[0].is_ascii_alphabetic() {
        return true;
    }
    let text = text
        .strip_prefix('@')
        .filter(|rest| rest.starts_with(['/', '.']) || rest.contains('.'))
        .unwrap_or(text);
    let is_named = text.len() < 40
        && text.rsplit_once('.').is_some_and(|(stem, end)| {
            matches!(end, "txt" | "pem" | "key" | "env")
                && stem.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        });
    if is_named {
        return true;
    }
    const ROOTS: &str = "run etc var mnt opt home usr vault secrets root srv data app config certs tmp";
    let text = text.strip_prefix("file://").unwrap_or(text);
    let rooted =
        text.starts_with('/') || text.starts_with("./") || text.starts_with("../") || text.starts_with("~/");
    let steps: Vec<&str> = text.split('/').filter(|step| !step.is_empty()).collect();
    let fine = |step: &&str| {
        step.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'~'))
            && !is_high_entropy(step)
    };
    let ending =
        text.rsplit_once('.').is_some_and(|(_, end)| ENDS.split_ascii_whitespace().any(|known| known == end));
    let root = steps.first().is_some_and(|first| ROOTS.split(' ').any(|known| known == *first));
    let is_hidden =
        steps.iter().any(|step| step.starts_with('.') && step.len() > 2 && !step.starts_with(".."));
    let ending = ending
        || ENDS
            .split_ascii_whitespace()
            .any(|known| text.rsplit_once('.').is_some_and(|(_, end)| end == known));
    rooted && steps.iter().all(fine) && (ending || (root && steps.len() > 1) || is_hidden)
}

/// Returns true if a text is what a page shows beside a field: `Confirm password`, `Your session has expired`.
pub(crate) fn is_label(text: &str) -> bool {
    let sentence = || {
        let begins = text.starts_with(|c: char| c.is_uppercase()) && text.split(' ').count() >= 3;
        is_prose(text) || begins && prose_words(text) >= 1
    };
    is_own_name(text)
        || text.contains(' ') && text.len() <= 400 && !text.bytes().any(|b| b.is_ascii_digit()) && sentence()
}

/// Returns true if a text is a public key or a certificate.
pub(crate) fn is_public(text: &str) -> bool {
    const STARTS: [&str; 10] = [
        "ssh-rsa ",
        "ssh-ed25519 ",
        "ssh-dss ",
        "ecdsa-sha2-",
        "sk-ssh-",
        "sk-ecdsa-",
        "age1",
        "-----BEGIN PUBLIC KEY",
        "-----BEGIN CERTIFICATE",
        "-----BEGIN PGP PUBLIC",
    ];
    STARTS.iter().any(|start| text.trim_start().starts_with(start)) && !text.contains("PRIVATE KEY")
}

/// Returns true if a text is the digest of something public: that of a package, an image, a certificate.
pub(crate) fn is_digest(name: &str, text: &str) -> bool {
    let is_hex = |text: &str| text.len() >= 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_sri = ["sha512-", "sha384-", "sha256-"].iter().any(|start| text.starts_with(start));
    let says_pass = name.to_ascii_lowercase().contains("pass");
    (is_sri || text.strip_prefix("sha256:").is_some_and(is_hex)) && !says_pass
}

/// Returns true if the text is a word, or several joined by dashes, dots or underscores: no random characters, no digits but at ends.
pub(crate) fn is_word(text: &str) -> bool {
    let is_part = |part: &str| {
        let letters = part.trim_end_matches(|c: char| c.is_ascii_digit());
        part.len() - letters.len() <= 2
            && !letters.is_empty()
            && letters.bytes().all(|b| b.is_ascii_alphabetic())
    };
    text.len() <= 63
        && text.split(['-', '_', '.', '/', ' ', ':']).all(|part| part.is_empty() || is_part(part))
        && !is_high_entropy(text)
}
