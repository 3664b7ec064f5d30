//! Router snapshots from NATS JetStream: at least once in, exactly one `snapshot.captured` a config out.
//!
//! Three things ensure this. The idempotency key of a message's events is its position in the stream of JetStream, so a
//! redelivered message has no further effect. A message that repeats the device's latest snapshot has none either. And a device's
//! messages are processed in the stream's order: within a connection by the lanes, across connections by [`session`], which first
//! takes the messages that were left unacknowledged.
//!
//! In reading order: `settings`, `message` (parsing), `session` (a connection at work), `lane` (the path of a message),
//! `counters`.

mod counters;
mod lane;
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

/// The first and the maximum wait before another attempt.
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
