//! The file system: temporary file, fsync, rename, fsync of the folder; only the owner reads what is written.
//!
//! Own code, because `object_store`'s local engine neither calls fsync nor sets modes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rig_event::Timestamp;

use super::{Answer, Content, Listed, Storage};
use crate::Error;

/// The most files that are looked at in a folder.
const MAX_LISTED: usize = 100_000;

/// The files of this machine; names are paths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Local;

/// The age at which a temporary file was left behind by a killed program: no writer needs it any more.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

impl Storage for Local {
    fn put<'a>(&'a self, name: &'a str, content: Content<'a>) -> Answer<'a, ()> {
        Box::pin(async move { write(Path::new(name), content) })
    }

    fn put_new<'a>(&'a self, name: &'a str, content: Content<'a>) -> Answer<'a, bool> {
        Box::pin(async move {
            let path = Path::new(name);
            if fs::symlink_metadata(path).is_ok() {
                return Ok(false);
            }
            write(path, content).map(|()| true)
        })
    }

    fn get<'a>(&'a self, name: &'a str, limit: u64) -> Answer<'a, Option<Bytes>> {
        Box::pin(async move {
            let content = read(Path::new(name), limit.saturating_add(1))?;
            match content {
                Some(content) if content.len() as u64 > limit => Err(Error::TooLarge { limit }),
                content => Ok(content.map(Bytes::from)),
            }
        })
    }

    fn head<'a>(&'a self, name: &'a str, most: u64) -> Answer<'a, Option<Bytes>> {
        Box::pin(async move { Ok(read(Path::new(name), most)?.map(Bytes::from)) })
    }

    fn list<'a>(&'a self, folder: &'a str, depth: usize) -> Answer<'a, Vec<Listed>> {
        Box::pin(async move {
            let mut listed = Vec::new();
            list(folder, depth, &mut listed)?;
            Ok(listed)
        })
    }

    fn delete<'a>(&'a self, name: &'a str, folder: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let path = Path::new(name);
            fs::remove_file(path).map_err(failed("cannot delete", path))?;
            let below = path.ancestors().skip(1).take_while(|at| at.as_os_str().len() > folder.len());
            for empty in below {
                // One that is not empty stays, and so does all above it.
                if fs::remove_dir(empty).is_err() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn is_near(&self) -> bool {
        true
    }

    fn shown(&self, name: &str) -> String {
        name.to_owned()
    }
}

fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::File { what, path: path.clone(), source }
}

/// The first bytes of a file, at most so many.
fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, Error> {
    let cannot = failed("cannot read", path);
    // Before it is opened: a pipe would be waited for.
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(cannot(io::Error::other("it is no plain file"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error)),
    }
    let mut content = Vec::new();
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut content)).map_err(cannot)?;
    Ok(Some(content))
}

fn write(path: &Path, content: Content<'_>) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(Error::NotOurs { name: path.display().to_string() });
    }
    let made = make_folder(folder)?;
    let written = write_in(folder, path, content);
    if written.is_err() {
        // Without the file they would stay behind empty.
        made.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
        return written;
    }
    sync_folder(folder)?;
    clear_stale(folder);
    Ok(())
}

/// Writes a temporary file beside the one that is meant, and gives it its name.
fn write_in(folder: &Path, path: &Path, content: Content<'_>) -> Result<(), Error> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|e| Error::System { what: "random numbers", why: e.to_string() })?;
    let temporary = folder.join(format!("{BEGINS}{:016x}{ENDS}", u64::from_le_bytes(random)));
    let written = write_new(&temporary, content)
        .and_then(|()| fs::rename(&temporary, path).map_err(failed("cannot rename a file to", path)));
    if written.is_err() {
        // It is there or not; what counts is why it was not written.
        let _ = fs::remove_file(&temporary);
    }
    written
}

const BEGINS: &str = ".rig-";
const ENDS: &str = ".tmp";

/// Returns true if the name is that of a temporary file.
fn is_temporary(name: &str) -> bool {
    let random = name.strip_prefix(BEGINS).and_then(|rest| rest.strip_suffix(ENDS));
    random.is_some_and(|random| random.len() == 16 && random.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Deletes temporary files that writers left behind when they were killed. What cannot be deleted is tried again next time.
fn clear_stale(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().take(MAX_LISTED) {
        let is_ours = entry.file_name().to_str().is_some_and(is_temporary);
        let is_stale = || {
            let written = entry.metadata().ok().filter(fs::Metadata::is_file)?.modified().ok()?;
            Some(SystemTime::now().duration_since(written).is_ok_and(|age| age > STALE))
        };
        if is_ours && is_stale() == Some(true) && fs::remove_file(entry.path()).is_ok() {
            tracing::info!(operation = "clear", path = %entry.path().display(), outcome = "ok", "snapshot");
        }
    }
}

fn write_new(path: &Path, content: Content<'_>) -> Result<(), Error> {
    let cannot = failed("cannot write", path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = io::BufWriter::with_capacity(64 << 10, options.open(path).map_err(&cannot)?);
    content(&mut file).map_err(&cannot)?;
    let file = file.into_inner().map_err(|error| cannot(error.into_error()))?;
    file.sync_all().map_err(&cannot)
}

/// Makes what is missing on the way to a folder, each for its owner only and durable. Returns those that it made.
fn make_folder(folder: &Path) -> Result<Vec<&Path>, Error> {
    let missing: Vec<&Path> =
        folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
    let mut made = Vec::new();
    for folder in missing.into_iter().rev() {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(folder) {
            Ok(()) => made.push(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("cannot make the folder", folder)(error)),
        }
        sync_folder(folder.parent().unwrap_or(folder))?;
    }
    Ok(made)
}

/// Makes the names in a folder durable.
fn sync_folder(folder: &Path) -> Result<(), Error> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if cfg!(unix) {
        let cannot = failed("cannot sync the folder", folder);
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(cannot)?;
    }
    Ok(())
}

fn list(folder: &str, depth: usize, listed: &mut Vec<Listed>) -> Result<(), Error> {
    let path = if folder.is_empty() { PathBuf::from(".") } else { PathBuf::from(folder) };
    let cannot = failed("cannot list", &path);
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot(error)),
    };
    for entry in entries {
        let entry = entry.map_err(&cannot)?;
        // A name that is no UTF-8 is none that rig gave.
        let Ok(name) = entry.file_name().into_string() else { continue };
        // Of the entry itself: a link is not followed.
        let kind = entry.file_type().map_err(&cannot)?;
        if kind.is_file() {
            if listed.len() == MAX_LISTED {
                return Err(cannot(io::Error::other(format!("it has more than {MAX_LISTED} files"))));
            }
            let written = entry.metadata().ok().and_then(|found| found.modified().ok());
            let since = written.and_then(|written| written.duration_since(SystemTime::UNIX_EPOCH).ok());
            let modified =
                since.and_then(|since| i64::try_from(since.as_micros()).ok()).map(Timestamp::from_micros);
            listed.push(Listed { name: format!("{folder}{name}"), modified });
        } else if kind.is_dir() && depth > 0 {
            list(&format!("{folder}{name}/"), depth - 1, listed)?;
        }
    }
    Ok(())
}
