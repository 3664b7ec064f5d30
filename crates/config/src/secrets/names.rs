//! Names that announce a secret, and names that only talk about one.

use crate::path::Segment;

/// The meaning of a name for its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sense {
    /// The value is no secret as far as its name tells: `secretName`, `token_ttl`.
    Innocent,
    /// The name has a secret in it, and what follows is not known to be harmless: a text is one, a number is not.
    Mentions,
    /// The value is the secret.
    Secret,
}

/// Words that on their own name a secret when a name ends in them, written together with others (`dbpassword`) too.
const NOUNS: &str = "password passwd passwort kennwort passphrase passcode passkey secret token apikey privatekey privkey accesskey \
    secretkey authkey signingkey encryptionkey masterkey sharedkey sshkey licensekey credential creds pwd mnemonic \
    senha wachtwoord contrasena motdepasse haslo";

/// Words that name a secret only when they stand alone.
const SHORT_NOUNS: &str = "pass pw psk jwt authorization bearer requirepass masterauth keystring cookie setcookie cred rootpw bindpw \
    userpw dbpw adminpw rocommunity rwcommunity authtok wepkey sharedsecret passwordsalt pepper prv phash";

/// Words that make a secret of a `key` or `keys` after them.
const KEY_KINDS: &str = "\
    api private secret access encryption encrypt decryption signing sign jwt shared preshared master session auth \
    authentication account storage license static md5 hmac deploy ssl client ssh webhook aes cipher crypt crypto tls \
    vault unseal recovery certificate activation admin ingest app application subscription cookie csrf rsa fernet wpa wep bot \
    push sas hash256 tacacs radius ospf bgp eigrp isakmp product bearer";

/// Words that may follow a secret's noun and leave it one: `password_hash`, `secretValue`.
const NEUTRAL: &str = "\
    value values data hash enc encrypted base b64 plain plaintext text string current previous old new \
    primary secondary default raw md list map table";

/// Words that end a name that only talks about a secret.
const HARMLESS: &str = "\
    name names url urls uri endpoint host port file files filename path paths dir directory folder ttl \
    timeout expiry expires expiration age lifetime duration interval days hours minutes minute seconds \
    second secs ms length len size min max limit limits count policy type kind format algorithm algo \
    method mode strategy provider issuer audience id ids ref refs enabled enable disabled required \
    allowed rotation reset prompt hint label labels field header prefix suffix env var variable key keys \
    until used types features optional resolved integrity dependencies engines scheme item refresh environment cacert cert certificate agefile spacing \
    class mount store manager backend engine version scope scopes source location template encryption \
    authentication iterations cost rounds user username email role namespace annotations create bucket \
    region group owner description recovery target uid gid driver domain external arn strength complexity server \
    separator pattern regex placeholder icon title desc help hint visible hidden show validation check checks \
    requests request usage window per rate cost pricing budget context grace renew renewal lookup resolver \
    permissions protected changed at on date time timestamp since updated created last tries attempts retries \
    lockout charset style mask status state configured present exists valid rotated rotate rotates reuse history \
    less manager service services selector generator helper cache index parser review reviewer vocab vocabulary \
    grant grants resource page link color colour version audiences issuers introspection revocation \
    exchange change encoder decoder samesite secure httponly percent ratio bits bytes estimate estimator step steps";

/// Words after which `pass` is a verb: nginx' `proxy_pass`.
const PASSING: &str =
    "proxy fastcgi uwsgi scgi grpc memcached by first single multi high low band did must will test tests";

/// Words that end in `pass` and have nothing to do with one.
const COMPASSES: &str = "bypass compass encompass trespass overpass underpass surpass proxypass firstpass nopass lowpass highpass bandpass \
    jsonwebtoken";

/// First words of names that refer to a secret: the name of one that exists.
const REFERRING: &str = "from forgot forgotten";

/// First words of names that may only talk about a secret, so that the value decides.
const TALKING: &str = "require requires allow no show hide has is skip forgot should ask prompt automount";

