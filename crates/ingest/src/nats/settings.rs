//! `[nats]` in `hub.toml`: the source of device snapshots, and their destination.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};
use rig_config::policy::span_of_time;
use rig_event::{ServiceName, StreamName};
use rig_outbound::Secret;
use serde::Deserialize;

use super::message::uuid;

/// Maximum length of a stream or consumer name: with what is added to it, it must fit an idempotency key.
const MAX_NAME: usize = 128;

/// `[nats]` of `hub.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Table")]
pub struct Settings {
    pub(super) servers: Vec<ServerAddr>,
    pub(super) credentials: Credentials,
    pub(super) tls: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) stream: String,
    pub(super) subject: String,
    pub(super) consumer: String,
    /// The time that a message may be in work without a sign of life before the server gives it out again.
    pub(super) ack_wait: Duration,
    /// The number of messages that are in work at once.
    pub(super) in_flight: usize,
    /// The number of times that a message is tried before it is given up.
    pub(super) max_deliver: u32,
    pub(super) dead_letter: Option<String>,
    pub(super) devices: Devices,
    pub(super) max_streams: usize,
    rig_stream: String,
    rig_service: String,
}

/// The credentials of the hub. Secrets are read when it connects.
#[derive(Clone, Debug)]
pub(super) enum Credentials {
    None,
    User(String, Secret),
    Token(Secret),
    Nkey(Secret),
    /// A file with a JWT and a seed.
    File(PathBuf),
}

/// The devices whose snapshots are accepted.
#[derive(Clone, Debug)]
pub(super) enum Devices {
    /// All devices.
    Any,
    /// Devices whose service already exists in the stream.
    Known,
    /// The listed devices.
    These(BTreeSet<String>),
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    url: OneOrMore,
    user: Option<String>,
    password_env: Option<String>,
    password_file: Option<PathBuf>,
    token_env: Option<String>,
    token_file: Option<PathBuf>,
    nkey_env: Option<String>,
    nkey_file: Option<PathBuf>,
    credentials_file: Option<PathBuf>,
    #[serde(default)]
    tls: bool,
    ca_file: Option<PathBuf>,
    #[serde(default = "device_events")]
    stream: String,
    #[serde(default = "config_snapshots")]
    subject: String,
    #[serde(default = "config_snapshot_ingest")]
    consumer: String,
    #[serde(default, deserialize_with = "span_of_time")]
    ack_wait: Option<Duration>,
    #[serde(default = "in_flight")]
    in_flight: usize,
    #[serde(default = "max_deliver")]
    max_deliver: u32,
    dead_letter: Option<String>,
    devices: Option<OneOrMore>,
    #[serde(default = "max_streams")]
    max_streams: usize,
    #[serde(default = "tenant")]
    rig_stream: String,
    #[serde(default = "device")]
    rig_service: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

fn device_events() -> String {
    "DEVICE_EVENTS".to_owned()
}

fn config_snapshots() -> String {
    "config.snapshot.>".to_owned()
}

fn config_snapshot_ingest() -> String {
    "config_snapshot_ingest".to_owned()
}

fn in_flight() -> usize {
    64
}

fn max_deliver() -> u32 {
    5
}

fn max_streams() -> usize {
    1_000
}

fn tenant() -> String {
    "{tenant_id}".to_owned()
}

fn device() -> String {
    "{device_id}".to_owned()
}

impl TryFrom<Table> for Settings {
    type Error = String;

