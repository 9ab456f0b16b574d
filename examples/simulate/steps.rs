//! How much of a limit was used, as a step function of time.

use std::time::Duration;

/// The share of something that was used, from 0 to 1: each holds from its time on until the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Steps(Vec<(Duration, f64)>);

/// A stretch of time, the end not included.
pub(crate) type Stretch = std::ops::Range<Duration>;

impl Steps {
    /// From `at` on, so much of the limit is used. In order of time.
    pub(crate) fn push(&mut self, at: Duration, used: u64, limit: u64) {
        let share = (used as f64 / limit as f64).min(1.0);
        match self.0.last_mut() {
            Some(last) if last.1 == share => {}
            Some(last) if last.0 == at => last.1 = share,
            _ => self.0.push((at, share)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The share of the limit that was used most at each moment, on average over the stretches; `None` where there are none.
///
/// The one that is used most is the one that holds requests back, and it may be another at each moment.
pub(crate) fn highest_on_average(limits: &[Steps], stretches: &[Stretch]) -> Option<f64> {
    let mut times: Vec<_> = limits
        .iter()
        .flat_map(|steps| steps.0.iter().map(|(at, _)| *at))
        .collect();
    times.extend(
        stretches
            .iter()
            .flat_map(|stretch| [stretch.start, stretch.end]),
    );
    times.sort_unstable();
    times.dedup();
    let mut readers: Vec<_> = limits.iter().map(Reader::new).collect();
    let mut stretches = stretches.iter().peekable();
    let (mut used, mut total) = (0.0, 0.0);
    for moment in times.windows(2) {
        let (from, to) = (moment[0], moment[1]);
        // Each is asked at every moment, for a reader only goes on.
        let shares = readers.iter_mut().map(|reader| reader.share_at(from));
        let highest = shares.fold(0.0, f64::max);
        while stretches.next_if(|stretch| stretch.end <= from).is_some() {}
        if stretches
            .peek()
            .is_some_and(|stretch| stretch.start <= from)
        {
            let seconds = (to - from).as_secs_f64();
            used += highest * seconds;
            total += seconds;
        }
    }
    (total > 0.0).then(|| used / total)
}

/// Reads steps at times that go on.
struct Reader<'a> {
    rest: &'a [(Duration, f64)],
    share: f64,
}

impl<'a> Reader<'a> {
    fn new(steps: &'a Steps) -> Self {
        Self {
            rest: &steps.0,
            share: 0.0,
        }
    }

    fn share_at(&mut self, time: Duration) -> f64 {
        while let [(at, share), rest @ ..] = self.rest
            && *at <= time
        {
            (self.share, self.rest) = (*share, rest);
        }
        self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn steps(steps: &[(u64, u64)]) -> Steps {
        let mut made = Steps::default();
        steps
            .iter()
            .for_each(|(at, percent)| made.push(seconds(*at), *percent, 100));
        made
    }

    #[test]
    fn only_what_is_used_while_somebody_waits_is_looked_at() {
        let limit = steps(&[(0, 10), (10, 80), (20, 0)]);
        let stretch = seconds(10)..seconds(20);
        assert_eq!(
            highest_on_average(std::slice::from_ref(&limit), &[stretch]),
            Some(0.8)
        );
        assert_eq!(highest_on_average(&[limit], &[]), None);
    }

    #[test]
    fn the_limit_that_is_used_most_may_change() {
        let limits = [steps(&[(0, 100), (10, 20)]), steps(&[(0, 40), (10, 60)])];
        let share = highest_on_average(&limits, &[seconds(0)..seconds(20)]);
        assert_eq!(share, Some(0.8));
    }

    #[test]
    fn a_share_above_the_limit_counts_as_all_of_it() {
        let share = highest_on_average(&[steps(&[(0, 250)])], &[seconds(0)..seconds(1)]);
        assert_eq!(share, Some(1.0));
    }
}
