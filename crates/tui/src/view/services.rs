//! The services: status, how long they took to start, drift, failures.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use rig_event::Verdict;

use super::{paint, put, scrolled, span};
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
    // status 9, start-up 7, drift 9, failures 5, and the marks and gaps.
    let name_width = usize::from(area.width).saturating_sub(34);
    let wide = name_width >= 12;
    let name_width = if wide { name_width } else { usize::from(area.width).saturating_sub(15) };
    for (row, (at, name)) in player.services.iter().enumerate().skip(first).take(rows).enumerate() {
        let chosen = at == player.selected;
        let mark = if chosen { "▸" } else { " " };
        let line = if at == 0 {
            let failures = index::before(&player.index.failures, player.at()) as u64;
            let mut spans = vec![
                span(format!("{mark} "), theme.title()),
                span(text::fit("all", name_width), theme.title()),
            ];
            if wide {
                spans.push(span(format!(" {:<9}{:>7} {:<9}", "status", "start", "drift"), theme.dim()));
            } else {
                spans.push(span(text::fit("", 8), theme.dim()));
            }
            spans.push(fails(player, failures));
            Line::from(spans)
        } else {
            service(player, name, mark, name_width, wide)
        };
        put(buffer, area, row, line);
        if chosen && player.pane == Pane::Services {
            paint(buffer, area, row, theme.chosen());
        }
    }
}

fn service(player: &Player, name: &str, mark: &str, name_width: usize, wide: bool) -> Line<'static> {
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
    let shown = text::fit(&text::plain(name), name_width);
    let name_style = if state.is_some() { theme.name() } else { theme.dim() };
    let mut spans = vec![span(mark.to_owned(), theme.title()), span(sign, style), span(shown, name_style)];
    if wide {
        spans.push(span(format!(" {}", text::fit(status.as_deref().unwrap_or("–"), 9)), style));
        spans.push(span(text::right(&start(player, name), 7), theme.dim()));
        spans.push(span(format!(" {}", text::fit(verdict, 9)), drift_style));
    } else {
        spans.push(span(format!(" {}", text::fit(status.as_deref().unwrap_or("–"), 7)), style));
    }
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

/// How long it took to start, or has been starting.
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
