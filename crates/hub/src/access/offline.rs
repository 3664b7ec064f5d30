//! Tokens of a hub that does not run: who owns its data directory may make, list and revoke them.

use serde_json::Value;
use tokio::sync::watch;

use super::NewToken;
use crate::problem::Problem;
use crate::routes::tokens;
use crate::{Error, Options, hub};

/// What is to be done.
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
    /// What was asked for makes no sense.
    #[error("{} [{}]", .0.detail(), .0.code())]
    Problem(Problem),
}

/// Does it, on the data directory that the options name, and answers what a running hub would.
///
/// # Errors
/// When a hub runs on the data directory, it is damaged, or the task makes no sense.
pub async fn run(mut options: Options, task: Task) -> Result<Value, Refused> {
    // Nothing is captured: no key for originals is made.
    options.settings.blobs.keep = false;
    let (_stop, stopping) = watch::channel(false);
    let hub = hub::Hub::open(options, true, stopping).await?;
    let done = match task {
        Task::New(new) => tokens::make(&hub, None, &new).await,
        Task::List => tokens::listed(&hub),
        Task::Revoke(id) => tokens::end(&hub, None, &id).await.map(|()| Value::Null),
    };
    hub.close().await;
    done.map_err(Refused::Problem)
}
