//! Properties of deciding and folding, on arbitrary histories.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod causes;
mod explain;
mod story;
mod timeline;

use std::collections::BTreeMap;

use proptest::prelude::*;
use rig_config::{Policy, config_digest};
use rig_event::event::{Lifecycle, Request};
use rig_event::{Draft, Envelope, Event, FlatConfig, ServiceName, Timestamp, Verdict};
use rig_replay::judge::{self, By};
use rig_replay::{Capture, State};
use serde_json::Value;

/// Something that happens to a service.
#[derive(Clone, Debug)]
enum Step {
    Capture(usize, FlatConfig),
    Approve(usize),
    Revoke(usize),
    Accept(usize, Option<i64>),
    Lives(usize),
    Request(usize, usize),
    TimePasses(i64),
}

fn config() -> impl Strategy<Value = FlatConfig> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..4u64).prop_map(Value::from),
        "[ab]{0,2}".prop_map(Value::from),
    ];
    let fields = proptest::collection::btree_map("[abc](\\.[xy])?", value, 0..5);
    let text = proptest::collection::vec("[abc]{0,2}\n", 0..8)
        .prop_map(|lines| FlatConfig::from([("text".to_owned(), lines.concat().into())]));
    prop_oneof![4 => fields, 1 => text]
}

fn step() -> impl Strategy<Value = Step> {
    let service = 0..3usize;
    prop_oneof![
        6 => (service.clone(), config()).prop_map(|(s, c)| Step::Capture(s, c)),
        2 => service.clone().prop_map(Step::Approve),
        1 => service.clone().prop_map(Step::Revoke),
        2 => (service.clone(), proptest::option::of(1..50i64)).prop_map(|(s, u)| Step::Accept(s, u)),
        1 => service.clone().prop_map(Step::Lives),
        1 => (service.clone(), service).prop_map(|(a, b)| Step::Request(a, b)),
        2 => (1..30i64).prop_map(Step::TimePasses),
    ]
}

fn name(service: usize) -> ServiceName {
    format!("service-{service}").parse().unwrap()
}

fn capture(config: FlatConfig) -> Capture {
    let config_digest = config_digest(&config);
    Capture {
        format: "json".into(),
        digest: format!("hmac:{config_digest}"),
        config_digest,
        config,
        ..Capture::default()
    }
}

/// Runs a history as a hub would, and gives its lines with the state after each.
fn run(steps: Vec<Step>, policy: &Policy) -> (Vec<Vec<u8>>, Vec<State>, BTreeMap<usize, FlatConfig>) {
    let (mut state, mut now) = (State::default(), 1);
    let (mut lines, mut states, mut configs) = (Vec::new(), vec![State::default()], BTreeMap::new());
    for step in steps {
        let ts = Timestamp::from_micros(now);
        let drafts = match step {
            Step::Capture(s, config) => {
                configs.insert(s, config.clone());
                judge::judge(&state, &name(s), capture(config), policy, ts)
            }
            Step::Approve(s) => judge::approve(&state, &name(s), None, By::default()).unwrap_or_default(),
            Step::Revoke(s) => judge::revoke(&state, &name(s), By::default()).unwrap_or_default(),
            Step::Accept(s, until) => {
                let until = until.map(|t| Timestamp::from_micros(now + t));
                judge::accept(&state, &name(s), &[], until, By::default(), policy, ts).unwrap_or_default()
            }
            Step::Lives(s) => vec![Draft::new(Some(name(s)), Event::ServiceReady(Lifecycle::default()))],
            Step::Request(a, b) => {
                let request = Request {
                    source: name(a).to_string(),
                    target: name(b).to_string(),
                    status: Some(500),
                    ..Request::default()
                };
                vec![Draft::new(None, Event::RequestCompleted(request))]
            }
            Step::TimePasses(t) => {
                now += t;
                judge::expire(&state, policy, Timestamp::from_micros(now))
            }
        };
        for draft in drafts {
            let mut line = Vec::new();
            draft.encode().unwrap().write_line(
                state.seq + 1,
                &Timestamp::from_micros(now).to_string(),
                0,
                &mut line,
            );
            line.pop();
            state.apply(&Envelope::parse(&line).unwrap()).unwrap();
            lines.push(line);
            states.push(state.clone());
        }
    }
    (lines, states, configs)
}

