//! `rig record`: a stream into a session file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use rig_event::Seq;
use rig_event::session::Outcome;

use super::Interrupts;
use crate::Answer;
use crate::client::Client;
use crate::follow::{Follow, News, Wanted};
use crate::output;
use crate::recording::Recording;
use crate::source::Source;

/// How often what was written is handed on, so that a reader of the file is not far behind.
const FLUSH: Duration = Duration::from_millis(250);

/// Record a stream to a session file
///
/// It records what is there and then what comes, until Ctrl-C or SIGTERM: then the file gets its footer. A file that was left
/// unfinished is resumed where it ends. A disk that is full stops the recording and nothing else.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig record http://127.0.0.1:7070/main -o today.jsonl.zst
  rig record http://127.0.0.1:7070/ci-1234 -o run.jsonl --until-caught-up --outcome failed")]
pub struct Args {
    /// The hub's stream
    source: Source,
    /// The session file; .zst at its end compresses it
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Begin with this event; the state before it goes into the file [default: the oldest there is]
    #[arg(long, value_name = "SEQ")]
    from: Option<Seq>,
    /// End when everything that is there was recorded
    #[arg(long)]
    until_caught_up: bool,
    /// How it ended, for the footer: passed, failed, crashed or interrupted [default: passed; interrupted after a signal]
    #[arg(long, value_parser = outcome)]
    outcome: Option<Outcome>,
    /// The recording's name [default: that of the file]
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// Begin anew, whatever is in FILE
    #[arg(long)]
    force: bool,
    /// Print what was recorded as JSON
    #[arg(long)]
    json: bool,
}

fn outcome(text: &str) -> Result<Outcome, String> {
    let all = [Outcome::Passed, Outcome::Failed, Outcome::Crashed, Outcome::Interrupted];
    let found = all.into_iter().find(|outcome| outcome.as_str() == text);
    found.ok_or_else(|| "write passed, failed, crashed or interrupted".to_owned())
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let mut interrupts = Interrupts::listen()?;
    let Source::Stream(client) = &args.source else {
        bail!("{} is a recording already; `rig record` takes a hub's stream", args.source);
    };
    let name = args.session.clone().unwrap_or_else(|| stem(&args.output));
    let recording = begin(client, &args, name).await?;
    let (mut recording, outcome) = follow(client, &args, recording, &mut interrupts).await?;
    recording.sign(client).await;
    let (last_seq, events) = (recording.last_seq(), recording.events());
    recording.finish(outcome).with_context(|| cannot_write(&args.output))?;
    if args.json {
        output::Out::new().json(&serde_json::json!({
            "file": args.output, "last_seq": last_seq, "events": events, "outcome": outcome,
        }))?;
    } else {
        let (file, outcome) = (args.output.display(), outcome.as_str());
        output::note(format!(
            "{} recorded to {file}, the last is {last_seq}: {outcome}",
            output::count(events, "event")
        ));
    }
    Ok(Answer::Fine)
}

/// Records everything that is there into a finished file.
pub(super) async fn to_file(client: &Client, file: &Path) -> Result<Seq> {
    let mut recording = Recording::download(client, None, file, stem(file)).await?;
    recording.flush()?;
    recording.sign(client).await;
    let last = recording.last_seq();
    recording.finish(Outcome::Passed)?;
    Ok(last)
}

fn stem(file: &Path) -> String {
    let name = file.file_name().map_or_else(Default::default, |name| name.to_string_lossy().into_owned());
    name.split('.').find(|part| !part.is_empty()).unwrap_or("session").to_owned()
}

fn cannot_write(file: &Path) -> String {
    format!("cannot write {}", file.display())
}

/// Opens the file: resumed where it was left unfinished, else begun with a download of what there is.
async fn begin(client: &Client, args: &Args, name: String) -> Result<Recording> {
    let file = &args.output;
    let there = !args.force && std::fs::metadata(file).is_ok_and(|meta| meta.len() > 0);
    if !there {
        return Recording::download(client, args.from, file, name).await;
    }
    let recording = Recording::resume(file)?;
    if recording.header().stream != client.stream {
        bail!(
            "{} is an unfinished recording of the stream {}, not of {}; name another file, or overwrite it with --force",
            file.display(),
            recording.header().stream,
            client.stream
        );
    }
    Ok(recording)
}

/// Follows until it ends, and says how it did.
async fn follow(
    client: &Client,
    args: &Args,
    mut recording: Recording,
    interrupts: &mut Interrupts,
) -> Result<(Recording, Outcome)> {
    let epoch = recording.header().epoch.clone();
    let mut follow = Follow::resume(client.clone(), Wanted::default(), &epoch, recording.last_seq()).await?;
    let mut tick = tokio::time::interval(FLUSH);
    let ended = loop {
        let news = tokio::select! {
            biased;
            () = interrupts.wait() => break Outcome::Interrupted,
            _ = tick.tick() => {
                if let Err(error) = recording.flush() {
                    return Err(stopped(client, args, &recording, error).await);
                }
                continue;
            }
            news = follow.next() => news?,
        };
        match news {
            Some(News::Event(line)) => {
                if let Err(error) = recording.write(&line) {
                    return Err(stopped(client, args, &recording, error).await);
                }
            }
            Some(News::CaughtUp { .. }) if args.until_caught_up => break Outcome::Passed,
            Some(News::CaughtUp { .. } | News::Heartbeat { .. }) => {}
            Some(news @ News::Lost { .. }) => {
                output::note(&news);
                tokio::select! {
                    () = interrupts.wait() => break Outcome::Interrupted,
                    () = Follow::wait(&news) => {}
                }
            }
            Some(news @ (News::Gap { .. } | News::Reset { .. })) => {
                let (last, file) = (recording.last_seq(), args.output.display().to_string());
                // It is whole as far as it goes, and nothing can be added to it.
                recording.finish(Outcome::Interrupted).with_context(|| cannot_write(&args.output))?;
                bail!("{news}; {file} ends with seq {last}: record what comes now to another file");
            }
            None => break Outcome::Passed,
        }
    };
    let outcome = args.outcome.unwrap_or(ended);
    Ok((recording, outcome))
}

/// The file could not take more. What is missing is counted; what is recorded goes on undisturbed.
async fn stopped(
    client: &Client,
    args: &Args,
    recording: &Recording,
    error: std::io::Error,
) -> anyhow::Error {
    let last = recording.last_seq();
    let missing = match client.head().await {
        Ok(head) => format!("{} missing so far", output::count(head.saturating_sub(last), "event")),
        Err(_) => "how many are missing cannot be said".to_owned(),
    };
    let file = args.output.display();
    anyhow!(
        "the recording to {file} stopped after seq {last}: {error}; {missing}. Make room and run the same command to resume"
    )
}