    fn try_from(table: Table) -> Result<Settings, String> {
        let credentials = credentials(&table)?;
        let urls = match table.url {
            OneOrMore::One(url) => vec![url],
            OneOrMore::More(urls) => urls,
        };
        let servers = urls.iter().map(|url| server(url)).collect::<Result<Vec<_>, _>>()?;
        if servers.is_empty() {
            return Err("`url` names no server".to_owned());
        }
        for (key, name) in [("stream", &table.stream), ("consumer", &table.consumer)] {
            if !is_name(name) {
                return Err(format!(
                    "`{key}` must be 1 to {MAX_NAME} letters, digits, `_` and `-`, as JetStream has it"
                ));
            }
        }
        if !is_subject(&table.subject, true) {
            return Err("`subject` is no subject of NATS".to_owned());
        }
        if let Some(subject) = &table.dead_letter {
            if !is_subject(subject, false) {
                return Err("`dead_letter` must be a subject of NATS without wildcards".to_owned());
            }
            if matches(&table.subject, subject) {
                return Err(
                    "`dead_letter` is a subject that `subject` covers: what is given up would come back"
                        .to_owned(),
                );
            }
        }
        let ack_wait = table.ack_wait.unwrap_or(Duration::from_secs(30));
        if !(Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(&ack_wait) {
            return Err("`ack_wait` must be from 1s to 1h".to_owned());
        }
        if !(1..=4_096).contains(&table.in_flight) {
            return Err("`in_flight` must be from 1 to 4096".to_owned());
        }
        if table.max_deliver == 0 || table.max_streams == 0 {
            return Err("`max_deliver` and `max_streams` must be 1 or more".to_owned());
        }
        let devices = match table.devices {
            None => Devices::Any,
            Some(OneOrMore::One(word)) if word == "any" => Devices::Any,
            Some(OneOrMore::One(word)) if word == "known" => Devices::Known,
            Some(OneOrMore::One(_)) => return Err("`devices` must be `any`, `known` or a list".to_owned()),
            Some(OneOrMore::More(list)) => Devices::These(
                list.iter()
                    .map(|id| uuid(id).ok_or("`devices` lists something that is no UUID"))
                    .collect::<Result<_, _>>()?,
            ),
        };
        let settings = Settings {
            servers,
            credentials,
            tls: table.tls,
            ca_file: table.ca_file,
            stream: table.stream,
            subject: table.subject,
            consumer: table.consumer,
            ack_wait,
            in_flight: table.in_flight,
            max_deliver: table.max_deliver,
            dead_letter: table.dead_letter,
            devices,
            max_streams: table.max_streams,
            rig_stream: table.rig_stream,
            rig_service: table.rig_service,
        };
        // Names that are valid for one UUID are valid for all.
        let sample = "00000000-0000-0000-0000-000000000000";
        let names = settings.names(sample, sample).ok_or(
            "`rig_stream` and `rig_service` must give names of streams and services; they may hold {tenant_id} and {device_id}",
        )?;
        if names.0.is_internal() {
            return Err("`rig_stream` gives names that begin with `_`: those belong to the hub".to_owned());
        }
        Ok(settings)
    }
}

impl Settings {
    /// Returns the stream and the service of a device's snapshots.
    pub(super) fn names(&self, tenant: &str, device: &str) -> Option<(StreamName, ServiceName)> {
        let filled = |template: &str| {
            let filled = template.replace("{tenant_id}", tenant).replace("{device_id}", device);
            (!filled.contains(['{', '}'])).then_some(filled)
        };
        Some((filled(&self.rig_stream)?.parse().ok()?, filled(&self.rig_service)?.parse().ok()?))
    }

