//! Who takes a snapshot, where, of which version: what goes with it as `meta` in an event and as `audit` in a file.

use std::collections::BTreeMap;
use std::path::Path;

use crate::git;

/// `rig` and its version: how rig knows its own files.
pub const TOOL: &str = concat!("rig ", env!("CARGO_PKG_VERSION"));

/// What can be told without being asked: `tool`, `hostname`, `operator` (RIG_OPERATOR, else the name of the user),
/// `deployment` (RIG_DEPLOYMENT), and `git_sha` of the repository that `near` lies in.
pub fn collect(near: &Path) -> BTreeMap<String, String> {
    let variable = |name: &str| std::env::var(name).ok();
    let said = [
        ("tool", Some(TOOL.to_owned())),
        ("hostname", hostname()),
        ("operator", ["RIG_OPERATOR", "USER", "LOGNAME", "USERNAME"].into_iter().find_map(variable)),
        ("deployment", variable("RIG_DEPLOYMENT")),
        ("git_sha", git::commit(near)),
    ];
    let known =
        said.into_iter().filter_map(|(key, value)| Some((key, value.filter(|value| !value.is_empty())?)));
    known.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The name of this machine.
pub fn hostname() -> Option<String> {
    #[cfg(unix)]
    {
        rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
    }
    #[cfg(not(unix))]
    {
        std::env::var("COMPUTERNAME").ok()
    }
}
