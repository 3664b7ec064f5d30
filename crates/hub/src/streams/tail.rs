//! The last stretch of a stream as prepared SSE frames, shared by every subscriber that has kept up.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use bytes::Bytes;
use rig_event::{Epoch, Seq, type_of};
use rig_recorder::Lines;
use serde_json::json;

/// The number of bytes of frames that are kept.
const TAIL_BYTES: usize = 8 << 20;

/// Consecutive events as SSE frames, in one buffer.
#[derive(Clone, Debug)]
pub(crate) struct Frames {
    pub(crate) first_seq: Seq,
    bytes: Bytes,
    ends: Vec<u32>,
}

impl Frames {
    /// Prepares the frames of some lines. A line's type is told by the line itself; an empty one stands for an event that is
    /// not there.
    pub(crate) fn of(epoch: &Epoch, lines: &Lines) -> Frames {
        let mut bytes = Vec::with_capacity(lines.bytes.len() + lines.len() * 96);
        let mut ends = Vec::with_capacity(lines.len());
        let id = format!("id: {epoch}:");
        for (seq, line) in lines.iter() {
            if line.is_empty() {
                let gap = json!({ "from": seq, "to": seq, "reason": "it is not in the recording" });
                bytes.extend_from_slice(format!("event: gap\ndata: {gap}\n\n").as_bytes());
                ends.push(bytes.len() as u32);
                continue;
            }
            bytes.extend_from_slice(id.as_bytes());
            put_number(&mut bytes, seq);
            bytes.extend_from_slice(b"\nevent: ");
            bytes.extend_from_slice(type_of(line));
            bytes.extend_from_slice(b"\ndata: ");
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(b"\n\n");
            ends.push(bytes.len() as u32);
        }
        Frames { first_seq: lines.first_seq, bytes: bytes.into(), ends }
    }

    pub(crate) fn last_seq(&self) -> Seq {
        self.first_seq + self.ends.len() as Seq - 1
    }

    /// All frames from `seq` on, in one piece.
    pub(crate) fn from(&self, seq: Seq) -> Bytes {
        let skip = seq.saturating_sub(self.first_seq) as usize;
        self.bytes.slice(self.start(skip)..)
    }

    /// The frames from `seq` on, one by one, each with its line.
    pub(crate) fn each(&self, seq: Seq) -> impl Iterator<Item = (Bytes, &[u8])> {
        let skip = seq.saturating_sub(self.first_seq) as usize;
        (skip..self.ends.len()).map(|i| {
            let (start, end) = (self.start(i), self.ends[i] as usize);
            let frame = &self.bytes[start..end];
            let line = memchr::memmem::find(frame, b"\ndata: ")
                .map_or(&frame[..0], |at| &frame[at + 7..frame.len() - 2]);
            (self.bytes.slice(start..end), line)
        })
    }

    fn start(&self, i: usize) -> usize {
        if i == 0 { 0 } else { self.ends[i - 1] as usize }
    }
}

/// Writes a number. The formatting machinery takes as long for it as all the rest of a frame takes.
fn put_number(bytes: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return bytes.extend_from_slice(&digits[start..]);
        }
    }
}

/// Maximum number of stretches that are read from the log at the same time, for all subscribers of a stream.
const READING: usize = 2;

/// The number of stretches that are remembered before those that nobody holds are forgotten.
const MAX_STRETCHES: usize = 64;

/// Stretches of the log that subscribers hold who are behind: those at the same place share one.
pub(crate) struct Stretches {
    /// By their first seq.
    held: Mutex<HashMap<Seq, Weak<Frames>>>,
    reading: tokio::sync::Semaphore,
}

impl Default for Stretches {
    fn default() -> Self {
        Stretches { held: Mutex::default(), reading: tokio::sync::Semaphore::new(READING) }
    }
}

