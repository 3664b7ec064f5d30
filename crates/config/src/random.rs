//! Texts that only a generator makes: keys, tokens and ids, told apart from words.

/// Returns true if the body of a token mixes letters and digits, unlike words or one repeated sign.
pub(crate) fn is_random(body: &str) -> bool {
    let (mut upper, mut lower, mut digits, mut kinds) = (0, 0, 0, [false; 256]);
    for byte in body.bytes() {
        kinds[usize::from(byte)] = true;
        upper += usize::from(byte.is_ascii_uppercase());
        lower += usize::from(byte.is_ascii_lowercase());
        digits += usize::from(byte.is_ascii_digit());
    }
    let different = kinds.iter().filter(|seen| **seen).count();
    // `xxxxxxxx` and `XXXX-XXXX` stand where a token will.
    different >= 4 && (digits > 0 || (upper > 1 && lower > 1))
}

/// Returns the Shannon entropy of a text, in bits per character.
pub(crate) fn entropy(text: &str) -> f64 {
    let mut counts = [0u32; 256];
    text.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
    let total = text.len().max(1) as f64;
    let share = |&count: &u32| f64::from(count) / total;
    counts.iter().filter(|count| **count > 0).map(|count| -share(count) * share(count).log2()).sum()
}

/// Returns true if the value looks machine-generated: long, without blanks, of letters and digits in no
/// order.
pub(crate) fn is_high_entropy(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"+/=_-.~!@#$%^&*".contains(&b);
    if !(16..=4096).contains(&text.len()) || !text.bytes().all(fine) || is_uuid(text) {
        return false;
    }
    let has = |class: fn(&u8) -> bool| usize::from(text.bytes().any(|b| class(&b)));
    let classes = has(u8::is_ascii_uppercase) + has(u8::is_ascii_lowercase) + has(u8::is_ascii_digit);
    let separated = text.split(['-', '_', '.', '/']).filter(|part| !part.is_empty());
    // `my-service-account-2` and `registry.example.com/team/app` are words, not noise.
    let words = separated.clone().all(|part| {
        part.len() <= 12
            && (part.bytes().all(|b| b.is_ascii_alphabetic()) || part.bytes().all(|b| b.is_ascii_digit()))
    });
    if words && separated.count() > 1 {
        return false;
    }
    let is_hex = text.bytes().all(|b| b.is_ascii_hexdigit());
    match is_hex {
        true => text.len() >= 32 && entropy(text) >= 3.0,
        false => classes == 3 && entropy(text) >= 3.5,
    }
}

/// Returns true if the key looks machine-generated: letters and digits in turns, unlike `oauth2ClientSecret`.
/// Hex counts from 32 digits on. UUIDs and ULIDs do not count: they are ids more often than secrets.
pub(crate) fn is_random_key(key: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"+/=_-.~".contains(&b);
    if !(16..=4096).contains(&key.len()) || !key.bytes().all(fine) || is_uuid(key) || is_ulid(key) {
        return false;
    }
    let longest = key.split(|c: char| !c.is_ascii_alphanumeric()).max_by_key(|part| part.len());
    let part = longest.unwrap_or_default();
    if part.bytes().all(|b| b.is_ascii_hexdigit()) {
        return part.len() >= 32 && entropy(part) >= 3.0;
    }
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    // A name has few pieces for its length, words and the digits between them; the longer it is, the surer.
    let class = |b: u8| (b.is_ascii_digit(), b.is_ascii_uppercase());
    let begins_piece = |pair: &[u8]| {
        let capitalised = pair[0].is_ascii_uppercase() && pair[1].is_ascii_lowercase();
        class(pair[0]) != class(pair[1]) && !capitalised
    };
    let pieces = 1 + part.as_bytes().windows(2).filter(|pair| begins_piece(pair)).count();
    part.len() >= 16
        && digits >= 2
        && part.len() * 100 <= pieces * (212 + 3 * part.len().min(40))
        && entropy(part) >= 3.2
}

/// `01ARZ3NDEKTSV4RRFFQ69G5FAV`
fn is_ulid(text: &str) -> bool {
    let in_ulid = |b: u8| b.is_ascii_digit() || (b.is_ascii_uppercase() && !b"ILOU".contains(&b));
    text.len() == 26 && text.starts_with(|c| matches!(c, '0'..='7')) && text.bytes().all(in_ulid)
}

/// `123e4567-e89b-12d3-a456-426614174000`
pub(crate) fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    text.len() == 36
        && parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_hexdigit()))
}
