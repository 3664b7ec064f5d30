//! `[[device]]` and `[collect]` of `hub.toml`: the devices whose configuration is collected over SSH, and the schedule.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use rig_config::Format;
use rig_config::policy::{bytes, span_of_time};
use rig_event::{ServiceName, StreamName};
use serde::{Deserialize, Deserializer, de};

/// Maximum length of a duration in the settings of a device.
const LONGEST: Duration = Duration::from_secs(52 * 7 * 86_400);

/// `[collect]`: settings of all devices.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Collect {
    /// The number of devices that are spoken to at the same time, from 1 to 1,000.
    #[serde(deserialize_with = "concurrency")]
    pub concurrency: usize,
}

impl Default for Collect {
    fn default() -> Collect {
        Collect { concurrency: 8 }
    }
}

/// A device whose configuration is what a command prints.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// The service of its configuration. A service of a stream has at most one device.
    pub service: ServiceName,
    /// The stream that it is captured into; created if it does not exist.
    #[serde(default = "StreamName::main")]
    pub stream: StreamName,
    /// The address of its SSH server.
    pub address: Address,
    /// The user that logs in.
    pub user: String,
    /// The environment variable that holds the password.
    #[serde(default)]
    pub password_env: Option<String>,
    /// The file that holds the password. A newline at its end is ignored.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The file that holds the private key: OpenSSH, PEM or PuTTY.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// The environment variable that holds the passphrase of `key_file`.
    #[serde(default)]
    pub key_passphrase_env: Option<String>,
    /// The file that holds the passphrase of `key_file`.
    #[serde(default)]
    pub key_passphrase_file: Option<PathBuf>,
    /// The kind of device; this says which command and format it has unless they are named.
    #[serde(default)]
    pub kind: Kind,
    /// The command that prints the configuration.
    #[serde(default)]
    pub command: Option<String>,
    /// The format of the output.
    #[serde(default)]
    pub format: Option<Format>,
    /// The interval at which it is asked.
    #[serde(default = "quarter_of_an_hour", deserialize_with = "span")]
    pub interval: Duration,
    /// The most that it may be asked later than that, by chance, so that not all are asked at once; a tenth of `interval` unless it is
    /// said.
    #[serde(default, deserialize_with = "span_of_time")]
    pub jitter: Option<Duration>,
    /// The time that one attempt may take, from the first packet to the last.
    #[serde(default = "a_minute", deserialize_with = "span")]
    pub timeout: Duration,
    /// Maximum pause between attempts at a device that fails.
    #[serde(default = "two_hours", deserialize_with = "span")]
    pub max_backoff: Duration,
    /// Maximum size of the output, in bytes.
    #[serde(default = "sixteen_mebibytes", deserialize_with = "size")]
    pub max_output: u64,
    /// The fingerprint of its host key, `SHA256:…`. Without it, the first key that it shows is pinned.
    #[serde(default, deserialize_with = "fingerprint")]
    pub host_key: Option<String>,
    /// Also allow algorithms that are broken or weak: SHA-1, CBC, ssh-rsa, groups of 1,024 bits.
    #[serde(default)]
    pub legacy_algorithms: bool,
}

/// A kind of device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// MikroTik RouterOS: `/export`, format `routeros`.
    Routeros,
    /// Cisco IOS and similar systems: `show running-config`, format `text`.
    Cisco,
    /// Juniper Junos: `show configuration | no-more`, format `text`.
    Junos,
    /// Any other: `command` is required; format `text`.
    #[default]
    Text,
}

impl Device {
    /// Returns the command that prints the configuration.
    pub fn command(&self) -> &str {
        match (&self.command, self.kind) {
            (Some(command), _) => command,
            (None, Kind::Routeros) => "/export",
            (None, Kind::Cisco) => "show running-config",
            (None, Kind::Junos) => "show configuration | no-more",
            (None, Kind::Text) => "",
        }
    }

