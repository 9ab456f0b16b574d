//! One limit: so much of one thing per period.

use std::{fmt, time::Duration};

use super::{
    calendar::{Every, Zone},
    epoch::Nanos,
};
use crate::instant::nanos;
use crate::{binding::BindingLimit, config_error::ConfigError, money::Money, outcome::Dimension};

/// So much of one thing per period.
///
/// Counted over a sliding window: in no period of that length, wherever it begins, more than the amount is admitted.
/// With [`burst`](Self::burst) it is a token bucket, with [`calendar`](Self::calendar) a count that begins anew at midnight.
///
/// ```
/// use std::time::Duration;
/// use tower_upstream::{Limit, Money};
///
/// let window = Limit::tokens(90_000).per_minute();
/// let bucket = Limit::requests(60).per_minute().burst(10);
/// let budget = Limit::money(Money::from_cents(2_000)).per_month();
/// let odd = Limit::requests(3_000).per(Duration::from_secs(300));
/// assert_eq!(odd.to_string(), "3000 requests per 300s");
/// assert_eq!(budget.to_string(), "20.00 per month");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    pub(super) dimension: Dimension,
    pub(super) amount: u64,
    pub(super) per: Duration,
    pub(super) counting: Counting,
    pub(super) is_shadow: bool,
    /// The minimum interval of a quota, as a limit: one request per interval.
    pub(super) is_spacing: bool,
    /// Whether an upstream told of it, and its period was inferred.
    pub(super) is_inferred: bool,
    period: Nanos,
    margin: Nanos,
}

/// How a limit counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    Sliding,
    Bucket { burst: u64 },
    Calendar { every: Every, zone: Zone },
}

/// An amount that still lacks its period; see [`Limit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Amount {
    dimension: Dimension,
    amount: u64,
}

impl Limit {
    /// So many requests.
    pub fn requests(amount: u64) -> Amount {
        Amount::new(Dimension::Requests, amount)
    }

    /// So many tokens, input and output together.
    pub fn tokens(amount: u64) -> Amount {
        Amount::new(Dimension::Tokens, amount)
    }

    /// So many tokens of prompts.
    pub fn input_tokens(amount: u64) -> Amount {
        Amount::new(Dimension::InputTokens, amount)
    }

    /// So many tokens of answers.
    pub fn output_tokens(amount: u64) -> Amount {
        Amount::new(Dimension::OutputTokens, amount)
    }

    /// So much money. A request without a [`Cost`](crate::Cost) takes nothing: put one into its extensions, or an
    /// [`IntakeLayer`](crate::IntakeLayer) outside. What a request costs is its [`Cost::money`](crate::Cost::money), or is reckoned from its tokens and the
    /// [`Price`](crate::Price) of its upstream.
    pub fn money(amount: Money) -> Amount {
        Amount::new(Dimension::Money, amount.nanos())
    }

    /// A limit that an upstream told of.
    pub(super) fn learned(dimension: Dimension, amount: u64, per: Duration) -> Self {
        Amount { dimension, amount }.per(per)
    }

    /// A limit that an upstream told of, and that refills in so long.
    ///
    /// It may be a window after all, and up to a minute is waited for. Of one of a day something comes back every few minutes.
    pub(super) fn inferred(dimension: Dimension, amount: u64, per: Duration) -> Self {
        let mut limit = Self::learned(dimension, amount, per);
        if per > A_MINUTE {
            limit = limit.burst(amount);
        }
        limit.is_inferred = true;
        limit
    }

    /// The minimum interval between requests, as a limit.
    pub(super) fn spacing(interval: Duration) -> Self {
        let mut limit = Self::requests(1).per(interval);
        limit.is_spacing = true;
        limit
    }

    /// Counts as a token bucket that holds at most `burst`, at least 1: after a pause so much passes at once, and then what
    /// the rate refills. In one period up to the amount and the burst together can pass; the window has no such first period.
    #[must_use]
    pub fn burst(mut self, burst: u64) -> Self {
        self.counting = Counting::Bucket { burst };
        self
    }

    /// Counts in calendar periods, which begin at midnight of this zone, and all at once are free again. For quotas that
    /// reset so, such as Gemini's at midnight Pacific time.
    ///
    /// For a month, a day, and periods that a day is made of: an hour, a minute. Twice the amount can pass around a reset. The
    /// time of day is read when the limiter is made; a machine that slept since is late by that. Of `burst` and `calendar` the
    /// last holds.
    ///
    /// ```
    /// use tower_upstream::{Limit, rate_limit::Zone};
    ///
    /// let daily = Limit::requests(1_500).per_day().calendar(Zone::utc_offset(-8 * 60));
    /// # let _ = daily;
    /// ```
    #[must_use]
    pub fn calendar(mut self, zone: Zone) -> Self {
        let every = match self.counting {
            Counting::Calendar { every, .. } => every,
            _ => Every::Period(self.period),
        };
        self.counting = Counting::Calendar { every, zone };
        self
    }

