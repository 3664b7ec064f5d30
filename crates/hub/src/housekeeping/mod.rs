//! Tasks that run for every stream until it is closed: retention, and the sweep of originals.

mod retention;
mod sweep;

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::options::Options;
use crate::streams::Keeper;

/// Returns the tasks that a registry of streams is to run.
pub(crate) fn keepers(options: &Arc<Options>) -> Vec<Keeper> {
    let (pruning, sweeping, turn) = (options.clone(), options.clone(), Arc::new(Mutex::new(())));
    vec![
        Arc::new(move |stream| Box::pin(retention::run(stream, pruning.clone()))),
        Arc::new(move |stream| Box::pin(sweep::run(stream, sweeping.clone(), turn.clone()))),
    ]
}
