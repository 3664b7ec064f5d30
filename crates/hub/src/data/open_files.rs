//! Shares of the files that the process may have open: a log that cannot open its next file takes no more events, so neither
//! connections nor streams may take them all.

/// Raises the process's limit to the maximum that the system allows. The default is low for the sake of programs that use
/// `select`.
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

/// Returns the limit, or a large number if there is none or it is unknown.
fn limit() -> usize {
    #[cfg(unix)]
    let known = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let known = None::<u64>;
    known.and_then(|known| usize::try_from(known).ok()).unwrap_or(usize::MAX)
}

/// Maximum number of connections: three quarters of the limit. Further ones wait until another ends.
pub(crate) fn connections() -> usize {
    (limit() / 4 * 3).max(1)
}

/// Maximum number of streams: an eighth of the limit, since each keeps a file open, and one or two more while it is written and
/// read.
pub(crate) fn streams() -> usize {
    (limit() / 8).max(8)
}
