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
use rig_replay::judge::{self, By, Decision, Declaration, Rejudge};
use rig_replay::{Capture, State};
use serde_json::Value;

type Provenance = BTreeMap<String, String>;

/// What was captured last, by the number of the service.
type Known = BTreeMap<usize, (FlatConfig, Provenance)>;

/// Something that happens to a service.
#[derive(Clone, Debug)]
enum Step {
    /// With the sources of its fields: of none, of some, of all.
    Capture(usize, FlatConfig, usize),
    Approve(usize),
    Revoke(usize),
    Declare(usize, FlatConfig),
    Withdraw(usize),
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
        prop::sample::select(vec!["1e3", "1E3", "-0", "1.0e-7", "1.50"])
            .prop_map(|text| rig_event::spelled::from_str(text).unwrap()),
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
        6 => (service.clone(), config(), 0..5usize).prop_map(|(s, c, p)| Step::Capture(s, c, p)),
        2 => service.clone().prop_map(Step::Approve),
        1 => service.clone().prop_map(Step::Revoke),
        2 => (service.clone(), config()).prop_map(|(s, c)| Step::Declare(s, c)),
        1 => service.clone().prop_map(Step::Withdraw),
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

/// Sources of the fields of a config; which of them have one depends on `kind`, and 0 gives none.
fn provenance(config: &FlatConfig, kind: usize) -> Provenance {
    let sources = config.keys().enumerate().filter(|(n, _)| kind > 1 || (kind == 1 && n % 2 == 0));
    sources.map(|(n, path)| (path.clone(), format!("file:a.yaml:{}", n / kind))).collect()
}

/// Runs a history as a hub would, and gives its lines with the state after each.
fn run(steps: Vec<Step>, policy: &Policy) -> (Vec<Vec<u8>>, Vec<State>, Known) {
    let (mut state, mut now) = (State::default(), 1);
    let (mut lines, mut states, mut configs) = (Vec::new(), vec![State::default()], BTreeMap::new());
    for step in steps {
        let ts = Timestamp::from_micros(now);
        let drafts = match step {
            Step::Capture(s, config, sources) => {
                let capture = Capture { provenance: provenance(&config, sources), ..capture(config.clone()) };
                // As the hub does: where a field comes from is a part of what was captured.
                let digest = format!("{} {:?}", capture.digest, capture.provenance);
                configs.insert(s, (config, capture.provenance.clone()));
                judge::judge(&state, &name(s), Capture { digest, ..capture }, policy, ts)
            }
            Step::Approve(s) => {
                judge::approve(&state, &name(s), Default::default(), None, By::default()).unwrap_or_default()
            }
            Step::Revoke(s) => judge::revoke(&state, &name(s), By::default()).unwrap_or_default(),
            Step::Declare(s, config) => {
                let Capture { digest, config_digest, format, config, .. } = capture(config);
                let declaration = Declaration { digest, config_digest, format, config };
                judge::declare(&state, &name(s), declaration, By::default(), policy, ts)
            }
            Step::Withdraw(s) => judge::withdraw(&state, &name(s), By::default()).unwrap_or_default(),
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
        let count = drafts.len() as u32;
        for (more, draft) in (0..count).rev().zip(drafts) {
            let mut line = Vec::new();
            draft.encode().unwrap().write_line(
                state.seq + 1,
                &Timestamp::from_micros(now).to_string(),
                more,
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

/// What another policy makes of a history.
fn judged_again(lines: &[Vec<u8>], states: &[State], policy: &Policy) -> Vec<Decision> {
    let mut again = Rejudge::new(policy, &states[0]);
    let each = lines.iter().zip(&states[1..]).flat_map(|(line, state)| {
        let more = rig_event::Head::parse(line).unwrap().more;
        again.observe(&Envelope::parse(line).unwrap(), more, state)
    });
    each.collect()
}

proptest! {
    #[test]
    fn the_fold_gives_every_config_and_verdict(steps in proptest::collection::vec(step(), 1..40)) {
        let policy = Policy::default();
        let (_, states, configs) = run(steps, &policy);
        let state = states.last().unwrap();
        for (s, (config, provenance)) in configs {
            let service = state.service(name(s).as_str()).unwrap();
            prop_assert_eq!(service.provenance.as_ref(), &provenance);
            prop_assert_eq!(service.config.as_ref(), &config);
            prop_assert_eq!(&service.config_digest, &config_digest(&config));
            if let Some(declared) = &service.declared {
                let drift = rig_config::declared_drift(&declared.config, &config, &policy, state.ts);
                let known = declared.drift.as_ref();
                prop_assert_eq!(known.map_or(Verdict::InSync, |known| known.verdict), drift.verdict);
                prop_assert_eq!(known.map(|known| known.fields.clone()).unwrap_or_default(), drift.fields);
            }
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
    fn a_history_judged_again_under_its_own_policy_does_not_flip(steps in proptest::collection::vec(step(), 1..40)) {
        let (lines, states, _) = run(steps, &Policy::default());
        let decisions = judged_again(&lines, &states, &Policy::default());
        for decision in &decisions {
            prop_assert!(!decision.flips(), "{:?}", decision);
            prop_assert_eq!(&decision.recorded.fields, &decision.judged.fields);
        }
        // No verdict was given that is not looked at again.
        let told = lines.iter().filter(|line| line.windows(14).any(|w| w == b"\"type\":\"drift.")).count();
        prop_assert!(told == 0 || !decisions.is_empty());
    }

    #[test]
    fn under_a_policy_that_ignores_everything_every_drift_flips(steps in proptest::collection::vec(step(), 1..40)) {
        let (lines, states, _) = run(steps, &Policy::default());
        let policy = Policy::parse("[[ignore]]\npath = \"**\"").unwrap();
        for decision in judged_again(&lines, &states, &policy) {
            prop_assert_eq!(decision.judged.verdict, Verdict::InSync);
            prop_assert_eq!(decision.flips(), decision.recorded.verdict != Verdict::InSync);
        }
        // And a hub that begins with this policy says so by itself, once.
        let mut state = states.last().unwrap().clone();
        for draft in judge::review(&state, &policy, state.ts) {
            prop_assert!(matches!(draft.event, Event::DriftResolved(_)));
            let (seq, ts) = (state.seq + 1, state.ts);
            state.apply(&draft.encode().unwrap().into_envelope(seq, ts)).unwrap();
        }
        prop_assert!(judge::review(&state, &policy, state.ts).is_empty());
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
        .map(|n| Step::Capture(0, FlatConfig::from([("n".to_owned(), n.into())]), 0));
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

/// The events of a capture by the hub's decision, folded onto the state.
fn captured(state: &mut State, capture: Capture) -> Vec<Envelope> {
    let said = capture.provenance.iter().map(|(path, source)| (path.clone(), source.as_str().into()));
    let digest = format!("{} {}", capture.digest, config_digest(&said.collect()));
    let capture = Capture { digest, ..capture };
    let drafts = judge::judge(state, &name(0), capture, &Policy::default(), Timestamp::from_micros(1));
    folded(state, drafts)
}

/// The events of a decision, folded onto the state.
fn folded(state: &mut State, drafts: Vec<Draft>) -> Vec<Envelope> {
    let mut envelopes = Vec::new();
    for draft in drafts {
        let mut line = Vec::new();
        draft.encode().unwrap().write_line(state.seq + 1, "2026-11-20T10:30:05.000000Z", 0, &mut line);
        line.pop();
        envelopes.push(Envelope::parse(&line).unwrap());
        state.apply(envelopes.last().unwrap()).unwrap();
    }
    envelopes
}

fn sources(envelope: &Envelope) -> Vec<String> {
    match &envelope.event {
        Event::SnapshotCaptured(e) => {
            e.provenance.iter().map(|(path, source)| format!("{path}={source}")).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn an_event_carries_only_what_is_new_about_sources() {
    let mut state = State::default();
    let config: FlatConfig = [("a", 1), ("b", 2)].map(|(path, n)| (path.to_owned(), n.into())).into();
    let with = |a: &str, b: &str| {
        let said = [("a", a), ("b", b)].into_iter().filter(|(_, source)| !source.is_empty());
        let provenance = said.map(|(path, source)| (path.to_owned(), source.to_owned())).collect();
        Capture { provenance, ..capture(config.clone()) }
    };
    let first = captured(&mut state, with("file:x:1", "env:B"));
    assert_eq!(sources(&first[0]), ["a=file:x:1", "b=env:B"]);
    let moved = captured(&mut state, with("file:x:2", "env:B"));
    assert_eq!((moved.len(), sources(&moved[0])), (1, vec!["a=file:x:2".to_owned()]));
    let known = || state.service("service-0").unwrap().provenance.clone();
    assert_eq!(known().len(), 2);
    let silent = captured(&mut state, with("", ""));
    assert_eq!(sources(&silent[0]), ["=unknown"]);
    assert!(state.service("service-0").unwrap().provenance.is_empty());
}

#[test]
fn provenance_too_large_for_an_event_is_split_and_found_again() {
    let mut state = State::default();
    let config: FlatConfig = (0..20_000).map(|n| (format!("some.rather.long.path.{n}"), n.into())).collect();
    let provenance: BTreeMap<String, String> =
        config.keys().map(|path| (path.clone(), "file:config/production.yaml:1".to_owned())).collect();
    let first = captured(&mut state, Capture { provenance: provenance.clone(), ..capture(config.clone()) });
    assert!(first.len() > 4, "{}", first.len());
    let service = || state.service("service-0").unwrap().clone();
    assert_eq!(*service().config, config);
    assert_eq!(*service().provenance, provenance);
    // Only the sources change: the config is not carried again, and stays.
    let later: BTreeMap<String, String> =
        provenance.keys().map(|path| (path.clone(), "env:A_LONG_VARIABLE".to_owned())).collect();
    let second = captured(&mut state, Capture { provenance: later.clone(), ..capture(config.clone()) });
    assert!(second.len() > 2 && second.iter().all(|e| e.event.type_name() == "snapshot.captured"));
    let service = state.service("service-0").unwrap();
    assert_eq!(*service.config, config);
    assert_eq!(*service.provenance, later);
}

/// A text as one field, under whatever rules it was captured.
fn text(text: &str) -> Capture {
    Capture { format: "text".into(), ..capture(FlatConfig::from([("text".to_owned(), text.into())])) }
}

#[test]
fn a_text_of_older_rules_is_compared_as_it_would_be_captured_now() {
    let old =
        "!Time: Tue Mar 12 10:00:00 2026\nhostname a\n: Written by x at 10:00:00 UTC Mon Jan 5 2026\n\n";
    let types = |events: &[Envelope]| -> Vec<String> {
        events.iter().map(|envelope| envelope.event.type_name().to_owned()).collect()
    };
    for (new, expected) in [
        ("hostname a\n", &["snapshot.captured"][..]),
        ("hostname b\n", &["snapshot.captured", "diff.computed", "drift.detected"]),
    ] {
        let mut state = State::default();
        captured(&mut state, text(old));
        let approved = judge::approve(&state, &name(0), Default::default(), None, By::default()).unwrap();
        folded(&mut state, approved);
        let events = captured(&mut state, text(new));
        assert_eq!(types(&events), expected, "{new}");
        let service = state.service(name(0).as_str()).unwrap();
        assert_eq!(service.config["text"], new);
        assert_eq!(config_digest(&service.config), service.config_digest);
        for envelope in &events {
            if let Event::DiffComputed(diff) = &envelope.event {
                assert_eq!((diff.lines_added, diff.lines_removed), (1, 1));
            }
        }
        // From then on it is as any other.
        let events = captured(&mut state, text("hostname c\n"));
        assert_eq!(types(&events)[..2], ["snapshot.captured", "diff.computed"]);
        assert!(matches!(&events[0].event, Event::SnapshotCaptured(e) if e.config.is_none()));
        assert_eq!(state.service(name(0).as_str()).unwrap().config["text"], "hostname c\n");
    }
}