    /// Returns the options of a connection, and reads the secrets for it.
    pub(super) async fn options(&self) -> Result<ConnectOptions, String> {
        let options = ConnectOptions::new().name("rig").require_tls(self.tls);
        let options = match &self.ca_file {
            Some(path) => options.add_root_certificates(path.clone()),
            None => options,
        };
        Ok(match &self.credentials {
            Credentials::None => options,
            Credentials::User(user, password) => {
                options.user_and_password(user.clone(), password.read().await?.to_string())
            }
            Credentials::Token(token) => options.token(token.read().await?.to_string()),
            Credentials::Nkey(seed) => options.nkey(seed.read().await?.to_string()),
            Credentials::File(path) => {
                // The library's error about a bad file may quote it.
                let cannot =
                    |_| format!("{} holds no credentials of NATS, or cannot be read", path.display());
                options.credentials_file(path).await.map_err(cannot)?
            }
        })
    }
}

fn credentials(table: &Table) -> Result<Credentials, String> {
    let password = Secret::of("password", table.password_env.as_ref(), table.password_file.as_ref())?;
    let token = Secret::of("token", table.token_env.as_ref(), table.token_file.as_ref())?;
    let nkey = Secret::of("nkey", table.nkey_env.as_ref(), table.nkey_file.as_ref())?;
    let user = match (&table.user, password) {
        (Some(user), Some(password)) => Some(Credentials::User(user.clone(), password)),
        (None, None) => None,
        _ => return Err("`user` needs `password_env` or `password_file`, and they need it".to_owned()),
    };
    let file = table.credentials_file.clone().map(Credentials::File);
    let given = [user, token.map(Credentials::Token), nkey.map(Credentials::Nkey), file];
    let mut given = given.into_iter().flatten();
    let first = given.next().unwrap_or(Credentials::None);
    match given.next() {
        None => Ok(first),
        Some(_) => Err("say one of `user`, `token_…`, `nkey_…` and `credentials_file`".to_owned()),
    }
}

fn server(url: &str) -> Result<ServerAddr, String> {
    let server: ServerAddr =
        url.parse().map_err(|_| "`url` must be like nats://HOST:4222 or tls://HOST:4222".to_owned())?;
    if server.username().is_some() || server.password().is_some() {
        return Err(
            "`url` holds credentials; name where they are with `user` and `password_env`, or `token_env`"
                .to_owned(),
        );
    }
    Ok(server)
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn is_subject(subject: &str, wildcards: bool) -> bool {
    let count = subject.split('.').count();
    let token = |(i, token): (usize, &str)| match token {
        ">" => wildcards && i + 1 == count,
        "*" => wildcards,
        token => {
            !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'*' | b'>'))
        }
    };
    subject.len() <= 255 && subject.split('.').enumerate().all(token)
}

/// Returns true if a subject is among those of a filter.
fn matches(filter: &str, subject: &str) -> bool {
    let (mut filter, mut subject) = (filter.split('.'), subject.split('.'));
    loop {
        match (filter.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(wanted), Some(token)) if wanted == "*" || wanted == token => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(more: &str) -> Result<Settings, String> {
        toml::from_str(&format!("url = \"nats://localhost:4222\"\n{more}")).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_not_said_is_as_the_collector_has_it() {
        let settings = parse("").unwrap();
        assert_eq!(
            (settings.stream.as_str(), settings.subject.as_str()),
            ("DEVICE_EVENTS", "config.snapshot.>")
        );
        assert_eq!(settings.consumer, "config_snapshot_ingest");
        let (stream, service) = settings.names("t", "d").unwrap();
        assert_eq!((stream.as_str(), service.as_str()), ("t", "d"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (more, why) in [
            ("strem = \"x\"", "strem"),
            ("stream = \"a.b\"", "`stream`"),
            ("subject = \"a..b\"", "`subject`"),
            ("dead_letter = \"dead.>\"", "without wildcards"),
            ("dead_letter = \"config.snapshot.dead\"", "come back"),
            ("ack_wait = \"soon\"", "span of time"),
            ("ack_wait = \"2h\"", "`ack_wait`"),
            ("in_flight = 0", "`in_flight`"),
            ("devices = \"all\"", "`devices`"),
            ("devices = [\"router-1\"]", "UUID"),
            ("rig_stream = \"{tenant}\"", "{tenant_id}"),
            ("rig_stream = \"_{tenant_id}\"", "belong to the hub"),
            ("user = \"rig\"", "password_env"),
            ("token_env = \"A\"\ntoken_file = \"b\"", "both"),
            ("token_env = \"A\"\ncredentials_file = \"b\"", "one of"),
        ] {
            let refused = parse(more).unwrap_err();
            assert!(refused.contains(why), "{more}: {refused}");
        }
        let refused = toml::from_str::<Settings>("url = \"nats://rig:hunter2@localhost\"").unwrap_err();
        assert!(refused.message().contains("holds credentials") && !refused.message().contains("hunter2"));
    }

    #[test]
    fn a_filter_covers_what_it_covers() {
        for (filter, subject, covered) in [
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            ("a.*.c", "a.b.c", true),
            ("a.*", "a.b.c", false),
            ("a.b", "a.b", true),
            (">", "x", true),
        ] {
            assert_eq!(matches(filter, subject), covered, "{filter} {subject}");
        }
    }
}
