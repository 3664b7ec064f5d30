//! Documents from the wild, read, redacted and compared as a hub would.

#[cfg(test)]
mod diffs;
#[cfg(test)]
mod traefik;
