//! `rig token`: makes, lists and revokes the tokens of a hub.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use rig_event::Timestamp;
use rig_hub::access::{NewToken, Scope};
use rig_hub::offline::{self, Task};
use serde_json::Value;

use crate::Answer;
use crate::client::Client;
use crate::hub::store;
use crate::output::{self, Out};

/// Make, list and revoke the tokens of a hub
///
/// A hub on loopback asks for none until there is one. The first is made on the hub's own machine, or with --data while no hub
/// runs there. Commands are told their token by RIG_TOKEN, or RIG_TOKEN_FILE, which names a file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig token new --name root --scope admin --stream '*' --data /var/lib/rig
  rig token new --name ci --scope read,write --stream 'ci-*' --expires 90d
  rig token list
  rig token revoke 3f9ac2e1b04d")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a token; standard output has its text, which is shown this once
    New {
        /// What it may do: read, write, admin (includes both, decides, removes streams), secrets (reads original documents)
        #[arg(long, value_name = "SCOPES", value_delimiter = ',', required = true)]
        scope: Vec<Scope>,
        /// The streams it is for; * stands for anything; may be given more than once
        #[arg(long, value_name = "PATTERN", required = true)]
        stream: Vec<String>,
        /// When it ends (s, m, h, d), or never
        #[arg(long, value_name = "TIME", value_parser = life, default_value = "90d")]
        expires: Life,
        /// What it is called: the actor of what is done with it [default: its id]
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// List all tokens, also those that have ended
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Revoke a token: what it has open ends too
    Revoke {
        /// Its id
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Which hub.
#[derive(Debug, clap::Args)]
struct Place {
    /// The hub's address
    #[arg(long, value_name = "URL", env = "RIG_HUB", default_value = "http://127.0.0.1:7070")]
    hub: String,
    /// The certificates to trust where the address is https://, PEM
    #[arg(long, value_name = "FILE", env = "RIG_CA")]
    ca: Option<PathBuf>,
    /// The data directory of a hub that does not run
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How long a token lives; `None`: until it is revoked.
#[derive(Clone, Copy, Debug)]
struct Life(Option<Duration>);

fn life(text: &str) -> Result<Life, String> {
    if text == "never" {
        return Ok(Life(None));
    }
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let seconds = units.iter().find_map(|(unit, factor)| {
        let count = text.strip_suffix(unit)?.parse::<u64>().ok()?;
        count.checked_mul(*factor).filter(|seconds| (1..=3_600 * 24 * 36_525).contains(seconds))
    });
    seconds
        .map(|seconds| Life(Some(Duration::from_secs(seconds))))
        .ok_or_else(|| "write a time such as 90d, 12h or 30m, or never".to_owned())
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    match args.what {
        What::New { scope, stream, expires, name, place } => {
            let new = NewToken { name, scopes: scope, streams: stream, expires: end(expires)? };
            made(&place.ask(Task::New(new)).await?, place.json)?;
        }
        What::List { place } => list(&place.ask(Task::List).await?, place.json)?,
        What::Revoke { id, place } => {
            place.ask(Task::Revoke(id.clone())).await?;
            output::note(format!("the token {} opens nothing any more", output::plain(&id)));
        }
    }
    Ok(Answer::Fine)
}

impl Place {
    /// Has it done, by the hub, or on its data directory.
    async fn ask(&self, task: Task) -> Result<Value> {
        if let Some(data) = &self.data {
            // The first token may come before the first start: a hub beyond loopback does not start without one.
            let is_new = std::fs::read_dir(data).map_or(true, |mut entries| entries.next().is_none());
            if is_new && matches!(task, Task::New(_)) {
                output::note(format!("{} is made as the data directory of a new hub", data.display()));
            } else if !data.join("streams").is_dir() {
                bail!("{} is no data directory of a hub; `rig hub --data` makes one", data.display());
            }
            let options = rig_hub::Options { data: Some(data.clone()), ..Default::default() };
            let store = store(&options);
            return Ok(offline::run(options, store, task).await?);
        }
        let client = Client::trusting(&self.hub, None, self.ca.as_deref())?;
        match task {
            Task::New(new) => client.new_token(&new).await,
            Task::List => client.tokens().await,
            Task::Revoke(id) => client.revoke_token(&id).await.map(|()| Value::Null),
        }
    }
}

fn end(Life(life): Life) -> Result<Option<Timestamp>> {
    let Some(life) = life else { return Ok(None) };
    let now =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock stands before 1970")?;
    let micros = i64::try_from((now + life).as_micros()).context("the clock stands too far off")?;
    Ok(Some(Timestamp::from_micros(micros)))
}

fn made(made: &Value, json: bool) -> Result<()> {
    if json {
        return Out::new().json(made);
    }
    let text = |key: &str| output::plain(made[key].as_str().unwrap_or_default());
    let expires = made["expires"].as_str().map_or("never".to_owned(), output::plain);
    output::note(format!(
        "token {} of {}: {} for {}, expires {expires}; it is not shown again",
        text("id"),
        text("name"),
        joined(&made["scopes"], ","),
        joined(&made["streams"], " "),
    ));
    Out::new().line(text("token"))?;
    Ok(())
}

fn list(answer: &Value, json: bool) -> Result<()> {
    if json {
        return Out::new().json(answer);
    }
    let mut out = Out::new();
    for token in answer["tokens"].as_array().into_iter().flatten() {
        let text = |key: &str| token[key].as_str().map(output::plain);
        let state = match (text("revoked"), text("expires")) {
            (Some(at), _) => format!("revoked {at}"),
            (None, Some(at)) => format!("expires {at}"),
            (None, None) => "does not expire".to_owned(),
        };
        out.line(format!(
            "{}  {}  {}  {}  {state}",
            text("id").unwrap_or_default(),
            text("name").unwrap_or_default(),
            joined(&token["scopes"], ","),
            joined(&token["streams"], " "),
        ))?;
    }
    Ok(())
}

fn joined(list: &Value, by: &str) -> String {
    let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.map(output::plain).collect::<Vec<_>>().join(by)
}
