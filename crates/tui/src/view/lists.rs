//! Events, output and traffic: lists around the place where the player stands. What has not happened yet is dim.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{paint, put, span};
use crate::state::found::Found;
use crate::state::rows::Row;
use crate::state::{Pane, Player};
use crate::text;

pub(super) fn title(player: &Player, pane: Pane) -> (String, String) {
    let found: &Found = match pane {
        Pane::Logs => &player.logs,
        Pane::Traffic => &player.traffic,
        _ => &player.events,
    };
    let service = found.filter().service.as_ref();
    let of = service.map(|name| format!(" of {}", text::plain(name))).unwrap_or_default();
    let (before, all) = (found.before(player.at()) as u64, found.len() as u64);
    let looking = if found.is_open(&player.timeline) {
        format!(", {}% looked at", found.percent(&player.timeline))
    } else {
        String::new()
    };
    (format!("{}{of}", pane.title()), format!("{} of {}{looking}", text::count(before), text::count(all)))
}

/// Draws rows; `line` makes one of them.
fn draw(
    player: &Player,
    pane: Pane,
    rows: &[Row],
    area: Rect,
    buffer: &mut Buffer,
    line: impl Fn(&Row, bool) -> Vec<Span<'static>>,
) {
    let theme = player.theme;
    if rows.is_empty() {
        let what = match pane {
            _ if player.timeline.is_empty() => "nothing yet",
            Pane::Logs => "no output",
            Pane::Traffic => "no traffic",
            _ => "no event that the filter takes",
        };
        put(buffer, area, 0, Line::from(span(what, theme.dim())));
        return;
    }
    // The last of the list that happened is where it stands; the arrow is full when that is the very event.
    let current = rows.iter().rposition(|row| row.at < player.at());
    for (at, row) in rows.iter().enumerate() {
        let future = row.at >= player.at();
        let exact = Some(row.at) == player.here();
        let mark = match (current == Some(at), exact) {
            (true, true) => "▶",
            (true, false) => "▷",
            _ => " ",
        };
        let mut spans = vec![span(mark, theme.title())];
        spans.extend(line(row, future));
        if future {
            for span in &mut spans {
                span.style = theme.dim();
            }
        }
        put(buffer, area, at, Line::from(spans));
        if current == Some(at) && player.pane == pane {
            paint(buffer, area, at, theme.chosen());
        }
    }
}

fn seq_width(player: &Player) -> usize {
    let last = player.timeline.len().checked_sub(1).map_or(1, |last| player.timeline.seq(last));
    last.to_string().len().max(3)
}

fn kind(player: &Player, row: &Row) -> Style {
    let theme = player.theme;
    let family = row.type_name.split('.').next().unwrap_or("");
    match family {
        _ if row.failure => theme.bad(),
        "drift" => theme.warn(),
        "diff" | "snapshot" | "baseline" => theme.config(),
        "service" if row.stderr => theme.warn(),
        "service" | "environment" if row.type_name != "service.log" => theme.good(),
        _ => Style::new(),
    }
}

pub(super) fn events(player: &Player, area: Rect, buffer: &mut Buffer) {
    let theme = player.theme;
    let width = usize::from(area.width);
    let seq = seq_width(player);
    let types = if width >= 90 { 18 } else { 15 };
    let who = (width / 5).clamp(10, 28);
    draw(player, Pane::Events, &player.shown.events, area, buffer, |row, _| {
        let sign = if row.failure { "✗" } else { " " };
        vec![
            span(text::right(&row.seq.to_string(), seq), theme.dim()),
            span(sign, theme.bad()),
            span(format!("{} ", text::clock(row.ts)), theme.dim()),
            span(text::fit(&row.type_name, types), kind(player, row)),
            span(format!(" {} ", text::fit(&row.who, who)), theme.name()),
            span(said(row), Style::new()),
        ]
    });
}

/// Returns the words for an event, with status and latency of a request in front.
fn said(row: &Row) -> String {
    let status = row.status.as_ref().map(|status| format!("{status} ")).unwrap_or_default();
    let latency = row.latency_us.map(|us| format!("  {}", latency(us))).unwrap_or_default();
    format!("{status}{}{latency}", row.text)
}

fn latency(us: u64) -> String {
    text::span(i64::try_from(us).unwrap_or(i64::MAX))
}

pub(super) fn logs(player: &Player, area: Rect, buffer: &mut Buffer) {
    let theme = player.theme;
    let one = player.logs.filter().service.is_some();
    let who = if one { 0 } else { (usize::from(area.width) / 6).clamp(8, 20) };
    draw(player, Pane::Logs, &player.shown.logs, area, buffer, |row, _| {
        let mut spans = vec![span(format!("{} ", text::clock(row.ts)), theme.dim())];
        if who > 0 {
            spans.push(span(format!("{} ", text::fit(&row.who, who)), theme.name()));
        }
        let (mark, style) = if row.stderr { ("! ", theme.warn()) } else { ("  ", Style::new()) };
        spans.push(span(mark, style));
        spans.push(span(row.text.clone(), style));
        spans
    });
}

pub(super) fn traffic(player: &Player, area: Rect, buffer: &mut Buffer) {
    let theme = player.theme;
    let width = usize::from(area.width);
    let who = (width / 4).clamp(12, 34);
    // Mark, time, edge, status and latency stand beside what was asked for.
    let text_width = width.saturating_sub(1 + 13 + who + 1 + 12 + 9);
    draw(player, Pane::Traffic, &player.shown.traffic, area, buffer, |row, _| {
        let status = row.status.clone().unwrap_or_else(|| "–".to_owned());
        let status_style = match status.chars().next() {
            _ if row.failure => theme.bad(),
            Some('4') => theme.warn(),
            Some('2' | 'O') => theme.good(),
            _ => theme.dim(),
        };
        let sign = if row.failure { "✗" } else { " " };
        vec![
            span(format!("{} ", text::clock(row.ts)), theme.dim()),
            span(format!("{} ", text::fit(&row.who, who)), theme.name()),
            span(text::fit(&row.text, text_width), Style::new()),
            span(format!(" {sign}{}", text::fit(&status, 10)), status_style),
            span(text::right(&row.latency_us.map(latency).unwrap_or_default(), 9), theme.dim()),
        ]
    });
}
