//! Where a device may be: in the operator's private networks too, but not where only this machine should reach, and not the hub itself.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use axum::http::StatusCode;
use rig_hub::Problem;
use rig_outbound::guard::{self, Allowed, Refused};

use super::output::failure;
use super::settings::Address;

/// The addresses of a device that may be spoken to. They are connected to as they are, so that a name is not resolved again.
///
/// `own` is where the hub itself listens.
pub(super) async fn resolve(
    address: &Address,
    allowed: &Allowed,
    own: Option<SocketAddr>,
) -> Result<Vec<SocketAddr>, Problem> {
    let refused = |why: String| Problem::new(StatusCode::FORBIDDEN, "address-refused", why);
    let found = guard::resolve_device(&address.host, address.port, allowed).await;
    let mut found = found.map_err(|e| match e {
        Refused::Unknown(_) => failure("device-unreachable", e.to_string()),
        Refused::Inside { .. } | Refused::Url(_) => refused(e.to_string()),
    })?;
    if let Some(own) = own {
        found.retain(|found| !is_own(*found, own));
    }
    match found.is_empty() {
        true => Err(refused(format!("{address} is the hub itself; `address` must be the device's"))),
        false => Ok(found),
    }
}

/// Returns true if that is the hub's own listener.
fn is_own(found: SocketAddr, own: SocketAddr) -> bool {
    let ip = |address: SocketAddr| address.ip().to_canonical();
    // An address that can be bound is one of this machine.
    let is_here = |ip: IpAddr| UdpSocket::bind((ip, 0)).is_ok();
    let (to, at) = (ip(found), ip(own));
    found.port() == own.port() && (to == at || to.is_unspecified() || at.is_unspecified() && is_here(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_disguised_address_is_seen_through_and_allowed_only_by_name() {
        let own = Some("127.0.0.1:7070".parse().unwrap());
        let check = async |address: &str, allow: &[&str]| {
            let allowed = allow.iter().map(|&name| name.to_owned()).collect::<Vec<_>>().try_into().unwrap();
            let taken = resolve(&address.parse().unwrap(), &allowed, own).await;
            taken.map(drop).map_err(|problem| problem.code())
        };
        for address in [
            "169.254.169.254",
            "[::ffff:169.254.169.254]:22",
            "2852039166:80",
            "[fd00:ec2::254]:80",
            "127.0.0.1:7070",
            "[::ffff:7f00:1]:7070",
            "2130706433:7070",
            "0.0.0.0:7070",
        ] {
            assert_eq!(check(address, &[]).await, Err("address-refused"), "{address}");
        }
        for address in ["127.0.0.1:22", "10.0.0.1", "192.168.88.1", "[fd00::1]:22", "100.64.0.9"] {
            assert_eq!(check(address, &[]).await, Ok(()), "{address}");
        }
        assert_eq!(check("169.254.9.9", &["169.254.9.0/24"]).await, Ok(()));
        assert_eq!(check("169.254.9.9", &["169.254.9.8"]).await, Err("address-refused"));
    }

    #[test]
    fn a_hub_that_listens_everywhere_is_known_by_any_address_of_the_machine() {
        let everywhere = "0.0.0.0:7070".parse().unwrap();
        for (found, own) in [("127.0.0.1:7070", true), ("127.0.0.1:22", false), ("203.0.113.9:7070", false)] {
            assert_eq!(is_own(found.parse().unwrap(), everywhere), own, "{found}");
        }
    }
}
