//! Guards connections to addresses that somebody named: no address inside, unless `hub.toml` allows it.
//!
//! A name is resolved here, its addresses are checked, and the hub connects to one that passed: the name is not resolved a second
//! time, which could give another answer. Addresses are compared as numbers, so their spelling does not matter.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{ClientBuilder, Url, redirect};
use serde::Deserialize;

/// The time that a name may take to be resolved.
const RESOLVE: Duration = Duration::from_secs(10);

/// `allow` in `hub.toml`: internal names, addresses and networks that the hub may nevertheless connect to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Allowed {
    networks: Vec<Network>,
    /// In lower case, without a dot at the end.
    names: BTreeSet<String>,
}

/// A network: addresses with a common prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    /// The number of bits that they share.
    bits: u8,
}

/// The reason why the hub does not connect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The address is internal.
    #[error("{host} is {what}, where the hub connects only if hub.toml allows it: allow = [\"{host}\"]")]
    Inside {
        /// The name or address that was requested.
        host: String,
        /// The kind of address.
        what: &'static str,
    },
    /// It is not a URL, or not a suitable one.
    #[error("{0}")]
    Url(&'static str),
    /// The name has no address.
    #[error("the name {0} cannot be resolved")]
    Unknown(String),
}

/// Networks of IPv4 that are refused, in the order in which they are looked for.
const INSIDE_V4: [(Ipv4Addr, u8, &str); 17] = [
    (Ipv4Addr::new(169, 254, 169, 254), 32, METADATA),
    (Ipv4Addr::new(168, 63, 129, 16), 32, METADATA),
    (Ipv4Addr::new(100, 100, 100, 200), 32, METADATA),
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this machine"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "this machine"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "a private network"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "a private network"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "a private network"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "a provider's inner network"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, LINK_LOCAL),
    (Ipv4Addr::new(192, 0, 0, 0), 24, RESERVED),
    (Ipv4Addr::new(192, 0, 2, 0), 24, RESERVED),
    (Ipv4Addr::new(198, 18, 0, 0), 15, RESERVED),
    (Ipv4Addr::new(198, 51, 100, 0), 24, RESERVED),
    (Ipv4Addr::new(203, 0, 113, 0), 24, RESERVED),
    (Ipv4Addr::new(224, 0, 0, 0), 4, MULTICAST),
    (Ipv4Addr::new(240, 0, 0, 0), 4, RESERVED),
];

/// Internal addresses of IPv6. All outside 2000::/3 are refused, also without being listed here.
const INSIDE_V6: [(Ipv6Addr, u8, &str); 9] = [
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, METADATA),
    (Ipv6Addr::UNSPECIFIED, 127, "this machine"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "a private network"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, LINK_LOCAL),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, MULTICAST),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, RESERVED),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, RESERVED),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, RESERVED),
    (Ipv6Addr::new(0x4000, 0, 0, 0, 0, 0, 0, 0), 2, RESERVED),
];

const METADATA: &str = "a cloud's metadata service";
const LINK_LOCAL: &str = "a link-local address";
const MULTICAST: &str = "a multicast address";
const RESERVED: &str = "a reserved address";

impl TryFrom<Vec<String>> for Allowed {
    type Error = String;

    fn try_from(entries: Vec<String>) -> Result<Allowed, String> {
        let mut allowed = Allowed::default();
        for entry in entries {
            match Network::parse(&entry)? {
                Some(network) => allowed.networks.push(network),
                None => {
                    allowed.names.insert(plain_name(&entry));
                }
            }
        }
        Ok(allowed)
    }
}

impl Network {
    /// Parses an address, or a network such as `10.0.0.0/8`; `None` if it is a name.
    fn parse(text: &str) -> Result<Option<Network>, String> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            let is_name = !text.is_empty()
                && text.len() <= 253
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
                // Otherwise it is an address in a spelling that would match no name.
                && matches!(Url::parse(&format!("http://{text}/")).as_ref().map(Url::domain), Ok(Some(_)));
            return match is_name {
                true => Ok(None),
                false => Err(format!(
                    "`{}` is no name, address or network such as 10.0.0.0/8",
                    text.escape_debug()
                )),
            };
        };
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(width), |bits| bits.parse().ok().filter(|&bits| bits <= width));
        let network = bits.map(|bits| Network { address, bits }).filter(|n| n.first() == numeric(address));
        network.map(Some).ok_or_else(|| format!("`{text}` is no network: write the first address and how many bits it shares, as in 10.0.0.0/8"))
    }

    fn first(self) -> u128 {
        numeric(self.address) & self.mask()
    }

    fn mask(self) -> u128 {
        let width = if self.address.is_ipv4() { 32 } else { 128 };
        // All bits but the last ones; an IPv4 address has only 32.
        u128::MAX.checked_shl(width - u32::from(self.bits)).unwrap_or(0)
    }

    fn holds(self, ip: IpAddr) -> bool {
        self.address.is_ipv4() == ip.is_ipv4() && numeric(ip) & self.mask() == self.first()
    }
}