/// The options of some commands that take a secret.
pub(crate) struct Command {
    /// The names of the commands.
    pub names: &'static str,
    /// Options whose secret is written right behind: `-pX`.
    pub attached: &'static str,
    /// Options whose secret is the next argument: `-a X`.
    pub next: &'static str,
    /// Options that take `user:password`; the sign between them.
    pub login: (&'static str, char),
}

const fn command(names: &'static str, attached: &'static str, next: &'static str) -> Command {
    Command { names, attached, next, login: ("", ':') }
}

/// Commands known here. Options whose name says it (`--password`) need no row.
pub(crate) const COMMANDS: &[Command] = &[
    command(
        "mysql mysqldump mysqladmin mysqlimport mysqlcheck mysqlbinlog mysqlsh mariadb mariadb-dump mariadb-admin",
        "-p",
        "",
    ),
    command("sshpass", "-p", "-p"),
    command(
        "mongo mongosh mongodump mongorestore mongoexport mongoimport cqlsh docker podman nerdctl helm skopeo buildah",
        "",
        "-p",
    ),
    command("redis-cli valkey-cli keydb-cli", "", "-a"),
    command("ldapsearch ldapadd ldapmodify ldapdelete ldappasswd ldapwhoami", "", "-w -s -a"),
    command("sqlcmd bcp ipmitool mosquitto_pub mosquitto_sub unzip zip isql", "-P", "-P"),
    command("7z 7za 7zr rar unrar", "-p", ""),
    command("snmpwalk snmpget snmpset snmpbulkwalk snmpgetnext snmpstatus", "", "-c -A -X"),
    command("keytool jarsigner", "", "-storepass -keypass -srcstorepass -deststorepass"),
    command("openssl", "", "-passin -passout -pass -k -K -passwd"),
    command("useradd usermod groupadd rdesktop", "-p", "-p"),
    command("az", "", "-p --account-key --sas-token"),
    command("xfreerdp wlfreerdp", "/p:", ""),
    Command {
        login: ("-u --user -U --proxy-user -u, --http-user", ':'),
        ..command("curl wget http https xh", "", "")
    },
    Command { login: ("--user -u", ':'), ..command("etcdctl lftp nats ncftp", "", "") },
    Command { login: ("-U --user", '%'), ..command("smbclient rpcclient smbget winexe", "", "") },
];

/// Returns the meaning of a name for its value. Case, `-`, `_`, `.` and camel case make no difference.
pub(crate) fn sense(name: &str) -> Sense {
    // npm's user and password, in base64.
    if name == "_auth" || name.ends_with(":_auth") {
        return Sense::Secret;
    }
    if !may_say_something(name) {
        return Sense::Innocent;
    }
    // `node_modules/jsonwebtoken`, `jsonwebtoken@9.0.2` and `checksum/secret` are not names of settings.
    const SOURCES: [&str; 12] =
        [".js", ".ts", ".tsx", ".jsx", ".py", ".rs", ".go", ".rb", ".java", ".kt", ".c", ".cs"];
    let is_source = SOURCES.iter().any(|end| name.ends_with(end));
    let is_package = name.find('@').is_some_and(|at| at > 0) || name.starts_with("node_modules/");
    if is_package || is_source || name.starts_with("checksum/") {
        return Sense::Innocent;
    }
    let words = words(name.rsplit('/').next().unwrap_or(name));
    let is_public = words
        .windows(2)
        .any(|pair| pair[0] == "public" && is_in("key keys token cert certificate", &pair[1]));
    if is_public
        || words.iter().any(|word| {
            is_in("pubkey publishable fingerprint checksum address symbol standard thumbprint", word)
        })
    {
        return Sense::Innocent;
    }
    let first = words.first().map_or("", String::as_str);
    let noun = (0..words.len()).rev().find(|&at| is_noun(&words, at));
    let exists = words.iter().any(|word| word == "existing");
    let Some(noun) = noun.filter(|_| !exists && !is_in(REFERRING, first)) else {
        return Sense::Innocent;
    };
    // `passwordSecret`, `configFromSecret`: the name of a Kubernetes Secret.
    let refers = words[noun].starts_with("secret")
        && noun > 0
        && (is_in("password username credentials config tls", &words[noun - 1])
            || words[..noun].iter().any(|word| word == "from"));
    if refers {
        return Sense::Innocent;
    }
    let rest = &words[noun + 1..];
    match rest.last() {
        _ if rest.iter().all(|word| is_in(NEUTRAL, word)) => {
            // `max_tokens` counts them.
            let counts = words.first().is_some_and(|first| {
                is_in("max min num total count prompt completion input output n", first)
            });
            if counts || is_in(TALKING, first) { Sense::Mentions } else { Sense::Secret }
        }
        Some(last) if is_in(HARMLESS, last) => Sense::Innocent,
        _ => Sense::Mentions,
    }
}

/// Returns true if the name stands for several secrets, so that every value below it is one.
pub(crate) fn is_plural(name: &str) -> bool {
    name.ends_with(['s', 'S']) && !name.to_ascii_lowercase().ends_with("pass") && sense(name) == Sense::Secret
}

/// Returns true if every value below the name is a secret, as below `secret` in `secret.main`. Values below
/// `cookie` or `authorization` often only describe one.
pub(crate) fn covers_below(name: &str) -> bool {
    let words = words(name);
    let is_short = words.iter().rev().find(|word| !is_in(NEUTRAL, word)).is_some_and(|noun| {
        is_in(SHORT_NOUNS, noun.strip_suffix('s').unwrap_or(noun)) || is_in(SHORT_NOUNS, noun)
    });
    sense(name) == Sense::Secret && !is_short
}

/// Returns true if `user:password` may be the value of a name: `auth`, `login`, `stats auth`, `allow`, `wsrep_sst_auth`.
pub(crate) fn is_login(name: &str) -> bool {
    const LOGINS: &str =
        "auth login allow userpwd userpass basicauth httpauth authentication credentials register userinfo";
    let words = words(name);
    let two = words.len().checked_sub(2).map(|at| words[at..].concat());
    words.last().is_some_and(|last| is_in(LOGINS, last)) || two.is_some_and(|two| is_in(LOGINS, &two))
}

/// Returns true if the text is itself the name of a secret, as a label or the key of one is: `Password`, `api-token`.
pub(crate) fn is_own_name(text: &str) -> bool {
    let words = words(text);
    text.len() <= 40
        && !text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b' ' | b'-' | b'_' | b'.'))
        && words.last().is_some_and(|last| {
            is_in("password passwd secret token key apikey cookie passphrase credentials authorization", last)
        })
}

