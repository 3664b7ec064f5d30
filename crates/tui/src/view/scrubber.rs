//! The whole recording on a few lines: how much happened when, and where failures, drifts and config changes lie.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::{put, span};
use crate::state::layout::Layout;
use crate::state::{Player, index};

const BARS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

pub(super) fn draw(player: &Player, layout: &Layout, buffer: &mut Buffer) {
    let (theme, area) = (player.theme, layout.scrubber);
    if area.height == 0 || area.width == 0 {
        return;
    }
    let wide = area.height >= 4;
    let rows: [(&str, Style); 4] = [
        ("events", theme.dim()),
        ("✗ failed", theme.bad()),
        ("◆ drift", theme.warn()),
        ("△ config", theme.config()),
    ];
    if wide {
        for (row, (label, style)) in rows.iter().enumerate() {
            put(buffer, layout.labels, row, Line::from(span(*label, *style)));
        }
    }
    if player.timeline.is_empty() {
        return;
    }
    let heights = heights(player, layout);
    let marks = [&player.index.failures, &player.index.drifts, &player.index.changes];
    let signs = ["✗", "◆", "△"];
    for column in 0..area.width {
        let (from, to) = layout.scrubber_range(player, column);
        let x = area.x + column;
        let bar = heights.get(usize::from(column)).copied().unwrap_or(0);
        set(buffer, x, area.y, BARS[bar], theme.name());
        let has = |marks: &[u32]| index::next(marks, from).is_some_and(|at| at < to);
        if wide {
            for (row, (marks, sign)) in (1..).zip(marks.iter().zip(signs)) {
                let (sign, style) =
                    if has(marks) { (sign, rows[usize::from(row)].1) } else { ("·", theme.dim()) };
                set(buffer, x, area.y + row, sign, style);
            }
        } else if area.height > 1 {
            let first = (1..).zip(marks.iter().zip(signs)).find(|(_, (marks, _))| has(marks));
            let (sign, style) = first.map_or(("·", theme.dim()), |(row, (_, sign))| (sign, rows[row].1));
            set(buffer, x, area.y + 1, sign, style);
        }
    }
    let mut stand = |at: usize, style: Style| {
        buffer.set_style(Rect { x: area.x + layout.column(at), width: 1, ..area }, style);
    };
    if let Some(mark) = &player.mark {
        stand(mark.at.saturating_sub(1), theme.fresh());
    }
    if let Some(here) = player.here() {
        stand(here, theme.chosen());
    } else {
        stand(0, theme.chosen());
    }
}

/// Returns the height of each column's bar: the logarithm of the number of events in it.
fn heights(player: &Player, layout: &Layout) -> Vec<usize> {
    let by_number = player.pace.longest.is_some();
    let weight = |column: u16| {
        let (from, to) = layout.scrubber_range(player, column);
        if to <= from {
            return 0.0;
        }
        let events = (to - from) as f64;
        if !by_number {
            return (events + 1.0).ln();
        }
        // By number every column has as many events: what differs is how quickly they came.
        let timeline = &player.timeline;
        let micros =
            timeline.entry(to - 1).ts.as_micros().saturating_sub(timeline.entry(from).ts.as_micros());
        (events * 1e6 / (micros.max(0) as f64 + 1_000.0) + 1.0).ln()
    };
    let weights: Vec<f64> = (0..layout.scrubber.width).map(weight).collect();
    let most = weights.iter().copied().fold(0.0, f64::max);
    let height =
        |weight: f64| if weight <= 0.0 { 0 } else { ((weight / most * 8.0).ceil() as usize).clamp(1, 8) };
    weights.into_iter().map(height).collect()
}

fn set(buffer: &mut Buffer, x: u16, y: u16, sign: &str, style: Style) {
    buffer.set_stringn(x, y, sign, 1, style);
}
