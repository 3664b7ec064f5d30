//! Checks that need no program: what a field is, and whether something has drifted.

use std::cmp::Ordering;
use std::str::FromStr;

use rig_config::{Path, Pattern, Policy};
use rig_event::event::Against;
use rig_event::{ServiceName, Verdict};
use rig_replay::{State, judge};
use serde_json::Value;

/// A condition on a state: `api:database.pool > 10`, `api:tls.cert`, `api:workers > @api:database.pool`.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    field: Field,
    test: Option<(Op, Operand)>,
}

/// A field of a service, or several.
#[derive(Clone, Debug)]
struct Field {
    service: ServiceName,
    path: Pattern,
}

#[derive(Clone, Debug)]
enum Operand {
    Value(Value),
    Field(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Is,
    IsNot,
    Less,
    AtMost,
    More,
    AtLeast,
    Holds,
}

const OPS: &[(&str, Op)] = &[
    ("==", Op::Is),
    ("=", Op::Is),
    ("!=", Op::IsNot),
    ("<=", Op::AtMost),
    ("<", Op::Less),
    (">=", Op::AtLeast),
    (">", Op::More),
    ("~", Op::Holds),
];

const SYNTAX: &str = "write SERVICE:PATH, which is true where the field is there, or SERVICE:PATH OP VALUE with blanks between; OP is \
                      =, !=, <, <=, >, >= or ~ (holds the text); VALUE is JSON, a bare word, or @SERVICE:PATH for another field";

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Condition, String> {
        let found = OPS
            .iter()
            .filter_map(|(sign, op)| Some((text.find(&format!(" {sign} "))?, *sign, *op)))
            .min_by_key(|found| found.0);
        let Some((at, sign, op)) = found else {
            return Ok(Condition { field: text.trim().parse()?, test: None });
        };
        let value = text[at + sign.len() + 2..].trim();
        let operand = match value.strip_prefix('@') {
            Some(field) => Operand::Field(field.parse()?),
            None => Operand::Value(serde_json::from_str(value).unwrap_or_else(|_| value.into())),
        };
        Ok(Condition { field: text[..at].trim().parse()?, test: Some((op, operand)) })
    }
}

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Field, String> {
        let (service, path) = text.split_once(':').ok_or(SYNTAX)?;
        let service = service.trim().parse().map_err(|_| SYNTAX)?;
        Ok(Field { service, path: path.trim().parse().map_err(|error| format!("{error}; {SYNTAX}"))? })
    }
}

impl Field {
    fn values<'a>(&'a self, state: &'a State) -> impl Iterator<Item = &'a Value> {
        let config = state.service(self.service.as_str()).map(|service| service.config.as_ref());
        let covers = |path: &str| Path::parse(path).is_ok_and(|path| self.path.matches(&path));
        config.into_iter().flatten().filter(move |(path, _)| covers(path)).map(|(_, value)| value)
    }
}

impl Condition {
    /// Whether it is so, of any of the fields that it names.
    pub(super) fn holds(&self, state: &State) -> bool {
        self.field.values(state).any(|value| match &self.test {
            None => true,
            Some((op, Operand::Value(other))) => op.holds(value, other),
            Some((op, Operand::Field(field))) => field.values(state).any(|other| op.holds(value, other)),
        })
    }
}

impl Op {
    fn holds(self, value: &Value, other: &Value) -> bool {
        let order = order(value, other);
        match self {
            Op::Is => order == Some(Ordering::Equal),
            Op::IsNot => order != Some(Ordering::Equal),
            Op::Less => order == Some(Ordering::Less),
            Op::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Op::More => order == Some(Ordering::Greater),
            Op::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            Op::Holds => text(value).contains(&text(other)),
        }
    }
}

/// Numbers by their size, however they are spelled, also where a format knows them only as text; all else is equal or not.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    if a == b {
        return Some(Ordering::Equal);
    }
    let (a, b) = (text(a), text(b));
    match (a.parse::<i128>(), b.parse::<i128>()) {
        (Ok(a), Ok(b)) => Some(a.cmp(&b)),
        _ => a.parse::<f64>().ok()?.partial_cmp(&b.parse::<f64>().ok()?),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether a service, or any, has drifted.
pub(super) fn is_drifted(state: &State, service: Option<&ServiceName>) -> bool {
    let wanted = state.services.iter().filter(|(name, _)| service.is_none_or(|service| service == *name));
    wanted.filter_map(|(_, service)| service.drift.as_ref()).any(|drift| drift.verdict == Verdict::Drifted)
}

/// The same of a state whose configs may be others than those that were recorded: it is judged by its baselines and acceptances.
pub(super) fn would_drift(state: &State, service: Option<&ServiceName>, policy: &Policy) -> bool {
    let wanted = state.services.iter().filter(|(name, _)| service.is_none_or(|service| service == *name));
    wanted
        .flat_map(|(_, service)| judge::verdicts(service, policy, state.ts))
        .any(|standing| standing.against == Against::Baseline && standing.drift.verdict == Verdict::Drifted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_say_what_they_say() {
        let config = serde_json::json!({
            "pool": 10, "workers": "16", "level": "debug", "servers[0].port": 80, "servers[1].port": 8080, "tls": null,
        });
        let mut line = serde_json::json!({
            "seq": 1, "ts": "2026-11-20T10:30:05Z", "type": "snapshot.captured", "service": "api", "digest": "d",
            "config_digest": "c", "format": "json", "bytes": 1, "fields": 6,
        });
        line["config"] = config;
        let mut state = State::default();
        state.apply(&rig_event::Envelope::parse(line.to_string().as_bytes()).unwrap()).unwrap();
        for so in [
            "api:pool = 10",
            "api:pool == 10.0",
            "api:pool >= 10",
            "api:pool < 10.5",
            "api:pool != 11",
            "api:workers > @api:pool",
            "api:level = debug",
            "api:level = \"debug\"",
            "api:level ~ bug",
            "api:tls",
            "api:tls = null",
            "api:servers[*].port > 8000",
        ] {
            assert!(so.parse::<Condition>().unwrap().holds(&state), "{so}");
        }
        for not in [
            "api:pool > 10",
            "api:level < 3",
            "api:none",
            "web:pool",
            "api:level = info",
            "api:pool > @api:workers",
        ] {
            assert!(!not.parse::<Condition>().unwrap().holds(&state), "{not}");
        }
        for bad in ["pool > 10", "", "api:[ = 3", ":pool"] {
            assert!(bad.parse::<Condition>().is_err(), "{bad:?}");
        }
    }
}
