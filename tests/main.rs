//! Whole-program tests: the real binaries, over real sockets and files. Each starts its own hub on a free port.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod access;
mod backup;
#[path = "../crates/config/tests/it/cases.rs"]
mod cases;
mod causes;
mod ci;
#[cfg(unix)]
mod ci_steps;
#[cfg(feature = "cloud")]
mod cloud;
#[cfg(unix)]
mod collect;
mod demo;
#[cfg(target_os = "linux")]
mod dist;
mod drift;
mod flows;
mod golden;
mod harness;
mod help;
mod hostile;
mod incidents;
mod logs;
mod mistakes;
#[cfg(unix)]
mod names;
mod notifications;
#[cfg(feature = "otlp")]
mod otlp;
mod planted;
#[cfg(unix)]
mod player;
mod readme;
mod record_command;
mod recordings;
mod report;
mod restarts;
mod scrub;
mod secrets;
mod snapshots;
mod traefik;
#[cfg(unix)]
mod wrapper;
