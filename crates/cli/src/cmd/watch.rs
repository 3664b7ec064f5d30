//! `rig watch`: captures documents whenever they change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rig_event::ServiceName;
use rig_ingest::files::{Pattern, Watch};

use super::{CaptureArgs, HubArgs, Interrupts, snapshot};
use crate::Answer;
use crate::client::{Client, Problem};
use crate::output;

/// Writers write in several steps; a document is read when nothing happened for so long.
const QUIET: Duration = Duration::from_millis(100);
/// How long a hub that does not answer is left alone.
const RETRY: Duration = Duration::from_secs(2);

/// Capture documents now and on every change
///
/// With several paths, or one with signs in it (* ? [a-z] {a,b}, and ** for any number of folders), each document is a service
/// of its own, called SERVICE/FILENAME. Files and folders may come later. A document that cannot be parsed is reported and the
/// watch goes on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig watch api /etc/api/config.yaml
  rig watch edge haproxy.cfg limits.toml      (services edge/haproxy.cfg and edge/limits.toml)
  rig watch edge '/etc/edge/**/*.{cfg,toml}'  (a service for each)")]
pub struct Args {
    /// The service, or with several paths what their names begin with
    service: ServiceName,
    /// The documents
    #[arg(required = true, value_name = "PATHS")]
    paths: Vec<String>,
    #[command(flatten)]
    hub: HubArgs,
    #[command(flatten)]
    capture: CaptureArgs,
    /// Capture what is there and end
    #[arg(long)]
    once: bool,
    /// Print what the hub answers as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let client = args.hub.client()?;
    let patterns: Vec<Pattern> =
        args.paths.iter().map(|path| Pattern::new(path)).collect::<Result<_, _>>()?;
    let literal: Vec<PathBuf> = patterns.iter().filter_map(Pattern::literal).collect();
    if let Some(folder) = literal.iter().find(|path| path.is_dir()) {
        bail!("{} is not a file; name the documents in it", folder.display());
    }
    let one = patterns.len() == 1 && literal.len() == 1;
    let mut services = Services { prefix: args.service.clone(), one, files: BTreeMap::new() };
    for path in &literal {
        services.of(path)?;
        if !path.exists() {
            bail!("cannot read {}: there is no such file", path.display());
        }
    }
    let mut interrupts = Interrupts::listen()?;
    let mut watch = Watch::new(patterns, QUIET, snapshot::limit(), true)?;
    loop {
        for path in watch.scan() {
            match capture(&client, &args, &mut services, &mut watch, &path).await {
                Err(error) if args.once || output::is_closed_pipe(&error) => return Err(error),
                Err(error) => output::note(format!("{}: {}", path.display(), output::chain(&error))),
                Ok(()) => {}
            }
        }
        watch.warnings().into_iter().for_each(output::note);
        if args.once {
            return Ok(Answer::Fine);
        }
        tokio::select! {
            () = interrupts.wait() => return Ok(Answer::Fine),
            goes_on = watch.changed() => if !goes_on { bail!("the system stopped reporting changes") },
        }
    }
}

/// Which file is which service.
struct Services {
    prefix: ServiceName,
    /// There is one file, and it is the service itself.
    one: bool,
    files: BTreeMap<ServiceName, PathBuf>,
}

impl Services {
    fn of(&mut self, path: &Path) -> Result<ServiceName> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let service: ServiceName =
            if self.one { self.prefix.clone() } else { format!("{}/{name}", self.prefix).parse()? };
        let first = self.files.entry(service.clone()).or_insert_with(|| path.to_owned());
        if first != path && first.exists() {
            bail!("two documents would be the service {service}; watch them by two commands");
        }
        path.clone_into(first);
        Ok(service)
    }
}

async fn capture(
    client: &Client,
    args: &Args,
    services: &mut Services,
    watch: &mut Watch,
    path: &Path,
) -> Result<()> {
    let document = match watch.read(path) {
        Some(document) => document,
        None if args.once => bail!("it is gone, or is being written just now"),
        None => return Ok(()),
    };
    let document = document.map_err(anyhow::Error::msg).context("cannot be read")?;
    let service = services.of(path)?;
    let answer = snapshot::capture(client, &service, &args.capture.query(Some(path)), document).await;
    // What the hub read and refused stays refused until it changes.
    let owed = answer.as_ref().is_err_and(|error| {
        error.downcast_ref::<Problem>().is_none_or(|problem| problem.status == 429 || problem.status >= 500)
    });
    if owed {
        watch.again(path, RETRY);
    }
    snapshot::print(&answer?, args.json)
}
