//! The model against the timeline.
