//! Reading a session file, a bare log or a log of rigd, and saying all that is wrong with it.

use std::io::BufRead;

use rig_event::session::{self, Checkpoint, Footer, Header};
use rig_event::{Head, MAX_LINE, Seq, rigd};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::lines::{Found, LineReader};
use super::{Problem, SessionError};
use crate::chain::Chain;

/// The longest line of a rigd log, whose events hold whole bodies, and of a checkpoint.
const MAX_LONG_LINE: usize = 64 << 20;

/// An event of a session file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its seq.
    pub seq: Seq,
    /// The line as it stands there, without its line end.
    pub line: Vec<u8>,
    /// Where it begins; in a compressed file, where in the text.
    pub offset: u64,
    /// Its number, counted from 1.
    pub line_no: u64,
}

/// Whose lines they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// With a header.
    Session,
    /// The lines of a log, as a segment has them.
    Bare,
    /// With `timestamp` and nested payloads: `rig_event::rigd::parse` reads them.
    Rigd,
}

/// The end of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// With its footer, whose chain and counts fit the lines.
    Finished(Footer),
    /// With a footer that does not fit the lines: some were changed, taken out or put in.
    Altered {
        /// The footer.
        footer: Footer,
        /// The part that does not fit.
        why: String,
    },
    /// After a whole line, without a footer.
    Unfinished,
    /// Within a line, or within a compressed frame.
    Torn {
        /// The bytes of the cut line, which are left out.
        bytes: u64,
    },
    /// A log without a header, which has no footer either.
    Bare,
}

/// Iterates the events of a session file.
///
/// An error is about one line: the iteration can go on after it, unless the file can't be read on. When it has ended,
/// [`SessionReader::ending`] tells how.
pub struct SessionReader<R: BufRead> {
    lines: LineReader<R>,
    dialect: Option<Dialect>,
    header: Option<Header>,
    checkpoint: Option<Checkpoint>,
    rigd_header: Option<rigd::Header>,
    /// A line that was read and not yet given: after a gap was told, or while looking for a checkpoint.
    held: Option<Held>,
    next_seq: Option<Seq>,
    events: u64,
    chain: Option<Chain>,
    footer: Option<Footer>,
    misplaced_after_footer: bool,
    ending: Option<Ending>,
    cut_at_start: bool,
    reworded: Option<&'static str>,
}

enum Held {
    /// Its seq is known to be in order.
    Record(Record),
    /// Not yet looked at.
    Line { text: Vec<u8>, offset: u64, whole: bool },
}

impl<R: BufRead> SessionReader<R> {
    /// Reads the header, and the checkpoint where there must be one.
    ///
    /// # Errors
    /// A header that can't be understood, or that asks for a checkpoint that is not there. A file without a header
    /// is no error.
    pub fn new(input: R) -> Result<Self, SessionError> {
        let read_failed = |e| SessionError { line_no: 1, offset: 0, problem: Problem::Read(e) };
        let mut reader = SessionReader {
            lines: LineReader::new(input).map_err(read_failed)?,
            dialect: None,
            header: None,
            checkpoint: None,
            rigd_header: None,
            held: None,
            next_seq: None,
            events: 0,
            chain: None,
            footer: None,
            misplaced_after_footer: false,
            ending: None,
            cut_at_start: false,
            reworded: None,
        };
        reader.read_header()?;
        if let Some(first_seq) = reader.header.as_ref().map(|header| header.first_seq)
            && first_seq > 1
        {
            reader.read_checkpoint(first_seq)?;
        }
        Ok(reader)
    }

    /// The header, if there is one.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// The state before the first event, if the recording begins in the middle.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// The header of a rigd log, if there is one.
    pub fn rigd_header(&self) -> Option<&rigd::Header> {
        self.rigd_header.as_ref()
    }

    /// Whose lines they are; of a file without a header it is known after the first event.
    pub fn dialect(&self) -> Option<Dialect> {
        self.dialect
    }

    /// The chain at the last line given, where a header says where it begins.
    pub fn hash_chain(&self) -> Option<Chain> {
        self.chain
    }

    /// Returns how the file ended, once the iteration has.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Returns true if there is nothing in it but what a recording begins with, cut within its first line, or compressed and cut before that.
    pub fn is_cut_at_start(&self) -> bool {
        self.cut_at_start
    }

