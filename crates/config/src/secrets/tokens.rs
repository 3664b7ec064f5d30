//! The tokens that their makers begin with a known prefix, so that they are known wherever they stand.
//!
//! The prefixes are those which the makers document and which secret scanners (gitleaks, GitHub's secret scanning) look
//! for. A prefix alone is prose; what follows it must be long enough, of the right characters, and not a word.

/// Which characters the rest of a token is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Letters and digits.
    Alnum,
    /// Letters, digits, `_` and `-`.
    Word,
    /// Hexadecimal digits.
    Hex,
    /// Capitals and digits.
    Upper,
    /// Characters of base 64, of URLs, and the dots between parts.
    Loose,
    /// Characters of hashed passwords: as `Loose`, and `$`, `=`, `,`.
    Crypt,
    /// As `Crypt`, and `:`, `{`, `}`.
    Hash,
}

impl Body {
    /// Returns true if the byte belongs to such a token.
    pub fn has(self, byte: u8) -> bool {
        match self {
            Body::Alnum => byte.is_ascii_alphanumeric(),
            Body::Word => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Body::Hex => byte.is_ascii_hexdigit(),
            Body::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Body::Loose => {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'+' | b'~')
            }
            Body::Crypt => byte.is_ascii_alphanumeric() || b"./+$=,_-".contains(&byte),
            Body::Hash => Body::Crypt.has(byte) || b":{}".contains(&byte),
        }
    }
}

/// One maker's tokens: what they are called, how they begin (several, between blanks), how many characters follow at
/// least, and which.
pub(crate) type Maker = (&'static str, &'static str, usize, Body);

