//! The registry of streams: opened at the start, made and removed on request.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use rig_config::{Policy, Redactor};
use rig_event::{Draft, Epoch, Head, Seq, StreamName};
use rig_recorder::{BoxFuture, Durability, EventLog, Index, Keyring, Store, StreamIndex};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;

use super::announcer::{Announcer, News, Rounds};
use super::cut::{Cut, put_checkpoint};
use super::held;
use super::ids::Ids;
use super::indexed::Indexed;
use super::indexer;
use super::meters::{Meters, drift_of};
use super::playback::{Playback, PlaybackLog};
use super::stream::{Stream, Tasks};
use super::tail::{Stretches, Tail};
use super::viewed::Viewed;
use super::writer::{Refused, Writer};
use crate::data::room::{Room, is_for_want_of_room};
use crate::data::{DataDir, io_error, open_files, random};
use crate::error::Error;
use crate::options::Options;
use crate::originals::{Blobs, Keys};
use crate::permit::Permit;
use crate::problem::Problem;

/// Most appends that may wait for the writer. Senders of more wait until there is room.
const QUEUE: usize = 1024;

/// Most values that are known to be secret in a stream.
const KNOWN_SECRETS: usize = 10_000;

/// A task that runs for every stream until it is closed: retention, the sweep of originals. It holds its stream weakly.
pub(crate) type Keeper = Arc<dyn Fn(Weak<Stream>) -> BoxFuture<'static, ()> + Send + Sync>;

/// The streams of a hub. Cheap to clone.
#[derive(Clone)]
pub struct Streams(Arc<Registry>);

/// Everything that a registry is made of.
pub(crate) struct Parts {
    pub(crate) options: Arc<Options>,
    pub(crate) policy: Arc<Policy>,
    /// The hub's redactor, from which those of the streams are made.
    pub(crate) redactor: Arc<Redactor>,
    /// The keys that seals and session files are signed with.
    pub(crate) keys: Arc<Keyring>,
    /// The place of the logs; `None`: recordings only, and no stream can be made.
    pub(crate) store: Option<Arc<dyn Store>>,
    /// The data directory and the derived index; absent for a hub in memory.
    pub(crate) data: Option<(DataDir, Index)>,
    /// The keys of originals; absent where none are kept and none can be there.
    pub(crate) originals: Option<Arc<Keys>>,
    pub(crate) keepers: Vec<Keeper>,
    /// The disk.
    pub(crate) room: Room,
    /// Turns true when the hub stops: streams to subscribers end.
    pub(crate) stopping: watch::Receiver<bool>,
}

struct Registry {
    parts: Parts,
    streams: RwLock<BTreeMap<StreamName, Arc<Stream>>>,
    /// Held while a stream is made or removed.
    changing: Mutex<()>,
    /// Held while a piece of a log is indexed.
    indexing: Arc<Mutex<()>>,
}

impl Streams {
    /// A registry without streams.
    pub(crate) fn new(parts: Parts) -> Streams {
        Streams(Arc::new(Registry {
            parts,
            streams: RwLock::default(),
            changing: Mutex::default(),
            indexing: Arc::default(),
        }))
    }

    /// Opens every stream of the store, and makes `main` and `_hub` where they are not there.
    pub(crate) async fn open_all(&self) -> Result<(), Error> {
        let registry = &self.0;
        let Some(store) = &registry.parts.store else { return Ok(()) };
        for name in store.names().await? {
            registry.open_stream(&name, false).await?;
        }
        registry.own_is_not_lost()?;
        for name in [StreamName::main(), StreamName::hub()] {
            if registry.get(&name).is_none() {
                registry.open_stream(&name, true).await?;
            }
        }
        Ok(())
    }

    /// Adds a recording as a stream that cannot be written to.
    pub(crate) fn add_recording(&self, playback: Playback) -> Result<(), Error> {
        self.0.add_recording(playback)
    }

    /// Returns the stream of that name.
    pub fn get(&self, name: &StreamName) -> Option<Arc<Stream>> {
        self.0.get(name)
    }

    /// Returns the stream that a request names.
    ///
    /// # Errors
    /// `bad-stream-name`, `unknown-stream`.
    pub fn find(&self, name: &str) -> Result<Arc<Stream>, Problem> {
        self.0.find(name)
    }

    /// Returns all streams, the hub's own included, by name.
    pub fn list(&self) -> Vec<Arc<Stream>> {
        self.0.list()
    }

