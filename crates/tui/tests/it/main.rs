//! The player without a terminal: its model against the timeline, its views on screens of several sizes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod model;
mod screen;
mod views;
