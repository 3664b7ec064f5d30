//! What brings documents to the hub without being asked: its tasks are started and ended here.

pub(crate) mod files;
pub(crate) mod nats;
pub(crate) mod ssh;

use tokio::task::JoinSet;

use crate::Shared;

/// Starts whatever ingests. The tasks end by themselves once the hub is stopping.
pub(crate) fn start(hub: &Shared) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    files::start(hub, &mut tasks);
    if let Some(settings) = &hub.options.settings.nats {
        tasks.spawn(nats::run(hub.clone(), settings.clone()));
    }
    ssh::start(hub, &mut tasks);
    tasks
}
