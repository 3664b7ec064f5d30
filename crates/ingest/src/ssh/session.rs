//! A conversation with a device: connect, compare its host key with the known one, log in, run one command.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use rig_event::event::HostKey;
use rig_hub::{Problem, WeakCore};
use rig_outbound::Secret;
use russh::client::{self, AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::{Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate, decode_secret_key};
use russh::{ChannelMsg, Disconnect, MethodKind, Preferred, cipher, kex, mac};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::leash::leash;
use super::output::{Output, failure, pager};
use super::settings::Device;
use super::target;
use super::{Collector, Devices};

/// The number of times that a device may ask for answers before it has to let the user in.
const MAX_ROUNDS: usize = 4;

/// Returns the output of the device's command. It ends within the device's `timeout`, and its connection with it.
pub(super) async fn fetch(collector: &Collector, device: &Device) -> Result<Vec<u8>, Problem> {
    let mut output = Output::new(device.max_output);
    match tokio::time::timeout(device.timeout, converse(collector, device, &mut output)).await {
        Ok(conversed) => conversed?,
        Err(_) if output.waits_at_pager() => return Err(pager()),
        Err(_) => {
            let detail = format!(
                "{} did not get through with `{}` within {} s; raise `timeout` if that is right",
                device.address,
                device.command(),
                device.timeout.as_secs_f32()
            );
            return Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, "device-timeout", detail));
        }
    }
    output.finish()
}

async fn converse(collector: &Collector, device: &Device, output: &mut Output) -> Result<(), Problem> {
    let addresses =
        target::resolve(&device.address, &collector.devices.allowed, collector.core.address()).await?;
    // Before anything is sent: without credentials there is no connection.
    let credential = Credential::read(device).await?;
    // Dropping it cuts the connection, also when the caller gives up.
    let (stream, _hold) = leash(connect(device, &addresses).await?);

    let known = collector.devices.host_keys.algorithm(&device.address.to_string()).await;
    let config = client::Config { preferred: preferred(device, known.as_deref()), ..config()? };
    let refused = Arc::default();
    let check = CheckHostKey {
        core: collector.core.downgrade(),
        devices: Arc::clone(&collector.devices),
        address: device.address.to_string(),
        configured: device.host_key.clone(),
        refused: Arc::clone(&refused),
    };
    let connected = client::connect_stream(Arc::new(config), stream, check).await;
    let mut session = connected.map_err(|e| {
        let refused = refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        refused.unwrap_or_else(|| broken(device, &e))
    })?;
    credential.log_in(&mut session, device).await?;
    run(&session, device, output).await?;
    // Announces the end to the device. It does not matter whether this arrives.
    let _ = session.disconnect(Disconnect::ByApplication, "", "").await;
    Ok(())
}

/// Connects to the first address that answers. Each has only a share of the time, so that some is left for the others and for the
/// conversation.
async fn connect(device: &Device, addresses: &[SocketAddr]) -> Result<TcpStream, Problem> {
    let share = device.timeout / u32::try_from(addresses.len() + 1).unwrap_or(u32::MAX);
    let mut why = io::Error::from(io::ErrorKind::TimedOut);
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(e)) => why = e,
            Err(_) => {}
        }
    }
    Err(failure("device-unreachable", format!("no connection to {}: {why}", device.address)))
}

