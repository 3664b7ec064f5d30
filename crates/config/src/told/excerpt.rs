//! Excerpts of long lines, around each place where two of them differ.

use std::fmt;
use std::ops::Range;

use serde_json::Value;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::SHORT;
use crate::redact::{RIGGING, is_redacted};

/// Number of characters that an excerpt shows on each side of a difference, or some more up to the end of a word.
const CONTEXT: usize = 24;

/// Maximum number of characters of one difference that are shown.
const LONGEST: usize = 160;

/// Maximum number of characters of an excerpt; a difference that begins later is counted.
const MOST: usize = 480;

/// Maximum number of words that are compared one by one.
const MOST_WORDS: usize = 4_000;

/// A piece of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Text that both values have, or that is not compared.
    Same(String),
    /// Text that the other value does not have.
    Changed(String),
    /// Characters that are left out.
    Left(u64),
    /// A secret's marker, whole.
    Secret(Value),
}

/// A value, or what is shown of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pieces(pub Vec<Piece>);

/// The words alone: `"… -Xmx1g"`.
impl fmt::Display for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Same(text) | Piece::Changed(text) => f.write_str(text),
            Piece::Left(_) => f.write_str(&piece.left().unwrap_or_default()),
            Piece::Secret(value) => write!(f, "{value}"),
        })
    }
}

impl Piece {
    /// Returns what stands for text that is left out: an ellipsis, with the number of characters where they are many.
    pub fn left(&self) -> Option<String> {
        match self {
            Piece::Left(n) if *n > 200 => Some(format!("…({} characters)…", thousands(*n))),
            Piece::Left(_) => Some("…".to_owned()),
            _ => None,
        }
    }
}

fn thousands(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        _ => format!("{},{:03}", n / 1_000, n % 1_000),
    }
}

/// Returns a value on one line, cut where it is long.
pub(super) fn whole(value: &Value) -> Pieces {
    if is_redacted(value) && value.is_object() {
        return Pieces(vec![Piece::Secret(value.clone())]);
    }
    let text = value.to_string();
    let mut pieces = Vec::new();
    cut(&text, &words(&text), LONGEST, |text| Piece::Same(text.to_owned()), &mut pieces);
    Pieces(pieces)
}

/// Returns two values on one line each: short ones as they are, of long strings what differs.
pub(super) fn values(before: &Value, after: &Value) -> (Pieces, Pieces) {
    match (before, after) {
        (Value::String(old), Value::String(new)) if is_long(old) || is_long(new) => {
            let (old, new) = differing(old, new, MOST);
            let quoted = |pieces: Pieces| {
                let quote = || Piece::Same("\"".to_owned());
                Pieces([vec![quote()], pieces.0, vec![quote()]].concat())
            };
            (quoted(old), quoted(new))
        }
        _ => (whole(before), whole(after)),
    }
}

/// Returns what differs in two values where there is room for one line: of a string with several lines, of the first
/// that differs.
pub fn inline(before: &Value, after: &Value) -> (Pieces, Pieces) {
    let (Value::String(old), Value::String(new)) = (before, after) else { return values(before, after) };
    if !(old.contains('\n') || new.contains('\n')) {
        return values(before, after);
    }
    let same = old.lines().zip(new.lines()).take_while(|(old, new)| old == new).count();
    let (a, b) = (old.lines().nth(same).unwrap_or_default(), new.lines().nth(same).unwrap_or_default());
    let (a, b) = differing(a, b, SHORT);
    let behind = |pieces: Pieces| {
        let line = Piece::Same(format!("line {}: ", same + 1));
        Pieces([vec![line], pieces.0].concat())
    };
    (behind(a), behind(b))
}

fn is_long(text: &str) -> bool {
    text.chars().nth(SHORT).is_some()
}

/// Excerpts of two lines that are not the same.
pub(super) fn differing(old: &str, new: &str, most: usize) -> (Pieces, Pieces) {
    let (olds, news) = (words(old), words(new));
    let changed = changed(old, new, &olds, &news);
    let (a, b): (Vec<_>, Vec<_>) = changed.into_iter().unzip();
    (excerpt(old, &olds, &a, most), excerpt(new, &news, &b, most))
}

/// Returns the places where two lines differ, as pairs of ranges of words; one pair where they have little in common.
pub(super) fn changed(
    old: &str,
    new: &str,
    olds: &[Range<usize>],
    news: &[Range<usize>],
) -> Vec<(Range<usize>, Range<usize>)> {
    fn texts<'a>(text: &'a str, words: &[Range<usize>]) -> Vec<&'a str> {
        words.iter().map(|word| &text[word.clone()]).collect()
    }
    let (a, b) = (texts(old, olds), texts(new, news));
    let start = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (a_rest, b_rest) = (&a[start..], &b[start..]);
    let end = a_rest.iter().rev().zip(b_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a_end, b_end) = (a.len() - end, b.len() - end);
    let whole = vec![(start..a_end, start..b_end)];
    let (a, b) = (&a[start..a_end], &b[start..b_end]);
    if a.len().max(b.len()) > MOST_WORDS {
        return whole;
    }
    let mut changed: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    let mut same = 0;
    for op in capture_diff_slices(Algorithm::Myers, a, b) {
        let (x, y) = (op.old_range(), op.new_range());
        if matches!(op, DiffOp::Equal { .. }) {
            same += a[x].iter().map(|word| word.trim().len()).sum::<usize>();
            continue;
        }
        let (x, y) = (x.start + start..x.end + start, y.start + start..y.end + start);
        match changed.last_mut() {
            // One blank or sign between two differences is no more than an accident.
            Some((p, q)) if x.start <= p.end + 1 && y.start <= q.end + 1 => (p.end, q.end) = (x.end, y.end),
            _ => changed.push((x, y)),
        }
    }
    let length = |words: &[&str]| words.iter().map(|word| word.trim().len()).sum::<usize>();
    if same * 3 >= length(a).min(length(b)) { changed } else { whole }
}