/// Returns true if the text is a version of a package, or a range of them: `^1.2.3`, `>=1.0 <2`, `workspace:*`.
pub(crate) fn is_version(text: &str) -> bool {
    let version = |word: &str| {
        let word = word.trim_start_matches(['^', '~', '>', '<', '=', '!', 'v', ' ']);
        let (numbers, tail) = word.split_once(['-', '+']).unwrap_or((word, ""));
        let parts: Vec<&str> = numbers.split('.').collect();
        let is_part = |part: &&str| {
            matches!(*part, "x" | "X" | "*")
                || (part.len() <= 8 && !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
        };
        let tail_is_fine = tail.len() <= 40
            && tail.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+'));
        (2..=5).contains(&parts.len()) && parts.iter().all(is_part) && tail_is_fine
    };
    let bare =
        text.strip_prefix("npm:").and_then(|rest| rest.rsplit_once('@')).map_or(text, |(_, version)| version);
    let bare = bare.strip_prefix("workspace:").unwrap_or(bare);
    matches!(bare, "*" | "^" | "~" | "latest") && text != "*"
        || bare
            .split([' ', ','])
            .filter(|word| !matches!(*word, "" | "||" | "-" | ">=" | "<" | "<=" | ">"))
            .all(version)
            && bare.bytes().any(|b| b.is_ascii_digit())
}

/// Returns true if the name is `key` or `keys` and nothing else, so that the name above it decides.
pub(crate) fn is_only_key(name: &str) -> bool {
    let words = words(name);
    matches!(words.as_slice(), [only] if is_in("key keys", only))
}

/// Returns true if the name is harmless wherever it is: the `name` in `secrets[0].name`.
pub(crate) fn is_harmless(name: &str) -> bool {
    words(name).last().is_some_and(|last| is_in(HARMLESS, last))
}

/// Joins the last name with the one above it: `key` below `api` is `api_key`.
pub(crate) fn joined(keys: &[&str]) -> Option<String> {
    // The servers of a kind stand between: `tacacs: {servers: [{key: …}]}`.
    let shortened: Vec<&str>;
    let keys = match keys {
        [before @ .., above, between, last]
            if matches!(
                *between,
                "servers" | "server" | "hosts" | "host" | "clients" | "client" | "peers"
            ) =>
        {
            shortened = before.iter().copied().chain([*above, *last]).collect();
            shortened.as_slice()
        }
        keys => keys,
    };
    match keys {
        // `passwordSecret: {key: …}` refers to one.
        [.., above, _] if above.ends_with("Secret") && sense(above) == Sense::Innocent => None,
        [.., above, last] if is_only_key(last) || last.eq_ignore_ascii_case("community") => {
            Some(format!("{above}_{last}"))
        }
        _ => None,
    }
}

/// Returns true if the keys of a map may be secrets, by the names that lead to it: `api_keys`, `tokens`, or
/// `keys` in `api`.
pub(crate) fn lists_secrets(above: &[&str]) -> bool {
    let joined = || joined(above).is_some_and(|name| is_plural(&name));
    above.last().is_some_and(|last| (is_plural(last) && covers_below(last)) || joined())
}

/// Returns the key that a step leads into a map by.
pub(crate) fn key_of(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Key(key) => Some(key.as_str()),
        Segment::Index(_) | Segment::Keyed { .. } => None,
    }
}