    /// Returns the format of the output.
    pub fn format(&self) -> Format {
        self.format.unwrap_or(match self.kind {
            Kind::Routeros => Format::Routeros,
            Kind::Cisco | Kind::Junos | Kind::Text => Format::Text,
        })
    }

    fn check(&self) -> Result<(), String> {
        let secrets = [self.password_env.is_some(), self.password_file.is_some(), self.key_file.is_some()];
        let passphrases = [self.key_passphrase_env.is_some(), self.key_passphrase_file.is_some()];
        let spans = [self.interval, self.timeout, self.max_backoff];
        let allowed = Duration::from_secs(1)..=LONGEST;
        let count = |said: &[bool]| said.iter().filter(|said| **said).count();
        let wrong = match () {
            () if self.stream.is_internal() => "streams that begin with `_` belong to the hub",
            () if self.user.is_empty() => "say who logs in: `user`",
            () if self.command().is_empty() => {
                "say which `command` prints the configuration, or which `kind` it is"
            }
            () if count(&secrets) != 1 => "say one of `password_env`, `password_file` and `key_file`",
            () if count(&passphrases) > 1 => "say `key_passphrase_env` or `key_passphrase_file`, not both",
            () if count(&passphrases) == 1 && self.key_file.is_none() => "a passphrase needs a `key_file`",
            () if !spans.iter().all(|span| allowed.contains(span)) || self.jitter > Some(LONGEST) => {
                "`interval`, `timeout` and `max_backoff` take 1s to 52w, `jitter` 0s to 52w"
            }
            () if self.max_output == 0 => "`max_output` must be at least 1KiB",
            () => return Ok(()),
        };
        Err(format!("device `{}`: {wrong}", self.service.as_str()))
    }
}

/// A host, by name or IP address, and a port: `router.example`, `10.0.0.1:2222`, `[fd00::1]:22`; the default port is 22.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// Name in lower case, or IP address without brackets.
    pub host: String,
    /// TCP port, not 0.
    pub port: u16,
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Address, &'static str> {
        let wrong = "an address is a host and a port, like `10.0.0.1:22` or `[fd00::1]:22`";
        let (host, port) =
            match text.strip_prefix('[').map(|rest| rest.split_once(']').ok_or(wrong)).transpose()? {
                Some((host, port)) => (host, port.strip_prefix(':')),
                // An IPv6 address without brackets and without a port.
                None if text.matches(':').count() > 1 => (text, None),
                None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
            };
        let is_name = !host.is_empty()
            && host.len() <= 253
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        let is_v6 = host.parse::<std::net::Ipv6Addr>().is_ok();
        let port = port.map_or(Some(22), |port| port.parse().ok()).filter(|&port| port != 0);
        match port {
            Some(port) if is_name || is_v6 => Ok(Address { host: host.to_ascii_lowercase(), port }),
            _ => Err(wrong),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Address, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// Checks each device as a whole, and that services are unique. Returns the index of the first wrong device, and the reason.
///
/// # Errors
/// A device is not sensible, or has the service of an earlier one.
pub fn check(devices: &[Device]) -> Result<(), (usize, String)> {
    let mut seen = BTreeSet::new();
    for (at, device) in devices.iter().enumerate() {
        device.check().map_err(|why| (at, why))?;
        if !seen.insert((&device.stream, &device.service)) {
            let (service, stream) = (device.service.as_str(), &device.stream);
            return Err((at, format!("two devices are service `{service}` of stream {stream}")));
        }
    }
    Ok(())
}

fn concurrency<'de, D: Deserializer<'de>>(d: D) -> Result<usize, D::Error> {
    match usize::deserialize(d)? {
        count @ 1..=1000 => Ok(count),
        _ => Err(de::Error::custom("`concurrency` is a number from 1 to 1000")),
    }
}

fn fingerprint<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(d)?;
    match text.parse::<russh::keys::ssh_key::Fingerprint>() {
        Ok(russh::keys::ssh_key::Fingerprint::Sha256(_)) => Ok(Some(text)),
        _ => Err(de::Error::custom(
            "`host_key` is the fingerprint that `ssh-keyscan HOST | ssh-keygen -lf -` prints, like \"SHA256:…\"",
        )),
    }
}