    /// Returns the first line around the events that is not written as a recording writes it: nothing else covers its bytes, and
    /// two readers could understand it differently. Of the footer it is known once the iteration has ended.
    pub fn reworded(&self) -> Option<&'static str> {
        self.reworded
    }

    /// Compares a line around the events with what was understood of it.
    fn compare(&mut self, what: &'static str, understood: &impl serde::Serialize, text: &[u8]) {
        let is_same = serde_json::to_vec(understood).is_ok_and(|canonical| canonical == text);
        if !is_same && self.reworded.is_none() {
            self.reworded = Some(what);
        }
    }

    fn read_header(&mut self) -> Result<(), SessionError> {
        let found = self.lines.next(MAX_LONG_LINE).map_err(|e| self.at(0, Problem::Read(e)))?;
        let Found::Line { text, whole } = found else {
            if matches!(found, Found::TooLong { .. }) {
                return Err(self.at(0, Problem::TooLong { limit: MAX_LONG_LINE }));
            }
            return Ok(());
        };
        match session::Line::parse(&text) {
            Some(Ok(session::Line::Header(header))) if header.v == session::VERSION => {
                let chain = header.chain.parse::<Chain>();
                self.chain = Some(chain.map_err(|e| self.at(0, Problem::NotAnEvent { why: e.to_string() }))?);
                self.compare("header", &header, &text);
                self.dialect = Some(Dialect::Session);
                self.next_seq = Some(header.first_seq);
                self.header = Some(header);
            }
            Some(Ok(session::Line::Header(header))) => {
                return Err(self.at(0, Problem::Version { v: header.v }));
            }
            // A later version may have other fields in its header.
            Some(Err(e)) if whole => {
                #[derive(Deserialize)]
                struct Version {
                    v: u32,
                }
                let problem = match serde_json::from_slice(&text) {
                    Ok(Version { v }) if v != session::VERSION => Problem::Version { v },
                    _ => Problem::NotAnEvent { why: e.to_string() },
                };
                return Err(self.at(0, problem));
            }
            _ => match rigd::Header::parse(&text) {
                Some(header) => {
                    self.dialect = Some(Dialect::Rigd);
                    self.rigd_header = Some(header);
                }
                None => self.held = Some(Held::Line { text, offset: 0, whole }),
            },
        }
        Ok(())
    }

    fn read_checkpoint(&mut self, first_seq: Seq) -> Result<(), SessionError> {
        let offset = self.lines.offset;
        let found = self.lines.next(MAX_LONG_LINE).map_err(|e| self.at(offset, Problem::Read(e)))?;
        let missing = Problem::NoCheckpoint { first_seq };
        match found {
            Found::Line { text, whole } => match session::Line::parse(&text) {
                Some(Ok(session::Line::Checkpoint(checkpoint))) if checkpoint.seq + 1 == first_seq => {
                    self.compare("checkpoint", &checkpoint, &text);
                    self.checkpoint = Some(checkpoint);
                }
                // Torn: there are no events, so nothing needs the state.
                _ if !whole => self.held = Some(Held::Line { text, offset, whole }),
                _ => return Err(self.at(offset, missing)),
            },
            Found::TooLong { whole: true } => {
                return Err(self.at(offset, Problem::TooLong { limit: MAX_LONG_LINE }));
            }
            Found::TooLong { whole: false } => self.ending = Some(self.torn(offset)),
            Found::End => {}
        }
        Ok(())
    }

    fn at(&self, offset: u64, problem: Problem) -> SessionError {
        SessionError { line_no: self.lines.line_no.max(1), offset, problem }
    }

    fn torn(&self, offset: u64) -> Ending {
        Ending::Torn { bytes: self.lines.offset - offset }
    }

    fn limit(&self) -> usize {
        match self.dialect {
            Some(Dialect::Session | Dialect::Bare) => MAX_LINE,
            Some(Dialect::Rigd) | None => MAX_LONG_LINE,
        }
    }

    /// The next line with where it begins; `None` at the end.
    fn next_line(&mut self) -> Result<Option<(Vec<u8>, u64, bool)>, SessionError> {
        if let Some(Held::Line { text, offset, whole }) =
            self.held.take_if(|held| matches!(held, Held::Line { .. }))
        {
            return Ok(Some((text, offset, whole)));
        }
        let (offset, limit) = (self.lines.offset, self.limit());
        match self.lines.next(limit) {
            Ok(Found::Line { text, whole }) => Ok(Some((text, offset, whole))),
            Ok(Found::TooLong { whole: true }) => Err(self.at(offset, Problem::TooLong { limit })),
            Ok(Found::TooLong { whole: false }) => {
                self.ending = Some(self.torn(offset));
                Err(self.at(offset, Problem::TooLong { limit }))
            }
            Ok(Found::End) => Ok(None),
            Err(e) => {
                self.ending = Some(self.torn(offset));
                Err(self.at(offset, Problem::Read(e)))
            }
        }
    }

    /// Returns what a line is: an event, or `None` for what is no event and no error.
    fn judge(&mut self, text: Vec<u8>, offset: u64) -> Result<Option<Record>, SessionError> {
        let is_session = self.dialect == Some(Dialect::Session);
        if !is_session && text.trim_ascii().is_empty() {
            return Ok(None);
        }
        if is_session && self.footer.is_some() {
            self.misplaced_after_footer = true;
            return Err(self.at(offset, Problem::Misplaced { what: "a line after the footer" }));
        }
        if std::str::from_utf8(&text).is_err() {
            return Err(self.at(offset, Problem::NotUtf8));
        }
        let seq = match self.place(&text) {
            Ok(seq) => seq,
            Err(why) => return self.other_line(&text, offset, why).map(|()| None),
        };
        if let Some(chain) = &mut self.chain {
            chain.push(&text);
        }
        self.events += 1;
        let record = Record { seq, line: text, offset, line_no: self.lines.line_no };
        let expected = self.next_seq.unwrap_or(seq);
        if seq < expected {
            return Err(self.at(offset, Problem::Repeat { expected, found: seq }));
        }
        self.next_seq = Some(seq.saturating_add(1));
        if seq > expected {
            self.held = Some(Held::Record(record));
            return Err(self.at(offset, Problem::Gap { expected, found: seq }));
        }
        Ok(Some(record))
    }

    /// The seq of an event. The first one tells the dialect where no header did.
    fn place(&mut self, text: &[u8]) -> Result<Seq, String> {
        #[derive(Deserialize)]
        struct RigdPlace {
            seq: Seq,
            #[serde(rename = "timestamp")]
            _timestamp: IgnoredAny,
            #[serde(rename = "type")]
            _type: IgnoredAny,
        }
        let rigd = |why: String| match serde_json::from_slice::<RigdPlace>(text) {
            Ok(place) if place.seq > 0 => Ok(place.seq),
            _ => Err(why),
        };
        match self.dialect {
            Some(Dialect::Rigd) => rigd("not an event of rigd".to_owned()),
            Some(Dialect::Session | Dialect::Bare) => {
                Head::parse(text).map(|head| head.seq).map_err(|e| e.to_string())
            }
            None => match Head::parse(text) {
                Ok(_) if text.len() > MAX_LINE => {
                    Err(rig_event::Error::TooLong { bytes: text.len() }.to_string())
                }
                Ok(head) => {
                    self.dialect = Some(Dialect::Bare);
                    Ok(head.seq)
                }
                Err(e) => {
                    let seq = rigd(e.to_string())?;
                    self.dialect = Some(Dialect::Rigd);
                    Ok(seq)
                }
            },
        }
    }

    /// A line that is no event: the footer, or an error.
    fn other_line(&mut self, text: &[u8], offset: u64, why: String) -> Result<(), SessionError> {
        let misplaced = match session::Line::parse(text) {
            Some(Ok(session::Line::Footer(footer))) if self.dialect == Some(Dialect::Session) => {
                self.compare("footer", &footer, text);
                self.footer = Some(footer);
                return Ok(());
            }
            Some(Ok(session::Line::Footer(_))) => "a footer without a header",
            Some(Ok(session::Line::Header(_))) => "a second header",
            Some(Ok(session::Line::Checkpoint(_))) => "a checkpoint",
            Some(Err(e)) => return Err(self.at(offset, Problem::NotAnEvent { why: e.to_string() })),
            None => return Err(self.at(offset, Problem::NotAnEvent { why })),
        };
        Err(self.at(offset, Problem::Misplaced { what: misplaced }))
    }

    fn end(&self) -> Ending {
        match &self.footer {
            Some(footer) => match self.footer_misfit(footer) {
                None => Ending::Finished(footer.clone()),
                Some(why) => Ending::Altered { footer: footer.clone(), why },
            },
            None if self.lines.cut => Ending::Torn { bytes: 0 },
            None if self.dialect == Some(Dialect::Session) => Ending::Unfinished,
            None => Ending::Bare,
        }
    }

    fn footer_misfit(&self, footer: &Footer) -> Option<String> {
        if self.misplaced_after_footer {
            return Some("there are lines after the footer".to_owned());
        }
        if footer.events != self.events {
            return Some(format!("the footer counts {} events, the file has {}", footer.events, self.events));
        }
        let last_seq = self.next_seq.unwrap_or(1) - 1;
        if footer.last_seq != last_seq {
            return Some(format!("the footer ends with seq {}, the lines with {last_seq}", footer.last_seq));
        }
        let chain = self.chain.map(|chain| chain.to_string());
        (chain.as_ref() != Some(&footer.chain))
            .then(|| "the hash chain of the lines is not the footer's: a line was changed".to_owned())
    }
}

