//! Families that a text is recognised as by its looks.
//!
//! The rows of most grammars hold in every text, so nobody needs to know its family to redact it. Rules of a policy ask for it
//! (`kind = "cisco-ios"`), and explanations tell it.

use std::sync::LazyLock;

use regex::Regex;

use super::{SIGNS, grammars};

/// Families with what is enough to know one, and what has to be there three times.
const LOOKS: &[(&str, &str, &str)] = &[
    (
        "cisco-ios",
        r"^Current configuration : \d+ bytes|^boot-start-marker|^service timestamps (debug|log) ",
        r"^(interface (\S*Ethernet|Vlan|Loopback|Tunnel|Serial)\S* ?\d*|ip (route|access-list|domain|ssh|http) .*|line (vty|con|aux) .*|router (bgp|ospf|eigrp) .*|hostname \S+|enable (secret|password) .*|username \S+ .*(secret|password) .*|aaa (new-model|authentication .*)|snmp-server .*|tacacs-server .*|crypto (isakmp|ikev2|ipsec) .*)$",
    ),
    (
        "cisco-iosxr",
        r"^!! IOS XR Configuration|^RP/0/\S*#",
        r"^(interface MgmtEth|route-policy |end-policy|vty-pool )",
    ),
    (
        "cisco-nxos",
        r"^!Command: show running-config|^vdc \S+ id \d",
        r"^(feature [a-z+-]+$|vrf context |vpc domain )",
    ),
    (
        "cisco-asa",
        r"^ASA Version |^: Saved$",
        r"^( nameif | security-level |access-group |object(-group)? network |same-security-traffic )",
    ),
    (
        "arista-eos",
        r"^! device: .*EOS|^! boot system flash:.*EOS",
        r"^(daemon TerminAttr|management api |transceiver |mlag configuration)",
    ),
    (
        "junos",
        r"^## Last (commit|changed): |^version \d+\.\d+R\S+;",
        r"^(set (system|interfaces|protocols|routing-options|security|snmp|policy-options|firewall) |(system|interfaces|protocols|routing-options|security|snmp) \{)",
    ),
    (
        "fortios",
        r"^#config-version=",
        r"^config (system|firewall|user|vpn|router|log|wireless-controller)( |$)",
    ),
    ("routeros", r"^# .* by RouterOS ", r"^/(interface|ip|system|ppp|user|snmp|routing|tool|queue)( |$)"),
    (
        "huawei-vrp",
        r"^!Software Version V\d+R",
        r"^(sysname |user-interface |snmp-agent |interface (GigabitEthernet|Vlanif|MEth|XGigabitEthernet))",
    ),
    (
        "panos-set",
        "^set deviceconfig system hostname ",
        r"^set (deviceconfig|mgt-config|network|shared|vsys|rulebase) ",
    ),
    (
        "vyos-set",
        "^set system config-management ",
        r"^set (system|interfaces|service|protocols|firewall|vpn|nat) .*",
    ),
    (
        "procurve",
        r"^; J\w+ Configuration Editor",
        r"^(password manager|password operator|snmpv3 |ip authorized-managers )",
    ),
    ("f5-tmos", "^#TMSH-VERSION: ", r"^(ltm|net|sys|auth|apm|gtm) [a-z-]+( [a-z-]+)* .*\{"),
    (
        "netscaler",
        r"^#NS\d+\.\d+ Build ",
        r"^(set|add|bind|enable) (ns|lb|cs|ssl|system|authentication|vpn|service|serviceGroup) ",
    ),
    (
        "openvpn",
        r"^<(tls-crypt(-v2)?|tls-auth)>$",
        r"^(client|dev (tun|tap)\S*|remote \S+.*|proto (udp|tcp)\S*|persist-(key|tun)|remote-cert-tls .*|auth-user-pass.*)$",
    ),
    (
        "wireguard",
        r"^\[Interface\]\r?\n(.+\n)*PrivateKey\s*=",
        r"^(PrivateKey|AllowedIPs|Endpoint|PersistentKeepalive)\s*=",
    ),
    (
        "haproxy",
        r"^\s*stats auth ",
        r"^(global|defaults|frontend \S+|backend \S+|listen \S+.*|userlist \S+)\s*$",
    ),
    (
        "net-snmp",
        r"^(rocommunity6?|rwcommunity6?|com2sec6?|createUser) ",
        r"^(sys(location|contact|services)|agentaddress|view|access|group|trap2?sink) ",
    ),
    (
        "redis",
        "^(requirepass|masterauth) ",
        r"^(maxmemory(-policy)?|appendonly|save|tcp-keepalive|databases|repl-\S+) ",
    ),
    (
        "wireless",
        r"^\s*(wpa_passphrase|sae_password)=|^network=\{",
        r"^(ssid|hw_mode|channel|wpa|wpa_key_mgmt)=",
    ),
    (
        "mail",
        "^mail_version = ",
        r"^(myhostname|mydestination|mynetworks|inet_interfaces|smtpd?_\S+|process_name) = ",
    ),
    (
        "squid",
        "^Server: squid/",
        r"^(http_access (allow|deny) |acl \S+ \S+ |http_port \S+|cache_(dir|mem|peer) |refresh_pattern )",
    ),
    ("freeradius", r"^\S+\s+Cleartext-Password := ", r"^\s*(client \S+ \{|ipaddr = |nas_?type = )"),
];

