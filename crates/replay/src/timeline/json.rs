//! A strict walk over one JSON object that allocates nothing: every byte is checked, only what is asked for is looked at.
//!
//! It understands less than serde_json, never more: keys and wanted strings without escapes, no deep nesting. Where it answers
//! `None`, the line may still be fine, and serde_json decides. What it takes, serde_json takes too (a property in the tests).

/// How deep a value may nest before serde_json has to decide.
const DEEPEST: u32 = 64;

/// A string as it stands between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    /// The bytes, escapes and all.
    pub raw: &'a [u8],
    /// Whether there are escapes among them.
    pub escaped: bool,
}

/// A place in a line.
pub(crate) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    /// At the beginning of `bytes`, which must be UTF-8.
    pub fn new(bytes: &'a [u8]) -> Self {
        Walk { bytes, at: 0 }
    }

    /// The whole of the bytes as one object; `field` is called with each key and must pass over its value.
    #[inline]
    pub fn whole(mut self, field: impl FnMut(&mut Walk<'a>, &'a [u8]) -> Option<()>) -> Option<()> {
        self.space();
        self.object(field)?;
        self.space();
        (self.at == self.bytes.len()).then_some(())
    }

    /// An object at this place.
    #[inline]
    pub fn object(&mut self, mut field: impl FnMut(&mut Walk<'a>, &'a [u8]) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        self.space();
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let key = self.text()?;
            if key.escaped {
                return None;
            }
            self.space();
            self.expect(b':')?;
            self.space();
            field(self, key.raw)?;
            self.space();
            match self.peek()? {
                b',' => {
                    self.at += 1;
                    self.space();
                }
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// A string at this place.
    #[inline]
    pub fn text(&mut self) -> Option<Text<'a>> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            // Eight bytes at once as long as none of them is a quote, a backslash or a control character.
            while let Some(eight) = self.bytes.get(self.at..self.at + 8) {
                let eight = u64::from_le_bytes(eight.try_into().ok()?);
                let found = special(eight);
                if found != 0 {
                    self.at += (found.trailing_zeros() / 8) as usize;
                    break;
                }
                self.at += 8;
            }
            match self.peek()? {
                b'"' => {
                    let raw = &self.bytes[start..self.at];
                    self.at += 1;
                    return Some(Text { raw, escaped });
                }
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                0..=0x1f => return None,
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.bytes.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                let digits = self.bytes.get(self.at + 2..self.at + 6)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                self.at += 6;
            }
            _ => return None,
        }
        Some(())
    }

    /// A string without escapes.
    #[inline]
    pub fn plain(&mut self) -> Option<&'a [u8]> {
        let text = self.text()?;
        (!text.escaped).then_some(text.raw)
    }

    /// `null`, if it stands here.
    #[inline]
    pub fn null(&mut self) -> bool {
        let found = self.bytes[self.at..].starts_with(b"null");
        if found {
            self.at += 4;
        }
        found
    }

    /// A whole number without sign, fraction or exponent.
    #[inline]
    pub fn integer(&mut self) -> Option<u64> {
        let start = self.at;
        let mut value: u64 = 0;
        while let Some(digit) = self.bytes.get(self.at).filter(|b| b.is_ascii_digit()) {
            value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            self.at += 1;
        }
        let digits = &self.bytes[start..self.at];
        let odd = digits.is_empty()
            || (digits.len() > 1 && digits[0] == b'0')
            || matches!(self.bytes.get(self.at), Some(b'.' | b'e' | b'E'));
        (!odd).then_some(value)
    }

    /// A number, as it is spelled.
    #[inline]
    pub fn number(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        if self.peek()? == b'-' {
            self.at += 1;
        }
        if self.digits() == 0 {
            return None;
        }
        let first = start + usize::from(self.bytes[start] == b'-');
        if self.bytes[first] == b'0' && self.at > first + 1 {
            return None;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return None;
            }
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
        }
        Some(&self.bytes[start..self.at])
    }

    #[inline]
    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at - start
    }

    /// Passes over a value, and gives it as it stands.
    #[inline]
    pub fn value(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        self.skip()?;
        Some(&self.bytes[start..self.at])
    }

    /// Passes over a value.
    #[inline]
    pub fn skip(&mut self) -> Option<()> {
        self.skip_at(0)
    }

    fn skip_at(&mut self, depth: u32) -> Option<()> {
        match self.peek()? {
            b'"' => self.text().map(drop),
            b'{' if depth < DEEPEST => {
                self.at += 1;
                self.space();
                if self.peek()? == b'}' {
                    self.at += 1;
                    return Some(());
                }
                loop {
                    self.text()?;
                    self.space();
                    self.expect(b':')?;
                    self.space();
                    self.skip_at(depth + 1)?;
                    self.space();
                    if self.more(b'}')? {
                        return Some(());
                    }
                }
            }
            b'[' if depth < DEEPEST => {
                self.at += 1;
                self.space();
                if self.peek()? == b']' {
                    self.at += 1;
                    return Some(());
                }
                loop {
                    self.skip_at(depth + 1)?;
                    self.space();
                    if self.more(b']')? {
                        return Some(());
                    }
                }
            }
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number().map(drop),
        }
    }

    /// Whether the list ends here; after a comma it goes on.
    #[inline]
    fn more(&mut self, end: u8) -> Option<bool> {
        let found = self.peek()?;
        self.at += 1;
        if found == end {
            return Some(true);
        }
        if found != b',' {
            return None;
        }
        self.space();
        Some(false)
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let found = self.bytes[self.at..].starts_with(word);
        self.at += word.len();
        found.then_some(())
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }
}

/// The high bit of every byte that is a quote, a backslash or a control character; a byte after the first such one may be
/// marked without reason, so only the lowest counts.
#[inline]
fn special(eight: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let quote = zero(eight ^ (ONES * u64::from(b'"')));
    let backslash = zero(eight ^ (ONES * u64::from(b'\\')));
    let control = eight.wrapping_sub(ONES * 0x20) & !eight;
    (quote | backslash | control) & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine(line: &str) -> bool {
        Walk::new(line.as_bytes()).whole(|walk, _| walk.skip()).is_some()
    }

    #[test]
    fn what_is_json_is_taken_and_what_is_not_is_not() {
        for good in [
            "{}",
            " { } ",
            r#"{"a":1}"#,
            r#"{"a":-0.5e+3,"b":[true,false,null,{},[]],"c":"x\"\\\u00e9 lang genug"}"#,
            "{\"ä\" :\t[ 1 , 2 ] }",
        ] {
            assert!(fine(good), "{good}");
            assert!(serde_json::from_str::<serde_json::Value>(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "[]",
            "{",
            "{}x",
            r#"{"a"}"#,
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":-}"#,
            r#"{"a":1,}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":tru}"#,
            r#"{"a":"\x"}"#,
            "{\"a\":\"tab\there and more\"}",
            r#"{"a":"open}"#,
            r#"{a:1}"#,
        ] {
            assert!(!fine(bad), "{bad}");
            assert!(
                !bad.starts_with('{') || serde_json::from_str::<serde_json::Value>(bad).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_first_special_byte_of_eight_is_found() {
        for at in 0..8 {
            for special_byte in [b'"', b'\\', 0, 0x1f] {
                let mut eight = *b"abc\x80\xffx !";
                eight[at] = special_byte;
                let found = special(u64::from_le_bytes(eight));
                assert_eq!(found.trailing_zeros() / 8, at as u32, "{at} {special_byte}");
            }
        }
        assert_eq!(special(u64::from_le_bytes(*b"\x80\xff\x20!#[]\x7f")), 0);
    }
}
