//! Component: the dashboard, one page over the routes of the hub. It has no data in it, so it needs no token.
//!
//! The files of `web/` are in the program, packed. Their addresses have a hash of all of them, so browsers may keep them. With a
//! folder given, they are read from there at each request, for those who work on them.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse as _, Response};
use flate2::read::GzDecoder;
use rig_hub::access::{Need, Rule, Trace};
use rig_hub::http::Path;
use rig_hub::{Component, Problem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The rules of these routes. They answer everybody, with the same bytes.
pub const RULES: &[Rule] = &[
    Rule::new(Method::GET, "/", Need::Nothing, Trace::Not),
    Rule::new(Method::GET, "/s/{stream}", Need::Nothing, Trace::Not),
    Rule::new(Method::GET, "/assets/{hash}/{file}", Need::Nothing, Trace::Not),
    Rule::new(Method::GET, "/assets/{hash}/js/{file}", Need::Nothing, Trace::Not),
    Rule::new(Method::GET, "/assets/{hash}/js/pages/{file}", Need::Nothing, Trace::Not),
];

/// The files, by name, packed with gzip.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The hash of all files.
const HASH: &str = env!("RIG_WEB_HASH");

/// The placeholder in the page for the folder of the files.
const FOLDER: &str = "/assets/HASH/";

/// The content security policy of the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types rig";

/// Returns the component. With a `folder`, the page is that of the folder.
pub fn component(folder: Option<PathBuf>) -> Component {
    Component::new("web").routes(RULES, |_| {
        OpenApiRouter::new()
            .routes(routes!(page))
            .routes(routes!(page_of_stream))
            .routes(routes!(file))
            .routes(routes!(script))
            .routes(routes!(script_of_page))
            .with_state(Site { folder: folder.map(Arc::new) })
    })
}

/// Returns the names of the files and their sizes as they are sent.
pub fn files() -> impl Iterator<Item = (&'static str, usize)> {
    FILES.iter().map(|(name, packed)| (*name, packed.len()))
}

/// Where the files come from.
#[derive(Clone)]
struct Site {
    folder: Option<Arc<PathBuf>>,
}

/// The dashboard
#[utoipa::path(get, path = "/", operation_id = "page", responses((status = 200, description = "The page", body = String, content_type = "text/html")))]
async fn page(State(site): State<Site>) -> Result<Response, Problem> {
    site.page()
}

/// The dashboard, at a stream
#[utoipa::path(get, path = "/s/{stream}", operation_id = "page_of_stream", params(("stream" = String, Path, description = "A stream; the page itself asks for it")), responses(
    (status = 200, description = "The page", body = String, content_type = "text/html")
))]
async fn page_of_stream(State(site): State<Site>) -> Result<Response, Problem> {
    site.page()
}

/// A file of the dashboard
#[utoipa::path(get, path = "/assets/{hash}/{file}", operation_id = "page_file", params(
    ("hash" = String, Path, description = "The hash in the page"),
    ("file" = String, Path, description = "Its name"),
), responses(
    (status = 200, description = "The file", body = String, content_type = "text/css"),
    (status = 404, description = "`no-such-file`"),
))]
async fn file(
    State(site): State<Site>,
    Path((hash, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    site.file(&hash, &name, &headers)
}

/// A script of the dashboard
#[utoipa::path(get, path = "/assets/{hash}/js/{file}", operation_id = "page_script", params(
    ("hash" = String, Path, description = "The hash in the page"),
    ("file" = String, Path, description = "Its name"),
), responses(
    (status = 200, description = "The script", body = String, content_type = "text/javascript"),
    (status = 404, description = "`no-such-file`"),
))]
async fn script(
    State(site): State<Site>,
    Path((hash, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    site.file(&hash, &format!("js/{name}"), &headers)
}

/// The script of a page of the dashboard
#[utoipa::path(get, path = "/assets/{hash}/js/pages/{file}", operation_id = "page_script_of_page", params(
    ("hash" = String, Path, description = "The hash in the page"),
    ("file" = String, Path, description = "Its name"),
), responses(
    (status = 200, description = "The script", body = String, content_type = "text/javascript"),
    (status = 404, description = "`no-such-file`"),
))]
async fn script_of_page(
    State(site): State<Site>,
    Path((hash, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    site.file(&hash, &format!("js/pages/{name}"), &headers)
}

impl Site {
    fn page(&self) -> Result<Response, Problem> {
        let page = self.content("index.html").ok_or_else(missing)?;
        let page = String::from_utf8_lossy(&page).replace(FOLDER, &format!("/assets/{}/", self.hash()));
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        let mut response = (headers, page).into_response();
        response.headers_mut().insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
        Ok(response)
    }

    fn file(&self, hash: &str, name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
        // After an update, the page of before must not get scripts of another one.
        if hash != self.hash() {
            return Err(missing());
        }
        let kind = match name.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            _ => return Err(missing()),
        };
        let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let packed = packed(name).filter(|_| self.folder.is_none() && accepts.contains("gzip"));
        let kept = if self.folder.is_none() { "public, max-age=31536000, immutable" } else { "no-store" };
        let headers = [
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, kept),
            // A worker has the policy that it came with.
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::VARY, "accept-encoding"),
        ];
        Ok(match packed {
            Some(packed) => (headers, [(header::CONTENT_ENCODING, "gzip")], packed).into_response(),
            None => (headers, self.content(name).ok_or_else(missing)?).into_response(),
        })
    }

    fn hash(&self) -> &'static str {
        if self.folder.is_some() { "dev" } else { HASH }
    }

    /// Returns a file of the list; names from outside lead nowhere else.
    fn content(&self, name: &str) -> Option<Vec<u8>> {
        match &self.folder {
            Some(folder) => {
                let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
                let path = folder.join(name);
                if is_plain && !name.contains("..") { std::fs::read(path).ok() } else { None }
            }
            None => {
                let mut content = Vec::new();
                GzDecoder::new(packed(name)?).read_to_end(&mut content).ok()?;
                Some(content)
            }
        }
    }
}

fn packed(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, packed)| *packed)
}

fn missing() -> Problem {
    Problem::not_found("no-such-file", "the page has no such file; load it again")
}
