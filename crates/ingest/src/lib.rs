//! Documents that no client posts: files that change, configuration collected from devices, snapshots that arrive as messages.
//!
//! In reading order: [`files`] (finding files that have changed), [`watch`] (`[[watch]]` of `hub.toml`), `ssh` (`[[device]]`),
//! `nats` (`[nats]`). Each but the first is a component of its own. `ssh` and `nats` are features, on by default.

pub mod files;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "ssh")]
pub mod ssh;
pub mod watch;
