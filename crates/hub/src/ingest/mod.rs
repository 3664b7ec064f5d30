//! Documents that nobody posts: the hub gets them itself, from where `hub.toml` says. Its tasks are started and ended here.

pub mod nats;
pub(crate) mod ssh;

use tokio::task::JoinSet;

use crate::Shared;

/// Begins with everything that the settings name. The tasks end by themselves once `hub.stopping` turns true and what they had
/// taken on is done.
pub(crate) fn start(hub: &Shared) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if let Some(settings) = &hub.options.settings.nats {
        tasks.spawn(nats::run(hub.clone(), settings.clone()));
    }
    ssh::start(hub, &mut tasks);
    tasks
}

/// What is counted of it.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) nats: nats::Counters,
}

impl Counters {
    /// As Prometheus reads it.
    pub(crate) fn text(&self) -> String {
        let name = "rig_ingest_messages_total";
        format!("# HELP {name} Messages taken in, by what became of them.\n# TYPE {name} counter\n")
            + &self.nats.text(name)
    }
}
