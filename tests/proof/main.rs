//! Proofs on real processes: what a kill, a full disk or a subscriber that does not read must not do, and who can read the stream.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that panics has failed, and says what it did"
)]

#[allow(dead_code, reason = "the other whole-program tests use the rest")]
#[path = "../harness.rs"]
mod harness;
#[path = "../planted.rs"]
mod planted;
#[path = "../../crates/hub/tests/it/random.rs"]
mod random;

mod crash;
mod full;
mod interop;
mod nats;
mod patches;
mod stalled;
mod web;
