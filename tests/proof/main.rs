//! Proofs on real processes: what a kill, a full disk or a subscriber that does not read must not do, and who can read the stream.

#[allow(dead_code, reason = "the other whole-program tests use the rest")]
#[path = "../harness.rs"]
mod harness;
#[path = "../../crates/hub/tests/it/random.rs"]
mod random;

mod crash;
mod stalled;
