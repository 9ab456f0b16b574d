//! How many tokens answers use where requests set no maximum.

use super::saved::SavedTypical;

/// A running mean and mean deviation, by which TCP reckons with round trips
/// ([RFC 6298](https://www.rfc-editor.org/rfc/rfc6298), 2): gains of 1/8 and 1/4, and the mean with four deviations is rarely
/// passed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Typical {
    mean: f64,
    deviation: f64,
}

impl Typical {
    /// What is known after the first answer.
    pub(super) fn first(tokens: u64) -> Self {
        let mean = tokens as f64;
        Self {
            mean,
            deviation: mean / 2.0,
        }
    }

    /// Rounded up.
    pub(super) fn save(self) -> SavedTypical {
        SavedTypical {
            mean: self.mean.ceil() as u64,
            deviation: self.deviation.ceil() as u64,
        }
    }

    pub(super) fn restored(saved: SavedTypical) -> Self {
        Self {
            mean: saved.mean as f64,
            deviation: saved.deviation as f64,
        }
    }

    pub(super) fn learn(&mut self, tokens: u64) {
        let error = tokens as f64 - self.mean;
        self.deviation += (error.abs() - self.deviation) / 4.0;
        self.mean += error / 8.0;
    }

    /// As many tokens as few answers use more than.
    pub(super) fn tokens(self) -> u64 {
        (self.mean + 4.0 * self.deviation).ceil() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_answers_use_more_than_what_is_expected_and_it_is_not_far_off() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut typical = Typical::first(400);
        let mut above = 0;
        for _ in 0..1_000 {
            let tokens = random.u64(100..=500);
            above += u32::from(tokens > typical.tokens());
            typical.learn(tokens);
        }
        assert!(above < 20, "{above} of 1000 used more");
        assert!(typical.tokens() < 1_000, "{}", typical.tokens());
    }

    /// RFC 6298, 2.2 and 2.3, worked by hand: the mean moves by an eighth, the deviation by a quarter.
    #[test]
    fn it_follows_answers_as_tcp_follows_round_trips() {
        let mut typical = Typical::first(400);
        assert_eq!(typical.tokens(), 400 + 4 * 200);
        typical.learn(800);
        assert_eq!(typical.tokens(), 450 + 4 * 250);
        typical.learn(50);
        assert_eq!(typical.tokens(), 400 + 1_150, "four times 287.5");
        typical.learn(400);
        // The deviation is 215.625 now; what is kept is rounded up.
        let (mean, deviation) = (400, 216);
        assert_eq!(typical.save(), SavedTypical { mean, deviation });
        let restored = Typical::restored(typical.save());
        assert_eq!(restored.tokens(), 400 + 4 * 216);
    }

    #[test]
    fn no_amount_breaks_it() {
        let mut typical = Typical::first(u64::MAX);
        typical.learn(0);
        typical.learn(u64::MAX);
        assert!(typical.tokens() > 0);
    }
}