impl Stretches {
    /// Returns the stretch that begins with `seq`: the one that somebody holds, or else what `read` returns.
    pub(crate) async fn get<E>(
        &self,
        seq: Seq,
        read: impl Future<Output = Result<Option<Frames>, E>>,
    ) -> Result<Option<Arc<Frames>>, E> {
        if let Some(held) = self.held(seq) {
            return Ok(Some(held));
        }
        // It is never closed.
        let _turn = self.reading.acquire().await;
        if let Some(held) = self.held(seq) {
            return Ok(Some(held));
        }
        let Some(frames) = read.await?.map(Arc::new) else { return Ok(None) };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MAX_STRETCHES {
            held.retain(|_, stretch| stretch.strong_count() > 0);
        }
        held.insert(seq, Arc::downgrade(&frames));
        Ok(Some(frames))
    }

    fn held(&self, seq: Seq) -> Option<Arc<Frames>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).get(&seq)?.upgrade()
    }
}

/// The frames of a stream's last events.
#[derive(Default)]
pub(crate) struct Tail(RwLock<Kept>);

#[derive(Default)]
struct Kept {
    frames: VecDeque<Arc<Frames>>,
    bytes: usize,
}

impl Tail {
    /// Adds the frames that follow the last ones.
    pub(crate) fn push(&self, frames: Frames) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += frames.bytes.len();
        kept.frames.push_back(Arc::new(frames));
        while kept.bytes > TAIL_BYTES && kept.frames.len() > 1 {
            if let Some(old) = kept.frames.pop_front() {
                kept.bytes -= old.bytes.len();
            }
        }
    }

    /// Lets go of everything: nobody follows.
    pub(crate) fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }

    /// The frames that hold `seq`, if they are still kept.
    pub(crate) fn get(&self, seq: Seq) -> Option<Arc<Frames>> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let at = kept.frames.partition_point(|frames| frames.last_seq() < seq);
        kept.frames.get(at).filter(|frames| frames.first_seq <= seq).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(first: Seq, n: Seq) -> Frames {
        let text: String = (first..first + n)
            .map(|seq| format!("{{\"seq\":{seq},\"ts\":\"2026-11-20T10:30:05.412803Z\",\"type\":\"a.b\"}}\n"))
            .collect();
        Frames::of(&"e1".parse().unwrap(), &Lines::split(first, text))
    }

    #[test]
    fn a_frame_is_id_type_and_line() {
        let frames = frames(4, 2);
        let text = String::from_utf8(frames.from(5).to_vec()).unwrap();
        let line = r#"{"seq":5,"ts":"2026-11-20T10:30:05.412803Z","type":"a.b"}"#;
        assert_eq!(text, format!("id: e1:5\nevent: a.b\ndata: {line}\n\n"));
        let each: Vec<_> =
            frames.each(5).map(|(frame, line)| (frame, String::from_utf8(line.to_vec()).unwrap())).collect();
        assert_eq!(each, [(frames.from(5), line.to_owned())]);
    }

    #[tokio::test]
    async fn subscribers_at_the_same_place_share_what_was_read() {
        let stretches = Stretches::default();
        let read = async |first| Ok::<_, ()>(Some(frames(first, 2)));
        let one = stretches.get(1, read(1)).await.unwrap().unwrap();
        let two =
            stretches.get(1, async { panic!("it is read again") as Result<_, ()> }).await.unwrap().unwrap();
        assert!(Arc::ptr_eq(&one, &two));
        drop((one, two));
        assert_eq!(stretches.get(1, read(1)).await.unwrap().unwrap().first_seq, 1, "nobody held it");
        for seq in 2..200 {
            stretches.get(seq, read(seq)).await.unwrap();
        }
        assert!(stretches.held.lock().unwrap().len() <= MAX_STRETCHES);
    }

    #[test]
    fn the_tail_finds_what_it_still_has() {
        let tail = Tail::default();
        tail.push(frames(1, 3));
        tail.push(frames(4, 1));
        assert_eq!(tail.get(1).unwrap().first_seq, 1);
        assert_eq!(tail.get(3).unwrap().first_seq, 1);
        assert_eq!(tail.get(4).unwrap().first_seq, 4);
        assert!(tail.get(5).is_none());
    }
}
