//! The hub as the program mounts it, with every component: its routes, who may use them, how they are described, its metrics.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that panics has failed"
)]

mod matrix;
mod metrics;
mod openapi;
mod reference;

use rig_cli::hub::{Settings, components};
use rig_testhub::TestHub;

/// Starts a hub with all components and the settings in `toml`.
async fn hub(toml: &str, mut options: rig_hub::Options) -> TestHub {
    let settings = Settings::parse(toml).unwrap();
    settings.apply(&mut options);
    TestHub::mounted(options, components(&settings).unwrap()).await
}
