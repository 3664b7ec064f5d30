//! `rig demo`: the whole story on this machine, told by the running system.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rig_config::Policy;
use rig_event::{Seq, ServiceName, Timestamp};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::{diff, record};
use crate::Answer;
use crate::client::Client;
use crate::follow::{Follow, News, Wanted};
use crate::hub::{builder, page};
use crate::output::{self, Out};
use crate::source::{Moment, Source};

/// Show the whole story on this machine, in one go
///
/// Starts a hub in this process, captures the history of a few services, approves a baseline, drifts from it, accepts
/// a drift, records the session, and replays it. Nothing is left behind but the session file, the policy, and the key that the session was signed with.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where they are kept [default: a new folder for temporary things]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// A document of the demo, as it lies in fixtures/demo.
macro_rules! document {
    ($service:literal, $file:literal) => {
        Document {
            service: $service,
            file: $file,
            text: include_str!(concat!("../../../../fixtures/demo/", $file)),
        }
    };
}

struct Document {
    service: &'static str,
    file: &'static str,
    text: &'static str,
}

/// How the services came to be what they are when the baseline is approved.
const HISTORY: &[Document] = &[
    document!("api-staging", "api-staging-1.yaml"),
    document!("api-prod", "api-prod-1.yaml"),
    document!("worker", "worker-1.toml"),
    document!("web", "web-1.env"),
    document!("router", "router-1.rsc"),
    // Only a comment differs: it is captured, and there is no diff.
    document!("api-staging", "api-staging-2.yaml"),
    // A release, with a new database password.
    document!("api-staging", "api-staging-3.yaml"),
    document!("worker", "worker-2.toml"),
    document!("web", "web-2.env"),
    document!("router", "router-2.rsc"),
    // The same again: nothing happened, and that is recorded.
    document!("router", "router-2.rsc"),
];

/// A load test enlarges a pool by hand, and somebody leaves the log on debug.
const DRIFT: Document = document!("api-prod", "api-prod-2.yaml");
/// The log is put back; the pool stays.
const CALMER: Document = document!("api-prod", "api-prod-3.yaml");
const POLICY: &str = include_str!("../../../../fixtures/demo/rig.toml");

/// What stands in the fixtures wherever a secret is planted. It must never come out again.
const PLANTED: &str = "demo-Secret";

pub(super) async fn run(args: Args) -> Result<Answer> {
    let folder = match args.keep {
        Some(folder) => folder,
        None => tempfile::Builder::new().prefix("rig-demo-").tempdir()?.keep(),
    };
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let data = tempfile::Builder::new().prefix("rig-demo-data-").tempdir()?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let options = rig_hub::Options {
        data: Some(data.path().to_owned()),
        policy: Policy::parse(POLICY)?,
        ..Default::default()
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let hub =
        builder(options, vec![rig_query::component(), page()]).open(Some(listener.local_addr()?)).await?;
    let hub = hub.serve(listener, shutdown);
    // The story ends, well or badly, and the hub after it.
    let story = async {
        let told = tell(&address, &folder, data.path()).await;
        let _ = stop.send(());
        told
    };
    let (hub, told) = tokio::join!(hub, story);
    hub?;
    told
}

async fn tell(address: &str, folder: &Path, data: &Path) -> Result<Answer> {
    let client = Client::new(address, None)?;
    client.ready().await?;
    heading(&format!("A hub runs at {address}, with its log in a folder for temporary things"))?;
    let mut story = Story::begin(&client).await?;

    heading("The history of five services is captured, and comes back over SSE")?;
    for document in HISTORY {
        story.capture(document).await?;
    }

    let prod: ServiceName = "api-prod".parse()?;
    heading("The config of api-prod is approved as its baseline")?;
    let approved = client.approve(&prod, &[("reason", "release 4.1"), ("actor", "ana")]).await?;
    story.hear(approved.last_seq).await?;

    heading("Somebody changes production by hand: it drifts")?;
    story.capture(&DRIFT).await?;
    drifts(&client).await?;

    heading("The pool is accepted until the end of the load test; the debug log is put back")?;
    let until: Timestamp = "2030-01-31T00:00:00Z".parse()?;
    let what = serde_json::json!({
        "paths": ["database.pool.max"], "until": until, "reason": "load test, ORD-1187", "actor": "ben",
    });
    let accepted = client.accept(&prod, &what).await?;
    story.hear(accepted.last_seq).await?;
    story.capture(&CALMER).await?;
    drifts(&client).await?;

    heading("The session is recorded, and replayed by itself")?;
    let file = folder.join("demo.jsonl");
    let last = record::to_file(&client, &file).await?;
    say(&format!("{} recorded to {}", output::count(last, "event"), file.display()))?;
    let keys = folder.join("demo.keys");
    std::fs::copy(data.join("keys/signing"), &keys)
        .context("the hub's signing key is not where it should be")?;
    let same = hashes(&client, &file, [last / 3, 2 * last / 3, last]).await?;

    heading("Staging against production, rated by the policy that the hub has too")?;
    let policy = folder.join("rig.toml");
    std::fs::write(&policy, POLICY).with_context(|| format!("cannot write {}", policy.display()))?;
    let source = |service: &str| format!("{}#{service}", client.source());
    diff::run(diff::Args::of(source("api-staging"), source("api-prod"), policy)).await?;

    heading("No planted secret is in the log or in the session")?;
    let leaked = holds(&file, PLANTED)? || holds(data, PLANTED)?;
    say(if leaked {
        "FOUND ONE: this is a defect of rig"
    } else {
        "none found, in the hub's folder and in the file"
    })?;

    heading("What you can do with it")?;
    let shown = file.display();
    say(&format!("rig ls {shown}"))?;
    say(&format!("rig replay {shown} --to {}", last / 2))?;
    say(&format!("rig replay {shown} --web"))?;
    say(&format!("rig drift {shown}"))?;
    say(&format!("rig diff '{shown}#api-staging' '{shown}#api-prod'"))?;
    say(&format!("rig verify {shown} --keys {}", keys.display()))?;
    Ok(if same && !leaked { Answer::Fine } else { Answer::Difference })
}

/// The log as it grows, heard by a subscriber like any other.
struct Story<'a> {
    client: &'a Client,
    follow: Follow,
    heard: Seq,
}