/// The patterns of a family.
struct Looks {
    name: &'static str,
    enough: Regex,
    often: Regex,
}

static ALL: LazyLock<Vec<Looks>> = LazyLock::new(|| {
    let read = |&(name, enough, often): &(&'static str, &str, &str)| {
        let regex = |text: &str| Regex::new(&format!("(?m){text}")).ok();
        Some(Looks { name, enough: regex(enough)?, often: regex(often)? })
    };
    LOOKS.iter().filter_map(read).collect()
});

/// Returns the names of the families that a text is of: by the name of its file, or of the family itself, by its signs, by its looks.
pub(crate) fn recognised(text: &str, file: Option<&str>) -> Vec<&'static str> {
    let grammars = grammars();
    let mut names: Vec<&'static str> =
        grammars.families(text, file).into_iter().map(|at| grammars.all[at].name).collect();
    let head = &text[..text.floor_char_boundary(SIGNS)];
    let is_of =
        |looks: &&Looks| looks.enough.is_match(head) || looks.often.find_iter(head).take(3).count() == 3;
    for looks in ALL.iter().filter(is_of) {
        if !names.contains(&looks.name) {
            names.push(looks.name);
        }
    }
    names
}

/// Returns true if a text is of a family: by its signs, or by its looks.
pub(crate) fn is_of(text: &str, family: &str) -> bool {
    let head = &text[..text.floor_char_boundary(SIGNS)];
    let has_looks =
        |looks: &Looks| looks.enough.is_match(head) || looks.often.find_iter(head).take(3).count() == 3;
    ALL.iter().any(|looks| looks.name == family && has_looks(looks)) || grammars().is_of(text, family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_those_of_families() {
        assert_eq!(ALL.len(), LOOKS.len());
        for looks in ALL.iter() {
            assert!(grammars().all.iter().any(|grammar| grammar.name == looks.name), "{}", looks.name);
        }
    }

    #[test]
    fn texts_are_recognised_by_their_looks() {
        for (text, family) in [
            ("hostname r1\ninterface GigabitEthernet0/1\nline vty 0 4\n", "cisco-ios"),
            ("set system host-name a\nset interfaces ge-0/0/0 unit 0\nset snmp community x\n", "junos"),
            ("#config-version=FGT60F-7.0\nconfig system global\n", "fortios"),
            ("client\ndev tun\nproto udp\nremote a.example 1194\n", "openvpn"),
            ("[Interface]\nAddress = 10.0.0.1/24\nPrivateKey = x\n", "wireguard"),
            ("global\n  daemon\ndefaults\n  mode http\nfrontend web\n", "haproxy"),
        ] {
            assert!(recognised(text, None).contains(&family), "{text}: {:?}", recognised(text, None));
        }
        for text in
            ["", "hostname a\nuser b\n", "line one\nline two\nline three\n", "set a 1\nset b 2\nset c 3\n"]
        {
            assert_eq!(recognised(text, None), [""; 0], "{text}");
        }
    }
}
