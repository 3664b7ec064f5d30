//! The address that a hub listens on.

use anyhow::{Context as _, Result, bail};
use tokio::net::TcpListener;

/// Binds. Unless others than this machine `may` reach it, an address beyond loopback is refused; a hub looks further before it answers
/// them.
///
/// # Errors
/// The address cannot be resolved, is taken, or lies beyond loopback.
pub async fn listen(address: &str, may: bool) -> Result<TcpListener> {
    let cannot = || format!("cannot listen on {address}; --listen 127.0.0.1:0 takes a free port");
    let resolved: Vec<_> = tokio::net::lookup_host(address).await.with_context(cannot)?.collect();
    if let Some(outside) = resolved.iter().find(|address| !may && !address.ip().is_loopback()) {
        bail!(
            "a recording is not played on {outside}: it has no tokens, so anyone who reaches it could read everything; \
             listen on 127.0.0.1 and forward the port (ssh -L)"
        );
    }
    TcpListener::bind(resolved.as_slice()).await.with_context(cannot)
}
