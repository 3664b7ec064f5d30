//! What the hub says in its own stream, `_hub`, about who may do what and who did it.

use serde::{Deserialize, Serialize};

use crate::{Seq, StreamName, Timestamp};

/// A token was made. Its text is shown once and kept nowhere: here is its hash.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenIssued {
    /// Its id, which is a part of its text and no secret.
    pub id: String,
    /// Its name: the actor of what is done with it.
    pub name: String,
    /// What it may do: `read`, `write`, `admin`, `secrets`.
    pub scopes: Vec<String>,
    /// The streams it is for, as patterns: `ci-*`.
    pub streams: Vec<String>,
    /// When it ends; absent: when it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// SHA-256 of its text, `sha256:HEX`.
    pub hash: String,
    /// The request that asked for it; absent for one that was made while no hub ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// A token was taken back: it opens nothing from here on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenRevoked {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The request that asked for it; absent for one that was revoked while no hub ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// A token reached its end. From here on it opens nothing, whatever the clock says later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenExpired {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A request changed something. Appends and captures, of which there are many, are told together: [`AuditAppended`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditChanged {
    /// The request's id, as its answer has it.
    pub request_id: String,
    /// Method and address, with the names in it left out: `PUT /v1/streams/{stream}`.
    pub request: String,
    /// The status of the answer.
    pub status: u16,
    /// The stream that was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamName>,
    /// The first event that it led to in that stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seq: Option<Seq>,
    /// The last event that it led to in that stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seq: Option<Seq>,
    /// The token that it was done with; absent where none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The address that it came from.
    pub peer: String,
}

/// Requests that could have changed something and changed nothing, such as making a stream that is there: those of some seconds
/// that have address and token in common.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditUnchanged {
    /// Method and address, with the names in it left out.
    pub request: String,
    /// Their number.
    pub requests: u64,
    /// The id of the first.
    pub request_id: String,
    /// The token; absent where none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Counts what one token appended to one stream, or captured into it, in some seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditAppended {
    /// The stream.
    pub stream: StreamName,
    /// How many requests there were.
    pub requests: u64,
    /// How many events they led to. There may be others between the first and the last.
    pub events: u64,
    /// The first of them.
    pub first_seq: Seq,
    /// The last of them.
    pub last_seq: Seq,
    /// The ids of the first and the last of those requests.
    pub request_ids: (String, String),
    /// The token; absent where none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Requests were denied: those of some seconds that have code, token and address in common.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditDenied {
    /// The stable code of the answer; `others` for what there was no room to tell apart.
    pub code: String,
    /// How many there were.
    pub requests: u64,
    /// The id of the first.
    pub request_id: String,
    /// Method and address of the first, with the names in it left out; absent for an address that there is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The token, where it was a valid one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The address that they came from.
    pub peer: String,
}
