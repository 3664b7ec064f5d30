//! Documents from the wild, read, redacted and compared as a hub would.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[cfg(test)]
mod nested;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod diffs;
#[cfg(test)]
mod traefik;
