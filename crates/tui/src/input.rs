//! From keys and mouse to messages. One table holds the keys: it is what they do and what the help page says.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind};

use crate::state::{Message, Mode, Pane};

/// A line of the table.
#[derive(Debug)]
pub struct Key {
    /// As the help page writes it.
    pub shown: &'static str,
    /// What it does, in words.
    pub does: &'static str,
    /// The keys.
    keys: &'static [(KeyCode, KeyModifiers, Message)],
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const SHIFT: KeyModifiers = KeyModifiers::SHIFT;
const CONTROL: KeyModifiers = KeyModifiers::CONTROL;

macro_rules! keys {
    ($($section:literal { $($shown:literal $does:literal: [$($code:expr, $modifiers:expr => $message:expr);+ $(;)?])* })*) => {
        /// The keys, by what they are about.
        pub const KEYS: &[(&str, &[Key])] = &[$(
            ($section, &[$(Key { shown: $shown, does: $does, keys: &[$(($code, $modifiers, $message)),+] }),*]),
        )*];
    };
}

use KeyCode::{Char, Down, Left, Right, Up};

keys! {
    "Time" {
        "Space" "play or pause": [Char(' '), NONE => Message::TogglePlay]
        "← →" "one event back, on": [Left, NONE => Message::Step(-1); Right, NONE => Message::Step(1);
            Char('h'), NONE => Message::Step(-1); Char('l'), NONE => Message::Step(1)]
        ", ." "ten events (also Shift ← →)": [Char(','), NONE => Message::Step(-10); Char('.'), NONE => Message::Step(10);
            Left, SHIFT => Message::Step(-10); Right, SHIFT => Message::Step(10)]
        "PgUp PgDn" "a thousand events": [KeyCode::PageUp, NONE => Message::Step(-1000); KeyCode::PageDown, NONE => Message::Step(1000)]
        "Home End" "the beginning, the end (follows a live stream)": [KeyCode::Home, NONE => Message::Seek(0); KeyCode::End, NONE => Message::End;
            Char('G'), NONE => Message::End]
        "g" "go to a seq, 50%, a time, +30s, -2m": [Char('g'), NONE => Message::AskPlace]
        "+ -" "faster, slower: 1x to 100x": [Char('+'), NONE => Message::Faster; Char('='), NONE => Message::Faster;
            Char('-'), NONE => Message::Slower]
        "i" "leave idle time out": [Char('i'), NONE => Message::ToggleIdle]
    }
    "Jump" {
        "!" "the first failure": [Char('!'), NONE => Message::FirstFailure]
        "f F" "next, previous failure": [Char('f'), NONE => Message::NextFailure; Char('F'), NONE => Message::PreviousFailure]
        "d D" "next, previous drift": [Char('d'), NONE => Message::NextDrift; Char('D'), NONE => Message::PreviousDrift]
        "c C" "next, previous config change": [Char('c'), NONE => Message::NextChange; Char('C'), NONE => Message::PreviousChange]
        "n N" "next, previous event that the filter takes": [Char('n'), NONE => Message::NextFound; Char('N'), NONE => Message::PreviousFound]
    }
    "Look" {
        "Tab 1…6" "the next pane, a pane": [KeyCode::Tab, NONE => Message::NextPane; KeyCode::BackTab, NONE => Message::PreviousPane;
            Char('1'), NONE => Message::Focus(Pane::Services); Char('2'), NONE => Message::Focus(Pane::Config);
            Char('3'), NONE => Message::Focus(Pane::Events); Char('4'), NONE => Message::Focus(Pane::Logs);
            Char('5'), NONE => Message::Focus(Pane::Traffic); Char('6'), NONE => Message::Focus(Pane::Graph)]
        "↑ ↓" "move in the pane; in a list of events, through time": [Up, NONE => Message::Move(-1); Down, NONE => Message::Move(1);
            Char('k'), NONE => Message::Move(-1); Char('j'), NONE => Message::Move(1)]
        "Enter" "detail; fold a group": [KeyCode::Enter, NONE => Message::Open]
        "z" "this pane alone": [Char('z'), NONE => Message::Zoom]
        "/" "filter: type:diff.* service:api failed text": [Char('/'), NONE => Message::AskFilter]
        "s" "filter by the selected service": [Char('s'), NONE => Message::FilterService]
        "m" "mark here, and show what changes from here on": [Char('m'), NONE => Message::Mark]
        "M" "jump to the mark": [Char('M'), NONE => Message::ToMark]
        "Esc" "close, end the comparison, drop the filter": [KeyCode::Esc, NONE => Message::Back]
    }
    "Take along" {
        "y" "copy the event as JSON": [Char('y'), NONE => Message::CopyJson]
        "Y" "copy the request as curl": [Char('Y'), NONE => Message::CopyCurl]
        "?" "this page": [Char('?'), NONE => Message::Help; KeyCode::F(1), NONE => Message::Help]
        "q" "quit (also Ctrl-C); Ctrl-Z leaves it to the shell": [Char('q'), NONE => Message::Quit;
            Char('c'), CONTROL => Message::Quit; Char('z'), CONTROL => Message::Suspend]
    }
}

/// What the keys of the table mean, key by key.
pub fn messages() -> impl Iterator<Item = Message> {
    let keys = KEYS.iter().flat_map(|(_, keys)| keys.iter()).flat_map(|key| key.keys);
    keys.map(|(_, _, message)| message.clone())
}

/// What an event of the terminal means, if anything.
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
    use super::*;

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