fn span<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    span_of_time(d).map(Option::unwrap_or_default)
}

fn size<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    bytes(d).map(Option::unwrap_or_default)
}

fn quarter_of_an_hour() -> Duration {
    Duration::from_secs(15 * 60)
}

fn a_minute() -> Duration {
    Duration::from_secs(60)
}

fn two_hours() -> Duration {
    Duration::from_secs(2 * 60 * 60)
}

fn sixteen_mebibytes() -> u64 {
    16 << 20
}

#[cfg(test)]
mod tests {
    use super::{Collect, Device, check};

    const LEAST: &str = "[[device]]\nservice = \"r1\"\naddress = \"10.0.0.1\"\nuser = \"rig\"\n";

    #[derive(Debug, serde::Deserialize)]
    struct File {
        device: Vec<Device>,
    }

    fn parse(more: &str) -> Result<Device, String> {
        let mut file: File = toml::from_str(&format!("{LEAST}{more}")).map_err(|e| e.message().to_owned())?;
        check(&file.device).map_err(|(_, why)| why)?;
        Ok(file.device.remove(0))
    }

    #[test]
    fn a_kind_says_what_is_not_said() {
        let device = parse("kind = \"routeros\"\npassword_env = \"P\"").unwrap();
        assert_eq!((device.command(), device.format().as_str()), ("/export", "routeros"));
        assert_eq!((device.address.to_string().as_str(), device.stream.as_str()), ("10.0.0.1:22", "main"));
        let device = parse("kind = \"cisco\"\nkey_file = \"/k\"\ncommand = \"show run\"").unwrap();
        assert_eq!((device.command(), device.format().as_str()), ("show run", "text"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        let twice =
            format!("password_env = \"P\"\ncommand = \"c\"\n{LEAST}password_env = \"P\"\ncommand = \"c\"");
        for (more, word) in [
            ("command = \"c\"", "one of `password_env`"),
            ("command = \"c\"\npassword_env = \"P\"\nkey_file = \"/k\"", "one of `password_env`"),
            ("password_env = \"P\"", "`command`"),
            ("command = \"c\"\npassword_env = \"P\"\nkey_passphrase_env = \"Q\"", "`key_file`"),
            ("command = \"c\"\npassword_env = \"P\"\nhost_key = \"aa:bb\"", "SHA256"),
            ("command = \"c\"\npassword_env = \"P\"\ninterval = \"0s\"", "1s to 52w"),
            ("command = \"c\"\npassword_env = \"P\"\njitter = \"53w\"", "1s to 52w"),
            ("command = \"c\"\npassword_env = \"P\"\nstream = \"_hub\"", "belong to the hub"),
            ("command = \"c\"\npassword = \"hunter2\"", "unknown field"),
            (&twice, "two devices"),
        ] {
            let error = parse(more).unwrap_err();
            assert!(error.contains(word), "{more}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let refused = toml::from_str::<Collect>("concurrency = 0").unwrap_err();
        assert!(refused.message().contains("concurrency"), "{refused}");
    }

    #[test]
    fn an_address_has_one_spelling() {
        for (text, shown) in [
            ("Router.Example", "router.example:22"),
            ("10.0.0.1:2222", "10.0.0.1:2222"),
            ("[fd00::1]:830", "[fd00::1]:830"),
            ("[fd00::1]", "[fd00::1]:22"),
            ("fd00::1", "[fd00::1]:22"),
        ] {
            assert_eq!(text.parse::<super::Address>().unwrap().to_string(), shown);
        }
        for text in ["", ":22", "a:0", "a:70000", "a b", "user@host", "[::1", "http://a", "[a]:x"] {
            assert!(text.parse::<super::Address>().is_err(), "{text}");
        }
    }
}
