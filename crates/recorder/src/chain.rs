//! The hash chain: one SHA-256 that stands for every line of a stream up to a seq.

use std::fmt;
use std::str::FromStr;

use rig_event::{Epoch, StreamName};
use sha2::{Digest, Sha256};

/// `chain(n) = SHA-256(chain(n-1) ‖ line(n))`; `chain(0)` is the SHA-256 of the stream's name, a NUL and the epoch.
///
/// Lines go in without their line end. It is written as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chain([u8; 32]);

impl Chain {
    /// The chain before the first event.
    pub fn genesis(stream: &StreamName, epoch: &Epoch) -> Self {
        let mut hash = Sha256::new();
        hash.update(stream.as_str());
        hash.update([0]);
        hash.update(epoch.as_str());
        Chain(hash.finalize().into())
    }

    /// Takes the next line in, which has no line end.
    pub fn push(&mut self, line: &[u8]) {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(line);
        self.0 = hash.finalize().into();
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is not a chain hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a chain hash is `sha256:` and 64 hexadecimal digits")]
pub struct NotAChain;

impl FromStr for Chain {
    type Err = NotAChain;

    fn from_str(text: &str) -> Result<Self, NotAChain> {
        let digits = text.strip_prefix("sha256:").ok_or(NotAChain)?.as_bytes();
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return Err(NotAChain);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Chain(hash))
    }
}

/// Lowercase only, so that a hash has one spelling.
fn nibble(digit: u8) -> Result<u8, NotAChain> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(NotAChain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds() {
        let mut chain = Chain::genesis(&StreamName::main(), &"e1".parse().unwrap());
        assert_eq!(chain.0, <[u8; 32]>::from(Sha256::digest(b"main\0e1")));
        let before = chain;
        chain.push(b"{}");
        let mut bytes = before.0.to_vec();
        bytes.extend_from_slice(b"{}");
        assert_eq!(chain.0, <[u8; 32]>::from(Sha256::digest(&bytes)));
    }

    #[test]
    fn its_text_reads_back_and_nothing_else_does() {
        let chain = Chain::genesis(&StreamName::main(), &"e1".parse().unwrap());
        let text = chain.to_string();
        assert_eq!(text.parse(), Ok(chain));
        for bad in [
            "",
            "sha256:",
            &text[..70],
            &text.to_uppercase(),
            &format!("{text}0"),
            &text.replace("sha", "md"),
        ] {
            assert_eq!(bad.parse::<Chain>(), Err(NotAChain), "{bad}");
        }
    }
}
