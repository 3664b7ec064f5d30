//! `keys/checks`: a check value of every key that the hub was started with, so that a changed bit in a key file is noticed.
//!
//! Keys are added and removed by hand, a line each, so their files hold nothing that would have to be kept in step. What they
//! should hold stands beside them: a key that has another value under its id, or another id, is not what the hub had. A line that
//! is gone as a whole was removed. A check value says nothing of its key: it is an HMAC under it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rig_event::keyfile::{hex, unhex};
use rig_recorder::checked;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{io_error, write_private};
use crate::error::Error;

/// The files whose keys are checked.
const FILES: [&str; 3] = ["redaction", "signing", "blobs"];

/// Version of the file's layout.
const VERSION: u32 = 1;

/// Digits of a key.
const DIGITS: usize = 64;

/// The content of the file.
#[derive(Default, Serialize, Deserialize)]
struct Checks {
    v: u32,
    /// By the name of the key file and the id of the key.
    keys: BTreeMap<String, BTreeMap<String, String>>,
}

/// A change of a key that the hub had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Its id has another key now.
    Key,
    /// It is there, and not under its id: its line was changed, or the end of the line before it.
    Line,
    /// It is not there at all.
    Removed,
}

impl Change {
    /// Returns the error that it is; nothing for a key that was removed.
    pub(crate) fn refused(self, path: &Path, id: &str) -> Option<Error> {
        let (path, id) = (path.to_owned(), id.to_owned());
        match self {
            Change::Key => Some(Error::KeyChanged { path, id }),
            Change::Line => Some(Error::KeyLine { path, id }),
            Change::Removed => None,
        }
    }
}

/// Checks the text of a key file against what the hub had.
///
/// # Errors
/// When a key or its line was changed, or `keys/checks` cannot be used.
pub(crate) fn hold(path: &Path, text: &str) -> Result<(), Error> {
    for (id, change) in compare(path, text)? {
        if let Some(refused) = change.refused(path, &id) {
            return Err(refused);
        }
        tracing::warn!(path = %path.display(), id, "a key that the hub had is no longer there");
    }
    Ok(())
}

/// Returns the keys of a file that are not what the hub had, by their ids.
///
/// # Errors
/// When `keys/checks` cannot be used.
pub(crate) fn compare(path: &Path, text: &str) -> Result<Vec<(String, Change)>, Error> {
    let Some(checks) = read(&beside(path))? else { return Ok(Vec::new()) };
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(had) = checks.keys.get(name) else { return Ok(Vec::new()) };
    let (keys, anywhere) = (keys(text), anywhere(text));
    let changed = had.iter().filter_map(|(id, check)| {
        let change = match keys.get(id) {
            Some(found) if found == check => return None,
            Some(_) => Change::Key,
            None if anywhere.contains(check) => Change::Line,
            None => Change::Removed,
        };
        Some((id.clone(), change))
    });
    Ok(changed.collect())
}

/// Notes the keys that are new in the files of a folder. Those that were removed stay noted: a line may come back.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn note(folder: &Path) -> Result<(), Error> {
    let path = folder.join("checks");
    let mut checks = read(&path)?.unwrap_or_default();
    let mut new = false;
    for name in FILES {
        let file = folder.join(name);
        let text = match fs::read_to_string(&file) {
            Ok(text) => Zeroizing::new(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(io_error("read", &file)(e)),
        };
        let had = checks.keys.entry(name.to_owned()).or_default();
        for (id, check) in keys(&text) {
            new |= had.insert(id, check).is_none();
        }
    }
    if !new {
        return Ok(());
    }
    checks.v = VERSION;
    let json = serde_json::to_vec(&checks).map_err(|e| io_error("write", &path)(io::Error::other(e)))?;
    let mut text = checked::with_checksum(json);
    text.push(b'\n');
    if let Err(e) = write_private(&path, &text) {
        // The keys may lie where the hub can only read.
        tracing::warn!(path = %path.display(), error = %e, "the check values of the keys could not be written: a changed bit in them goes unnoticed");
    }
    Ok(())
}

