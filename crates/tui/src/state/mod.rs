//! The model of the player, without a terminal: its place in the timeline, its selection, its pace.
//!
//! [`Player::update`] takes a [`Message`] and is the only way to change it; [`Player::take`] takes what comes from the
//! source. [`Player::work`] does a piece of what would take too long for a frame, and [`Player::prepare`] makes ready what
//! the next frame shows, which is bounded by the size of the screen. There is no clock here: time comes in.

pub mod ask;
pub mod copy;
pub mod found;
pub mod history;
pub mod index;
pub mod keys;
pub mod layout;
mod moves;
pub mod rows;
pub mod split;
pub mod tree;

use std::collections::BTreeSet;
use std::time::Duration;

use rig_replay::timeline::{Chunk, Cursor, Ending, Filter, Pace};
use rig_replay::{State, Timeline};

use crate::text;
use crate::theme::Theme;
use found::Found;
use history::Histories;
use index::Index;
use layout::Layout;
use rows::{Row, Rows};

/// The speeds that the keys choose from.
pub const SPEEDS: [f64; 7] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// The longest pause while idle time is left out.
pub const LONGEST_PAUSE: Duration = Duration::from_millis(300);

/// Most lines of a detail.
const MAX_DETAIL: usize = 5_000;

/// A part of the screen that can have the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pane {
    /// Services with status, start-up time, drift and failures.
    Services,
    /// The config of the selected service; while comparing, what differs.
    Config,
    /// The events.
    Events,
    /// Output of services.
    Logs,
    /// Requests and connections.
    Traffic,
    /// Edges between services.
    Graph,
}

impl Pane {
    /// All of them, in the order of their numbers.
    pub const ALL: [Pane; 6] =
        [Pane::Services, Pane::Config, Pane::Events, Pane::Logs, Pane::Traffic, Pane::Graph];

    /// Its title.
    pub fn title(self) -> &'static str {
        match self {
            Pane::Services => "Services",
            Pane::Config => "Config",
            Pane::Events => "Events",
            Pane::Logs => "Logs",
            Pane::Traffic => "Traffic",
            Pane::Graph => "Graph",
        }
    }
}

/// The receiver of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The panes.
    Normal,
    /// A line that is being typed.
    Prompt,
    /// A page over the panes.
    Popup,
}

/// A request of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table of keys says what each does")]
pub enum Message {
    TogglePlay,
    Step(isize),
    Seek(usize),
    End,
    Faster,
    Slower,
    ToggleIdle,
    FirstFailure,
    NextFailure,
    PreviousFailure,
    NextDrift,
    PreviousDrift,
    NextChange,
    PreviousChange,
    NextFound,
    PreviousFound,
    NextPane,
    PreviousPane,
    Focus(Pane),
    Move(isize),
    Open,
    Zoom,
    Mark,
    ToMark,
    Back,
    AskPlace,
    AskFilter,
    FilterService,
    Type(char),
    Paste(String),
    Erase,
    EraseAll,
    Submit,
    CopyJson,
    CopyCurl,
    Help,
    Suspend,
    Quit,
    Click(u16, u16),
    Drag(u16, u16),
    Drop,
    Scroll(u16, u16, isize),
    Resize(u16, u16),
    /// The time since the player began.
    Tick(Duration),
}

/// An effect that the model cannot have itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Put a text on the clipboard.
    Copy(String),
    /// Leave the terminal to the shell for a while.
    Suspend,
    /// End.
    Quit,
}

/// News from the source.
#[derive(Debug)]
pub enum News {
    /// The next chunk.
    Chunk(Box<Chunk>),
    /// All that was there has come, and of an unfinished line so many bytes; the source is one that may grow.
    Waiting(u64),
    /// All that was there has come; what comes from here on is live.
    CaughtUp,
    /// Something to be said: a lost connection, events that are missing.
    Note(String),
    /// It cannot be read on: why.
    Broken(String),
    /// Nothing more will come.
    Ended,
}

/// The text being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Its purpose.
    pub what: Ask,
    /// As far as it was typed.
    pub text: String,
    /// The mistake in it.
    pub wrong: Option<String>,
}

/// The purpose of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A place to go to.
    Place,
    /// A filter.
    Filter,
}

/// A page over the panes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Popup {
    /// Its title.
    pub title: String,
    /// Its lines, fit to be shown; `None`: the help.
    pub lines: Option<Vec<String>>,
    /// Number of lines above the window.
    pub scroll: usize,
}

/// The other end of a comparison.
#[derive(Clone, Debug)]
pub struct Mark {
    /// After how many events.
    pub at: usize,
    /// The state there.
    pub state: State,
}

