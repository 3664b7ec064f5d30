//! Names that announce a secret, and names that only talk about one.

/// The meaning of a name for its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
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
    userpw dbpw adminpw rocommunity rwcommunity authtok wepkey sharedsecret";

/// Words that make a secret of a `key` or `keys` after them.
const KEY_KINDS: &str = "\
    api private secret access encryption encrypt decryption signing sign jwt shared preshared master session auth \
    authentication account storage license static md5 hmac deploy ssl client ssh webhook aes cipher crypt crypto tls \
    vault unseal recovery activation admin ingest app application subscription cookie csrf rsa fernet wpa wep bot \
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
const COMPASSES: &str = "bypass compass encompass trespass overpass underpass surpass proxypass firstpass";

/// First words of names that talk about a secret.
const TALKING: &str =
    "existing require allow no show hide has is enable disable skip forgot should ask prompt automount";

/// The options of some commands that take a secret.
pub(super) struct Command {
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
pub(super) const COMMANDS: &[Command] = &[
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
pub(super) fn sense(name: &str) -> Sense {
    if !may_say_something(name) {
        return Sense::Innocent;
    }
    let words = words(name);
    let first_says = words.first().is_some_and(|first| is_in(TALKING, first));
    let Some(noun) = (0..words.len()).rev().find(|&at| is_noun(&words, at)).filter(|_| !first_says) else {
        return Sense::Innocent;
    };
    let rest = &words[noun + 1..];
    match rest.last() {
        _ if rest.iter().all(|word| is_in(NEUTRAL, word)) => {
            // `max_tokens` counts them.
            let counts = words.first().is_some_and(|first| {
                is_in("max min num total count prompt completion input output n", first)
            });
            if counts { Sense::Mentions } else { Sense::Secret }
        }
        Some(last) if is_in(HARMLESS, last) => Sense::Innocent,
        _ => Sense::Mentions,
    }
}

/// Returns true if the name stands for several secrets, so that every value below it is one.
pub(super) fn is_plural(name: &str) -> bool {
    name.ends_with(['s', 'S']) && !name.to_ascii_lowercase().ends_with("pass") && sense(name) == Sense::Secret
}

/// Returns true if every value below the name is a secret, as below `secret` in `secret.main`. Values below
/// `cookie` or `authorization` often only describe one.
pub(super) fn covers_below(name: &str) -> bool {
    let words = words(name);
    let is_short = words.iter().rev().find(|word| !is_in(NEUTRAL, word)).is_some_and(|noun| {
        is_in(SHORT_NOUNS, noun.strip_suffix('s').unwrap_or(noun)) || is_in(SHORT_NOUNS, noun)
    });
    sense(name) == Sense::Secret && !is_short
}

/// Returns true if the name's last word is `key` or `keys`, so that the name above it decides.
pub(super) fn ends_in_key(name: &str) -> bool {
    words(name).last().is_some_and(|last| is_in("key keys", last))
}

/// Returns true if the name is harmless wherever it is: the `name` in `secrets[0].name`.
pub(super) fn is_harmless(name: &str) -> bool {
    words(name).last().is_some_and(|last| is_in(HARMLESS, last))
}

fn is_noun(words: &[String], at: usize) -> bool {
    let word = words[at].as_str();
    let singular = word.strip_suffix('s').filter(|stem| !stem.ends_with('s')).unwrap_or(word);
    let before = at.checked_sub(1).map_or("", |at| words[at].as_str());
    match singular {
        "key" => is_in(KEY_KINDS, before),
        "string" => before == "key",
        "seed" => is_in("otp totp hotp nkey wallet", before),
        "phrase" => is_in("seed recovery backup wallet secret mnemonic", before),
        "community" => is_in("snmp ro rw read write", before),
        "salt" => is_in("password auth secret hash keys key logged nonce", before),
        "pass" => !is_in(PASSING, before),
        "auth" => is_in("basic http", before) && at + 1 == words.len(),
        _ => {
            is_in(SHORT_NOUNS, singular)
                || is_in(SHORT_NOUNS, word)
                || NOUNS.split_ascii_whitespace().any(|noun| singular.ends_with(noun) || word.ends_with(noun))
                || (word.ends_with("pass") && !is_in(COMPASSES, word))
        }
    }
}

/// Returns true if the name contains a piece of a word that [`is_noun`] knows, in any case. Other names need
/// not be split into words.
pub(super) fn may_say_something(name: &str) -> bool {
    let bytes = name.as_bytes();
    if !name.is_ascii() {
        return true;
    }
    // By their first letter: every path of every document comes through here.
    let pieces = |first: u8| -> &[&[u8]] {
        match first | 0x20 {
            b'p' => &[b"pass", b"pw", b"psk", b"phrase"],
            b's' => &[b"secret", b"sen", b"seed", b"salt"],
            b't' => &[b"token"],
            b'k' => &[b"key"],
            b'c' => &[b"cred", b"cookie", b"contra", b"comm"],
            b'a' => &[b"auth"],
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
pub(super) fn is_weak(name: &str) -> bool {
    const HINTS: &str = "key keys auth cred salt seed signature sig license access session private crypt cipher \
        webhook otp mfa totp phrase login sid code pin apikey dsn encryption";
    const OPEN: &str = "public pub fingerprint hash sha sha1 sha256 digest checksum etag commit revision uuid guid \
        integrity thumbprint name id ref version image tag certificate cert path file url";
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
                "requirePassword",
                "timeout",
            ],
            Sense::Innocent,
        );
        check(&["password_rules", "secretSauce", "max_tokens", "maxTokens"], Sense::Mentions);
        assert!(is_plural("apiKeys") && is_plural("secrets") && !is_plural("pass") && !is_plural("password"));
    }
}
