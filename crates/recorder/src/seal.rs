//! Signatures over a stretch of a stream, and the keys that make and check them.
//!
//! A seal states the hash chain and the state hash at a seq; whoever changes an earlier line changes the chain. A signature
//! over the seal keeps an attacker who can rewrite the file from rewriting the seal too. With HMAC whoever can check can also
//! forge; Ed25519 is for verifiers who should not be able to.

use std::fmt;

use ed25519_dalek::{Signer as _, Verifier as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rig_event::event::Signature;
pub use rig_event::keyfile::BadKey;
use rig_event::keyfile::{self, Algorithm, hex, unhex};
use rig_event::session::Outcome;
use rig_event::{Epoch, Seq, StreamName, Timestamp};
use sha2::Sha256;

/// A claim that is signed: the state of a stream, named in full, at a seq.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The stream.
    pub stream: &'a StreamName,
    /// Its epoch.
    pub epoch: &'a Epoch,
    /// The last event it covers.
    pub upto: Seq,
    /// The hash chain there.
    pub chain: &'a str,
    /// The state hash there.
    pub state: &'a str,
    /// The kind of claim.
    pub point: Point,
}

/// The part of a claim that goes with its seq, beside chain and state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A seal.
    Seal,
    /// A recording begins after it, and this is the time of its event.
    Beginning(Timestamp),
    /// A recording ends here, and so did what it records.
    End(Outcome),
}

impl Claim<'_> {
    /// The bytes that are signed: each part on a line of its own; none of them can hold a line end.
    ///
    /// The first line says which kind of claim it is, so that the seal before a tail that was cut off does not pass for the end.
    fn message(&self) -> Vec<u8> {
        let Claim { stream, epoch, upto, chain, state, point } = self;
        let (kind, more) = match point {
            Point::Seal => ("seal", String::new()),
            Point::Beginning(ts) => ("beginning", format!("{ts}\n")),
            Point::End(outcome) => ("end", format!("{}\n", outcome.as_str())),
        };
        format!("rig {kind} 1\n{stream}\n{epoch}\n{upto}\n{chain}\n{state}\n{more}").into_bytes()
    }
}

/// The result of checking a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// A key of the ring made it over exactly this claim.
    Valid,
    /// The ring has the key, and it did not make this signature over this claim.
    Forged,
    /// The ring does not have the key.
    UnknownKey,
}

/// Keys by id: the last one that can sign signs, all of them check.
#[derive(Clone, Default)]
pub struct Keyring(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: String,
    secret: Secret,
}

#[derive(Clone)]
enum Secret {
    Hmac([u8; 32]),
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Ed25519Public(Box<ed25519_dalek::VerifyingKey>),
}

