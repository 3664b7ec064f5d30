//! The signals that were ignored when this process started, which the programs that it starts are to ignore too.
//!
//! Rust's runtime ignores SIGPIPE before `main` and forgets whether it was ignored before, so this looks earlier.

use rustix::process::Signal;

#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicU64, Ordering};

/// One bit for each signal, as in the line `SigIgn` of `/proc/self/status`.
#[cfg(target_os = "linux")]
static IGNORED: AtomicU64 = AtomicU64::new(0);

/// Runs before the runtime changes anything.
#[cfg(target_os = "linux")]
#[ctor::ctor]
fn look() {
    IGNORED.store(ignored_by("self"), Ordering::Relaxed);
}

/// Reads which signals a process ignores; none, if that cannot be read.
#[cfg(target_os = "linux")]
pub(crate) fn ignored_by(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}

/// Returns true if `signals`, as [`ignored_by`] gives them, have this one.
#[cfg(target_os = "linux")]
pub(crate) fn has(signals: u64, signal: Signal) -> bool {
    let bit = u32::try_from(signal.as_raw() - 1).unwrap_or(u32::MAX);
    signals.checked_shr(bit).is_some_and(|rest| rest & 1 == 1)
}

/// Returns true if the signal was ignored when this process started. Other systems than Linux do not tell.
#[cfg(target_os = "linux")]
pub(crate) fn ignores(signal: Signal) -> bool {
    has(IGNORED.load(Ordering::Relaxed), signal)
}

/// Returns false: this system does not tell.
#[cfg(not(target_os = "linux"))]
pub(crate) fn ignores(_: Signal) -> bool {
    false
}
