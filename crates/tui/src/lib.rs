//! The terminal player: a recording or a live stream, event by event, with everything that is known at each.
//!
//! It draws, reads keys, and does no other I/O: the timeline comes in, and what is new of it through a channel ([`News`]), so
//! that the first frame is there at once and a large file is indexed while it is shown. Three parts that know each other in
//! one direction only: [`state`] (the model: [`Player::update`] takes a [`Message`]), [`input`] (keys and mouse to messages,
//! by the table [`state::keys`] that is also the help page), [`view`] (the model to a frame; one file a pane). [`run`] ties them to a terminal:
//! at most thirty frames a second, and none when nothing changed.
//!
//! ```
//! use std::sync::Arc;
//! use rig_replay::Timeline;
//! use rig_tui::{Message, Options, Player};
//!
//! let bytes = br#"{"seq":1,"ts":"2026-11-20T10:30:05Z","type":"service.ready","service":"a"}"#.to_vec();
//! let mut timeline = Timeline::new(Arc::new(bytes.clone()), "demo");
//! timeline.index(bytes.len() as u64, true)?;
//! let options = Options { source: "demo".into(), total: None, live: false, follow: false, at: None, speed: None, colour: true };
//! let mut player = Player::new(timeline, options)?;
//! player.update(Message::End);
//! assert_eq!(player.state().service("a").unwrap().status.as_deref(), Some("ready"));
//! # Ok::<(), rig_replay::Error>(())
//! ```

pub mod input;
mod run;
pub mod state;
pub mod text;
pub mod theme;
pub mod view;

pub use run::{Error, run};
pub use state::{Effect, Message, News, Options, Player};
