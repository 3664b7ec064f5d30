//! What each pane shows, on a small screen and a large one.

use rig_tui::state::Pane;
use rig_tui::{Message, Options, Player};

use crate::model::log;
use crate::screen::*;

fn at(name: &str, messages: impl IntoIterator<Item = Message>) -> Player {
    let mut player = player(fixture(name), options());
    press(&mut player, messages);
    player
}

/// A screen, looked at as a picture in `snapshots/`.
macro_rules! looks {
    ($name:literal, $player:expr, $width:literal, $height:literal) => {
        insta::assert_snapshot!($name, screen(&mut $player, $width, $height));
    };
}

#[test]
fn everything_at_once_on_a_large_screen() {
    let mut player = at("v1/drift.jsonl", [Message::NextDrift, Message::Focus(Pane::Config)]);
    looks!("drift_160x48", player, 160, 48);
    looks!("drift_200x60", player, 200, 60);
}

#[test]
fn one_pane_at_a_time_on_a_small_screen() {
    let mut player = at("v1/drift.jsonl", [Message::NextDrift]);
    for pane in Pane::ALL {
        player.update(Message::Focus(pane));
        insta::assert_snapshot!(
            format!("{}_80x24", pane.title().to_lowercase()),
            screen(&mut player, 80, 24)
        );
    }
}

#[test]
fn what_changed_between_there_and_here_stands_side_by_side() {
    let mark = [Message::Seek(2), Message::Mark, Message::End, Message::Focus(Pane::Config)];
    let mut player = at("v1/drift.jsonl", mark);
    looks!("split_80x24", player, 80, 24);
}

#[test]
fn an_event_and_a_field_in_full_and_the_keys() {
    let mut player = at("v1/drift.jsonl", [Message::NextDrift, Message::Open]);
    looks!("detail_80x24", player, 80, 24);
    press(&mut player, [Message::Back, Message::Focus(Pane::Config), Message::Move(7), Message::Open]);
    looks!("field_80x24", player, 80, 24);
    press(&mut player, [Message::Back, Message::Help]);
    looks!("help_100x50", player, 100, 50);
}

#[test]
fn a_rigd_log_shows_traffic_and_failures() {
    let mut player = at("v1/rigd.jsonl", [Message::FirstFailure, Message::Focus(Pane::Traffic)]);
    looks!("rigd_160x48", player, 160, 48);
}

#[test]
fn an_empty_recording_and_one_of_one_event() {
    let mut empty = player(Vec::new(), options());
    let shown = screen(&mut empty, 80, 24);
    assert!(shown.contains("no events yet") && shown.contains("nothing yet"), "{shown}");
    let mut one = player(log(1), options());
    assert!(screen(&mut one, 80, 24).contains("seq 1 of 1"));
}

#[test]
fn damage_is_named_and_what_comes_before_it_is_there() {
    let mut torn = at("v1/torn.jsonl", [Message::End]);
    assert!(screen(&mut torn, 80, 24).contains("CUT: the last"));
    let mut text = String::from_utf8(fixture("v1/hello.jsonl")).unwrap();
    text = text.replacen("\"seq\":4", "\"seq\":9", 1);
    let mut damaged = player(text.into(), options());
    let shown = screen(&mut damaged, 120, 24);
    assert!(shown.contains("DAMAGED, readable to here: line 5"), "{shown}");
    assert_eq!(damaged.timeline.len(), 3);
}

#[test]
fn hostile_text_never_steers_the_terminal() {
    let evil = r#"\u001b[2J\u001b]52;c;aGk=\u0007\u009b31m\u202eabc\r\n\t日本語👩‍💻e\u0301"#;
    let long = "語".repeat(5000);
    let lines = format!(
        "{{\"seq\":1,\"ts\":\"2026-11-20T10:00:00Z\",\"type\":\"service.log\",\"service\":\"a\",\"stream\":\"stderr\",\"data\":\"{evil}{long}\"}}\n\
         {{\"seq\":2,\"ts\":\"2026-11-20T10:00:01Z\",\"type\":\"request.completed\",\"source\":\"{evil}\",\"target\":\"{long}\",\"method\":\"{evil}\",\"path\":\"{evil}\",\"status\":500}}\n\
         {{\"seq\":3,\"ts\":\"2026-11-20T10:00:02Z\",\"type\":\"x.y\",\"{evil}\":\"{evil}\"}}\n"
    );
    let mut player = player(lines.into(), Options { source: "\u{1b}[2J.jsonl".into(), ..options() });
    for step in 0..4 {
        player.update(Message::Seek(step));
        for pane in Pane::ALL {
            player.update(Message::Focus(pane));
            for open in [false, true] {
                if open {
                    player.update(Message::Open);
                }
                for (width, height) in [(80, 24), (160, 48), (21, 7)] {
                    let terminal = terminal(&mut player, width, height);
                    for cell in terminal.backend().buffer().content() {
                        assert!(
                            !cell.symbol().chars().any(|c| c.is_control() || c == '\u{202e}'),
                            "{cell:?}"
                        );
                    }
                }
                player.popup = None;
                player.prompt = None;
            }
        }
    }
}

#[test]
fn without_colours_there_are_none() {
    let mut player = player(fixture("v1/drift.jsonl"), Options { colour: false, ..options() });
    for message in [Message::NextDrift, Message::Mark, Message::End, Message::Help] {
        press(&mut player, [message]);
        let terminal = terminal(&mut player, 160, 48);
        for cell in terminal.backend().buffer().content() {
            assert_eq!((cell.fg, cell.bg), (ratatui::style::Color::Reset, ratatui::style::Color::Reset));
        }
    }
}

#[test]
fn any_size_is_drawn() {
    let mut player = at("v1/drift.jsonl", [Message::NextDrift, Message::Help]);
    for (width, height) in [(1, 1), (20, 4), (20, 5), (30, 6), (118, 30), (119, 29), (500, 10), (40, 200)] {
        screen(&mut player, width, height);
    }
}

#[test]
fn a_secret_is_three_dots_and_its_fingerprint() {
    let mut player = at("v1/drift.jsonl", [Message::End, Message::Focus(Pane::Config)]);
    assert!(screen(&mut player, 80, 24).contains("●●● hmac:k1:"));
}
