//! Styles by meaning: the sixteen colours of every terminal, or with `NO_COLOR` none at all.
//!
//! Colour is never the only sign: what is red also has a mark or a word.

use ratatui::style::{Color, Modifier, Style};

/// The styles, with or without colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// True if colours may be used.
    pub colour: bool,
}

impl Theme {
    fn tint(self, colour: Color, without: Modifier) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new().add_modifier(without) }
    }

    /// Something failed.
    pub fn bad(self) -> Style {
        self.tint(Color::Red, Modifier::BOLD)
    }

    /// Something to look at.
    pub fn warn(self) -> Style {
        self.tint(Color::Yellow, Modifier::BOLD)
    }

    /// All is well.
    pub fn good(self) -> Style {
        self.tint(Color::Green, Modifier::empty())
    }

    /// Names of services and fields.
    pub fn name(self) -> Style {
        self.tint(Color::Cyan, Modifier::empty())
    }

    /// Changes of configuration.
    pub fn config(self) -> Style {
        self.tint(Color::Magenta, Modifier::empty())
    }

    /// For text that matters less, or has not happened yet.
    pub fn dim(self) -> Style {
        self.tint(Color::DarkGray, Modifier::DIM)
    }

    /// Titles.
    pub fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The frame of the pane that has the keyboard.
    pub fn focus(self) -> Style {
        self.tint(Color::Yellow, Modifier::empty()).add_modifier(Modifier::BOLD)
    }

    /// The line that is chosen.
    pub fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// For values that have just changed.
    pub fn fresh(self) -> Style {
        if self.colour {
            Style::new().fg(Color::Black).bg(Color::Yellow)
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        }
    }

    /// The badge of a live stream.
    pub fn live(self) -> Style {
        if self.colour {
            Style::new().fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD)
        } else {
            Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
        }
    }

    /// The badge of a recording.
    pub fn replay(self) -> Style {
        if self.colour {
            Style::new().fg(Color::Black).bg(Color::Cyan).add_modifier(Modifier::BOLD)
        } else {
            Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
        }
    }
}
