//! How a client tells a hub who it is, and knows that it is the hub: `RIG_TOKEN` or `RIG_TOKEN_FILE`, and `RIG_CA`.
//!
//! A token is never an argument of a program, where everybody on the machine sees it, and never stands in an error.

use std::path::{Path, PathBuf};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Certificate, ClientBuilder, Url};

/// Most bytes of a file that holds a token.
const MAX_TOKEN: usize = 4 << 10;

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}, which {variable} names", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What named it.
        variable: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// What should be a token is none.
    #[error("{0} holds no token: a token is one word, rig_…")]
    Token(&'static str),
    /// What should be certificates are none.
    #[error("{} holds no certificates that can be used, as PEM", .0.display())]
    Certificates(PathBuf),
    /// The token would be readable on its way.
    #[error(
        "the token is not sent to {0} over http://, where everybody in between could read it: use https://, or set RIG_INSECURE_NO_TLS=1"
    )]
    Readable(String),
    /// The client cannot be made.
    #[error("no connection can be made")]
    Client(#[from] reqwest::Error),
}

/// A client for the hub at `url`, with the token and the certificates that the environment names. `ca` stands over `RIG_CA`.
///
/// # Errors
/// When the environment names what cannot be used, or the token would be sent unprotected.
pub fn client(url: &Url, ca: Option<&Path>, builder: ClientBuilder) -> Result<reqwest::Client, Error> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let mut builder = builder;
    if local {
        // A proxy for the world outside can't reach this machine's own hub.
        builder = builder.no_proxy();
    }
    if let Some(token) = token()? {
        let readable = url.scheme() != "https" && !local;
        if readable && std::env::var_os("RIG_INSECURE_NO_TLS").is_none_or(|set| set != "1") {
            return Err(Error::Readable(host.to_owned()));
        }
        let headers = HeaderMap::from_iter([(AUTHORIZATION, token)]);
        // Wherever a hub might send it, the token does not follow.
        builder = builder.default_headers(headers).redirect(reqwest::redirect::Policy::none());
    }
    let named = std::env::var_os("RIG_CA").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = ca.map(Path::to_owned).or(named).filter(|_| url.scheme() == "https") {
        let text = std::fs::read(&path).map_err(file(&path, "RIG_CA or --ca"))?;
        let certificates = Certificate::from_pem_bundle(&text).ok().filter(|found| !found.is_empty());
        builder = builder.tls_certs_only(certificates.ok_or(Error::Certificates(path))?);
    }
    Ok(builder.build()?)
}

/// `Bearer` and the token that the environment names.
fn token() -> Result<Option<HeaderValue>, Error> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let (text, variable) = match (set("RIG_TOKEN"), set("RIG_TOKEN_FILE")) {
        (Some(text), _) => (text.into_string().map_err(|_| Error::Token("RIG_TOKEN"))?, "RIG_TOKEN"),
        (None, Some(path)) => {
            let path = PathBuf::from(path);
            (std::fs::read_to_string(&path).map_err(file(&path, "RIG_TOKEN_FILE"))?, "RIG_TOKEN_FILE")
        }
        (None, None) => return Ok(None),
    };
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_TOKEN || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Error::Token(variable));
    }
    let mut value = HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| Error::Token(variable))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn file(path: &Path, variable: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path, variable, source }
}
