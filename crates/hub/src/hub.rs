//! The streams that a server has: opened at the start, made and removed on request.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use rig_config::{RedactionKey, Redactor};
use rig_event::{Epoch, Head, Seq, StreamName};
use rig_recorder::{Durability, EventLog, Index, Keyring, MemoryLog, SegmentLog, StreamIndex};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use crate::access::Access;
use crate::admission::Admission;
use crate::announcer::{Announcer, News, Rounds};
use crate::cut::{Cut, put_checkpoint};
use crate::data::{DataDir, io_error, random, write_private};
use crate::ids::Ids;
use crate::ingest::ssh::Devices;
use crate::metrics::{Meters, drift_of};
use crate::notify::Endpoints;
use crate::playback::{Playback, PlaybackLog};
use crate::problem::Problem;
use crate::secrecy::{Blobs, Keys, sweep};
use crate::stream::{Stream, Tasks};
use crate::tail::Tail;
use crate::writer::{Refused, Writer};
use crate::{Error, Options, held, indexer, keychecks, retention};

/// How many appends may wait for the writer; who comes then waits to get in line.
const QUEUE: usize = 1024;

/// How many documents are parsed and judged at the same time. Each takes up to 2.5 times its size and 350 bytes a field,
/// of which there are at most a million; TOML and HCL, which take up to 40 times their size, end at 8 MiB.
const PARSING: usize = 2;

/// How long a body waits for others to be through before it is sent away.
const BUDGET_WAIT: Duration = Duration::from_secs(10);

/// A running hub.
pub(crate) struct Hub {
    pub(crate) options: Options,
    /// Who may do what.
    pub(crate) access: Access,
    pub(crate) policy: Arc<rig_config::Policy>,
    pub(crate) redactor: Arc<Redactor>,
    /// The keys that seals and session files are signed with; none for a hub in memory.
    pub(crate) keys: Arc<Keyring>,
    /// How many requests and subscribers there are.
    pub(crate) admission: Admission,
    /// Documents that may still be parsed at the same time.
    pub(crate) parsing: Arc<Semaphore>,
    /// Kibibytes of documents that may still be taken into work.
    pub(crate) capture_budget: Arc<Semaphore>,
    /// Who encrypts originals; absent where none are kept and none can be there.
    pub(crate) secrets: Option<Keys>,
    /// Held by the one stream whose originals are looked through.
    pub(crate) sweeping: Mutex<()>,
    /// Who is notified.
    pub(crate) endpoints: Endpoints,
    /// What is collected from.
    pub(crate) devices: Devices,
    /// Where the hub listens, once it does.
    listening: OnceLock<SocketAddr>,
    /// Turns true when the hub stops: streams to subscribers end.
    stopping: watch::Receiver<bool>,
    /// What came by NATS.
    pub(crate) from_nats: crate::ingest::nats::Counters,
    streams: RwLock<BTreeMap<StreamName, Arc<Stream>>>,
    /// Held while a stream is made or removed.
    changing: Mutex<()>,
    data: Option<(DataDir, Index)>,
    /// Whether it serves a recording.
    read_only: bool,
}

impl Hub {
    /// `local`: whether only this machine reaches it.
    pub(crate) async fn open(
        options: Options,
        local: bool,
        stopping: watch::Receiver<bool>,
    ) -> Result<Arc<Hub>, Error> {
        let (data, key, keys, secrets) = match &options.data {
            Some(root) => {
                let data = DataDir::open(root)?;
                let new = data.is_new()?;
                let key = data.redaction_key(new)?;
                let keys = match &options.signing_keys {
                    Some(keys) => keys.clone(),
                    None => data.signing_keys(new)?,
                };
                let (index, aside) = Index::open(&data.index())?;
                if let Some(aside) = aside {
                    tracing::warn!(moved_to = %aside.display(), "the index would not open and is rebuilt from the log");
                }
                let secrets = Keys::open(&data, &options.settings.blobs)?;
                (Some((data, index)), key, keys, secrets)
            }
            None => {
                let key =
                    RedactionKey::new("memory", random::<32>()?).map_err(|e| Error::Fold(e.to_string()))?;
                (None, key, options.signing_keys.clone().unwrap_or_default(), None)
            }
        };
        let endpoints =
            Endpoints::new(&options.settings.notify, &options.settings.allow).map_err(Error::Settings)?;
        let hub = Arc::new(Hub {
            keys: Arc::new(keys),
            secrets,
            endpoints,
            data,
            ..Hub::new(options, key, local, stopping)?
        });
        if let Some((data, _)) = &hub.data {
            data.clear_tombstones()?;
        }
        let names = hub.data.as_ref().map(|(data, _)| data.streams()).transpose()?.unwrap_or_default();
        for name in names {
            hub.open_stream(&name, false).await?;
        }
        hub.own_is_not_lost()?;
        for name in [StreamName::main(), StreamName::hub()] {
            if hub.get(&name).is_none() {
                hub.open_stream(&name, true).await?;
            }
        }
        hub.learn().await?;
        // Only now: the seals and originals that the keys made were held against them.
        if let Some((data, _)) = &hub.data {
            keychecks::note(&data.keys())?;
        }
        Ok(hub)
    }

