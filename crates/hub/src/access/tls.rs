//! TLS: the certificate and its key, read again when their files change.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rig_event::keyfile::hex;
use rig_recorder::checked;
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::data::{io_error, write_private};
use crate::error::Error;
use crate::settings::TlsSettings;

/// The interval at which the files are looked at, at most: when somebody connects.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Maximum size of a certificate or key, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The certificate that the hub presents.
pub(crate) struct Tls {
    cert: PathBuf,
    key: PathBuf,
    now: Mutex<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    /// Modification times and sizes of the files, if known.
    changed: [Option<(SystemTime, u64)>; 2],
    looked: Instant,
}

impl Tls {
    /// Opens the certificate that the settings name. `names` are the names for which a self-signed one is created.
    ///
    /// # Errors
    /// If only one of the files is named, they cannot be read, or do not belong together.
    pub(crate) fn open(
        settings: &TlsSettings,
        data: Option<&Path>,
        names: Vec<String>,
    ) -> Result<Option<Tls>, Error> {
        let bad = |why: &str| Err(Error::Tls { path: PathBuf::new(), why: why.to_owned() });
        let (cert, key) = match (&settings.cert, &settings.key, settings.self_signed) {
            (None, None, false) => return Ok(None),
            (Some(cert), Some(key), false) => (cert.clone(), key.clone()),
            (None, None, true) => match data {
                Some(data) => self_signed(data, names)?,
                None => {
                    return bad(
                        "a certificate for development stays in the data directory: its clients need it; name one with --data",
                    );
                }
            },
            (_, _, true) => return bad("a certificate is either named or made for development, not both"),
            _ => return bad("a certificate needs its key and a key its certificate; name both files"),
        };
        let changed = [changed(&cert), changed(&key)];
        let config = load(&cert, &key)?;
        Ok(Some(Tls { cert, key, now: Mutex::new(Loaded { config, changed, looked: Instant::now() }) }))
    }

    /// Returns the acceptor that makes a connection one of TLS. Files that were changed are read again; if they cannot be used, what was before stays.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.looked.elapsed() >= LOOK_EVERY {
            self.look(&mut now, false);
        }
        TlsAcceptor::from(now.config.clone())
    }

    /// Reads the files again, however they look: a copy may have the times of what was there before.
    pub(crate) fn reload(&self) {
        self.look(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner), true);
    }

    /// Reads the files again if they were changed, or in any case if that is `asked` for.
    fn look(&self, now: &mut Loaded, asked: bool) {
        now.looked = Instant::now();
        let changed = [changed(&self.cert), changed(&self.key)];
        if changed == now.changed && !asked {
            return;
        }
        now.changed = changed;
        match load(&self.cert, &self.key) {
            Ok(config) => {
                now.config = config;
                tracing::info!(cert = %self.cert.display(), "the new certificate is in use");
            }
            Err(e) => tracing::error!(error = %e, "the new certificate cannot be used; the one before stays"),
        }
    }

    /// Returns the path of the certificate.
    pub(crate) fn cert(&self) -> &Path {
        &self.cert
    }

    /// Returns the SHA-256 of the certificate, in hexadecimal digits.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub(crate) fn fingerprint(&self) -> Result<String, Error> {
        let first = chain(&self.cert)?.into_iter().next();
        Ok(first.map(|cert| hex(&Sha256::digest(&cert))).unwrap_or_default())
    }
}

/// Checks that the files that the settings name can be used.
///
/// # Errors
/// If only one of them is named, they cannot be read, or do not belong together.
pub fn check(settings: &TlsSettings) -> Result<(), Error> {
    match settings.self_signed {
        true => Ok(()),
        false => Tls::open(settings, None, Vec::new()).map(drop),
    }
}

fn changed(path: &Path) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

fn load(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, Error> {
    let chain = chain(cert)?;
    // What is wrong with a key is not repeated: it might be quoted.
    let text = unchanged(key)?;
    let key_der = PrivateKeyDer::from_pem_slice(&text).map_err(|_| Error::Tls {
        path: key.to_owned(),
        why: "there is no private key in it, as PEM".to_owned(),
    })?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key_der));
    let mut config = config.map_err(|e| Error::Tls { path: cert.to_owned(), why: e.to_string() })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Reads a file, and checks it against its checksum where the hub made it.
