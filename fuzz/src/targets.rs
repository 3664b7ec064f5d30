//! Properties of the parsers for any input, one function a parser.

use std::sync::LazyLock;

use rig_config::normalise::normalise;
use rig_config::{
    Document, Encoding, Error, FlatConfig, Format, Limits, Path, Pattern, Policy, Reading, RedactionKey,
    Redactor, apply_hunks, parse, sections, text_diff,
};
use rig_event::{Body, Draft, Envelope, Head, rigd, session, spelled};

use crate::{nested, sse};

/// Looks at one input, and panics where something does not hold.
pub type Target = fn(&[u8]);

/// The targets by name. xtask has the same names, with where their first inputs come from.
pub const ALL: &[(&str, Target)] = &[
    ("json", |data| json(data)),
    ("jsonc", |data| drop(document(data, Format::Jsonc))),
    ("yaml", |data| drop(document(data, Format::Yaml))),
    ("toml", |data| drop(document(data, Format::Toml))),
    ("ini", ini),
    ("env", |data| drop(document(data, Format::Env))),
    ("properties", |data| drop(document(data, Format::Properties))),
    ("hcl", |data| drop(document(data, Format::Hcl))),
    ("xml", |data| drop(document(data, Format::Xml))),
    ("text", text),
    ("text-diff", lines),
    ("path", path),
    ("pattern", pattern),
    ("policy", policy),
    ("redact", redact),
    ("event", event),
    ("session", |data| drop(session::Line::parse(data))),
    ("rigd", rigd_line),
    ("sse", frames),
];

fn limits() -> Limits {
    Limits { bytes: 1 << 20, fields: 20_000, ..Limits::default() }
}

/// A document or an error; the fields of a document can be named and written down.
fn document(data: &[u8], format: Format) -> Result<Document, Error> {
    let result = parse(data, format, &limits());
    match &result {
        Ok(doc) => {
            assert!(doc.lines.keys().eq(doc.config.keys()));
            for path in doc.config.keys() {
                let parsed = Path::parse(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
                assert_eq!(&parsed.to_string(), path);
            }
            assert_eq!(read_back(&doc.config), doc.config);
        }
        Err(error) => assert!(!error.to_string().is_empty() && error.line() != Some(0)),
    }
    let _ = Format::detect(None, data);
    result
}

/// INI in the dialects that a name tells.
fn ini(data: &[u8]) {
    let _ = document(data, Format::Ini);
    for name in
        [".gitconfig", "a.service", "my.cnf", "krb5.conf", "inventory.ini", "php.ini", "setup.cfg", ".npmrc"]
    {
        let _ = Reading { name: Some(name), ..Reading::default() }.read(data, &limits());
    }
}

fn read_back(config: &FlatConfig) -> FlatConfig {
    let line = serde_json::to_string(config).unwrap_or_else(|error| panic!("{error}"));
    let mut text = serde_json::Deserializer::from_str(&line);
    spelled::config(&mut text).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// JSON is what `serde_json` says it is, and what is printed from the fields has the same fields.
fn json(data: &[u8]) {
    let theirs = serde_json::from_slice::<&serde_json::value::RawValue>(data).is_ok();
    match document(data, Format::Json) {
        Ok(doc) if doc.config.is_empty() => {}
        Ok(doc) => {
            // A byte order mark is no JSON, and taken all the same, and so is UTF-16.
            let is_marked = data.starts_with("\u{feff}".as_bytes()) || doc.encoding != Encoding::Utf8;
            assert!(theirs || is_marked, "serde_json refuses it");
            let printed = nested::print(&doc.config);
            let again = document(printed.as_bytes(), Format::Json).map(|doc| doc.config);
            assert_eq!(again, Ok(doc.config), "{printed}");
        }
        Err(error) => {
            let own = [
                "duplicate-key",
                "secret-in-key",
                "too-deep",
                "too-many-fields",
                "path-too-long",
                "too-large",
            ];
            // `serde_json` does not look into the escapes of what it passes over.
            let escapes = data.contains(&b'\\');
            assert!(!theirs || escapes || own.contains(&error.code()), "serde_json takes it: {error}");
        }
    }
}

fn text(data: &[u8]) {
    for format in [Format::Text, Format::Routeros, Format::Nginx] {
        let Ok(doc) = document(data, format) else { return };
        let again = normalise(doc.normalised.clone(), Format::Routeros);
        assert_eq!(normalise(again.clone(), Format::Routeros), again);
        let pieces: String = sections::sectioned(&doc.normalised).map(|(_, line)| line).collect();
        assert_eq!(pieces, doc.normalised);
    }
}

/// The two halves of an input, parted by its first NUL.
fn halves(data: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(data).ok()?;
    Some(text.split_once('\0').unwrap_or((text, "")))
}

/// Hunks make the second text of the first.
fn lines(data: &[u8]) {
    let Some((old, new)) = halves(data) else { return };
    let diff = text_diff(old, new);
    assert_eq!(apply_hunks(old, &diff.hunks), Ok(new.to_owned()));
}

fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(path) = text.parse::<Path>() {
        assert_eq!(path.to_string().parse(), Ok(path));
    }
    // Any key at all survives.
    let keys = text.split('\u{1}').map(|key| rig_config::Segment::Key(key.to_owned()));
    let path = Path(keys.collect());
    assert_eq!(path.to_string().parse(), Ok(path));
}

fn pattern(data: &[u8]) {
    let Some((pattern, path)) = halves(data) else { return };
    if let (Ok(pattern), Ok(path)) = (pattern.parse::<Pattern>(), path.parse::<Path>()) {
        let _ = pattern.matches(&path);
        assert_eq!(pattern.to_string().parse(), Ok(pattern));
    }
}

fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(policy) = Policy::parse(text) {
        let _ = policy.severity_of_section("a.b[0].c");
    }
}

