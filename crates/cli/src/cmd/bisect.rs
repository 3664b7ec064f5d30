//! `rig bisect`: the first state that fails a check, and the changes that make it fail.

mod predicate;
mod program;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use rig_config::Pattern;
use rig_event::{Seq, ServiceName};
use rig_process::Signal;
use rig_replay::bisect::{Checks, Culprits, Delta, Search, Verdict, candidates, culprits, search};
use rig_replay::blame::blame;
use rig_replay::{State, Timeline};
use serde_json::{Value, json};

use self::predicate::{Condition, is_drifted, would_drift};
use self::program::Program;
use super::Interrupts;
use super::blame::{events_until, last_seq, values};
use crate::Answer;
use crate::output::{self, Out};
use crate::policy;
use crate::source::Source;

/// Find the change that broke it
///
/// It looks for the first state that fails a check, halving what lies between a good one and a bad one; only changes of some config are
/// looked at. Then it finds the smallest set of changed fields without which that state would not fail, also where it
/// takes older changes to break it. A check is a program: it gets the state as JSON on standard input, and as a file in RIG_STATE;
/// exit code 0 says good, 125 cannot say, any other up to 124 bad. Or it is a condition, which is true of what is bad.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("how").required(true).args(["check", "bad_where", "drifted"]),
    after_help = "\
Conditions: SERVICE:PATH (is there), or SERVICE:PATH OP VALUE. OP is =, !=, <, <=, >, >=
or ~ (holds the text); VALUE is JSON, a bare word, or @SERVICE:PATH. In a path * stands for
one step, ** for any number.

Exit codes: 0 the last state is good; 1 found, or bad from the start; 2 trouble, or good as
far as it could be read.

