//! Records a service's configuration without standing in the way of its start.
//!
//! The snapshot is taken and redacted where the configuration is read; it is compared, written and sent on a thread of its
//! own, which does just that and ends. Only a baseline that a service must not differ from is waited for.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use figment::Figment;
use rig_config::redact::are_comparable;
use rig_config::{BaselineKeys, Change, Diff, Format, Pattern, Policy, SnapshotFile};
use rig_event::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(feature = "hub")]
use crate::Hub;
use crate::{Error, Redaction, Writer, Written, audit, baseline, figments};

/// The reaction to a configuration that differs from its baseline.
pub enum OnDrift {
    /// A warning is logged, with the paths of what differs.
    Warn,
    /// The service gets an error instead of its configuration, also when the baseline cannot be read. This is waited for.
    Fail,
    /// This is called, on another thread.
    Call(Box<dyn FnOnce(&Drifted) + Send>),
}

impl fmt::Debug for OnDrift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OnDrift::Warn => "Warn",
            OnDrift::Fail => "Fail",
            OnDrift::Call(_) => "Call",
        })
    }
}

/// The difference between a configuration and its baseline. Secrets are redacted.
#[derive(Clone, Debug, PartialEq)]
pub struct Drifted {
    /// The baseline's address.
    pub baseline: String,
    /// The fields that differ, by path.
    pub changes: Vec<Change>,
    /// The paths of the secrets that cannot be compared: one side has no fingerprint, or one under another key.
    pub not_compared: Vec<String>,
}

/// A configuration that is what its baseline says, as far as that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InSync {
    /// The baseline's address.
    pub baseline: String,
    /// The paths of the secrets that cannot be compared: of these it says nothing.
    pub not_compared: Vec<String>,
}

/// Records a figment's configuration; made by [`crate::FigmentExt::recorded`].
#[derive(Debug)]
pub struct Recorder {
    figment: Figment,
    policy: Policy,
    redaction: Option<Redaction>,
    exclude: Vec<Pattern>,
    audit: BTreeMap<String, String>,
    tasks: Tasks,
    baseline: Option<(String, OnDrift)>,
    keys: Option<BaselineKeys>,
}

/// Where a snapshot goes.
#[derive(Debug, Default)]
struct Tasks {
    writers: Vec<Writer>,
    #[cfg(feature = "hub")]
    hubs: Vec<Hub>,
}

/// The result of one task on a snapshot.
#[derive(Debug)]
pub enum Outcome {
    /// It was written.
    Written(Written),
    /// A hub has it.
    Sent(String),
    /// It is what the baseline says.
    InSync(InSync),
    /// It is not.
    Drifted(Drifted),
    /// It failed.
    Failed(Error),
}

/// A snapshot on its way.
#[derive(Debug)]
pub struct Recording {
    /// The snapshot, with its secrets redacted.
    pub snapshot: Arc<SnapshotFile>,
    progress: Arc<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    outcomes: Vec<Outcome>,
    waiting: usize,
}

impl Recorder {
    pub(crate) fn new(figment: Figment, service: &str) -> Recorder {
        let here = std::env::current_dir().unwrap_or_default();
        let mut audit = audit::collect(Path::new(&here));
        audit.insert("service".to_owned(), service.to_owned());
        Recorder {
            figment,
            policy: Policy::default(),
            redaction: None,
            exclude: Vec::new(),
            audit,
            tasks: Tasks::default(),
            baseline: None,
            keys: None,
        }
    }

    /// Writes the snapshot.
    pub fn with_snapshot_writer(mut self, writer: Writer) -> Recorder {
        self.tasks.writers.push(writer);
        self
    }

    /// Sends the snapshot to a hub.
    #[cfg(feature = "hub")]
    pub fn with_hub(mut self, hub: Hub) -> Recorder {
        self.tasks.hubs.push(hub);
        self
    }

    /// Compares the snapshot with the snapshot file or signed baseline at a path or address, and acts on what differs.
    ///
    /// Fields that the policy ignores are left out. Secrets are compared if both have a fingerprint under the
    /// same key; the others are counted.
    pub fn with_baseline_snapshot(mut self, address: &str, on_drift: OnDrift) -> Recorder {
        self.baseline = Some((address.to_owned(), on_drift));
        self
    }

