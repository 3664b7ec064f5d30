//! `rig tail`: follows a stream.

use anyhow::{Result, bail};
use rig_event::{Envelope, Seq, ServiceName};

use super::Interrupts;
use crate::Answer;
use crate::follow::{Follow, News, Wanted};
use crate::output::{self, Out};
use crate::source::Source;
use crate::table::Rows;

/// Follow a stream, as text or JSON
///
/// A lost connection is made again, and the stream goes on exactly where it was. What could not be had is said on standard
/// error. A file is printed to its end.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig tail http://127.0.0.1:7070/main
  rig tail http://127.0.0.1:7070/main --from 1 --types 'diff.*,drift.*' --service api
  rig tail http://127.0.0.1:7070/main --from 1 --no-follow --json | jq .type")]
pub struct Args {
    /// A hub's stream, a session file, -, or a rigd log
    source: Source,
    #[command(flatten)]
    filter: Filter,
    /// Begin with this event [default: the next one; of a file, and with --no-follow, the first]
    #[arg(long, value_name = "SEQ")]
    from: Option<Seq>,
    /// End when everything that is there was printed
    #[arg(long)]
    no_follow: bool,
    /// Print the events as they stand in the log
    #[arg(long)]
    json: bool,
}

/// Which events are wanted.
#[derive(Clone, Debug, clap::Args)]
pub struct Filter {
    /// Only these types, separated by commas; a * stands for the rest of a name
    #[arg(long, value_name = "TYPES", value_parser = types)]
    types: Option<String>,
    /// Only events about this service
    #[arg(long)]
    service: Option<ServiceName>,
}

impl Filter {
    /// Whether an event is wanted; the hub decides in the same way.
    pub(super) fn takes(&self, envelope: &Envelope) -> bool {
        let name = envelope.event.type_name();
        let by_type = self.types.as_deref().is_none_or(|types| {
            types.split(',').any(|wanted| match wanted.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == wanted,
            })
        });
        by_type && (self.service.is_none() || self.service == envelope.service)
    }
}

/// The hub's rule, so that a filter means the same on a file.
pub(super) fn types(text: &str) -> Result<String> {
    let fine = |name: &str| {
        let stem = name.strip_suffix('*').unwrap_or(name);
        !name.is_empty() && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    if text.split(',').all(fine) {
        Ok(text.to_owned())
    } else {
        bail!("write names such as diff.* or snapshot.captured, with commas and without spaces")
    }
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let mut rows = Rows::default();
    let mut print = |line: &[u8]| {
        if !args.json {
            return Out::new().line(output::event(line));
        }
        rows.recorded(line)?;
        rows.flush()
    };
    let Source::Stream(client) = &args.source else {
        let mut recording = args.source.open(None).await?;
        while let Some(event) = recording.next()? {
            if args.from.is_none_or(|from| event.envelope.seq >= from) && args.filter.takes(&event.envelope) {
                print(&event.line)?;
            }
        }
        recording.notes();
        return Ok(Answer::Fine);
    };
    let wanted = Wanted {
        from: args.from.or(args.no_follow.then_some(1)),
        types: args.filter.types.clone().unwrap_or_default(),
        service: args.filter.service.as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    let mut interrupts = Interrupts::listen()?;
    let mut follow = Follow::connect(client.as_ref().clone(), wanted).await?;
    loop {
        let news = tokio::select! {
            () = interrupts.wait() => return Ok(Answer::Fine),
            news = follow.next() => news?,
        };
        match &news {
            Some(News::Event(line)) => print(line.as_bytes())?,
            Some(News::CaughtUp { .. }) if args.no_follow => return Ok(Answer::Fine),
            Some(News::CaughtUp { .. } | News::Heartbeat { .. }) => {}
            Some(other) => {
                output::note(other);
                tokio::select! {
                    () = interrupts.wait() => return Ok(Answer::Fine),
                    () = Follow::wait(other) => {}
                }
            }
            None => return Ok(Answer::Fine),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::types;

    #[test]
    fn types_are_names_with_commas() {
        for fine in ["diff.*", "diff.*,drift.detected", "*", "a_b-c.1"] {
            assert!(types(fine).is_ok(), "{fine}");
        }
        for bad in ["", "a, b", " a", "a,,b", "a,", "*.a", "a**", "ä", "a;b"] {
            assert!(types(bad).is_err(), "{bad:?}");
        }
    }
}
