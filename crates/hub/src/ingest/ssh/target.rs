//! Which addresses a device may have: the operator's private networks, but not what only this machine should reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use axum::http::StatusCode;

use super::settings::{Address, Collect};
use crate::problem::Problem;

/// The addresses of a device that may be spoken to. They are connected to as they are, so that a name is not resolved again.
///
/// `own` is where the hub itself listens.
pub(super) async fn resolve(
    address: &Address,
    collect: &Collect,
    own: Option<SocketAddr>,
) -> Result<Vec<SocketAddr>, Problem> {
    let unreachable = |why: String| Problem::new(StatusCode::BAD_GATEWAY, "device-unreachable", why);
    let found = tokio::net::lookup_host((address.host.as_str(), address.port)).await;
    let found: Vec<SocketAddr> =
        found.map_err(|e| unreachable(format!("the name of {address} cannot be resolved: {e}")))?.collect();
    if found.is_empty() {
        return Err(unreachable(format!("the name of {address} has no address")));
    }
    if collect.allow.iter().any(|name| name.eq_ignore_ascii_case(&address.host)) {
        return Ok(found);
    }
    let mut refused = None;
    let mut taken = Vec::new();
    for socket in found {
        let ip = socket.ip().to_canonical();
        match refusal(ip).or_else(|| own.and_then(|own| is_own(ip, socket.port(), own))) {
            Some(why) if !collect.allow.iter().any(|name| name.parse() == Ok(ip)) => {
                refused = Some((ip, why))
            }
            _ => taken.push(socket),
        }
    }
    match refused {
        Some((ip, why)) if taken.is_empty() => {
            let detail = format!(
                "the device {address} has the address {ip}, which {why}; where that is meant, add it to `allow` of [collect] in hub.toml"
            );
            Err(Problem::new(StatusCode::FORBIDDEN, "address-refused", detail))
        }
        _ => Ok(taken),
    }
}

/// Why no device may have that address.
fn refusal(ip: IpAddr) -> Option<&'static str> {
    /// Where machines in a cloud get their credentials from, beyond what is link-local.
    const METADATA: [IpAddr; 2] = [
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
        IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    ];
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let is_no_host = match ip {
        IpAddr::V4(ip) => ip.octets()[0] == 0 || ip.is_broadcast() || ip.is_multicast(),
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast(),
    };
    match () {
        () if METADATA.contains(&ip) => Some("serves metadata to machines in a cloud"),
        () if is_link_local => Some("is link-local"),
        () if is_no_host => Some("is no host's"),
        () => None,
    }
}

/// Whether that is the hub's own listener.
fn is_own(ip: IpAddr, port: u16, own: SocketAddr) -> Option<&'static str> {
    // An address that can be bound is one of this machine.
    let is_here = || UdpSocket::bind((ip, 0)).is_ok();
    let own_ip = own.ip().to_canonical();
    let same = port == own.port() && (ip == own_ip || own_ip.is_unspecified() && is_here());
    same.then_some("is the hub's own")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_networks_are_taken_and_metadata_is_not() {
        for ip in ["10.0.0.1", "192.168.88.1", "127.0.0.1", "::1", "fd00::1", "203.0.113.9"] {
            assert_eq!(refusal(ip.parse().unwrap()), None, "{ip}");
        }
        for ip in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "0.0.0.0",
            "::",
            "224.0.0.1",
        ] {
            assert!(refusal(ip.parse().unwrap()).is_some(), "{ip}");
        }
    }

    #[tokio::test]
    async fn a_disguised_address_is_seen_through_and_allowed_only_by_name() {
        let own = Some("127.0.0.1:7070".parse().unwrap());
        let check = async |address: &str, allow: &[&str]| {
            let allow = allow.iter().map(|&name| name.to_owned()).collect();
            let collect = Collect { allow, ..Collect::default() };
            let taken = resolve(&address.parse().unwrap(), &collect, own).await;
            taken.map(drop).map_err(|problem| problem.code())
        };
        for address in [
            "[::ffff:169.254.169.254]:22",
            "169.254.169.254",
            "2852039166:80",
            "[::ffff:7f00:1]:7070",
            "127.0.0.1:7070",
            "2130706433:7070",
        ] {
            assert_eq!(check(address, &[]).await, Err("address-refused"), "{address}");
        }
        assert_eq!(check("127.0.0.1:22", &[]).await, Ok(()));
        assert_eq!(check("169.254.169.254", &["169.254.169.254"]).await, Ok(()));
        assert_eq!(check("[::ffff:169.254.169.254]:22", &["169.254.169.254"]).await, Ok(()));
        assert_eq!(check("169.254.169.254", &["169.254.169.253"]).await, Err("address-refused"));
        assert_eq!(check("localhost:7070", &["localhost"]).await, Ok(()));
    }

    #[test]
    fn a_hub_that_listens_everywhere_is_known_by_any_address_of_the_machine() {
        let everywhere = "0.0.0.0:7070".parse().unwrap();
        assert!(is_own("127.0.0.1".parse().unwrap(), 7070, everywhere).is_some());
        assert_eq!(is_own("127.0.0.1".parse().unwrap(), 22, everywhere), None);
        assert_eq!(is_own("203.0.113.9".parse().unwrap(), 7070, everywhere), None);
    }
}