/// The changed words with some others around them, and what is left out between.
fn excerpt(text: &str, words: &[Range<usize>], changed: &[Range<usize>], most: usize) -> Pieces {
    let length = |range: Range<usize>| -> usize {
        words[range].iter().map(|word| text[word.clone()].chars().count()).sum()
    };
    let span = |range: &Range<usize>| match words.get(range.clone()) {
        Some([first, .., last]) => first.start..last.end,
        Some([only]) => only.clone(),
        _ => 0..0,
    };
    let mut pieces = Vec::new();
    let (mut shown, mut at) = (0, 0);
    for (n, range) in changed.iter().enumerate() {
        if shown >= most {
            pieces.push(Piece::Left(length(at..words.len()) as u64));
            return Pieces(pieces);
        }
        // Back over as many words as there is room for, or to what is shown already.
        let (mut from, mut room) = (range.start, CONTEXT);
        while from > at && room > 0 {
            from -= 1;
            room = room.saturating_sub(length(from..from + 1));
        }
        if length(at..from) <= 3 {
            from = at;
        }
        if from > at {
            pieces.push(Piece::Left(length(at..from) as u64));
        }
        if from < range.start {
            pieces.push(Piece::Same(escaped(&text[span(&(from..range.start))])));
        }
        if !range.is_empty() {
            let inside = &words[range.clone()];
            cut(text, inside, LONGEST, |text| Piece::Changed(escaped(text)), &mut pieces);
        }
        let next = changed.get(n + 1).map_or(words.len(), |next| next.start);
        let (mut to, mut room) = (range.end, CONTEXT);
        while to < next && room > 0 {
            room = room.saturating_sub(length(to..to + 1));
            to += 1;
        }
        if length(to..words.len()) <= 3 {
            to = words.len().min(next.max(to));
        }
        if to > range.end {
            pieces.push(Piece::Same(escaped(&text[span(&(range.end..to))])));
        }
        shown += length(from..to).min(LONGEST + 2 * CONTEXT);
        at = to;
    }
    if at < words.len() {
        pieces.push(Piece::Left(length(at..words.len()) as u64));
    }
    Pieces(pieces)
}

/// Words, less those in the middle where they are long: the beginning, and something of the end.
pub(super) fn cut(
    text: &str,
    words: &[Range<usize>],
    most: usize,
    piece: impl Fn(&str) -> Piece,
    into: &mut Vec<Piece>,
) {
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return };
    let all = &text[first.start..last.end];
    let length = all.chars().count();
    // Cut by characters where words are that long: nothing but a marker must stay whole.
    let markers: Vec<Range<usize>> =
        words.iter().filter(|word| marker(&text[(*word).clone()]).is_some()).cloned().collect();
    let whole = |at: usize, back: bool| {
        let inside = markers.iter().find(|marker| marker.start < at && at < marker.end);
        inside.map_or(at, |marker| if back { marker.end } else { marker.start })
    };
    let place = |n: usize| first.start + all.char_indices().nth(n).map_or(all.len(), |(at, _)| at);
    if length <= most {
        into.push(piece(all));
        return;
    }
    let head = whole(place(most / 2), true);
    let tail = whole(place(length - most / 6), false).max(head);
    into.push(piece(&text[first.start..head]));
    if head < tail {
        into.push(Piece::Left(text[head..tail].chars().count() as u64));
    }
    into.push(piece(&text[tail..last.end]));
}

/// A string as JSON spells it, without the quotes.
pub(super) fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The length of a secret's marker that a text begins with.
fn marker(text: &str) -> Option<usize> {
    if text.starts_with(RIGGING) {
        return Some(RIGGING.len());
    }
    text.starts_with("<redacted:").then(|| text.find('>').map_or(text.len(), |end| end + 1))
}

/// Words, runs of white space, every other character alone; and a secret's marker as one word.
pub(super) fn words(text: &str) -> Vec<Range<usize>> {
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => 1,
        c if c.is_whitespace() => 2,
        _ => 3,
    };
    let mut words = Vec::new();
    let (mut start, mut before, mut behind_marker) = (0, 0, 0);
    for (at, c) in text.char_indices() {
        if at < behind_marker {
            continue;
        }
        let this = kind(c);
        if at > start && (this != before || this == 3) {
            words.push(start..at);
            start = at;
        }
        before = this;
        if let Some(length) = marker(&text[at..]) {
            behind_marker = at + length;
            // It begins a word of its own.
            before = 3;
        }
    }
    if start < text.len() {
        words.push(start..text.len());
    }
    words
}
