//! `rig state`: everything that is known at one seq.

use std::fmt::Write as _;

use anyhow::Result;
use rig_event::{Seq, ServiceName};
use rig_replay::Service;

use crate::Answer;
use crate::output::{self, Out};
use crate::source::{Moment, Source};

/// Show the state: now, at the end of a file, or at any seq
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig state http://127.0.0.1:7070/main
  rig state session.jsonl --at 120 --service api --json")]
pub struct Args {
    /// A session file, -, a rigd log, or a hub's stream
    source: Source,
    /// The state after this event [default: now, or the end of the file]
    #[arg(long, value_name = "SEQ")]
    at: Option<Seq>,
    /// Only this service, with its whole config
    #[arg(long)]
    service: Option<ServiceName>,
    /// Print the state as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let at = args.source.state(args.at).await?;
    print(&at, args.service.as_ref(), args.json)?;
    Ok(Answer::Fine)
}

/// The state for people or programs.
pub(super) fn print(at: &Moment, only: Option<&ServiceName>, json: bool) -> Result<()> {
    let mut out = Out::new();
    if let Some(name) = only {
        let service = at.service(name)?;
        if json {
            let mut value = rig_event::spelled::to_value(service)?;
            value["stream"] = at.stream.as_str().into();
            value["seq"] = at.state.seq.into();
            value["service"] = name.as_str().into();
            return out.json(&value);
        }
        out.line(heading(name.as_str(), service))?;
        for (path, value) in service.config.iter() {
            out.line(format!("  {} = {}", output::plain(path), output::value(value)))?;
        }
        return Ok(());
    }
    if json {
        return out.json(&at.state.view(&at.stream));
    }
    out.line(format!("stream   {}", output::plain(&at.stream)))?;
    out.line(format!("seq      {}", at.state.seq))?;
    if at.state.seq > 0 {
        out.line(format!("time     {}", at.state.ts))?;
    }
    out.line(format!("hash     {}", at.state.hash()))?;
    if let Some(status) = &at.state.environment.status {
        let name = at.state.environment.name.as_deref().unwrap_or("environment");
        out.line(output::plain(&format!("{name} is {status}")))?;
    }
    for (name, service) in &at.state.services {
        out.line("")?;
        out.line(heading(name.as_str(), service))?;
        for field in service.drift.iter().flat_map(|drift| &drift.fields) {
            out.line(format!("    {}", output::indented(&output::drift_field(field), 4)))?;
        }
    }
    for (source, targets) in &at.state.edges {
        for (target, edge) in targets {
            let line = format!(
                "{source} -> {target}: {}, {}",
                output::count(edge.requests, "request"),
                output::count(edge.failures, "failure")
            );
            out.line(output::plain(&line))?;
        }
    }
    Ok(())
}

/// A service on one line, with how it stands against its baseline.
fn heading(name: &str, service: &Service) -> String {
    let mut text = output::styled(output::HEADING, output::plain(name));
    if let Some(status) = &service.status {
        let _ = write!(text, "  {}", output::plain(status));
    }
    if let Some(error) = &service.error {
        let _ = write!(text, " ({})", output::plain(error));
    }
    if service.is_captured() {
        let _ = write!(
            text,
            "  {}, {}, captured as {}, {}",
            output::plain(&service.format),
            output::count(service.config.len() as u64, "field"),
            service.captured_seq,
            output::digest(&service.config_digest),
        );
    }
    if let Some(baseline) = &service.baseline {
        let _ = write!(text, ", baseline of {}", baseline.captured);
    }
    if let Some(drift) = &service.drift {
        let _ = write!(text, ": {}", output::verdict(drift.verdict));
        if let Some(severity) = drift.severity {
            let _ = write!(text, " ({})", output::severity(severity));
        }
    }
    text
}
