//! What can go wrong with a snapshot, in words for whoever runs the service.

use std::io;
use std::path::PathBuf;

/// Why a snapshot was not taken, written, sent or compared. Messages never quote a value of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The template of a snapshot file's name.
    #[error("the name {template:?} for snapshots cannot be used: {why}")]
    Template {
        /// The template.
        template: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file or folder.
    #[error("{what} {}: {source}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The snapshot is over the limit.
    #[error("the snapshot has more than {limit} bytes, which is the limit")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// There is something else under the name of a snapshot.
    #[error(
        "{name} is there already and was not written by rig for this service: move it away, or choose another name"
    )]
    NotOurs {
        /// The name.
        name: String,
    },
    /// There is no snapshot under a name.
    #[error("there is no {name}")]
    NotFound {
        /// The name.
        name: String,
    },
    /// An object store.
    #[error("{address}: {why}")]
    Store {
        /// Its address.
        address: String,
        /// What it says.
        why: String,
        /// Whether trying again may help.
        transient: bool,
    },
    /// An object store does not permit something.
    #[error("{address}: the store does not permit it{}", permission(.needs))]
    Denied {
        /// Its address.
        address: String,
        /// The permission that it takes, where that is known.
        needs: &'static str,
    },
    /// There is something under the name of a snapshot that cannot be looked at.
    #[error(
        "{name} is there already, and the store does not permit to see whose it is: permit it to be read, or choose a name with \
         {{{{timestamp}}}}"
    )]
    Unseen {
        /// The name.
        name: String,
    },
    /// A baseline that is not signed as it has to be.
    #[error("{name} is not to be trusted: {trust}")]
    Untrusted {
        /// Its address.
        name: String,
        /// The state of its signature.
        trust: rig_config::Trust,
    },
    /// An address needs a feature that is not in this build.
    #[error("{address}: this program was built without `{feature}`, the feature that such an address needs")]
    NotBuilt {
        /// The address.
        address: String,
        /// The cargo feature.
        feature: &'static str,
    },
    /// A hub.
    #[error("the hub at {address}: {why}")]
    Hub {
        /// Its address.
        address: String,
        /// What it says.
        why: String,
        /// Whether trying again may help.
        transient: bool,
    },
    /// A snapshot or document cannot be read.
    #[error("{name}: {source}")]
    Document {
        /// Its name.
        name: String,
        /// What is wrong.
        source: rig_config::Error,
    },
    /// The file under that name is JSON, but no snapshot.
    #[error("{name} is no snapshot file")]
    NoSnapshot {
        /// The name.
        name: String,
    },
    /// A file with a redaction key.
    #[error("{}: write one line ID:HEX, with 64 digits of hex (a hub's is DATA/keys/redaction)", path.display())]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// The configuration is not what the baseline says.
    #[error("the configuration differs from its baseline in {fields} fields, the first is {first}")]
    Drifted {
        /// How many.
        fields: usize,
        /// The path of the first.
        first: String,
    },
    /// The configuration does not fit the type, or cannot be captured.
    #[error("the configuration: {why}")]
    Config {
        /// What is wrong.
        why: String,
    },
    /// The system gives no random numbers, threads or runtime.
    #[error("the system gives no {what}: {why}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it says.
        why: String,
    },
    /// Snapshots that did not get through in time.
    #[error("{waiting} snapshots are not through yet")]
    Waiting {
        /// How many.
        waiting: usize,
    },
}

/// A permission in words.
fn permission(needs: &str) -> String {
    if needs.is_empty() { String::new() } else { format!("; it takes the permission {needs}") }
}

impl Error {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Store { transient, .. } | Error::Hub { transient, .. } => *transient,
            Error::File { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::Interrupted
                    | io::ErrorKind::TimedOut
                    | io::ErrorKind::WouldBlock
                    | io::ErrorKind::ResourceBusy
                    | io::ErrorKind::StaleNetworkFileHandle
            ),
            _ => false,
        }
    }
}
