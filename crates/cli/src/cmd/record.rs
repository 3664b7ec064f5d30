//! `rig record`: a stream, or a command's run, into a session file.

mod command;
mod destination;
mod ended;
mod lines;
mod parts;
mod posting;
mod results;
mod signals;
mod terminal;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use rig_event::session::{Header, Outcome};
use rig_event::{Epoch, Seq, ServiceName};
use rig_recorder::session::Ending;

use super::Interrupts;
use crate::Answer;
use crate::client::Client;
use crate::follow::{Follow, News, Wanted};
use crate::output;
use crate::recording::Recording;
use crate::source::Source;

/// Interval between flushes, so that a reader of the file is not far behind.
const FLUSH: Duration = Duration::from_millis(250);

/// Record a stream, or a command's run, to a session file
///
/// It records what is there and then what comes, until Ctrl-C or SIGTERM: then the file gets its footer. Run again, it goes on where
/// the file ends, whatever ended it; only with --until-caught-up a finished file is left alone. A second recorder of one file is
/// refused. A disk that is full stops the recording and nothing else.
///
/// With --rotate-size or --rotate-age the recording goes on in another file now and then: FILE has the first events, and each
/// further file has the seq of its first event in its name. Each of them replays by itself. Run again, it goes on in the last of
/// them.
///
/// With -- CMD… it runs a command with a hub of its own, whose address it finds in RIG_HUB and RIG_URL, and its stream in RIG_STREAM. What
/// the command says there, what it writes to standard output and standard error, which of its tests failed, and how it ends is
/// recorded. Its output passes
/// unchanged, signals are passed on, and the exit code is the command's, also where the recording failed. FILE is replaced.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig record http://127.0.0.1:7070/main -o today.jsonl.zst
  rig record http://127.0.0.1:7070/ci-1234 -o run.jsonl --until-caught-up --outcome failed
  rig record http://127.0.0.1:7070/main -o prod.jsonl.zst --rotate-size 256MiB --rotate-age 24h
  rig record -o test.jsonl.zst -- cargo test
  rig record -o test.jsonl.zst --results 'target/**/TEST-*.xml' -- mvn -B test")]
pub struct Args {
    /// The hub's stream
    #[arg(required_unless_present = "command")]
    source: Option<Source>,
    /// The command to run, and its arguments
    #[arg(last = true, value_name = "CMD", conflicts_with_all = ["source", "from", "until_caught_up", "rotate_size", "rotate_age", "json"])]
    command: Vec<OsString>,
    /// The command's name in events [default: the name of its program]
    #[arg(long, value_name = "NAME", requires = "command")]
    service: Option<ServiceName>,
    /// The session file; .zst at its end compresses it
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Begin with this event; the state before it goes into the file [default: the oldest there is]
    #[arg(long, value_name = "SEQ")]
    from: Option<Seq>,
    /// End when everything that is there was recorded
    #[arg(long)]
    until_caught_up: bool,
    /// The outcome for the footer: passed, failed, crashed or interrupted [default: passed; interrupted after
    /// a signal; of a command, as it ended]
    #[arg(long, value_parser = outcome)]
    outcome: Option<Outcome>,
    /// The keys that a command's recording is signed with, as `rig verify` takes them: the last signs. A hub signs what comes from it
    #[arg(long, value_name = "FILE", env = "RIG_SIGNING_KEYS_FILE")]
    keys: Option<PathBuf>,
    /// The key that a command's recording makes fingerprints with, `ID:HEX` as in a hub's keys/redaction, so that two runs compare
    /// [default: one for each run]
    #[arg(long, value_name = "FILE", env = "RIG_REDACTION_KEY_FILE")]
    redaction_key: Option<PathBuf>,
    /// A file with a value on each line, of 8 bytes or more, that is hidden wherever a command's recording has it
    #[arg(long, value_name = "FILE")]
    mask: Option<PathBuf>,
    /// Give the command a terminal, so that it shows colours and progress; its standard error goes there too. The recording has plain
    /// lines
    #[arg(long, requires = "command")]
    tty: bool,
    /// Read test results from these files too, once the command has ended; may be given more than once. `auto` makes
    /// runners write them, by variables that it names [default: result files that appear below the working directory]
    #[arg(long, value_name = "FILE|GLOB|auto", requires = "command")]
    results: Vec<String>,
    /// The recording's name [default: that of the file]
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// Go on in another file when this one holds so much (KiB, MiB, GiB; before compression)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    rotate_size: Option<u64>,
    /// Go on in another file when this one is so old (s, m, h, d)
    #[arg(long, value_name = "AGE", value_parser = age)]
    rotate_age: Option<Duration>,
    /// Begin anew, whatever is in FILE
    #[arg(long)]
    force: bool,
    /// Print what was recorded as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    fn rotates(&self) -> bool {
        self.rotate_size.is_some() || self.rotate_age.is_some()
    }
}

