//! [`Histogram`]: many times, and how they are spread, in bounded memory.

use std::time::Duration;

/// Counts of times in buckets whose width grows with the time, as in HdrHistogram (<http://hdrhistogram.org>): each power of
/// two of microseconds is cut into 32. What is read from it is at most one part in 32 too high, and never too low.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    /// Empty until something is recorded.
    buckets: Vec<u32>,
    count: u64,
    total: Duration,
    longest: Duration,
}

impl Histogram {
    pub(super) fn record(&mut self, time: Duration) {
        if self.buckets.is_empty() {
            self.buckets = vec![0; BUCKETS];
        }
        let bucket = &mut self.buckets[index(micros(time))];
        *bucket = bucket.saturating_add(1);
        self.count += 1;
        self.total = self.total.saturating_add(time);
        self.longest = self.longest.max(time);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn total(&self) -> Duration {
        self.total
    }

    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// The time that this share of all does not exceed; zero where there are none.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let wanted = (share * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return Duration::from_micros(highest(index)).min(self.longest);
            }
        }
        self.longest
    }
}

fn micros(time: Duration) -> u64 {
    let below_a_second = u64::from(time.subsec_nanos().div_ceil(1_000));
    let whole_seconds = time.as_secs().saturating_mul(1_000_000);
    whole_seconds.saturating_add(below_a_second).min(LONGEST)
}

/// The bucket of a time.
fn index(micros: u64) -> usize {
    if micros < PARTS {
        return micros as usize;
    }
    let power = micros.ilog2() - PARTS.ilog2();
    let part = (micros >> power) - PARTS;
    ((u64::from(power) + 1) * PARTS + part) as usize
}

/// The longest time in a bucket.
fn highest(index: usize) -> u64 {
    let index = index as u64;
    if index < PARTS {
        return index;
    }
    let (power, part) = (index / PARTS - 1, index % PARTS);
    ((PARTS + part + 1) << power) - 1
}

/// Into how many parts each power of two is cut.
const PARTS: u64 = 32;

/// Some 38 hours, in microseconds; what takes longer is counted as that.
const LONGEST: u64 = (1 << 37) - 1;

const BUCKETS: usize = 33 * PARTS as usize;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_time_has_a_bucket_and_the_longest_has_the_last() {
        assert_eq!(index(LONGEST) + 1, BUCKETS);
        assert_eq!(micros(Duration::MAX), LONGEST);
        let mut histogram = Histogram::default();
        histogram.record(Duration::MAX);
        histogram.record(Duration::MAX);
        assert_eq!(histogram.longest(), Duration::MAX);
        assert_eq!(histogram.total(), Duration::MAX);
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn what_is_read_is_never_too_low_and_one_part_in_32_too_high_at_most(micros in 0..=LONGEST) {
            let told = highest(index(micros));
            prop_assert!(told >= micros);
            prop_assert!(told - micros <= micros / 32);
        }

        #[test]
        fn quantiles_are_those_of_the_sorted_times(mut times in prop::collection::vec(0..10_000_000_u64, 1..200)) {
            let mut histogram = Histogram::default();
            times.iter().for_each(|micros| histogram.record(Duration::from_micros(*micros)));
            times.sort_unstable();
            for share in [0.5, 0.9, 0.99, 1.0] {
                let rank = (share * times.len() as f64).ceil() as usize;
                let exact = Duration::from_micros(times[rank - 1]);
                let told = histogram.quantile(share);
                prop_assert!(told >= exact && told <= exact + exact / 32, "{share}: {told:?} for {exact:?}");
            }
        }
    }
}
