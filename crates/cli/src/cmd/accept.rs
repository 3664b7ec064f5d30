//! `rig accept`: accepts a drift, with a reason and an end.

use anyhow::{Context as _, Result};
use rig_event::{ServiceName, Timestamp};

use super::snapshot;
use crate::Answer;
use crate::source::Source;

/// Accept a service's drift
///
/// Exactly the differences that stand there now are accepted; another value in the same field is a drift again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig accept http://127.0.0.1:7070/main api database.pool --reason 'load test' --until 2027-01-31
  rig accept http://127.0.0.1:7070/main api 'limits.**' --reason 'see OPS-112'")]
pub struct Args {
    /// The hub's stream: http://127.0.0.1:7070/main
    #[arg(value_name = "SOURCE")]
    source: Source,
    /// The service
    service: ServiceName,
    /// Which fields, as patterns; none: all that differ
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Why
    #[arg(long)]
    reason: String,
    /// Until when: a day, through its end in UTC, or an RFC 3339 time [default: until it is revoked]
    #[arg(long, value_name = "DATE", value_parser = end)]
    until: Option<Timestamp>,
    /// Who does this
    #[arg(long, value_name = "NAME", env = "RIG_ACTOR")]
    actor: Option<String>,
    /// Print the hub's answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let client = args.source.hub("a drift is accepted")?;
    let mut what = serde_json::json!({ "paths": args.paths, "until": args.until, "reason": args.reason });
    if let Some(actor) = args.actor {
        what["actor"] = actor.into();
    }
    let refused = || format!("the drift of {} was not accepted", args.service);
    let appended = client.accept(&args.service, &what).await.with_context(refused)?;
    snapshot::print(&appended, args.json)?;
    Ok(Answer::Fine)
}

/// A day lasts through its end.
fn end(text: &str) -> Result<Timestamp, String> {
    const DAY: i64 = 24 * 60 * 60 * 1_000_000;
    let day = || {
        format!("{text}T00:00:00Z")
            .parse::<Timestamp>()
            .map(|day| Timestamp::from_micros(day.as_micros() + DAY))
    };
    match text.parse() {
        Ok(time) => Ok(time),
        Err(_) => day().map_err(|_| "write a day, 2027-01-31, or a time, 2027-01-31T12:00:00Z".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_lasts_through_its_end() {
        assert_eq!(end("2027-01-31").unwrap().to_string(), "2027-02-01T00:00:00.000000Z");
        assert_eq!(end("2027-01-31T12:00:00+01:00").unwrap().to_string(), "2027-01-31T11:00:00.000000Z");
        for bad in ["tomorrow", "2027-13-01", "2027-01", ""] {
            assert!(end(bad).is_err(), "{bad}");
        }
    }
}
