//! Hubs that this program runs: the one place that knows all components, all engines and all of `hub.toml`.
//!
//! In reading order: [`settings`] (`hub.toml`), [`mod@components`] (what is mounted, and where logs are kept), [`mod@listen`],
//! [`supervisor`] (what systemd is told).

pub mod components;
pub mod listen;
pub mod settings;
pub mod supervisor;

pub use self::components::{builder, components, page, private, store};
pub use self::listen::listen;
pub use self::settings::Settings;
