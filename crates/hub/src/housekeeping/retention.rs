//! The oldest events go: by number, size and age, by whole segments, after the state at the cut is kept beside the log.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rig_config::policy::Retention;
use rig_event::event::LogPruned;
use rig_event::{Head, Seq, Timestamp, true_time};
use rig_recorder::Pruned;

use crate::options::Options;
use crate::streams::{Command, Stream};

/// Prunes a stream now and then until it is aborted.
pub(crate) async fn run(stream: Weak<Stream>, options: Arc<Options>) {
    // What the hub's own stream says of tokens and keys holds for ever.
    if stream.upgrade().is_none_or(|stream| stream.name.is_internal()) {
        return;
    }
    let retention = &options.policy.retention;
    if (retention.max_age, retention.max_events, retention.max_bytes) == (None, None, None) {
        return;
    }
    let mut tick = tokio::time::interval(options.retention_interval);
    let mut steady = Steady::new((options.clock)());
    loop {
        tick.tick().await;
        let Some(stream) = stream.upgrade() else { return };
        let now = (options.clock)();
        // By a clock that has just jumped nothing is old.
        let by_age = steady.agrees(now, Instant::now()).then_some(now);
        match prune(&stream, retention, by_age).await {
            Ok(Some(pruned)) => {
                tracing::info!(stream = %stream.name, events = pruned.events, bytes = pruned.bytes, first_seq = pruned.first_seq, "pruned");
            }
            Ok(None) => {}
            Err(why) => {
                stream.meters.prune_failed();
                tracing::error!(stream = %stream.name, why, "the log could not be pruned");
            }
        }
    }
}

/// Prunes what the rules do not keep. In this order, so that a crash in between loses nothing: the state at the cut is made
/// durable, the log says what goes, and then it goes.
async fn prune(
    stream: &Stream,
    retention: &Retention,
    now: Option<Timestamp>,
) -> Result<Option<Pruned>, String> {
    let Some((first_seq, bytes)) = due(stream, retention, now).await? else { return Ok(None) };
    let events = first_seq - stream.log.first_seq();
    let cut = stream.cut_at(first_seq - 1).await.map_err(|e| e.detail().to_owned())?;
    let pruned =
        LogPruned { first_seq, events, bytes, state: cut.state.hash(), chain: cut.chain.to_string() };
    stream.keep_cut(cut)?;
    stream.write(Command::Pruned(pruned), None, None).await.map_err(|e| e.to_string())?;
    let pruned = stream.log.prune(first_seq).await.map_err(|e| e.to_string())?;
    if let Some(index) = &stream.index {
        index.forget_before(first_seq).map_err(|e| e.to_string())?;
    }
    stream.meters.pruned(pruned.events, pruned.bytes);
    Ok(Some(pruned))
}

/// The first event to keep and the bytes that come back, if anything is to go.
///
/// `now` is the time by which events are old; `None`: none is.
async fn due(
    stream: &Stream,
    retention: &Retention,
    now: Option<Timestamp>,
) -> Result<Option<(Seq, u64)>, String> {
    let (head, mut size) = (stream.head(), stream.log.bytes());
    let mut found = None;
    let mut freed = 0;
    for unit in stream.log.prunable() {
        let by_number = retention.max_events.is_some_and(|keep| head - unit.last_seq >= keep);
        let by_size = retention.max_bytes.is_some_and(|most| size > most);
        let by_age = match retention.max_age.zip(now) {
            Some((age, now)) => {
                time_of(stream, unit.last_seq).await?.as_micros() < now.as_micros() - age.as_micros() as i64
            }
            None => false,
        };
        if !(by_number || by_size || by_age) {
            break;
        }
        size -= unit.bytes;
        freed += unit.bytes;
        found = Some((unit.last_seq + 1, freed));
    }
    Ok(found)
}

/// Returns when an event was appended. While the clock was ahead its line has a wrong time, which the next one may set right: it is no
/// older than that.
async fn time_of(stream: &Stream, seq: Seq) -> Result<Timestamp, String> {
    let lines = stream.log.read(seq, seq + 1, 64 << 10).await.map_err(|e| e.to_string())?;
    let time = |line: &[u8]| match true_time(line) {
        Some(time) => Ok(time),
        None => Head::parse(line).map(|head| head.ts).map_err(|e| e.to_string()),
    };
    let own = time(lines.get(seq).ok_or_else(|| format!("event {seq} is missing"))?)?;
    match lines.get(seq + 1) {
        Some(next) => Ok(own.min(time(next)?)),
        None => Ok(own),
    }
}

/// Compares a clock with the time that passes.
struct Steady {
    /// The last look, on both.
    last: (Timestamp, Instant),
    /// When the clock last jumped.
    jumped: Option<Instant>,
}

impl Steady {
    /// A difference from one look to the next that is a jump, in microseconds.
    const JUMP: i64 = 24 * 3_600 * 1_000_000;

    /// The time after a jump for which the clock must go as it should.
    const TRUSTED_AFTER: Duration = Duration::from_secs(600);

    fn new(now: Timestamp) -> Steady {
        Steady { last: (now, Instant::now()), jumped: None }
    }

    /// Returns true if the clock has not jumped for a while.
    fn agrees(&mut self, now: Timestamp, passed: Instant) -> bool {
        let (last, since) = std::mem::replace(&mut self.last, (now, passed));
        let expected = last.as_micros().saturating_add(passed.duration_since(since).as_micros() as i64);
        if now.as_micros().abs_diff(expected) > Self::JUMP as u64 {
            tracing::warn!(from = %last, to = %now, "the clock has jumped; for ten minutes nothing is deleted for its age");
            self.jumped = Some(passed);
        }
        self.jumped.is_none_or(|at| passed.duration_since(at) >= Self::TRUSTED_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_a_clock_that_has_jumped_nothing_is_old_for_ten_minutes() {
        let (start, day) = (Instant::now(), 24 * 3_600_u64);
        let at = |seconds: u64| Timestamp::from_micros(seconds as i64 * 1_000_000);
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let mut steady = Steady { last: (at(0), start), jumped: None };
        assert!(steady.agrees(at(60), after(60)));
        assert!(steady.agrees(at(120 + day / 2), after(120)), "a suspended machine");
        assert!(!steady.agrees(at(180 + 400 * day), after(180)));
        assert!(!steady.agrees(at(240 + 400 * day), after(240)));
        assert!(!steady.agrees(at(300), after(300)), "it jumped back");
        assert!(steady.agrees(at(960), after(960)));
    }
}
