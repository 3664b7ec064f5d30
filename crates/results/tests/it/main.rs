//! Outputs of real runners, and what must be found in them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod corpus;
mod samples;
