//! The model against the timeline: wherever it is sent, it is there, and knows the state there.

use std::sync::Arc;

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use rig_replay::Timeline;
use rig_replay::timeline::stretch;
use rig_tui::state::{Mode, Pane};
use rig_tui::{Effect, Message, News, Player, input, view};

use crate::screen::*;

/// A log in which everything happens: starts, failures, requests, output, config changes.
pub fn log(events: u64) -> Vec<u8> {
    let line = |seq: u64| {
        let ts = format!("2026-11-20T10:{:02}:{:02}.{:03}Z", seq / 3000 % 60, seq / 50 % 60, seq * 20 % 1000);
        let rest = match seq % 7 {
            0 => {
                r#""type":"service.log","service":"api","stream":"stderr","data":"größe \u001b[31mrot 日本語\n""#
            }
            1 => {
                r#""type":"request.completed","source":"web","target":"api","method":"GET","path":"/a","status":200,"latency_ms":1.5"#
            }
            2 => {
                r#""type":"request.completed","source":"api","target":"db","method":"POST","path":"/b","status":503,"latency_ms":20"#
            }
            3 => r#""type":"service.starting","service":"db""#,
            4 => r#""type":"service.ready","service":"db""#,
            5 => r#""type":"connection.closed","source":"web","target":"cache","bytes_in":100,"bytes_out":7"#,
            _ => r#""type":"service.failed","service":"db","error":"port taken""#,
        };
        format!("{{\"seq\":{seq},\"ts\":\"{ts}\",{rest}}}\n")
    };
    (1..=events).map(line).collect::<String>().into()
}

