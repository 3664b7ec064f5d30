//! The corpus of fixtures/secrets: none of its secrets comes out, and false alarms are counted and shown.

use std::path::PathBuf;

use rig_config::{Format, Limits, Policy, RedactionKey, Redactor, parse};
use serde_json::Value;

/// More than so many false alarms among the look-alikes are a step back. docs/redaction.md says which they are.
const FALSE_ALARMS: usize = 12;

/// One case: its text, and what in it must not come out.
pub struct Case {
    pub format: String,
    pub text: String,
    pub secrets: Vec<String>,
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
                cases.push(Case { format: format.to_owned(), text: text.to_owned(), secrets: vec![], line });
            }
        }
    }
    for (seed, case) in (1u64..).zip(&mut cases) {
        let text = expand(&case.text, seed);
        let pieces: Vec<&str> = text.split(['⟦', '⟧']).collect();
        case.secrets = pieces.iter().skip(1).step_by(2).map(|secret| (*secret).to_owned()).collect();
        case.text = pieces.concat();
    }
    cases
}

/// Puts the invented bodies in, and takes the joints out.
fn expand(text: &str, seed: u64) -> String {
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

/// Whether a secret, or eight characters of it in a row, stands in a text. Words of the secret that the case has outside of
/// it too prove nothing.
pub fn leaks(output: &str, secret: &str) -> bool {
    let chars: Vec<char> = secret.chars().collect();
    if chars.len() < 8 {
        return output.contains(secret);
    }
    chars.windows(8).any(|window| output.contains(&window.iter().collect::<String>()))
}

fn redactor() -> Redactor {
    Redactor::new(RedactionKey::new("k1", [7; 32]).unwrap(), &Policy::default())
}

/// What is left of a case as a hub would keep it, and how many secrets were found.
fn redacted(case: &Case) -> (String, usize) {
    let redactor = redactor();
    if case.format == "event" {
        let mut event: Value =
            serde_json::from_str(&case.text).unwrap_or_else(|e| panic!("{}: {e}", case.line));
        let mut found = 0;
        let fields = std::mem::take(event.as_object_mut().unwrap());
        let mut out = String::new();
        for (mut name, mut value) in fields {
            found += redactor.redact_event(&mut name, &mut value).len();
            out += &format!("{name} {value}\n");
        }
        return (out, found);
    }
    let format: Format = case.format.parse().unwrap();
    let parsed = parse(case.text.as_bytes(), format, &Policy::default(), &Limits::default());
    let mut doc = parsed.unwrap_or_else(|e| panic!("line {}: {e}", case.line));
    let found = redactor.redact(&mut doc);
    let out = doc.config.iter().map(|(path, value)| {
        format!("{path} {}\n", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    });
    (out.collect(), found)
}

/// The lines of the cases of which something comes out.
fn missed(name: &str) -> (usize, Vec<String>) {
    let cases = read(name);
    let lines = cases.iter().filter_map(|case| {
        let (out, _) = redacted(case);
        let leaked: Vec<&String> = case.secrets.iter().filter(|secret| leaks(&out, secret)).collect();
        (!leaked.is_empty()).then(|| format!("line {}: {leaked:?} in {out}", case.line))
    });
    (cases.iter().map(|case| case.secrets.len()).sum(), lines.collect())
}

#[test]
fn no_secret_of_the_corpus_comes_out() {
    let (secrets, missed) = missed("secrets.corpus");
    assert!(secrets >= 150, "{secrets}");
    assert!(missed.is_empty(), "{} leak:\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn false_alarms_are_few_and_shown() {
    let cases = read("lookalikes.corpus");
    assert!(cases.len() >= 150, "{}", cases.len());
    let mut table = Vec::new();
    let mut kinds = std::collections::BTreeMap::<String, (usize, usize)>::new();
    for case in &cases {
        let (out, found) = redacted(case);
        let (all, wrong) = kinds.entry(case.format.clone()).or_default();
        *all += 1;
        *wrong += usize::from(found > 0);
        if found > 0 {
            table.push(format!("  line {}: {}\n    {}", case.line, case.text, out.trim()));
        }
    }
    println!("format      look-alikes  false alarms");
    for (format, (all, wrong)) in &kinds {
        println!("{format:<11} {all:>11}  {wrong:>12}");
    }
    println!("{:<11} {:>11}  {:>12}", "all", cases.len(), table.len());
    println!("{}", table.join("\n"));
    assert!(table.len() <= FALSE_ALARMS, "{} false alarms", table.len());
}

#[test]
fn a_second_pass_finds_nothing() {
    let redactor = redactor();
    for case in read("secrets.corpus").iter().filter(|case| case.format != "event") {
        let format: Format = case.format.parse().unwrap();
        let mut doc = parse(case.text.as_bytes(), format, &Policy::default(), &Limits::default()).unwrap();
        redactor.redact(&mut doc);
        let once = doc.config.clone();
        assert_eq!((redactor.redact(&mut doc), &doc.config), (0, &once), "line {}", case.line);
    }
}
