//! Tokens of a hub that does not run: who owns its data directory may make, list and revoke them.

use std::sync::Arc;

use rig_recorder::Store;
use serde_json::Value;

use crate::access::NewToken;
use crate::error::Error;
use crate::hub::Hub;
use crate::options::Options;
use crate::problem::Problem;

/// A task.
#[derive(Clone, Debug)]
pub enum Task {
    /// Make a token.
    New(NewToken),
    /// List all tokens.
    List,
    /// Revoke the token with this id.
    Revoke(String),
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The data directory cannot be used: a hub runs on it, say.
    #[error(transparent)]
    Hub(#[from] Error),
    /// The task makes no sense.
    #[error("{} [{}]", .0.detail(), .0.code())]
    Problem(Problem),
}

/// Does it, on the data directory that the options name and whose logs are in `store`, and returns what a running hub would answer.
///
/// # Errors
/// A hub runs on the data directory, it is damaged, or the task makes no sense.
pub async fn run(mut options: Options, store: Arc<dyn Store>, task: Task) -> Result<Value, Refused> {
    // Nothing is captured: no key for originals is made.
    options.blobs.keep = false;
    let hub = Hub::builder(options, store).open(None).await?;
    let access = hub.core().access();
    let done = match task {
        Task::New(new) => access.issue(None, &new).await,
        Task::List => access.list_tokens(),
        Task::Revoke(id) => access.revoke(None, &id).await.map(|()| Value::Null),
    };
    hub.close().await;
    done.map_err(Refused::Problem)
}