impl Keyring {
    /// Reads a key file: a line a key, `ID hmac-sha256 HEX`, `ID ed25519 HEX` (the 32-byte seed) or `ID ed25519-public HEX`;
    /// `#` begins a comment. To rotate, add a line: the last key signs, and the older ones go on checking.
    ///
    /// # Errors
    /// [`BadKey`] with the line.
    pub fn parse(text: &str) -> Result<Keyring, BadKey> {
        let keys = keyfile::parse(text)?.into_iter().map(|key| {
            let secret = match key.algorithm {
                Algorithm::HmacSha256 => Secret::Hmac(key.bytes),
                Algorithm::Ed25519 => {
                    Secret::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&key.bytes)))
                }
                Algorithm::Ed25519Public => {
                    let public = ed25519_dalek::VerifyingKey::from_bytes(&key.bytes);
                    let bad = |_| BadKey { line: key.line, why: "this is no Ed25519 public key" };
                    Secret::Ed25519Public(Box::new(public.map_err(bad)?))
                }
            };
            Ok(Key { id: key.id, secret })
        });
        Ok(Keyring(keys.collect::<Result<_, _>>()?))
    }

    /// Returns true if there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Signs with the last key that can; `None` where there is none.
    pub fn sign(&self, claim: &Claim<'_>) -> Option<Signature> {
        self.0.iter().rev().find_map(|key| {
            let (alg, value) = match &key.secret {
                Secret::Hmac(secret) => ("hmac-sha256", hex(&mac(secret, claim)?.finalize().into_bytes())),
                Secret::Ed25519(secret) => ("ed25519", hex(&secret.sign(&claim.message()).to_bytes())),
                Secret::Ed25519Public(_) => return None,
            };
            Some(Signature { key_id: key.id.clone(), alg: alg.to_owned(), value })
        })
    }

    /// Checks a signature over a claim, in constant time for HMAC.
    pub fn check(&self, claim: &Claim<'_>, signature: &Signature) -> Checked {
        let Some(key) = self.0.iter().find(|key| key.id == signature.key_id) else {
            return Checked::UnknownKey;
        };
        let Some(value) = unhex(&signature.value) else { return Checked::Forged };
        let ed25519 = |key: &ed25519_dalek::VerifyingKey| {
            let parsed = ed25519_dalek::Signature::from_slice(&value);
            parsed.is_ok_and(|s| key.verify(&claim.message(), &s).is_ok())
        };
        let valid = match (&key.secret, signature.alg.as_str()) {
            (Secret::Hmac(secret), "hmac-sha256") => {
                mac(secret, claim).is_some_and(|mac| mac.verify_slice(&value).is_ok())
            }
            (Secret::Ed25519(secret), "ed25519") => ed25519(&secret.verifying_key()),
            (Secret::Ed25519Public(public), "ed25519") => ed25519(public),
            _ => false,
        };
        if valid { Checked::Valid } else { Checked::Forged }
    }

    /// The key file of the public halves: what a verifier that cannot forge needs. HMAC keys have none.
    pub fn public(&self) -> String {
        let lines = self.0.iter().filter_map(|key| {
            let public = match &key.secret {
                Secret::Hmac(_) => return None,
                Secret::Ed25519(secret) => secret.verifying_key().to_bytes(),
                Secret::Ed25519Public(public) => public.to_bytes(),
            };
            Some(format!("{} ed25519-public {}\n", key.id, hex(&public)))
        });
        lines.collect()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

fn mac(secret: &[u8; 32], claim: &Claim<'_>) -> Option<Hmac<Sha256>> {
    // HMAC takes a key of any length; the answer is optional only in the trait.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(&claim.message());
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(text: &str) -> Keyring {
        Keyring::parse(text).unwrap()
    }

    fn key(id: &str, alg: &str, byte: u8) -> String {
        format!("{id} {alg} {}\n", hex(&[byte; 32]))
    }

    #[test]
    fn a_signature_covers_every_part_of_the_claim() {
        let (main, other) = (StreamName::main(), "other".parse().unwrap());
        let (e1, e2) = ("e1".parse().unwrap(), "e2".parse().unwrap());
        for alg in ["hmac-sha256", "ed25519"] {
            let ring = ring(&key("a", alg, 7));
            let point = Point::End(Outcome::Failed);
            let claim = Claim { stream: &main, epoch: &e1, upto: 9, chain: "c", state: "s", point };
            let signature = ring.sign(&claim).unwrap();
            assert_eq!(ring.check(&claim, &signature), Checked::Valid);
            for forged in [
                Claim { stream: &other, ..claim },
                Claim { epoch: &e2, ..claim },
                Claim { upto: 8, ..claim },
                Claim { chain: "d", ..claim },
                Claim { state: "t", ..claim },
                Claim { point: Point::End(Outcome::Passed), ..claim },
                Claim { point: Point::Seal, ..claim },
                Claim { point: Point::Beginning(Timestamp::default()), ..claim },
            ] {
                assert_eq!(ring.check(&forged, &signature), Checked::Forged);
            }
            let downgraded = Signature { alg: "none".into(), ..signature };
            assert_eq!(ring.check(&claim, &downgraded), Checked::Forged);
        }
    }

    #[test]
    fn after_a_rotation_old_signatures_still_check() {
        let (main, e1) = (StreamName::main(), "e1".parse().unwrap());
        let point = Point::Beginning(Timestamp::default());
        let claim = Claim { stream: &main, epoch: &e1, upto: 9, chain: "c", state: "s", point };
        let old = ring(&key("a", "hmac-sha256", 1));
        let new = ring(&(key("a", "hmac-sha256", 1) + &key("b", "ed25519", 2)));
        let (by_old, by_new) = (old.sign(&claim).unwrap(), new.sign(&claim).unwrap());
        assert_eq!((by_old.key_id.as_str(), by_new.key_id.as_str()), ("a", "b"));
        assert_eq!(new.check(&claim, &by_old), Checked::Valid);
        assert_eq!(new.check(&claim, &by_new), Checked::Valid);
        assert_eq!(old.check(&claim, &by_new), Checked::UnknownKey);
        let public = ring(&new.public());
        assert_eq!(public.check(&claim, &by_new), Checked::Valid);
        assert!(public.sign(&claim).is_none());
    }

    #[test]
    fn key_files_that_are_none_name_the_line() {
        for bad in ["a", "a hmac-sha256 00", "a rot13 00", "ä hmac-sha256 00"] {
            assert_eq!(Keyring::parse(&format!("# keys\n{bad}\n")).unwrap_err().line, 2, "{bad}");
        }
        let twice = key("a", "ed25519", 1) + &key("a", "ed25519", 2);
        assert_eq!(Keyring::parse(&twice).unwrap_err().line, 2);
        assert!(!format!("{:?}", ring(&key("a", "hmac-sha256", 1))).contains("0101"));
    }
}
