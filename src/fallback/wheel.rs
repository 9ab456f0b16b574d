//! Shares by weight: stride scheduling.

/// Who has had how much of a share. Whoever has the least pass is next, and pays for it by the inverse of its weight.
#[derive(Clone, Debug, Default)]
pub(super) struct Wheel {
    strides: Vec<u64>,
    passes: Vec<u64>,
    /// The pass of whoever was chosen last. Who was away meanwhile goes on from here, and makes up for nothing.
    reached: u64,
}

impl Wheel {
    pub(super) fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let stride = |weight: u32| match weight {
            0 => NEVER,
            weight => (STRIDE / u64::from(weight)).max(1),
        };
        let strides: Vec<u64> = weights.into_iter().map(stride).collect();
        Self {
            // The first turn is earned, too: else everybody would have one before the shares begin to show.
            passes: strides.clone(),
            strides,
            reached: 0,
        }
    }

    /// The pass of this one: the least is next.
    pub(super) fn pass(&self, index: usize) -> u64 {
        self.passes[index].max(self.reached)
    }

    /// This one was chosen.
    pub(super) fn choose(&mut self, index: usize) {
        if self.strides[index] == NEVER {
            return;
        }
        self.reached = self.pass(index);
        self.passes[index] = self.reached + self.strides[index];
        if self.reached > FAR {
            self.begin_anew();
        }
    }

    fn begin_anew(&mut self) {
        for (pass, stride) in self.passes.iter_mut().zip(&self.strides) {
            if *stride != NEVER {
                *pass = pass.saturating_sub(self.reached);
            }
        }
        self.reached = 0;
    }
}

/// What a weight of 1 pays. Large, so that weights of up to a million keep their proportions.
const STRIDE: u64 = 1 << 40;

/// Of weight 0: behind everybody who has one.
const NEVER: u64 = u64::MAX;

/// Far from overflowing still.
const FAR: u64 = 1 << 62;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next(wheel: &mut Wheel, among: impl IntoIterator<Item = usize>) -> usize {
        let chosen = among
            .into_iter()
            .min_by_key(|index| wheel.pass(*index))
            .unwrap();
        wheel.choose(chosen);
        chosen
    }

    #[test]
    fn each_round_is_shared_out_exactly_and_evenly() {
        let mut wheel = Wheel::new([9, 1]);
        let round: Vec<usize> = (0..10).map(|_| next(&mut wheel, [0, 1])).collect();
        assert_eq!(round.iter().filter(|chosen| **chosen == 1).count(), 1);
        let mut even = Wheel::new([2, 1, 1]);
        let round: Vec<usize> = (0..4).map(|_| next(&mut even, 0..3)).collect();
        assert_eq!(round, [0, 0, 1, 2]);
    }

    #[test]
    fn who_was_away_makes_up_for_nothing() {
        let mut wheel = Wheel::new([1, 1]);
        (0..1_000).for_each(|_| assert_eq!(next(&mut wheel, [0]), 0));
        let back: Vec<usize> = (0..6).map(|_| next(&mut wheel, [0, 1])).collect();
        assert_eq!(back.iter().filter(|chosen| **chosen == 1).count(), 3);
    }

    #[test]
    fn a_weight_of_zero_is_chosen_only_where_nobody_else_is() {
        let mut wheel = Wheel::new([0, 1]);
        (0..100).for_each(|_| assert_eq!(next(&mut wheel, [0, 1]), 1));
        assert_eq!(next(&mut wheel, [0]), 0);
    }

    #[test]
    fn the_shares_hold_beyond_the_end_of_the_numbers() {
        let mut wheel = Wheel::new([3, 1, 0]);
        wheel.passes[0] = FAR - 5;
        wheel.passes[1] = FAR - 3;
        wheel.reached = FAR - 9;
        let chosen: Vec<usize> = (0..4_000).map(|_| next(&mut wheel, 0..3)).collect();
        let ones = chosen.iter().filter(|chosen| **chosen == 1).count();
        assert!((999..=1_001).contains(&ones), "{ones}");
        assert!(!chosen.contains(&2));
    }

    #[test]
    fn the_numbers_begin_anew_long_before_their_end() {
        let mut wheel = Wheel::new([1, 1]);
        wheel.passes = vec![FAR + 1, FAR + 1];
        wheel.choose(0);
        assert_eq!([wheel.pass(0), wheel.pass(1)], [STRIDE, 0]);
        wheel.choose(1);
        assert_eq!([wheel.pass(0), wheel.pass(1)], [STRIDE, STRIDE]);
    }

    proptest! {
        // Stride scheduling's promise: nobody is ever more than one turn away from the exact share.
        #[test]
        fn at_any_moment_everybody_is_within_two_turns_of_the_share(
            weights in proptest::collection::vec(1..1_000_u32, 1..6),
            turns in 1..500_usize,
        ) {
            let mut wheel = Wheel::new(weights.clone());
            let mut counts = vec![0_f64; weights.len()];
            for _ in 0..turns {
                counts[next(&mut wheel, 0..weights.len())] += 1.0;
            }
            let total: u32 = weights.iter().sum();
            for (weight, count) in weights.iter().zip(counts) {
                let share = turns as f64 * f64::from(*weight) / f64::from(total);
                let bound = weights.len() as f64;
                prop_assert!((count - share).abs() <= bound, "{count} of {share}");
            }
        }
    }
}
