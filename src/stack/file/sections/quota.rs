//! `quota`: limits that all hold at once.

use std::time::Duration;

use crate::{
    outcome::Dimension,
    rate_limit::{Amount, Limit, Quota},
    stack::{
        file::{
            field::{Draft, Field, Form, Table},
            reading::{Reading, Spot},
            section::Item,
            value::{Period, Rate},
        },
        zone::zone,
    },
};

#[derive(Clone, Debug, Default)]
pub(crate) struct QuotaDraft {
    limits: Vec<(Dimension, LimitDraft)>,
    max_concurrent: Option<u32>,
    min_interval: Duration,
    max_tokens_per_request: Option<u64>,
    keep_estimates: bool,
    steady: bool,
    margin: Duration,
    spot: Spot,
}

#[derive(Clone, Debug, Default)]
struct LimitDraft {
    rate: Option<(Rate, Spot)>,
    burst: Option<u64>,
    zone: Option<(String, Spot)>,
    shadow: bool,
}

/// The forms of what a quota counts.
macro_rules! limits {
    ($dimension:expr, $such_as:expr) => {
        &[
            Form::Rate($such_as, |quota, rate, spot| {
                quota.add($dimension, LimitDraft::of(rate, spot))
            }),
            Form::Table(&Item(LIMIT, |quota: &mut QuotaDraft, limit| {
                quota.add($dimension, limit)
            })),
            Form::List(&[
                Form::Rate($such_as, |quota, rate, spot| {
                    quota.add($dimension, LimitDraft::of(rate, spot))
                }),
                Form::Table(&Item(LIMIT, |quota: &mut QuotaDraft, limit| {
                    quota.add($dimension, limit)
                })),
            ]),
        ]
    };
}

pub(crate) const QUOTA: Table<QuotaDraft> = Table(
    "quota",
    &[&[
        Field::new(
            "requests",
            "Requests per period: \"60/minute\", a table, or a list of several. Counted over a window that slides; a month is the calendar's.",
            limits!(Dimension::Requests, "60/minute"),
        ),
        Field::new(
            "tokens",
            "Tokens per period, input and output together.",
            limits!(Dimension::Tokens, "90000/minute"),
        ),
        Field::new(
            "input_tokens",
            "Tokens of prompts per period.",
            limits!(Dimension::InputTokens, "90000/minute"),
        ),
        Field::new(
            "output_tokens",
            "Tokens of answers per period.",
            limits!(Dimension::OutputTokens, "90000/minute"),
        ),
        Field::new(
            "money",
            "Money per period, in the currency of the prices: \"20.00/month\".",
            limits!(Dimension::Money, "20.00/month"),
        ),
        Field::new(
            "max_concurrent",
            "Requests under way at the same time. Default: any number.",
            &[Form::Count(1, u32::MAX as u64, |quota, count| {
                quota.max_concurrent = u32::try_from(count).ok();
            })],
        ),
        Field::new(
            "min_interval",
            "How far apart requests are sent. Default: \"0s\".",
            &[Form::Time(Duration::ZERO, |quota, time| {
                quota.min_interval = time;
            })],
        ),
        Field::new(
            "max_tokens_per_request",
            "The most tokens that one request may cost, input and output together. Default: any number.",
            &[Form::Count(1, u64::MAX, |quota, count| {
                quota.max_tokens_per_request = Some(count);
            })],
        ),
        Field::new(
            "keep_estimates",
            "Whether what was reserved and not used stays taken. Default: false.",
            &[Form::Flag(|quota, flag| quota.keep_estimates = flag)],
        ),
        Field::new(
            "steady",
            "Whether the rate stays as it is after a 429 where no limit is known. Default: false.",
            &[Form::Flag(|quota, flag| quota.steady = flag)],
        ),
        Field::new(
            "margin",
            "How much longer than another a request may be on its way, up to an hour. Default: \"0s\".",
            &[Form::Time(Duration::ZERO, |quota, time| {
                quota.margin = time;
            })],
        ),
    ]],
);

