//! What it costs to capture a document: parse, flatten, digest, redact, digest again.
//!
//! The peers are no captures: they show what reading alone costs. The Go library that the bars in the first line were
//! taken from is not measured here.

use std::fs;
use std::hint::black_box;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rig_config::{Format, Limits, Policy, RedactionKey, Redactor, config_digest, parse};

use super::{Cost, Took, measure, measure_python, timed};
use crate::Setup;
use crate::report::{Bar, Cell, Report};

/// A document: its name, how many fields it has and how long each value is.
struct Shape {
    name: &'static str,
    fields: usize,
    value: usize,
    rounds: usize,
}

pub fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir_in(&setup.out)?;
    // The two large ones are the bars' 10 and 100 MB, whatever `--quick` says of the number of fields.
    let shapes = [
        Shape { name: "1,000 fields", fields: 1_000, value: 20, rounds: 201 },
        Shape { name: "100,000 fields", fields: 100_000, value: 20, rounds: 5 },
        Shape { name: "10 MB, 10,000 fields", fields: 10_000, value: 1_000, rounds: 5 },
        Shape { name: "100 MB, 100,000 fields", fields: 100_000, value: 1_000, rounds: 1 },
    ];
    let mut rows = Vec::new();
    let mut costs = Vec::new();
    for shape in &shapes {
        let path = folder.path().join("document.json");
        let bytes = document(&path, shape)?;
        let rounds = if setup.quick { shape.rounds.min(3) } else { shape.rounds };
        // A document that is measured once is measured in several children.
        let children = if rounds == 1 && !setup.quick { 5 } else { 1 };
        let ours = (0..children).map(|_| measure("capture", rounds, &[&path])).collect::<Result<Vec<_>>>()?;
        let ours = middle(ours);
        let reading = measure("reading", rounds, &[&path])?;
        let serde = measure("serde_json", rounds, &[&path])?;
        let python = measure_python(FLATTEN, rounds.min(21), &[&path]);
        costs.push(ours);
        let python = |figure: fn(Cost) -> f64| python.map_or(Cell::None, |cost| figure(cost).into());
        let mib = bytes as f64 / f64::from(1 << 20);
        rows.push(vec![
            shape.name.into(),
            mib.into(),
            ours.ms.into(),
            ours.cpu_ms.into(),
            ours.mib.into(),
            (ours.mib / mib).into(),
            reading.ms.into(),
            serde.ms.into(),
            serde.mib.into(),
            python(|cost| cost.ms),
            python(|cost| cost.mib),
        ]);
    }
    let titles = [
        "JSON document",
        "MiB",
        "rig ms",
        "rig CPU ms",
        "rig MiB",
        "a byte",
        "reading ms",
        "serde_json ms",
        "MiB in serde_json",
        "Python ms",
        "MiB in Python",
    ];
    report.table("capture", &titles, &rows);
    formats(setup, folder.path(), report)?;
    let [small, _, ten, hundred] = costs.as_slice() else { return Ok(()) };
    report.bar("ms for 1,000 fields", Bar::AtMost(1.0), small.ms);
    report.note(
        "the first capture of a process",
        &format!("1,000 fields took {:.1} ms: the search automaton is built in it", small.first_ms),
    );
    report.bar("ms for 100 MB", Bar::AtMost(1_500.0), hundred.ms);
    report.bar("CPU ms for 100 MB", Bar::AtMost(1_500.0), hundred.cpu_ms);
    report.bar("MiB for 100 MB", Bar::AtMost(400.0), hundred.mib);
    report.bar("times as long for 100 MB as for 10 MB", Bar::AtMost(12.0), hundred.ms / ten.ms);
    report.note(
        "the Go library's snapshot",
        "not measured: it needs Go, which is not there; rig's figures are held against the bars only",
    );
    Ok(())
}

/// What reading takes in each format, of short fields without nesting: the most fields a byte, so the most memory.
fn formats(setup: &Setup, folder: &Path, report: &mut Report) -> Result<()> {
    let fields = if setup.quick { 20_000 } else { 200_000 };
    let lines = |line: fn(usize) -> String| (0..fields).map(line).collect::<String>();
    let documents = [
        (Format::Json, format!("{{{}\"z\":0}}", lines(|n| format!("\"k{n}\":{n},\n")))),
        (Format::Jsonc, format!("{{{}}}", lines(|n| format!("\"k{n}\":{n}, // {n}\n")))),
        (Format::Yaml, lines(|n| format!("k{n}: {n}\n"))),
        (Format::Toml, lines(|n| format!("k{n} = {n}\n"))),
        (Format::Ini, lines(|n| format!("k{n} = {n}\n"))),
        (Format::Env, lines(|n| format!("K{n}={n}\n"))),
        (Format::Properties, lines(|n| format!("k{n}={n}\n"))),
        (Format::Hcl, lines(|n| format!("k{n} = {n}\n"))),
        (Format::Xml, format!("<c>{}</c>", lines(|n| format!("<k{n}>{n}</k{n}>\n")))),
        (Format::Text, lines(|n| format!("line {n}\n"))),
    ];
    let mut rows = Vec::new();
    for (format, document) in documents {
        let path = folder.join(format!("document.{format}"));
        fs::write(&path, &document)?;
        let cost = measure("reading", 1, &[&path])?;
        let mib = document.len() as f64 / f64::from(1 << 20);
        rows.push(vec![
            format.as_str().into(),
            mib.into(),
            cost.ms.into(),
            (cost.ms / mib).into(),
            cost.mib.into(),
            (cost.mib / mib).into(),
        ]);
    }
    report.table(
        "reading short fields",
        &["format", "MiB", "ms", "ms a MiB", "MiB resident", "a byte"],
        &rows,
    );
    Ok(())
}