impl<R: BufRead> Iterator for SessionReader<R> {
    type Item = Result<Record, SessionError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(Held::Record(record)) = self.held.take_if(|held| matches!(held, Held::Record(_))) {
            return Some(Ok(record));
        }
        loop {
            if self.ending.is_some() {
                return None;
            }
            match self.next_line() {
                Err(e) => return Some(Err(e)),
                Ok(None) => {
                    self.ending = Some(self.end());
                    self.cut_at_start = self.lines.cut && self.lines.line_no == 0;
                }
                Ok(Some((text, offset, whole))) => {
                    let begins = offset == 0 && session::may_begin(&text);
                    let judged = self.judge(text, offset);
                    let cut =
                        |e: &SessionError| matches!(e.problem, Problem::NotAnEvent { .. } | Problem::NotUtf8);
                    if !whole && judged.as_ref().is_err_and(cut) {
                        // The file ends in the middle of it, which says all. A last line that lacks nothing but its
                        // line end is whole.
                        self.ending = Some(self.torn(offset));
                        self.cut_at_start = begins;
                        return None;
                    }
                    match judged {
                        Err(e) => return Some(Err(e)),
                        Ok(Some(record)) => return Some(Ok(record)),
                        Ok(None) => {}
                    }
                }
            }
        }
    }
}
