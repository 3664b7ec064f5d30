//! Reads what the user types: a place to go to, or a filter.

use rig_event::Timestamp;
use rig_replay::Timeline;
use rig_replay::timeline::Filter;

use crate::text;

/// The place after how many events `text` names: a seq, `50%`, `+30s` and `-2m` from here, or a time (`10:30:05`, RFC 3339).
///
/// # Errors
/// In words, when it names none.
pub fn place(text: &str, timeline: &Timeline, at: usize) -> Result<usize, String> {
    let text = text.trim();
    if timeline.is_empty() {
        return Err("there is no event yet".to_owned());
    }
    if let Some(percent) = text.strip_suffix('%') {
        let percent: f64 = percent.trim().parse().map_err(|_| unknown(text))?;
        if !(0.0..=100.0).contains(&percent) {
            return Err("write a percentage from 0 to 100".to_owned());
        }
        return Ok((timeline.len() as f64 * percent / 100.0) as usize);
    }
    if let Ok(seq) = text.trim_start_matches('#').parse::<u64>() {
        let (first, last) = (timeline.seq(0), timeline.seq(timeline.len() - 1));
        if seq == 0 || seq < first || seq > last {
            return Err(format!("there is no seq {seq}: they go from {first} to {last}"));
        }
        // In a log with holes the one before it is as near as can be.
        return Ok(timeline.position(seq).map_or_else(
            || {
                let (mut low, mut high) = (0, timeline.len());
                while low < high {
                    let middle = low + (high - low) / 2;
                    if timeline.seq(middle) <= seq { low = middle + 1 } else { high = middle }
                }
                low
            },
            |at| at + 1,
        ));
    }
    let here = timeline.entry(at.saturating_sub(1).min(timeline.len() - 1)).ts;
    let ts = match text.chars().next() {
        Some(sign @ ('+' | '-')) if !text.contains(':') => {
            let micros = length(&text[1..]).ok_or_else(|| unknown(text))?;
            let micros = if sign == '+' { micros } else { -micros };
            Timestamp::from_micros(here.as_micros().saturating_add(micros))
        }
        _ => time(text, here).ok_or_else(|| unknown(text))?,
    };
    // At a moment, what happened then has happened.
    Ok(timeline.at_time(Timestamp::from_micros(ts.as_micros().saturating_add(1))))
}

fn unknown(text: &str) -> String {
    format!("{} is no place: write 1234, 50%, 10:30:05, +30s or a time", text::cut(&text::plain(text), 30))
}

/// `30s`, `1.5m`, `200ms` in microseconds; a bare number is seconds.
fn length(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let scale = match unit {
        "ms" => 1e3,
        "s" | "" => 1e6,
        "m" | "min" => 60e6,
        "h" => 3_600e6,
        "d" => 86_400e6,
        _ => return None,
    };
    (0.0..1e12).contains(&number).then_some((number * scale) as i64)
}

fn time(text: &str, here: Timestamp) -> Option<Timestamp> {
    if let Ok(ts) = text.parse() {
        return Some(ts);
    }
    let day = text::day(here);
    let seconds = if text.matches(':').count() == 1 { ":00" } else { "" };
    format!("{day}T{text}{seconds}Z").parse().ok()
}

/// Reads a filter for the lists: `type:diff.*`, `service:api`, `failed`; all other words are searched for as
/// text.
pub fn filter(text: &str) -> Filter {
    let mut filter = Filter::default();
    let mut rest = Vec::new();
    for word in text.split_whitespace() {
        match word.split_once(':') {
            Some(("type" | "t", types)) if !types.is_empty() => filter.types = Some(types.to_owned()),
            Some(("service" | "s", name)) if !name.is_empty() => filter.service = Some(name.to_owned()),
            _ if word == "failed" => filter.failures = true,
            _ => rest.push(word),
        }
    }
    filter.text = (!rest.is_empty()).then(|| rest.join(" "));
    filter
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn timeline() -> Timeline {
        let line = |seq: u64| {
            format!(
                "{{\"seq\":{seq},\"ts\":\"2026-11-20T10:30:{:02}Z\",\"type\":\"service.log\",\"service\":\"a\"}}\n",
                seq % 60
            )
        };
        let bytes: Vec<u8> = (1..=40).filter(|seq| *seq != 20).map(line).collect::<String>().into();
        let mut timeline = Timeline::new(Arc::new(bytes.clone()), "x");
        timeline.index(bytes.len() as u64, true).unwrap();
        timeline
    }

    #[test]
    fn a_place_is_a_seq_a_share_a_time_or_a_step_in_time() {
        let timeline = timeline();
        for (text, n) in [
            ("1", 1),
            ("#19", 19),
            ("20", 19),
            ("40", 39),
            ("50%", 19),
            ("100%", 39),
            ("10:30:05", 5),
            ("2026-11-20T10:30:05Z", 5),
            ("2026-11-20T11:30:05+01:00", 5),
            ("+3s", 8),
            ("-3", 2),
            ("+1h", 39),
            ("-1d", 0),
        ] {
            assert_eq!(place(text, &timeline, 5), Ok(n), "{text}");
        }
        for bad in ["", "x", "0", "41", "101%", "-", "+x", "25:99", "99999999999999999999", "\u{1b}[2J"] {
            let why = place(bad, &timeline, 5).unwrap_err();
            assert!(!why.contains('\u{1b}'), "{why:?}");
        }
    }

    #[test]
    fn words_with_a_key_filter_by_the_index_and_the_others_are_a_text() {
        let wanted = filter("type:diff.* s:api failed connection refused");
        assert_eq!(wanted.types.as_deref(), Some("diff.*"));
        assert_eq!(wanted.service.as_deref(), Some("api"));
        assert!(wanted.failures);
        assert_eq!(wanted.text.as_deref(), Some("connection refused"));
        assert_eq!(filter("  "), Filter::default());
    }
}