/// Runs the command and reads its output until it has ended.
async fn run(session: &Handle<CheckHostKey>, device: &Device, output: &mut Output) -> Result<(), Problem> {
    let broken = |e: russh::Error| broken(device, &e);
    let mut channel = session.channel_open_session().await.map_err(broken)?;
    channel.exec(true, device.command()).await.map_err(broken)?;
    let (mut status, mut at_end, mut closed) = (None, false, false);
    // The status may come before or after the last of the output.
    while !(closed || at_end && status.is_some()) {
        match channel.wait().await {
            Some(ChannelMsg::Data { data }) => output.push(&data, true)?,
            Some(ChannelMsg::ExtendedData { data, .. }) => output.push(&data, false)?,
            Some(ChannelMsg::ExitStatus { exit_status }) => status = Some(exit_status),
            Some(ChannelMsg::ExitSignal { .. }) => {
                return Err(failure(
                    "command-failed",
                    format!("`{}` was ended by a signal", device.command()),
                ));
            }
            Some(ChannelMsg::Failure) => {
                let detail = format!("{} does not run commands for this user", device.address);
                return Err(failure("command-failed", detail));
            }
            Some(ChannelMsg::Eof) => at_end = true,
            Some(ChannelMsg::Close) => closed = true,
            Some(_) => {}
            None => {
                let detail =
                    format!("the connection to {} ended before `{}` did", device.address, device.command());
                return Err(failure("output-incomplete", detail));
            }
        }
    }
    match status {
        // Some devices send no status: then the output has at least ended.
        None | Some(0) => Ok(()),
        Some(status) => {
            let detail = format!("`{}` ended with status {status} on {}", device.command(), device.address);
            Err(failure("command-failed", detail).with("exit_status", status))
        }
    }
}

/// A credential that logs in.
enum Credential {
    Password(Zeroizing<String>),
    Key(Arc<russh::keys::PrivateKey>),
}

impl Credential {
    async fn read(device: &Device) -> Result<Credential, Problem> {
        if let Some(path) = &device.key_file {
            let text = Secret::File(path.clone()).read().await.map_err(unreadable)?;
            let passphrase = secret(
                "key_passphrase",
                device.key_passphrase_env.as_ref(),
                device.key_passphrase_file.as_ref(),
            );
            let passphrase = passphrase.await?;
            // Deriving a key from a passphrase is slow on purpose. The library's error about a key may quote it.
            let decoded = tokio::task::spawn_blocking(move || {
                decode_secret_key(&text, passphrase.as_ref().map(|phrase| phrase.as_str()))
            });
            let key = decoded.await.ok().and_then(Result::ok).ok_or_else(|| {
                let path = path.display();
                unreadable(format!("{path} is no private key, or its passphrase is missing or wrong"))
            })?;
            return Ok(Credential::Key(Arc::new(key)));
        }
        let password = secret("password", device.password_env.as_ref(), device.password_file.as_ref());
        Ok(Credential::Password(password.await?.unwrap_or_default()))
    }

    async fn log_in(&self, session: &mut Handle<CheckHostKey>, device: &Device) -> Result<(), Problem> {
        let broken = |e: russh::Error| broken(device, &e);
        let denied = || {
            let detail = format!(
                "{} did not let `{}` in; check the user and the password or key",
                device.address, device.user
            );
            failure("authentication-failed", detail)
        };
        let let_in = match self {
            Credential::Key(key) => {
                let hash = match key.algorithm() {
                    Algorithm::Rsa { .. } => {
                        let taken = session.best_supported_rsa_hash().await.map_err(broken)?;
                        signature_hash(taken, device.legacy_algorithms).ok_or_else(|| no_common(device))?
                    }
                    _ => None,
                };
                let key = PrivateKeyWithHashAlg::new(key.clone(), hash);
                session.authenticate_publickey(&device.user, key).await.map_err(broken)?.success()
            }
            Credential::Password(password) => {
                // Asks for the methods first, so that an unsupported one does not count as a failed attempt.
                match session.authenticate_none(&device.user).await.map_err(broken)? {
                    AuthResult::Success => true,
                    AuthResult::Failure { remaining_methods: ways, .. }
                        if ways.contains(&MethodKind::Password) =>
                    {
                        let answer = session.authenticate_password(&device.user, password.as_str()).await;
                        answer.map_err(broken)?.success()
                    }
                    AuthResult::Failure { remaining_methods: ways, .. }
                        if ways.contains(&MethodKind::KeyboardInteractive) =>
                    {
                        answer_prompts(session, device, password).await.map_err(broken)?
                    }
                    AuthResult::Failure { .. } => {
                        let detail = format!(
                            "{} takes no password from `{}`; give a `key_file`",
                            device.address, device.user
                        );
                        return Err(failure("authentication-failed", detail));
                    }
                }
            }
        };
        if let_in { Ok(()) } else { Err(denied()) }
    }
}