/// All makers known here.
pub(crate) const MAKERS: &[Maker] = &[
    // rig's own: tokens and tickets of a hub.
    ("rig-token", "rig_ rigt_", 40, Body::Word),
    ("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", 20, Body::Alnum),
    ("github-token", "github_pat_", 20, Body::Word),
    (
        "gitlab-token",
        "glpat- gldt- glrt- glptt- glcbt- glft- glimt- gloas- glsoat- glffct- glagent-",
        16,
        Body::Loose,
    ),
    ("gitlab-token", "GR1348941", 20, Body::Word),
    ("bitbucket-token", "ATBB ATCTT3", 24, Body::Loose),
    ("atlassian-token", "ATATT3", 24, Body::Loose),
    ("slack-token", "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xoxe. xapp- xwfp-", 10, Body::Loose),
    (
        "webhook",
        "hooks.slack.com/services/ hooks.slack.com/workflows/ discord.com/api/webhooks/ discordapp.com/api/webhooks/",
        16,
        Body::Loose,
    ),
    ("webhook", "webhook.office.com/webhookb2/", 16, Body::Loose),
    ("webhook", "/hooks/ /webhooks/ /webhook/", 20, Body::Word),
    ("stripe-key", "sk_live_ sk_test_ rk_live_ rk_test_ whsec_", 10, Body::Loose),
    ("aws-access-key", "AKIA ASIA ABIA ACCA", 16, Body::Upper),
    ("aws-session-token", "IQoJb3JpZ2lu FwoGZXIvYXdz", 40, Body::Loose),
    ("aws-token", "ABSKQmVkcm9ja0FQSUtleS amzn.mws. bedrock-api-key-", 24, Body::Loose),
    ("gcp-key", "AIza", 30, Body::Word),
    ("gcp-token", "ya29. GOCSPX-", 16, Body::Loose),
    ("gcp-token", "1//0", 30, Body::Word),
    ("npm-token", "npm_", 30, Body::Alnum),
    ("pypi-token", "pypi-AgE pypi-AgEIcHlwaS5vcmc", 16, Body::Word),
    ("rubygems-token", "rubygems_", 32, Body::Hex),
    ("crates-token", "cio", 30, Body::Alnum),
    ("nuget-key", "oy2", 40, Body::Alnum),
    ("vault-token", "hvs. hvb. hvr.", 16, Body::Word),
    ("docker-token", "dckr_pat_ dckr_oat_", 16, Body::Word),
    ("sendgrid-key", "SG.", 30, Body::Loose),
    ("mailgun-key", "key-", 32, Body::Hex),
    ("mailchimp-key", "md-", 22, Body::Word),
    ("shopify-token", "shpat_ shpss_ shpca_ shppa_", 20, Body::Alnum),
    ("digitalocean-token", "dop_v1_ doo_v1_ dor_v1_", 30, Body::Hex),
    ("heroku-key", "HRKU-", 20, Body::Word),
    ("openai-key", "sk-proj- sk-svcacct- sk-admin- sk-None-", 16, Body::Word),
    ("anthropic-key", "sk-ant-", 16, Body::Word),
    ("api-key", "sk-", 32, Body::Loose),
    ("api-key", "gsk_ xai- pplx- r8_ fw_ nvapi- jina_ tvly-", 30, Body::Word),
    ("huggingface-token", "hf_ api_org_", 30, Body::Alnum),
    ("databricks-token", "dapi dose dkea", 32, Body::Hex),
    ("grafana-token", "glsa_ glc_", 30, Body::Loose),
    ("linear-key", "lin_api_", 30, Body::Alnum),
    ("postman-key", "PMAK-", 30, Body::Word),
    ("sentry-token", "sntrys_ sntryu_ sntrya_", 30, Body::Loose),
    ("newrelic-key", "NRAK- NRII- NRJS- NRRA-", 19, Body::Word),
    ("planetscale-token", "pscale_tkn_ pscale_pw_ pscale_oauth_", 20, Body::Loose),
    ("pulumi-token", "pul-", 40, Body::Hex),
    ("netlify-token", "nfp_", 30, Body::Alnum),
    ("fly-token", "fm1_ fm2_ fm1a_ fm1r_ fo1_", 30, Body::Loose),
    ("supabase-key", "sbp_ sb_secret_", 20, Body::Word),
    ("square-token", "sq0atp- sq0csp- sq0idp- EAAAE EAAAl", 22, Body::Word),
    ("facebook-token", "EAACEdEose0cBA EAAC", 40, Body::Alnum),
    ("notion-token", "ntn_ secret_", 40, Body::Alnum),
    ("dropbox-token", "sl. sl.u.", 60, Body::Word),
    ("figma-token", "figd_ figu_", 30, Body::Word),
    ("doppler-token", "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.", 30, Body::Loose),
    ("tailscale-key", "tskey-", 20, Body::Word),
    ("1password-token", "ops_eyJ A3-", 26, Body::Loose),
    ("buildkite-token", "bkua_ bkpt_", 30, Body::Alnum),
    ("circleci-token", "CCIPAT_ CCIPRJ_", 30, Body::Word),
    ("jfrog-token", "AKCp cmVmdGtu", 40, Body::Alnum),
    ("alibaba-key", "LTAI", 16, Body::Alnum),
    ("tencent-key", "AKID", 32, Body::Alnum),
    ("sourcegraph-token", "sgp_ slk_", 40, Body::Word),
    ("typeform-token", "tfp_", 40, Body::Loose),
    ("contentful-token", "CFPAT-", 40, Body::Word),
    ("adafruit-key", "aio_", 28, Body::Alnum),
    ("airtable-token", "pat1 patA patB", 40, Body::Loose),
    ("easypost-key", "EZAK EZTK", 54, Body::Alnum),
    ("prefect-token", "pnu_ pnb_", 36, Body::Alnum),
    ("readme-key", "rdme_", 60, Body::Alnum),
    ("render-key", "rnd_", 24, Body::Alnum),
    ("launchdarkly-key", "sdk- mob- api-", 36, Body::Word),
    ("sonar-token", "squ_ sqp_ sqa_", 40, Body::Hex),
    ("confluent-key", "cflt", 60, Body::Loose),
    ("cloudflare-token", "v1.0-", 60, Body::Word),
    ("cloudflare-token", "cfut_ cfat_", 36, Body::Word),
    ("twitch-key", "live_", 30, Body::Word),
    ("age-key", "AGE-SECRET-KEY-1 AGE-SECRET-KEY-PQ-1", 20, Body::Upper),
    ("nats-seed", "SUA SAA SOA SNA SCA SXA", 52, Body::Upper),
    (
        "paseto",
        "v1.local. v2.local. v3.local. v4.local. v1.public. v2.public. v3.public. v4.public.",
        24,
        Body::Loose,
    ),
    (
        "private-key",
        "MIIEvQIBADAN MIIEvgIBADAN MIIEvwIBADAN MIIEpAIBAAK MIIEowIBAAK MIIJQgIBADAN MIIJQwIBADAN MIIJKAIBAAK MIIJKQIBAAK MIGHAgEAMBMG MC4CAQAwBQYDK2V MHcCAQEE",
        24,
        Body::Crypt,
    ),
    (
        "password-hash",
        "$1$ $5$ $6$ $y$ $7$ $8$ $9$ $2a$ $2b$ $2y$ $apr1$ $argon2i$ $argon2d$ $argon2id$ $pbkdf2 $scrypt$",
        16,
        Body::Crypt,
    ),
    (
        "password-hash",
        "$1a$ $sha1$ $md5$ $5$rounds $6$rounds $P$ $H$ $S$ $M$ $bcrypt-sha256$ $7z$",
        12,
        Body::Crypt,
    ),
    (
        "password-hash",
        "pbkdf2_sha256$ pbkdf2_sha512$ pbkdf2:sha256: pbkdf2:sha512: scrypt:32768: SCRAM-SHA-256$ SCRAM-SHA-1$",
        16,
        Body::Hash,
    ),
    ("encrypted", "vault:v", 12, Body::Hash),
    (
        "encrypted",
        "{cipher} {AES} {AES256} {AES-256} {3DES} {DES} {enc {encrypted} {ENC} {xor} {aes}",
        8,
        Body::Hash,
    ),
    ("encrypted", "enc: ENC: encrypted:", 20, Body::Hash),
    ("encrypted", "U2FsdGVkX1", 20, Body::Crypt),
    ("encrypted", "gAAAAAB", 60, Body::Crypt),
    ("private-key", "RWRTY0Iy RWRCSw", 60, Body::Crypt),
    (
        "password-hash",
        "{PBKDF2-SHA512} {PBKDF2-SHA256} {PBKDF2-SHA1} {PBKDF2_SHA256} {ARGON2} {CRYPT} {PKCS5S2} {BLF-CRYPT} {SHA512-CRYPT} {SHA256-CRYPT} {SHA256} {SHA512} {MD5} {SCRAM-SHA-256} {bcrypt}",
        16,
        Body::Crypt,
    ),
    ("encrypted", "-AQ==", 6, Body::Crypt),
    ("encrypted", "AQAAANCMnd8BFdERjHoAwE 01000000d08c9ddf0115d1118c7a00c04fc297eb", 16, Body::Crypt),
    ("password-hash", "{SSHA}", 16, Body::Crypt),
    ("password-hash", "{SHA} {SMD5} {SSHA256} {SSHA512} {PBKDF2}", 16, Body::Crypt),
    ("twilio-key", "SK0 SK1 SK2 SK3 SK4 SK5 SK6 SK7 SK8 SK9 SKa SKb SKc SKd SKe SKf", 31, Body::Hex),
];
