//! The digest of a flat configuration, for everyone to check.

use std::io::{self, Write as _};

use rig_event::FlatConfig;
use rig_event::keyfile::hex;
use sha2::{Digest, Sha256};

/// `sha256:` and the SHA-256 of the canonical JSON of a redacted configuration: sorted keys, no white space,
/// numbers as they are spelled.
pub fn config_digest(config: &FlatConfig) -> String {
    // JSON is written in pieces of a few bytes, and a hash likes them larger.
    let mut hash = io::BufWriter::with_capacity(16 << 10, HashWriter(Sha256::new()));
    // Writing plain values into a hash cannot fail; if it ever could, the digest would differ and not be wrong.
    let _ = serde_json::to_writer(&mut hash, config);
    let _ = hash.flush();
    format!("sha256:{}", hex(&hash.into_parts().0.0.finalize()))
}

/// The SHA-256 of a text in hex.
pub(crate) fn sha256_hex(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

struct HashWriter(Sha256);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_digest_is_over_canonical_json() {
        let number = serde_json::from_str("1.50").unwrap();
        let config = FlatConfig::from([("b".into(), json!("ü\n")), ("a".into(), number)]);
        assert_eq!(config_digest(&config), format!("sha256:{}", sha256_hex(r#"{"a":1.50,"b":"ü\n"}"#)));
    }
}