/// The cost in the middle, by time.
fn middle(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by(|a, b| a.ms.total_cmp(&b.ms));
    costs[costs.len() / 2]
}

/// Reading and flattening in Python's standard library.
const FLATTEN: &str = "
def flat(value, path, out):
    if isinstance(value, dict) and value:
        for key, entry in value.items():
            flat(entry, path + '.' + key if path else key, out)
    elif isinstance(value, list) and value:
        for index, entry in enumerate(value):
            flat(entry, f'{path}[{index}]', out)
    else:
        out[path] = value
data = open(files[0], 'rb').read()
for _ in range(rounds):
    timed(lambda: flat(json.loads(data), '', {}))
done()
";

/// A capture as the hub does it.
pub fn work(files: &[PathBuf], rounds: usize) -> Result<Vec<Took>> {
    let policy = Policy::default();
    let redactor = Redactor::new(RedactionKey::new("k1", [7; 32])?, &policy);
    let once = || {
        let document = read(files)?;
        let (took, made) = timed(|| -> Result<_> {
            let mut parsed = parse(document, Format::Json, &Limits::default())?;
            let digest = parsed.digest_then_redact(&redactor);
            let config_digest = config_digest(&parsed.config);
            Ok((parsed, digest, config_digest))
        });
        black_box(made?);
        Ok(took)
    };
    (0..rounds).map(|_| once()).collect()
}

/// The part of a capture that comes before redaction: bytes to fields.
pub fn reading(files: &[PathBuf], rounds: usize) -> Result<Vec<Took>> {
    let named = files.first().and_then(|file| file.extension()).and_then(|name| name.to_str());
    let format: Format = named.context("the file's name tells no format")?.parse()?;
    let once = || {
        let document = read(files)?;
        let (took, parsed) = timed(|| parse(document, format, &Limits::default()));
        black_box(parsed?);
        Ok(took)
    };
    (0..rounds).map(|_| once()).collect()
}

/// What `serde_json` takes to read the same document into its own value.
pub fn serde_json(files: &[PathBuf], rounds: usize) -> Result<Vec<Took>> {
    let once = || {
        let document = read(files)?;
        let (took, value) = timed(|| ::serde_json::from_slice::<serde_json::Value>(&document));
        black_box(value?);
        Ok(took)
    };
    (0..rounds).map(|_| once()).collect()
}

fn read(files: &[PathBuf]) -> Result<Vec<u8>> {
    let file = files.first().context("a file is missing")?;
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Writes a document of services with settings, some of which are secrets; returns its length.
fn document(path: &Path, shape: &Shape) -> Result<u64> {
    const NAMES: [&str; 10] =
        ["host", "port", "timeout_ms", "enabled", "log_level", "password", "retries", "ratio", "url", "note"];
    let mut file = std::io::BufWriter::new(fs::File::create(path)?);
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    write!(file, "{{")?;
    for service in 0..shape.fields / NAMES.len() {
        let comma = if service > 0 { "," } else { "" };
        write!(file, "{comma}\n  \"service-{service}\": {{")?;
        for (at, name) in NAMES.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(file, "{comma}\n    \"{name}\": ")?;
            match *name {
                "port" | "timeout_ms" | "retries" if shape.value < 100 => {
                    write!(file, "{}", random % 10_000)?
                }
                "enabled" if shape.value < 100 => write!(file, "{}", random.is_multiple_of(2))?,
                "ratio" if shape.value < 100 => write!(file, "{}e-3", random % 1_000)?,
                _ => write!(file, "\"{}\"", text(&mut random, shape.value))?,
            }
            random = next(random);
        }
        write!(file, "\n  }}")?;
    }
    writeln!(file, "\n}}")?;
    file.flush()?;
    Ok(fs::metadata(path)?.len())
}

/// Words, some numbers and now and then what stands in values besides.
fn text(random: &mut u64, length: usize) -> String {
    const WORDS: [&str; 16] = [
        "alpha",
        "limit",
        "eu-west-1",
        "10.0.3.7",
        "max=5",
        "/srv/data",
        "the",
        "of",
        "7",
        "cache:",
        "node",
        "https://example.org/x",
        "replica",
        "w",
        "\\n",
        "zürich",
    ];
    let mut text = String::with_capacity(length + 32);
    while text.len() < length {
        *random = next(*random);
        text.push_str(WORDS[(*random >> 33) as usize % WORDS.len()]);
        text.push(' ');
    }
    text
}

/// Xorshift: the same documents on every machine.
fn next(mut random: u64) -> u64 {
    random ^= random << 13;
    random ^= random >> 7;
    random ^ (random << 17)
}
