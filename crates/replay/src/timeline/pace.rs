//! How long to wait between two events of a recording that is played.

use std::time::Duration;

use rig_event::Timestamp;

/// A speed, and how long a pause may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// How many times as fast as it happened; more than 0.
    pub speed: f64,
    /// The longest pause between two events: idle time beyond it is left out. `None`: pauses are as long as they were.
    pub longest: Option<Duration>,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { speed: 1.0, longest: None }
    }
}

impl Pace {
    /// How long to wait after an event of `from` before one of `to`; nothing where time runs backwards.
    pub fn pause(&self, from: Timestamp, to: Timestamp) -> Duration {
        let micros = to.as_micros().saturating_sub(from.as_micros());
        let real = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        let speed = if self.speed.is_finite() && self.speed > 0.0 { self.speed } else { 1.0 };
        let pause = Duration::try_from_secs_f64(real.as_secs_f64() / speed).unwrap_or(Duration::MAX);
        self.longest.map_or(pause, |longest| pause.min(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_left_out_and_the_rest_keeps_its_speed() {
        let at = Timestamp::from_micros;
        let pace = Pace { speed: 2.0, longest: Some(Duration::from_secs(1)) };
        assert_eq!(pace.pause(at(0), at(1_000_000)), Duration::from_millis(500));
        assert_eq!(pace.pause(at(0), at(3_600_000_000)), Duration::from_secs(1));
        assert_eq!(pace.pause(at(5), at(0)), Duration::ZERO);
        assert_eq!(Pace { speed: f64::NAN, longest: None }.pause(at(0), at(7)), Duration::from_micros(7));
    }
}
