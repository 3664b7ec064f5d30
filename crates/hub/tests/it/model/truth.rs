//! What everybody who saw an event of the stream has to agree on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use rig_event::{Head, Seq};

/// The lines of a stream, as answers, ranges, subscribers and files told them; pruned ones stay known.
#[derive(Default)]
pub(crate) struct Truth(Mutex<BTreeMap<Seq, Line>>);

struct Line {
    text: String,
    /// Whether it was read from the log, and not only answered.
    read: bool,
}

impl Truth {
    /// An append was answered with this line.
    #[track_caller]
    pub(crate) fn answered(&self, seq: Seq, line: &str) {
        self.add(seq, line, false);
    }

    /// Somebody read this line.
    #[track_caller]
    pub(crate) fn read(&self, seq: Seq, line: &str) {
        self.add(seq, line, true);
    }

    #[track_caller]
    fn add(&self, seq: Seq, line: &str, read: bool) {
        let mut lines = self.0.lock().unwrap();
        let known = lines.entry(seq).or_insert_with(|| {
            assert_eq!(Head::parse(line.as_bytes()).unwrap().seq, seq, "{line}");
            Line { text: line.to_owned(), read }
        });
        assert_eq!(known.text, line, "two lines for seq {seq}");
        known.read |= read;
    }

    /// The known lines of a range.
    pub(crate) fn range(&self, from: Seq, to: Seq) -> Vec<(Seq, String)> {
        let lines = self.0.lock().unwrap();
        if from > to {
            return Vec::new();
        }
        lines.range(from..=to).map(|(&seq, line)| (seq, line.text.clone())).collect()
    }

    /// Every event that was answered has been in the log, once. Gives the ids with their seqs.
    pub(crate) fn ids(&self, first_seq: Seq, head: Seq) -> HashMap<String, Seq> {
        let lines = self.0.lock().unwrap();
        let mut ids = HashMap::new();
        for seq in first_seq..=head {
            assert!(lines.get(&seq).is_some_and(|line| line.read), "seq {seq} is not in the log");
        }
        for (&seq, line) in lines.iter() {
            assert!(seq <= head, "seq {seq} was told, the head is {head}");
            if let Some(id) = Head::parse(line.text.as_bytes()).unwrap().id {
                let other = ids.insert(id.into_owned(), seq);
                assert_eq!(other, None, "the id of {seq} stands twice");
            }
        }
        ids
    }
}
