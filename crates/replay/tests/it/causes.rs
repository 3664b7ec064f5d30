//! `blame`, `why`, `compare` and `bisect` on recordings whose cause is known.

use std::path::Path;

use proptest::prelude::*;
use rig_config::Pattern;
use rig_event::Op;
use rig_replay::bisect::{self, Checks, Search, Verdict, ddmin};
use rig_replay::blame::blame;
use rig_replay::compare::{Side, compare};
use rig_replay::why::why;
use rig_replay::{State, Timeline};
use serde_json::Value;

use crate::story::{Story, combination, flaky, timeline, timeout};

fn pattern(text: &str) -> Pattern {
    text.parse().unwrap()
}

#[test]
fn the_fixtures_are_these_stories() {
    let (good, bad) = flaky();
    let stories = [
        ("timeout", timeout().0),
        ("combination", combination().0),
        ("flaky-good", good),
        ("flaky-bad", bad),
    ];
    for (name, story) in stories {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fixtures/sessions/causes")
            .join(format!("{name}.jsonl"));
        if std::env::var_os("RIG_WRITE_FIXTURES").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, story.text()).unwrap();
        }
        let fixture = std::fs::read_to_string(&path).unwrap();
        assert_eq!(fixture, story.text(), "{name}: RIG_WRITE_FIXTURES=1 writes it anew");
    }
}

#[test]
fn blame_names_the_last_change_and_all_of_them() {
    let (story, _, second) = combination();
    let timeline = story.timeline();
    let found = blame(&timeline, "api", &pattern("log.level"), timeline.len(), true).unwrap();
    let [field] = found.fields.as_slice() else { panic!("{found:?}") };
    assert_eq!(field.value, Some("warn".into()));
    let told: Vec<_> =
        field.changes.iter().map(|set| (set.op, set.before.clone(), set.after.clone())).collect();
    let value = |text: &str| Some(Value::from(text));
    assert_eq!(
        told,
        [
            (Op::Changed, value("debug"), value("warn")),
            (Op::Changed, value("info"), value("debug")),
            (Op::Added, None, value("info")),
        ]
    );
    let last = &field.changes[0];
    assert_eq!((last.seq, last.snapshot, last.actor.as_deref()), (second, second - 1, Some("ben")));
    let found = blame(&timeline, "api", &pattern("**"), timeline.len(), false).unwrap();
    assert_eq!(found.fields.len(), 5);
    assert!(found.fields.iter().all(|field| field.changes.len() == 1));
    assert_eq!(found.fields.iter().find(|f| f.path == "log.level").unwrap().older, 2);
}

#[test]
fn blame_follows_an_element_of_a_list_by_its_place_and_by_its_key() {
    let mut story = Story::new();
    let mut capture = |elements: [(&str, &str); 2]| {
        let [(a, m), (b, n)] = elements;
        let number = |text: &str| Value::Number(rig_event::spelled::number(text).unwrap());
        let fields = [
            ("servers[0].name", a.into()),
            ("servers[0].port", number(m)),
            ("servers[1].name", b.into()),
            ("servers[1].port", number(n)),
        ];
        story.capture("api", &fields)
    };
    capture([("api", "1"), ("web", "2")]);
    let last = capture([("web", "2"), ("api", "1e3")]);
    let timeline = story.timeline();
    let check = |path: &str, value: &str, ops: &[Op]| {
        let found = blame(&timeline, "api", &pattern(path), timeline.len(), true).unwrap();
        let [field] = found.fields.as_slice() else { panic!("{path}: {found:?}") };
        assert_eq!(field.path, path);
        assert_eq!(field.value.as_ref().unwrap().to_string(), value, "{path}");
        assert_eq!(field.changes.iter().map(|set| set.op).collect::<Vec<_>>(), ops, "{path}");
        let set = field.changes.first().unwrap();
        assert_eq!(set.after, field.value, "{path}");
        assert_eq!(set.seq == last, ops.len() == 2, "{path}");
    };
    check("servers[0].port", "2", &[Op::Changed, Op::Added]);
    check("servers[1].port", "1e3", &[Op::Changed, Op::Added]);
    check("servers[name=api].port", "1e3", &[Op::Changed, Op::Added]);
    check("servers[name=web].port", "2", &[Op::Added]);
}

