//! Where snapshots lie: a folder of this machine, or an object store, behind one trait.

#[cfg(feature = "cloud")]
mod cloud;
mod local;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

use bytes::Bytes;
use rig_event::Timestamp;

#[cfg(feature = "cloud")]
pub use self::cloud::Cloud;
pub use self::local::Local;
use crate::Error;

/// What an operation of a storage gives when it is done.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// The writing of a file: called with the place that takes it, once for each try.
pub type Content<'a> = &'a (dyn Fn(&mut dyn io::Write) -> io::Result<()> + Sync);

/// A file as a listing has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// When it was written, by the clock of the storage.
    pub modified: Option<Timestamp>,
}

/// A place for files under names with `/` in them.
pub trait Storage: fmt::Debug + Send + Sync {
    /// Writes a file as a whole: whoever reads it finds the old content or the new one. Done means durable.
    fn put<'a>(&'a self, name: &'a str, content: Content<'a>) -> Answer<'a, ()>;

    /// Writes a file only if there is none of that name; returns false where there is.
    fn put_new<'a>(&'a self, name: &'a str, content: Content<'a>) -> Answer<'a, bool>;

    /// A file's content; an error where it has more than `limit` bytes, `None` where there is none.
    fn get<'a>(&'a self, name: &'a str, limit: u64) -> Answer<'a, Option<Bytes>>;

    /// The first `most` bytes of a file, or all of a shorter one; `None` where there is none.
    fn head<'a>(&'a self, name: &'a str, most: u64) -> Answer<'a, Option<Bytes>>;

    /// The files whose names begin with `folder`, which is empty or ends with `/`, at most `depth` folders
    /// further down. What is no plain file (a symbolic link, say) is not among them.
    fn list<'a>(&'a self, folder: &'a str, depth: usize) -> Answer<'a, Vec<Listed>>;

    /// Deletes a file, and the folders below `folder` that are empty then.
    fn delete<'a>(&'a self, name: &'a str, folder: &'a str) -> Answer<'a, ()>;

    /// A name as people know it: a path, or an address.
    fn shown(&self, name: &str) -> String;

    /// Returns true if looking into a file costs next to nothing and needs no permission of its own.
    fn is_near(&self) -> bool;

    /// Returns the number of requests that were made over a network so far.
    fn requests(&self) -> usize {
        0
    }
}

/// The storage that an address means, and the name in it: `s3://BUCKET/NAME`, `gs://…`, `az://…`, or a path.
///
/// Credentials and endpoints of object stores come from the environment, as `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`,
/// `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME` and so on.
///
/// # Errors
/// [`Error::Store`] for another scheme or without a name; [`Error::NotBuilt`] without the feature `cloud`.
pub fn open(address: &str) -> Result<(Box<dyn Storage>, String), Error> {
    let Some((scheme, rest)) = address.split_once("://") else {
        return Ok((Box::new(Local), address.to_owned()));
    };
    let bad = |why: &str| {
        // What may stand before an @ is a password.
        let shown = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        Error::Store { address: format!("{scheme}://{shown}"), why: why.to_owned(), transient: false }
    };
    if scheme == "file" {
        return match rest.strip_prefix('/') {
            Some(_) => Ok((Box::new(Local), rest.to_owned())),
            None => Err(bad("write file:///PATH")),
        };
    }
    if !matches!(scheme, "s3" | "gs" | "az") {
        return Err(bad(
            "snapshots lie at a path, s3://BUCKET/NAME, gs://BUCKET/NAME or az://CONTAINER/NAME",
        ));
    }
    match rest.split_once('/') {
        Some((bucket, name))
            if !bucket.is_empty() && !name.is_empty() && !bucket.contains(['{', '@', '?', '#']) =>
        {
            #[cfg(feature = "cloud")]
            return Ok((Box::new(Cloud::open(scheme, bucket)?), name.to_owned()));
            #[cfg(not(feature = "cloud"))]
            Err(Error::NotBuilt { address: format!("{scheme}://{bucket}/{name}"), feature: "cloud" })
        }
        _ => Err(bad("write a bucket without variables and a name")),
    }
}
