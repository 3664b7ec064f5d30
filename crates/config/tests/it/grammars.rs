//! Every row of the grammars is held against its examples: what is marked is hidden, and nothing else is.

use std::path::PathBuf;

use rig_config::{Format, Limits, Policy, RedactionKey, Redactor, parse};

use crate::cases::expand;

/// One example of a row.
struct Example {
    place: String,
    grammar: String,
    row: String,
    text: String,
}

/// Reads the examples below the rows of a grammar's file.
fn examples(name: &str, content: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let (mut grammar, mut row) = (String::new(), String::new());
    let mut goes_on = false;
    for (number, line) in (1..).zip(content.lines()) {
        if let Some(own) = line.strip_prefix("  ") {
            let (more, own) = match own.strip_prefix("| ") {
                Some(own) => (true, own),
                None => (own.starts_with("  "), own),
            };
            match examples.last_mut().filter(|_| goes_on && more) {
                Some(example) => example.text.push_str(&format!("\n{own}")),
                None => examples.push(Example {
                    place: format!("{name}:{number}"),
                    grammar: grammar.clone(),
                    row: row.clone(),
                    text: own.to_owned(),
                }),
            }
            goes_on = true;
            continue;
        }
        goes_on = false;
        match line.split_once(' ') {
            Some(("grammar", name)) => grammar = name.to_owned(),
            Some(("#" | "source" | "files" | "signs" | "signs!", _)) | None => {}
            Some(_) => row = line.to_owned(),
        }
    }
    examples
}

/// Replaces the markers in a redacted text by `⟦⟧`.
fn unmarked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<redacted:hmac:") {
        out.push_str(before);
        out.push_str("⟦⟧");
        rest = after.split_once('>').map_or("", |(_, rest)| rest);
    }
    out + rest
}

/// Returns a text with its marked secrets taken out, and without the marks.
fn split(text: &str) -> (String, String) {
    let pieces: Vec<&str> = text.split(['⟦', '⟧']).collect();
    let open: Vec<&str> = pieces.iter().step_by(2).copied().collect();
    (open.join("⟦⟧"), pieces.concat())
}

#[test]
fn every_row_hides_what_its_examples_mark_and_nothing_else() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/grammar");
    let redactor = Redactor::new(RedactionKey::new("k1", [7; 32]).unwrap(), &Policy::default());
    let mut wrong = Vec::new();
    let (mut all, mut secrets) = (0, 0);
    let mut grammars = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".grammar") {
            continue;
        }
        for example in examples(&name, &std::fs::read_to_string(&path).unwrap()) {
            all += 1;
            grammars.insert(example.grammar.clone());
            let (open, text) = split(&expand(&example.text, all));
            secrets += open.matches("⟦⟧").count();
            let mut document = parse(text.as_bytes(), Format::Text, &Limits::default()).unwrap();
            document.file = Some(example.grammar.clone());
            redactor.redact(&mut document);
            let redacted = unmarked(document.config["text"].as_str().unwrap());
            if redacted.trim_end() != open.trim_end() {
                wrong.push(format!(
                    "{} [{}] {}\n    want {open}\n    got  {redacted}",
                    example.place, example.grammar, example.row
                ));
            }
        }
    }
    println!("{all} examples, {secrets} secrets, {} grammars", grammars.len());
    wrong.sort();
    assert!(wrong.is_empty(), "{} of {all} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn nothing_comes_out_of_what_oxidized_removes() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/secrets/oxidized.toml");
    let models: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let models = models["model"].as_table().unwrap();
    let redactor = Redactor::new(RedactionKey::new("k1", [7; 32]).unwrap(), &Policy::default());
    let mut wrong = Vec::new();
    for (seed, (name, model)) in (1..).zip(models) {
        let (open, text) = split(&expand(model["text"].as_str().unwrap(), seed));
        let mut document = parse(text.as_bytes(), Format::Text, &Limits::default()).unwrap();
        redactor.redact(&mut document);
        let redacted = unmarked(document.config["text"].as_str().unwrap());
        if redacted.trim_end() != open.trim_end() {
            let lines = open.lines().zip(redacted.lines()).filter(|(want, got)| want != got);
            let lines: Vec<String> =
                lines.map(|(want, got)| format!("\n    want {want}\n    got  {got}")).collect();
            wrong.push(format!("{name}:{}", lines.concat()));
        }
    }
    assert!(models.len() >= 17, "{}", models.len());
    assert!(wrong.is_empty(), "{} of {} models:\n{}", wrong.len(), models.len(), wrong.join("\n"));
}

/// The outputs of real test runners, which lie beside the repository where the project is built.
#[test]
fn the_output_of_test_runners_stays_as_it_is() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/test-output");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("SKIPPED: {} is not there", folder.display());
        return;
    };
    let redactor = Redactor::new(RedactionKey::new("k1", [7; 32]).unwrap(), &Policy::default());
    let (mut lines, mut changed) = (0, Vec::new());
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.contains(".expect.") {
            continue;
        }
        for line in String::from_utf8_lossy(&std::fs::read(&path).unwrap()).lines() {
            lines += 1;
            let mut out = line.to_owned();
            redactor.redact_log(&mut out);
            if out != line {
                changed.push(format!("{name}: {line}\n    {out}"));
            }
        }
    }
    println!("{lines} lines");
    assert!(changed.is_empty(), "{} of {lines} lines changed:\n{}", changed.len(), changed.join("\n"));
}
