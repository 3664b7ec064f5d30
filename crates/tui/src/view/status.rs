//! The last line: what is typed, what went wrong, the filter, and the keys that matter most.

use ratatui::buffer::Buffer;
use ratatui::text::Line;

use super::{put, span};
use crate::state::layout::Layout;
use crate::state::{Ask, Player};
use crate::text;

pub(super) fn draw(player: &Player, layout: &Layout, buffer: &mut Buffer) {
    let theme = player.theme;
    let width = usize::from(layout.status.width);
    if let Some(prompt) = &player.prompt {
        let label = match prompt.what {
            Ask::Place => "go to: ",
            Ask::Filter => "filter: ",
        };
        let hint = match (&prompt.wrong, prompt.what) {
            (Some(wrong), _) => wrong.clone(),
            (None, Ask::Place) => "seq, 50%, 10:30:05, +30s".to_owned(),
            (None, Ask::Filter) => "type:diff.* service:api failed text".to_owned(),
        };
        // What was typed last is what has to be seen.
        let room = width.saturating_sub(label.len() + 2);
        let mut typed = text::plain(&prompt.text);
        while text::width(&typed) > room {
            typed.remove(0);
        }
        let left = room.saturating_sub(text::width(&typed) + 2);
        let style = if prompt.wrong.is_some() { theme.bad() } else { theme.dim() };
        put(
            buffer,
            layout.status,
            0,
            Line::from(vec![
                span(label, theme.focus()),
                span(typed, theme.title()),
                span(" ", theme.chosen()),
                span(format!("  {}", text::cut(&hint, left)), style),
            ]),
        );
        return;
    }
    let mut spans = Vec::new();
    if let Some(note) = &player.note {
        spans.push(span(format!(" {note} "), theme.warn()));
    }
    if let Some(trouble) = player.trouble() {
        let bad = trouble.starts_with(|c: char| c.is_ascii_uppercase());
        spans.push(span(format!(" {trouble} "), if bad { theme.bad() } else { theme.warn() }));
    }
    if !player.filter.is_empty() {
        spans.push(span(format!(" filter: {} ", text::plain(&player.filter)), theme.focus()));
    }
    let keys =
        " ? help  q quit  space play  ←→ step  ! f failure  d drift  c config  g go to  / filter  m compare";
    spans.push(span(keys, theme.dim()));
    put(buffer, layout.status, 0, Line::from(spans));
}
