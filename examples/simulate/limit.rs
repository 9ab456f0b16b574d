//! One limit of a scenario, as the upstream counts it and as the client's quota has it.

use std::time::Duration;

use http::HeaderName;
use tower_upstream::{Cost, Limit, outcome::Dimension, rate_limit::Zone};

use crate::{
    counting::Counter,
    fields::{Field, ScenarioError},
};

/// So much of one thing per period, counted in some way.
#[derive(Clone, Debug)]
pub(crate) struct LimitSettings {
    pub(crate) dimension: Dimension,
    pub(crate) amount: u64,
    pub(crate) period: Duration,
    pub(crate) way: Way,
}

/// A way of counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Each taking counts for one period.
    Sliding,
    /// A window opens with the first request after the last one has closed.
    FirstUse,
    /// Set to nothing at midnight of this offset, or at the full hours or minutes.
    Calendar { utc_offset_minutes: i32 },
    /// A token bucket that holds so much.
    Bucket { burst: u64 },
}

impl LimitSettings {
    pub(crate) fn read(field: Field<'_>) -> Result<Self, ScenarioError> {
        let mut object = field.object()?;
        let dimension = object.need("dimension")?.one_of(&DIMENSIONS)?;
        let amount = object.need("amount")?.whole(1)?;
        let per_seconds = object.need("per_seconds")?;
        let period = per_seconds.seconds()?;
        let counting = object.find_or("counting", Way::Sliding, |field| {
            let bucket = Way::Bucket { burst: amount };
            let calendar = Way::Calendar {
                utc_offset_minutes: 0,
            };
            field.one_of(&[
                ("sliding", Way::Sliding),
                ("first_use", Way::FirstUse),
                ("calendar", calendar),
                ("bucket", bucket),
            ])
        })?;
        let way = match counting {
            Way::Bucket { burst } => Way::Bucket {
                burst: object.find_or("burst", burst, |field| field.whole(1))?,
            },
            Way::Calendar { .. } if !DAY.as_nanos().is_multiple_of(period.as_nanos()) => {
                return Err(per_seconds.expected("a period that a day is made of"));
            }
            Way::Calendar { .. } => Way::Calendar {
                utc_offset_minutes: object.find_or("utc_offset_minutes", 0, offset)?,
            },
            way => way,
        };
        object.end()?;
        Ok(Self {
            dimension,
            amount,
            period,
            way,
        })
    }

    /// The empty count of it; `phase` is how much of the day had passed, in UTC, when the simulation began.
    pub(crate) fn counter(&self, phase: Duration) -> Counter {
        Counter::new(self.amount, self.period, self.way, phase)
    }

    /// The limit that a client sets who keeps to it.
    pub(crate) fn for_client(&self) -> Limit {
        let amount = match self.dimension {
            Dimension::Requests => Limit::requests(self.amount),
            Dimension::InputTokens => Limit::input_tokens(self.amount),
            Dimension::OutputTokens => Limit::output_tokens(self.amount),
            _ => Limit::tokens(self.amount),
        };
        match self.way {
            Way::Sliding | Way::FirstUse => amount.per(self.period),
            Way::Calendar { utc_offset_minutes } => {
                let zone = Zone::utc_offset(utc_offset_minutes);
                amount.per(self.period).calendar(zone)
            }
            Way::Bucket { burst } => amount.per(self.period).burst(burst),
        }
    }

    /// How much of it a request of this cost takes.
    pub(crate) fn amount_of(&self, cost: Cost) -> u64 {
        match self.dimension {
            Dimension::Requests => 1,
            Dimension::InputTokens => cost.input_tokens,
            Dimension::OutputTokens => cost.output_tokens,
            _ => cost.total_tokens(),
        }
    }

    /// The header that tells this of it: `limit`, `remaining` or `reset`.
    pub(crate) fn header(&self, role: &str) -> HeaderName {
        let unit = self.dimension.as_str().replace('_', "-");
        let period = WINDOWS
            .iter()
            .find(|(seconds, _)| Duration::from_secs(*seconds) == self.period);
        let period = period.map_or("", |(_, name)| name);
        let name = format!("x-ratelimit-{role}-{unit}{period}");
        name.parse().expect("a valid name")
    }
}

impl std::fmt::Display for LimitSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = self.dimension.as_str().replace('_', " ");
        write!(f, "{} {unit} per {:?}", self.amount, self.period)
    }
}

fn offset(field: Field<'_>) -> Result<i32, ScenarioError> {
    let is_offset = |minutes: f64| minutes.fract() == 0.0 && minutes.abs() <= 1_080.0;
    let minutes = field.number(is_offset, "a whole number from -1080 to 1080")?;
    Ok(minutes as i32)
}

const DIMENSIONS: [(&str, Dimension); 4] = [
    ("requests", Dimension::Requests),
    ("tokens", Dimension::Tokens),
    ("input_tokens", Dimension::InputTokens),
    ("output_tokens", Dimension::OutputTokens),
];

const WINDOWS: [(u64, &str); 4] = [
    (1, "-second"),
    (60, "-minute"),
    (3_600, "-hour"),
    (86_400, "-day"),
];

const DAY: Duration = Duration::from_secs(86_400);