fn numeric(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

/// Returns the IPv4 address that an IPv6 address leads to: mapped, compatible, by NAT64 or 6to4.
fn within(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(v4(g, h)),
        // `::` and `::1` are addresses of IPv6 itself.
        [0, 0, 0, 0, 0, 0] if g != 0 || h > 1 => Some(v4(g, h)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// Checks that the hub may connect to `ip`.
///
/// # Errors
/// [`Refused::Inside`] for an address that is not on the public internet, unless a network of `allowed` contains it.
pub fn check(ip: IpAddr, allowed: &Allowed) -> Result<(), Refused> {
    let ip = match ip {
        IpAddr::V6(v6) => within(v6).map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    };
    if allowed.networks.iter().any(|network| network.holds(ip)) {
        return Ok(());
    }
    let what = match ip {
        IpAddr::V4(_) => INSIDE_V4
            .iter()
            .find(|&&(first, bits, _)| Network { address: first.into(), bits }.holds(ip))
            .map(|&(_, _, what)| what),
        IpAddr::V6(v6) => INSIDE_V6
            .iter()
            .find(|&&(first, bits, _)| Network { address: first.into(), bits }.holds(ip))
            .map(|&(_, _, what)| what)
            .or_else(|| (v6.segments()[0] >> 13 != 1).then_some(RESERVED)),
    };
    what.map_or(Ok(()), |what| Err(Refused::Inside { host: ip.to_string(), what }))
}

/// Checks that the hub may connect to `ip` as to a device, which usually lies in a private network.
///
/// # Errors
/// [`Refused::Inside`] for an address that a device cannot have or must not be named as, unless a network of `allowed` contains
/// it.
pub fn check_device(ip: IpAddr, allowed: &Allowed) -> Result<(), Refused> {
    match check(ip, allowed) {
        Err(Refused::Inside { host, what: what @ (METADATA | LINK_LOCAL | MULTICAST) }) => {
            Err(Refused::Inside { host, what })
        }
        _ => Ok(()),
    }
}

/// Checks that the hub may send requests to `url`, as far as is known before its name is resolved.
///
/// # Errors
/// If it is not an HTTP URL, contains a user name or password, or is an internal address that is not allowed, in any spelling.
pub fn check_url(url: &str, allowed: &Allowed) -> Result<Url, Refused> {
    let url: Url = url.parse().map_err(|_| Refused::Url("this is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refused::Url("the URL must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refused::Url("the URL must have no user name and password in it"));
    }
    let host = url.host_str().ok_or(Refused::Url("the URL names no host"))?;
    // The parsed URL has addresses in their usual form.
    match host.trim_matches(['[', ']']).parse() {
        Ok(ip) => check(ip, allowed)?,
        Err(_) if is_local(host) && !allowed.names.contains(&plain_name(host)) => {
            return Err(Refused::Inside { host: host.to_owned(), what: "this machine" });
        }
        Err(_) => {}
    }
    Ok(url)
}

/// Returns the addresses of a host that the hub may connect to, each with `port`. Callers must connect to one of these and not
/// resolve the name again.
///
/// # Errors
/// If the name has no address, or none that the hub may connect to.
pub async fn resolve(host: &str, port: u16, allowed: &Allowed) -> Result<Vec<SocketAddr>, Refused> {
    resolve_by(check, host, port, allowed).await
}

/// Returns the addresses of a device, as [`resolve`] does.
///
/// # Errors
/// If the name has no address, or none that the hub may connect to.
pub async fn resolve_device(host: &str, port: u16, allowed: &Allowed) -> Result<Vec<SocketAddr>, Refused> {
    resolve_by(check_device, host, port, allowed).await
}

async fn resolve_by(
    check: fn(IpAddr, &Allowed) -> Result<(), Refused>,
    host: &str,
    port: u16,
    allowed: &Allowed,
) -> Result<Vec<SocketAddr>, Refused> {
    let unknown = || Refused::Unknown(host.escape_debug().take(253).collect());
    let found = tokio::time::timeout(RESOLVE, tokio::net::lookup_host((host, port))).await;
    let found: Vec<SocketAddr> = found.map_err(|_| unknown())?.map_err(|_| unknown())?.collect();
    if allowed.names.contains(&plain_name(host)) && !found.is_empty() {
        return Ok(found);
    }
    let mut refused = unknown();
    let mut addresses = Vec::new();
    for address in found {
        match check(address.ip(), allowed) {
            Ok(()) => addresses.push(address),
            Err(Refused::Inside { what, .. }) => {
                refused = Refused::Inside { host: host.to_owned(), what };
            }
            Err(other) => refused = other,
        }
    }
    if addresses.is_empty() { Err(refused) } else { Ok(addresses) }
}

/// Returns a client that connects only to allowed addresses. Its URLs must have passed [`check_url`]. It follows no redirects and
/// uses no proxy.
pub fn client(allowed: Arc<Allowed>) -> ClientBuilder {
    reqwest::Client::builder().dns_resolver(Resolver(allowed)).redirect(redirect::Policy::none()).no_proxy()
}

/// Returns the refusal of the guard in an error of [`client`], if it is one.
pub fn refused(error: &reqwest::Error) -> Option<&Refused> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref() {
            return Some(refused);
        }
        cause = error.source();
    }
    None
}

struct Resolver(Arc<Allowed>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0.clone();
        Box::pin(async move {
            let addresses = resolve(name.as_str(), 0, &allowed).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Returns true if a name stands for this machine everywhere.
fn is_local(host: &str) -> bool {
    let name = plain_name(host);
    name == "localhost" || name.ends_with(".localhost")
}

fn plain_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(entries: &[&str]) -> Allowed {
        entries.iter().map(|&e| e.to_owned()).collect::<Vec<_>>().try_into().unwrap()
    }

    fn passes(ip: &str, allowed: &Allowed) -> bool {
        check(ip.parse().unwrap(), allowed).is_ok()
    }

    #[test]
    fn addresses_inside_are_refused_up_to_their_last_and_their_neighbours_are_not() {
        // First and last of each, and the ones before and after where those are outside.
        let table = [
            ("0.0.0.0", "0.255.255.255", None, Some("1.0.0.0")),
            ("10.0.0.0", "10.255.255.255", Some("9.255.255.255"), Some("11.0.0.0")),
            ("100.64.0.0", "100.127.255.255", Some("100.63.255.255"), Some("100.128.0.0")),
            ("127.0.0.0", "127.255.255.255", Some("126.255.255.255"), Some("128.0.0.0")),
            ("168.63.129.16", "168.63.129.16", Some("168.63.129.15"), Some("168.63.129.17")),
            ("169.254.0.0", "169.254.255.255", Some("169.253.255.255"), Some("169.255.0.0")),
            ("172.16.0.0", "172.31.255.255", Some("172.15.255.255"), Some("172.32.0.0")),
            ("192.168.0.0", "192.168.255.255", Some("192.167.255.255"), Some("192.169.0.0")),
            ("198.18.0.0", "198.19.255.255", Some("198.17.255.255"), Some("198.20.0.0")),
            ("224.0.0.0", "255.255.255.255", Some("223.255.255.255"), None),
            ("::", "::1", None, None),
            ("fc00::", "fdff:ffff::", Some("2a00::1"), None),
            ("fe80::1", "febf::1", None, None),
            ("ff02::1", "ffff::1", None, None),
            ("2001::1", "2001:1ff::1", None, Some("2001:200::1")),
            ("2001:db8::", "2001:db8:ffff::", Some("2001:db7::1"), Some("2001:db9::1")),
            ("100::1", "1fff:ffff::1", None, Some("2003::1")),
            ("4000::1", "fb00::1", Some("3ffe::1"), None),
        ];
        let none = Allowed::default();
        for (first, last, before, after) in table {
            for inside in [first, last] {
                assert!(!passes(inside, &none), "{inside}");
            }
            for outside in [before, after].into_iter().flatten() {
                assert!(passes(outside, &none), "{outside}");
            }
        }
    }

    #[test]
    fn an_address_of_ipv4_in_one_of_ipv6_is_judged_as_that() {
        let none = Allowed::default();
        for (first, ..) in INSIDE_V4 {
            let [a, b, c, d] = first.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low);
            let six_to_four = Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1);
            for ip in [first.to_ipv6_mapped(), first.to_ipv6_compatible(), nat64, six_to_four] {
                assert!(check(ip.into(), &none).is_err(), "{ip}");
            }
        }
        for open in ["::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"] {
            assert!(passes(open, &none), "{open}");
        }
        assert!(passes("::ffff:10.1.2.3", &allow(&["10.0.0.0/8"])));
    }

    #[test]
    fn what_is_allowed_is_allowed_and_nothing_beside_it() {
        let some = allow(&["10.1.0.0/16", "192.168.7.9", "fd00:1::/32"]);
        for (ip, fine) in [
            ("10.1.255.255", true),
            ("10.2.0.0", false),
            ("192.168.7.9", true),
            ("192.168.7.8", false),
            ("fd00:1::5", true),
            ("fd00:2::5", false),
            // Its bits are those of an allowed one.
            ("::10.2.0.0", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(passes(ip, &some), fine, "{ip}");
        }
        assert!(passes("127.0.0.1", &allow(&["0.0.0.0/0"])));
        assert!(!passes("fd00::1", &allow(&["0.0.0.0/0"])));
        for wrong in [
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "",
            "a b",
            "http://x",
            "0x7f.1",
            "2130706433",
            "10.0.0/8",
        ] {
            assert!(Allowed::try_from(vec![wrong.to_owned()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_is_known_in_every_spelling() {
        let none = Allowed::default();
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "017700000001",
            "127.0.0.1.",
            "%31%32%37.0.0.1",
            "１２７.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:0:0:1]",
            "[fe80::1]",
            "0",
            "localhost",
            "LOCALHOST.",
            "x.localhost",
            "169.254.169.254",
            "[fd00:ec2::254]",
        ] {
            let url = format!("http://{host}:8080/hook");
            assert!(matches!(check_url(&url, &none), Err(Refused::Inside { .. })), "{url}");
        }
        for url in [
            "http://[fe80::1%25eth0]/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "http://u:p@example.com/",
            "x",
            "http://",
        ] {
            assert!(matches!(check_url(url, &none), Err(Refused::Url(_))), "{url}");
        }
        for url in ["https://hooks.example.com/x", "http://93.184.215.14/", "https://[2a00:1450::1]:8443/"] {
            assert!(check_url(url, &none).is_ok(), "{url}");
        }
        assert!(check_url("http://Localhost/", &allow(&["localhost"])).is_ok());
        assert!(check_url("http://0x7f.1/", &allow(&["127.0.0.1"])).is_ok());
    }

    #[tokio::test]
    async fn a_name_is_worth_what_it_resolves_to() {
        let refused = resolve("localhost", 1, &Allowed::default()).await.unwrap_err();
        assert_eq!(refused, Refused::Inside { host: "localhost".to_owned(), what: "this machine" });
        // The system's resolver takes these for addresses, and so does the check.
        for host in ["2130706433", "127.1"] {
            assert!(resolve(host, 1, &Allowed::default()).await.is_err(), "{host}");
        }
        let found = resolve("localhost", 1, &allow(&["LOCALHOST."])).await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 1), "{found:?}");
        let found = resolve("localhost", 1, &allow(&["127.0.0.0/8"])).await.unwrap();
        assert!(found.iter().all(SocketAddr::is_ipv4) && !found.is_empty(), "{found:?}");
    }

    #[tokio::test]
    async fn the_client_connects_to_no_address_that_was_not_checked() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let refusing = client(Arc::default()).build().unwrap();
        let error = refusing.get(&url).send().await.unwrap_err();
        assert!(matches!(refused(&error), Some(Refused::Inside { .. })), "{error:?}");
        let allowing = client(Arc::new(allow(&["127.0.0.1"]))).build().unwrap();
        let sending = tokio::time::timeout(Duration::from_secs(20), allowing.get(&url).send());
        let (sent, ()) = tokio::join!(sending, async { drop(listener.accept().await.unwrap()) });
        let error = sent.unwrap().unwrap_err();
        assert!(refused(&error).is_none(), "{error:?}");
    }
}
