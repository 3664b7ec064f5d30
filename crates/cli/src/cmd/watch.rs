//! `rig watch`: captures documents whenever they change.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use notify::{RecursiveMode, Watcher as _};
use rig_event::ServiceName;
use tokio::sync::mpsc;

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
/// With several paths each is a service of its own, called SERVICE/FILENAME. A document that cannot be parsed is reported
/// and the watch goes on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig watch api /etc/api/config.yaml
  rig watch edge haproxy.cfg limits.toml      (services edge/haproxy.cfg and edge/limits.toml)")]
pub struct Args {
    /// The service, or with several paths what their names begin with
    service: ServiceName,
    /// The documents
    #[arg(required = true)]
    paths: Vec<PathBuf>,
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

/// A watched document.
struct Watched {
    service: ServiceName,
    path: PathBuf,
    /// What was captured last, so that a touch without a change is no capture.
    seen: Option<u64>,
    /// Whether the hub did not get what is there.
    owed: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let client = args.hub.client()?;
    let mut watched = watched(&args)?;
    let hasher = RandomState::new();
    if args.once {
        for document in &mut watched {
            document.capture(&client, &args, &hasher).await?;
        }
        return Ok(Answer::Fine);
    }

    let mut interrupts = Interrupts::listen()?;
    // Before the first capture: what changes in between is seen afterwards.
    let (wake, mut woken) = mpsc::unbounded_channel();
    let mut watcher = notify::recommended_watcher(move |change: notify::Result<notify::Event>| {
        // Reading is no change; were it taken for one, every capture would lead to the next.
        if change.is_ok_and(|change| change.kind.is_access()) {
            return;
        }
        // Nobody listens any more only when the command is at its end.
        let _ = wake.send(());
    })
    .context("the system does not let rig watch files")?;
    // The folders, since a file that is replaced by renaming is another file.
    let folders: BTreeSet<&Path> = watched.iter().filter_map(|document| document.path.parent()).collect();
    for folder in folders {
        watcher
            .watch(folder, RecursiveMode::NonRecursive)
            .with_context(|| format!("cannot watch {}", folder.display()))?;
    }
    let mut first = true;
    loop {
        for document in &mut watched {
            match document.capture(&client, &args, &hasher).await {
                Ok(()) => {}
                Err(error) if first && !error.is::<Problem>() && !document.path.exists() => {
                    return Err(error);
                }
                Err(error) if output::is_closed_pipe(&error) => return Err(error),
                Err(error) => output::note(format!("{}: {}", document.path.display(), output::chain(&error))),
            }
        }
        first = false;
        let owed = watched.iter().any(|document| document.owed);
        tokio::select! {
            () = interrupts.wait() => return Ok(Answer::Fine),
            change = woken.recv() => {
                if change.is_none() {
                    bail!("the system stopped reporting changes");
                }
            }
            () = tokio::time::sleep(RETRY), if owed => continue,
        }
        // Until it is quiet, or for a second where it never is.
        let patience = tokio::time::Instant::now() + 10 * QUIET;
        while let Ok(Some(())) = tokio::time::timeout(QUIET, woken.recv()).await {
            if tokio::time::Instant::now() > patience {
                break;
            }
        }
    }
}

fn watched(args: &Args) -> Result<Vec<Watched>> {
    let mut watched = Vec::<Watched>::new();
    for path in &args.paths {
        let path = std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))?;
        let Some(name) = path.file_name().filter(|_| !path.is_dir()) else {
            bail!("{} is not a file; name the documents in it", path.display());
        };
        let service = match args.paths.len() {
            1 => args.service.clone(),
            _ => format!("{}/{}", args.service, name.to_string_lossy()).parse()?,
        };
        if watched.iter().any(|other| other.service == service) {
            bail!("two documents would be the service {service}; watch them by two commands");
        }
        watched.push(Watched { service, path, seen: None, owed: false });
    }
    Ok(watched)
}

impl Watched {
    async fn capture(&mut self, client: &Client, args: &Args, hasher: &RandomState) -> Result<()> {
        if !self.path.exists() && self.seen.is_some() {
            // Between the two steps of a replacement, or deleted: the last capture stands.
            return Ok(());
        }
        let (name, document) = snapshot::read(&self.path.to_string_lossy())?;
        let hash = hasher.hash_one(&document);
        if self.seen == Some(hash) && !self.owed {
            return Ok(());
        }
        self.seen = Some(hash);
        let answer =
            snapshot::capture(client, &self.service, &args.capture.query(name.as_deref()), document).await;
        // What the hub read and refused stays refused until it changes.
        self.owed = answer
            .as_ref()
            .is_err_and(|error| error.downcast_ref::<Problem>().is_none_or(|problem| problem.status >= 500));
        snapshot::print(&answer?, args.json)
    }
}