/// Logs in if the device asks for the password by prompts.
async fn answer_prompts(
    session: &mut Handle<CheckHostKey>,
    device: &Device,
    password: &str,
) -> Result<bool, russh::Error> {
    let mut answer = session.authenticate_keyboard_interactive_start(&device.user, None).await?;
    for _ in 0..MAX_ROUNDS {
        answer = match answer {
            KeyboardInteractiveAuthResponse::Success => return Ok(true),
            KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                // A prompt with echo does not ask for a password.
                let answers =
                    prompts.iter().map(|p| if p.echo { String::new() } else { password.to_owned() });
                session.authenticate_keyboard_interactive_respond(answers.collect()).await?
            }
        };
    }
    Ok(matches!(answer, KeyboardInteractiveAuthResponse::Success))
}

/// Returns the hash with which an RSA key signs. `taken` is what the device announced to accept. Returns `None` if only SHA-1 is
/// left and `legacy` is not set.
fn signature_hash(taken: Option<Option<HashAlg>>, legacy: bool) -> Option<Option<HashAlg>> {
    match taken {
        Some(Some(hash)) => Some(Some(hash)),
        Some(None) | None if legacy => Some(None),
        Some(None) => None,
        // The device announced nothing: devices of recent years accept this.
        None => Some(Some(HashAlg::Sha256)),
    }
}

/// Checks the key that a device shows, before anything is sent to it.
struct CheckHostKey {
    /// Weak, because the library keeps this as long as the connection.
    core: WeakCore,
    devices: Arc<Devices>,
    address: String,
    configured: Option<String>,
    /// The reason why the key was refused.
    refused: Arc<Mutex<Option<Problem>>>,
}

impl client::Handler for CheckHostKey {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        // Certificates were not requested.
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        let Some(core) = self.core.upgrade() else { return Ok(false) };
        let shown = HostKey {
            address: self.address.clone(),
            algorithm: key.algorithm().to_string(),
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            expected: None,
        };
        let checked = self.devices.host_keys.check(&core, shown, self.configured.as_deref()).await;
        let taken = checked.is_ok();
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = checked.err();
        Ok(taken)
    }
}

/// Returns the settings of the library beyond the algorithms.
fn config() -> Result<client::Config, Problem> {
    // RouterOS with strong-crypto has groups of 2,048 bits; the library would require at least 3,072.
    let gex =
        client::GexParams::new(2048, 3072, 8192).map_err(|e| Problem::internal("defect", e.to_string()))?;
    Ok(client::Config { gex, ..client::Config::default() })
}

/// Returns the algorithms, the best first. A device with several host keys shows the one whose algorithm is `known`.
fn preferred(device: &Device, known: Option<&str>) -> Preferred {
    let Preferred { kex, key, cipher, mac, .. } = Preferred::DEFAULT;
    let (mut kex, mut key, mut cipher, mut mac) = (kex.to_vec(), key.to_vec(), cipher.to_vec(), mac.to_vec());
    kex.extend([kex::ECDH_SHA2_NISTP256, kex::ECDH_SHA2_NISTP384, kex::ECDH_SHA2_NISTP521]);
    cipher.push(cipher::AES_128_GCM);
    if device.legacy_algorithms {
        kex.extend([kex::DH_GEX_SHA1, kex::DH_G14_SHA1, kex::DH_G1_SHA1]);
        cipher.extend([cipher::AES_256_CBC, cipher::AES_192_CBC, cipher::AES_128_CBC]);
        mac.extend([mac::HMAC_SHA1_ETM, mac::HMAC_SHA1]);
    } else {
        key.retain(|algorithm| *algorithm != Algorithm::Rsa { hash: None });
    }
    // RSA keys have one name, whatever their hash.
    let is_known = |algorithm: &Algorithm| match algorithm {
        Algorithm::Rsa { .. } => known == Some("ssh-rsa"),
        other => known == Some(other.as_str()),
    };
    key.sort_by_key(|algorithm| !is_known(algorithm));
    Preferred {
        kex: Cow::Owned(kex),
        key: Cow::Owned(key),
        cipher: Cow::Owned(cipher),
        mac: Cow::Owned(mac),
        ..Preferred::DEFAULT
    }
}