fn outcome(text: &str) -> Result<Outcome, String> {
    let all = [Outcome::Passed, Outcome::Failed, Outcome::Crashed, Outcome::Interrupted];
    let found = all.into_iter().find(|outcome| outcome.as_str() == text);
    found.ok_or_else(|| "write passed, failed, crashed or interrupted".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    number(text, &units).ok_or_else(|| "write a size such as 64MiB".to_owned())
}

fn age(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    number(text, &units).map(Duration::from_secs).ok_or_else(|| "write an age such as 30m or 24h".to_owned())
}

/// A number above 0 with one of the units.
fn number(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (count, factor) = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    count.parse::<u64>().ok()?.checked_mul(*factor).filter(|n| *n > 0)
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let file = args.output.display();
    if args.output.as_os_str() == "-" {
        bail!("a recording goes to a file, not to standard output: `rig tail --json` prints events there");
    }
    if args.output.is_dir() {
        bail!(
            "{file} is a folder; name the file in it, such as {}",
            args.output.join("session.jsonl").display()
        );
    }
    let name = args.session.clone().unwrap_or_else(|| stem(&args.output));
    let Some(source) = &args.source else { return run_command(args, name).await };
    let Source::Stream(client) = source else {
        bail!("{source} is a recording already; `rig record` takes a hub's stream");
    };
    // A named pipe without a reader cannot be opened: until then a signal ends rig at once.
    let is_fifo = destination::Destination::of(&args.output).is_fifo;
    let interrupts = if is_fifo { None } else { Some(Interrupts::listen()?) };
    let recording = begin(client, &args, name).await?;
    let mut interrupts = interrupts.map_or_else(Interrupts::listen, Ok)?;
    let (mut recording, outcome) = follow(client, &args, recording, &mut interrupts).await?;
    recording.sign(client, outcome).await;
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

async fn run_command(args: Args, session: String) -> Result<Answer> {
    if args.tty && !cfg!(unix) {
        bail!("--tty needs a pseudo-terminal, and rig makes none on this system");
    }
    let program = args.command.first().map(Path::new).and_then(Path::file_name).unwrap_or_default();
    let named = output::short(&output::plain(&program.to_string_lossy()), 40);
    let service = match args.service {
        Some(service) => service,
        None => named.parse().or_else(|_| "command".parse())?,
    };
    let Args { command, output: file, outcome, keys, redaction_key, mask, tty, results, .. } = args;
    let results = results::Wanted::of(&results, &command).map_err(anyhow::Error::msg)?;
    let run =
        command::Run { command, file, session, service, outcome, keys, redaction_key, mask, tty, results };
    command::run(run).await
}

/// Records everything that is there into a finished file.
pub(super) async fn to_file(client: &Client, file: &Path) -> Result<Seq> {
    let mut recording = Recording::download(client, None, file, stem(file)).await?;
    recording.flush()?;
    recording.sign(client, Outcome::Passed).await;
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

/// Opens the file, or of a rotated recording the part that was written last: resumed where it ends, else begun with what there is.
async fn begin(client: &Client, args: &Args, name: String) -> Result<Recording> {
    let last_part = if args.rotates() && !args.force { parts::of(&args.output).pop() } else { None };
    let (from, file) = last_part.map_or((None, args.output.clone()), |(seq, file)| (Some(seq), file));
    let name = if from.is_some() { stem(&file) } else { name };
    let there = !args.force && std::fs::metadata(&file).is_ok_and(|meta| meta.len() > 0);
    if there {
        if args.from.is_some() {
            bail!(
                "{} is there already, and a recording that is resumed goes on where it ends: leave --from out, name another \
                 file, or overwrite it with --force",
                file.display()
            );
        }
        let epoch = client.epoch().await?;
        let accept = |header: &Header, ending: &Ending| accept(client, args, &file, &epoch, header, ending);
        if let Some(recording) = Recording::resume(&file, accept)? {
            parts::finish_before(client, args, &recording).await;
            return Ok(recording);
        }
    }
    if let Some(from) = from {
        let recording = Recording::begin(client, from, &file, name).await?;
        parts::finish_before(client, args, &recording).await;
        return Ok(recording);
    }
    if args.rotates() {
        // Not downloaded in one piece, which may be larger than a file may become.
        let from = match args.from {
            Some(from) => from,
            None => client.first_seq().await?,
        };
        return Recording::begin(client, from, &file, name).await;
    }
    Recording::download(client, args.from, &file, name).await
}

/// Refuses to go on with a recording of something else, and with a finished one that nobody is recording any more.
fn accept(
    client: &Client,
    args: &Args,
    file: &Path,
    epoch: &Epoch,
    header: &Header,
    ending: &Ending,
) -> Result<()> {
    let (file, advice) = (file.display(), "name another file, or overwrite it with --force");
    if header.stream != client.stream {
        bail!("{file} is a recording of the stream {}, not of {}; {advice}", header.stream, client.stream);
    }
    if header.epoch != *epoch {
        bail!(
            "{file} is a recording of another stream {} (epoch {}, now {epoch}); {advice}",
            header.stream,
            header.epoch
        );
    }
    if args.until_caught_up && matches!(ending, Ending::Finished(_)) {
        bail!("{file} is a finished recording; {advice}");
    }
    Ok(())
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
                if args.rotate_size.is_some_and(|most| recording.bytes() >= most)
                    || args.rotate_age.is_some_and(|most| recording.age() >= most)
                {
                    let next = recording.last_seq() + 1;
                    recording = parts::next(client, args, recording, next).await?;
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
            Some(News::Gap { from, to, reason }) if args.rotates() => {
                output::note(News::Gap { from, to, reason });
                recording = parts::next(client, args, recording, to + 1).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages() {
        assert_eq!((size("64MiB"), age("30m")), (Ok(64 << 20), Ok(Duration::from_secs(1800))));
        assert!(size("64").is_err() && size("0KiB").is_err() && age("1y").is_err());
    }
}
