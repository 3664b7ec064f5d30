//! Documents that nobody posts, captured by a hub in this process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that panics has failed"
)]

#[cfg(all(unix, feature = "ssh"))]
mod ssh;
mod watch;