    /// Takes a baseline only if one of these keys signed it: [`Error::Untrusted`] otherwise, also of a snapshot file, which is
    /// not signed.
    pub fn with_baseline_keys(self, keys: BaselineKeys) -> Recorder {
        Recorder { keys: Some(keys), ..self }
    }

    /// Sets the policy: it names secrets beyond those of type [`crate::Secret`], and differences from a
    /// baseline to ignore.
    pub fn with_policy(self, policy: Policy) -> Recorder {
        Recorder { policy, ..self }
    }

    /// Sets the replacement for secrets; the default is `***redacted***`.
    pub fn with_redaction(self, redaction: Redaction) -> Recorder {
        Recorder { redaction: Some(redaction), ..self }
    }

    /// Leaves fields out of the snapshot: whole paths, ignoring case, with `*` and `**`.
    ///
    /// # Errors
    /// [`Error::Document`] when it is no pattern.
    pub fn exclude(mut self, pattern: &str) -> Result<Recorder, Error> {
        let parsed =
            pattern.parse().map_err(|source| Error::Document { name: pattern.to_owned(), source })?;
        self.exclude.push(parsed);
        Ok(self)
    }

    /// Adds to the audit metadata: `deployment`, `git_sha` and so on.
    pub fn with_meta(mut self, key: &str, value: &str) -> Recorder {
        self.audit.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Reads the configuration, and records it: on a thread of its own, which ends when everything is done or has failed.
    ///
    /// # Errors
    /// [`Error::Config`] when the configuration does not fit `T` or cannot be captured; [`Error::Drifted`], or what kept the
    /// baseline from being read, with [`OnDrift::Fail`]; [`Error::System`] without random numbers or threads.
    pub fn extract<T: Serialize + DeserializeOwned>(self) -> Result<(T, Recording), Error> {
        let settings: T = self.figment.extract().map_err(|e| Error::Config { why: figments::said(&e) })?;
        let effective = serde_json::to_value(&settings)
            .map_err(|_| Error::Config { why: "it cannot be written as JSON".to_owned() })?;
        let merged = figments::capture(&self.figment, &effective)?;
        let redaction = match self.redaction {
            Some(redaction) => redaction,
            None => Redaction::blank(&self.policy)?,
        };
        let timestamp = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
        let mut snapshot = SnapshotFile {
            timestamp,
            config: merged.config,
            provenance: merged.provenance,
            audit: self.audit,
            ..SnapshotFile::default()
        };
        snapshot.exclude(&self.exclude);
        redaction.apply(&mut snapshot, Format::Json);
        let snapshot = Arc::new(snapshot);

        let mut baseline = self.baseline;
        if let Some((address, OnDrift::Fail)) = &baseline {
            let (address, policy, snapshot) = (address.clone(), self.policy.clone(), snapshot.clone());
            let keys = self.keys.clone();
            // Not on this thread: it may belong to a runtime, which must not be blocked by another.
            let compared = spawn(move || run(compare(&address, &snapshot, &policy, keys.as_ref())))?.join();
            let broken = |_| Error::System { what: "comparison", why: "it panicked".to_owned() };
            if let Err(drifted) = compared.map_err(broken)??? {
                let first = drifted.changes.first().map(|change| change.path.clone()).unwrap_or_default();
                return Err(Error::Drifted { fields: drifted.changes.len(), first });
            }
            baseline = None;
        }

        let progress = Arc::new(Progress::default());
        lock(&progress).waiting = 1;
        let recording = Recording { snapshot: snapshot.clone(), progress: progress.clone() };
        let (tasks, policy, keys) = (self.tasks, self.policy, self.keys);
        spawn(move || {
            let done = Done(progress);
            if let Err(error) = run(work(&done, &snapshot, tasks, baseline, (&policy, keys.as_ref()))) {
                done.with(Outcome::Failed(error));
            }
        })?;
        Ok((settings, recording))
    }
}

impl Recording {
    /// Waits until everything is done, and gives what became of it. What was given once is not given again.
    ///
    /// # Errors
    /// [`Error::Waiting`] when that takes longer than `patience`; it goes on all the same.
    pub fn flush(&self, patience: Duration) -> Result<Vec<Outcome>, Error> {
        let deadline = Instant::now() + patience;
        let mut state = lock(&self.progress);
        while state.waiting > 0 {
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return Err(Error::Waiting { waiting: state.waiting });
            };
            state = match self.progress.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        Ok(std::mem::take(&mut state.outcomes))
    }
}

/// The work on a snapshot; dropped, also by a panic, it counts as ended.
struct Done(Arc<Progress>);

impl Done {
    fn with(&self, outcome: Outcome) {
        match &outcome {
            Outcome::Failed(error) => tracing::warn!(%error, "the snapshot of the configuration"),
            Outcome::Written(Written { not_removed: Some(error), .. }) => {
                tracing::warn!(%error, "old snapshots are not cleared away");
            }
            _ => {}
        }
        lock(&self.0).outcomes.push(outcome);
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        lock(&self.0).waiting = 0;
        self.0.changed.notify_all();
    }
}

/// Locks the state. It is consistent at any time, even after a panic.
fn lock(progress: &Progress) -> MutexGuard<'_, State> {
    progress.state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<std::thread::JoinHandle<T>, Error> {
    let spawned = std::thread::Builder::new().name("rig-snapshot".to_owned()).spawn(work);
    spawned.map_err(|e| Error::System { what: "thread", why: e.to_string() })
}

fn run<T>(work: impl Future<Output = T>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::System { what: "runtime", why: e.to_string() })?;
    Ok(runtime.block_on(work))
}

