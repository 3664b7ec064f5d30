//! A data directory without a running hub: its backup, a look over it, and its tokens.

pub mod backup;
pub mod doctor;
pub mod offline;