    /// Refuses to go on without the hub's own stream where there was one: the tokens stand in it, and without them the hub would
    /// stand open.
    fn own_is_not_lost(&self) -> Result<(), Error> {
        let (Some((data, index)), own) = (&self.data, StreamName::hub()) else { return Ok(()) };
        if self.get(&own).is_some() || !index.knows(&own) {
            return Ok(());
        }
        let (folder, index) = (data.stream(&own), data.index());
        Err(Error::Fold(format!(
            "{} is gone, and with it the tokens of this hub: restore it from a backup. To go on with a hub that has none and stands open, \
             delete {}",
            folder.display(),
            index.display()
        )))
    }

    /// A hub without streams and without a folder.
    fn new(
        options: Options,
        key: RedactionKey,
        local: bool,
        stopping: watch::Receiver<bool>,
    ) -> Result<Hub, Error> {
        Ok(Hub {
            access: Access::new(&options, local)?,
            policy: Arc::new(options.policy.clone()),
            redactor: Arc::new(Redactor::new(key, &options.policy)),
            keys: Arc::default(),
            admission: Admission::new(&options.settings.http),
            parsing: Arc::new(Semaphore::new(PARSING)),
            capture_budget: Arc::new(Semaphore::new((options.capture_budget >> 10) as usize)),
            secrets: None,
            sweeping: Mutex::default(),
            devices: Devices::new(&options.settings),
            endpoints: Endpoints::default(),
            listening: OnceLock::new(),
            options,
            stopping,
            from_nats: Default::default(),
            streams: RwLock::default(),
            changing: Mutex::default(),
            data: None,
            read_only: false,
        })
    }

