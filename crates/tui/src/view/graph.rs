//! Draws the edges between services, with the traffic over each.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{paint, put, span};
use crate::state::layout::scrolled;
use crate::state::{Pane, Player};
use crate::text;

pub(super) fn note(player: &Player) -> String {
    let edges: usize = player.state().edges.values().map(std::collections::BTreeMap::len).sum();
    format!("{edges} {}", if edges == 1 { "edge" } else { "edges" })
}

pub(super) fn draw(player: &Player, area: Rect, buffer: &mut Buffer) {
    let theme = player.theme;
    let edges = &player.state().edges;
    if edges.is_empty() {
        put(buffer, area, 0, Line::from(span("no traffic up to here", theme.dim())));
        return;
    }
    let last = player.here().and_then(|here| player.timeline.entry(here).edge);
    let (rows, width) = (usize::from(area.height), usize::from(area.width));
    let chosen = player.graph_line.min(player.graph_lines().saturating_sub(1));
    let first = scrolled(chosen, player.graph_lines(), rows);
    let mut at = 0;
    let mut row = 0;
    for (source, targets) in edges {
        if at + targets.len() < first {
            at += targets.len() + 1;
            continue;
        }
        let head =
            Line::from(span(text::cut(&text::plain(source), width), theme.name().patch(theme.title())));
        let count = targets.len();
        let below = targets.iter().enumerate().map(|(i, (target, edge))| {
            let branch = if i + 1 == count { "└" } else { "├" };
            let fresh = last == Some((source.as_str(), target.as_str()));
            let arrow = if fresh { "━▶" } else { "─▶" };
            let mut numbers = Vec::new();
            if edge.requests > 0 {
                numbers.push(format!("{} req", text::brief(edge.requests)));
            }
            if edge.connections > 0 {
                numbers.push(format!("{} conn", text::brief(edge.connections)));
            }
            if edge.bytes_in + edge.bytes_out > 0 {
                numbers.push(format!("{}B", text::brief(edge.bytes_in.saturating_add(edge.bytes_out))));
            }
            let failed =
                if edge.failures > 0 { format!(" ✗{}", text::brief(edge.failures)) } else { String::new() };
            let numbers = format!(" {}", numbers.join(" "));
            let room = width.saturating_sub(4 + text::width(&numbers) + text::width(&failed));
            Line::from(vec![
                span(format!("{branch}{arrow} "), if fresh { theme.warn() } else { theme.dim() }),
                span(
                    text::fit(&text::plain(target), room),
                    if edge.failures > 0 { theme.bad() } else { theme.name() },
                ),
                span(numbers, theme.dim()),
                span(failed, theme.bad()),
            ])
        });
        for line in std::iter::once(head).chain(below) {
            if at >= first {
                if row >= rows {
                    return;
                }
                put(buffer, area, row, line);
                if at == chosen && player.pane == Pane::Graph {
                    paint(buffer, area, row, theme.chosen());
                }
                row += 1;
            }
            at += 1;
        }
    }
}
