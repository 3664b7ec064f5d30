//! Where keys come from, those of baselines and those of recordings: a file or the environment, never an argument that others could see.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use rig_config::{BaselineKeys, RedactionKey};
use rig_recorder::Keyring;

/// The variable that holds the keys themselves, in the lines of a key file.
const VARIABLE: &str = "RIG_BASELINE_KEYS";

/// The keys that baselines are signed and checked with.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct KeyArgs {
    /// The keys of baselines, a line `ID hmac-sha256 HEX` each: the last signs, all check [default: what RIG_BASELINE_KEYS holds]
    #[arg(long, value_name = "FILE", env = "RIG_BASELINE_KEYS_FILE")]
    keys: Option<PathBuf>,
}

impl KeyArgs {
    /// The keys of the file, else of the environment; `None` where neither is given.
    ///
    /// # Errors
    /// As [`load`].
    pub fn load(&self) -> Result<Option<BaselineKeys>> {
        load(self.keys.as_deref())
    }

    /// The keys, for what cannot be done without.
    ///
    /// # Errors
    /// As [`KeyArgs::load`], and when no keys are given at all.
    pub fn require(&self, what: &str) -> Result<BaselineKeys> {
        match self.load()? {
            Some(keys) => Ok(keys),
            None => bail!("{what} needs keys: name a file with --keys, or put its lines into {VARIABLE}"),
        }
    }
}

/// The keys of a file, else of the environment; `None` where neither is given.
///
/// # Errors
/// When the file cannot be read, or there is no key in what was given.
pub fn load(file: Option<&Path>) -> Result<Option<BaselineKeys>> {
    let (text, from) = match file {
        Some(path) => {
            let shown = path.display().to_string();
            (std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?, shown)
        }
        None => match std::env::var(VARIABLE) {
            Ok(text) => (text, format!("the environment variable {VARIABLE}")),
            Err(std::env::VarError::NotPresent) => return Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => bail!("{VARIABLE} is no text"),
        },
    };
    let keys = BaselineKeys::parse(&text).with_context(|| from.clone())?;
    if keys.is_empty() {
        bail!("there is no key in {from}: it needs a line `ID hmac-sha256 HEX`");
    }
    Ok(Some(keys))
}

/// The keys of a file that seals and session files are signed and checked with.
///
/// # Errors
/// When the file cannot be read, or there is something else in it.
pub fn signing(file: &Path) -> Result<Keyring> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    Keyring::parse(&text).with_context(|| shown.to_string())
}

/// Reads the key of fingerprints from a file, written `ID:HEX` as in a hub's `keys/redaction`.
///
/// # Errors
/// When the file cannot be read or holds no such line.
pub fn redaction(file: &Path) -> Result<RedactionKey> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let text = zeroize::Zeroizing::new(text);
    RedactionKey::parse(text.trim()).with_context(|| {
        format!("{shown} is not a redaction key: one line `ID:` and 64 hexadecimal digits is expected")
    })
}

/// Returns a redaction key for this run. Its id is its own too, so that fingerprints of another run are known as such.
///
/// # Errors
/// When the system gives no random numbers.
pub fn run_key() -> Result<RedactionKey> {
    let (mut secret, mut id) = ([0; 32], [0; 4]);
    for bytes in [&mut secret[..], &mut id[..]] {
        getrandom::fill(bytes).map_err(|e| anyhow!("the system gives no random numbers: {e}"))?;
    }
    Ok(RedactionKey::new(&format!("run-{:08x}", u32::from_be_bytes(id)), secret)?)
}
