//! From the model to a frame: one file a pane, nothing is changed and nothing is computed that does not fit on the screen.

mod config;
mod graph;
mod header;
mod lists;
mod popup;
mod scrubber;
mod services;
mod status;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Widget as _};

use crate::state::layout::{self, Layout};
use crate::state::{Pane, Player};
use crate::text;

/// The smallest screen that anything is shown on.
const SMALLEST: (u16, u16) = (20, 4);

/// Draws the player.
pub fn draw(player: &Player, frame: &mut Frame<'_>) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        put(buffer, Rect { height: area.height.min(1), ..area }, 0, Line::from("too small"));
        return;
    }
    let layout = Layout::new(player);
    header::draw(player, &layout, buffer);
    scrubber::draw(player, &layout, buffer);
    for (pane, area) in layout::tabs(layout.tabs) {
        let style = if pane == player.pane { player.theme.chosen() } else { player.theme.dim() };
        let number = Pane::ALL.iter().position(|other| *other == pane).unwrap_or(0) + 1;
        put(buffer, area, 0, Line::from(Span::styled(format!(" {number} {} ", pane.title()), style)));
    }
    for (pane, area) in &layout.panes {
        let pane = *pane;
        let inner = framed(player, pane, *area, buffer);
        match pane {
            Pane::Services => services::draw(player, inner, buffer),
            Pane::Config if player.mark.is_some() => config::draw_split(player, inner, buffer),
            Pane::Config => config::draw(player, inner, buffer),
            Pane::Events => lists::events(player, inner, buffer),
            Pane::Logs => lists::logs(player, inner, buffer),
            Pane::Traffic => lists::traffic(player, inner, buffer),
            Pane::Graph => graph::draw(player, inner, buffer),
        }
    }
    status::draw(player, &layout, buffer);
    popup::draw(player, area, buffer);
}

/// The frame of a pane; gives what is inside.
fn framed(player: &Player, pane: Pane, area: Rect, buffer: &mut Buffer) -> Rect {
    let theme = player.theme;
    let focused = pane == player.pane;
    let number = Pane::ALL.iter().position(|other| *other == pane).unwrap_or(0) + 1;
    let (title, note) = match pane {
        Pane::Config if player.mark.is_some() => config::split_title(player),
        Pane::Config => config::title(player),
        Pane::Services => (pane.title().to_owned(), services::note(player)),
        Pane::Graph => (pane.title().to_owned(), graph::note(player)),
        Pane::Events | Pane::Logs | Pane::Traffic => lists::title(player, pane),
    };
    let style = if focused { theme.focus() } else { theme.dim() };
    let mark = if focused { "▸" } else { " " };
    let room = usize::from(area.width.saturating_sub(4));
    let title = text::cut(&format!("{mark}{number} {title} "), room);
    let left = room.saturating_sub(text::width(&title) + 1);
    let note = if note.is_empty() { note } else { text::cut(&format!(" {note} "), left) };
    let block = Block::bordered()
        .border_type(if focused { BorderType::Thick } else { BorderType::Plain })
        .border_style(style)
        .title_top(Line::from(Span::styled(title, if focused { theme.focus() } else { theme.title() })))
        .title_top(Line::from(Span::styled(note, theme.dim())).right_aligned());
    let inner = block.inner(area);
    block.render(area, buffer);
    inner
}

/// Puts a line into a row of an area.
fn put(buffer: &mut Buffer, area: Rect, row: usize, line: Line<'_>) {
    let Ok(row) = u16::try_from(row) else { return };
    if row < area.height {
        buffer.set_line(area.x, area.y + row, &line, area.width);
    }
}

/// Styles a whole row.
fn paint(buffer: &mut Buffer, area: Rect, row: usize, style: Style) {
    let Ok(row) = u16::try_from(row) else { return };
    if row < area.height {
        buffer.set_style(Rect { y: area.y + row, height: 1, ..area }, style);
    }
}

fn span(text: impl Into<String>, style: Style) -> Span<'static> {
    Span::styled(text.into(), style)
}
