//! Router snapshots from NATS JetStream: at least once in, exactly one `snapshot.captured` a config out.
//!
//! Three things make it so. The idempotency key of what a message leads to is its place in the stream of JetStream, so one that comes
//! again leads to nothing again. A message that repeats the device's latest snapshot leads to nothing. And a device's messages are done
//! in the stream's order: within a connection by the lanes, over its end by `lanes`, which takes what was left unacknowledged
//! first.
//!
//! In reading order: `settings`, `message` (what is read), `job` (a message in work), `session` (a connection),
//! `lane` (one message's way), `lanes` (all of them at work), `counters`.

mod counters;
mod job;
mod lane;
mod lanes;
mod message;
mod session;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Event};
use rig_hub::{Component, Core};
use tokio::sync::watch;

use self::counters::Counters;
use self::session::Session;
pub use self::settings::Settings;

/// The first and the longest wait before a retry.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// The actor of its events.
const ACTOR: &str = "nats";

/// Returns the component. Without settings it only reports counters of zero.
pub fn component(settings: Option<Settings>) -> Component {
    let counters = Arc::new(Counters::default());
    let component = Component::new(ACTOR);
    let counted = counters.clone();
    let component = component.metrics(move |_, text| counted.metrics(text));
    match settings {
        Some(settings) => component.task(|core| run(core, Arc::new(settings), counters)),
        None => component,
    }
}

/// Captures snapshots until the hub stops.
async fn run(core: Core, settings: Arc<Settings>, counters: Arc<Counters>) {
    let mut wait = Waits::default();
    // Counts the breaks of the connection.
    let (broken, breaks) = watch::channel(0);
    let broken = Arc::new(broken);
    let client = loop {
        let connected = tokio::select! {
            connected = connect(&settings, broken.clone()) => connected,
            () = core.stopping() => return,
        };
        match connected {
            Ok(client) => break client,
            Err(why) if wait.after(&why, &core).await => {}
            Err(_) => return,
        }
    };
    loop {
        let opened = tokio::select! {
            opened = Session::open(core.clone(), counters.clone(), settings.clone(), client.clone(), breaks.clone()) => opened,
            () = core.stopping() => break,
        };
        let why = match opened {
            Ok((session, left)) => {
                tracing::info!(
                    stream = settings.stream,
                    consumer = settings.consumer,
                    left = left.count,
                    "snapshots are taken from NATS"
                );
                wait = Waits::default();
                match session.serve(left).await {
                    Ok(()) => break,
                    Err(why) => why,
                }
            }
            Err(why) => why,
        };
        if !wait.after(&why, &core).await {
            break;
        }
    }
    // Acknowledgements must be on their way.
    let _ = tokio::time::timeout(RETRY.1, client.flush()).await;
}

/// Connects once. After that the client reconnects by itself, without limit.
async fn connect(settings: &Settings, broken: Arc<watch::Sender<u64>>) -> Result<Client, String> {
    let told = move |event: Event| {
        match &event {
            Event::Disconnected => broken.send_modify(|breaks| *breaks += 1),
            Event::Connected => {}
            other => tracing::warn!(event = %other, "NATS"),
        }
        std::future::ready(())
    };
    let options = settings.options().await?.event_callback(told);
    options.connect(&settings.servers[..]).await.map_err(|e| format!("no connection to NATS: {e}"))
}

/// Waits between attempts, which grow, with each new reason logged once.
#[derive(Default)]
struct Waits {
    last: Duration,
    told: String,
}

impl Waits {
    /// Waits. Returns `false` if the hub stops.
    async fn after(&mut self, why: &str, core: &Core) -> bool {
        if self.told != why {
            why.clone_into(&mut self.told);
            tracing::warn!(why, "nothing comes from NATS now; it is tried again and again");
        }
        self.last = (self.last * 2).clamp(RETRY.0, RETRY.1);
        tokio::time::timeout(self.last, core.stopping()).await.is_err()
    }
}
