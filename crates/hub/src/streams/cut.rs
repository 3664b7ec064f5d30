//! State and chain at a seq: where a fold can begin, kept as checkpoints and found again.

use rig_event::{Envelope, Epoch, Event, Seq, StreamName};
use rig_recorder::{Chain, EventLog, StreamIndex, checked};
use rig_replay::State;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::options::READ_BYTES;

/// A state with the chain at its seq: where a fold can begin.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    pub(crate) state: State,
    pub(crate) chain: Chain,
}

/// A cut as it is written.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    chain: String,
    state: Box<RawValue>,
}

impl Cut {
    /// The cut before the first event.
    pub(crate) fn genesis(stream: &StreamName, epoch: &Epoch) -> Cut {
        Cut { state: State::default(), chain: Chain::genesis(stream, epoch) }
    }

    /// Returns the cut as it is kept, with a checksum.
    pub(crate) fn to_json(&self, stream: &StreamName) -> Result<Vec<u8>, String> {
        let state = serde_json::to_string(&self.state.view(stream.as_str())).and_then(RawValue::from_string);
        let cut =
            state.and_then(|state| serde_json::to_vec(&Checkpoint { chain: self.chain.to_string(), state }));
        cut.map(checked::with_checksum).map_err(|e| e.to_string())
    }

    pub(crate) fn from_json(json: &[u8]) -> Result<Cut, String> {
        checked::check(json).map_err(|e| e.to_string())?;
        let kept: Checkpoint = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        let state = State::from_json(kept.state.get().as_bytes()).map_err(|e| e.to_string())?;
        let chain = kept.chain.parse().map_err(|_| "its chain is no hash".to_owned())?;
        Ok(Cut { state, chain })
    }
}

/// Keeps a cut in the index.
pub(crate) fn put_checkpoint(index: &StreamIndex, stream: &StreamName, cut: &Cut) -> Result<(), String> {
    index.put_checkpoint(cut.state.seq, &cut.to_json(stream)?).map_err(|e| e.to_string())
}

/// The nearest usable checkpoint at or before `seq`.
fn checkpoint(index: &StreamIndex, seq: Seq) -> Option<Cut> {
    let read = || -> Result<Option<Cut>, String> {
        let Some((at, bytes)) = index.checkpoint(seq).map_err(|e| e.to_string())? else { return Ok(None) };
        let cut = Cut::from_json(&bytes)?;
        if cut.state.seq == at { Ok(Some(cut)) } else { Err("it stands at another seq".to_owned()) }
    };
    read().unwrap_or_else(|why| {
        tracing::warn!(why, seq, "a checkpoint of the index is of no use; folding from the start");
        None
    })
}

/// State and chain at `seq`, folded from the nearest checkpoint, or from `base`.
pub(crate) async fn cut_at(
    log: &dyn EventLog,
    index: Option<&StreamIndex>,
    base: &Cut,
    seq: Seq,
) -> Result<Cut, String> {
    let found = index.and_then(|index| checkpoint(index, seq)).filter(|cut| cut.state.seq >= base.state.seq);
    if let Some(found) = found {
        match fold(log, found, seq).await {
            Ok(cut) => return Ok(cut),
            Err(why) => {
                tracing::warn!(why, seq, "a checkpoint of the index leads nowhere; folding from the start");
            }
        }
    }
    fold(log, base.clone(), seq).await
}

/// Folds the log onto `cut` up to `seq`, holding it against every seal on the way.
async fn fold(log: &dyn EventLog, mut cut: Cut, seq: Seq) -> Result<Cut, String> {
    while cut.state.seq < seq {
        let lines = log.read(cut.state.seq + 1, seq, READ_BYTES).await.map_err(|e| e.to_string())?;
        if lines.is_empty() {
            return Err(format!("event {} of stream {} is missing", cut.state.seq + 1, log.stream()));
        }
        // Folding keeps the thread; in between others may run.
        for (seq, line) in lines.iter() {
            let at = |e: &dyn std::fmt::Display| format!("stream {}, seq {seq}: {e}", log.stream());
            let envelope = Envelope::parse(line).map_err(|e| at(&e))?;
            // The state holds its own hash against that of the seal.
            if let Event::LogSealed(seal) = &envelope.event
                && seal.chain != cut.chain.to_string()
            {
                return Err(at(
                    &"the hash chain of this seal is another: a line before it, stream.json or cut.json was changed",
                ));
            }
            cut.state.apply(&envelope).map_err(|e| at(&e))?;
            cut.chain.push(line);
        }
        tokio::task::yield_now().await;
    }
    Ok(cut)
}
