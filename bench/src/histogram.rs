//! Latencies, counted in buckets of about 1.5 % width.

use std::time::Duration;

/// How often which latency was seen.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

/// Values below this have a bucket each; above it there are so many buckets for each power of two.
const FINE: u64 = 64;

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: vec![0; 60 * FINE as usize], count: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts a latency in nanoseconds.
    pub fn add(&mut self, nanos: u64) {
        self.buckets[bucket(nanos)] += 1;
        self.count += 1;
        self.max = self.max.max(nanos);
    }

    /// Counts a latency.
    pub fn add_time(&mut self, time: Duration) {
        self.add(time.as_nanos() as u64);
    }

    /// Adds what another one has.
    pub fn merge(&mut self, other: &Histogram) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(mine, theirs)| *mine += theirs);
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// The latency in milliseconds that this share of all did not pass.
    pub fn ms(&self, share: f64) -> f64 {
        let rank = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (i, n) in self.buckets.iter().enumerate() {
            seen += n;
            if *n > 0 && seen >= rank {
                return lowest(i).min(self.max) as f64 / 1e6;
            }
        }
        self.max as f64 / 1e6
    }
}

fn bucket(value: u64) -> usize {
    if value < FINE {
        return value as usize;
    }
    let power = u64::from(63 - value.leading_zeros());
    ((power - 5) * FINE + (value >> (power - 6)) % FINE) as usize
}

fn lowest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < FINE { bucket } else { (FINE + bucket % FINE) << (bucket / FINE - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_counted_in_it() {
        for value in [0, 1, 63, 64, 65, 127, 128, 1000, 123_456_789, u64::MAX >> 1] {
            let lowest = lowest(bucket(value));
            assert!(lowest <= value && value - lowest <= value / 64, "{value}: {lowest}");
        }
    }

    #[test]
    fn shares_are_ranks() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|ms| histogram.add(ms * 1_000_000));
        assert!((histogram.ms(0.5) - 50.0).abs() < 1.0);
        assert!((histogram.ms(0.99) - 99.0).abs() < 2.0);
    }
}
