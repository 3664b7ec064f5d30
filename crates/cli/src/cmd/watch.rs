//! `rig watch`: captures documents whenever they change.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use notify::RecursiveMode;
use rig_event::ServiceName;
use tokio::sync::mpsc;
use tokio::time::Instant;

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
    /// Where the hub did not get what is there: when it is tried again.
    owed: Option<Instant>,
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
        let paths = match change {
            // Reading is no change; were it taken for one, every capture would lead to the next.
            Ok(change) if change.kind.is_access() => return,
            Ok(change) if !change.need_rescan() => change.paths,
            // Anything may have happened.
            Ok(_) | Err(_) => vec![PathBuf::new()],
        };
        // Nobody listens any more only when the command is at its end.
        let _ = wake.send(paths);
    })
    .context("the system does not let rig watch files")?;
    arm(&mut watcher, &watched)?;
    let mut first = true;
    loop {
        for document in &mut watched {
            if document.owed.is_some_and(|retry| retry > Instant::now()) {
                continue;
            }
            match document.capture(&client, &args, &hasher).await {
                Ok(()) => {}
                Err(error) if first && !error.is::<Problem>() && !document.path.exists() => {
                    return Err(error);
                }
                Err(error) if output::is_closed_pipe(&error) => return Err(error),
                Err(error) => {
                    output::note(format!("{}: {}", document.path.display(), output::chain(&error)));
                }
            }
        }
        first = false;
        let retry = watched.iter().filter_map(|document| document.owed).min();
        let wanted: Vec<PathBuf> = watched.iter().flat_map(Watched::ways).collect();
        let mut folder_changed = false;
        let mut concerns = |paths: &[PathBuf]| {
            // What else happens in the folder is nothing to rig, whose own output may be redirected there.
            let mut concerns = false;
            for path in paths {
                concerns |= wanted.iter().any(|wanted| wanted.starts_with(path));
                folder_changed |= watched
                    .iter()
                    .any(|document| document.path.parent().is_some_and(|folder| folder.starts_with(path)));
            }
            concerns
        };
        loop {
            tokio::select! {
                () = interrupts.wait() => return Ok(Answer::Fine),
                change = woken.recv() => match change {
                    Some(paths) if concerns(&paths) => break,
                    Some(_) => {}
                    None => bail!("the system stopped reporting changes"),
                },
                () = tokio::time::sleep_until(retry.unwrap_or_else(Instant::now)), if retry.is_some() => break,
            }
        }
        // Until it is quiet, or for a second where it never is.
        let patience = Instant::now() + 10 * QUIET;
        while let Ok(Some(paths)) = tokio::time::timeout(QUIET, woken.recv()).await {
            concerns(&paths);
            if Instant::now() > patience {
                break;
            }
        }
        if folder_changed {
            // A folder that was removed and made again is another one. It may be gone right now; it is told when it is back.
            let _ = arm(&mut watcher, &watched);
        }
    }
}

/// Watches the folders, since a file that is replaced by renaming is another file, and those above them, which tell when a
/// folder is replaced.
fn arm(watcher: &mut impl notify::Watcher, watched: &[Watched]) -> Result<()> {
    let folders: BTreeSet<&Path> =
        watched.iter().flat_map(|document| document.path.ancestors().skip(1)).collect();
    let mut done = Ok(());
    // From the top, so that what is made below meanwhile is told or seen.
    for folder in folders {
        let _ = watcher.unwatch(folder);
        let armed = watcher.watch(folder, RecursiveMode::NonRecursive);
        if watched.iter().any(|document| document.path.parent() == Some(folder)) && done.is_ok() {
            done = armed.with_context(|| format!("cannot watch {}", folder.display()));
        }
    }
    done
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
        watched.push(Watched { service, path, seen: None, owed: None });
    }
    Ok(watched)
}

impl Watched {
    /// The paths that lead to the document: its own, and where it is a symbolic link, the links' ends. Whoever swaps one of
    /// them, or a folder on the way, changes the document.
    fn ways(&self) -> Vec<PathBuf> {
        let mut ways = vec![self.path.clone()];
        while let Some(last) = ways.last().filter(|_| ways.len() < 8)
            && let (Ok(end), Some(folder)) = (std::fs::read_link(last), last.parent())
        {
            ways.push(folder.join(end));
        }
        ways
    }

    async fn capture(&mut self, client: &Client, args: &Args, hasher: &RandomState) -> Result<()> {
        if !self.path.exists() && self.seen.is_some() {
            // Between the two steps of a replacement, or deleted: the last capture stands.
            self.owed = None;
            return Ok(());
        }
        let (_, document) = snapshot::read(&self.path.to_string_lossy())?;
        let hash = hasher.hash_one(&document);
        if self.seen == Some(hash) && self.owed.is_none() {
            return Ok(());
        }
        self.seen = Some(hash);
        let answer =
            snapshot::capture(client, &self.service, &args.capture.query(Some(&self.path)), document).await;
        // What the hub read and refused stays refused until it changes.
        let owed = answer
            .as_ref()
            .is_err_and(|error| error.downcast_ref::<Problem>().is_none_or(|problem| problem.status >= 500));
        self.owed = owed.then(|| Instant::now() + RETRY);
        snapshot::print(&answer?, args.json)
    }
}
