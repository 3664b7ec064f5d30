//! `--tty`: the command writes to a terminal, and the recording has the lines that a person would read there.

use std::borrow::Cow;

/// Returns a line as a person reads it: without colours and other escape sequences, and of what was written over again and again, as by a
/// progress bar, the last.
pub(super) fn plain(line: &str) -> Cow<'_, str> {
    if !line.contains(|c: char| c.is_control() && c != '\t') {
        return line.into();
    }
    let text = anstream::adapter::strip_str(line).to_string();
    let last = text.split('\r').rev().find(|part| !part.is_empty()).unwrap_or_default();
    last.chars().filter(|c| !c.is_control() || matches!(c, '\t' | '\n')).collect::<String>().into()
}

#[cfg(unix)]
pub(super) use unix::Tty;

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::{self, IsTerminal as _};
    use std::process::{Command, Stdio};

    use rig_process::terminal::{Raw, Terminal};

    /// The terminal that a command runs on.
    pub(in crate::cmd::record) struct Tty {
        terminal: Terminal,
        /// Rig's own terminal, if the command reads from it.
        raw: Option<Raw>,
    }

    impl Tty {
        /// Opens a terminal and has the command write to it. What rig itself reads from stays the command's standard input, unless that is a
        /// terminal too: then the command reads from its own, to which rig passes every key.
        pub(in crate::cmd::record) fn open(command: &mut Command) -> io::Result<Tty> {
            let (terminal, theirs) = Terminal::open(!io::stdout().is_terminal())?;
            if io::stdin().is_terminal() {
                command.stdin(Stdio::from(theirs.try_clone()?));
            }
            command.stdout(Stdio::from(theirs.try_clone()?)).stderr(Stdio::from(theirs));
            Ok(Tty { terminal, raw: None })
        }

        /// Begins to pass on the keys, and gives what the command writes.
        pub(in crate::cmd::record) fn begin(&mut self) -> io::Result<File> {
            if io::stdin().is_terminal() {
                self.raw = Raw::enter().ok();
                let mut keys = self.terminal.file()?;
                std::thread::spawn(move || io::copy(&mut io::stdin(), &mut keys));
            }
            self.terminal.file()
        }

        /// Gives the terminal the size of rig's own.
        pub(in crate::cmd::record) fn resize(&self) {
            // One that is gone has no size.
            let _ = self.terminal.resize();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_line_is_recorded_as_it_is_read() {
        for (written, read) in [
            ("plain\ttext", "plain\ttext"),
            ("\u{1b}[1;31mFAILED\u{1b}[0m a\r", "FAILED a"),
            (" 10%\r 50%\r\u{1b}[K100%", "100%"),
            ("\u{1b}]0;title\u{7}done\r\r", "done"),
            ("\u{1b}[2K\r", ""),
        ] {
            assert_eq!(plain(written), read, "{written:?}");
        }
    }
}
