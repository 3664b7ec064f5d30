//! Documents from the wild, and secrets in context, read, redacted and compared as a hub would.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and shows what it counted"
)]

mod cases;
mod corpus;
mod diffs;
mod grammars;
mod nested;
mod round_trip;
mod snapshot_files;
mod traefik;