    /// Makes a stream; `false`: it was there. Once begun it is done, also if the caller goes away.
    ///
    /// # Errors
    /// `bad-stream-name`, `reserved-name`, `read-only`, `too-many-streams`, `storage`.
    pub async fn make(&self, name: &str) -> Result<(Arc<Stream>, bool), Problem> {
        self.may_change()?;
        let (registry, name) = (self.0.clone(), parse_name(name)?);
        let making = async move { registry.make(name).await };
        let making = tokio::spawn(Permit::cover(Permit::current(), making));
        making.await.unwrap_or_else(|e| Err(Problem::internal("defect", e.to_string())))
    }

    /// Returns the stream of that name, and makes it if it is not there.
    ///
    /// # Errors
    /// As [`Streams::make`].
    pub async fn get_or_make(&self, name: &StreamName) -> Result<Arc<Stream>, Problem> {
        match self.get(name) {
            Some(stream) => Ok(stream),
            None => Ok(self.make(name.as_str()).await?.0),
        }
    }

    /// Removes a stream and all its events. Once begun it is done, also if the caller goes away.
    ///
    /// # Errors
    /// `bad-stream-name`, `unknown-stream`, `reserved-name`, `read-only`, `storage`.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), Problem> {
        self.may_change()?;
        let (registry, name) = (self.0.clone(), name.to_owned());
        let removing = async move { registry.remove(&name).await };
        let removing = tokio::spawn(Permit::cover(Permit::current(), removing));
        removing.await.unwrap_or_else(|e| Err(Problem::internal("defect", e.to_string())))
    }

    /// Appends an event to the hub's own stream, and waits until it is durable.
    pub(crate) async fn tell(&self, draft: Draft) -> Result<(), Problem> {
        self.find(StreamName::hub().as_str())?.tell(draft).await.map(drop)
    }

    /// Returns the disk that the streams are on.
    pub(crate) fn room(&self) -> &Room {
        &self.0.parts.room
    }

    /// Makes room for a decision that must be written into the hub's own stream, also if the disk is full.
    pub(crate) async fn make_room(&self) {
        let own = self.get(&StreamName::hub());
        let failed = own.filter(|own| own.meters.failure().is_some_and(|why| is_for_want_of_room(why)));
        if failed.is_some() || self.room().is_full() {
            self.room().give_up();
        }
        if let Some(own) = failed {
            self.0.reopen(&own).await;
        }
    }

    /// Opens the streams again that a full disk has stopped, once there is room, or where retention may make some.
    pub(crate) async fn mend(&self) {
        let room = self.room();
        let failed =
            |stream: &Arc<Stream>| stream.meters.failure().is_some_and(|why| is_for_want_of_room(why));
        let failed: Vec<Arc<Stream>> = self.list().into_iter().filter(failed).collect();
        if failed.is_empty() {
            return room.hold_back();
        }
        let retention = &self.0.parts.policy.retention;
        let prunes = (retention.max_age, retention.max_events, retention.max_bytes) != (None, None, None);
        if prunes && !room.is_plenty() {
            room.give_up();
        }
        for stream in failed {
            if room.is_plenty() || prunes && !room.is_full() {
                self.0.reopen(&stream).await;
            }
        }
    }

    /// Reads the keys of originals again, where there are any: the file may have another one by now.
    pub(crate) fn reload_keys(&self) -> Result<(), Problem> {
        let keys = self.0.parts.originals.as_ref();
        keys.map_or(Ok(()), |keys| keys.reload()).map_err(|e| Problem::internal("storage", e.to_string()))
    }

    /// Refuses a change where there are only recordings.
    fn may_change(&self) -> Result<(), Problem> {
        match &self.0.parts.store {
            Some(_) => Ok(()),
            None => Err(Problem::from(Refused::ReadOnly)),
        }
    }

    /// Makes everything durable and closes the streams. A checkpoint of each is kept, so that the next start is quick.
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
}

impl Registry {
    fn get(&self, name: &StreamName) -> Option<Arc<Stream>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn find(&self, name: &str) -> Result<Arc<Stream>, Problem> {
        let name = parse_name(name)?;
        self.get(&name).ok_or_else(|| {
            Problem::not_found(
                "unknown-stream",
                format!("there is no stream {name}; make it with PUT /v1/streams/{name}"),
            )
        })
    }

    fn list(&self) -> Vec<Arc<Stream>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn insert(&self, stream: Arc<Stream>) {
        self.streams.write().unwrap_or_else(PoisonError::into_inner).insert(stream.name.clone(), stream);
    }

