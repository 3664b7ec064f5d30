//! The SDK: a service takes a snapshot of its own configuration, with the source of each value, and has it written to a file
//! or an object store, sent to a hub, and compared with a baseline.
//!
//! ```no_run
//! # #[cfg(feature = "figment")]
//! # fn main() -> Result<(), rig_client::Error> {
//! use figment::Figment;
//! use figment::providers::Serialized;
//! use rig_client::{FigmentExt as _, OnDrift, Secret, Writer};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Settings {
//!     port: u16,
//!     token: Secret<String>,
//! }
//!
//! let (settings, recording) = Figment::new()
//!     .merge(Serialized::default("port", 8080))
//!     .merge_variables("APP_")
//!     .recorded("api")
//!     .with_snapshot_writer(Writer::new("snapshots/api-{{timestamp}}.json")?.keep(10))
//!     .with_baseline_snapshot("baseline.json", OnDrift::Warn)
//!     .extract::<Settings>()?;
//! // The service starts; the snapshot is written meanwhile.
//! recording.flush(std::time::Duration::from_secs(5))?;
//! # drop(settings); Ok(()) }
//! # #[cfg(not(feature = "figment"))]
//! # fn main() {}
//! ```
//!
//! Nothing leaves the process before its secrets are replaced. In reading order: [`writer`] (snapshot files),
//! [`template`] (their names), `rotation` (which of them go), [`storage`] (where they lie), [`audit`] and [`git`] (who, where, which version), `baseline` (what was approved),
//! [`redaction`], [`login`] (tokens and TLS); then what a service uses: [`Secret`], [`FigmentExt`], [`Recorder`], [`Recording`].
//!
//! Features: `figment` (on), `hub` (on; sending to a hub, brings reqwest), `cloud` (S3, GCS, Azure, brings object_store and TLS).

pub mod audit;
#[cfg(feature = "figment")]
mod baseline;
mod error;
#[cfg(feature = "figment")]
mod extension;
#[cfg(feature = "figment")]
mod figments;
pub mod git;
#[cfg(feature = "hub")]
mod hub;
#[cfg(feature = "hub")]
pub mod login;
mod operation;
#[cfg(feature = "figment")]
mod recorder;
pub mod redaction;
mod retry;
mod rotation;
mod secret;
pub mod storage;
pub mod template;
pub mod writer;

pub use error::Error;
#[cfg(feature = "figment")]
pub use extension::FigmentExt;
#[cfg(feature = "hub")]
pub use hub::Hub;
#[cfg(feature = "figment")]
pub use recorder::{Drifted, InSync, OnDrift, Outcome, Recorder, Recording};
pub use redaction::Redaction;
pub use rig_config::{BaselineKeys, Policy, RedactionKey, SnapshotFile};
pub use secret::Secret;
pub use writer::{Writer, Written};
