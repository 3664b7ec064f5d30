//! Translates keys and mouse events to messages, by the key table.

use crossterm::event::KeyCode::{self, Char};
use crossterm::event::{Event, KeyEvent, KeyEventKind, MouseButton, MouseEventKind};

use crate::state::keys::{CONTROL, KEYS, SHIFT};
use crate::state::{Message, Mode};

/// Returns the message of each key in the table.
pub fn messages() -> impl Iterator<Item = Message> {
    let keys = KEYS.iter().flat_map(|(_, keys)| keys.iter()).flat_map(|key| key.keys);
    keys.map(|(_, _, message)| message.clone())
}

/// Translates an event of the terminal to a message, if it has one.
pub fn message(event: &Event, mode: Mode) -> Option<Message> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => pressed(*key, mode),
        Event::Resize(width, height) => Some(Message::Resize(*width, *height)),
        Event::Paste(text) if mode == Mode::Prompt => Some(Message::Paste(text.clone())),
        Event::Mouse(mouse) => {
            let (x, y) = (mouse.column, mouse.row);
            match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => Some(Message::Click(x, y)),
                MouseEventKind::Drag(MouseButton::Left) => Some(Message::Drag(x, y)),
                MouseEventKind::Up(MouseButton::Left) => Some(Message::Drop),
                MouseEventKind::ScrollUp => Some(Message::Scroll(x, y, -1)),
                MouseEventKind::ScrollDown => Some(Message::Scroll(x, y, 1)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn pressed(key: KeyEvent, mode: Mode) -> Option<Message> {
    let control = key.modifiers.contains(CONTROL);
    if control && key.code == Char('c') {
        return Some(Message::Quit);
    }
    if control && key.code == Char('z') {
        return Some(Message::Suspend);
    }
    if mode == Mode::Prompt {
        return match key.code {
            KeyCode::Enter => Some(Message::Submit),
            KeyCode::Esc => Some(Message::Back),
            KeyCode::Backspace => Some(Message::Erase),
            Char('u') if control => Some(Message::EraseAll),
            Char(c) if !control => Some(Message::Type(c)),
            _ => None,
        };
    }
    if mode == Mode::Popup {
        match key.code {
            KeyCode::Enter | Char('q' | '?') => return Some(Message::Back),
            KeyCode::PageUp => return Some(Message::Move(-10)),
            KeyCode::PageDown | Char(' ') => return Some(Message::Move(10)),
            KeyCode::Home => return Some(Message::Move(isize::MIN)),
            KeyCode::End => return Some(Message::Move(isize::MAX)),
            _ => {}
        }
    }
    // A character already says whether Shift was held.
    let modifiers = match key.code {
        Char(_) | KeyCode::BackTab => key.modifiers - SHIFT,
        _ => key.modifiers,
    };
    KEYS.iter()
        .flat_map(|(_, keys)| keys.iter())
        .flat_map(|key| key.keys)
        .find(|(code, with, _)| *code == key.code && *with == modifiers)
        .map(|(_, _, message)| message.clone())
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyModifiers;

    use super::*;

    const NONE: KeyModifiers = KeyModifiers::NONE;

    fn press(code: KeyCode, modifiers: KeyModifiers, mode: Mode) -> Option<Message> {
        message(&Event::Key(KeyEvent::new(code, modifiers)), mode)
    }

    #[test]
    fn no_key_stands_twice_in_the_table() {
        let mut seen = Vec::new();
        for (code, modifiers, _) in KEYS.iter().flat_map(|(_, keys)| keys.iter()).flat_map(|key| key.keys) {
            assert!(!seen.contains(&(*code, *modifiers)), "{code:?}");
            seen.push((*code, *modifiers));
        }
    }

    #[test]
    fn a_prompt_takes_letters_and_control_c_always_quits() {
        assert_eq!(press(Char('q'), NONE, Mode::Prompt), Some(Message::Type('q')));
        assert_eq!(press(Char('q'), NONE, Mode::Normal), Some(Message::Quit));
        assert_eq!(press(Char('q'), NONE, Mode::Popup), Some(Message::Back));
        assert_eq!(press(Char('F'), SHIFT, Mode::Normal), Some(Message::PreviousFailure));
        for mode in [Mode::Normal, Mode::Prompt, Mode::Popup] {
            assert_eq!(press(Char('c'), CONTROL, mode), Some(Message::Quit));
        }
        assert_eq!(press(Char('x'), CONTROL, Mode::Normal), None);
    }
}
