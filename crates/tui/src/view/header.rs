//! The first line: LIVE or REPLAY, what is played, where it stands, how fast it goes.

use ratatui::buffer::Buffer;
use ratatui::text::Line;

use super::{put, span};
use crate::state::Player;
use crate::state::layout::Layout;
use crate::text;

pub(super) fn draw(player: &Player, layout: &Layout, buffer: &mut Buffer) {
    let theme = player.theme;
    let timeline = &player.timeline;
    let width = usize::from(layout.header.width);
    let (badge, style) =
        if player.is_live() { (" ● LIVE ", theme.live()) } else { (" REPLAY ", theme.replay()) };
    let speed = if player.pace.speed.fract() == 0.0 {
        format!("{}x", player.pace.speed)
    } else {
        format!("{:.2}x", player.pace.speed)
    };
    let mode = if player.is_live() {
        String::new()
    } else if player.playing.is_some() {
        format!(" ▶ {speed} ")
    } else {
        format!(" ⏸ {speed} ")
    };
    let idle = if player.pace.longest.is_some() { "idle out " } else { "" };

    let (len, at) = (timeline.len(), player.at());
    let behind = len - at;
    let place = match player.here() {
        Some(here) => {
            let entry = timeline.entry(here);
            let first = timeline.entry(0).ts.as_micros();
            let into = text::span(entry.ts.as_micros().saturating_sub(first));
            let seq = text::count(entry.seq);
            let last = text::count(timeline.seq(len - 1));
            if width >= 100 {
                format!("{} {}  +{into}  seq {seq} of {last}", text::day(entry.ts), text::clock(entry.ts))
            } else {
                format!("{}  +{into}  seq {seq} of {last}", text::clock(entry.ts))
            }
        }
        None if len == 0 => "no events yet".to_owned(),
        None => format!("before seq {} of {}", timeline.seq(0), text::count(timeline.seq(len - 1))),
    };
    let behind = if player.live && !player.ended && !player.is_live() && behind > 0 {
        format!("  {} behind", text::count(behind as u64))
    } else {
        String::new()
    };
    let progress = match player.total.filter(|_| !player.is_over() && !player.live) {
        Some(total) if total > 0 => format!("  indexing {}%", timeline.indexed().min(total) * 100 / total),
        _ if !player.is_over() && !player.live => "  reading".to_owned(),
        _ => String::new(),
    };
    let right = format!("{place}{behind}{progress} ");
    let left = width.saturating_sub(
        text::width(badge) + text::width(&mode) + text::width(idle) + text::width(&right) + 1,
    );
    let stream = text::plain(timeline.stream());
    let named = if player.source.contains(&stream) || stream.is_empty() {
        player.source.clone()
    } else {
        format!("{}  {stream}", player.source)
    };
    let outcome = match timeline.ending() {
        rig_replay::timeline::Ending::Finished(footer) => serde_json::to_value(footer.outcome)
            .ok()
            .and_then(|word| word.as_str().map(|word| format!("  {word}"))),
        _ => timeline
            .rigd_header()
            .and_then(|header| header.outcome.as_deref())
            .map(|outcome| format!("  {}", text::plain(outcome))),
    };
    let outcome = outcome.unwrap_or_default();
    let good = outcome.trim() == "passed";
    let name_room = left.saturating_sub(text::width(&outcome));
    let line = Line::from(vec![
        span(badge, style),
        span(mode, if player.playing.is_some() { theme.good() } else { theme.title() }),
        span(idle, theme.warn()),
        span(text::cut(&named, name_room), theme.title()),
        span(text::cut(&outcome, left), if good { theme.good() } else { theme.bad() }),
    ]);
    put(buffer, layout.header, 0, line);
    let room = text::width(&right).min(width);
    let x = layout.header.right() - room as u16;
    let area = ratatui::layout::Rect { x, width: room as u16, ..layout.header };
    put(buffer, area, 0, Line::from(text::cut(&right, room)));
}