fn beside(path: &Path) -> PathBuf {
    path.with_file_name("checks")
}

fn read(path: &Path) -> Result<Option<Checks>, Error> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error("read", path)(e)),
    };
    let bad = |why: String| Error::KeyChecks { path: path.to_owned(), why };
    // There was never one without.
    match checked::check(&text) {
        Ok(true) => {}
        Ok(false) => return Err(bad("it has no checksum".to_owned())),
        Err(e) => return Err(bad(e.to_string())),
    }
    let checks: Checks = serde_json::from_slice(&text).map_err(|e| bad(e.to_string()))?;
    if checks.v != VERSION {
        let v = checks.v;
        return Err(bad(format!("its layout has version {v}, and this rig reads version {VERSION}")));
    }
    Ok(Some(checks))
}

/// The check values of the keys in a file, by their ids: `ID:HEX` or `ID ALGORITHM HEX` a line.
fn keys(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| {
        let content = line.split('#').next().unwrap_or_default();
        let mut words =
            content.split(|c: char| c == ':' || c.is_whitespace()).filter(|word| !word.is_empty());
        let (id, digits) = (words.next()?, words.next_back()?);
        Some((id.to_owned(), check(digits.as_bytes())?))
    });
    lines.collect()
}

/// The check values of all keys that stand in a text, in comments too.
fn anywhere(text: &str) -> BTreeSet<String> {
    let runs = text.as_bytes().split(|byte| !byte.is_ascii_hexdigit());
    runs.flat_map(|run| run.windows(DIGITS)).filter_map(check).collect()
}

fn check(digits: &[u8]) -> Option<String> {
    if digits.len() != DIGITS {
        return None;
    }
    let digits = Zeroizing::new(digits.to_ascii_lowercase());
    let key = Zeroizing::new(unhex(str::from_utf8(&digits).ok()?)?);
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(b"rig key check 1");
    Some(hex(&mac.finalize().into_bytes()[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, digit: char) -> String {
        format!("{id} hmac-sha256 {}\n", String::from(digit).repeat(DIGITS))
    }

    #[test]
    fn a_changed_bit_of_a_key_is_told_and_a_line_may_be_added_or_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing");
        let text = format!("# the keys\n{}{}", line("c1", 'a'), line("s2", 'b'));
        fs::write(&path, &text).unwrap();
        assert_eq!(compare(&path, &text).unwrap(), []);
        note(folder.path()).unwrap();
        let checks = fs::read_to_string(folder.path().join("checks")).unwrap();
        assert!(!checks.contains("aaaa") && !checks.contains("bbbb"), "{checks}");

        let removed = |id: &str| vec![(id.to_owned(), Change::Removed)];
        assert_eq!(compare(&path, &(text.clone() + &line("s3", 'c'))).unwrap(), []);
        assert_eq!(compare(&path, &line("s2", 'b')).unwrap(), removed("c1"));
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone().into_bytes();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let Ok(flipped) = String::from_utf8(flipped) else { continue };
            let Ok(parsed) = rig_event::keyfile::parse(&flipped) else { continue };
            let same = parsed.len() == 2 && keys(&flipped) == keys(&text);
            let told = compare(&path, &flipped).unwrap();
            assert_eq!(told.is_empty(), same, "bit {bit}: {told:?}");
            assert!(told.iter().all(|(_, change)| *change != Change::Removed), "bit {bit}: {told:?}");
        }
    }

    #[test]
    fn a_changed_bit_of_the_checks_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blobs");
        fs::write(&path, format!("b1:{}\n", "0a".repeat(32))).unwrap();
        note(folder.path()).unwrap();
        let checks = folder.path().join("checks");
        let text = fs::read(&checks).unwrap();
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&checks, flipped).unwrap();
            assert!(matches!(hold(&path, ""), Err(Error::KeyChecks { .. })), "bit {bit}");
        }
    }
}
