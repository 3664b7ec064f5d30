//! What services wrote: the log lines of a recording, and which of them are wanted.

use std::borrow::Cow;

use rig_event::{Envelope, Event, Seq, Timestamp};
use serde::Serialize;

use crate::timeline::{Entry, Skim, parse_any};

/// A piece of a service's output, which may be several lines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Output<'a> {
    /// Its seq.
    pub seq: Seq,
    /// Its time.
    pub ts: Timestamp,
    /// Whose it is.
    pub service: Cow<'a, str>,
    /// `stdout` or `stderr`.
    pub stream: Cow<'a, str>,
    /// The text, with the line end that it came with.
    pub data: Cow<'a, str>,
}

impl<'a> Output<'a> {
    /// Reads a line of a timeline, in either dialect; `None` when it is no output. Whether it is UTF-8 was looked at when it
    /// was indexed.
    pub fn read(line: &'a [u8]) -> Option<Output<'a>> {
        if let Some(skim) = Skim::read(line) {
            let text = |bytes: &'a [u8]| Cow::Borrowed(std::str::from_utf8(bytes).unwrap_or_default());
            return (skim.type_name == b"service.log").then(|| Output {
                seq: skim.seq,
                ts: skim.ts,
                service: text(skim.service.unwrap_or_default()),
                stream: text(skim.stream),
                data: skim.data.map_or(Cow::Borrowed(""), |data| data.decoded()),
            });
        }
        let (Envelope { seq, ts, service, event, .. }, _) = parse_any(line)?;
        let Event::ServiceLog(log) = event else { return None };
        let service = service.map(String::from).unwrap_or_default().into();
        Some(Output { seq, ts, service, stream: log.stream.into(), data: log.data.into() })
    }
}

/// Which output is wanted; what is left out does not matter.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of one of these services; none: of any.
    pub services: Vec<String>,
    /// Only stderr, or only the rest.
    pub stderr: Option<bool>,
    /// With this text in it.
    pub text: Option<String>,
    /// Whether upper and lower case are the same.
    pub ignore_case: bool,
}

impl Wanted {
    /// What the index says: whether the line has to be looked at.
    pub fn may_take(&self, entry: &Entry<'_>) -> bool {
        entry.type_name == "service.log"
            && self.stderr.is_none_or(|wanted| wanted == entry.stderr)
            && (self.services.is_empty()
                || entry.service.is_some_and(|name| self.services.iter().any(|s| s == name)))
    }

    /// What only the output says.
    pub fn takes(&self, output: &Output<'_>) -> bool {
        self.text.as_deref().is_none_or(|text| {
            if self.ignore_case {
                output.data.to_lowercase().contains(&text.to_lowercase())
            } else {
                memchr::memmem::find(output.data.as_bytes(), text.as_bytes()).is_some()
            }
        })
    }
}
