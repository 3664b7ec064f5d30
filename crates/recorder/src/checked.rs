//! The checksum of a JSON file that is written as a whole, as its last member: `,"crc32c":"8a3f12cd"}`.
//!
//! It is the CRC-32C of every byte before it, so that nothing has to be parsed, or spelled in one way only, to check it. A file
//! without one was written by an earlier version, and is read.

/// The text before the digits.
const MEMBER: &[u8] = b",\"crc32c\":\"";

/// The number of digits.
const DIGITS: usize = 8;

/// The text behind the digits.
const END: &[u8] = b"\"}";

/// A file is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its checksum is not that of its content: it was changed since it was written")]
pub struct Changed;

/// Returns a JSON object with its checksum as its last member. `json` ends with the brace of an object that has members.
pub fn with_checksum(mut json: Vec<u8>) -> Vec<u8> {
    if json.pop_if(|last| *last == b'}').is_some() {
        let digits = digits(&json);
        json.extend([MEMBER, digits.as_bytes(), END].concat());
    }
    json
}

/// Checks a file that [`with_checksum`] made; returns false for one without a checksum.
///
/// # Errors
/// [`Changed`] when the checksum is another.
pub fn check(text: &[u8]) -> Result<bool, Changed> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let Some((content, member)) = text.split_last_chunk::<{ MEMBER.len() + DIGITS + END.len() }>() else {
        return Ok(false);
    };
    let found = member.strip_prefix(MEMBER).and_then(|rest| rest.strip_suffix(END));
    match found {
        None => Ok(false),
        Some(found) if found == digits(content).as_bytes() => Ok(true),
        Some(_) => Err(Changed),
    }
}

/// The text before the digits in a line.
const LINE: &[u8] = b"# crc32c ";

/// Returns a text with its checksum in a last line: for files in formats that pass over such a line, such as PEM.
pub fn with_line(text: String) -> String {
    let digits = digits(text.as_bytes());
    text + "# crc32c " + &digits + "\n"
}

/// Checks a text that [`with_line`] made. One without such a line passes.
///
/// # Errors
/// [`Changed`] when the checksum is another.
pub fn check_line(text: &[u8]) -> Result<(), Changed> {
    let Some(at) = memchr::memmem::rfind(text, LINE) else { return Ok(()) };
    let found = text[at + LINE.len()..].trim_ascii_end();
    if found == digits(&text[..at]).as_bytes() { Ok(()) } else { Err(Changed) }
}

fn digits(content: &[u8]) -> String {
    format!("{:08x}", crc32c::crc32c(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_is_told_or_leaves_the_content_as_it_was() {
        let json = br#"{"v":1,"stream":"main","first_seq":1802}"#;
        let mut text = with_checksum(json.to_vec());
        assert!(serde_json::from_slice::<serde_json::Value>(&text).is_ok());
        assert_eq!(check(&text), Ok(true));
        assert_eq!(check(json), Ok(false));
        text.push(b'\n');
        assert_eq!(check(&text), Ok(true));
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(checked) = check(&flipped) {
                assert!(!checked, "bit {bit}");
                assert_eq!(flipped[..json.len() - 1], json[..json.len() - 1], "bit {bit}");
            }
        }
    }
}