Examples:
  rig bisect session.jsonl --where 'api:database.pool > 10'
  rig bisect session.jsonl --where 'api:workers > @api:database.pool'
  rig bisect session.jsonl --check 'jq -e \".services.api.config.port == 8080\"'"
)]
pub struct Args {
    /// A session file, -, a rigd log, or a hub's stream
    source: Source,
    /// A program that tells good from bad, run by sh
    #[arg(long, value_name = "CMD")]
    check: Option<String>,
    /// A condition that is true of a bad state
    #[arg(long = "where", value_name = "CONDITION", id = "bad_where")]
    bad_where: Option<Condition>,
    /// A state is bad when a service, or the one that is named, has drifted
    #[arg(long, value_name = "SERVICE", num_args = 0..=1)]
    drifted: Option<Option<ServiceName>>,
    /// The policy that says with --drifted which fields of another config drift; the hub's, for the recording has it not
    #[arg(long, value_name = "FILE", requires = "drifted")]
    policy: Option<PathBuf>,
    /// The state after this event is good [default: the first with a config]
    #[arg(long, value_name = "SEQ")]
    good: Option<Seq>,
    /// The state after this event is bad [default: the last]
    #[arg(long, value_name = "SEQ")]
    bad: Option<Seq>,
    /// The time for one check (ms, s, m); a check that takes longer gives no answer
    #[arg(long, value_name = "TIME", value_parser = super::time, default_value = "60s")]
    timeout: Duration,
    /// Maximum number of checks
    #[arg(long, value_name = "N", default_value_t = 500)]
    max_checks: u64,
    /// Show what the checks print
    #[arg(long)]
    verbose: bool,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let indexed = args.source.timeline(args.bad).await?;
    let timeline = &indexed.timeline;
    let to = events_until(timeline, args.bad, &indexed.what)?;
    let from = match args.good {
        Some(good) => events_until(timeline, Some(good), &indexed.what)?,
        None => first_config(timeline, to)?,
    };
    if from > to {
        bail!("--good lies after --bad: name the good state before the bad one");
    }
    let places = candidates(timeline, from, to)?;
    let running = Arc::new(Mutex::new(None));
    let mut program = args.check.clone().map(|command| Program {
        command,
        timeout: args.timeout,
        verbose: args.verbose,
        stream: timeline.stream().to_owned(),
        timed_out: 0,
        running: running.clone(),
    });
    // What runs is in a group of its own, which a Ctrl-C does not reach.
    let mut interrupts = Interrupts::listen()?;
    let watch = tokio::spawn(async move {
        interrupts.wait().await;
        if let Some(group) = running.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            group.signal(Signal::Kill);
        }
        std::process::exit(130);
    });
    let mut checks = Checks::new(args.max_checks, |state: &State| -> Result<Verdict> {
        let is_bad = match (&mut program, &args.bad_where, &args.drifted) {
            (Some(program), ..) => return program.ask(state),
            (None, Some(condition), _) => condition.holds(state),
            (None, None, drifted) => is_drifted(state, drifted.as_ref().and_then(Option::as_ref)),
        };
        Ok(if is_bad { Verdict::Bad } else { Verdict::Good })
    });
    let state = |i: usize| -> Result<State> { Ok(timeline.state(places[i])?) };
    let answer = tokio::task::block_in_place(|| search(places.len(), state, &mut checks))?;
    let mut done = checks.done;
    let found = match (&answer, &args.drifted) {
        (Search::Found { good, bad, .. }, None) => {
            let (base, good, bad) = (state(0)?, state(*good)?, state(*bad)?);
            let found = tokio::task::block_in_place(|| culprits(&base, &good, &bad, &mut checks))?;
            done = checks.done;
            Some(found)
        }
        (Search::Found { good, bad, .. }, Some(service)) => {
            // The recorded verdicts are about the recorded configs: others are judged here.
            let policy = policy::load(args.policy.as_deref())?;
            let mut judged =
                Checks::new(args.max_checks.saturating_sub(done), |state: &State| -> Result<Verdict> {
                    Ok(if would_drift(state, service.as_ref(), &policy) {
                        Verdict::Bad
                    } else {
                        Verdict::Good
                    })
                });
            let (base, good, bad) = (state(0)?, state(*good)?, state(*bad)?);
            let found = culprits(&base, &good, &bad, &mut judged)?;
            done += judged.done;
            if !would_drift(&bad, service.as_ref(), &policy) {
                output::note("by this policy it has not drifted there: name the hub's with --policy");
            }
            Some(found)
        }
        _ => None,
    };
    drop(checks);
    watch.abort();
    let report = Report {
        timeline,
        places: &places,
        answer,
        found,
        done,
        timed_out: program.map_or(0, |program| program.timed_out),
    };
    if args.json {
        Out::new().json(&report.json()?)?
    } else {
        report.print()?
    }
    if !matches!(report.answer, Search::NeverBad) {
        indexed.notes(false)?;
    }
    match report.answer {
        // What --bad names was read.
        Search::NeverBad if args.bad.is_some() => Ok(Answer::Fine),
        Search::NeverBad => indexed.judged(false),
        Search::Found { .. } | Search::BadFromStart => Ok(Answer::Difference),
        Search::EndSkipped { which } => {
            bail!(
                "the check cannot say whether the state at {} is good: name another with --good or --bad",
                report.seq(which)
            )
        }
        Search::Exhausted { .. } => {
            bail!("the checks that were allowed are used up; --max-checks allows more")
        }
    }
}

/// After how many events there is a config for the first time; where there never is, none.
fn first_config(timeline: &Timeline, to: usize) -> Result<usize> {
    if timeline.state(0)?.services.values().any(|service| service.is_captured()) {
        return Ok(0);
    }
    let found = candidates(timeline, 0, to)?;
    Ok(found.get(1).copied().unwrap_or(0))
}

struct Report<'a> {
    timeline: &'a Timeline,
    places: &'a [usize],
    answer: Search,
    found: Option<Culprits>,
    done: u64,
    timed_out: u64,
}