    /// Counts and reports, and holds nobody back: to see what a limit would do before it does it. What would have waited is
    /// told as [`Event::Shadowed`](crate::observe::Event::Shadowed).
    #[must_use]
    pub fn shadow(mut self) -> Self {
        self.is_shadow = true;
        self
    }

    pub(super) fn set_margin(&mut self, margin: Duration) {
        self.margin = nanos(margin);
    }

    /// The length of its period.
    pub(super) fn period(&self) -> Nanos {
        self.period
    }

    /// How much longer than another a request may be on its way.
    pub(super) fn margin(&self) -> Nanos {
        self.margin
    }

    pub(super) fn is_bucket(&self) -> bool {
        matches!(self.counting, Counting::Bucket { .. })
    }

    /// Whether both count in the same way, and both in shadow mode or neither.
    pub(super) fn counts_like(&self, other: &Self) -> bool {
        let is_same = match (&self.counting, &other.counting) {
            (Counting::Bucket { .. }, Counting::Bucket { .. }) => true,
            (counting, other) => counting == other,
        };
        is_same && self.is_shadow == other.is_shadow
    }

    /// What it is to those whom it holds back.
    pub(super) fn binding(&self) -> BindingLimit {
        match self.is_spacing {
            true => BindingLimit::MinInterval(self.per),
            false => self.rate(),
        }
    }

    fn rate(&self) -> BindingLimit {
        let is_month = matches!(
            self.counting,
            Counting::Calendar {
                every: Every::Month,
                ..
            }
        );
        BindingLimit::Rate {
            dimension: self.dimension,
            amount: self.amount,
            per: (!is_month).then_some(self.per),
        }
    }

    /// The most that a single request can take.
    pub(super) fn capacity(&self) -> u64 {
        match self.counting {
            Counting::Bucket { burst } => burst,
            Counting::Sliding | Counting::Calendar { .. } => self.amount,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |wanted| Err(ConfigError::new("limit", self, wanted));
        if self.amount == 0 {
            return wrong("an amount of at least 1");
        }
        if self.per.is_zero() || self.per > LONGEST_PERIOD {
            return wrong("a period above zero and up to ten years");
        }
        match &self.counting {
            Counting::Bucket { burst: 0 } => Err(ConfigError::new("burst", 0, "at least 1")),
            Counting::Calendar { every, .. } if !every.divides_a_day() => {
                let wanted = "a month, a day, or a period that a day is made of";
                Err(ConfigError::new("calendar", self, wanted))
            }
            Counting::Calendar { zone, .. } => zone.check(),
            Counting::Bucket { .. } | Counting::Sliding => Ok(()),
        }
    }
}

impl Amount {
    fn new(dimension: Dimension, amount: u64) -> Self {
        Self { dimension, amount }
    }

    /// Per period of this length.
    pub fn per(self, period: Duration) -> Limit {
        Limit {
            dimension: self.dimension,
            amount: self.amount,
            per: period,
            counting: Counting::Sliding,
            is_shadow: false,
            is_spacing: false,
            is_inferred: false,
            period: nanos(period),
            margin: 0,
        }
    }

    /// Per second.
    pub fn per_second(self) -> Limit {
        self.per(Duration::from_secs(1))
    }

    /// Per minute.
    pub fn per_minute(self) -> Limit {
        self.per(Duration::from_secs(60))
    }

    /// Per hour.
    pub fn per_hour(self) -> Limit {
        self.per(Duration::from_secs(3_600))
    }

    /// Per 24 hours, in a window that slides.
    pub fn per_day(self) -> Limit {
        self.per(Duration::from_secs(86_400))
    }

    /// Per calendar month in UTC; [`calendar`](Limit::calendar) sets another zone. For 30 days that slide, see
    /// [`per`](Self::per).
    pub fn per_month(self) -> Limit {
        let mut limit = self.per(MONTH);
        limit.counting = Counting::Calendar {
            every: Every::Month,
            zone: Zone::UTC,
        };
        limit
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rate().fmt(f)
    }
}

const A_MINUTE: Duration = Duration::from_secs(60);

/// The shortest month is as good as another: it only stands for the length.
const MONTH: Duration = Duration::from_secs(30 * 86_400);

const LONGEST_PERIOD: Duration = Duration::from_secs(10 * 365 * 86_400);
