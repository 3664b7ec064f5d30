//! The configuration of the selected service as a tree, and while comparing, what differs from the mark.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{paint, put, span};
use crate::state::layout::scrolled;
use crate::state::tree::Kind;
use crate::state::{Pane, Player};
use crate::text;

pub(super) fn title(player: &Player) -> (String, String) {
    let Some(name) = &player.shown.service else { return ("Config".to_owned(), String::new()) };
    let Some(service) = player.state().service(name) else {
        return (format!("Config of {}", text::plain(name)), "not captured yet".to_owned());
    };
    let note = if service.is_captured() {
        let here = player.state().seq == service.config_seq;
        let changed =
            if here { "CHANGED HERE".to_owned() } else { format!("since seq {}", service.config_seq) };
        format!("{} {} fields, {changed}", text::plain(&service.format), service.config.len())
    } else {
        "not captured yet".to_owned()
    };
    (format!("Config of {}", text::plain(name)), note)
}

pub(super) fn draw(player: &Player, area: Rect, buffer: &mut Buffer) {
    let theme = player.theme;
    let tree = &player.shown.tree;
    if tree.is_empty() {
        let why = if player.shown.service.is_none() {
            "no configuration was captured up to here"
        } else {
            "no configuration of it up to here"
        };
        put(buffer, area, 0, Line::from(span(why, theme.dim())));
        return;
    }
    let Some(service) = player.shown.service.as_ref().and_then(|name| player.state().service(name)) else {
        return;
    };
    let history = player.histories.last();
    let rows = usize::from(area.height);
    let width = usize::from(area.width);
    // Origin and since take a share of their own where there is room.
    let since_width = if width >= 40 { 8 } else { 0 };
    let origin_width = if width >= 58 { (width / 4).min(26) } else { 0 };
    let room = width.saturating_sub(since_width + origin_width + 2);
    let first = scrolled(player.line, tree.len(), rows);
    for (row, (at, shown)) in tree.iter().enumerate().skip(first).take(rows).enumerate() {
        let indent = "  ".repeat(shown.depth.min(12));
        let changed = history.is_some_and(|history| history.changed.contains_key(&shown.path));
        let new = history.and_then(|history| history.changed.get(&shown.path)).is_some_and(Option::is_none);
        let mut fresh = false;
        let mut spans = Vec::new();
        match &shown.kind {
            Kind::Group { open, fields } => {
                let sign = if *open { "▾" } else { "▸" };
                let inside = history.is_some_and(|history| {
                    !open && history.changed.keys().any(|path| path.starts_with(&shown.path))
                });
                let mark = if inside { "~" } else { " " };
                spans.push(span(format!("{mark}{indent}{sign} {}", shown.label), theme.title()));
                if !open {
                    spans.push(span(format!("  {fields} fields"), theme.dim()));
                }
            }
            Kind::Field(value) => {
                fresh = changed;
                let mark = if new {
                    "+"
                } else if changed {
                    "~"
                } else {
                    " "
                };
                let label = format!("{mark}{indent}  {} ", shown.label);
                let left = room.saturating_sub(text::width(&label));
                let secret = value.starts_with("●●●");
                let before = history.and_then(|h| h.changed.get(&shown.path)).and_then(Option::as_ref);
                let is_lines =
                    |value: &serde_json::Value| value.as_str().is_some_and(|text| text.contains('\n'));
                let (value, was) = match (before, service.config.get(&shown.path)) {
                    (Some(before), Some(after)) if !is_lines(before) && !is_lines(after) => {
                        let (before, after) = text::both(before, after);
                        (after, format!("  was {before}"))
                    }
                    _ => (value.clone(), String::new()),
                };
                let value = text::cut(&value, left);
                let was = text::cut(&was, left.saturating_sub(text::width(&value)));
                spans.push(span(text::cut(&label, room), theme.name()));
                spans.push(span(value, if secret { theme.warn() } else { ratatui::style::Style::new() }));
                spans.push(span(was, theme.dim()));
            }
            Kind::Removed(value) => {
                let label = format!("-{indent}  {} ", shown.label);
                let left = room.saturating_sub(text::width(&label));
                spans.push(span(text::cut(&label, room), theme.bad()));
                spans.push(span(text::cut(&format!("removed, was {value}"), left), theme.dim()));
            }
            Kind::Line { text: line, fresh: is_fresh } => {
                fresh = *is_fresh;
                let mark = if fresh { "+" } else { " " };
                spans.push(span(
                    text::cut(&format!("{mark}{indent}{line}"), width),
                    theme.title().remove_modifier(ratatui::style::Modifier::BOLD),
                ));
            }
        }
        let chosen = at == player.line && player.pane == Pane::Config;
        let used: usize = spans.iter().map(|span| text::width(&span.content)).sum();
        if matches!(shown.kind, Kind::Field(_)) && since_width > 0 {
            spans.push(span(" ".repeat((room + 1).saturating_sub(used)), theme.dim()));
            if origin_width > 0 {
                let origin = service.provenance.get(&shown.path).or_else(|| service.provenance.get(""));
                let origin = origin.map(|origin| text::plain(origin)).unwrap_or_default();
                spans.push(span(text::fit(&origin, origin_width), theme.dim()));
            }
            let since = match history.map(|h| (h.since.get(&shown.path), h.is_open())) {
                Some((Some(since), _)) => format!("@{}", since.seq),
                Some((None, true)) => "…".to_owned(),
                Some((None, false)) => "before".to_owned(),
                None => String::new(),
            };
            spans.push(span(text::right(&since, since_width), theme.dim()));
        }
        put(buffer, area, row, Line::from(spans));
        let here = player.state().seq == service.config_seq;
        if chosen {
            paint(buffer, area, row, theme.chosen());
        } else if fresh && here {
            paint(buffer, Rect { width: room.min(width) as u16, ..area }, row, theme.fresh());
        } else if fresh {
            paint(buffer, Rect { width: 1, ..area }, row, theme.fresh());
        }
    }
}

