//! `[blobs]` of `hub.toml`.

use std::path::PathBuf;

use reqwest::Url;
use serde::Deserialize;

use rig_outbound::Secret;

/// `[blobs]`: storing the originals of documents, and the holder of the key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlobSettings {
    /// True if the original of each new document is kept, encrypted. It is, unless this says `false`; a hub in memory keeps none.
    pub keep: bool,
    /// The service that holds the key. Without it, the key is in `DATA/keys/blobs`.
    pub transit: Option<TransitSettings>,
}

impl Default for BlobSettings {
    fn default() -> Self {
        BlobSettings { keep: true, transit: None }
    }
}

/// `[blobs.transit]`: the Transit engine of an OpenBao or Vault server.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Form")]
pub struct TransitSettings {
    /// The server's URL: `https://bao.example:8200`. Without TLS only on this machine, since the token is sent to it.
    pub url: Url,
    /// The path at which the engine is mounted: `transit`.
    pub mount: String,
    /// The name of the key, with the stream's name for `{stream}`: `rig_{stream}`.
    pub key: String,
    /// The place of the token.
    pub token: Secret,
    /// A PEM file of certificates, one of which must have signed the server's; default: those of the system.
    pub ca: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    url: String,
    mount: Option<String>,
    key: Option<String>,
    token_env: Option<String>,
    token_file: Option<PathBuf>,
    ca: Option<PathBuf>,
}

impl TryFrom<Form> for TransitSettings {
    type Error = String;

    fn try_from(form: Form) -> Result<Self, String> {
        let url = Url::parse(&form.url).map_err(|_| "`url` is no URL")?;
        let on_this_machine = match url.host_str() {
            Some("localhost") => true,
            Some(host) => host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback()),
            None => return Err("`url` names no host".to_owned()),
        };
        match url.scheme() {
            "https" => {}
            "http" if on_this_machine => {}
            "http" => {
                return Err("`url` must begin with https: the token and the data keys go there".to_owned());
            }
            _ => return Err("`url` must begin with https".to_owned()),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "`url` must not hold a password; name the token with token_env or token_file".to_owned()
            );
        }
        let mount = form.mount.unwrap_or_else(|| "transit".to_owned());
        let mount = mount.trim_matches('/').to_owned();
        if mount.is_empty() || !mount.split('/').all(is_name) {
            return Err("`mount` has letters, digits, `.`, `_`, `-` and `/`".to_owned());
        }
        let key = form.key.unwrap_or_else(|| "rig_{stream}".to_owned());
        if !is_name(&key.replace("{stream}", "x")) {
            return Err("`key` has letters, digits, `.`, `_`, `-` and `{stream}`".to_owned());
        }
        let token = Secret::of("token", form.token_env.as_ref(), form.token_file.as_ref())?
            .ok_or("say where the token is: token_env = \"NAME\" or token_file = \"PATH\"")?;
        Ok(TransitSettings { url, mount, key, token, ca: form.ca })
    }
}

/// Returns true if it can stand in an address as it is.
pub(crate) fn is_name(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=256).contains(&text.len()) && text.bytes().all(fine) && !text.bytes().all(|b| b == b'.')
}

#[cfg(test)]
mod tests {
    use super::BlobSettings;

    #[test]
    fn a_transit_needs_a_token_and_tls() {
        let parse = |text: &str| toml::from_str::<BlobSettings>(&format!("[transit]\n{text}\n"));
        let fine = parse("url = \"https://bao.example:8200\"\ntoken_file = \"/run/token\"").unwrap();
        let transit = fine.transit.unwrap();
        assert_eq!((transit.mount.as_str(), transit.key.as_str()), ("transit", "rig_{stream}"));
        assert!(fine.keep);
        for local in ["http://127.0.0.1:8200", "http://[::1]:8200", "http://localhost:8200"] {
            assert!(parse(&format!("url = \"{local}\"\ntoken_env = \"T\"")).is_ok(), "{local}");
        }
        for (bad, why) in [
            ("url = \"http://bao.example:8200\"\ntoken_env = \"T\"", "https"),
            ("url = \"https://x:hunter2@bao.example\"\ntoken_env = \"T\"", "password"),
            ("url = \"https://bao.example\"", "token_env"),
            ("url = \"https://bao.example\"\ntoken_env = \"T\"\ntoken_file = \"t\"", "token_env"),
            ("url = \"https://bao.example\"\ntoken_env = \"T\"\nkey = \"a/../b\"", "key"),
            ("url = \"https://bao.example\"\ntoken_env = \"T\"\nmount = \"..\"", "mount"),
            ("url = \"https://bao.example\"\ntoken = \"hunter2\"", "token"),
        ] {
            let error = parse(bad).unwrap_err().message().to_owned();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
    }
}
