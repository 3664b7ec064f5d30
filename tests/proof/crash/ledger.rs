//! What must be in the log: read from it once, remembered, and held against what clients were answered.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rig_event::{Envelope, Event, Head, Seq};
use rig_recorder::Chain;
use rig_replay::State;

/// Everything that the log was ever seen to hold, and the fold of it.
pub struct Ledger {
    lines: Vec<String>,
    ids: HashMap<String, Seq>,
    pub state: State,
    chain: Chain,
    /// How many events of the last append are still to come.
    more: u32,
    pub seals: u64,
}

impl Ledger {
    pub fn new(epoch: &str) -> Ledger {
        Ledger {
            lines: Vec::new(),
            ids: HashMap::new(),
            state: State::default(),
            chain: Chain::genesis(&"main".parse().unwrap(), &epoch.parse().unwrap()),
            more: 0,
            seals: 0,
        }
    }

    pub fn head(&self) -> Seq {
        self.lines.len() as Seq
    }

    /// Takes the line that follows: the next seq, no id twice, appends whole, seals true.
    pub fn push(&mut self, line: &str) {
        let head = Head::parse(line.as_bytes()).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(head.seq, self.head() + 1, "{line}");
        if self.more > 0 {
            assert_eq!(head.more, self.more - 1, "an append breaks off before {line}");
        }
        self.more = head.more;
        if let Some(id) = head.id {
            let other = self.ids.insert(id.into_owned(), head.seq);
            assert_eq!(other, None, "twice: {line}");
        }
        let envelope = Envelope::parse(line.as_bytes()).unwrap();
        if let Event::LogSealed(seal) = &envelope.event {
            assert_eq!((seal.upto, &seal.chain), (self.head(), &self.chain.to_string()), "{line}");
            self.seals += 1;
        }
        self.state.apply(&envelope).unwrap();
        self.chain.push(line.as_bytes());
        self.lines.push(line.to_owned());
    }

    /// What was read ends with a whole append.
    pub fn is_whole(&self) -> bool {
        self.more == 0
    }

    pub fn line(&self, seq: Seq) -> Option<&str> {
        self.lines.get(usize::try_from(seq).ok()?.checked_sub(1)?).map(String::as_str)
    }

    pub fn seq_of(&self, id: &str) -> Option<Seq> {
        self.ids.get(id).copied()
    }

    /// The segment files hold exactly the lines that were seen, from the oldest that is not pruned on.
    pub fn check_files(&self, data: &Path) -> Seq {
        let files = crate::harness::files(&data.join("streams/main"));
        let with = |extension: &str| {
            let is_such = |path: &&PathBuf| path.extension().is_some_and(|other| other == extension);
            let mut paths: Vec<PathBuf> = files.iter().filter(is_such).cloned().collect();
            paths.sort();
            paths
        };
        let segments = with("jsonl");
        for index in with("idx") {
            assert!(segments.contains(&index.with_extension("jsonl")), "{} is left over", index.display());
        }
        let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().parse::<Seq>().unwrap();
        let first = name(&segments[0]);
        let mut next = first;
        for segment in &segments {
            let bytes = std::fs::read(segment).unwrap();
            assert_eq!(name(segment), next, "{}", segment.display());
            for line in bytes.split_inclusive(|&byte| byte == b'\n') {
                let Some(known) = self.line(next) else {
                    // The process was killed after this was read over HTTP.
                    return first;
                };
                assert_eq!(line, [known.as_bytes(), b"\n"].concat(), "seq {next}");
                next += 1;
            }
        }
        assert_eq!(next, self.head() + 1, "the files end too early");
        first
    }
}