pub(super) fn split_title(player: &Player) -> (String, String) {
    let Some(mark) = &player.mark else { return (String::new(), String::new()) };
    let (there, here) = (mark.state.seq, player.state().seq);
    let services = player.shown.split.len();
    (format!("Changed between seq {there} and {here}"), format!("{services} services"))
}

pub(super) fn draw_split(player: &Player, area: Rect, buffer: &mut Buffer) {
    let theme = player.theme;
    let Some(mark) = &player.mark else { return };
    let split = &player.shown.split;
    if split.is_empty() {
        let same = if mark.at == player.at() {
            "This is the marked place. Move, and what changed stands here."
        } else {
            "No service changed between there and here."
        };
        put(buffer, area, 0, Line::from(span(same, theme.dim())));
        return;
    }
    let rows = usize::from(area.height);
    let first = scrolled(player.line, player.split_lines(), rows);
    let width = usize::from(area.width);
    // The selected service comes first.
    let mut row = 0;
    let mut at = 0;
    let selected = player.services.get(player.selected).filter(|_| player.selected > 0);
    let mut order: Vec<_> = split.iter().collect();
    order.sort_by_key(|difference| selected.is_none_or(|name| text::plain(name) != difference.service));
    'all: for difference in order {
        if at + difference.fields.len() < first {
            at += difference.fields.len() + 1;
            continue;
        }
        let mut head = vec![span(difference.service.clone(), theme.name().patch(theme.title()))];
        for word in &difference.words {
            head.push(span(format!("  {word}"), theme.warn()));
        }
        if difference.differing > 0 {
            head.push(span(format!("  {} fields", text::count(difference.differing as u64)), theme.dim()));
        }
        let fields = difference.fields.iter().map(|field| field_line(player, field, width));
        for line in std::iter::once(Line::from(head)).chain(fields) {
            if at >= first {
                if row >= rows {
                    break 'all;
                }
                put(buffer, area, row, line);
                if at == player.line && player.pane == Pane::Config {
                    paint(buffer, area, row, theme.chosen());
                }
                row += 1;
            }
            at += 1;
        }
    }
}

/// `path   there │ here`
fn field_line(
    player: &Player,
    field: &(String, Option<String>, Option<String>),
    width: usize,
) -> Line<'static> {
    let theme = player.theme;
    let (path, there, here) = field;
    let sign = match (there, here) {
        (None, _) => "+",
        (_, None) => "-",
        _ => "~",
    };
    let path_width = (width / 3).max(12).min(width);
    let side = width.saturating_sub(path_width + 3 + 3) / 2;
    let value = |value: &Option<String>| text::fit(value.as_deref().unwrap_or("–"), side);
    Line::from(vec![
        span(format!(" {sign} "), theme.title()),
        span(text::fit(path, path_width), theme.name()),
        span(value(there), theme.bad()),
        span(" │ ", theme.dim()),
        span(value(here), theme.good()),
    ])
}
