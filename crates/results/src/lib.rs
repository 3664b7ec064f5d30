//! Test results, read from what runners print and from the files that they write.
//!
//! A [`Reader`] takes a command's output line by line and offers every line to all `runners`; result files
//! ([`formats`]) are read whole. Both give [`Case`]s, which `merge` brings together: the same test from
//! several sources is one. This crate does no I/O and knows no clock; what it must know of the project's files
//! it asks a [`Project`].
//!
//! In reading order: [`case`], [`text`] and [`place`] (lines, and places in them), [`identity`], `sheet` (the
//! results of one run of a runner), `runners`, [`formats`], `merge`, [`reader`], [`rerun`].

pub mod case;
pub mod formats;
pub mod identity;
mod merge;
pub mod place;
pub mod reader;
pub mod rerun;
mod runners;
mod sheet;
pub mod text;

pub use case::{Case, Verdict};
pub use formats::read_file;
pub use place::Project;
pub use reader::{Exit, Reader, Results};
pub use text::Stream;
