//! Following a stream over any number of connections: resumes exactly where it was, and says what it could not get.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use backon::BackoffBuilder as _;
use rig_event::{Epoch, Seq};
use serde::Deserialize;

use crate::client::{Client, Problem};
use crate::sse::{Frame, Parser};

/// A hub sends a heartbeat every 15 s at least; after three that did not come, the connection is dead.
const SILENCE: Duration = Duration::from_secs(45);

/// The longest wait before the next connection, and the longest that a hub can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const MOST_ASKED: Duration = Duration::from_secs(60);

/// What comes out of a followed stream.
#[derive(Debug)]
pub enum News {
    /// An event, as its line stands in the log.
    Event(String),
    /// Everything up to `head` was given: from here on it is live.
    CaughtUp {
        /// The last seq of the stream at that moment.
        head: Seq,
    },
    /// Nothing new; a filtered stream learns here how far it is.
    Heartbeat {
        /// The last seq of the stream at that moment.
        head: Seq,
    },
    /// Events that were asked for are not there any more.
    Gap {
        /// The first that is missing.
        from: Seq,
        /// The last that is missing.
        to: Seq,
        /// Why.
        reason: String,
    },
    /// The stream is another one than before: it begins again at its first event.
    Reset {
        /// Its epoch.
        epoch: Epoch,
        /// Its head.
        head: Seq,
    },
    /// The connection was lost; the next one is tried after a while.
    Lost {
        /// What happened.
        why: String,
        /// How long it waits.
        wait: Duration,
    },
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            News::Event(line) => f.write_str(line),
            News::CaughtUp { head } => write!(f, "caught up at {head}"),
            News::Heartbeat { head } => write!(f, "still at {head}"),
            News::Gap { from, to, reason } => {
                write!(f, "events {from} to {to} are missing: {}", crate::output::plain(reason))
            }
            News::Reset { epoch, head } => {
                write!(
                    f,
                    "the stream is another one now (epoch {epoch}, head {head}); it begins again at its first event"
                )
            }
            News::Lost { why, wait } => write!(f, "{why}; trying again in {:.1} s", wait.as_secs_f64()),
        }
    }
}

/// What to follow.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The first seq; none: from the next event on.
    pub from: Option<Seq>,
    /// `diff.*,drift.*`; empty: all.
    pub types: String,
    /// Only events about this service; empty: all.
    pub service: String,
}

/// A followed stream.
pub struct Follow {
    client: Client,
    wanted: Wanted,
    /// `epoch:seq` of the last event that was given, or that was passed over by the filter.
    cursor: Option<String>,
    epoch: Option<Epoch>,
    connection: Option<(reqwest::Response, Parser)>,
    base: Duration,
    backoff: Option<backon::ExponentialBackoff>,
}

impl Follow {
    /// Connects, so that what happens from now on is not missed.
    ///
    /// # Errors
    /// When there is no hub, or it has no such stream.
    pub async fn connect(client: Client, wanted: Wanted) -> Result<Follow> {
        let base = Duration::from_millis(250);
        let mut follow =
            Follow { client, wanted, cursor: None, epoch: None, connection: None, base, backoff: None };
        follow.open().await?;
        Ok(follow)
    }

    /// Goes on after an event seen earlier.
    ///
    /// # Errors
    /// As [`Follow::connect`].
    pub async fn resume(client: Client, wanted: Wanted, epoch: &Epoch, seq: Seq) -> Result<Follow> {
        let mut follow = Follow {
            client,
            wanted,
            cursor: Some(format!("{epoch}:{seq}")),
            epoch: Some(epoch.clone()),
            connection: None,
            base: Duration::from_millis(250),
            backoff: None,
        };
        follow.open().await?;
        Ok(follow)
    }

    /// The epoch of the stream, as the hub named it.
    pub fn epoch(&self) -> Option<&Epoch> {
        self.epoch.as_ref()
    }

