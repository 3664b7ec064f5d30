//! The room that is left on the disk of the data directory, and what of it is held back for the hub's own stream.
//!
//! Tokens must be revoked on a full disk too. So a small file lies there that is deleted when it comes to that, and what need not be
//! written into the hub's own stream is not written there while little is left.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Size of the file that is held back, in bytes: some hundred decisions about tokens, with their offsets.
const RESERVE: u64 = 256 << 10;

/// Below this the disk is full, in bytes: the next append may fail.
const LITTLE: u64 = 64 << 10;

/// The disk of a data directory.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    data: Option<PathBuf>,
}

impl Room {
    /// Returns the disk of a data directory; a hub in memory has none. On a full disk what was held back is given up, so that the hub
    /// can start.
    pub(crate) fn of(data: Option<&Path>) -> Room {
        let room = Room { data: data.map(Path::to_owned) };
        if room.is_full() {
            room.give_up();
        }
        room
    }

    /// Returns true if there is hardly any room left.
    pub(crate) fn is_full(&self) -> bool {
        self.left().is_some_and(|left| left < LITTLE)
    }

    /// Returns true if there is so much left that streams may go on.
    pub(crate) fn is_plenty(&self) -> bool {
        self.left().is_none_or(|left| left >= 8 * RESERVE)
    }

    /// Deletes what was held back. Returns true if there was something.
    pub(crate) fn give_up(&self) -> bool {
        self.path().is_some_and(|path| fs::remove_file(path).is_ok())
    }

    /// Holds room back, if nothing is held back and there is plenty.
    pub(crate) fn hold_back(&self) {
        let Some(path) = self.path() else { return };
        if path.exists() || !self.is_plenty() {
            return;
        }
        let held = File::create(&path).and_then(|mut file| {
            // Written, not only made long: a hole takes no room.
            file.write_all(&vec![0; RESERVE as usize])?;
            file.sync_all()
        });
        if let Err(e) = held {
            tracing::debug!(error = %e, "no room could be held back");
            let _ = fs::remove_file(&path);
        }
    }

    fn path(&self) -> Option<PathBuf> {
        Some(self.data.as_deref()?.join("reserve"))
    }

    /// Returns the bytes that are left, if that is known.
    fn left(&self) -> Option<u64> {
        #[cfg(unix)]
        {
            let disk = rustix::fs::statvfs(self.data.as_deref()?).ok()?;
            Some(disk.f_bavail.saturating_mul(disk.f_frsize))
        }
        #[cfg(not(unix))]
        None
    }
}

/// Returns true if a write failed because the disk, or the share of its user, is full.
pub(crate) fn is_for_want_of_room(why: &str) -> bool {
    // ENOSPC and EDQUOT, as the errors of the system end.
    why.contains("(os error 28)") || why.contains("(os error 122)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_held_back_and_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::of(Some(folder.path()));
        assert!(!room.give_up());
        room.hold_back();
        assert_eq!(fs::metadata(folder.path().join("reserve")).unwrap().len(), RESERVE);
        assert!(room.give_up());
        assert!(!room.is_full());
        Room::of(None).hold_back();
    }

    #[test]
    fn a_full_disk_is_told_from_other_faults() {
        let of = |code| std::io::Error::from_raw_os_error(code).to_string();
        assert!(is_for_want_of_room(&format!("cannot write x: {}", of(28))));
        assert!(!is_for_want_of_room(&format!("cannot sync x: {}", of(5))));
    }
}
