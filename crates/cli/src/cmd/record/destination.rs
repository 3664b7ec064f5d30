//! A recording that goes to a pipe or a device: who reads it, and what else is written there.

use std::fs::Metadata;
use std::path::Path;

/// The place where a recording goes, if there is something special about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Destination {
    /// It is a named pipe: it cannot be opened before somebody reads from it.
    pub(super) is_fifo: bool,
    /// It is rig's own standard output, so that nothing else may be written there.
    pub(super) is_stdout: bool,
    /// It is rig's own standard error.
    pub(super) is_stderr: bool,
    /// It is a file, which somebody can read later.
    pub(super) is_kept: bool,
}

impl Destination {
    /// Looks at a path. What does not exist will be a file.
    #[cfg(unix)]
    pub(super) fn of(path: &Path) -> Destination {
        use std::io::IsTerminal as _;
        use std::os::fd::AsFd;
        use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
        let Ok(meta) = std::fs::metadata(path) else {
            return Destination { is_kept: true, ..Destination::default() };
        };
        let kind = meta.file_type();
        fn same(meta: &Metadata, stream: impl AsFd) -> bool {
            let file = stream.as_fd().try_clone_to_owned().map(std::fs::File::from);
            let other = file.and_then(|file| file.metadata());
            other.is_ok_and(|other| (other.dev(), other.ino()) == (meta.dev(), meta.ino()))
        }
        // Nothing is mixed on a device that keeps nothing.
        let mixes = |is_terminal: bool| !kind.is_char_device() || is_terminal;
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        Destination {
            is_fifo: kind.is_fifo(),
            is_stdout: mixes(stdout.is_terminal()) && same(&meta, &stdout),
            is_stderr: mixes(stderr.is_terminal()) && same(&meta, &stderr),
            is_kept: kind.is_file(),
        }
    }

    /// Looks at a path. What does not exist will be a file.
    #[cfg(not(unix))]
    pub(super) fn of(path: &Path) -> Destination {
        let is_kept = std::fs::metadata(path).map_or(true, |meta: Metadata| meta.is_file());
        Destination { is_kept, ..Destination::default() }
    }
}
