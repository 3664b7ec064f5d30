//! A player over some lines or a fixture, and what its screen shows.

use std::path::Path;
use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use rig_replay::Timeline;
use rig_tui::{Message, News, Options, Player, view};

pub fn options() -> Options {
    Options {
        source: "test.jsonl".into(),
        total: None,
        live: false,
        follow: false,
        at: None,
        speed: None,
        colour: true,
    }
}

pub fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/sessions").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub fn player(bytes: Vec<u8>, options: Options) -> Player {
    let len = bytes.len() as u64;
    let mut timeline = Timeline::new(Arc::new(bytes), "test");
    timeline.index(len, true).unwrap();
    let mut player = Player::new(timeline, options).unwrap();
    player.take(News::Ended);
    player
}

/// The screen as text, after everything was found out.
pub fn screen(player: &mut Player, width: u16, height: u16) -> String {
    terminal(player, width, height).backend().to_string()
}

pub fn terminal(player: &mut Player, width: u16, height: u16) -> Terminal<TestBackend> {
    player.update(Message::Resize(width, height));
    player.prepare();
    while player.work() {}
    player.prepare();
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(player, frame)).unwrap();
    terminal
}

pub fn press(player: &mut Player, messages: impl IntoIterator<Item = Message>) {
    for message in messages {
        player.prepare();
        while player.work() {}
        player.update(message);
    }
}
