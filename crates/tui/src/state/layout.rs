//! The layout of the screen: the place of each thing, and the thing at each place.

use ratatui::layout::Rect;

use super::{Pane, Player};

/// Below this size one pane is shown at a time.
pub const WIDE: (u16, u16) = (118, 30);

/// The screen, divided.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Badge, source, place, time.
    pub header: Rect,
    /// The lines of the scrubber, without its labels.
    pub scrubber: Rect,
    /// The labels before the lines of the scrubber.
    pub labels: Rect,
    /// The names of the panes; empty where all are shown.
    pub tabs: Rect,
    /// The panes that are shown, with their frames.
    pub panes: Vec<(Pane, Rect)>,
    /// Notes, damage, filter.
    pub status: Rect,
    /// Where the events of each column of the scrubber begin, and where those of the last end.
    bounds: Vec<usize>,
}

/// The thing at a place of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    /// A column of the scrubber.
    Scrubber(u16),
    /// The name of a pane.
    Tab(Pane),
    /// A pane, and a row of it.
    Pane(Pane, u16),
}

impl Layout {
    /// That of a player as large as it is.
    pub fn new(player: &Player) -> Layout {
        let (width, height) = player.size;
        let mut layout = Layout::default();
        let mut top = 0;
        let mut take = |lines: u16| {
            let lines = lines.min(height.saturating_sub(top));
            let area = Rect::new(0, top, width, lines);
            top += lines;
            area
        };
        let wide = width >= WIDE.0 && height >= WIDE.1;
        layout.header = take(1);
        // On a screen of a few lines, what is looked at matters more than where it stands.
        let scrubber = take(if wide {
            4
        } else if height >= 12 {
            2
        } else {
            u16::from(height >= 6)
        });
        let label = if wide { 9 } else { 0 };
        layout.labels = Rect { width: label.min(width), ..scrubber };
        layout.scrubber = Rect { x: layout.labels.width, width: width - layout.labels.width, ..scrubber };
        layout.bounds = bounds(player, layout.scrubber.width);
        let alone = !wide || player.zoom;
        if alone {
            layout.tabs = take(u16::from(height >= 5));
        }
        let body =
            take(height.saturating_sub(layout.header.height + scrubber.height + layout.tabs.height + 1));
        layout.status = take(1);
        layout.panes = if alone { vec![(player.pane, body)] } else { all(body) };
        layout
    }

    /// Returns the number of rows inside a pane's frame; 0 if the pane is not shown.
    pub fn rows(&self, pane: Pane) -> usize {
        let area = self.panes.iter().find(|(shown, _)| *shown == pane).map(|(_, area)| area.height);
        usize::from(area.unwrap_or(0).saturating_sub(2))
    }

    /// Returns the thing at a place of the screen.
    pub fn hit(&self, x: u16, y: u16) -> Option<Hit> {
        let at = (x, y).into();
        if self.scrubber.contains(at) {
            return Some(Hit::Scrubber(x - self.scrubber.x));
        }
        if self.tabs.contains(at) {
            return tabs(self.tabs)
                .into_iter()
                .find(|(_, area)| area.contains(at))
                .map(|(pane, _)| Hit::Tab(pane));
        }
        let (pane, area) = self.panes.iter().find(|(_, area)| area.contains(at))?;
        let row = y.checked_sub(area.y + 1).filter(|row| row + 2 < area.height)?;
        Some(Hit::Pane(*pane, row))
    }

    /// The events of a column of the scrubber: the first, and the one after the last.
    pub fn scrubber_range(&self, player: &Player, column: u16) -> (usize, usize) {
        let column = usize::from(column.min(self.scrubber.width.saturating_sub(1)));
        let len = player.timeline.len();
        let bound = |at: usize| self.bounds.get(at).copied().unwrap_or(len);
        (bound(column).min(len.saturating_sub(1)), bound(column + 1))
    }

    /// The column of an event.
    pub fn column(&self, at: usize) -> u16 {
        let column = self.bounds.partition_point(|bound| *bound <= at).saturating_sub(1);
        (column as u16).min(self.scrubber.width.saturating_sub(1))
    }
}

/// Where the events of each column begin: by their time, or while idle time is left out, by their number.
fn bounds(player: &Player, width: u16) -> Vec<usize> {
    let (timeline, width) = (&player.timeline, usize::from(width));
    let len = timeline.len();
    if len == 0 || width == 0 {
        return Vec::new();
    }
    let first = timeline.entry(0).ts.as_micros();
    let span = timeline.entry(len - 1).ts.as_micros().saturating_sub(first);
    let mut before = 0;
    let bound = |column: usize| {
        let at = if player.pace.longest.is_some() || span <= 0 {
            len * column / width
        } else {
            let into = i128::from(span) * column as i128 / width as i128;
            timeline.at_time(rig_event::Timestamp::from_micros(first.saturating_add(into as i64)))
        };
        before = at.clamp(before, len);
        before
    };
    let mut bounds: Vec<usize> = (0..width).map(bound).collect();
    // The last event belongs to the last column.
    bounds.push(len);
    bounds
}

/// All panes of a wide screen.
fn all(body: Rect) -> Vec<(Pane, Rect)> {
    let left = (body.width / 4).clamp(30, 54);
    let middle = (body.width - left) * 9 / 20;
    let right = body.width - left - middle;
    let column = |x: u16, width: u16| Rect { x: body.x + x, width, ..body };
    let split = |area: Rect, first: u16| {
        let first = first.min(area.height);
        let below = Rect { y: area.y + first, height: area.height - first, ..area };
        (Rect { height: first, ..area }, below)
    };
    let (services, graph) = split(column(0, left), body.height * 3 / 5);
    let (config, logs) = split(column(left, middle), body.height * 3 / 5);
    let (events, traffic) = split(column(left + middle, right), body.height * 3 / 5);
    vec![
        (Pane::Services, services),
        (Pane::Config, config),
        (Pane::Events, events),
        (Pane::Logs, logs),
        (Pane::Traffic, traffic),
        (Pane::Graph, graph),
    ]
}

/// The first row that is shown of a list in which one is chosen.
pub fn scrolled(chosen: usize, len: usize, rows: usize) -> usize {
    let first = chosen.saturating_sub(rows / 2);
    first.min(len.saturating_sub(rows))
}

/// Where the names of the panes stand.
pub fn tabs(area: Rect) -> Vec<(Pane, Rect)> {
    let mut x = area.x;
    let mut tabs = Vec::new();
    for pane in Pane::ALL {
        let width = pane.title().len() as u16 + 4;
        if x + width > area.right() {
            break;
        }
        tabs.push((pane, Rect { x, y: area.y, width, height: area.height.min(1) }));
        x += width + 1;
    }
    tabs
}
