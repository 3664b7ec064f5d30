//! `bench sse`: subscribers, beside nginx with nchan under the same load in the same run.

mod catch_up;
mod fanout;
mod subscribers;

use anyhow::Result;

use crate::Setup;
use crate::report::Report;
use crate::server::Nginx;

/// What can be asked for alone.
pub const PARTS: &[&str] = &["fanout", "latency", "catch-up"];

/// Runs the bench. Where nginx cannot be had, its columns stay empty and the report says why.
pub fn run(setup: &Setup) -> Result<()> {
    let mut report = Report::new("sse", setup.quick);
    let nginx = match Nginx::find() {
        Ok(nginx) => Some(nginx),
        Err(e) => {
            report.note("no peer", &format!("{e:#}"));
            None
        }
    };
    if setup.wants("fanout") {
        fanout::saturated(setup, nginx.as_ref(), &mut report)?;
    }
    if setup.wants("latency") {
        fanout::paced(setup, nginx.as_ref(), &mut report)?;
    }
    if setup.wants("catch-up") {
        catch_up::run(setup, nginx.as_ref(), &mut report)?;
    }
    report.write(&setup.out)
}
