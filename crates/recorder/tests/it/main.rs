//! The recorder from outside: one contract for every engine, crashes, faults, session files and the index.

#![expect(clippy::unwrap_used, reason = "what a helper of a test cannot do fails the test")]

mod contract;
mod damage;
mod faults;
mod faulty;
mod feed;
mod index;
mod segments;
mod session;
mod stores;
mod support;