/// The content of the next frame.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Rows of the lists.
    pub events: Vec<Row>,
    /// Rows of the lists.
    pub logs: Vec<Row>,
    /// Rows of the lists.
    pub traffic: Vec<Row>,
    /// Whose config is shown.
    pub service: Option<String>,
    /// The rows of its tree.
    pub tree: Vec<tree::Row>,
    /// The key that `tree` was made for.
    tree_key: Option<(String, u64, bool, u64)>,
    /// The differences from the mark.
    pub split: Vec<split::Difference>,
    /// The key that `split` was made for.
    split_key: Option<(usize, usize)>,
}

/// The player.
#[derive(Debug)]
pub struct Player {
    /// The recording.
    pub timeline: Timeline,
    /// Where it stands.
    pub cursor: Cursor,
    /// Marks of the recording.
    pub index: Index,
    /// The name of the source, for the header.
    pub source: String,
    /// Number of bytes to index, if known.
    pub total: Option<u64>,
    /// True if the source grows as things happen.
    pub live: bool,
    /// True if it follows the tip.
    pub following: bool,
    /// True if nothing more will come.
    pub ended: bool,
    /// All that was there has come, and more may: how many bytes of an unfinished line there are.
    pub(crate) waiting: Option<u64>,
    /// Why the source could not be read on.
    pub broken: Option<String>,
    /// A note that is shown until the next key.
    pub note: Option<String>,
    /// The size of the screen.
    pub size: (u16, u16),
    /// The pane with the keyboard.
    pub pane: Pane,
    /// True if the pane is alone on the screen.
    pub zoom: bool,
    /// The selected service, by its place in `services`; 0 is all of them.
    pub selected: usize,
    /// The services, by name.
    pub services: Vec<String>,
    /// The line of the config, or of what differs.
    pub line: usize,
    /// The line of the graph.
    pub graph_line: usize,
    /// Groups of the config that are folded.
    pub closed: BTreeSet<String>,
    closed_version: u64,
    /// Events that are listed.
    pub events: Found,
    /// Output that is listed.
    pub logs: Found,
    /// Traffic that is listed.
    pub traffic: Found,
    /// The filter as it was typed.
    pub filter: String,
    /// The text being typed.
    pub prompt: Option<Prompt>,
    /// The page over the panes.
    pub popup: Option<Popup>,
    /// The other end of a comparison.
    pub mark: Option<Mark>,
    /// The pace of playing.
    pub pace: Pace,
    /// Set while it plays: the time since which the current event is shown.
    pub playing: Option<Option<Duration>>,
    /// True while the mouse holds the scrubber.
    dragging: bool,
    /// Histories of configs.
    pub histories: Histories,
    rows: Rows,
    /// The content of the next frame.
    pub shown: Shown,
    /// The styles.
    pub theme: Theme,
    /// The seq to go to once it is indexed.
    wanted: Option<u64>,
    /// True once the user has moved.
    moved: bool,
}

/// Options for a new player.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of the source, for the header.
    pub source: String,
    /// Number of bytes to index, if known.
    pub total: Option<u64>,
    /// True if the source grows as things happen.
    pub live: bool,
    /// True if the player begins at the tip and follows it.
    pub follow: bool,
    /// The seq to begin at.
    pub at: Option<u64>,
    /// Play at once, so many times as fast as it happened.
    pub speed: Option<f64>,
    /// Whether colours may be used.
    pub colour: bool,
}

