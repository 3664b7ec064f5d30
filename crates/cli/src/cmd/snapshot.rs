//! `rig snapshot`: captures one document.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use rig_event::ServiceName;

use super::{CaptureArgs, HubArgs};
use crate::Answer;
use crate::client::{Appended, Client, Problem};
use crate::output::{self, Out};

/// Capture a configuration document
///
/// The hub parses it, redacts its secrets, compares it with the service's last one, and judges the difference. What it
/// recorded of that is printed: one line an event.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig snapshot api config/api.yaml --meta git_sha=4f2c9e1
  ssh router /export | rig snapshot router - --format text")]
pub struct Args {
    /// The service it configures
    service: ServiceName,
    /// The document, or - for standard input
    file: String,
    #[command(flatten)]
    hub: HubArgs,
    #[command(flatten)]
    capture: CaptureArgs,
    /// A name for this very capture: sent twice, it is captured once
    #[arg(long, value_name = "KEY")]
    id: Option<String>,
    /// Print the hub's answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let client = args.hub.client()?;
    let (name, document) = read(&args.file)?;
    let mut query = args.capture.query(name.as_deref());
    query.extend(args.id.map(|id| ("id".to_owned(), id)));
    let appended = capture(&client, &args.service, &query, document).await?;
    print(&appended, args.json)?;
    Ok(Answer::Fine)
}

/// Captures, and names the document's service where the hub refuses it.
pub(super) async fn capture(
    client: &Client,
    service: &ServiceName,
    query: &[(String, String)],
    document: Vec<u8>,
) -> Result<Appended> {
    let refused = || format!("{} was not captured", output::plain(service.as_str()));
    let answer = client.capture(service, query, document).await.map_err(|error| match error.downcast() {
        // The hub speaks of its query; here it is an option.
        Ok(problem @ Problem { .. }) => {
            let detail = problem.detail.map(|detail| detail.replace("?format=", "--format "));
            Problem { detail, ..problem }.into()
        }
        Err(error) => error,
    });
    answer.with_context(refused)
}

/// The name of a file and what is in it. What is over the hub's limit is read only so far that the hub sees it: it keeps the
/// record of refusals.
pub(super) fn read(file: &str) -> Result<(Option<String>, Vec<u8>)> {
    let limit = rig_config::Limits::default().bytes + 1;
    let mut document = Vec::new();
    if file == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut document).context("standard input broke off")?;
        return Ok((None, document));
    }
    let cannot = || format!("cannot read {file}");
    std::fs::File::open(file)
        .with_context(cannot)?
        .take(limit)
        .read_to_end(&mut document)
        .with_context(cannot)?;
    Ok((Path::new(file).file_name().map(|name| name.to_string_lossy().into_owned()), document))
}

/// The events that something led to, as lines for people or the hub's JSON.
pub(super) fn print(appended: &Appended, json: bool) -> Result<()> {
    let mut out = Out::new();
    if json {
        return out.json(appended);
    }
    for event in &appended.events {
        out.line(output::event(event.get().as_bytes()))?;
    }
    Ok(())
}