    /// Refuses to go on without the hub's own stream where there was one: the tokens stand in it, and without them the hub would
    /// stand open.
    fn own_is_not_lost(&self) -> Result<(), Error> {
        let (Some((data, index)), own) = (&self.parts.data, StreamName::hub()) else { return Ok(()) };
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

    async fn make(self: &Arc<Self>, name: StreamName) -> Result<(Arc<Stream>, bool), Problem> {
        if name.is_internal() {
            return Err(reserved());
        }
        let _changing = self.changing.lock().await;
        Permit::check_current()?;
        if let Some(stream) = self.get(&name) {
            return Ok((stream, false));
        }
        let most = open_files::streams();
        if self.parts.data.is_some() && self.list().len() >= most {
            let detail = format!(
                "there are {most} streams, as many as the limit of open files allows; remove some, or raise it"
            );
            return Err(Problem::conflict("too-many-streams", detail));
        }
        let made = self.open_stream(&name, true).await;
        Ok((made.map_err(|e| Problem::internal("storage", e.to_string()))?, true))
    }

    /// Opens a stream again whose log takes no more events.
    async fn reopen(&self, failed: &Arc<Stream>) {
        let _changing = self.changing.lock().await;
        let name = &failed.name;
        if self.get(name).is_none_or(|known| !Arc::ptr_eq(&known, failed)) {
            return;
        }
        failed.close().await;
        // Whoever still reads from it keeps its log locked; then the next attempt opens it.
        match self.open_stream(name, false).await {
            Ok(_) => tracing::info!(stream = %name, "the stream takes events again"),
            Err(e) => tracing::warn!(stream = %name, error = %e, "the stream takes no events still"),
        }
    }

    async fn remove(&self, name: &str) -> Result<(), Problem> {
        let _changing = self.changing.lock().await;
        Permit::check_current()?;
        let stream = self.find(name)?;
        if stream.name.is_internal() {
            return Err(reserved());
        }
        let Some(store) = self.parts.store.as_ref().filter(|_| !stream.is_recording()) else {
            return Err(Problem::from(Refused::ReadOnly));
        };
        self.streams.write().unwrap_or_else(PoisonError::into_inner).remove(&stream.name);
        stream.close().await;
        let storage = |e: rig_recorder::Error| Problem::internal("storage", e.to_string());
        store.remove(&stream.name, &stream.epoch).await.map_err(storage)?;
        if let Some(index) = &stream.index {
            index.clone().remove().map_err(storage)?;
        }
        Ok(())
    }

    async fn open_stream(&self, name: &StreamName, new: bool) -> Result<Arc<Stream>, Error> {
        let Parts { options, data, originals, .. } = &self.parts;
        let (log, index) = self.open_log(name, new).await?;
        let blobs = match (data, originals) {
            (Some((data, _)), Some(keys)) => {
                let blobs = Blobs::open(&data.blobs(name), name.clone(), keys.clone(), options.step)?;
                Some(Arc::new(blobs))
            }
            _ => None,
        };
        // It catches up once the stream is open: look-ups by key must not keep everything else waiting.
        let indexed = match &index {
            Some(index) => Indexed::new(log.as_ref(), index, self.indexing.clone(), options.step)?,
            None => Indexed::none(),
        };
        let cut_file = data.as_ref().map(|(data, _)| data.cut(name));
        let base = base(log.as_ref(), cut_file.as_deref())?;
        let named = match (data, log.first_seq()) {
            (Some((data, _)), 2..) => data.cut(name),
            (Some((data, _)), _) => data.stream(name).join("stream.json"),
            (None, _) => PathBuf::new(),
        };
        let named = named.display().to_string();
        let opened = held::open(log.as_ref(), index.as_ref(), &base, &named, &self.parts.keys);
        let cut = opened.await.map_err(Error::Fold)?;
        // Only now: the description of the stream fits the state before it and the log after it.
        log.settle()?;
        let (inputs, received) = mpsc::channel(QUEUE);
        let (head, heads) = watch::channel(log.head());
        let meters = Arc::new(Meters::default());
        let behind = cut.state.ts.as_micros().saturating_sub((options.clock)().as_micros());
        if behind >= 1_000_000 {
            let (seconds, ts) = (behind / 1_000_000, cut.state.ts);
            tracing::warn!(stream = %name, seconds, %ts, "the clock is behind the last event of the log: it was ahead before, or is wrong now; events carry the clock's time as `at`");
            meters.clock_is_behind(behind as u64);
        }
        cut.state.services.values().for_each(|service| meters.found(drift_of(Some(service))));
        let writer = Writer {
            stream: name.clone(),
            epoch: log.epoch().clone(),
            log: log.clone(),
            reviewed: None,
            demanded: options.baseline_keys.clone(),
            policy: self.parts.policy.clone(),
            clock: options.clock,
            keys: self.parts.keys.clone(),
            seals: options.seals,
            sealed: last_seal(log.as_ref()).await.map_err(Error::Fold)?,
            cut,
            ids: Ids::new(index.clone()),
            head,
            meters: meters.clone(),
            poisoned: None,
        };
        let announced = self.announce(log.clone(), &heads);
        let tasks = Tasks {
            writer: Some(tokio::spawn(writer.run(received))),
            announcer: Some(announced.task),
            ..Tasks::default()
        };
        let stream = Arc::new(Stream {
            name: name.clone(),
            epoch: log.epoch().clone(),
            log,
            tail: announced.tail,
            stretches: Stretches::default(),
            head: heads,
            news: announced.news,
            rounds: announced.rounds,
            inputs,
            base: RwLock::new(Arc::new(base)),
            cut_file,
            meters,
            index,
            indexed,
            blobs,
            tasks: Mutex::new(tasks),
            recording: None,
            viewed: Viewed::default(),
            redactor: self.redactor(name),
        });
        // Not while it is being made: they would find nothing and end.
        let weak = Arc::downgrade(&stream);
        let mut tasks = stream.tasks.lock().await;
        tasks.indexer = stream.index.clone().map(|index| tokio::spawn(indexer::run(weak.clone(), index)));
        tasks.keepers = self.parts.keepers.iter().map(|keep| tokio::spawn(keep(weak.clone()))).collect();
        drop(tasks);
        self.insert(stream.clone());
        Ok(stream)
    }

    fn add_recording(&self, playback: Playback) -> Result<(), Error> {
        let log = Arc::new(PlaybackLog(playback));
        let base = log.base().map_err(|e| Error::Fold(e.to_string()))?;
        let head = log.watch();
        let announced = self.announce(log.clone(), &head);
        let redactor = self.redactor(log.stream());
        self.insert(Arc::new(Stream {
            name: log.stream().clone(),
            epoch: log.epoch().clone(),
            log: log.clone(),
            tail: announced.tail,
            stretches: Stretches::default(),
            head,
            news: announced.news,
            rounds: announced.rounds,
            inputs: mpsc::channel(1).0,
            base: RwLock::new(Arc::new(Cut { state: base, chain: log.0.chain })),
            cut_file: None,
            meters: Arc::default(),
            index: None,
            indexed: Indexed::none(),
            blobs: None,
            tasks: Mutex::new(Tasks { announcer: Some(announced.task), ..Tasks::default() }),
            recording: Some(log),
            viewed: Viewed::default(),
            redactor,
        }));
        Ok(())
    }

    /// Returns the redactor of a stream.
    fn redactor(&self, name: &StreamName) -> Arc<Redactor> {
        Arc::new(self.parts.redactor.for_stream(name.as_str(), KNOWN_SECRETS))
    }

    /// Begins to tell subscribers of what becomes durable.
    fn announce(&self, log: Arc<dyn EventLog>, head: &watch::Receiver<Seq>) -> Announced {
        let (tell, news) = watch::channel(News { seq: log.head(), ..News::default() });
        let (rounds, tail) = (Arc::new(Rounds::default()), Arc::new(Tail::default()));
        let announcer = Announcer {
            log,
            head: head.clone(),
            tail: tail.clone(),
            news: tell,
            rounds: rounds.clone(),
            heartbeat: self.parts.options.heartbeat,
            stopping: self.parts.stopping.clone(),
        };
        Announced { tail, news, rounds, task: tokio::spawn(announcer.run()) }
    }

    /// Opens the log of a stream and its part of the index.
    async fn open_log(
        &self,
        name: &StreamName,
        new: bool,
    ) -> Result<(Arc<dyn EventLog>, Option<StreamIndex>), Error> {
        let Parts { options, store, data, .. } = &self.parts;
        let Some(store) = store else { return Err(Error::Fold("there is no store for streams".to_owned())) };
        let log = match new {
            true => store.create(name, Epoch::from_random(random()?), (options.clock)()).await?,
            false => store.open(name).await?,
        };
        let Some((data, index)) = data else { return Ok((log, None)) };
        if log.stream() != name {
            let (folder, stream) = (data.stream(name), log.stream());
            return Err(Error::Fold(format!(
                "{} holds the stream {stream}: a folder must have its stream's name",
                folder.display()
            )));
        }
        let mut trees = index.stream(name, log.epoch())?;
        let known = trees.last_known()?;
        if known > log.head() {
            if options.durability == Durability::Always {
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
        Ok((log, Some(trees)))
    }
}

/// The announcer of a stream, and what it shares with subscribers.
struct Announced {
    tail: Arc<Tail>,
    news: watch::Receiver<News>,
    rounds: Arc<Rounds>,
    task: JoinHandle<()>,
}

/// Returns the cut at which the fold of a log begins.
fn base(log: &dyn EventLog, cut_file: Option<&Path>) -> Result<Cut, Error> {
    let (Some(path), 2..) = (cut_file, log.first_seq()) else {
        return Ok(Cut::genesis(log.stream(), log.epoch()));
    };
    let bytes = fs::read(path).map_err(io_error("read", path))?;
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
