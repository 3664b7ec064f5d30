//! Pseudo-terminals: a terminal for a program whose output is recorded, and the terminal that this process runs on.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, OutputModes, Termios, Winsize};

/// Our end of a pseudo-terminal.
#[derive(Debug)]
pub struct Terminal(OwnedFd);

impl Terminal {
    /// Opens one of the size of this process's own terminal, 80 by 24 without one, and gives the program's end with it. With `plain` a
    /// line ends as the program ended it, and not with a carriage return before that.
    ///
    /// # Errors
    /// If the system has none left.
    pub fn open(plain: bool) -> io::Result<(Terminal, OwnedFd)> {
        let ours = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        rustix::pty::grantpt(&ours)?;
        rustix::pty::unlockpt(&ours)?;
        let name = rustix::pty::ptsname(&ours, Vec::new())?;
        let theirs = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        if plain {
            let mut modes = rustix::termios::tcgetattr(&theirs)?;
            modes.output_modes.remove(OutputModes::ONLCR);
            rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &modes)?;
        }
        let terminal = Terminal(ours);
        terminal.resize()?;
        Ok((terminal, theirs))
    }

    /// Makes it as large as this process's own terminal is now; the program learns of it.
    ///
    /// # Errors
    /// If the system refuses the size.
    pub fn resize(&self) -> io::Result<()> {
        Ok(rustix::termios::tcsetwinsize(&self.0, own_size())?)
    }

    /// Opens what the program writes for reading, or what it reads for writing.
    ///
    /// # Errors
    /// If there are too many open files.
    pub fn file(&self) -> io::Result<File> {
        Ok(File::from(self.0.try_clone()?))
    }
}

fn own_size() -> Winsize {
    let of = |size: rustix::io::Result<Winsize>| size.ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    of(rustix::termios::tcgetwinsize(io::stdout()))
        .or_else(|| of(rustix::termios::tcgetwinsize(io::stdin())))
        .or_else(|| of(rustix::termios::tcgetwinsize(io::stderr())))
        .unwrap_or(Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 })
}

/// This process's terminal in raw mode, so that every key reaches the program; as it was before when this is dropped.
#[derive(Debug)]
pub struct Raw(Termios);

impl Raw {
    /// Switches the terminal on standard input.
    ///
    /// # Errors
    /// If standard input is not a terminal.
    pub fn enter() -> io::Result<Raw> {
        let before = rustix::termios::tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Returns true if this process has a controlling terminal, wherever its input and output go.
pub fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}