fn unchanged(path: &Path) -> Result<Vec<u8>, Error> {
    let text = read(path).map_err(io_error("read", path))?;
    match checked::check_line(&text) {
        Ok(()) => Ok(text),
        Err(e) => Err(Error::Tls { path: path.to_owned(), why: e.to_string() }),
    }
}

/// Reads a file. Anything else in its place, such as a pipe that nobody writes to, is an error.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NONBLOCK.bits() as i32);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    let mut text = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut text)?;
    match text.len() as u64 > MAX_FILE {
        true => Err(std::io::Error::other("it is larger than 1 MiB")),
        false => Ok(text),
    }
}

/// Checks the certificate for development, if there is one in the folder `keys`.
///
/// # Errors
/// When it or its key was changed, or they do not belong together.
pub(crate) fn examine(keys: &Path) -> Result<(), Error> {
    let (cert, key) = (keys.join("tls-cert.pem"), keys.join("tls-key.pem"));
    if cert.exists() && key.exists() { load(&cert, &key).map(drop) } else { Ok(()) }
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = unchanged(path)?;
    let bad =
        || Error::Tls { path: path.to_owned(), why: "there is no certificate in it, as PEM".to_owned() };
    let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>().map_err(|_| bad())?;
    if chain.is_empty() { Err(bad()) } else { Ok(chain) }
}

/// Returns the self-signed certificate for development. It is created only once, so that clients need to trust it only once.
fn self_signed(data: &Path, names: Vec<String>) -> Result<(PathBuf, PathBuf), Error> {
    let keys = data.join("keys");
    let (cert, key) = (keys.join("tls-cert.pem"), keys.join("tls-key.pem"));
    if !cert.exists() || !key.exists() {
        let made = rcgen::generate_simple_self_signed(names)
            .map_err(|e| Error::Tls { path: cert.clone(), why: e.to_string() })?;
        let files = [made.signing_key.serialize_pem(), made.cert.pem()].map(checked::with_line);
        write_private(&key, files[0].as_bytes()).map_err(io_error("write", &key))?;
        write_private(&cert, files[1].as_bytes()).map_err(io_error("write", &cert))?;
    }
    Ok((cert, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a new certificate and its key into a folder.
    fn made(folder: &Path) -> TlsSettings {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        TlsSettings { cert: Some(cert), key: Some(key), self_signed: false }
    }

    #[test]
    fn whoever_asks_gets_the_certificate_read_again_also_if_it_has_the_time_of_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let settings = made(folder.path());
        let paths = [settings.cert.clone().unwrap(), settings.key.clone().unwrap()];
        let time = std::fs::metadata(&paths[0]).unwrap().modified().unwrap();
        let tls = Tls::open(&settings, None, Vec::new()).unwrap().unwrap();
        let config = || tls.now.lock().unwrap().config.clone();
        let before = (config(), tls.fingerprint().unwrap());
        made(folder.path());
        for path in &paths {
            File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
        }
        tls.reload();
        assert!(!Arc::ptr_eq(&before.0, &config()));
        assert_ne!(before.1, tls.fingerprint().unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_the_place_of_a_certificate_keeps_nobody_waiting() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let folder = tempfile::tempdir().unwrap();
        let settings = made(folder.path());
        let tls = Tls::open(&settings, None, Vec::new()).unwrap().unwrap();
        let before = tls.now.lock().unwrap().config.clone();
        for path in [settings.cert.as_ref().unwrap(), settings.key.as_ref().unwrap()] {
            std::fs::remove_file(path).unwrap();
            mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        }
        tls.reload();
        assert!(Arc::ptr_eq(&before, &tls.now.lock().unwrap().config), "what was before stays");
        let refused = check(&settings).unwrap_err();
        let why = std::error::Error::source(&refused).unwrap().to_string();
        assert!(why.contains("not a file"), "{why}");
    }
}