#[test]
fn blame_knows_a_field_that_is_gone_and_one_from_before() {
    let mut story = Story::new();
    story.capture("api", &[("a", 1.into()), ("b", 2.into())]);
    let gone = story.by("eve").capture("api", &[("b", 2.into())]);
    let timeline = story.timeline();
    let found = blame(&timeline, "api", &pattern("a"), timeline.len(), false).unwrap();
    assert_eq!(found.fields[0].value, None);
    assert_eq!((found.fields[0].changes[0].op, found.fields[0].changes[0].seq), (Op::Removed, gone));
    // As it was before that.
    let before = blame(&timeline, "api", &pattern("a"), 1, false).unwrap();
    assert_eq!(before.fields[0].value, Some(1.into()));
    assert!(blame(&timeline, "api", &pattern("zzz"), timeline.len(), true).unwrap().fields.is_empty());
    assert!(blame(&timeline, "nobody", &pattern("**"), timeline.len(), true).unwrap().fields.is_empty());
}

#[test]
fn a_timeout_that_was_changed_200_events_before_is_why_the_request_fails() {
    let (story, cut, failed) = timeout();
    assert!(failed - cut >= 200, "{cut} {failed}");
    let timeline = story.timeline();
    let found = why(&timeline, timeline.position(failed).unwrap(), 10).unwrap();
    let first = &found.reasons[0];
    assert_eq!(
        (first.seq, first.r#type.as_str(), first.service.as_deref()),
        (cut, "diff.computed", Some("api"))
    );
    assert_eq!(first.changes[0].path, "payments.timeout_ms");
    assert_eq!(first.actor.as_deref(), Some("ben"));
    let said = first.because.join("; ");
    assert!(said.contains("worked at") && said.contains("timeout"), "{said}");
    assert!(found.worked.is_some_and(|worked| worked < cut));
    // What web calls besides comes after it; of a service that nobody calls there is no word, however near it is.
    let place =
        |service: &str| found.reasons.iter().position(|reason| reason.service.as_deref() == Some(service));
    assert!(place("search").is_some_and(|place| place > 0) && place("billing").is_none(), "{found:#?}");
}

#[test]
fn a_cause_that_is_named_comes_before_everything_that_is_guessed() {
    let mut story = Story::new();
    let deploy = story.ready("deployer");
    story.capture("api", &[("timeout", 1.into())]);
    story.capture("api", &[("timeout", 2.into())]);
    let middle = story.because_of(deploy).log("api", "stderr", "timeout");
    let last = story.because_of(middle).failed("api", "timeout");
    let timeline = story.timeline();
    let found = why(&timeline, timeline.position(last).unwrap(), 10).unwrap();
    let seqs: Vec<u64> = found.reasons.iter().map(|reason| reason.seq).collect();
    assert_eq!(seqs[..2], [middle, deploy]);
    let bounded = why(&timeline, timeline.position(last).unwrap(), 1).unwrap();
    assert_eq!((bounded.reasons.len(), bounded.more), (1, seqs.len() as u64 - 1 + found.more));
}

#[test]
fn an_assertion_that_names_no_service_is_about_what_failed_before_it() {
    let (mut story, cut, _) = timeout();
    story.capture("billing", &[("timeout_ms", 30.into())]);
    let assertion = r#"{"type":"test.note","error":"shop_test.go:42: expected 200, got 504"}"#;
    let line = |seq: u64| format!("{{\"seq\":{seq},\"ts\":\"2026-12-01T00:00:00Z\",{}\n", &assertion[1..]);
    let found = |text: String| {
        let timeline = timeline(text);
        why(&timeline, timeline.len() - 1, 5).unwrap()
    };
    let told = found(story.text() + &line(story.seq() + 1));
    assert_eq!(told.reasons.iter().find(|reason| !reason.changes.is_empty()).unwrap().seq, cut, "{told:#?}");
    // Where nothing failed, everything that was changed may have led to it.
    let mut quiet = Story::new();
    quiet.capture("api", &[("a", 1.into())]);
    let changed = quiet.capture("api", &[("a", 2.into())]);
    let told = found(quiet.text() + &line(quiet.seq() + 1));
    assert_eq!(told.reasons[0].seq, changed);
}

#[test]
fn many_failures_of_one_kind_are_one_reason() {
    let mut story = Story::new();
    for n in 0..500 {
        story.request("web", "api", &format!("/items/{n}"), 500);
    }
    let timeline = story.timeline();
    let found = why(&timeline, timeline.len() - 1, 10).unwrap();
    assert_eq!(found.reasons.len(), 1);
    assert_eq!(found.reasons[0].times, 499);
    assert_eq!(found.failed_since, Some(1));
}

#[test]
fn compare_blames_the_failure_and_not_the_noise() {
    let (good, bad) = flaky();
    let found = compare(&good.timeline(), &bad.timeline()).unwrap();
    let divergence = found.divergence.as_ref().unwrap();
    assert_eq!(
        (divergence.difference.only_in, divergence.difference.lane.as_str()),
        (Side::Bad, "api -> payments")
    );
    assert!(divergence.difference.event.what.contains("/charge 500"), "{divergence:#?}");
    assert!(found.others.is_empty(), "{found:#?}");
    assert!(found.noise > 0);
    assert_eq!(found.output_lines, 1);
    // Port and run id differ too, and are of their run; the workers are not.
    let [change] = found.config.as_slice() else { panic!("{:#?}", found.config) };
    assert_eq!((change.service.as_str(), change.change.path.as_str()), ("payments", "workers"));
    assert_eq!((change.change.before.clone(), change.change.after.clone()), (Some(4.into()), Some(2.into())));
}

#[test]
fn compare_finds_what_is_missing() {
    let mut good = Story::new();
    let mut bad = Story::new();
    for story in [&mut good, &mut bad] {
        story.ready("api");
        story.request("web", "api", "/login", 200);
    }
    good.request("web", "api", "/orders", 200);
    good.request("web", "api", "/logout", 200);
    bad.request("web", "api", "/logout", 200);
    let found = compare(&good.timeline(), &bad.timeline()).unwrap();
    let divergence = found.divergence.unwrap();
    assert_eq!(divergence.difference.only_in, Side::Good);
    assert!(divergence.difference.event.what.contains("/orders"));
    assert!(divergence.instead.unwrap().what.contains("/logout"));
    assert!(divergence.after.unwrap().what.contains("/login"));
}

#[test]
fn two_long_recordings_that_have_nothing_in_common_are_compared_in_bounded_time() {
    let mut good = Story::new();
    let mut bad = Story::new();
    for n in 0..3_000_u32 {
        let word =
            |salt: u32| -> String { format!("{:b}", n * 2 + salt).replace('0', "a").replace('1', "b") };
        good.request("web", "api", &format!("/{}", word(0)), 200);
        bad.request("web", "api", &format!("/{}", word(1)), 200);
    }
    let found = compare(&good.timeline(), &bad.timeline()).unwrap();
    assert_eq!(found.aligned, 0);
    assert!(found.more > 5_000);
}

/// A check that counts how often it is done.
fn field(service: &'static str, path: &'static str) -> impl Fn(&State) -> u64 {
    move |state| state.service(service).and_then(|s| s.config.get(path)?.as_u64()).unwrap_or(0)
}

fn pool_is_too_small(state: &State) -> Result<Verdict, std::convert::Infallible> {
    let bad = field("api", "workers")(state) > field("api", "database.pool")(state);
    Ok(if bad { Verdict::Bad } else { Verdict::Good })
}

fn states(timeline: &Timeline) -> (Vec<usize>, impl Fn(usize) -> Result<State, std::convert::Infallible>) {
    let found = bisect::candidates(timeline, 1, timeline.len()).unwrap();
    (found.clone(), move |i| Ok(timeline.state(found[i]).unwrap()))
}

#[test]
fn bisect_finds_two_changes_of_which_only_the_combination_breaks() {
    let (story, first, second) = combination();
    let timeline = story.timeline();
    let (candidates, state) = states(&timeline);
    let mut checks = Checks::new(100, pool_is_too_small);
    let Search::Found { good, bad, contradicted_by } =
        bisect::search(candidates.len(), &state, &mut checks).unwrap()
    else {
        panic!()
    };
    assert_eq!((timeline.seq(candidates[bad] - 1), contradicted_by), (second, None));
    let base = state(0).unwrap();
    let found = bisect::culprits(&base, &state(good).unwrap(), &state(bad).unwrap(), &mut checks).unwrap();
    assert!(found.minimal && found.explained);
    let paths = |deltas: &[bisect::Delta]| deltas.iter().map(|d| d.change.path.clone()).collect::<Vec<_>>();
    // Two other fields changed in the same diff, and others before it.
    assert_eq!(paths(&found.changes), ["workers"]);
    assert_eq!(paths(&found.together_with), ["database.pool"]);
    let at = timeline.position(first).unwrap();
    let old = blame(&timeline, "api", &pattern("database.pool"), timeline.len(), false).unwrap();
    assert_eq!(timeline.position(old.fields[0].changes[0].seq).unwrap(), at);
}

#[test]
fn bisect_says_when_there_is_nothing_to_find() {
    let (story, ..) = combination();
    let timeline = story.timeline();
    let (candidates, state) = states(&timeline);
    let search = |verdict: fn(&State) -> Verdict| {
        let mut checks = Checks::new(100, |state: &State| Ok::<_, std::convert::Infallible>(verdict(state)));
        bisect::search(candidates.len(), &state, &mut checks).unwrap()
    };
    assert_eq!(search(|_| Verdict::Good), Search::NeverBad);
    assert_eq!(search(|_| Verdict::Bad), Search::BadFromStart);
    assert!(matches!(search(|_| Verdict::Skip), Search::EndSkipped { .. }));
    let mut none = Checks::new(1, pool_is_too_small);
    assert!(matches!(bisect::search(candidates.len(), &state, &mut none).unwrap(), Search::Exhausted { .. }));
    assert_eq!(none.done, 1);
}

#[test]
fn bisect_sees_that_it_broke_more_than_once() {
    let mut story = Story::new();
    for n in 0..40_u64 {
        story.capture("api", &[("n", n.into())]);
    }
    let timeline = story.timeline();
    let (candidates, state) = states(&timeline);
    let flickers = |state: &State| {
        let n = field("api", "n")(state);
        Ok::<_, std::convert::Infallible>(if n > 20 && n != 30 || n == 5 || n == 10 || n == 9 {
            Verdict::Bad
        } else {
            Verdict::Good
        })
    };
    let found = bisect::search(candidates.len(), &state, &mut Checks::new(100, flickers)).unwrap();
    assert!(matches!(found, Search::Found { contradicted_by: Some(_), .. }), "{found:?}");
}

/// Events of a lane each, to be interleaved.
fn lanes() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(0..6u8, 0..12), 1..5)
}

