//! A page over the panes: the keys, an event in full, a field, what was copied.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Widget as _};

use super::{put, span};
use crate::state::Player;
use crate::state::keys::KEYS;
use crate::text;

pub(super) fn draw(player: &Player, screen: Rect, buffer: &mut Buffer) {
    let Some(popup) = &player.popup else { return };
    let theme = player.theme;
    let all = player.page_lines();
    let width = screen.width.saturating_sub(4).min(if popup.lines.is_none() { 76 } else { 140 }).max(10);
    let height =
        (all as u16).saturating_add(2).min(screen.height.saturating_sub(2)).max(3).min(screen.height);
    let area = Rect {
        x: (screen.width.saturating_sub(width)) / 2,
        y: (screen.height.saturating_sub(height)) / 2,
        width: width.min(screen.width),
        height,
    };
    Clear.render(area, buffer);
    let rows = usize::from(area.height.saturating_sub(2));
    let first = popup.scroll.min(all.saturating_sub(rows));
    let place = if all > rows {
        format!(" {}-{} of {all}, ↑ ↓ PgDn ", first + 1, (first + rows).min(all))
    } else {
        String::new()
    };
    let title = format!(" {} ", text::cut(&popup.title, usize::from(area.width).saturating_sub(6)));
    let block = Block::bordered()
        .border_type(BorderType::Double)
        .border_style(theme.focus())
        .title_top(Line::from(Span::styled(title, theme.focus())))
        .title_bottom(Line::from(Span::styled(format!("{place} Esc closes "), theme.dim())).right_aligned());
    let inner = block.inner(area);
    block.render(area, buffer);
    match &popup.lines {
        Some(lines) => {
            for (row, line) in lines.iter().skip(first).take(rows).enumerate() {
                put(buffer, inner, row, Line::from(line.as_str()));
            }
        }
        None => {
            for (row, line) in help(player).into_iter().skip(first).take(rows).enumerate() {
                put(buffer, inner, row, line);
            }
        }
    }
}

fn help(player: &Player) -> Vec<Line<'static>> {
    let theme = player.theme;
    let mut lines = Vec::new();
    for (section, keys) in KEYS {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::from(span(*section, theme.title())));
        for key in *keys {
            lines.push(Line::from(vec![
                span(text::fit(&format!("  {}", key.shown), 13), theme.name()),
                span(key.does, ratatui::style::Style::new()),
            ]));
        }
    }
    lines
}