/// Redaction replaces what it finds and finds nothing in what it has written.
fn redact(data: &[u8]) {
    static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
        let key = RedactionKey::new("k1", [7; 32]).unwrap_or_else(|error| panic!("{error}"));
        Redactor::new(key, &Policy::default())
    });
    for format in [Format::Text, Format::Yaml, Format::Env] {
        let Ok(mut doc) = document(data, format) else { continue };
        REDACTOR.redact(&mut doc);
        assert_eq!(read_back(&doc.config), doc.config);
        let once = doc.config.clone();
        REDACTOR.redact(&mut doc);
        assert_eq!(doc.config, once);
    }
}

/// A line of the log says the same when it is written again.
fn event(data: &[u8]) {
    let _ = Head::parse(data);
    let _ = Body::from_client(data, None, |_, _| false);
    let _ = Body::from_client(data, Some("token"), |_, _| false);
    let Ok(envelope) = Envelope::parse(data) else { return };
    let Envelope { seq, ts, service, id, cause, actor, event } = envelope.clone();
    let Ok(body) = (Draft { service, id, cause, actor, event }).encode() else { return };
    let mut line = Vec::new();
    body.write_line(seq, &ts.to_string(), 0, &mut line);
    line.pop();
    assert_eq!(Envelope::parse(&line), Ok(envelope), "{}", String::from_utf8_lossy(&line));
}

fn rigd_line(data: &[u8]) {
    let _ = rigd::Header::parse(data);
    let _ = rigd::parse(data);
}

/// Wherever the network cuts a stream, the frames are the same.
fn frames(data: &[u8]) {
    let all = |pieces: &[&[u8]]| {
        let mut parser = sse::Parser::default();
        let mut frames = Vec::new();
        for piece in pieces {
            if parser.push(piece).is_err() {
                return None;
            }
            frames.extend(std::iter::from_fn(|| parser.next_frame()));
        }
        Some((frames, parser.retry()))
    };
    let cut = data.first().map_or(0, |byte| usize::from(*byte) % data.len());
    let (head, tail) = data.split_at(cut);
    assert_eq!(all(&[data]), all(&[head, tail]));
}
