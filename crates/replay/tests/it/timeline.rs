//! The timeline against the plain fold: at every position, however it came about, and cut at any byte.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use rig_config::Policy;
use rig_event::{Envelope, Seq, Timestamp, rigd};
use rig_replay::State;
use rig_replay::timeline::{Bytes, Chunk, Cursor, Dialect, Ending, Filter, Timeline, stretch};

use super::{Step, run, step};

/// Bytes that grow.
#[derive(Debug, Default)]
struct Growing(Mutex<Vec<u8>>);

impl Bytes for Growing {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.0.lock().unwrap().read_at(buf, offset)
    }

    fn size(&self) -> std::io::Result<u64> {
        self.0.lock().unwrap().size()
    }
}

fn open(bytes: &[u8]) -> Timeline {
    let bytes: Arc<dyn Bytes> = Arc::new(bytes.to_vec());
    let mut timeline = Timeline::new(bytes.clone(), "test");
    timeline.index(bytes.len().unwrap(), true).unwrap();
    timeline
}

fn text(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect()
}

/// What a log without a header leads to, event by event: what cannot be read or folded is passed over.
fn plainly(bytes: &[u8]) -> Vec<State> {
    let mut states = vec![State::default()];
    let (mut state, mut is_rigd) = (State::default(), None);
    let mut expected: Option<Seq> = None;
    for line in bytes.split(|b| *b == b'\n') {
        let native = Envelope::parse(line).ok().map(|e| (e, false));
        let Some((envelope, rigd)) = native.or_else(|| rigd::parse(line).ok().map(|e| (e, true))) else {
            continue;
        };
        if envelope.seq == 0
            || *is_rigd.get_or_insert(rigd) != rigd
            || expected.is_some_and(|e| envelope.seq < e)
        {
            continue;
        }
        expected = Some(envelope.seq + 1);
        state.seq = envelope.seq - 1;
        let _ = state.apply(&envelope);
        (state.seq, state.ts) = (envelope.seq, envelope.ts);
        states.push(state.clone());
    }
    states
}

