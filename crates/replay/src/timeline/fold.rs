//! The state after any number of events: from the nearest checkpoint, by what the index knows.

use super::names::{NONE, Names, Pairs};
use super::scan::{Effect, FAILURE, FOLDED, parse};
use super::skim::Skim;
use super::{Slot, Timeline};
use crate::{Edge, Error, Result, State};

/// What a type of event does to an edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Op {
    /// A request, failed or not.
    Request,
    /// A connection.
    Opened,
    /// Bytes over a connection.
    Closed,
    /// Nothing.
    Other,
}

impl Op {
    pub fn of(type_name: &str) -> Op {
        match type_name {
            "request.completed" | "request.failed" | "grpc.call.completed" | "kafka.request.completed" => {
                Op::Request
            }
            "connection.opened" => Op::Opened,
            "connection.closed" => Op::Closed,
            _ => Op::Other,
        }
    }
}

/// Traffic that is counted and not yet in the state: a million requests go over a few edges.
#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    /// By the number of the edge.
    edges: Vec<Edge>,
    /// The edges that were used, in the order in which they were first: a state that has too many edges takes the first.
    used: Vec<u32>,
    /// By the number of the edge: whether it is among them.
    is_used: Vec<bool>,
}

impl Flow {
    /// Counts an event.
    #[inline]
    pub fn add(&mut self, edge: u32, effect: Effect) {
        if edge == NONE {
            return;
        }
        let at = edge as usize;
        if at >= self.edges.len() {
            self.edges.resize(at + 1, Edge::default());
            self.is_used.resize(at + 1, false);
        }
        if !self.is_used[at] {
            self.is_used[at] = true;
            self.used.push(edge);
        }
        let sum = &mut self.edges[at];
        match effect {
            Effect::Request(failed) => {
                sum.requests += 1;
                sum.failures += u64::from(failed);
            }
            Effect::Opened => sum.connections += 1,
            Effect::Closed(bytes_in, bytes_out) => {
                sum.bytes_in = sum.bytes_in.saturating_add(bytes_in);
                sum.bytes_out = sum.bytes_out.saturating_add(bytes_out);
            }
            Effect::None | Effect::Apply(_) => {}
        }
    }

    /// Puts into the state what was counted.
    pub fn flush(&mut self, state: &mut State, names: &Names, pairs: &Pairs) {
        for edge in self.used.drain(..) {
            let Some((source, target)) = pairs.get(edge) else { continue };
            let sum = std::mem::take(&mut self.edges[edge as usize]);
            self.is_used[edge as usize] = false;
            let total = state.edge(names.get(source), names.get(target));
            total.requests += sum.requests;
            total.failures += sum.failures;
            total.connections += sum.connections;
            total.bytes_in = total.bytes_in.saturating_add(sum.bytes_in);
            total.bytes_out = total.bytes_out.saturating_add(sum.bytes_out);
        }
    }
}

impl Timeline {
    /// The state after the first `n` events.
    ///
    /// # Errors
    /// [`Error::Beyond`] when there are fewer, [`Error::Read`].
    pub fn state(&self, n: usize) -> Result<State> {
        if n == self.slots.len() {
            return Ok(self.tip.clone());
        }
        let (from, mut state) = self.checkpoint(n)?;
        self.fold(&mut state, from, n)?;
        Ok(state)
    }

    /// The state at a seq.
    ///
    /// # Errors
    /// [`Error::Missing`] when the recording does not have it; as [`Timeline::state`].
    pub fn state_at(&self, seq: rig_event::Seq) -> Result<State> {
        if let Some(at) = self.position(seq) {
            return self.state(at + 1);
        }
        let base = self.state(0)?;
        if base.seq == seq { Ok(base) } else { Err(Error::Missing { wanted: seq, last: self.tip.seq }) }
    }

    /// The nearest checkpoint at or before `n` events.
    pub(super) fn checkpoint(&self, n: usize) -> Result<(usize, State)> {
        if n > self.slots.len() {
            return Err(Error::Beyond { wanted: n, len: self.slots.len() });
        }
        let nearest = self.checkpoints.partition_point(|(at, _)| *at <= n).checked_sub(1);
        Ok(match nearest.and_then(|i| self.checkpoints.get(i)) {
            Some((at, state)) => (*at, state.clone()),
            None => (0, self.base.clone().unwrap_or_else(|| self.tip.clone())),
        })
    }

    /// Folds events `from..to` onto the state after `from`. What does not fold is passed over, as when it was indexed.
    pub(super) fn fold(&self, state: &mut State, from: usize, to: usize) -> Result<()> {
        let mut line = Vec::new();
        for at in from..to {
            let Some(slot) = self.slots.get(at) else {
                return Err(Error::Beyond { wanted: to, len: self.slots.len() });
            };
            self.fold_one(state, at, slot, &mut line)?;
        }
        if let Some(last) = to.checked_sub(1).filter(|last| *last >= from) {
            state.seq = self.seq(last);
            state.ts = rig_event::Timestamp::from_micros(self.slots[last].ts);
        }
        Ok(())
    }

    fn fold_one(&self, state: &mut State, at: usize, slot: &Slot, line: &mut Vec<u8>) -> Result<()> {
        if slot.flags & FOLDED != 0 {
            self.read_line(at, line)?;
            let (envelope, _) = parse(line).map_err(|_| changed(slot))?;
            state.seq = envelope.seq - 1;
            // An error was met when it was indexed, and told; the state is as it was.
            let _ = state.apply(&envelope);
            return Ok(());
        }
        let Some((source, target)) = self.edges.get(slot.edge) else { return Ok(()) };
        let (source, target) = (self.names.get(source), self.names.get(target));
        match self.ops.get(usize::from(slot.type_id)).copied().unwrap_or(Op::Other) {
            Op::Request => state.request(source, target, slot.flags & FAILURE != 0),
            Op::Opened => state.edge(source, target).connections += 1,
            Op::Closed => {
                self.read_line(at, line)?;
                let (bytes_in, bytes_out) = moved(line).ok_or_else(|| changed(slot))?;
                let edge = state.edge(source, target);
                edge.bytes_in = edge.bytes_in.saturating_add(bytes_in);
                edge.bytes_out = edge.bytes_out.saturating_add(bytes_out);
            }
            Op::Other => {}
        }
        Ok(())
    }
}

/// Bytes in and out of a closed connection.
fn moved(line: &[u8]) -> Option<(u64, u64)> {
    if std::str::from_utf8(line).is_ok()
        && let Some(skim) = Skim::read(line)
    {
        return Some((skim.call.bytes_in, skim.call.bytes_out));
    }
    match parse(line).ok()?.0.event {
        rig_event::Event::ConnectionClosed(e) => Some((e.bytes_in, e.bytes_out)),
        _ => None,
    }
}

fn changed(slot: &Slot) -> Error {
    Error::Saved(format!("the recording was changed at offset {} while it was read", slot.offset))
}
