//! A hub in this process, spoken to over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that panics has failed"
)]

mod access;
mod backups;
mod bodies;
mod captures;
mod catching_up;
mod coming_back;
mod component;
mod crowds;
mod feeds;
mod flips;
mod known_secrets;
mod model;
mod operation;
mod originals;
mod random;
mod retention;
mod streaming;

use rig_testhub::{TestHub, Told, answer, serve, try_answer, types, unsealed};
