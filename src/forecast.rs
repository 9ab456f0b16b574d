//! What a layer below would make of a request, asked before the request is sent.

use std::{fmt, sync::Arc, time::Duration};

use crate::{outcome::RefusedBy, request::RequestHead, upstream::Upstream};

/// Says what would become of a request that were sent to an upstream now, for who has to choose among several.
///
/// [`RateLimiter`](crate::RateLimiter) and [`CircuitBreaker`](crate::CircuitBreaker) do; give their handles to
/// [`Chain::consult`](crate::Chain::consult); a closure will do as well. Asking takes nothing and changes nothing, so an answer may be outdated by the
/// time that the request comes; the layer itself then has the last word.
pub trait Forecast: Send + Sync {
    /// What would become of this request if it went to this upstream now. `head` already names the upstream.
    fn forecast(&self, upstream: &Upstream, head: &RequestHead<'_>) -> Prospect;
}

impl<F> Forecast for F
where
    F: Fn(&Upstream, &RequestHead<'_>) -> Prospect + Send + Sync,
{
    fn forecast(&self, upstream: &Upstream, head: &RequestHead<'_>) -> Prospect {
        self(upstream, head)
    }
}

/// What would become of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Prospect {
    /// It would pass at once.
    Pass {
        /// The share of the tightest limit that would be taken with it: 0.0 none, 1.0 all.
        taken: f64,
    },
    /// It would wait in line for about so long.
    Queue {
        /// The wait, as far as can be known.
        wait: Duration,
    },
    /// It would wait in line, and nobody knows for how long: as many are under way as may be, or will be before it.
    Full {
        /// The part of the wait that can be known.
        at_least: Duration,
    },
    /// It would be refused.
    Refuse {
        /// By whom.
        by: RefusedBy,
        /// How long until one like it would not, where that is known.
        retry_after: Option<Duration>,
    },
    /// It costs more than is ever allowed.
    TooLarge,
}

impl Prospect {
    /// Nothing is known that would hold it back.
    pub const FREE: Self = Self::Pass { taken: 0.0 };

    /// What becomes of a request that must pass both.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::TooLarge, _) | (_, Self::TooLarge) => Self::TooLarge,
            (
                Self::Refuse {
                    by: a,
                    retry_after: until_a,
                },
                Self::Refuse {
                    by: b,
                    retry_after: until_b,
                },
            ) => {
                // Who does not know when says nothing against the other's time; whoever refuses for longer has the say.
                let (retry_after, by) = (until_a, a).max((until_b, b));
                Self::Refuse { by, retry_after }
            }
            (refuse @ Self::Refuse { .. }, _) | (_, refuse @ Self::Refuse { .. }) => refuse,
            (Self::Full { at_least: a }, Self::Full { at_least: b } | Self::Queue { wait: b })
            | (Self::Queue { wait: b }, Self::Full { at_least: a }) => {
                Self::Full { at_least: a.max(b) }
            }
            (full @ Self::Full { .. }, _) | (_, full @ Self::Full { .. }) => full,
            (Self::Queue { wait: a }, Self::Queue { wait: b }) => Self::Queue { wait: a.max(b) },
            (queue @ Self::Queue { .. }, _) | (_, queue @ Self::Queue { .. }) => queue,
            (Self::Pass { taken: a }, Self::Pass { taken: b }) => Self::Pass { taken: a.max(b) },
        }
    }

    /// For how long the request would be refused, [`Duration::MAX`] where that is not known; none where it would not.
    pub(crate) fn refused_for(self) -> Option<Duration> {
        match self {
            Self::Refuse { retry_after, .. } => Some(retry_after.unwrap_or(Duration::MAX)),
            Self::TooLarge => Some(Duration::MAX),
            Self::Pass { .. } | Self::Queue { .. } | Self::Full { .. } => None,
        }
    }
}

/// Who below is asked what would become of a request. Of several the worst holds.
#[derive(Clone, Default)]
pub(crate) struct Consulted(Vec<Arc<dyn Forecast>>);

impl Consulted {
    pub(crate) fn and<F: Forecast + 'static>(mut self, forecast: F) -> Self {
        self.0.push(Arc::new(forecast));
        self
    }

    /// These as well, each once.
    pub(crate) fn and_all(mut self, others: &Self) -> Self {
        let is_asked = |other: &Arc<dyn Forecast>| self.0.iter().any(|it| Arc::ptr_eq(it, other));
        let new: Vec<_> = others
            .0
            .iter()
            .filter(|it| !is_asked(it))
            .cloned()
            .collect();
        self.0.extend(new);
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What they foresee of this request at this upstream.
    pub(crate) fn prospect(&self, upstream: &Upstream, head: &RequestHead<'_>) -> Prospect {
        let head = head.toward(upstream);
        let prospects = self.0.iter().map(|it| it.forecast(upstream, &head));
        prospects.fold(Prospect::FREE, Prospect::and)
    }
}

impl fmt::Debug for Consulted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Consulted({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_prospects_the_worse_holds() {
        let ms = Duration::from_millis;
        let refuse = |by, retry_after| Prospect::Refuse { by, retry_after };
        let worse_and_worse = [
            Prospect::FREE,
            Prospect::Pass { taken: 0.5 },
            Prospect::Queue { wait: ms(1) },
            Prospect::Queue { wait: ms(2) },
            Prospect::Full { at_least: ms(2) },
            Prospect::Full { at_least: ms(3) },
            refuse(RefusedBy::Limit, None),
            refuse(RefusedBy::Circuit, None),
            refuse(RefusedBy::Limit, Some(ms(1))),
            refuse(RefusedBy::Circuit, Some(ms(1))),
            refuse(RefusedBy::Limit, Some(ms(2))),
            Prospect::TooLarge,
        ];
        for (index, better) in worse_and_worse.into_iter().enumerate() {
            for worse in &worse_and_worse[index..] {
                assert_eq!(better.and(*worse), *worse);
                assert_eq!(worse.and(better), *worse);
            }
        }
    }
}
