//! The life of a hub: components are mounted, streams opened, requests answered, everything closed.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use rig_config::{RedactionKey, Redactor};
use rig_event::StreamName;
use rig_event::keyfile::hex;
use rig_recorder::{BoxFuture, Index, Store};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::access::tls::Tls;
use crate::access::{AUDIT_EVERY, Access, Rule};
use crate::capture::{Budget, Captures};
use crate::component::{Component, Mounted, Recall, recall, table};
use crate::core::{self, Core};
use crate::data::room::Room;
use crate::data::{DataDir, keychecks, random};
use crate::error::Error;
use crate::housekeeping;
use crate::http::{self, Site};
use crate::options::Options;
use crate::originals::Keys;
use crate::streams::{self, Playback, Streams};

/// A hub that is not open yet.
pub struct Builder {
    options: Options,
    store: Option<Arc<dyn Store>>,
    recordings: Vec<Playback>,
    components: Vec<Component>,
}

/// An open hub, ready to answer requests.
pub struct Hub {
    core: Core,
    router: Router,
    tasks: Vec<Task>,
    stop: watch::Sender<bool>,
    tls: Option<Arc<Tls>>,
}

type Task = Box<dyn FnOnce(Core) -> BoxFuture<'static, ()> + Send>;

impl Hub {
    /// Creates a builder of a hub whose logs are in `store`.
    pub fn builder(options: Options, store: Arc<dyn Store>) -> Builder {
        Builder { options, store: Some(store), recordings: Vec::new(), components: Vec::new() }
    }

    /// Creates a builder of a hub that serves only recordings, in which nothing can be changed.
    pub fn of_recordings(options: Options, recordings: Vec<Playback>) -> Builder {
        Builder { options, store: None, recordings, components: Vec::new() }
    }

    /// Returns the handle that its components use.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Returns the URL at which it answers on `address`: `http://127.0.0.1:7070`.
    pub fn url(&self, address: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{address}")
    }

    /// Returns the path of its certificate, and the certificate's SHA-256; `None` without TLS.
    ///
    /// # Errors
    /// If the file can no longer be read.
    pub fn certificate(&self) -> Result<Option<(PathBuf, String)>, Error> {
        let told = self.tls.as_ref().map(|tls| Ok((tls.cert().to_owned(), tls.fingerprint()?)));
        told.transpose()
    }

    /// Returns the rules of its routes, each with the component that it is of; the hub's own are of `hub`.
    pub fn rules(&self) -> &[(&'static str, &'static Rule)] {
        self.core.access().rules()
    }

    /// Returns true if requests need a token.
    pub fn demands_tokens(&self) -> bool {
        self.core.access().demands_tokens()
    }

    /// Answers on `listener` until `shutdown` is ready, then ends open requests and the tasks of components, makes everything
    /// durable and returns. It needs a multi-threaded runtime.
    ///
    /// # Errors
    /// If the listener failed. Everything is closed nevertheless.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), Error> {
        let Hub { core, router, tasks, stop, tls } = self;
        core.listens_on(listener.local_addr()?);
        let mut running = JoinSet::new();
        for task in tasks {
            running.spawn(task(core.clone()));
        }
        let accounts = tokio::spawn(keep_accounts(core.clone()));
        let site = Site { core: core.clone(), router, tls };
        let ended = http::serve(site, listener, shutdown, running, || {
            stop.send_replace(true);
        })
        .await;
        let _ = accounts.await;
        finish(core).await;
        ended
    }

    /// Closes the hub without serving it.
    pub async fn close(self) {
        let Hub { core, router, tasks, stop, .. } = self;
        stop.send_replace(true);
        drop((router, tasks));
        finish(core).await;
    }
}

impl Builder {
    /// Adds a component.
    #[must_use]
    pub fn mount(mut self, component: Component) -> Self {
        self.components.push(component);
        self
    }

    /// Opens the streams, lets the components recall their state from the hub's own stream, and checks their routes. Nothing is
    /// answered and no task runs yet. `address` is the address that it will listen on, or `None` if it will not listen.
    ///
    /// # Errors
    /// The data directory cannot be used or is damaged, the certificate cannot be used, a component does not fit, or other
    /// machines could reach `address` and the hub has no tokens or no TLS.
    pub async fn open(self, address: Option<SocketAddr>) -> Result<Hub, Error> {
        let Builder { options, store, recordings, components } = self;
        let local = address.is_none_or(|address| address.ip().to_canonical().is_loopback());
        if let (Some(address), None, false) = (address, &store, local) {
            // Recordings have no stream that could hold tokens.
            return Err(Error::NoTokens(address));
        }
        let options = Arc::new(options);
        let (stop, stopping) = watch::channel(false);
        let opened = Opened::new(&options)?;
        let policy = Arc::new(options.policy.clone());
        let redactor = Arc::new(Redactor::new(opened.redaction_key, &policy));
        let keys = Arc::new(opened.signing_keys);
        let streams = Streams::new(streams::Parts {
            options: options.clone(),
            policy: policy.clone(),
            redactor: redactor.clone(),
            keys: keys.clone(),
            store,
            data: opened.data,
            originals: opened.originals.map(Arc::new),
            keepers: housekeeping::keepers(&options),
            room: Room::of(options.data.as_deref()),
            stopping: stopping.clone(),
        });
        let table = table(http::RULES, &components)?;
        let access = Access::new(&options, local, table, redactor.clone(), streams.clone())?;
        let budget = Budget::new(options.capture_budget, options.limits.bytes);
        let captures = Captures { options: options.clone(), redactor: redactor.clone(), budget };
        let core =
            Core::new(core::Parts { options, policy, redactor, keys, streams, access, captures, stopping });
        match assemble(&core, components, recordings, address).await {
            Ok((router, tasks, tls)) => Ok(Hub { core, router, tasks, stop, tls: tls.map(Arc::new) }),
            Err(e) => {
                stop.send_replace(true);
                core.streams().close().await;
                Err(e)
            }
        }
    }
}

