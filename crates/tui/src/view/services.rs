//! The services: status, how long they took to start, drift, failures.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use rig_event::Verdict;

use super::{paint, put, span};
use crate::state::layout::scrolled;
use crate::state::{Pane, Player, index};
use crate::text;

pub(super) fn note(player: &Player) -> String {
    let services = player.services.len().saturating_sub(1) as u64;
    let more = if player.index.unlisted > 0 { "+" } else { "" };
    format!("{}{more}", text::count(services))
}

pub(super) fn draw(player: &Player, area: Rect, buffer: &mut Buffer) {
    let theme = player.theme;
    let rows = usize::from(area.height);
    let first = scrolled(player.selected, player.services.len(), rows);
    let columns = Columns::of(usize::from(area.width));
    for (row, (at, name)) in player.services.iter().enumerate().skip(first).take(rows).enumerate() {
        let chosen = at == player.selected;
        let mark = if chosen { "▸" } else { " " };
        let line = if at == 0 {
            let failures = index::before(&player.index.failures, player.at()) as u64;
            let head = format!(
                " {} {} {} ",
                text::fit("status", columns.status),
                text::right("start", columns.start),
                text::fit(if columns.drift > 1 { "drift" } else { "" }, columns.drift)
            );
            let mut spans = vec![
                span(format!("{mark} "), theme.title()),
                span(text::fit("all", columns.name), theme.title()),
                span(head, theme.dim()),
            ];
            spans.push(fails(player, failures));
            Line::from(spans)
        } else {
            service(player, name, mark, columns)
        };
        put(buffer, area, row, line);
        if chosen && player.pane == Pane::Services {
            paint(buffer, area, row, theme.chosen());
        }
    }
}

/// Widths of the columns.
#[derive(Clone, Copy)]
struct Columns {
    name: usize,
    status: usize,
    start: usize,
    drift: usize,
}

impl Columns {
    /// The name takes what the others leave; marks, gaps and failures take eleven.
    fn of(width: usize) -> Columns {
        let (status, start, drift) = if width >= 50 { (8, 7, 9) } else { (8, 6, 1) };
        Columns { name: width.saturating_sub(11 + status + start + drift).max(4), status, start, drift }
    }
}

fn service(player: &Player, name: &str, mark: &str, columns: Columns) -> Line<'static> {
    let theme = player.theme;
    let state = player.state().service(name);
    let status = state.and_then(|service| service.status.clone());
    let life = player.index.services.get(name);
    let (sign, style) = match status.as_deref() {
        Some("failed") => ("✗", theme.bad()),
        Some("ready" | "healthy") => ("●", theme.good()),
        Some("starting") => ("◌", theme.warn()),
        Some("stopping" | "stopped") => ("○", theme.dim()),
        Some(_) => ("?", theme.warn()),
        None if state.is_some() => ("·", theme.dim()),
        None => (" ", theme.dim()),
    };
    let failures = life.map_or(0, |life| index::before(&life.failures, player.at())) as u64;
    let drift = state.and_then(|service| service.drift.as_ref());
    let (verdict, drift_style) = match drift.map(|drift| drift.verdict) {
        Some(Verdict::Drifted) => ("◆drifted", theme.warn()),
        Some(Verdict::Accepted) => ("◇accepted", theme.dim()),
        Some(Verdict::InSync) => ("=in-sync", theme.good()),
        None => ("", theme.dim()),
    };
    let shown = text::fit(&text::plain(name), columns.name);
    let name_style = if state.is_some() { theme.name() } else { theme.dim() };
    let mut spans = vec![span(mark.to_owned(), theme.title()), span(sign, style), span(shown, name_style)];
    let status = text::plain(status.as_deref().unwrap_or("–"));
    spans.push(span(format!(" {}", text::fit(&status, columns.status)), style));
    spans.push(span(format!(" {}", text::right(&start(player, name), columns.start)), theme.dim()));
    // The sign alone says it where there is no room for the word.
    let verdict: String = verdict.chars().take(columns.drift).collect();
    spans.push(span(format!(" {} ", text::fit(&verdict, columns.drift)), drift_style));
    spans.push(fails(player, failures));
    Line::from(spans)
}

fn fails(player: &Player, failures: u64) -> ratatui::text::Span<'static> {
    if failures == 0 {
        span("     ", player.theme.dim())
    } else {
        span(text::right(&format!("✗{}", text::brief(failures)), 5), player.theme.bad())
    }
}

/// Returns the time that a service took to start, or has been starting.
fn start(player: &Player, name: &str) -> String {
    let Some((began, up)) = player.index.services.get(name).and_then(|life| life.start(player.at())) else {
        return String::new();
    };
    let ts = |at: usize| player.timeline.entry(at).ts.as_micros();
    match up {
        Some(up) => text::span(ts(up).saturating_sub(ts(began))),
        None => {
            let now = player.here().map_or(began, |here| here.max(began));
            format!("{}…", text::span(ts(now).saturating_sub(ts(began))))
        }
    }
}
