//! A judge who writes down everything and counts it anew whenever he is asked: slow, plain, and nothing of the limiter's own.

use std::time::Duration;

use super::*;
use crate::outcome::Dimension;

/// Nanoseconds since the limiter was made.
pub(super) type Time = u64;

/// One limit, as the judge is told of it.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) dimension: Dimension,
    pub(super) amount: u64,
    pub(super) per: Time,
    pub(super) counting: Counting,
    pub(super) is_shadow: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Counting {
    Sliding,
    Bucket { burst: u64 },
    Calendar,
}

#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) all: Vec<Rule>,
    pub(super) max_concurrent: Option<u32>,
    pub(super) min_interval: Time,
    pub(super) margin: Time,
    pub(super) keeps_estimates: bool,
    /// The time of day at which the limiter was made.
    pub(super) wall: Time,
}

/// All that was ever admitted, and what became of it.
#[derive(Debug)]
pub(super) struct Judge {
    rules: Rules,
    log: Vec<Entry>,
    /// What went out of each bucket, and came back, in order.
    flows: Vec<Vec<Flow>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Time,
    /// What is charged, by what is known; `None` where it was never sent.
    charged: Option<Cost>,
    is_under_way: bool,
}

/// What went into a bucket, or, below zero, out of it.
#[derive(Clone, Copy, Debug)]
struct Flow {
    at: Time,
    amount: i128,
    /// Whether a request went, and not only its settlement came.
    is_taking: bool,
}

impl Rule {
    pub(super) fn limit(&self) -> Limit {
        let amount = match self.dimension {
            Dimension::Requests => Limit::requests(self.amount),
            Dimension::InputTokens => Limit::input_tokens(self.amount),
            Dimension::OutputTokens => Limit::output_tokens(self.amount),
            _ => Limit::tokens(self.amount),
        };
        let limit = amount.per(Duration::from_nanos(self.per));
        let limit = match self.counting {
            Counting::Sliding => limit,
            Counting::Bucket { burst } => limit.burst(burst),
            Counting::Calendar => limit.calendar(Zone::UTC),
        };
        if self.is_shadow {
            limit.shadow()
        } else {
            limit
        }
    }

    pub(super) fn capacity(&self) -> u64 {
        match self.counting {
            Counting::Bucket { burst } => burst,
            Counting::Sliding | Counting::Calendar => self.amount,
        }
    }

    fn part(&self, cost: Option<Cost>) -> u64 {
        cost.map_or(0, |cost| match self.dimension {
            Dimension::Requests => 1,
            Dimension::InputTokens => cost.input_tokens,
            Dimension::OutputTokens => cost.output_tokens,
            _ => cost.input_tokens + cost.output_tokens,
        })
    }
}

impl Rules {
    pub(super) fn quota(&self) -> Quota {
        let limits = self.all.iter().map(Rule::limit);
        let mut quota = limits.fold(Quota::new(), Quota::limit);
        quota = quota.min_interval(Duration::from_nanos(self.min_interval));
        if let Some(most) = self.max_concurrent {
            quota = quota.max_concurrent(most);
        }
        if self.keeps_estimates {
            quota = quota.keep_estimates();
        }
        quota.margin(Duration::from_nanos(self.margin))
    }

    pub(super) fn is_too_large(&self, cost: Cost) -> bool {
        let binding = self.all.iter().filter(|rule| !rule.is_shadow);
        { binding }.any(|rule| rule.part(Some(cost)) > rule.capacity())
    }

    /// The number of the calendar's period at this time.
    fn period(&self, rule: &Rule, at: Time) -> u64 {
        (self.wall + at) / rule.per
    }
}