    /// The next news; `None` when the hub says that there will be no more.
    ///
    /// Dropping the future loses nothing: it may stand in a `select!`.
    ///
    /// # Errors
    /// When the hub refuses what is asked for, or what comes is no event stream.
    pub async fn next(&mut self) -> Result<Option<News>> {
        loop {
            let Some((response, parser)) = &mut self.connection else {
                match self.open().await {
                    Ok(true) => continue,
                    Ok(false) => return Ok(None),
                    Err(error) => {
                        let problem = error.downcast_ref::<Problem>();
                        // What the hub understood and refused will be refused again.
                        if problem.is_some_and(|problem| !problem.is_passing()) {
                            return Err(error);
                        }
                        let asked = problem.and_then(|problem| problem.wait);
                        return Ok(Some(self.lost(crate::output::chain(&error), asked)));
                    }
                }
            };
            if let Some(frame) = parser.next_frame() {
                if let Some(retry) = parser.retry() {
                    self.base = retry;
                }
                if let Some(news) = self.take(frame)? {
                    return Ok(Some(news));
                }
                continue;
            }
            let why = match tokio::time::timeout(SILENCE, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    parser.push(&chunk)?;
                    continue;
                }
                Ok(Ok(None)) => "the hub closed the connection".to_owned(),
                Ok(Err(error)) => format!("the connection broke: {}", error.without_url()),
                Err(_) => format!("nothing came for {} s", SILENCE.as_secs()),
            };
            self.connection = None;
            return Ok(Some(self.lost(why, None)));
        }
    }

    /// Waits as long as `News::Lost` said; apart from [`Follow::next`], so that it can be interrupted.
    pub async fn wait(news: &News) {
        if let News::Lost { wait, .. } = news {
            tokio::time::sleep(*wait).await;
        }
    }

    /// Says that the connection is lost, and how long to wait: at least as long as the hub `asked`, within reason.
    fn lost(&mut self, why: String, asked: Option<Duration>) -> News {
        let base = self.base.clamp(Duration::from_millis(10), Duration::from_secs(10));
        let backoff = self.backoff.get_or_insert_with(|| {
            backon::ExponentialBuilder::default()
                .with_min_delay(base)
                .with_max_delay(LONGEST_WAIT)
                .with_jitter()
                .without_max_times()
                .build()
        });
        let wait = backoff.next().unwrap_or(LONGEST_WAIT);
        News::Lost { why, wait: wait.max(asked.unwrap_or_default().min(MOST_ASKED)) }
    }

    /// Whether the hub has anything to say.
    async fn open(&mut self) -> Result<bool> {
        let mut query = Vec::new();
        if let (None, Some(from)) = (&self.cursor, self.wanted.from) {
            query.push(("from", from.to_string()));
        }
        for (key, value) in [("types", &self.wanted.types), ("service", &self.wanted.service)] {
            if !value.is_empty() {
                query.push((key, value.clone()));
            }
        }
        let response = self.client.events(self.cursor.as_deref(), &query).await?;
        if response.status() == reqwest::StatusCode::NO_CONTENT {
            return Ok(false);
        }
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        if !header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
            bail!("{} does not answer with an event stream; is it a rig hub?", self.client.source());
        }
        if self.epoch.is_none() {
            self.epoch = header("rig-epoch").and_then(|epoch| epoch.parse().ok());
        }
        let parser = Parser::resuming(self.cursor.as_deref().unwrap_or_default());
        self.connection = Some((response, parser));
        Ok(true)
    }

    fn take(&mut self, frame: Frame) -> Result<Option<News>> {
        #[derive(Deserialize)]
        struct Head {
            head: Seq,
        }
        #[derive(Deserialize)]
        struct Gap {
            from: Seq,
            to: Seq,
            #[serde(default)]
            reason: String,
        }
        #[derive(Deserialize)]
        struct Reset {
            epoch: Epoch,
            head: Seq,
        }
        // Types of events have a dot in them, so that they can't be taken for these.
        let read = "the hub sent a frame that this version of rig does not understand";
        self.backoff = None;
        Ok(Some(match frame.event.as_str() {
            "caught-up" => {
                let Head { head } = serde_json::from_str(&frame.data).context(read)?;
                self.advance(head);
                News::CaughtUp { head }
            }
            "heartbeat" => {
                let Head { head } = serde_json::from_str(&frame.data).context(read)?;
                self.advance(head);
                News::Heartbeat { head }
            }
            "gap" => {
                let Gap { from, to, reason } = serde_json::from_str(&frame.data).context(read)?;
                News::Gap { from, to, reason }
            }
            "reset" => {
                let Reset { epoch, head } = serde_json::from_str(&frame.data).context(read)?;
                self.cursor = None;
                self.wanted.from = Some(1);
                self.epoch = Some(epoch.clone());
                News::Reset { epoch, head }
            }
            "error" => {
                #[derive(Deserialize)]
                struct Fault {
                    detail: String,
                }
                let Fault { detail } = serde_json::from_str(&frame.data).context(read)?;
                bail!("the hub cannot go on: {}", crate::output::plain(&detail));
            }
            event if event.contains('.') => {
                self.cursor = Some(frame.last_id);
                News::Event(frame.data)
            }
            // A kind of frame from a later version.
            _ => return Ok(None),
        }))
    }

    /// Everything up to `head` was sent or filtered out: a resume need not look at it again. Without a filter the events
    /// themselves say how far it is, once there was one.
    fn advance(&mut self, head: Seq) {
        let filtered = !(self.wanted.types.is_empty() && self.wanted.service.is_empty());
        if let Some(epoch) = self.epoch.as_ref().filter(|_| filtered || self.cursor.is_none()) {
            self.cursor = Some(format!("{epoch}:{head}"));
        }
    }
}
