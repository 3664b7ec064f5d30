//! `rig report`: a recording as one HTML file, for people without rig.

mod data;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use rig_replay::explain::Limits;
use sha2::{Digest as _, Sha256};

use self::data::Data;
use super::explain::{self, explained};
use crate::Answer;
use crate::output;
use crate::source::Source;

const SCRIPT: &str = include_str!("report/page.js");
const STYLE: &str = include_str!("report/page.css");
const BODY: &str = include_str!("report/body.html");

/// Write a recording as one HTML file, for people without rig
///
/// It has what failed, the requests and output around it, the config changes before, the state at each failure and at each of these
/// changes, what differs between any two of them, and the timeline. The file loads nothing from anywhere, shows whatever the recording holds as
/// text, and says what it left out.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig report run.jsonl.zst -o report.html
  rig report http://127.0.0.1:7070/main -o report.html --events 1000")]
pub struct Args {
    /// A session file, -, a rigd log, or a hub's stream
    source: Source,
    /// The file to write; - prints it
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The most events on the timeline: those nearest to the first failure
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    events: usize,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let indexed = args.source.timeline(None).await?;
    let limits = Limits { items: 50, lines: 50, bytes: 4096 };
    let it = explained(&indexed, limits)?;
    let data = Data::of(&indexed, &it, args.events)?;
    let title = format!("{}: {}", data.name(), it.outcome);
    let mut story = anstream::adapter::strip_str(&explain::text(&it)).to_string();
    if let Some(doubt) = indexed.doubt() {
        let _ = writeln!(story, "\n{doubt}; what is missing may have failed");
    }
    let page = page(&title, &story, &serde_json::to_vec(&data)?)?;
    if args.output.as_os_str() == "-" {
        output::Out::new().text(&page)?;
    } else {
        std::fs::write(&args.output, &page)
            .with_context(|| format!("cannot write {}", args.output.display()))?;
    }
    indexed.notes(false)?;
    Ok(Answer::Fine)
}

/// Puts the page together. Nothing of the recording is markup in it: the story is escaped, and all else is base 64 that the script shows as
/// text. The policy allows that script and that style, and no request to anywhere.
fn page(title: &str, story: &str, data: &[u8]) -> Result<String> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(data)?;
    let packed = STANDARD.encode(packed.finish()?);
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    let (title, story) = (html(title), html(story));
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"generator\" content=\"rig {}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>{title}</h1>\n<pre id=\"story\">{story}</pre>\n{BODY}\
         <script type=\"application/octet-stream\" id=\"data\">{packed}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    ))
}

/// Foreign text in HTML, between tags.
fn html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(c),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_the_page_can_stand_in_it() {
        assert!(!SCRIPT.contains("</script") && !SCRIPT.contains("<!--") && !STYLE.contains("</style"));
        assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("http"));
        let page = page("a<b>\u{0}", "</pre><script>x</script>", b"{}").unwrap();
        assert_eq!(page.matches("<script").count(), 2);
        assert!(page.contains("a&lt;b&gt;\u{fffd}") && page.contains("&lt;/pre&gt;"));
        assert!(page.len() < 100_000);
    }
}