impl Report<'_> {
    fn seq(&self, place: usize) -> Seq {
        last_seq(self.timeline, self.places.get(place).copied().unwrap_or(0))
    }

    /// The event that set a field to what it was after the first `n` events.
    fn set_at(&self, delta: &Delta, place: usize) -> Option<(Seq, Option<String>)> {
        let quoted = delta.change.path.parse::<Pattern>().ok()?;
        let found = blame(self.timeline, delta.service.as_str(), &quoted, self.places[place], false).ok()?;
        let field = found.fields.into_iter().find(|field| field.path == delta.change.path)?;
        field.changes.into_iter().next().map(|set| (set.seq, set.actor))
    }

    fn json(&self) -> Result<Value> {
        let mut value =
            json!({ "candidates": self.places.len(), "checks": self.done, "timed_out": self.timed_out });
        match &self.answer {
            Search::Found { good, bad, contradicted_by } => {
                value["answer"] = "found".into();
                value["good"] = self.seq(*good).into();
                value["bad"] = self.seq(*bad).into();
                value["unchecked_between"] = (bad - good - 1).into();
                value["contradicted_by"] =
                    serde_json::to_value(contradicted_by.map(|place| self.seq(place)))?;
            }
            Search::NeverBad => value["answer"] = "never-bad".into(),
            Search::BadFromStart => value["answer"] = "bad-from-start".into(),
            Search::EndSkipped { which } => {
                value["answer"] = "end-skipped".into();
                value["which"] = self.seq(*which).into();
            }
            Search::Exhausted { good, bad } => {
                value["answer"] = "exhausted".into();
                value["good"] = self.seq(*good).into();
                value["bad"] = self.seq(*bad).into();
            }
        }
        if let Some(found) = &self.found {
            value["smallest"] = rig_event::spelled::to_value(found)?;
        }
        Ok(value)
    }

    fn print(&self) -> Result<()> {
        let mut out = Out::new();
        match &self.answer {
            Search::NeverBad => out.line("the last state is good: nothing broke")?,
            Search::BadFromStart => {
                out.line(format!(
                    "the state at {} is bad already: it broke before, or --good is to name a later one",
                    self.seq(0)
                ))?;
            }
            Search::EndSkipped { .. } => {}
            Search::Exhausted { good, bad } => {
                out.line(format!(
                    "it broke after {} and not later than {}",
                    self.seq(*good),
                    self.seq(*bad)
                ))?;
            }
            Search::Found { good, bad, contradicted_by } => {
                let at = self.places[*bad] - 1;
                out.line(format!(
                    "first bad state: after {}; the last good one: after {}",
                    self.seq(*bad),
                    self.seq(*good)
                ))?;
                out.line(super::event_line(self.timeline, at)?)?;
                if bad - good > 1 {
                    let between = output::count((bad - good - 1) as u64, "state");
                    out.line(format!(
                        "{between} between them could not be checked: it may have broken in any of these"
                    ))?;
                }
                if let Some(place) = contradicted_by {
                    let is = if place < good { "bad" } else { "good" };
                    out.line(format!(
                        "it broke more than once: the state after {} is {is}; this is one of the places",
                        self.seq(*place)
                    ))?;
                }
                if let Some(found) = &self.found {
                    self.print_culprits(&mut out, found, *good, *bad)?;
                }
            }
        }
        let mut told = format!(
            "{}, {}",
            output::count(self.places.len() as u64, "state"),
            output::count(self.done, "check")
        );
        if self.timed_out > 0 {
            told.push_str(&format!(", {} took too long", self.timed_out));
        }
        Ok(out.line(output::styled(output::DIM, told))?)
    }

    fn print_culprits(&self, out: &mut Out, found: &Culprits, good: usize, bad: usize) -> Result<()> {
        if !found.explained {
            out.line("no change of a config makes it fail: the check looks at something else in the state")?;
            return Ok(());
        }
        out.line("")?;
        out.line(output::styled(output::HEADING, "the smallest set of changes that makes it fail"))?;
        for delta in &found.changes {
            out.line(self.delta(delta, bad))?;
        }
        if !found.together_with.is_empty() {
            out.line(output::styled(output::HEADING, "and only together with these, made before"))?;
            for delta in &found.together_with {
                out.line(self.delta(delta, good))?;
            }
        }
        if !found.minimal {
            out.line("it may be smaller still: the checks that were allowed are used up")?;
        }
        Ok(())
    }

    fn delta(&self, delta: &Delta, place: usize) -> String {
        let mut text = format!(
            "  {} {}: {}",
            output::plain(delta.service.as_str()),
            output::plain(&delta.change.path),
            values(&delta.change)
        );
        if let Some((seq, actor)) = self.set_at(delta, place) {
            text.push_str(&format!("  set at {seq}"));
            if let Some(actor) = actor {
                text.push_str(&format!(" by {}", output::plain(&actor)));
            }
        }
        text
    }
}
