//! `rig verify`: what can be proven of a recording.

use std::path::PathBuf;

use anyhow::Result;
use rig_recorder::Keyring;

use crate::output::{self, Out};
use crate::source::Source;
use crate::verify::{Verdict, unreadable, verify};
use crate::{Answer, keys};

/// Check that a recording is what the hub wrote, and that nothing is missing
///
/// The answer is one of six: verified; unsigned (nobody signed it); unsealed (signed up to a seal, the end is not proven);
/// truncated (the end or the header is missing); altered (it is not what was recorded); wrong-key (it is signed by another
/// key than those given). Exit code 0 for verified, 1 for the others.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig verify session.jsonl.zst --keys DATA/keys/signing
  rig verify session.jsonl --keys public-keys --json

A key file has a line a key: ID hmac-sha256 HEX, ID ed25519 HEX or ID ed25519-public HEX. The hub makes one at its first
start in DATA/keys/signing. Whoever has an HMAC key can also forge: give Ed25519 public keys to those who only verify.")]
pub struct Args {
    /// A session file, a hub's stream, or -
    source: Source,
    /// The keys to trust; without them a signed recording is `wrong-key`
    #[arg(long, value_name = "FILE", env = "RIG_SIGNING_KEYS_FILE")]
    keys: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let keys = match &args.keys {
        Some(path) => keys::signing(path)?,
        None => Keyring::default(),
    };
    let report = match args.source.open(None).await {
        Ok(mut recording) => verify(&mut recording, &keys)?,
        Err(error) => unreadable(&error).ok_or(error)?,
    };
    let mut out = Out::new();
    if args.json {
        out.json(&report)?;
    } else {
        let why = report.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        out.line(format!("{}{}", report.verdict.as_str(), output::plain(&why)))?;
        let keys: Vec<&str> = report.signed_by.iter().map(String::as_str).collect();
        let signed = match keys.as_slice() {
            [] => "no valid signature".to_owned(),
            keys => format!("signed up to seq {} by {}", report.signed_upto, keys.join(", ")),
        };
        out.line(format!(
            "{} up to seq {}, {}, {signed}, state {}",
            output::count(report.events, "event"),
            report.last_seq,
            output::count(report.seals, "seal"),
            report.hash
        ))?;
    }
    Ok(if report.verdict == Verdict::Verified { Answer::Fine } else { Answer::Difference })
}
