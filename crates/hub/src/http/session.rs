//! A session file of a stretch of a stream: a copy of its lines between a header and a footer.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use axum::body::{Body, Bytes};
use futures_util::stream::BoxStream;
use rig_event::session::{Checkpoint, Header, Outcome, VERSION};
use rig_event::{Seq, Timestamp};
use rig_recorder::session::{Output, SessionWriter};
use rig_recorder::{Claim, EventLog as _, Keyring, Point};
use serde_json::value::to_raw_value;

use crate::options::READ_BYTES;
use crate::problem::Problem;
use crate::streams::{Cut, PlaybackLog, Stream};

/// The stretch that is wanted, and its form.
pub(crate) struct Stretch {
    pub(crate) from: Seq,
    pub(crate) to: Seq,
    pub(crate) zstd: bool,
    pub(crate) outcome: Outcome,
    pub(crate) now: Timestamp,
}

/// Returns the session file as a body. If reading fails midway, the file has no footer and so is visibly incomplete.
///
/// The footer is signed: it proves where the file ends, which the last seal does not.
pub(crate) async fn body(stream: Arc<Stream>, keys: Arc<Keyring>, stretch: Stretch) -> Result<Body, Problem> {
    if let Some(log) = stream.recording.clone().filter(|log| log.is_rigd()) {
        return rigd_log(stream, log, stretch).await;
    }
    let Stretch { from, to, zstd, outcome, now } = stretch;
    let last = stream.cut_at(to).await?;
    let sign = |cut: &Cut, point| {
        let (stream, epoch, upto) = (&stream.name, &stream.epoch, cut.state.seq);
        let (chain, state) = (&cut.chain.to_string(), &cut.state.hash());
        keys.sign(&Claim { stream, epoch, upto, chain, state, point })
    };
    let signature = sign(&last, Point::End(outcome));
    drop(last);
    let before = stream.cut_at(from - 1).await?;
    let header = Header {
        v: VERSION,
        session: format!("{}-{}-{from}-{to}", stream.name, stream.epoch),
        stream: stream.name.clone(),
        epoch: stream.epoch.clone(),
        first_seq: from,
        chain: before.chain.to_string(),
        started: now,
        rig: env!("CARGO_PKG_VERSION").to_owned(),
        scrubbed: None,
    };
    let checkpoint = match from {
        1 => None,
        _ => Some(Checkpoint {
            seq: from - 1,
            hash: before.state.hash(),
            state: to_raw_value(&before.state.view(stream.name.as_str()))
                .map_err(|e| defect(e.to_string()))?,
            signatures: sign(&before, Point::Beginning(before.state.ts)).into_iter().collect(),
        }),
    };
    drop(before);
    let writer = SessionWriter::new(output(zstd)?, &header, checkpoint.as_ref());
    let mut writer = writer.map_err(|e| defect(e.to_string()))?;
    // The first lines are read before the response begins, so that an error becomes a problem response and not a broken
    // connection.
    let mut first = Some(stream.read(from, to, READ_BYTES).await?);
    let pieces = try_stream! {
        let mut next = from;
        while next <= to {
            let lines = match first.take() {
                Some(lines) => lines,
                None => stream.log.read(next, to, READ_BYTES).await.map_err(io::Error::other)?,
            };
            if lines.is_empty() {
                Err(io::Error::other("the log ends before its head"))?;
            }
            next = lines.last_seq() + 1;
            writer.write(&lines)?;
            let ready = std::mem::take(writer.get_mut().get_mut());
            if !ready.is_empty() {
                yield Bytes::from(ready);
            }
        }
        signature.into_iter().for_each(|signature| writer.sign(signature));
        let output = writer.finish(outcome, Duration::ZERO)?;
        let rest: io::Result<Vec<u8>> = output.finish();
        yield Bytes::from(rest?);
    };
    Ok(Body::from_stream::<BoxStream<'static, io::Result<Bytes>>>(Box::pin(pieces)))
}

/// Returns a stretch of a log of rigd, which is a log of rigd too: its lines could not be read in a session file.
async fn rigd_log(stream: Arc<Stream>, log: Arc<PlaybackLog>, stretch: Stretch) -> Result<Body, Problem> {
    let Stretch { from, to, zstd, .. } = stretch;
    let mut output = output(zstd)?;
    let header = log.rigd_header().filter(|_| from == stream.first_seq());
    let mut first = Some(stream.read(from, to, READ_BYTES).await?);
    let pieces = try_stream! {
        output.write_all(&header.unwrap_or_default())?;
        let mut next = from;
        while next <= to {
            let lines = match first.take() {
                Some(lines) => lines,
                None => log.read(next, to, READ_BYTES).await.map_err(io::Error::other)?,
            };
            if lines.is_empty() {
                Err(io::Error::other("the recording ends before its head"))?;
            }
            next = lines.last_seq() + 1;
            for (_, line) in lines.iter().filter(|(_, line)| !line.is_empty()) {
                output.write_all(line)?;
                output.write_all(b"\n")?;
            }
            yield Bytes::from(std::mem::take(output.get_mut()));
        }
        let rest: io::Result<Vec<u8>> = output.finish();
        yield Bytes::from(rest?);
    };
    Ok(Body::from_stream::<BoxStream<'static, io::Result<Bytes>>>(Box::pin(pieces)))
}

fn output(zstd: bool) -> Result<Output<Vec<u8>>, Problem> {
    let output = if zstd { Output::zstd(Vec::new()) } else { Ok(Output::Plain(Vec::new())) };
    output.map_err(|e| defect(e.to_string()))
}

fn defect(why: String) -> Problem {
    Problem::internal("defect", why)
}
