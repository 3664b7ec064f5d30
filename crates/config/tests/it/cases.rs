//! The cases of fixtures/secrets, put together from their pieces.

use std::path::PathBuf;

/// One case: its text, and what in it must not come out.
pub struct Case {
    pub format: String,
    pub text: String,
    pub secrets: Vec<String>,
    /// The rest of it.
    #[allow(
        dead_code,
        reason = "the whole-program tests, which have this file too, send all cases to one hub"
    )]
    pub open: String,
    pub line: usize,
}

/// Reads a file of the corpus; how it is written stands at its top.
pub fn read(name: &str) -> Vec<Case> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/secrets").join(name);
    let text = std::fs::read_to_string(path).expect("the corpus");
    let mut cases = Vec::<Case>::new();
    for (line, content) in
        (1..).zip(text.lines()).filter(|(_, line)| !line.starts_with('#') && !line.is_empty())
    {
        match (content.strip_prefix("  "), cases.last_mut()) {
            (Some(more), Some(case)) => {
                case.text.push('\n');
                case.text.push_str(more);
            }
            _ => {
                let (format, text) = content.split_once(": ").expect("a format and a colon");
                cases.push(Case {
                    format: format.to_owned(),
                    text: text.to_owned(),
                    secrets: vec![],
                    open: String::new(),
                    line,
                });
            }
        }
    }
    for (seed, case) in (1u64..).zip(&mut cases) {
        let text = expand(&case.text, seed);
        let pieces: Vec<&str> = text.split(['⟦', '⟧']).collect();
        case.secrets = pieces.iter().skip(1).step_by(2).map(|secret| (*secret).to_owned()).collect();
        case.open = pieces.iter().step_by(2).copied().collect::<Vec<_>>().join("\n");
        case.text = pieces.concat();
    }
    cases
}

/// Puts the invented bodies in, and takes the joints out.
pub fn expand(text: &str, seed: u64) -> String {
    const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let body = after.split_once('%').and_then(|(body, after)| {
            let count: usize = body.get(1..)?.parse().ok()?;
            let letters: Vec<char> = match body.as_bytes()[0] {
                b'A' => ALNUM.chars().collect(),
                b'W' => ALNUM.chars().chain(['_', '-']).collect(),
                b'B' => ALNUM.chars().chain(['+', '/']).collect(),
                b'H' => "0123456789abcdef".chars().collect(),
                b'U' => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".chars().collect(),
                b'D' => "123456789".chars().collect(),
                b'L' => "abcdefghijklmnopqrstuvwxyz".chars().collect(),
                _ => return None,
            };
            Some((count, letters, after))
        });
        rest = match body {
            Some((count, letters, after)) => {
                out.extend((0..count).map(|_| letters[random(letters.len())]));
                after
            }
            None => {
                out.push('%');
                after
            }
        };
    }
    out.push_str(rest);
    out.replace('¦', "")
}

/// Returns true if the text contains a secret, or eight characters of it in a row that stand nowhere else in the case.
#[allow(
    dead_code,
    reason = "the whole-program tests, which have this file too, look for all secrets at once"
)]
pub fn leaks(output: &str, secret: &str, open: &str) -> bool {
    let chars: Vec<char> = secret.chars().collect();
    let pieces = chars.windows(chars.len().min(8)).map(|window| window.iter().collect::<String>());
    pieces.filter(|piece| !open.contains(piece)).any(|piece| output.contains(&piece))
}