async fn work(
    done: &Done,
    snapshot: &SnapshotFile,
    tasks: Tasks,
    baseline: Option<(String, OnDrift)>,
    (policy, keys): (&Policy, Option<&BaselineKeys>),
) {
    for writer in tasks.writers {
        done.with(match writer.write(snapshot).await {
            Ok(written) => Outcome::Written(written),
            Err(error) => Outcome::Failed(error),
        });
    }
    #[cfg(feature = "hub")]
    for hub in tasks.hubs {
        done.with(match hub.send(snapshot).await {
            Ok(()) => Outcome::Sent(hub.address()),
            Err(error) => Outcome::Failed(error),
        });
    }
    let Some((address, on_drift)) = baseline else { return };
    match compare(&address, snapshot, policy, keys).await {
        Ok(Ok(same)) => done.with(Outcome::InSync(same)),
        Ok(Err(drifted)) => {
            done.with(Outcome::Drifted(drifted.clone()));
            match on_drift {
                OnDrift::Call(call) => call(&drifted),
                OnDrift::Warn | OnDrift::Fail => {
                    let paths: Vec<&str> = drifted.changes.iter().take(20).map(|c| c.path.as_str()).collect();
                    let fields = drifted.changes.len();
                    tracing::warn!(baseline = address, fields, ?paths, "the configuration has drifted");
                }
            }
        }
        Err(error) => done.with(Outcome::Failed(error)),
    }
}

/// Compares a snapshot with its baseline; returns that it is the same, or how it differs.
async fn compare(
    address: &str,
    snapshot: &SnapshotFile,
    policy: &Policy,
    keys: Option<&BaselineKeys>,
) -> Result<Result<InSync, Drifted>, Error> {
    let approved = baseline::read(address, keys).await?;
    let Diff { mut changes, not_compared, .. } = rig_config::diff(&approved, &snapshot.config, policy);
    changes.retain(|change| {
        let sides = change.before.as_ref().zip(change.after.as_ref());
        let is_told =
            change.op.is_difference() && sides.is_none_or(|(before, after)| are_comparable(before, after));
        is_told && policy.ignores(&change.path, snapshot.timestamp).is_none()
    });
    if !not_compared.is_empty() {
        let paths: Vec<&String> = not_compared.iter().take(20).collect();
        tracing::warn!(
            baseline = address,
            secrets = not_compared.len(),
            ?paths,
            "not compared with the baseline"
        );
    }
    let baseline = address.to_owned();
    Ok(if changes.is_empty() {
        Ok(InSync { baseline, not_compared })
    } else {
        Err(Drifted { baseline, changes, not_compared })
    })
}