/// Describes an error of the library without quoting the device.
fn broken(device: &Device, e: &russh::Error) -> Problem {
    let what = match e {
        russh::Error::NoCommonAlgo { .. } => return no_common(device),
        russh::Error::Version => "it does not speak SSH 2",
        russh::Error::WrongServerSig => "its signature is wrong",
        russh::Error::HUP | russh::Error::Disconnect | russh::Error::SendError | russh::Error::RecvError => {
            "it ended the connection"
        }
        russh::Error::ChannelOpenFailure(_) => "it opens no session",
        russh::Error::IO(e) => {
            return failure(
                "ssh-failed",
                format!("the connection to {} broke: {}", device.address, e.kind()),
            );
        }
        _ => "it broke the protocol",
    };
    failure("ssh-failed", format!("no conversation over SSH with {}: {what}", device.address))
}

fn no_common(device: &Device) -> Problem {
    let more = match device.legacy_algorithms {
        true => "",
        false => "; it may be old: `legacy_algorithms = true` allows what is broken or weak",
    };
    failure("ssh-failed", format!("{} has no SSH algorithms in common with rig{more}", device.address))
}

async fn secret(
    key: &str,
    env: Option<&String>,
    file: Option<&PathBuf>,
) -> Result<Option<Zeroizing<String>>, Problem> {
    match Secret::of(key, env, file).map_err(unreadable)? {
        Some(secret) => secret.read().await.map(Some).map_err(unreadable),
        None => Ok(None),
    }
}

fn unreadable(detail: String) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "credentials-unreadable", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(more: &str) -> Device {
        let text = format!(
            "service = \"r\"\naddress = \"r\"\nuser = \"u\"\npassword_env = \"P\"\ncommand = \"c\"\n{more}"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn sha_1_is_spoken_only_where_it_is_asked_for() {
        let names = |p: &Preferred| -> Vec<String> {
            let keys = p.key.iter().map(|k| k.to_string());
            let kex = p.kex.iter().map(|k| k.as_ref().to_owned());
            let mac = p.mac.iter().map(|m| m.as_ref().to_owned());
            keys.chain(kex).chain(mac).chain(p.cipher.iter().map(|c| c.as_ref().to_owned())).collect()
        };
        let is_old = |name: &String| name.contains("sha1") || name == "ssh-rsa" || name.contains("cbc");
        let modern = names(&preferred(&device(""), None));
        assert!(!modern.iter().any(is_old), "{modern:?}");
        let legacy = names(&preferred(&device("legacy_algorithms = true"), None));
        assert_eq!(legacy.iter().filter(|name| is_old(name)).count(), 9, "{legacy:?}");
        assert_eq!(signature_hash(Some(None), false), None);
        assert_eq!(signature_hash(Some(None), true), Some(None));
        assert_eq!(signature_hash(None, false), Some(Some(HashAlg::Sha256)));
    }

    #[test]
    fn a_device_is_asked_for_the_key_that_is_pinned() {
        let first = |known| preferred(&device(""), known).key[0].clone();
        assert_eq!(first(None), Algorithm::Ed25519);
        assert!(first(Some("ssh-rsa")).is_rsa());
        assert_eq!(first(Some("ecdsa-sha2-nistp256")).as_str(), "ecdsa-sha2-nistp256");
    }
}
