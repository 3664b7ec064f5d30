//! The file system: temporary file, fsync, rename, fsync of the folder; only the owner reads what is written.
//!
//! Own code, because `object_store`'s local engine neither calls fsync nor sets modes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Answer, Storage};
use crate::Error;

/// The most files that are looked at in a folder.
const MAX_LISTED: usize = 100_000;

/// The files of this machine; names are paths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Local;

impl Storage for Local {
    fn put<'a>(&'a self, name: &'a str, content: Bytes) -> Answer<'a, ()> {
        Box::pin(async move { write(Path::new(name), &content) })
    }

    fn get<'a>(&'a self, name: &'a str, limit: u64) -> Answer<'a, Option<Bytes>> {
        Box::pin(async move {
            let path = Path::new(name);
            let cannot = failed("cannot read", path);
            // Before it is opened: a pipe would be waited for.
            match fs::metadata(path) {
                Ok(found) if found.is_file() => {}
                Ok(_) => return Err(cannot(io::Error::other("it is no plain file"))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(cannot(error)),
            }
            let file = File::open(path).map_err(&cannot)?;
            let mut content = Vec::new();
            file.take(limit + 1).read_to_end(&mut content).map_err(cannot)?;
            if content.len() as u64 > limit {
                return Err(Error::TooLarge { limit });
            }
            Ok(Some(content.into()))
        })
    }

    fn list<'a>(&'a self, folder: &'a str, depth: usize) -> Answer<'a, Vec<String>> {
        Box::pin(async move {
            let mut names = Vec::new();
            list(folder, depth, &mut names)?;
            Ok(names)
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let path = Path::new(name);
            fs::remove_file(path).map_err(failed("cannot delete", path))
        })
    }

    fn shown(&self, name: &str) -> String {
        name.to_owned()
    }
}

fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::File { what, path: path.clone(), source }
}

fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    make_folder(folder)?;
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(Error::NotOurs { name: path.display().to_string() });
    }
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|e| Error::System { what: "random numbers", why: e.to_string() })?;
    let temporary = folder.join(format!(".rig-{:016x}.tmp", u64::from_le_bytes(random)));
    let written = write_new(&temporary, content)
        .and_then(|()| fs::rename(&temporary, path).map_err(failed("cannot rename a file to", path)));
    if written.is_err() {
        // It is there or not; what counts is why it was not written.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    sync_folder(folder)
}

fn write_new(path: &Path, content: &[u8]) -> Result<(), Error> {
    let cannot = failed("cannot write", path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(&cannot)?;
    file.write_all(content).map_err(&cannot)?;
    file.sync_all().map_err(&cannot)
}

/// Makes what is missing on the way to a folder, each for its owner only and durable.
fn make_folder(folder: &Path) -> Result<(), Error> {
    let missing: Vec<&Path> =
        folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("cannot make the folder", folder)(error));
            }
            _ => sync_folder(folder.parent().unwrap_or(folder))?,
        }
    }
    Ok(())
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

fn list(folder: &str, depth: usize, names: &mut Vec<String>) -> Result<(), Error> {
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
            if names.len() == MAX_LISTED {
                return Err(cannot(io::Error::other(format!("it has more than {MAX_LISTED} files"))));
            }
            names.push(format!("{folder}{name}"));
        } else if kind.is_dir() && depth > 0 {
            list(&format!("{folder}{name}/"), depth - 1, names)?;
        }
    }
    Ok(())
}
