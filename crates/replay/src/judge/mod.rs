//! The events that a capture, an approval, an acceptance or a passing date leads to.
//!
//! Every decision is a pure function of the state, the input, the policy and the time it is given: the same session can
//! be judged again under another policy. A decision's events get the seqs right after the state's, so they may refer to
//! each other.

mod again;
mod baseline;
mod capture;
mod drift;

pub use again::{Decision, Outcome, Rejudge};
pub use baseline::{Approval, Declaration, Demand, Signed, approve, declare, revoke, withdraw};
pub use capture::{Capture, KEYFRAME_DIFFS, difference, judge, repeats};
pub use drift::{Standing, accept, expire, review, verdicts};

use rig_event::{Draft, Event, ServiceName};

/// Why a decision was refused. Nothing was decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The service was never captured.
    #[error("service {0:?} has no snapshot yet; capture one first")]
    NoSnapshot(String),
    /// The service has no baseline.
    #[error("service {0:?} has no baseline; approve one first")]
    NoBaseline(String),
    /// Nothing is declared of the service.
    #[error("nothing is declared of service {0:?}")]
    NoDeclaration(String),
    /// The digest that was to be approved is not the current one.
    #[error(
        "service {service:?} moved on: its current digest is {current}; look at it before you approve it"
    )]
    OtherDigest {
        /// The service.
        service: String,
        /// Its digest now.
        current: String,
    },
    /// The approval is not signed as it must be.
    #[error("the approval is {0}, and this hub takes signed ones only: `rig baseline approve --sign`")]
    Untrusted(rig_config::Trust),
    /// No field that is not accepted yet matches.
    #[error("no differing field of service {0:?} matches that is not accepted already")]
    NothingToAccept(String),
    /// The date has passed.
    #[error("the acceptance would have ended already: `until` lies in the past")]
    Past,
    /// More fields than one event can hold.
    #[error("{0} fields match, and one acceptance takes at most {max}; name narrower paths", max = drift::MAX_FIELDS)]
    TooMany(usize),
    /// A path pattern is not one.
    #[error("{0}")]
    Pattern(String),
}

impl Refusal {
    /// A stable code for answers.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NoSnapshot(_) => "no-snapshot",
            Refusal::NoBaseline(_) => "no-baseline",
            Refusal::NoDeclaration(_) => "no-declaration",
            Refusal::OtherDigest { .. } => "digest-mismatch",
            Refusal::Untrusted(_) => "untrusted-approval",
            Refusal::NothingToAccept(_) => "nothing-to-accept",
            Refusal::Past => "until-in-the-past",
            Refusal::TooMany(_) => "too-many-fields",
            Refusal::Pattern(_) => "bad-path",
        }
    }
}

/// Who decides, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct By {
    /// Who.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

fn draft(service: &ServiceName, actor: Option<&String>, event: Event) -> Draft {
    Draft { actor: actor.cloned(), ..Draft::new(Some(service.clone()), event) }
}
