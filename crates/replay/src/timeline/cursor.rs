//! A place in a timeline with the state there, which moves by one event as quickly as it jumps.

use super::Timeline;
use crate::{Result, State};

/// How far apart the states lie that a cursor keeps on its way.
const NEAR: usize = 128;

/// How many of them it keeps.
const MOST: usize = 64;

/// Where somebody stands who looks at a recording: after so many events.
#[derive(Clone, Debug)]
pub struct Cursor {
    at: usize,
    state: State,
    /// States that it came by, by the number of events before them: a step back folds from one of these.
    near: Vec<(usize, State)>,
}

impl Cursor {
    /// At the beginning.
    ///
    /// # Errors
    /// As [`Timeline::state`].
    pub fn new(timeline: &Timeline) -> Result<Cursor> {
        Ok(Cursor { at: 0, state: timeline.state(0)?, near: Vec::new() })
    }

    /// After how many events it stands; the event at position `at() - 1` is the last that happened.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The state there.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Goes to the place after the first `n` events.
    ///
    /// # Errors
    /// As [`Timeline::state`]; it then stands where it stood.
    pub fn seek(&mut self, timeline: &Timeline, n: usize) -> Result<()> {
        if n == self.at {
            return Ok(());
        }
        let (mut from, mut state) = timeline.checkpoint(n)?;
        let near = self.near.iter().rev().find(|(at, _)| *at <= n).filter(|(at, _)| *at > from);
        if let Some((at, known)) = near {
            (from, state) = (*at, known.clone());
        }
        if self.at <= n && self.at > from {
            (from, state) = (self.at, self.state.clone());
        }
        let mut passed = Vec::new();
        while from < n {
            let to = (from - from % NEAR + NEAR).min(n);
            timeline.fold(&mut state, from, to)?;
            from = to;
            if from % NEAR == 0 {
                passed.push((from, state.clone()));
            }
        }
        if self.near.last().zip(passed.first()).is_some_and(|(old, new)| old.0 >= new.0) {
            self.near.clear();
        }
        self.near.append(&mut passed);
        if self.near.len() > MOST {
            self.near.drain(..self.near.len() - MOST);
        }
        (self.at, self.state) = (n, state);
        Ok(())
    }

    /// One event on; says whether there was one.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    pub fn forward(&mut self, timeline: &Timeline) -> Result<bool> {
        if self.at >= timeline.len() {
            return Ok(false);
        }
        // In place: nothing is copied but what the event changes.
        timeline.fold(&mut self.state, self.at, self.at + 1)?;
        self.at += 1;
        if self.at.is_multiple_of(NEAR) && self.near.last().is_none_or(|(at, _)| *at < self.at) {
            self.near.push((self.at, self.state.clone()));
            if self.near.len() > MOST {
                self.near.remove(0);
            }
        }
        Ok(true)
    }

    /// One event back; says whether there was one.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    pub fn back(&mut self, timeline: &Timeline) -> Result<bool> {
        match self.at.checked_sub(1) {
            Some(n) => self.seek(timeline, n).map(|()| true),
            None => Ok(false),
        }
    }
}