proptest! {
    #[test]
    fn the_fold_gives_every_config_and_verdict(steps in proptest::collection::vec(step(), 1..40)) {
        let policy = Policy::default();
        let (_, states, configs) = run(steps, &policy);
        let state = states.last().unwrap();
        for (s, config) in configs {
            let service = state.service(name(s).as_str()).unwrap();
            prop_assert_eq!(service.config.as_ref(), &config);
            prop_assert_eq!(&service.config_digest, &config_digest(&config));
            let Some(baseline) = &service.baseline else {
                prop_assert!(service.drift.is_none());
                continue;
            };
            let accepted: Vec<_> = service.acceptances.iter().map(|a| rig_config::Accepted { change: &a.change, until: None }).collect();
            let drift = rig_config::drift(&baseline.config, &config, &policy, &accepted, state.ts);
            let known = service.drift.as_ref().unwrap();
            prop_assert_eq!(known.verdict, drift.verdict);
            prop_assert_eq!(&known.fields, &drift.fields);
            prop_assert_eq!(known.verdict == Verdict::InSync, known.fields.is_empty());
        }
    }

    #[test]
    fn a_fold_from_any_saved_state_ends_in_the_same_hash(steps in proptest::collection::vec(step(), 1..25)) {
        let (lines, states, _) = run(steps, &Policy::default());
        for (cut, saved) in states.iter().enumerate() {
            let json = serde_json::to_vec(&saved.view("main")).unwrap();
            let mut state = State::from_json(&json).unwrap();
            rig_replay::fold(&mut state, lines[cut..].iter().map(|l| Ok::<_, rig_replay::Error>(Envelope::parse(l).unwrap()))).unwrap();
            prop_assert_eq!(state.hash(), states.last().unwrap().hash());
        }
    }

    #[test]
    fn the_state_at_any_seq_is_the_fold_of_the_events_before_it(steps in proptest::collection::vec(step(), 1..25)) {
        let (lines, states, _) = run(steps, &Policy::default());
        let events = || lines.iter().map(|l| Ok::<_, rig_replay::Error>(Envelope::parse(l).unwrap()));
        for expected in &states {
            let state = rig_replay::state_at(State::default(), events(), expected.seq).unwrap();
            prop_assert_eq!(state.hash(), expected.hash());
        }
        prop_assert!(rig_replay::state_at(State::default(), events(), lines.len() as u64 + 1).is_err());
    }

    #[test]
    fn an_event_out_of_order_is_refused_and_changes_nothing(steps in proptest::collection::vec(step(), 2..20)) {
        let (lines, states, _) = run(steps, &Policy::default());
        prop_assume!(lines.len() > 1);
        let mut state = State::default();
        prop_assert!(state.apply(&Envelope::parse(&lines[1]).unwrap()).is_err());
        prop_assert_eq!(state.hash(), states[0].hash());
        state.apply(&Envelope::parse(&lines[0]).unwrap()).unwrap();
        prop_assert!(state.apply(&Envelope::parse(&lines[0]).unwrap()).is_err());
        prop_assert_eq!(state.hash(), states[1].hash());
    }
}

#[test]
fn a_keyframe_carries_the_config_after_a_thousand_diffs() {
    let policy = Policy::default();
    let steps = (0..judge::KEYFRAME_DIFFS + 2)
        .map(|n| Step::Capture(0, FlatConfig::from([("n".to_owned(), n.into())])));
    let (lines, states, _) = run(steps.collect(), &policy);
    let with_config = lines.iter().filter(|l| String::from_utf8_lossy(l).contains("\"config\":{"));
    assert_eq!(with_config.count(), 2);
    assert_eq!(states.last().unwrap().service("service-0").unwrap().config["n"], judge::KEYFRAME_DIFFS + 1);
}

#[test]
fn a_diff_that_does_not_fit_is_named_by_its_seq() {
    let line = |text: &str| Envelope::parse(text.as_bytes()).unwrap();
    let mut state = State::default();
    state.apply(&line(r#"{"seq":1,"ts":"2026-11-20T10:30:05Z","type":"snapshot.captured","service":"a","digest":"d1","config_digest":"c1","format":"json","bytes":1,"fields":1,"config":{"x":1}}"#)).unwrap();
    state.apply(&line(r#"{"seq":2,"ts":"2026-11-20T10:30:05Z","type":"snapshot.captured","service":"a","digest":"d2","config_digest":"c2","format":"json","bytes":1,"fields":1}"#)).unwrap();
    let before = state.hash();
    let bad = line(
        r#"{"seq":3,"ts":"2026-11-20T10:30:05Z","type":"diff.computed","service":"a","from":1,"to":2,"added":0,"removed":0,"changed":1,"changes":[{"op":"changed","path":"x","before":7,"after":2,"severity":"low"}]}"#,
    );
    let error = state.apply(&bad).unwrap_err().to_string();
    assert!(error.contains("event 3") && error.contains("\"a\""), "{error}");
    assert_eq!(state.hash(), before);
}
