//! Words of a line: what stands between blanks, and what stands in quotes.

use std::ops::Range;

/// A word of a line, as ranges of the whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// As it stands.
    pub(crate) outer: Range<usize>,
    /// Without the punctuation at its end, and without the quotes around it.
    pub(crate) inner: Range<usize>,
}

/// Returns the words of a line. A string in quotes is one word, or belongs to the word whose sign (`name="a b"`) it follows. Blanks and a
/// backslash at the end of a line separate words like other blanks.
pub(crate) fn words(text: &str, line: Range<usize>) -> Vec<Word> {
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let mut at = line.start;
    // Signs that do not close in this line, wherever they open.
    let mut unclosed: Vec<u8> = Vec::new();
    while at < line.end {
        if is_blank(bytes, at, line.end) {
            at += 1;
            continue;
        }
        let start = at;
        while at < line.end && !is_blank(bytes, at, line.end) {
            let begins =
                at == start || matches!(bytes[at - 1], b'=' | b':' | b'(' | b'[' | b'{' | b',' | b'>' | b'<');
            if begins && matches!(bytes[at], b'"' | b'\'' | b'`') && !unclosed.contains(&bytes[at]) {
                match closing(&text[at + 1..line.end], char::from(bytes[at])) {
                    Some(length) => {
                        at += length + 2;
                        continue;
                    }
                    None => unclosed.push(bytes[at]),
                }
            }
            at += 1;
        }
        words.push(Word { outer: start..at, inner: inner(text, start..at) });
    }
    words
}

/// Returns true for a blank, and for a backslash that continues a line.
fn is_blank(bytes: &[u8], at: usize, end: usize) -> bool {
    bytes[at].is_ascii_whitespace()
        || (bytes[at] == b'\\' && at + 1 < end && bytes[at + 1] == b'\n')
        || (bytes[at] == b'\\' && at + 1 == end)
}

/// Returns a word without the punctuation at its end, and without the quotes around it.
fn inner(text: &str, word: Range<usize>) -> Range<usize> {
    let bytes = text.as_bytes();
    let Range { mut start, mut end } = word;
    while end - start > 1 && matches!(bytes[end - 1], b';' | b',' | b'{') {
        end -= 1;
    }
    let quote = bytes[start];
    if end - start >= 2
        && matches!(quote, b'"' | b'\'' | b'`')
        && let Some(length) = closing(&text[start + 1..end], char::from(quote))
        && text[start + length + 2..end].bytes().all(|b| b");,]}".contains(&b))
    {
        (start, end) = (start + 1, start + 1 + length);
    }
    start..end
}

/// Returns where the quote closes that was opened before this text. A backslash escapes what follows it, but for what stands in
/// single quotes.
pub(crate) fn closing(text: &str, quote: char) -> Option<usize> {
    let bytes = text.as_bytes();
    let quote = quote as u8;
    let mut at = 0;
    loop {
        at += memchr::memchr2(quote, b'\\', &bytes[at..])?;
        if bytes[at] == quote {
            return Some(at);
        }
        at += if quote == b'"' { 2 } else { 1 };
        if at > bytes.len() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_in_quotes_are_one_word() {
        for (text, expected) in [
            (" a  b;", vec![("a", "a"), ("b;", "b")]),
            ("x \"a b\";", vec![("x", "x"), ("\"a b\";", "a b")]),
            ("name=\"a b\" c", vec![("name=\"a b\"", "name=\"a b\""), ("c", "c")]),
            ("don't it's", vec![("don't", "don't"), ("it's", "it's")]),
            ("'a b", vec![("'a", "'a"), ("b", "b")]),
            (r#""a\" b" c"#, vec![(r#""a\" b""#, r#"a\" b"#), ("c", "c")]),
            ("a \\\n  b", vec![("a", "a"), ("b", "b")]),
            ("\"", vec![("\"", "\"")]),
            ("{ ;", vec![("{", "{"), (";", ";")]),
        ] {
            let found = words(text, 0..text.len());
            let found: Vec<_> = found.into_iter().map(|w| (&text[w.outer], &text[w.inner])).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
