//! Shares of the files that the process may have open: a log that cannot open its next file takes no more events, so neither
//! connections nor streams may take them all.

/// Raises the limit of the process to what the system allows it. Programs start with a low one for the sake of those that use `select`.
pub fn raise() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        if let Err(e) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(error = %e, "the limit of open files could not be raised");
        }
    }
}

/// The limit; where there is none, or none is known, a large one.
fn limit() -> usize {
    #[cfg(unix)]
    let known = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let known = None::<u64>;
    known.and_then(|known| usize::try_from(known).ok()).unwrap_or(usize::MAX)
}

/// Most connections at a time: three quarters. Who comes then waits until another goes.
pub(crate) fn connections() -> usize {
    (limit() / 4 * 3).max(1)
}

/// Most streams: an eighth, since each keeps a file open, and one or two more while it is written and read.
pub(crate) fn streams() -> usize {
    (limit() / 8).max(8)
}