/// Opens the streams and mounts the components.
async fn assemble(
    core: &Core,
    components: Vec<Component>,
    recordings: Vec<Playback>,
    address: Option<SocketAddr>,
) -> Result<(Router, Vec<Task>, Option<Tls>), Error> {
    let Mounted { routers, mut recalls, tasks, metrics } = Mounted::new(components, core)?;
    core.streams().open_all().await?;
    for recording in recordings {
        core.streams().add_recording(recording)?;
    }
    if let Some(twice) = http::exposition(core, &metrics).twice().next() {
        let why = format!("two components have metrics of the name {twice}");
        return Err(Error::Component { name: "hub", why });
    }
    let accounts = core.clone();
    recalls.push(Recall {
        families: &["audit.token"],
        fold: Box::new(move |event| {
            accounts.access().recall(&event.event, event.ts).map_err(|e| e.to_string())
        }),
    });
    if let Some(own) = core.streams().get(&StreamName::hub()) {
        recall(&own, recalls).await?;
        let last = own.state().await.map_err(|e| Error::Fold(e.detail().to_owned()))?;
        core.access().not_before(last.ts);
    }
    // Only now: the seals and originals that the keys made were held against them.
    if let Some(data) = &core.options().data {
        keychecks::note(&data.join("keys"))?;
    }
    let tls = address.map(|address| tls_of(core, address)).transpose()?.flatten();
    if let Some(address) = address.filter(|address| !address.ip().to_canonical().is_loopback()) {
        let insecure = core.options().insecure;
        if !insecure.no_tokens && !core.access().has_tokens() {
            return Err(Error::NoTokens(address));
        }
        if tls.is_none() && !insecure.no_tls {
            return Err(Error::NoTls(address));
        }
    }
    tracing::debug!(?address, streams = core.streams().list().len(), "everything is open");
    Ok((http::router(core.clone(), routers, metrics), tasks, tls))
}

fn tls_of(core: &Core, address: SocketAddr) -> Result<Option<Tls>, Error> {
    let options = core.options();
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    names.extend(options.access.hosts.iter().cloned());
    if !address.ip().is_unspecified() && !address.ip().is_loopback() {
        names.push(address.ip().to_string());
    }
    Tls::open(&options.tls, options.data.as_deref(), names)
}

/// The data directory and the keys of a hub.
struct Opened {
    data: Option<(DataDir, Index)>,
    redaction_key: RedactionKey,
    signing_keys: rig_recorder::Keyring,
    originals: Option<Keys>,
}

impl Opened {
    fn new(options: &Options) -> Result<Opened, Error> {
        let Some(root) = &options.data else {
            let redaction_key = match &options.redaction_key {
                Some(key) => key.clone(),
                None => {
                    // An id of its own, as in a data directory: what two keys made must not be compared.
                    let id = format!("m{}", hex(&random::<3>()?));
                    RedactionKey::new(&id, random::<32>()?).map_err(|e| Error::Fold(e.to_string()))?
                }
            };
            let signing_keys = options.signing_keys.clone().unwrap_or_default();
            return Ok(Opened { data: None, redaction_key, signing_keys, originals: None });
        };
        let data = DataDir::open(root)?;
        let new = data.is_new()?;
        let redaction_key = data.redaction_key(new)?;
        let signing_keys = match &options.signing_keys {
            Some(keys) => keys.clone(),
            None => data.signing_keys(new)?,
        };
        let (index, aside) = Index::open(&data.index())?;
        if let Some(aside) = aside {
            tracing::warn!(moved_to = %aside.display(), "the index would not open and is rebuilt from the log");
        }
        let originals = Keys::open(&data, &options.blobs)?;
        Ok(Opened { data: Some((data, index)), redaction_key, signing_keys, originals })
    }
}

/// The interval at which streams are looked for that a full disk has stopped.
const MEND_EVERY: Duration = Duration::from_secs(5);

/// Ends expired tokens, writes audit sums, and opens streams again that a full disk has stopped, until the hub stops.
async fn keep_accounts(core: Core) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let mut told = tokio::time::Instant::now();
    let mut looked = told;
    core.streams().room().hold_back();
    let stopping = core.stopping();
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            _ = seconds.tick() => {}
            () = &mut stopping => return,
        }
        core.access().tick().await;
        if looked.elapsed() >= MEND_EVERY {
            looked = tokio::time::Instant::now();
            core.streams().mend().await;
        }
        if told.elapsed() >= AUDIT_EVERY {
            told = tokio::time::Instant::now();
            core.access().flush_audit().await;
        }
    }
}

/// Drains the feeds, writes the audit sums, seals and closes the streams, and closes the index.
async fn finish(core: Core) {
    let deadline = core.options().shutdown_deadline;
    core.feeds().drain().await;
    // A token that has ended since the last look stays ended.
    core.access().tick().await;
    core.access().flush_audit().await;
    core.streams().close().await;
    // On a full disk the index waits for room that may never come. All of it can be derived from the logs, so it is abandoned.
    let closing = std::thread::spawn(move || drop(core));
    let begun = Instant::now();
    while !closing.is_finished() {
        if begun.elapsed() > deadline {
            return tracing::warn!("the index could not be closed in time; the next start mends it");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