impl<'a> Story<'a> {
    async fn begin(client: &'a Client) -> Result<Story<'a>> {
        let wanted = Wanted { from: Some(1), ..Wanted::default() };
        Ok(Story { client, follow: Follow::connect(client.clone(), wanted).await?, heard: 0 })
    }

    async fn capture(&mut self, document: &Document) -> Result<()> {
        let query = [("name".to_owned(), document.file.to_owned())];
        let service = document.service.parse()?;
        let answer = self.client.capture(&service, &query, document.text.as_bytes().to_vec()).await;
        let answer = answer.with_context(|| format!("{} was not captured", document.file))?;
        self.hear(answer.last_seq).await
    }

    /// Prints the events up to `seq` as they arrive.
    async fn hear(&mut self, seq: Seq) -> Result<()> {
        while self.heard < seq {
            match self.follow.next().await? {
                Some(News::Event(line)) => {
                    self.heard = rig_event::Head::parse(line.as_bytes())?.seq;
                    Out::new().line(output::event(line.as_bytes()))?;
                }
                Some(News::CaughtUp { .. } | News::Heartbeat { .. }) => {}
                Some(other) => bail!("the demo's own hub was lost: {other}"),
                None => bail!("the demo's own hub ended the stream"),
            }
        }
        Ok(())
    }
}

/// The verdicts as the hub has them.
async fn drifts(client: &Client) -> Result<()> {
    let source = Source::Stream(Box::new(client.clone()));
    let at = source.state(None).await?;
    for (name, service) in &at.state.services {
        let Some(drift) = &service.drift else { continue };
        let severity =
            drift.severity.map(|severity| format!(" ({})", output::severity(severity))).unwrap_or_default();
        say(&format!("{name} is {}{severity}", output::verdict(drift.verdict)))?;
        for field in &drift.fields {
            say(&format!("  {}", output::indented(&output::drift_field(field), 2)))?;
        }
    }
    Ok(())
}

/// Whether the hub and the file come to the same states.
async fn hashes(client: &Client, file: &Path, seqs: [Seq; 3]) -> Result<bool> {
    let (live, recorded) = (Source::Stream(Box::new(client.clone())), Source::File(file.to_owned()));
    let mut same = true;
    for seq in seqs {
        let hash = |at: Moment| at.state.hash();
        let (hub, file) = (hash(live.state(Some(seq)).await?), hash(recorded.state(Some(seq)).await?));
        let sign = if hub == file { "=" } else { "IS NOT" };
        say(&format!(
            "state at {seq:>3}: hub {} {sign} file {}",
            output::digest(&hub),
            output::digest(&file)
        ))?;
        same &= hub == file;
    }
    Ok(same)
}

/// Whether a file, or any file in a folder, holds a text.
fn holds(path: &Path, text: &str) -> Result<bool> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            if holds(&entry?.path(), text)? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

fn heading(text: &str) -> Result<()> {
    let mut out = Out::new();
    out.line("")?;
    Ok(out.line(output::styled(output::HEADING, text))?)
}

fn say(text: &str) -> Result<()> {
    Ok(Out::new().line(format!("  {text}"))?)
}