    /// A hub of one stream, which is a recording.
    pub(crate) fn of_recording(
        options: Options,
        playback: Playback,
        local: bool,
        stopping: watch::Receiver<bool>,
    ) -> Result<Arc<Hub>, Error> {
        let key = RedactionKey::new("memory", random::<32>()?).map_err(|e| Error::Fold(e.to_string()))?;
        let log = Arc::new(PlaybackLog(playback));
        let base = log.base().map_err(|e| Error::Fold(e.to_string()))?;
        let base = Cut { state: base, chain: log.0.chain };
        let hub = Hub { read_only: true, ..Hub::new(options, key, local, stopping)? };
        let head = log.watch();
        let tail = Arc::new(Tail::default());
        let (news, rounds, announcer) = hub.announce(log.clone(), &head, &tail);
        let name = log.stream().clone();
        let stream = Stream {
            name: name.clone(),
            epoch: log.epoch().clone(),
            log: log.clone(),
            tail,
            head,
            news,
            rounds,
            inputs: mpsc::channel(1).0,
            base: RwLock::new(Arc::new(base)),
            meters: Arc::default(),
            index: None,
            blobs: None,
            tasks: Mutex::new(Tasks { announcer: Some(announcer), ..Tasks::default() }),
            recording: Some(log),
        };
        hub.streams.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::new(stream));
        Ok(Arc::new(hub))
    }

    /// Whether the hub is stopping.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until the hub stops.
    pub(crate) async fn stopped(&self) {
        // Whoever could say it is gone: so is the hub.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }

    /// Says where the hub listens.
    pub(crate) fn listens_on(&self, address: SocketAddr) {
        let _ = self.listening.set(address);
    }

    /// Where the hub listens, if it does.
    pub(crate) fn own_address(&self) -> Option<SocketAddr> {
        self.listening.get().copied()
    }

    /// Refuses what would change something where nothing may be.
    fn may_change(&self) -> Result<(), Problem> {
        if self.read_only { Err(Problem::from(Refused::ReadOnly)) } else { Ok(()) }
    }

    /// The stream of that name.
    pub(crate) fn get(&self, name: &StreamName) -> Option<Arc<Stream>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The stream that a request names.
    pub(crate) fn stream(&self, name: &str) -> Result<Arc<Stream>, Problem> {
        let name = parse_name(name)?;
        self.get(&name).ok_or_else(|| {
            Problem::not_found(
                "unknown-stream",
                format!("there is no stream {name}; make it with PUT /v1/streams/{name}"),
            )
        })
    }

    /// Takes a share of the budget for a body of so many bytes; whoever waits too long is sent away.
    pub(crate) async fn reserve(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Problem> {
        let most = (self.options.capture_budget >> 10).max(1);
        let kibibytes = (bytes >> 10).clamp(1, most) as u32;
        let busy =
            || Problem::unavailable("busy", "too many large bodies are in work; send it again in a moment");
        let permit =
            tokio::time::timeout(BUDGET_WAIT, self.capture_budget.clone().acquire_many_owned(kibibytes));
        permit.await.map_err(|_| busy())?.map_err(|_| busy())
    }

    pub(crate) fn list(&self) -> Vec<Arc<Stream>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Makes a stream; `false`: it was there. Once begun it is done, also when the client hangs up.
    pub(crate) async fn make(self: &Arc<Self>, name: &str) -> Result<(Arc<Stream>, bool), Problem> {
        self.may_change()?;
        let (hub, name) = (self.clone(), parse_name(name)?);
        let making = tokio::spawn(async move { hub.make_now(name).await });
        making.await.unwrap_or_else(|e| Err(Problem::internal("defect", e.to_string())))
    }

    async fn make_now(self: &Arc<Self>, name: StreamName) -> Result<(Arc<Stream>, bool), Problem> {
        if name.is_internal() {
            return Err(reserved());
        }
        let _changing = self.changing.lock().await;
        if let Some(stream) = self.get(&name) {
            return Ok((stream, false));
        }
        let most = crate::open_files::streams();
        if self.data.is_some() && self.list().len() >= most {
            let detail = format!(
                "there are {most} streams, as many as the limit of open files allows; remove some, or raise it"
            );
            return Err(Problem::conflict("too-many-streams", detail));
        }
        let made = self.open_stream(&name, true).await;
        Ok((made.map_err(|e| Problem::internal("storage", e.to_string()))?, true))
    }

    /// Removes a stream and all its events. Once begun it is done, also when the client hangs up.
    pub(crate) async fn remove(self: &Arc<Self>, name: &str) -> Result<(), Problem> {
        self.may_change()?;
        let (hub, name) = (self.clone(), name.to_owned());
        let removing = tokio::spawn(async move { hub.remove_now(&name).await });
        removing.await.unwrap_or_else(|e| Err(Problem::internal("defect", e.to_string())))
    }

    async fn remove_now(&self, name: &str) -> Result<(), Problem> {
        let _changing = self.changing.lock().await;
        let stream = self.stream(name)?;
        if stream.name.is_internal() {
            return Err(reserved());
        }
        self.streams.write().unwrap_or_else(PoisonError::into_inner).remove(&stream.name);
        stream.close().await;
        let storage = |e: String| Problem::internal("storage", e);
        // First the name is free, at one stroke: a crash leaves a stream or a tombstone, never half a stream.
        let tombstone = match &self.data {
            Some((data, _)) => {
                Some(data.bury(&stream.name, stream.epoch.as_str()).map_err(|e| storage(e.to_string()))?)
            }
            None => None,
        };
        if let Some(index) = &stream.index {
            index.clone().remove().map_err(|e| storage(e.to_string()))?;
        }
        if let Some(path) = tombstone {
            let removed = tokio::task::spawn_blocking(move || {
                fs::remove_dir_all(&path).map_err(io_error("remove", &path))
            });
            removed.await.map_err(|e| storage(e.to_string()))?.map_err(|e| storage(e.to_string()))?;
        }
        Ok(())
    }

    /// Makes everything durable, and keeps a checkpoint so that the next start is quick.
    pub(crate) async fn close(&self) {
        for stream in self.list() {
            let cut = stream.inspect().await;
            stream.close().await;
            if let (Some(index), Ok(cut)) = (&stream.index, cut) {
                let kept = put_checkpoint(index, &stream.name, &cut)
                    .and_then(|()| index.flush().map_err(|e| e.to_string()));
                if let Err(why) = kept {
                    tracing::warn!(stream = %stream.name, why, "the checkpoint could not be kept; the next start folds the log");
                }
            }
        }
    }

    async fn open_stream(self: &Arc<Self>, name: &StreamName, new: bool) -> Result<Arc<Stream>, Error> {
        let (log, index, segments) = self.open_log(name, new)?;
        let blobs = match (&self.data, &self.secrets) {
            (Some((data, _)), Some(_)) => Some(Arc::new(Blobs::open(&data.blobs(name), self.options.step)?)),
            _ => None,
        };
        if let Some(index) = &index {
            indexer::catch_up(log.as_ref(), index).await.map_err(Error::Fold)?;
        }
        let base = self.base(log.as_ref())?;
        let named = match (&self.data, log.first_seq()) {
            (Some((data, _)), 2..) => data.cut(name),
            (Some((data, _)), _) => data.stream(name).join("stream.json"),
            (None, _) => Default::default(),
        };
        let named = named.display().to_string();
        let held = held::open(log.as_ref(), index.as_ref(), &base, &named, &self.keys);
        let cut = held.await.map_err(Error::Fold)?;
        // Only now: what says where the stream begins fits the state before it and the log after it.
        if let Some(segments) = segments {
            segments.settle()?;
        }
        let (inputs, received) = mpsc::channel(QUEUE);
        let (head, heads) = watch::channel(log.head());
        let tail = Arc::new(Tail::default());
        let meters = Arc::new(Meters::default());
        cut.state.services.values().for_each(|service| meters.found(drift_of(Some(service))));
        let writer = Writer {
            stream: name.clone(),
            epoch: log.epoch().clone(),
            log: log.clone(),
            reviewed: None,
            demanded: self.options.baseline_keys.clone(),
            policy: self.policy.clone(),
            clock: self.options.clock,
            keys: self.keys.clone(),
            seals: self.options.seals,
            sealed: last_seal(log.as_ref()).await.map_err(Error::Fold)?,
            cut,
            ids: Ids::new(index.clone()),
            head,
            meters: meters.clone(),
            poisoned: None,
        };
        let epoch = log.epoch().clone();
        let (news, rounds, announcer) = self.announce(log.clone(), &heads, &tail);
        let tasks = Tasks {
            writer: Some(tokio::spawn(writer.run(received))),
            announcer: Some(announcer),
            ..Tasks::default()
        };
        let stream = Arc::new(Stream {
            name: name.clone(),
            epoch,
            log,
            tail,
            head: heads,
            news,
            rounds,
            inputs,
            base: RwLock::new(Arc::new(base)),
            meters,
            index,
            blobs,
            tasks: Mutex::new(tasks),
            recording: None,
        });
        // Not while it is being made: they would find nothing and end.
        let (weak, hub) = (Arc::downgrade(&stream), Arc::downgrade(self));
        let mut tasks = stream.tasks.lock().await;
        tasks.indexer = stream.index.clone().map(|index| tokio::spawn(indexer::run(weak.clone(), index)));
        tasks.retention = Some(tokio::spawn(retention::run(weak.clone(), hub.clone())));
        tasks.sweeper = stream.blobs.is_some().then(|| tokio::spawn(sweep::run(weak, hub)));
        drop(tasks);
        self.streams.write().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), stream.clone());
        Ok(stream)
    }

    /// Begins to tell subscribers of what becomes durable.
    fn announce(
        &self,
        log: Arc<dyn EventLog>,
        head: &watch::Receiver<Seq>,
        tail: &Arc<Tail>,
    ) -> (watch::Receiver<News>, Arc<Rounds>, JoinHandle<()>) {
        let (tell, news) = watch::channel(News { seq: log.head(), ..News::default() });
        let rounds = Arc::new(Rounds::default());
        let announcer = Announcer {
            log,
            head: head.clone(),
            tail: tail.clone(),
            news: tell,
            rounds: rounds.clone(),
            heartbeat: self.options.heartbeat,
            stopping: self.stopping.clone(),
        };
        (news, rounds, tokio::spawn(announcer.run()))
    }

    /// Where the fold begins.
    fn base(&self, log: &dyn EventLog) -> Result<Cut, Error> {
        let (Some((data, _)), 2..) = (&self.data, log.first_seq()) else {
            return Ok(Cut::genesis(log.stream(), log.epoch()));
        };
        let path = data.cut(log.stream());
        let bytes = fs::read(&path).map_err(io_error("read", &path))?;
        let fold = |why: String| Error::Fold(format!("{}: {why}", path.display()));
        let cut = Cut::from_json(&bytes).map_err(fold)?;
        if cut.state.seq + 1 < log.first_seq() || cut.state.seq > log.head() {
            let why = format!(
                "it is the state at seq {}, and the log has {} to {}: nothing was deleted; restore the stream from a backup",
                cut.state.seq,
                log.first_seq(),
                log.head()
            );
            return Err(fold(why));
        }
        Ok(cut)
    }

    /// Keeps the state at a cut, so that what is before it can be deleted.
    pub(crate) fn keep_cut(&self, stream: &Stream, cut: Cut) -> Result<(), String> {
        if let Some((data, _)) = &self.data {
            let path = data.cut(&stream.name);
            let json = cut.to_json(&stream.name)?;
            write_private(&path, &json).map_err(|e| io_error("write", &path)(e).to_string())?;
        }
        *stream.base.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(cut);
        Ok(())
    }

    fn open_log(
        &self,
        name: &StreamName,
        new: bool,
    ) -> Result<(Arc<dyn EventLog>, Option<StreamIndex>, Option<Arc<SegmentLog>>), Error> {
        let epoch = Epoch::from_random(random()?);
        let Some((data, index)) = &self.data else {
            return Ok((Arc::new(MemoryLog::new(name.clone(), epoch)), None, None));
        };
        let folder = data.stream(name);
        let options = rig_recorder::Options {
            durability: self.options.durability,
            segment_bytes: self.options.segment_bytes,
        };
        let log = if new {
            SegmentLog::create(&folder, name.clone(), epoch, (self.options.clock)(), options)?
        } else {
            SegmentLog::open_keeping(&folder, options)?.0
        };
        if log.stream() != name {
            let (folder, stream) = (folder.display(), log.stream());
            return Err(Error::Fold(format!(
                "{folder} holds the stream {stream}: a folder must have its stream's name"
            )));
        }
        let mut trees = index.stream(name, log.epoch())?;
        let known = trees.upto()?;
        if known > log.head() {
            if self.options.durability == Durability::Always {
                let (head, index) = (log.head(), data.index());
                return Err(Error::Fold(format!(
                    "stream {name} ends with seq {head}, and events up to {known} were durable: the end of its log is lost. Restore it from a \
                     backup; to go on without those events, delete {}",
                    index.display()
                )));
            }
            tracing::warn!(stream = %name, "the index knows events that were not synced and are lost; it is rebuilt");
            trees.remove()?;
            trees = index.stream(name, log.epoch())?;
        }
        let log = Arc::new(log);
        Ok((log.clone(), Some(trees), Some(log)))
    }
}

/// The head if it is a seal, else 0: what came after an older seal is news.
async fn last_seal(log: &dyn EventLog) -> Result<Seq, String> {
    let head = log.head();
    let lines = log.read(head, head, 0).await.map_err(|e| e.to_string())?;
    let is_seal =
        lines.get(head).is_some_and(|line| Head::parse(line).is_ok_and(|h| h.type_name == "log.sealed"));
    Ok(if is_seal { head } else { 0 })
}

fn reserved() -> Problem {
    Problem::bad_request("reserved-name", "names that begin with `_` belong to the hub")
}

fn parse_name(name: &str) -> Result<StreamName, Problem> {
    name.parse().map_err(|e: rig_event::Error| Problem::bad_request("bad-stream-name", e.to_string()))
}