fn messages() -> impl Strategy<Value = Message> {
    use Message::*;
    let keys: Vec<Message> = input::messages().filter(|message| *message != Quit).collect();
    prop_oneof![
        prop::sample::select(keys),
        prop::sample::select(vec![Erase, EraseAll, Submit, Drop]),
        prop::sample::select(Pane::ALL.to_vec()).prop_map(Focus),
        prop_oneof![-20isize..20, Just(isize::MIN), Just(isize::MAX)].prop_map(Step),
        prop_oneof![-20isize..20, Just(isize::MIN), Just(isize::MAX)].prop_map(Move),
        prop_oneof![0usize..300, Just(usize::MAX)].prop_map(Seek),
        any::<char>().prop_map(Type),
        "[a-z0-9:%+ .-]{0,12}".prop_map(Paste),
        (0u16..200, 0u16..70).prop_map(|(x, y)| Click(x, y)),
        (0u16..200, 0u16..70).prop_map(|(x, y)| Drag(x, y)),
        (0u16..200, 0u16..70, -1isize..=1).prop_map(|(x, y, by)| Scroll(x, y, by)),
        (0u16..220, 0u16..70).prop_map(|(w, h)| Resize(w, h)),
        (0u64..100_000).prop_map(|ms| Tick(std::time::Duration::from_millis(ms))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_pressed_it_stands_in_the_recording_and_knows_the_state(
        pressed in prop::collection::vec(messages(), 1..60),
        which in 0usize..4,
    ) {
        let bytes = match which {
            0 => fixture("v1/drift.jsonl"),
            1 => fixture("causes/combination.jsonl"),
            2 => log(200),
            _ => Vec::new(),
        };
        let mut player = player(bytes, options());
        for message in pressed {
            player.prepare();
            player.work();
            let effect = player.update(message);
            prop_assert!(effect != Some(Effect::Quit));
            prop_assert!(player.at() <= player.timeline.len());
            prop_assert_eq!(player.state(), &player.timeline.state(player.at()).unwrap());
            player.prepare();
            let (width, height) = player.size;
            let mut terminal = Terminal::new(TestBackend::new(width.max(1), height.max(1))).unwrap();
            terminal.draw(|frame| view::draw(&player, frame)).unwrap();
        }
    }
}

#[test]
fn a_growing_source_is_followed_and_what_is_behind_is_counted() {
    let bytes = log(100);
    let half = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(49).unwrap().0 as u64 + 1;
    let source = Arc::new(bytes.clone());
    let scan = |from, to| {
        stretch(source.as_ref(), from, to, false)
            .unwrap()
            .unwrap()
            .scan(source.as_ref(), &mut Vec::new())
            .unwrap()
    };
    let live = rig_tui::Options { live: true, follow: true, ..options() };
    let mut player = Player::new(Timeline::new(source.clone(), "live"), live).unwrap();
    player.take(News::Chunk(Box::new(scan(0, half))));
    assert!(player.is_live() && player.at() == 50);
    player.update(Message::Step(-1));
    assert!(!player.is_live());
    player.take(News::Chunk(Box::new(scan(half, bytes.len() as u64))));
    assert_eq!((player.at(), player.timeline.len()), (49, 100));
    assert!(screen(&mut player, 100, 24).contains("51 behind"));
    player.update(Message::End);
    assert!(player.is_live() && player.at() == 100);
    assert!(screen(&mut player, 100, 24).contains("LIVE"));
    player.take(News::Ended);
    assert!(!player.is_live());
    assert!(screen(&mut player, 100, 24).contains("REPLAY"));
}

#[test]
fn time_plays_at_its_speed_and_idle_time_can_be_left_out() {
    let line = |seq: u64, s: u64| {
        format!("{{\"seq\":{seq},\"ts\":\"2026-11-20T10:00:{s:02}Z\",\"type\":\"a.b\"}}\n")
    };
    let bytes: Vec<u8> = [(1, 0), (2, 1), (3, 51)].map(|(seq, s)| line(seq, s)).concat().into();
    let mut player = player(bytes, options());
    let tick = |player: &mut Player, ms| player.update(Message::Tick(std::time::Duration::from_millis(ms)));
    player.update(Message::TogglePlay);
    tick(&mut player, 0);
    tick(&mut player, 999);
    assert_eq!(player.at(), 1);
    tick(&mut player, 1000);
    assert_eq!(player.at(), 2);
    tick(&mut player, 40_000);
    assert_eq!(player.at(), 2);
    player.update(Message::ToggleIdle);
    tick(&mut player, 40_001);
    assert_eq!((player.at(), player.playing), (3, None));
}

#[test]
fn a_hundred_times_as_fast_is_not_slowed_down_by_many_events() {
    let mut player = player(log(3000), rig_tui::Options { speed: Some(100.0), ..options() });
    player.update(Message::Tick(std::time::Duration::ZERO));
    player.update(Message::Tick(std::time::Duration::from_millis(300)));
    // Twenty milliseconds lie between two events: thirty seconds are 1500 of them.
    assert_eq!(player.at(), 1501);
}

#[test]
fn jumps_go_to_the_nearest_and_say_when_there_is_none() {
    let mut player = player(fixture("v1/drift.jsonl"), options());
    let mut seqs = Vec::new();
    for message in [
        Message::FirstFailure,
        Message::NextFailure,
        Message::NextDrift,
        Message::NextDrift,
        Message::NextDrift,
        Message::PreviousDrift,
        Message::PreviousChange,
        Message::NextChange,
        Message::PreviousFailure,
    ] {
        player.update(message);
        seqs.push((player.state().seq, player.note.is_some()));
    }
    let expected = [
        (5, false),
        (5, true),
        (12, false),
        (13, false),
        (13, true),
        (12, false),
        (11, false),
        (11, true),
        (5, false),
    ];
    assert_eq!(seqs, expected);
}

#[test]
fn a_filter_by_service_type_or_text_is_what_n_steps_through() {
    let mut player = player(log(70), options());
    for (filter, first, found) in [
        ("type:service.failed", 6, 10),
        ("s:db failed", 6, 20),
        ("GRÖßE", 7, 10),
        ("port TAKEN", 6, 10),
        ("nowhere", 1, 0),
    ] {
        press(
            &mut player,
            [
                Message::Seek(1),
                Message::AskFilter,
                Message::EraseAll,
                Message::Paste(filter.into()),
                Message::Submit,
            ],
        );
        press(&mut player, [Message::NextFound]);
        assert_eq!(player.events.len(), found, "{filter}");
        assert!(player.at() == first || filter.starts_with("s:"), "{filter}: {}", player.at());
    }
    press(&mut player, [Message::Back]);
    assert_eq!((player.filter.as_str(), player.mode()), ("", Mode::Normal));
}

#[test]
fn since_when_a_field_is_what_it_is_agrees_with_blame() {
    for name in ["v1/drift.jsonl", "causes/combination.jsonl", "causes/timeout.jsonl"] {
        let mut player = player(fixture(name), options());
        for n in 0..=player.timeline.len() {
            player.update(Message::Seek(n));
            player.prepare();
            while player.work() {}
            let Some(service) = player.shown.service.clone() else { continue };
            let pattern = "**".parse().unwrap();
            let blame = rig_replay::blame::blame(&player.timeline, &service, &pattern, n, false).unwrap();
            let history = player.histories.last().unwrap();
            for field in blame.fields.iter().filter(|field| field.value.is_some()) {
                let since = history.since.get(&field.path).map(|since| since.seq);
                assert_eq!(since, field.changes.first().map(|set| set.seq), "{name} at {n}: {}", field.path);
            }
        }
    }
}