const LIMIT: Table<LimitDraft> = Table(
    "limit",
    &[&[
        Field::required(
            "limit",
            "The amount per period: \"60/minute\".",
            &[Form::Rate("60/minute", |limit, rate, spot| {
                limit.rate = Some((rate, spot));
            })],
        ),
        Field::new(
            "burst",
            "Counts as a token bucket that holds so much.",
            &[Form::Count(1, u64::MAX, |limit, count| {
                limit.burst = Some(count);
            })],
        ),
        Field::new(
            "zone",
            "Counts in periods of the calendar of this zone: \"UTC\", \"UTC-8\", or with the feature `time-zones` a name such as \"America/Los_Angeles\".",
            &[Form::Text(
                "a time zone, such as \"UTC-8\"",
                |limit, text, spot| limit.zone = Some((text.into(), spot)),
            )],
        ),
        Field::new(
            "shadow",
            "Counts and reports only, and holds nobody back. Default: false.",
            &[Form::Flag(|limit, flag| limit.shadow = flag)],
        ),
    ]],
);

impl QuotaDraft {
    fn add(&mut self, dimension: Dimension, limit: LimitDraft) {
        self.limits.push((dimension, limit));
    }

    pub(crate) fn build(&self, reading: &mut Reading<'_>) -> Quota {
        let mut quota = Quota::new()
            .margin(self.margin)
            .min_interval(self.min_interval);
        for (dimension, draft) in &self.limits {
            if let Some(limit) = draft.build(*dimension, reading) {
                quota = quota.limit(limit);
            }
        }
        if let Some(requests) = self.max_concurrent {
            quota = quota.max_concurrent(requests);
        }
        if let Some(tokens) = self.max_tokens_per_request {
            quota = quota.max_tokens_per_request(tokens);
        }
        if self.keep_estimates {
            quota = quota.keep_estimates();
        }
        if self.steady {
            quota = quota.steady();
        }
        // What of it can still be wrong has to do with the whole: too many limits, or too long a margin.
        if let Err(error) = quota.check() {
            let spot = match error.setting() {
                "margin" => self.spot.key("margin"),
                _ => self.spot.clone(),
            };
            reading.unworkable(&spot, &error);
        }
        quota
    }
}

impl LimitDraft {
    fn of(rate: Rate, spot: Spot) -> Self {
        Self {
            rate: Some((rate, spot)),
            ..Self::default()
        }
    }

    fn build(&self, dimension: Dimension, reading: &mut Reading<'_>) -> Option<Limit> {
        let (rate, spot) = self.rate.as_ref()?;
        let Some(amount) = amount(dimension, rate) else {
            let wanted = match dimension {
                Dimension::Money => "an amount of money, such as \"20.00/month\"",
                _ => "a whole number per period, such as \"60/minute\"",
            };
            reading.wrong_at(spot, format!("expected {wanted}, found {}", rate.amount));
            return None;
        };
        let mut limit = match rate.per {
            Period::Time(time) => amount.per(time),
            Period::Month => amount.per_month(),
        };
        if let (Some(_), Some((_, spot))) = (self.burst, &self.zone) {
            reading.wrong_at(
                spot,
                "a limit with `burst` has no calendar: expected one of the two",
            );
        }
        if let Some(burst) = self.burst {
            if rate.per == Period::Month {
                reading.wrong_at(
                    spot,
                    "a month of the calendar has no `burst`: expected a period such as \"30d\"",
                );
            }
            limit = limit.burst(burst);
        }
        if let Some((text, spot)) = &self.zone {
            match zone(text) {
                Ok(zone) => limit = limit.calendar(zone),
                Err(problem) => reading.wrong_at(spot, problem),
            }
        }
        if self.shadow {
            limit = limit.shadow();
        }
        let alone = Quota::new().limit(limit.clone());
        match alone.check() {
            Ok(()) => Some(limit),
            Err(error) => {
                reading.unworkable(spot, &error);
                None
            }
        }
    }
}

fn amount(dimension: Dimension, rate: &Rate) -> Option<Amount> {
    Some(match dimension {
        Dimension::Tokens => Limit::tokens(rate.amount.whole()?),
        Dimension::InputTokens => Limit::input_tokens(rate.amount.whole()?),
        Dimension::OutputTokens => Limit::output_tokens(rate.amount.whole()?),
        Dimension::Money => Limit::money(rate.amount.money()?),
        _ => Limit::requests(rate.amount.whole()?),
    })
}

impl Draft for QuotaDraft {
    fn stands_at(&mut self, spot: Spot) {
        self.spot = spot;
    }
}

impl Draft for LimitDraft {}
