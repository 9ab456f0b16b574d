//! What the limits are, what callers do, and whom they wake.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Wake,
};

use proptest::prelude::*;

use crate::{
    cost::Cost,
    outcome::Dimension,
    rate_limit::tests::judge::{Counting, Rule, Rules, Time},
    request::Priority,
};

pub(super) const MS: Time = 1_000_000;

#[derive(Clone, Debug)]
pub(super) enum Step {
    Ask {
        cost: Cost,
        priority: Priority,
    },
    End {
        which: usize,
        how: End,
    },
    /// One who waits goes away.
    Cancel {
        which: usize,
    },
    Pass {
        time: Time,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// The answer tells that it used so many tenths of what was expected.
    Used { tenths: u64 },
    /// The answer tells nothing of its usage.
    Untold,
    /// It could not be sent.
    Unsent,
    /// Its caller goes away.
    Dropped,
}

pub(super) fn rules() -> impl Strategy<Value = Rules> {
    let most = proptest::option::weighted(0.4, 1_u32..5);
    let interval = prop_oneof![3 => Just(0), 1 => MS..200 * MS];
    let margin = prop_oneof![2 => Just(0), 1 => 1..40 * MS];
    let wall = 0..86_400_000 * MS;
    (
        proptest::collection::vec(rule(), 0..4),
        most,
        interval,
        margin,
        any::<bool>(),
        wall,
    )
        .prop_map(
            |(all, max_concurrent, min_interval, margin, keeps_estimates, wall)| Rules {
                all,
                max_concurrent,
                min_interval,
                margin,
                keeps_estimates,
                wall,
            },
        )
}

pub(super) fn rule() -> impl Strategy<Value = Rule> {
    let amount = prop_oneof![
        (1_u64..12).prop_map(|amount| (Dimension::Requests, amount)),
        (40_u64..400).prop_map(|amount| (Dimension::Tokens, amount)),
        (20_u64..200).prop_map(|amount| (Dimension::InputTokens, amount)),
        (20_u64..200).prop_map(|amount| (Dimension::OutputTokens, amount)),
    ];
    let per = prop_oneof![
        Just(100 * MS),
        Just(1_000 * MS),
        Just(6_000 * MS),
        Just(60_000 * MS)
    ];
    let counting = (0_u8..4, 1_u64..300);
    let is_shadow = proptest::bool::weighted(0.15);
    (amount, per, counting, is_shadow).prop_map(
        |((dimension, amount), per, (kind, burst), is_shadow)| {
            let counting = match kind {
                0 => Counting::Bucket {
                    burst: burst * amount / 100 + 1,
                },
                1 => Counting::Calendar,
                _ => Counting::Sliding,
            };
            Rule {
                dimension,
                amount,
                per,
                counting,
                is_shadow,
            }
        },
    )
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let priority = prop_oneof![
        1 => Just(Priority::Low),
        3 => Just(Priority::Normal),
        1 => Just(Priority::High),
    ];
    let ask = (1_u64..60, 1_u64..60, priority);
    let end = prop_oneof![
        4 => (0_u64..20).prop_map(|tenths| End::Used { tenths }),
        1 => Just(End::Untold),
        1 => Just(End::Unsent),
        1 => Just(End::Dropped),
    ];
    let time = prop_oneof![Just(0), 0..50 * MS, 0..2_000 * MS, 0..70_000 * MS];
    let step = prop_oneof![
        6 => ask.prop_map(|(input, output, priority)| Step::Ask { cost: Cost::tokens(input, output), priority }),
        4 => (0_usize..50, end).prop_map(|(which, how)| Step::End { which, how }),
        1 => (0_usize..50).prop_map(|which| Step::Cancel { which }),
        3 => time.prop_map(|time| Step::Pass { time }),
    ];
    proptest::collection::vec(step, 0..120)
}

/// A quarter of the usual number of cases, which `PROPTEST_CASES` sets: each of them is a long one.
pub(super) fn fewer() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases.div_ceil(4),
        ..usual
    }
}

#[derive(Default)]
pub(super) struct Woken(pub(super) AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
