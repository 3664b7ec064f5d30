//! The errors of a hub that cannot open or run.

use std::net::SocketAddr;
use std::path::PathBuf;

/// The reason why a hub cannot open or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder or file of the data directory cannot be used.
    #[error("cannot {what} {}", path.display())]
    Data {
        /// The action that failed.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Another hub uses the data directory.
    #[error("{} is in use by another hub; stop it, or name another folder with --data", .0.display())]
    InUse(PathBuf),
    /// The redaction key is damaged.
    #[error("{} is no redaction key (`ID:64 hexadecimal digits`); restore it from a backup: a new key would make every known secret look changed", .0.display())]
    Key(PathBuf),
    /// A key is another than the hub had.
    #[error("{}: the key {id} is not the one that this hub was started with: a bit of it was changed. Restore it from a backup; a new key needs a new id", path.display())]
    KeyChanged {
        /// The file.
        path: PathBuf,
        /// The id of the key.
        id: String,
    },
    /// The line of a key was changed.
    #[error("{}: the key {id} stands there under another id or in a comment: its line was changed. Restore it from a backup; to remove a key, delete its whole line", path.display())]
    KeyLine {
        /// The file.
        path: PathBuf,
        /// The id that the key had.
        id: String,
    },
    /// The check values of the keys are damaged.
    #[error("{}: {why}. Restore it from a backup; if the keys beside it are right, delete it, and the hub makes it anew", path.display())]
    KeyChecks {
        /// The file.
        path: PathBuf,
        /// The fault.
        why: String,
    },
    /// A key is gone, though there are streams that were made with it.
    #[error("{} is gone, and there are streams already: restore it from a backup. A new redaction key makes every known secret look changed, and a new signing key cannot continue the old one; to go on with one all the same, make the file", path.display())]
    KeyLost {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The key file of the originals is missing, and there are originals that only it can open.
    #[error("{} is gone, and there are originals of documents that only its keys open: restore it from a backup; to go on without those originals, delete the folders `blobs` below {}", path.display(), streams.display())]
    BlobKeyLost {
        /// The file.
        path: PathBuf,
        /// The folder of the streams.
        streams: PathBuf,
    },
    /// The file of the keys of originals is damaged.
    #[error("{}, line {line}: {why}", path.display())]
    BlobKeys {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The fault. Nothing of it is repeated.
        why: &'static str,
    },
    /// The Transit service that `hub.toml` names cannot be used.
    #[error("[blobs] transit: {0}")]
    Transit(String),
    /// The file of signing keys is damaged.
    #[error("{}", path.display())]
    SigningKeys {
        /// The file.
        path: PathBuf,
        /// The fault.
        source: rig_recorder::seal::BadKey,
    },
    /// A log or the index cannot be opened.
    #[error(transparent)]
    Recorder(#[from] rig_recorder::Error),
    /// A component cannot be mounted: a bug in the program.
    #[error("the component {name} cannot be mounted: {why}")]
    Component {
        /// The component.
        name: &'static str,
        /// The fault.
        why: String,
    },
    /// A log cannot be folded.
    #[error("{0}")]
    Fold(String),
    /// The system provides no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// Other machines could reach a hub without tokens.
    #[error(
        "the hub does not listen on {0} without tokens: whoever reaches it could read and write everything. Make one first (rig token new --data DIR --scope admin --stream '*'), or say --insecure-no-tokens"
    )]
    NoTokens(SocketAddr),
    /// Other machines could reach a hub without TLS.
    #[error(
        "the hub does not listen on {0} without TLS: whoever sits in between could read everything, tokens too. Name a certificate (--tls-cert, --tls-key), or say --insecure-no-tls where something in front of it speaks TLS"
    )]
    NoTls(SocketAddr),
    /// The certificate cannot be used.
    #[error("the certificate cannot be used: {}{why}", shown(path))]
    Tls {
        /// The file at fault, if there is one.
        path: PathBuf,
        /// The fault.
        why: String,
    },
    /// The listener failed.
    #[error("the listener failed: {0}")]
    Listener(#[from] std::io::Error),
}

fn shown(path: &std::path::Path) -> String {
    if path.as_os_str().is_empty() { String::new() } else { format!("{}: ", path.display()) }
}