impl Judge {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            flows: vec![Vec::new(); rules.all.len()],
            rules,
            log: Vec::new(),
        }
    }

    /// How many were ever admitted.
    pub(super) fn admissions(&self) -> u64 {
        self.log.len() as u64
    }

    /// How many are under way.
    pub(super) fn under_way(&self) -> u32 {
        self.log
            .iter()
            .map(|entry| u32::from(entry.is_under_way))
            .sum()
    }

    /// What is taken of a limit, where what was taken stays counted for so much longer than it must.
    pub(super) fn used(&self, index: usize, now: Time, longer: Time) -> u64 {
        let rule = &self.rules.all[index];
        let is_counted = |at: Time| match rule.counting {
            Counting::Calendar => self.rules.period(rule, at) == self.rules.period(rule, now),
            _ => at + rule.per + self.rules.margin + longer > now,
        };
        if let Counting::Bucket { burst } = rule.counting {
            let per = i128::from(rule.per);
            let missing = i128::from(burst) * per - self.level(index, now);
            return u64::try_from((missing + per - 1) / per).unwrap();
        }
        let counted = self.log.iter().filter(|entry| is_counted(entry.at));
        counted.map(|entry| rule.part(entry.charged)).sum()
    }

    /// Why a request must not be admitted now, if it must not. `slack` is how much longer than it must, of 1000 parts of its
    /// period, a sliding window may count.
    pub(super) fn forbids(&self, cost: Cost, now: Time, slack: u64) -> Option<String> {
        let rules = &self.rules;
        if rules
            .max_concurrent
            .is_some_and(|most| self.under_way() >= most)
        {
            return Some(format!("{} are under way", self.under_way()));
        }
        let latest = self.log.iter().rfind(|entry| entry.charged.is_some());
        let interval = rules.min_interval + rules.margin;
        if rules.min_interval > 0 && latest.is_some_and(|latest| latest.at + interval > now) {
            return Some(format!("too soon after {latest:?}"));
        }
        let binding = rules
            .all
            .iter()
            .enumerate()
            .filter(|(_, rule)| !rule.is_shadow);
        { binding }.find_map(|(index, rule)| {
            let part = rule.part(Some(cost));
            let is_free = match rule.counting {
                Counting::Bucket { .. } => {
                    self.level(index, now) >= i128::from(part) * i128::from(rule.per)
                }
                Counting::Sliding => {
                    self.used(index, now, rule.per * slack / 1_000) + part <= rule.amount
                }
                Counting::Calendar => {
                    // What goes that late may be counted in the next period.
                    let is_late = rules.period(rule, now + rules.margin) > rules.period(rule, now);
                    self.used(index, now, 0) + part <= rule.amount && !is_late
                }
            };
            (!is_free && part > 0).then(|| format!("{rule:?} has no room for {part}"))
        })
    }

    /// Returns the number under which it is written down.
    pub(super) fn admit(&mut self, cost: Cost, now: Time) -> usize {
        for (flows, rule) in self.flows.iter_mut().zip(&self.rules.all) {
            flows.push(Flow {
                at: now,
                amount: -i128::from(rule.part(Some(cost))),
                is_taking: true,
            });
        }
        self.log.push(Entry {
            at: now,
            charged: Some(cost),
            is_under_way: true,
        });
        self.log.len() - 1
    }

    /// A request ends; `used` is what it really cost, nothing at all where it was never sent.
    pub(super) fn end(&mut self, number: usize, used: Option<Cost>, now: Time) {
        let entry = &mut self.log[number];
        entry.is_under_way = false;
        let reserved = entry.charged;
        let more = |a: Cost, b: Cost| {
            Cost::tokens(
                a.input_tokens.max(b.input_tokens),
                a.output_tokens.max(b.output_tokens),
            )
        };
        entry.charged = match (used, reserved) {
            (Some(used), Some(reserved)) if self.rules.keeps_estimates => {
                Some(more(used, reserved))
            }
            _ => used,
        };
        for (flows, rule) in self.flows.iter_mut().zip(&self.rules.all) {
            let (before, after) = (rule.part(reserved), rule.part(entry.charged));
            if before != after {
                flows.push(Flow {
                    at: now,
                    amount: i128::from(before) - i128::from(after),
                    is_taking: false,
                });
            }
        }
    }

    /// What a bucket holds, in units times nanoseconds of its period, reckoned from the beginning.
    fn level(&self, index: usize, now: Time) -> i128 {
        let rule = &self.rules.all[index];
        let (rate, per) = (i128::from(rule.amount), i128::from(rule.per));
        let full = i128::from(rule.capacity()) * per;
        let (mut level, mut since) = (full, 0);
        let mut refill = |level: i128, now: Time| {
            let passed = now - std::mem::replace(&mut since, now);
            full.min(level + i128::from(passed) * rate)
        };
        for flow in &self.flows[index] {
            level = refill(level, flow.at);
            if flow.is_taking {
                // A full bucket does not refill before the margin has passed.
                level = level.min(full - i128::from(self.rules.margin) * rate);
            }
            level = full.min(level + flow.amount * per);
        }
        refill(level, now)
    }
}
