//! A secret that `hub.toml` refers to, by the name of an environment variable or of a file.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Maximum length of a secret, in bytes: some private keys have several thousand.
const MOST: u64 = 64 << 10;

/// The source of a secret.
#[derive(Clone, Debug, PartialEq)]
pub enum Secret {
    /// An environment variable.
    Env(String),
    /// A file, which is read anew each time: an agent may renew it.
    File(PathBuf),
}

impl Secret {
    /// Returns the secret that `KEY_env` or `KEY_file` of a table names, if one of them is set.
    ///
    /// # Errors
    /// A message, if both are set.
    pub fn of(key: &str, env: Option<&String>, file: Option<&PathBuf>) -> Result<Option<Secret>, String> {
        match (env, file) {
            (Some(_), Some(_)) => Err(format!("say `{key}_env` or `{key}_file`, not both")),
            (Some(name), None) => Ok(Some(Secret::Env(name.clone()))),
            (None, path) => Ok(path.cloned().map(Secret::File)),
        }
    }

    /// Reads it. A newline at its end is ignored.
    ///
    /// # Errors
    /// A message without the secret, if it does not exist, has over 64 KiB or is not UTF-8.
    pub fn read_now(&self) -> Result<Zeroizing<String>, String> {
        let mut text = match self {
            Secret::Env(name) => std::env::var(name)
                .map(Zeroizing::new)
                .map_err(|_| format!("the environment variable {name} is not set, or is not UTF-8"))?,
            Secret::File(path) => {
                from_file(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?
            }
        };
        let end = text.trim_end_matches(['\r', '\n']).len();
        text.truncate(end);
        Ok(text)
    }

    /// Reads it without blocking other tasks.
    ///
    /// # Errors
    /// As [`Secret::read_now`].
    pub async fn read(&self) -> Result<Zeroizing<String>, String> {
        let secret = self.clone();
        let read = tokio::task::spawn_blocking(move || secret.read_now()).await;
        read.unwrap_or_else(|_| Err("reading it failed".to_owned()))
    }
}

fn from_file(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    File::open(path)?.take(MOST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST {
        return Err(io::Error::other("it has over 64 KiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_whole_or_not_at_all_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let secret = Secret::File(path.clone());
        assert!(secret.read_now().unwrap_err().contains("secret cannot be read"));
        std::fs::write(&path, " hunter2 \r\n").unwrap();
        assert_eq!(*secret.read_now().unwrap(), " hunter2 ");
        for bad in [vec![b'a'; MOST as usize + 1], b"hunter2\xff".to_vec()] {
            std::fs::write(&path, bad).unwrap();
            let why = secret.read_now().unwrap_err();
            assert!(!why.contains("hunter2") && !why.contains("aaa"), "{why}");
        }
        let unset = Secret::Env("RIG_TEST_UNSET".to_owned()).read_now().unwrap_err();
        assert!(unset.contains("RIG_TEST_UNSET"), "{unset}");
    }
}
