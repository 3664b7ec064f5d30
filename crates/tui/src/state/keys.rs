//! The key table: the keys, their messages, and their lines on the help page.

use crossterm::event::{KeyCode, KeyModifiers};

use super::{Message, Pane};

/// A line of the table.
#[derive(Debug)]
pub struct Key {
    /// As the help page writes it.
    pub shown: &'static str,
    /// Its effect, in words.
    pub does: &'static str,
    /// The keys.
    pub(crate) keys: &'static [(KeyCode, KeyModifiers, Message)],
}

const NONE: KeyModifiers = KeyModifiers::NONE;
pub(crate) const SHIFT: KeyModifiers = KeyModifiers::SHIFT;
pub(crate) const CONTROL: KeyModifiers = KeyModifiers::CONTROL;

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
