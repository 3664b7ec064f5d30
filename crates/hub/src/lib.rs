//! The server: it turns documents and posted events into the log, and the log into streams, files and states.
//!
//! This crate is the core. Everything else that a hub does is a [`Component`] in a crate of its own, mounted by the program.
//!
//! The layers, each of which imports only those above it: `settings` and [`Options`]; [`Problem`] (error responses); `data` (the
//! data directory); `metrics`; `permit` (what the request at hand may still do); `shares` (of what there is only so much); `originals` (documents, encrypted); `streams` (the registry and the parts of one stream);
//! `housekeeping` (retention and sweep); [`access`] (access control); `capture` (the path of documents and events to the writer); `feeds` (events
//! from threads that must not wait); [`Core`]
//! (the handle for components); [`Component`]; [`http`]; [`Hub`]; `outside` (a data directory without a running hub).

pub mod access;
mod capture;
mod component;
mod core;
mod data;
mod error;
mod feeds;
mod housekeeping;
pub mod http;
mod hub;
mod metrics;
mod options;
mod originals;
mod outside;
mod permit;
mod problem;
pub mod settings;
mod shares;
mod streams;

pub use self::core::{Core, WeakCore};
pub use capture::{Document, SNAPSHOT, refusal_id};
pub use component::Component;
pub use data::{below, open_files};
pub use error::Error;
pub use hub::{Builder, Hub};
pub use metrics::{Column, Exposition};
pub use options::{Insecure, Options, READ_BYTES, Seals};
pub use outside::{backup, doctor, offline};
pub use problem::Problem;
pub use shares::Share;
pub use streams::{Appended, NO_LATENCY, Playback, Stream, Streams, View};