fn is_noun(words: &[String], at: usize) -> bool {
    let word = words[at].as_str();
    let singular = word.strip_suffix('s').filter(|stem| !stem.ends_with('s')).unwrap_or(word);
    let before = at.checked_sub(1).map_or("", |at| words[at].as_str());
    match singular {
        "key" => is_in(KEY_KINDS, before),
        "string" => before == "key",
        "base" => before == "key",
        "team" => before == "honeycomb",
        "pin" => {
            at == 0
                || is_in(
                    "user card sim access security door device bluetooth ble parental voicemail pairing wps login",
                    before,
                )
        }
        "codes" | "code" => is_in("backup recovery", before),
        "seed" => is_in("otp totp hotp nkey wallet", before),
        "phrase" => is_in("seed recovery backup wallet secret mnemonic", before),
        "community" => is_in("snmp ro rw read write", before),
        "salt" => is_in("invite link password auth secret hash keys key logged nonce", before),
        _ if is_in(COMPASSES, word) => false,
        "pass" => !is_in(PASSING, before),
        "auth" => is_in("basic http redis amqp proxy smtp", before) && at + 1 == words.len(),
        _ => {
            is_in(SHORT_NOUNS, singular)
                || is_in(SHORT_NOUNS, word)
                || NOUNS.split_ascii_whitespace().any(|noun| singular.ends_with(noun) || word.ends_with(noun))
                || word.ends_with("pass")
        }
    }
}

/// Returns true if the name contains a piece of a word that [`is_noun`] knows, in any case. Other names need
/// not be split into words.
pub(crate) fn may_say_something(name: &str) -> bool {
    let bytes = name.as_bytes();
    if !name.is_ascii() {
        return true;
    }
    // By their first letter: every path of every document comes through here.
    let pieces = |first: u8| -> &[&[u8]] {
        match first | 0x20 {
            b'p' => &[b"pass", b"pw", b"psk", b"phrase", b"pin", b"phash", b"prv", b"pepper"],
            b's' => &[b"secret", b"sen", b"seed", b"salt"],
            b't' => &[b"token", b"team"],
            b'k' => &[b"key"],
            b'c' => &[b"cred", b"cookie", b"contra", b"comm", b"code"],
            b'a' => &[b"auth"],
            // `vars.enable`
            b'e' => &[b"enable"],
            b'b' => &[b"bearer"],
            b'j' => &[b"jwt"],
            b'w' => &[b"wort", b"wacht"],
            b'h' => &[b"hasl"],
            b'm' => &[b"mne", b"motde"],
            _ => &[],
        }
    };
    let begins = |at: usize, piece: &[u8]| {
        bytes.get(at..at + piece.len()).is_some_and(|there| there.eq_ignore_ascii_case(piece))
    };
    (0..bytes.len()).any(|at| pieces(bytes[at]).iter().any(|piece| begins(at, piece)))
}