impl Player {
    /// A player at the beginning of a timeline that may still be empty.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub fn new(timeline: Timeline, options: Options) -> rig_replay::Result<Player> {
        let cursor = Cursor::new(&timeline)?;
        let mut player = Player {
            cursor,
            timeline,
            index: Index::default(),
            source: text::plain(&options.source),
            total: options.total,
            live: options.live,
            following: options.live && options.follow && options.at.is_none() && options.speed.is_none(),
            ended: false,
            waiting: None,
            broken: None,
            note: None,
            size: (80, 24),
            pane: Pane::Events,
            zoom: false,
            selected: 0,
            services: Vec::new(),
            line: 0,
            graph_line: 0,
            closed: BTreeSet::new(),
            closed_version: 0,
            events: Found::new(Filter::default()),
            logs: Found::default(),
            traffic: Found::default(),
            filter: String::new(),
            prompt: None,
            popup: None,
            mark: None,
            pace: Pace { speed: options.speed.unwrap_or(1.0), longest: None },
            playing: options.speed.map(|_| None),
            dragging: false,
            histories: Histories::default(),
            rows: Rows::default(),
            shown: Shown::default(),
            theme: Theme { colour: options.colour },
            wanted: options.at,
            moved: false,
        };
        player.look();
        player.grown();
        Ok(player)
    }

    /// The receiver of the keys.
    pub fn mode(&self) -> Mode {
        if self.prompt.is_some() {
            Mode::Prompt
        } else if self.popup.is_some() {
            Mode::Popup
        } else {
            Mode::Normal
        }
    }

    /// After how many events it stands.
    pub fn at(&self) -> usize {
        self.cursor.at()
    }

    /// The position of the event that it stands on.
    pub fn here(&self) -> Option<usize> {
        self.at().checked_sub(1)
    }

    /// The state there.
    pub fn state(&self) -> &State {
        self.cursor.state()
    }

    /// Returns true if it shows the present.
    pub fn is_live(&self) -> bool {
        self.live && self.following && !self.ended
    }

    /// Takes what comes from the source.
    pub fn take(&mut self, news: News) {
        match news {
            News::Chunk(chunk) => {
                // What grows is live.
                self.live |= self.waiting.take().is_some();
                self.timeline.extend(*chunk);
                self.grown();
            }
            News::Waiting(torn) => {
                self.waiting = Some(torn);
                self.give_up_wanted();
            }
            News::CaughtUp => self.note = None,
            News::Note(note) => self.note = Some(text::plain(&note)),
            News::Broken(why) => {
                self.broken = Some(text::plain(&why));
                self.end();
            }
            News::Ended => self.end(),
        }
    }

    fn end(&mut self) {
        self.timeline.finish();
        self.ended = true;
        self.grown();
        self.give_up_wanted();
    }

    fn give_up_wanted(&mut self) {
        if let Some(wanted) = self.wanted.take() {
            self.note = Some(format!("there is no seq {wanted} in it"));
        }
    }

    /// Returns true if it broke off before the first event.
    pub fn is_cut_short(&self) -> bool {
        self.broken.is_some() && self.timeline.indexed() == 0
    }

    /// Returns true if nothing more is expected.
    pub fn is_over(&self) -> bool {
        self.ended || (self.waiting.is_some() && !self.live)
    }

    fn grown(&mut self) {
        self.index.grow(&self.timeline);
        if self.services.len() != self.index.services.len() + 1 {
            let selected = self.services.get(self.selected).cloned();
            self.services =
                std::iter::once(String::new()).chain(self.index.services.keys().cloned()).collect();
            self.selected =
                selected.and_then(|name| self.services.binary_search(&name).ok()).unwrap_or(self.selected);
        }
        if self.at() == 0 {
            // The recording may say only now what it begins with.
            if let Ok(cursor) = Cursor::new(&self.timeline) {
                self.cursor = cursor;
            }
        }
        let wanted = self.wanted.and_then(|seq| self.timeline.position(seq));
        if let Some(at) = wanted {
            self.wanted = None;
            self.seek(at + 1);
        } else if self.following {
            self.seek(self.timeline.len());
        } else if !self.moved && self.at() == 0 && !self.timeline.is_empty() && self.wanted.is_none() {
            self.seek(1);
        }
    }

    /// Returns the defect of the recording, if it has one.
    pub fn trouble(&self) -> Option<String> {
        if let Some(damage) = self.timeline.damage() {
            return Some(format!("DAMAGED, readable to here: {}", text::plain(&damage.to_string())));
        }
        if let Some(why) = &self.broken {
            return Some(format!("BROKEN OFF: {why}"));
        }
        if let (places, Some(first)) = self.timeline.passed_over() {
            let first = text::plain(&first.to_string());
            return Some(format!("{} unreadable, first: {first}", text::count(places)));
        }
        match self.timeline.ending() {
            Ending::Open if self.is_over() => match self.waiting {
                Some(bytes @ 1..) => Some(format!("CUT: the last {bytes} bytes are no whole line")),
                _ => self.timeline.header().map(|_| "unfinished: no footer".to_owned()),
            },
            Ending::Torn(bytes) => Some(format!("CUT: the last {bytes} bytes are no whole line")),
            Ending::Unfinished => Some("unfinished: no footer".to_owned()),
            _ => None,
        }
    }

    /// Begins to look for what the lists show.
    fn look(&mut self) {
        let filter = ask::filter(&self.filter);
        let named = self.services.get(self.selected).filter(|_| self.selected > 0).cloned();
        let service = filter.service.clone().or(named);
        let of = |types: &str| Filter {
            types: Some(types.to_owned()),
            service: service.clone(),
            ..filter.clone()
        };
        let wanted = [
            of("service.log"),
            of("request.*,grpc.call.completed,kafka.request.completed,connection.*"),
            filter.clone(),
        ];
        for (found, wanted) in [&mut self.logs, &mut self.traffic, &mut self.events].into_iter().zip(wanted) {
            if *found.filter() != wanted || found.is_empty() {
                *found = Found::new(wanted);
            }
        }
    }

    /// Does a piece of work that no frame waits for; says whether anything changed.
    pub fn work(&mut self) -> bool {
        let mut busy = false;
        for found in [&mut self.events, &mut self.logs, &mut self.traffic] {
            if found.is_open(&self.timeline) {
                busy = true;
                if let Err(error) = found.work(&self.timeline) {
                    self.note = Some(text::plain(&error.to_string()));
                }
            }
        }
        if self.mark.is_none() && self.histories.last().is_some_and(history::History::is_open) {
            busy = true;
            if let Err(error) = self.histories.work(&self.timeline) {
                self.note = Some(text::plain(&error.to_string()));
            }
        }
        busy
    }

    /// Makes ready what the next frame shows.
    pub fn prepare(&mut self) {
        let layout = Layout::new(self);
        for (pane, area) in &layout.panes {
            let found = match pane {
                Pane::Events => &self.events,
                Pane::Logs => &self.logs,
                Pane::Traffic => &self.traffic,
                _ => continue,
            };
            let window = window(found, self.cursor.at(), usize::from(area.height.saturating_sub(2)));
            let positions: Vec<usize> = window.filter_map(|i| found.get(i)).collect();
            let rows: Vec<Row> =
                positions.into_iter().map(|at| self.rows.get(&self.timeline, at).clone()).collect();
            match pane {
                Pane::Events => self.shown.events = rows,
                Pane::Logs => self.shown.logs = rows,
                _ => self.shown.traffic = rows,
            }
        }
        self.prepare_split();
        self.prepare_config();
    }

    fn prepare_split(&mut self) {
        let Some(mark) = &self.mark else {
            self.shown.split.clear();
            self.shown.split_key = None;
            return;
        };
        let key = Some((mark.at, self.cursor.at()));
        if self.shown.split_key != key {
            self.shown.split_key = key;
            self.shown.split = split::differences(&mark.state, self.cursor.state());
        }
    }

    fn prepare_config(&mut self) {
        let name = self.config_service();
        let state = self.cursor.state();
        let found = name.as_ref().and_then(|name| {
            state
                .services
                .iter()
                .find(|(known, _)| known.as_str() == name)
                .map(|(_, service)| service.clone())
        });
        self.shown.service = name;
        let (Some(name), Some(service)) = (self.shown.service.clone(), found) else {
            self.shown.tree.clear();
            self.shown.tree_key = None;
            return;
        };
        let history = match self.histories.ask(&self.timeline, &name, &service) {
            Ok(history) => history,
            Err(error) => {
                self.note = Some(text::plain(&error.to_string()));
                return;
            }
        };
        let key = Some((name, service.config_seq, service.is_captured(), self.closed_version));
        if self.shown.tree_key != key {
            self.shown.tree_key = key;
            let old_text = history.changed.get("text").and_then(Option::as_ref);
            self.shown.tree = tree::rows(&service.config, history.removed.iter(), old_text, &self.closed);
            if self.mark.is_none() {
                self.line = self.line.min(self.shown.tree.len().saturating_sub(1));
            }
        }
    }

    /// Whose config is shown: the selected service's, or that of the last change.
    fn config_service(&self) -> Option<String> {
        if let Some(name) = self.services.get(self.selected).filter(|_| self.selected > 0) {
            return Some(name.clone());
        }
        let last = index::previous(&self.index.changes, self.at());
        let changed = last.and_then(|at| self.timeline.entry(at).service.map(str::to_owned));
        changed.or_else(|| {
            let mut services = self.state().services.iter();
            services.find(|(_, service)| service.is_captured()).map(|(name, _)| name.as_str().to_owned())
        })
    }

    /// Returns the time until the next thing to do while it plays.
    pub fn due_in(&self, now: Duration) -> Option<Duration> {
        let since = self.playing?;
        let (Some(here), Some(since)) = (self.here(), since) else { return Some(Duration::ZERO) };
        if here + 1 >= self.timeline.len() {
            return None;
        }
        let pause = self.pace.pause(self.timeline.entry(here).ts, self.timeline.entry(here + 1).ts);
        Some(pause.saturating_sub(now.saturating_sub(since)))
    }
}

/// Which of those found stand in a list of so many rows: around the last that happened.
pub fn window(found: &Found, at: usize, rows: usize) -> std::ops::Range<usize> {
    let current = found.before(at).saturating_sub(1);
    let start = current.saturating_sub(rows * 3 / 5);
    let start = start.min(found.len().saturating_sub(rows));
    start..(start + rows).min(found.len())
}
