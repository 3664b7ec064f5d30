//! Idempotency keys: which events an `id` led to, so that a repeated append gets the same answer.
//!
//! The index knows the older ones; those that it has not caught up with are kept here.

use std::collections::{HashMap, VecDeque};

use rig_event::Seq;
use rig_recorder::StreamIndex;

/// The keys of one stream.
pub(crate) struct Ids {
    recent: HashMap<String, (Seq, Seq)>,
    order: VecDeque<(Seq, String)>,
    index: Option<StreamIndex>,
}

impl Ids {
    pub(crate) fn new(index: Option<StreamIndex>) -> Self {
        Ids { recent: HashMap::new(), order: VecDeque::new(), index }
    }

    /// First and last seq of the append that carried `id`.
    pub(crate) fn find(&self, id: &str) -> Result<Option<(Seq, Seq)>, rig_recorder::Error> {
        match (self.recent.get(id), &self.index) {
            (Some(&range), _) => Ok(Some(range)),
            (None, Some(index)) => index.find_id(id),
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn insert(&mut self, id: String, range: (Seq, Seq)) {
        self.order.push_back((range.1, id.clone()));
        self.recent.insert(id, range);
    }

    /// Lets go of what the index knows by now.
    pub(crate) fn forget_indexed(&mut self) {
        let Some(index) = &self.index else { return };
        let Ok(upto) = index.upto() else { return };
        while self.order.front().is_some_and(|(seq, _)| *seq <= upto) {
            if let Some((_, id)) = self.order.pop_front() {
                self.recent.remove(&id);
            }
        }
    }
}
