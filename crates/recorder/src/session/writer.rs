//! Writing a session file line by line, with the chain and the counts that its footer states.

use std::io::{self, Write};
use std::time::Duration;

use rig_event::Seq;
use rig_event::event::Signature;
use rig_event::session::{Checkpoint, Footer, Header, Outcome};

use crate::chain::Chain;
use crate::lines::Lines;

/// A session file being written.
///
/// Dropping it without [`SessionWriter::finish`] leaves a file that is readable and says that it is unfinished.
/// Nothing is buffered here: give it a `BufWriter` over a file, and flush that where a reader follows.
pub struct SessionWriter<W: Write> {
    out: W,
    first_seq: Seq,
    next_seq: Seq,
    chain: Chain,
    signatures: Vec<Signature>,
}

impl<W: Write> SessionWriter<W> {
    /// Writes the header, and the state before the first event where that is not event 1.
    pub fn new(mut out: W, header: &Header, checkpoint: Option<&Checkpoint>) -> io::Result<Self> {
        let chain = header.chain.parse().map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        if header.first_seq > 1 && checkpoint.is_none_or(|checkpoint| checkpoint.seq + 1 != header.first_seq)
        {
            let why =
                format!("a session that begins with seq {} needs the state before it", header.first_seq);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        write_line(&mut out, header)?;
        if let Some(checkpoint) = checkpoint.filter(|_| header.first_seq > 1) {
            write_line(&mut out, checkpoint)?;
        }
        let (first_seq, next_seq) = (header.first_seq, header.first_seq);
        Ok(SessionWriter { out, first_seq, next_seq, chain, signatures: Vec::new() })
    }

    /// Writes the events that follow. An error leaves the file as far as it came; there is no going on after it.
    pub fn write(&mut self, lines: &Lines) -> io::Result<()> {
        if lines.first_seq != self.next_seq {
            let why = format!("seq {} follows {}", lines.first_seq, self.last_seq());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        self.out.write_all(&lines.bytes)?;
        lines.iter().for_each(|(_, line)| self.chain.push(line));
        self.next_seq += lines.len() as Seq;
        Ok(())
    }

    /// The seq of the last event written; `first_seq - 1` before the first.
    pub fn last_seq(&self) -> Seq {
        self.next_seq.saturating_sub(1)
    }

    /// The chain at [`SessionWriter::last_seq`], which a signature covers.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// Adds a signature to the footer.
    pub fn sign(&mut self, signature: Signature) {
        self.signatures.push(signature);
    }

    /// The output that is written to.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Hands on what is buffered below.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes the footer.
    pub fn finish(mut self, outcome: Outcome, duration: Duration) -> io::Result<W> {
        let footer = Footer {
            last_seq: self.last_seq(),
            events: self.next_seq - self.first_seq,
            chain: self.chain.to_string(),
            outcome,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            signatures: self.signatures,
        };
        write_line(&mut self.out, &footer)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn write_line<W: Write>(out: &mut W, line: &impl serde::Serialize) -> io::Result<()> {
    let mut json = serde_json::to_vec(line)?;
    json.push(b'\n');
    out.write_all(&json)
}
