//! Lines of texts that differ, with some around them and the words that differ marked.

use super::excerpt::{Piece, Pieces, changed, cut, differing as differing_in, words};
use crate::lines::inclusive;
use crate::text::text_diff;

/// Longest line that is shown whole, in bytes.
const LONG: usize = 1_000;

/// A line of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// ` ` for one that both have, `-` and `+`, `@` for lines that are left out, `\` for a note.
    pub sign: char,
    /// Its content, as it stands and without escapes.
    pub pieces: Pieces,
}

impl Line {
    fn plain(sign: char, text: &str) -> Line {
        let mut pieces = Vec::new();
        if text.len() > LONG {
            cut(text, &words(text), LONG, |text| Piece::Same(text.to_owned()), &mut pieces);
        } else {
            pieces.push(Piece::Same(text.to_owned()));
        }
        Line { sign, pieces: Pieces(pieces) }
    }
}

/// Every line of a text that only one side has.
pub(super) fn all(text: &str, sign: char) -> Vec<Line> {
    inclusive(text).map(|line| Line::plain(sign, line.strip_suffix('\n').unwrap_or(line))).collect()
}

/// The lines that differ.
pub(super) fn differing(old: &str, new: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut before = 1;
    for hunk in text_diff(old, new).hunks {
        if hunk.old_start > before {
            let left = hunk.old_start - before;
            if before > 1 {
                let plural = if left == 1 { "" } else { "s" };
                lines.push(Line::plain('@', &format!("{left} line{plural}")));
            }
        }
        before = hunk.old_start + hunk.old_lines;
        let mut at = 0;
        while at < hunk.lines.len() {
            let run = |from: usize, sign: char| {
                hunk.lines[from..].iter().take_while(|line| line.starts_with(sign)).count()
            };
            let removed = run(at, '-');
            let added = run(at + removed, '+');
            if removed + added == 0 {
                let line = &hunk.lines[at];
                lines
                    .push(Line::plain(line.chars().next().unwrap_or(' '), line.get(1..).unwrap_or_default()));
                at += 1;
                continue;
            }
            let (olds, news) =
                (&hunk.lines[at..at + removed], &hunk.lines[at + removed..at + removed + added]);
            let pairs: Vec<(Pieces, Pieces)> =
                olds.iter().zip(news).map(|(old, new)| marked(&old[1..], &new[1..])).collect();
            let (a, b): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            for (sign, side, marked) in [('-', olds, a), ('+', news, b)] {
                let rest =
                    side[marked.len()..].iter().map(|line| Line::plain(sign, &line[1..])).collect::<Vec<_>>();
                lines.extend(marked.into_iter().map(|pieces| Line { sign, pieces }));
                lines.extend(rest);
            }
            at += removed + added;
        }
    }
    lines
}

/// Two whole lines with what differs marked; nothing is marked where all does. Very long ones are excerpts.
fn marked(old: &str, new: &str) -> (Pieces, Pieces) {
    if old.len().max(new.len()) > LONG {
        return differing_in(old, new, LONG);
    }
    let (olds, news) = (words(old), words(new));
    let changed = changed(old, new, &olds, &news);
    let (a, b): (Vec<_>, Vec<_>) = changed.into_iter().unzip();
    let side = |text: &str, words: &[std::ops::Range<usize>], changed: &[std::ops::Range<usize>]| {
        if changed.iter().any(|range| range.len() == words.len()) {
            return Pieces(vec![Piece::Same(text.to_owned())]);
        }
        let start = |word: usize| words.get(word).map_or(text.len(), |word| word.start);
        let (mut pieces, mut at) = (Vec::new(), 0);
        for range in changed.iter().filter(|range| !range.is_empty()) {
            let (from, to) = (start(range.start), start(range.end));
            if at < from {
                pieces.push(Piece::Same(text[at..from].to_owned()));
            }
            pieces.push(Piece::Changed(text[from..to].to_owned()));
            at = to;
        }
        if at < text.len() {
            pieces.push(Piece::Same(text[at..].to_owned()));
        }
        Pieces(pieces)
    };
    (side(old, &olds, &a), side(new, &news, &b))
}
