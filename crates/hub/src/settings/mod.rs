//! The sections of `hub.toml` that are about the hub itself. The program that mounts the components reads the file.

mod access;
mod blobs;
mod http;
mod tls;

pub use self::access::AccessSettings;
pub(crate) use self::blobs::is_name;
pub use self::blobs::{BlobSettings, TransitSettings};
pub use self::http::Http;
pub use self::tls::TlsSettings;