/// Traffic and output as rigd writes it, with holes, repeats and damage.
fn rigd_lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let name = proptest::sample::select(vec!["a", "b", "~test", "api~proxy~~test"]);
    let line = (0..8u8, name.clone(), name, 0..600u64, 0..40u8).prop_map(|(kind, a, b, n, odd)| {
        let (kind, payload) = match kind {
            0..=2 => ("request.completed", format!(r#""request":{{"source":"{a}","target":"{b}","status_code":{n},"path":"/x","latency_ms":1.5}}"#)),
            3 => ("connection.closed", format!(r#""connection":{{"source":"{a}","target":"{b}","bytes_in":{n},"bytes_out":7}}"#)),
            4 => ("connection.opened", format!(r#""connection":{{"source":"{a}","target":"{b}"}}"#)),
            5 => ("service.failed", format!(r#""service":"{a}","error":"exit {n}""#)),
            6 => ("service.log", format!(r#""service":"{a}","log":{{"stream":"stderr","data":"line {n}\n"}}"#)),
            _ => ("grpc.call.completed", format!(r#""grpc_call":{{"source":"{a}","target":"{b}","grpc_status":{}}}"#, n % 2)),
        };
        (kind, payload, odd)
    });
    proptest::collection::vec(line, 0..60).prop_map(|lines| {
        let mut seq = 0;
        lines
            .into_iter()
            .map(|(kind, payload, odd)| {
                seq += match odd {
                    0 => 0,
                    1 => 3,
                    _ => 1,
                };
                let line = format!(
                    r#"{{"seq":{seq},"type":"{kind}",{payload},"timestamp":"2026-02-23T10:00:{:02}Z"}}"#,
                    seq % 60
                );
                if odd == 2 { line.into_bytes()[..20].to_vec() } else { line.into_bytes() }
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn seek_is_the_fold_of_the_events_before(steps in proptest::collection::vec(step(), 1..25)) {
        let (lines, states, _) = run(steps, &Policy::default());
        let timeline = open(&text(&lines));
        prop_assert_eq!(timeline.len(), lines.len());
        for (n, expected) in states.iter().enumerate() {
            let state = timeline.state(n).unwrap();
            prop_assert_eq!(&state, expected);
            prop_assert_eq!(timeline.state_at(expected.seq).unwrap().hash(), expected.hash());
        }
        prop_assert!(timeline.state(lines.len() + 1).is_err());
    }

    #[test]
    fn seek_is_the_fold_of_rigds_events_too(lines in rigd_lines()) {
        let bytes = text(&lines);
        let (timeline, states) = (open(&bytes), plainly(&bytes));
        prop_assert_eq!(timeline.len() + 1, states.len());
        for (n, expected) in states.iter().enumerate() {
            prop_assert_eq!(&timeline.state(n).unwrap(), expected);
            if n > 0 {
                prop_assert_eq!(timeline.seq(n - 1), expected.seq);
                prop_assert_eq!(timeline.position(expected.seq), Some(n - 1));
            }
        }
        prop_assert_eq!(timeline.tip(), states.last().unwrap());
    }

    #[test]
    fn a_step_and_its_return_lead_nowhere(steps in proptest::collection::vec(step(), 1..25), walk in proptest::collection::vec((any::<usize>(), 0..3u8), 0..40)) {
        let (lines, states, _) = run(steps, &Policy::default());
        let timeline = open(&text(&lines));
        let mut cursor = Cursor::new(&timeline).unwrap();
        for (to, how) in walk {
            match how {
                0 => { cursor.forward(&timeline).unwrap(); }
                1 => { cursor.back(&timeline).unwrap(); }
                _ => cursor.seek(&timeline, to % states.len()).unwrap(),
            }
            prop_assert_eq!(cursor.state(), &states[cursor.at()]);
            if cursor.forward(&timeline).unwrap() {
                prop_assert_eq!(cursor.state(), &states[cursor.at()]);
                cursor.back(&timeline).unwrap();
                prop_assert_eq!(cursor.state(), &states[cursor.at()]);
            }
        }
    }

    #[test]
    fn a_live_timeline_is_the_timeline_of_the_file(lines in rigd_lines(), cuts in proptest::collection::vec(any::<usize>(), 0..6)) {
        let bytes = text(&lines);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (bytes.len() + 1)).chain([bytes.len()]).collect();
        cuts.sort_unstable();
        let growing = Arc::new(Growing::default());
        let mut live = Timeline::new(growing.clone(), "test");
        for cut in cuts {
            let have = growing.0.lock().unwrap().len();
            growing.0.lock().unwrap().extend_from_slice(&bytes[have..cut]);
            live.index(cut as u64, false).unwrap();
        }
        live.finish();
        let file = open(&bytes);
        prop_assert_eq!(live.len(), file.len());
        prop_assert_eq!(live.passed_over(), file.passed_over());
        for n in 0..=file.len() {
            prop_assert_eq!(live.state(n).unwrap(), file.state(n).unwrap());
        }
        for at in 0..file.len() {
            prop_assert_eq!(live.entry(at), file.entry(at));
            prop_assert_eq!(live.line(at).unwrap(), file.line(at).unwrap());
        }
    }

    #[test]
    fn a_file_cut_at_any_byte_opens_as_a_prefix(steps in proptest::collection::vec(step(), 1..12), cut in any::<usize>()) {
        let (lines, states, _) = run(steps, &Policy::default());
        let bytes = session(&lines, states.len() as u64 - 1);
        let cut = cut % (bytes.len() + 1);
        let timeline = open(&bytes[..cut]);
        prop_assert!(timeline.damage().is_none(), "{:?}", timeline.damage());
        prop_assert!(timeline.len() <= lines.len());
        for (at, line) in lines.iter().enumerate().take(timeline.len()) {
            prop_assert_eq!(&timeline.line(at).unwrap(), line);
        }
        prop_assert_eq!(timeline.tip(), &states[timeline.len()]);
        let whole = matches!(timeline.ending(), Ending::Finished(_));
        prop_assert_eq!(whole, cut + 1 >= bytes.len());
    }
}

/// The lines with a header and a footer. Their chain is not looked at here.
fn session(lines: &[Vec<u8>], last_seq: u64) -> Vec<u8> {
    let header = r#"{"type":"session.header","v":1,"session":"s","stream":"main","epoch":"e","first_seq":1,"chain":"sha256:00","started":"2026-11-20T10:30:05Z","rig":"0"}"#;
    let footer = format!(
        r#"{{"type":"session.footer","last_seq":{last_seq},"events":{},"chain":"sha256:00","outcome":"passed","duration_ms":1}}"#,
        lines.len()
    );
    [format!("{header}\n").into_bytes(), text(lines), format!("{footer}\n").into_bytes()].concat()
}

#[test]
fn a_long_recording_has_checkpoints_that_agree_with_the_fold() {
    let steps = (0..9_000).map(|n: usize| match n % 10 {
        0 => Step::Lives(n / 10 % 3),
        _ => Step::Request(n % 3, n % 2),
    });
    let (lines, states, _) = run(steps.collect(), &Policy::default());
    let timeline = open(&text(&lines));
    let mut cursor = Cursor::new(&timeline).unwrap();
    for n in (0..=9_000).rev().step_by(577).chain([4096, 4095, 4097, 9_000, 0]) {
        assert_eq!(timeline.state(n).unwrap(), states[n], "{n}");
        cursor.seek(&timeline, n).unwrap();
        assert_eq!(cursor.state(), &states[n], "{n}");
    }
    cursor.seek(&timeline, 4200).unwrap();
    for n in (3_900..4_200).rev() {
        assert!(cursor.back(&timeline).unwrap());
        assert_eq!((cursor.at(), cursor.state()), (n, &states[n]));
    }
}

const LOG: &str = concat!(
    r#"{"seq":1,"ts":"2026-11-20T10:30:05Z","type":"service.ready","service":"a"}"#,
    "\n",
    r#"{"seq":2,"ts":"2026-11-20T10:30:06Z","type":"request.completed","source":"b","target":"a","status":503}"#,
    "\n",
    r#"{"seq":3,"ts":"2026-11-20T10:30:07Z","type":"drift.detected","service":"a","against":"declared","verdict":"drifted","differing":1}"#,
    "\n",
    r#"{"seq":4,"ts":"2026-11-20T10:30:08Z","type":"service.failed","service":"c","error":"needle"}"#,
    "\n",
);

#[test]
fn events_are_found_by_what_they_are() {
    let timeline = open(LOG.as_bytes());
    let next = |from, filter: Filter| timeline.next(from, &filter).unwrap();
    assert_eq!(
        (timeline.first_failure(), timeline.next_drift(0), timeline.next_drift(3)),
        (Some(1), Some(2), None)
    );
    assert_eq!(next(0, Filter::failures()), Some(1));
    assert_eq!(next(2, Filter::failures()), Some(3));
    assert_eq!(timeline.previous(3, &Filter::failures()).unwrap(), Some(1));
    let service = |name: &str| Filter { service: Some(name.into()), ..Filter::default() };
    assert_eq!(
        (next(0, service("b")), next(2, service("b")), next(0, service("nobody"))),
        (Some(1), None, None)
    );
    assert_eq!(next(1, Filter { types: Some("service.*,x".into()), ..Filter::default() }), Some(3));
    assert_eq!(next(0, Filter { text: Some("needle".into()), ..Filter::default() }), Some(3));
    let at = |text: &str| timeline.at_time(text.parse::<Timestamp>().unwrap());
    assert_eq!(
        (at("2026-11-20T10:30:06Z"), at("2026-11-20T10:30:06.5Z"), at("2030-01-01T00:00:00Z")),
        (1, 2, 4)
    );
    assert_eq!(timeline.entry(1).edge, Some(("b", "a")));
    assert_eq!(timeline.entry(1).status_class, Some(5));
    assert_eq!(timeline.dialect(), Some(Dialect::Bare));
}

#[test]
fn a_session_is_readable_up_to_its_damage_which_is_named() {
    let lines: Vec<Vec<u8>> = LOG.lines().map(|line| line.as_bytes().to_vec()).collect();
    let fine = session(&lines, 4);
    assert!(matches!(open(&fine).ending(), Ending::Finished(_)));
    let text = String::from_utf8(fine).unwrap();
    for (broken, line, after, why) in [
        (text.replace(r#""seq":3,"#, r#""seq":9,"#), 4, 2, "6 events are missing"),
        (text.replace(r#""seq":3,"#, r#""seq":2,"#), 4, 2, "seq 2 stands where 3 should"),
        (text.replace(r#""type":"drift"#, r#""type:"drift"#), 4, 2, "not an event"),
        (
            text.replace(r#""differing":1"#, r#""differing":"hunter2""#),
            4,
            2,
            "the fields of drift.detected are wrong",
        ),
        (text.replace("against\":\"declared", "against\":\"baseline"), 4, 2, "no baseline"),
        (text.replace("\"events\":4", "\"events\":5"), 6, 4, "the footer counts 5 events"),
        (text.clone() + &LOG.replace("\"seq\":1", "\"seq\":5"), 7, 4, "a line after the footer"),
        (text.replace("\"v\":1", "\"v\":2"), 1, 0, "the session format has version 2"),
        (text.replace("\"first_seq\":1", "\"first_seq\":7"), 2, 0, "the state before that is missing"),
    ] {
        let timeline = open(broken.as_bytes());
        let damage = timeline.damage().unwrap_or_else(|| panic!("{why}"));
        assert_eq!((damage.line, damage.after), (line, after), "{damage}");
        assert!(damage.to_string().contains(why) && !damage.to_string().contains("hunter2"), "{damage}");
        assert_eq!((timeline.len() as u64, timeline.ending()), (after, Ending::Damaged));
        assert_eq!(timeline.tip().seq.max(after), timeline.tip().seq);
    }
}

#[test]
fn a_seal_that_states_another_state_is_told_with_its_seq() {
    let mut state = State::default();
    state.apply(&Envelope::parse(LOG.lines().next().unwrap().as_bytes()).unwrap()).unwrap();
    let seal = |hash: &str| {
        let first = LOG.lines().next().unwrap();
        let seal = format!(
            r#"{{"seq":2,"ts":"2026-11-20T10:30:06Z","type":"log.sealed","upto":1,"chain":"","state":"{hash}"}}"#
        );
        session(&[first.as_bytes().to_vec(), seal.into_bytes()], 2)
    };
    assert!(open(&seal(&state.hash())).damage().is_none());
    let timeline = open(&seal("sha256:00"));
    let damage = timeline.damage().unwrap().to_string();
    assert!(damage.contains("event 2 seals another state at seq 1"), "{damage}");
    assert_eq!(timeline.len(), 1);
}

#[test]
fn an_endless_line_is_passed_over() {
    let mut bytes = LOG.as_bytes().to_vec();
    let long = rig_replay::timeline::MAX_LONG_LINE + 6_000_000;
    bytes.extend(std::iter::repeat_n(b'x', long));
    bytes.push(b'\n');
    bytes.extend_from_slice(LOG.replace("\"seq\":1,", "\"seq\":5,").lines().next().unwrap().as_bytes());
    let timeline = open(&bytes);
    assert_eq!(timeline.len(), 5);
    let (passed, first) = timeline.passed_over();
    assert_eq!(passed, 1);
    assert!(first.unwrap().to_string().starts_with("line 5 "), "{first:?}");
}

#[test]
fn stretches_cover_everything_once_and_end_on_line_ends() {
    let line = [vec![b'x'; 99_999], vec![b'\n']].concat();
    let bytes: Vec<u8> = line.iter().copied().cycle().take(12_345_678).collect();
    let (mut from, mut chunks) = (0, 0);
    while let Some(next) = stretch(&bytes, from, bytes.len() as u64, true).unwrap() {
        assert_eq!(next.start, from);
        assert!(next.last || bytes[next.end as usize - 1] == b'\n');
        from = next.end;
        chunks += 1;
    }
    assert_eq!(from, bytes.len() as u64);
    assert!((10..14).contains(&chunks), "{chunks}");
    assert_eq!(stretch(&bytes, 12_300_000, bytes.len() as u64, false).unwrap(), None);
    assert!(Chunk::scan(b"half", 0, false).is_empty());
}
