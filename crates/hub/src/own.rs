//! The hub's own stream, `_hub`: read once at the start for all who keep something there, and told to.

use rig_event::{Draft, Envelope, Head, StreamName};

use crate::hub::Hub;
use crate::notify::Past;
use crate::problem::Problem;
use crate::{Error, READ_BYTES};

impl Hub {
    /// Learns which tokens there are, which host keys are pinned and what endpoints were told.
    ///
    /// # Errors
    /// When an event is missing or cannot be read, or says a token that this version cannot understand.
    pub(crate) async fn learn(&self) -> Result<(), Error> {
        let Some(own) = self.get(&StreamName::hub()) else { return Ok(()) };
        let damaged = |seq, why: String| Error::Fold(format!("stream {}: event {seq}: {why}", own.name));
        let mut past = Past::default();
        let (mut next, last) = (own.log.first_seq(), own.head());
        while next <= last {
            let lines =
                own.log.read(next, last, READ_BYTES).await.map_err(|e| damaged(next, e.to_string()))?;
            if lines.is_empty() {
                return Err(damaged(next, "it is missing".to_owned()));
            }
            for (seq, line) in lines.iter() {
                let head = Head::parse(line).map_err(|e| damaged(seq, e.to_string()))?;
                if !is_kept(&head.type_name) {
                    continue;
                }
                let event = Envelope::parse(line).map_err(|e| damaged(seq, e.to_string()))?;
                self.access.tokens.apply(&event.event, event.ts)?;
                self.devices.host_keys.apply(&event.event).await;
                past.apply(event);
            }
            next = lines.last_seq() + 1;
        }
        self.endpoints.recall(past);
        Ok(())
    }

    /// Tells something in the hub's own stream, and waits until it is durable.
    pub(crate) async fn tell(&self, draft: Draft) -> Result<(), Problem> {
        self.stream(StreamName::hub().as_str())?.tell(draft).await.map(drop)
    }
}

/// Whether somebody keeps something in events of that type. Nearly all events of this stream are about something else.
fn is_kept(type_name: &str) -> bool {
    type_name.starts_with("audit.token.")
        || matches!(rig_event::event::family(type_name), "host-key" | "notify")
}