/// Returns true if the name only hints at a secret, so that the value decides: `key`, `auth`, `salt`,
/// `signature`.
pub(crate) fn is_weak(name: &str) -> bool {
    const HINTS: &str = "key keys auth cred salt seed signature sig license access session private crypt cipher \
        webhook hmac encrypt gossip otp mfa totp phrase login sid code pin apikey dsn encryption";
    const OPEN: &str = "public pub fingerprint hash sha sha1 sha256 digest checksum etag commit revision uuid guid \
        integrity thumbprint site publishable name id ref version image tag certificate cert path file url";
    let words = words(name);
    words.last().is_some_and(|last| is_in(HINTS, last)) && !words.iter().any(|word| is_in(OPEN, word))
}

fn is_in(list: &str, word: &str) -> bool {
    let blank =
        |at: Option<usize>| at.and_then(|at| list.as_bytes().get(at)).is_none_or(u8::is_ascii_whitespace);
    // A word out of a list is looked for in one go; what stands around it tells whether it is a whole one.
    let mut found = memchr::memmem::find_iter(list.as_bytes(), word.as_bytes());
    !word.is_empty() && found.any(|at| blank(at.checked_sub(1)) && blank(Some(at + word.len())))
}

/// The words of a name in lower case, without the digits that number them.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let chars: Vec<char> = name.chars().collect();
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| chars[at]);
        let after_is_lower = chars.get(at + 1).is_some_and(|c| c.is_lowercase());
        let hump = c.is_uppercase() && before.is_some_and(|b| !b.is_uppercase() || after_is_lower);
        if !c.is_alphanumeric() || hump {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    let bare = |word: String| match word.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "b" | "md" => word,
        stem => stem.to_owned(),
    };
    words.into_iter().map(bare).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood() {
        let check = |names: &[&str], expected| {
            for name in names {
                assert_eq!(sense(name), expected, "{name}: {:?}", words(name));
            }
        };
        check(
            &[
                "password",
                "DB_PASSWORD",
                "dbPassword",
                "dbpassword",
                "PGPASSWORD",
                "password_1",
                "passwd",
                "pwd",
                "client-secret",
                "clientSecret",
                "token",
                "authToken",
                "GITHUB_TOKEN",
                "api_key",
                "apiKey",
                "APIKey",
                "apikey",
                "private_key",
                "privateKey",
                "access_key",
                "secretAccessKey",
                "passphrase",
                "credentials",
                "passwordHash",
                "SECRET_KEY_BASE",
                "pre-shared-key",
                "wpa2-pre-shared-key",
                "auth_pass",
                "userpass",
                "key-string",
                "tokens",
                "secretValue",
                "spring.datasource.password",
                "--password",
                "secrets",
            ],
            Sense::Secret,
        );
        check(
            &[
                "secretName",
                "tokenUrl",
                "password_file",
                "token_ttl",
                "passwordPolicy",
                "PASSWORD_MIN_LENGTH",
                "proxy_pass",
                "fastcgi_pass",
                "bypass",
                "compass",
                "key",
                "publicKey",
                "existingSecret",
                "secretKeyRef",
                "access_key_id",
                "name",
                "tokenType",
                "password-encryption",
                "monkey",
                "keyboard",
                "",
                "author",
                "passwordKey",
                "timeout",
            ],
            Sense::Innocent,
        );
        check(
            &["password_rules", "secretSauce", "max_tokens", "maxTokens", "requirePassword"],
            Sense::Mentions,
        );
        check(&["enable_secret", "enable-password", "disable_token"], Sense::Secret);
        check(
            &["rabbitmq.existingPasswordSecretKey", "passwordSecret", "node_modules/jsonwebtoken"],
            Sense::Innocent,
        );
        assert!(is_plural("apiKeys") && is_plural("secrets") && !is_plural("pass") && !is_plural("password"));
    }
}