/// Plays lanes one event after the other, in an order that `order` gives.
fn play(lanes: &[Vec<u8>], order: &[usize], run: u64) -> Timeline {
    let mut story = Story::new();
    for n in 0..run {
        story.log("clock", "stdout", &format!("tick {n}"));
    }
    let mut next = vec![0; lanes.len()];
    let mut pick = 0;
    while next.iter().zip(lanes).any(|(next, lane)| *next < lane.len()) {
        let open: Vec<usize> = (0..lanes.len()).filter(|lane| next[*lane] < lanes[*lane].len()).collect();
        let lane = open[order.get(pick).copied().unwrap_or(0) % open.len()];
        let event = lanes[lane][next[lane]];
        next[lane] += 1;
        pick += 1;
        let service = format!("s{}", (b'a' + lane as u8) as char);
        match event {
            0 => drop(story.ready(&service)),
            1 => drop(story.failed(&service, &format!("port {} is taken", 30_000 + run))),
            2 => drop(story.request(&service, "db", &format!("/x/{}", run * 31 + pick as u64), 200)),
            3 => drop(story.request(&service, "db", "/y", 500)),
            4 => drop(story.log(&service, "stderr", &format!("id {run:08}"))),
            _ => drop(story.request(&service, "db", "/z", 404)),
        }
    }
    timeline(story.text())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_recording_does_not_diverge_from_itself_nor_from_a_run_with_other_timing(
        lanes in lanes(),
        one in proptest::collection::vec(0..8usize, 0..60),
        two in proptest::collection::vec(0..8usize, 0..60),
    ) {
        let a = play(&lanes, &one, 1);
        let same = compare(&a, &a).unwrap();
        prop_assert!(same.divergence.is_none() && same.noise == 0 && same.output_lines == 0, "{same:#?}");
        // Other seqs, times, ids, and another order between services.
        let b = play(&lanes, &two, 3);
        let other = compare(&a, &b).unwrap();
        prop_assert!(other.divergence.is_none() && other.noise == 0 && other.output_lines == 0, "{other:#?}");
    }

    #[test]
    fn blame_fits_the_state_and_its_changes_fit_each_other(values in proptest::collection::vec((0..2usize, 0..4u64, 0..4u64), 1..30)) {
        let mut story = Story::new();
        for (service, a, b) in values {
            // 0 leaves the field out.
            let fields: Vec<(&str, Value)> =
                [("a", a), ("b.c", b)].into_iter().filter(|(_, n)| *n > 0).map(|(path, n)| (path, n.into())).collect();
            story.capture(["api", "web"][service], &fields);
        }
        let timeline = story.timeline();
        for n in 0..=timeline.len() {
            let state = timeline.state(n).unwrap();
            for service in ["api", "web"] {
                let config = state.service(service).map(|s| s.config.as_ref().clone()).unwrap_or_default();
                let found = blame(&timeline, service, &pattern("**"), n, true).unwrap();
                for path in config.keys() {
                    prop_assert!(found.fields.iter().any(|field| field.path == *path), "{path} {found:#?}");
                }
                for field in &found.fields {
                    prop_assert_eq!(field.value.as_ref(), config.get(&field.path));
                    prop_assert_eq!(field.changes[0].after.as_ref(), config.get(&field.path));
                    prop_assert!(field.changes.windows(2).all(|pair| pair[0].before == pair[1].after && pair[0].seq > pair[1].seq));
                    prop_assert_eq!(field.changes.last().unwrap().op, Op::Added);
                }
            }
        }
    }

    #[test]
    fn a_search_by_halves_finds_where_it_broke_whatever_cannot_be_checked(
        len in 2..200usize,
        broke in any::<proptest::sample::Index>(),
        skipped in proptest::collection::btree_set(0..200usize, 0..20),
    ) {
        let first_bad = 1 + broke.index(len - 1);
        let verdict = |i: usize| match i {
            i if i != 0 && i != len - 1 && skipped.contains(&i) => Verdict::Skip,
            i if i >= first_bad => Verdict::Bad,
            _ => Verdict::Good,
        };
        let state = |i: usize| Ok::<_, std::convert::Infallible>(State { seq: i as u64, ..State::default() });
        let mut checks = Checks::new(1_000, |state: &State| Ok(verdict(state.seq as usize)));
        let found = bisect::search(len, state, &mut checks).unwrap();
        let Search::Found { good, bad, contradicted_by: None } = found else { return Err(TestCaseError::fail(format!("{found:?}"))) };
        prop_assert!(good < first_bad && first_bad <= bad);
        prop_assert!((good + 1..bad).all(|i| verdict(i) == Verdict::Skip));
        prop_assert!(checks.done <= 10 + 6 + skipped.len() as u64, "{}", checks.done);
    }

    #[test]
    fn what_ddmin_finds_fails_and_nothing_in_it_can_be_left_out(
        len in 1..40usize,
        needed in proptest::collection::btree_set(0..40usize, 1..6),
        either in proptest::collection::btree_set(0..40usize, 0..4),
    ) {
        let all: Vec<usize> = (0..len).collect();
        let fails = |set: &[usize]| {
            let all_of = needed.iter().filter(|n| **n < len).all(|n| set.contains(n));
            let any_of = either.iter().all(|n| *n >= len) || either.iter().any(|n| set.contains(n));
            all_of && any_of
        };
        prop_assume!(fails(&all) && !fails(&[]));
        let mut asked = 0;
        let found = ddmin(&all, |set| { asked += 1; Ok::<_, std::convert::Infallible>(Some(fails(set))) }).unwrap();
        prop_assert!(found.minimal && fails(&found.set), "{found:?}");
        for i in 0..found.set.len() {
            let mut without = found.set.clone();
            without.remove(i);
            prop_assert!(!fails(&without), "{found:?} without {i}");
        }
        prop_assert!(asked <= len * (len + 3));
    }
}
