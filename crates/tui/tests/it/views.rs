//! What each pane shows, on a small screen and a large one.

use rig_tui::Message::{self, *};
use rig_tui::state::Pane;

use crate::screen::*;

#[test]
fn dump() {
    let Ok(wanted) = std::env::var("DUMP") else { return };
    let size = std::env::var("SIZE").unwrap_or("160x48".into());
    let (w, h) = size.split_once('x').unwrap();
    let bytes = std::fs::read(&wanted).unwrap();
    let mut p = player(bytes, options());
    let keys = std::env::var("KEYS").unwrap_or_default();
    for c in keys.chars() {
        let mode = p.mode();
        press(&mut p, rig_tui::input::message(
            &crossterm::event::Event::Key(crossterm::event::KeyEvent::new(match c { '\n' => crossterm::event::KeyCode::Enter, '>' => crossterm::event::KeyCode::End, '\t' => crossterm::event::KeyCode::Tab, c => crossterm::event::KeyCode::Char(c)}, crossterm::event::KeyModifiers::NONE)),
            mode,
        ));
    }
    let _ = (Focus(Pane::Config), Message::End);
    println!("{}", screen(&mut p, w.parse().unwrap(), h.parse().unwrap()));
}
