//! Notifications for systemd (`Type=notify`): that the hub is ready, alive, and stopping. Without `NOTIFY_SOCKET` nothing happens.

use std::time::Duration;

use tokio::task::JoinHandle;

/// The supervisor that started this process, if it wants to be told.
pub struct Supervisor {
    beating: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// Says that requests are answered, and from now on, as often as it was asked for, that the hub is alive.
    pub fn ready() -> Supervisor {
        tell("READY=1");
        let beating = watchdog().map(|interval| {
            tokio::spawn(async move {
                let mut interval = tokio::time::interval(interval);
                loop {
                    interval.tick().await;
                    tell("WATCHDOG=1");
                }
            })
        });
        Supervisor { beating }
    }

    /// Says that the hub stops. It is watched until it has.
    pub fn stopping(&self) {
        tell("STOPPING=1");
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(beating) = &self.beating {
            beating.abort();
        }
    }
}

/// Returns half of the time after which the supervisor takes this process for dead, if it watches it.
fn watchdog() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let is_meant = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC")
        .filter(|micros| is_meant && *micros > 1)
        .map(|micros| Duration::from_micros(micros / 2))
}

#[cfg(target_os = "linux")]
fn tell(state: &str) {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        path @ [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)),
        _ => return,
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(e) = sent {
        tracing::warn!(state, error = %e, "the supervisor cannot be told");
    }
}

#[cfg(not(target_os = "linux"))]
fn tell(_: &str) {}
