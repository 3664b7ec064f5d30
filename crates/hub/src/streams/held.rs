//! Checks what a stream is opened with against its seals: `stream.json`, `cut.json`, the checkpoint and the signing keys.
//!
//! Only the lines from a seal on are read: a seal states the chain over all that came before it, so the chain that the hub goes
//! on with is right if it is the last seal's, continued. The lines before are held against their checksums when they are read.

use rig_event::event::LogSealed;
use rig_event::{Envelope, Event, Head, Seq};
use rig_recorder::seal::Checked;
use rig_recorder::{Chain, Claim, EventLog, Keyring, Point, StreamIndex};

use super::cut::{Cut, cut_at};
use crate::options::READ_BYTES;

/// The number of events that are looked through for a seal. There is one every 1,000 events, unless sealing is off.
const LOOK: Seq = 64 << 10;

/// The number of events from the end that are looked through first: a hub that stops seals.
const LOOK_FIRST: Seq = 64;

/// A seal and where it stands.
struct Sealed {
    seq: Seq,
    seal: LogSealed,
    /// The chain after its own line.
    after: Chain,
}

/// Checks that `base`, where the fold of the log begins, leads to the first seal after it. `named` is the file that says so.
async fn begins(log: &dyn EventLog, base: &Cut, named: &str) -> Result<(), String> {
    let first = base.state.seq + 1;
    let mut chain = base.chain;
    let mut next = first;
    while next <= log.head().min(base.state.seq + LOOK) {
        let lines = log.read(next, log.head(), READ_BYTES).await.map_err(|e| e.to_string())?;
        if lines.is_empty() {
            break;
        }
        for (seq, line) in lines.iter() {
            if let Some(seal) = seal(log, seq, line)? {
                if seal.chain == chain.to_string() {
                    return Ok(());
                }
                return Err(format!(
                    "stream {}, seq {seq}: the hash chain of this seal is not the one that {named} leads to: that file, or a line from seq \
                     {first} on, was changed. Nothing was deleted; restore the stream from a backup (rig restore)",
                    log.stream()
                ));
            }
            chain.push(line);
        }
        next = lines.last_seq() + 1;
    }
    Ok(())
}

/// Returns state and chain at the head, folded from the nearest checkpoint or from `base`, and held against the last seal. `named`
/// is the file that `base` comes from.
///
/// # Errors
/// Which file or line was changed. Nothing is deleted before this has passed.
pub(crate) async fn open(
    log: &dyn EventLog,
    index: Option<&StreamIndex>,
    base: &Cut,
    named: &str,
    keys: &Keyring,
) -> Result<Cut, String> {
    begins(log, base, named).await?;
    let last = last_seal(log).await?;
    if let Some(last) = &last {
        signed(log, last, keys)?;
    }
    let cut = cut_at(log, index, base, log.head()).await?;
    let Some(last) = last else { return Ok(cut) };
    if last.fits(&cut) {
        return Ok(cut);
    }
    // The checkpoint may be at fault, which can be derived.
    let cut = cut_at(log, None, base, log.head()).await?;
    if last.fits(&cut) {
        tracing::warn!(stream = %log.stream(), "a checkpoint of the index is damaged; the log was folded from its beginning");
        return Ok(cut);
    }
    Err(format!(
        "stream {}, seq {}: the state and hash chain that the log was folded to are not those of this seal: a line or {named} was changed. \
         Restore the stream from a backup (rig restore)",
        log.stream(),
        last.seq
    ))
}

impl Sealed {
    /// Returns true if `cut`, at the head, is where this seal leads.
    fn fits(&self, cut: &Cut) -> bool {
        // A seal changes no state. Where events follow it, the fold has passed it, or the checkpoint has its own checksum.
        self.after == cut.chain && (self.seq != cut.state.seq || self.seal.state == cut.state.hash())
    }
}

/// Checks that the hub's keys made the signatures of a seal, over this stream and epoch. A key that the hub does not have may have
/// been removed: that is only logged.
fn signed(log: &dyn EventLog, last: &Sealed, keys: &Keyring) -> Result<(), String> {
    let (stream, epoch, seq) = (log.stream(), log.epoch(), last.seq);
    let LogSealed { upto, chain, state, signatures } = &last.seal;
    let claim = Claim { stream, epoch, upto: *upto, chain, state, point: Point::Seal };
    for signature in signatures {
        let key = &signature.key_id;
        match keys.check(&claim, signature) {
            Checked::Valid => {}
            Checked::Forged => {
                return Err(format!(
                    "stream {stream}, seq {seq}: the signature of this seal is not by key {key} over this stream and epoch: keys/signing or \
                     stream.json was changed. Restore it from a backup; a new key needs a new id"
                ));
            }
            Checked::UnknownKey => {
                tracing::warn!(%stream, seq, key, "the last seal is signed by a key that the hub does not have: it was removed from keys/signing, or changed");
            }
        }
    }
    Ok(())
}

/// The newest seal, if there is one among the last events.
async fn last_seal(log: &dyn EventLog) -> Result<Option<Sealed>, String> {
    let (first, head) = (log.first_seq(), log.head());
    let (mut look, mut to) = (LOOK_FIRST, head);
    let mut found = None;
    while found.is_none() && to >= first && head - to < LOOK {
        let from = to.saturating_sub(look - 1).max(first);
        let mut next = from;
        while next <= to {
            let lines = log.read(next, to, READ_BYTES).await.map_err(|e| e.to_string())?;
            if lines.is_empty() {
                return Ok(None);
            }
            for (seq, line) in lines.iter() {
                if let Some(seal) = seal(log, seq, line)? {
                    found = Some((seq, seal));
                }
            }
            next = lines.last_seq() + 1;
        }
        (look, to) = (look * 2, from - 1);
    }
    let Some((at, seal)) = found else { return Ok(None) };
    let bad = || format!("stream {}, seq {at}: the chain of this seal is not a hash", log.stream());
    let mut after: Chain = seal.chain.parse().map_err(|_| bad())?;
    let mut next = at;
    while next <= head {
        let lines = log.read(next, head, READ_BYTES).await.map_err(|e| e.to_string())?;
        if lines.is_empty() {
            return Ok(None);
        }
        lines.iter().for_each(|(_, line)| after.push(line));
        next = lines.last_seq() + 1;
    }
    Ok(Some(Sealed { seq: at, seal, after }))
}

/// Returns the seal that a line is, if it is one.
fn seal(log: &dyn EventLog, seq: Seq, line: &[u8]) -> Result<Option<LogSealed>, String> {
    // Nearly all lines are something else, and to parse them all takes longer than to read them.
    if memchr::memmem::find(line, b"log.sealed").is_none() {
        return Ok(None);
    }
    let at = |e: rig_event::Error| format!("stream {}, seq {seq}: {e}", log.stream());
    if Head::parse(line).map_err(at)?.type_name != "log.sealed" {
        return Ok(None);
    }
    match Envelope::parse(line).map_err(at)?.event {
        Event::LogSealed(seal) if seal.upto + 1 == seq => Ok(Some(seal)),
        _ => {
            Err(format!("stream {}, seq {seq}: this seal covers another event: it was changed", log.stream()))
        }
    }
}
