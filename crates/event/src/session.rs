//! The lines of a session file that are not events: header, checkpoint and footer.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::{Signature, describe, family};
use crate::{Epoch, Error, Result, Seq, StreamName, Timestamp};

/// The version of the session format that this version writes.
pub const VERSION: u32 = 1;

/// The first line of a session file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "session.header")]
pub struct Header {
    /// Version of the format: [`VERSION`].
    pub v: u32,
    /// Name of this recording.
    pub session: String,
    /// The stream it was taken from.
    pub stream: StreamName,
    /// The stream's epoch.
    pub epoch: Epoch,
    /// Seq of the first event in the file.
    pub first_seq: Seq,
    /// The hash chain just before `first_seq`.
    pub chain: String,
    /// When the recording began.
    pub started: Timestamp,
    /// Version of the rig that wrote it.
    pub rig: String,
    /// Set in a copy from which secrets were taken out after it was recorded: what differs from the original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrubbed: Option<Scrubbed>,
}

/// What `rig scrub` changed. The original's hash chain is not named: it covers the secrets, and whoever has it could try
/// short ones until it fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrubbed {
    /// Up to this seq every line is as it was recorded, and the seals there hold.
    pub intact_upto: Seq,
    /// The events in which something was replaced.
    pub changed: Vec<Seq>,
    /// How many seals state the copy's chain and state now, without signatures.
    pub resealed: u64,
    /// Whether digests of configs are keyed now, since the plain ones cover secrets too.
    pub rekeyed: bool,
}

/// The second line of a session file that does not begin with event 1: the state before its first event.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "session.checkpoint")]
pub struct Checkpoint {
    /// The seq that the state belongs to: `first_seq - 1`.
    pub seq: Seq,
    /// The state's hash.
    pub hash: String,
    /// The state, as `rig-replay` writes it.
    pub state: Box<RawValue>,
    /// Signatures over it, as those of a seal at that seq.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signature>,
}

/// How what was recorded ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It did what it should.
    Passed,
    /// It ended, and something was wrong.
    Failed,
    /// It broke off.
    Crashed,
    /// The recording was stopped before it ended.
    Interrupted,
}

impl Outcome {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Crashed => "crashed",
            Outcome::Interrupted => "interrupted",
        }
    }
}

/// The last line of a session file; a file without one is unfinished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "session.footer")]
pub struct Footer {
    /// Seq of the last event; `first_seq - 1` when there is none.
    pub last_seq: Seq,
    /// How many events the file holds.
    pub events: u64,
    /// The hash chain at `last_seq`.
    pub chain: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Milliseconds from the header's `started` to the end.
    pub duration_ms: u64,
    /// Signatures over stream, epoch, `last_seq`, chain, state and outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signature>,
}

/// A line of a session file that is not an event.
#[derive(Clone, Debug)]
pub enum Line {
    /// The first line.
    Header(Header),
    /// The state before the first event.
    Checkpoint(Checkpoint),
    /// The last line.
    Footer(Footer),
}

impl Line {
    /// Reads a line whose type begins with `session.`; `None` for any other line.
    ///
    /// # Errors
    /// [`Error::Malformed`] when a `session.…` line is not what its type says, or of a type not known here.
    pub fn parse(line: &[u8]) -> Option<Result<Line>> {
        #[derive(Deserialize)]
        struct Typed<'a> {
            #[serde(borrow)]
            r#type: Cow<'a, str>,
        }
        let Typed { r#type } = serde_json::from_slice(line).ok()?;
        let parsed = match r#type.as_ref() {
            "session.header" => serde_json::from_slice(line).map(Line::Header),
            "session.checkpoint" => serde_json::from_slice(line).map(Line::Checkpoint),
            "session.footer" => serde_json::from_slice(line).map(Line::Footer),
            other if family(other) == "session" => {
                let why = format!("{other} is not a line of session format {VERSION}");
                return Some(Err(Error::Malformed { why }));
            }
            _ => return None,
        };
        Some(parsed.map_err(|e| Error::Malformed {
            why: format!("the fields of {} are wrong: {}", r#type, describe(&e)),
        }))
    }
}

/// The byte order mark that some programs put before a text. It says nothing, and is passed over.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether a recording that was cut within its first line may begin so.
pub fn may_begin(cut: &[u8]) -> bool {
    let beginnings: [&[u8]; 3] = [br#"{"type":"session.header""#, br#"{"type":"log.header""#, br#"{"seq":"#];
    !cut.is_empty() && beginnings.iter().any(|whole| whole.starts_with(cut) || cut.starts_with(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_footer_carry_their_type_first() {
        let footer = Footer {
            last_seq: 3,
            events: 3,
            chain: "sha256:00".into(),
            outcome: Outcome::Passed,
            duration_ms: 5,
            signatures: vec![],
        };
        let text = serde_json::to_string(&footer).unwrap();
        assert!(text.starts_with(r#"{"type":"session.footer","last_seq":3"#), "{text}");
        assert_eq!(serde_json::from_str::<Footer>(&text).unwrap(), footer);
        assert!(matches!(Line::parse(text.as_bytes()), Some(Ok(Line::Footer(_)))));
        assert!(matches!(Line::parse(text.replace("footer", "header").as_bytes()), Some(Err(_))));
        assert!(Line::parse(br#"{"type":"a.b"}"#).is_none());
    }

    #[test]
    fn a_checkpoint_keeps_its_state_as_it_stands() {
        let text = r#"{"type":"session.checkpoint","seq":9,"hash":"sha256:0","state":{"b": 1e3, "a":[]}}"#;
        let checkpoint: Checkpoint = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&checkpoint).unwrap(), text);
    }
}
