//! The order in which the upstreams of a chain are asked.

/// The order in which the upstreams of a chain are asked. Among equals it is as they are listed.
///
/// In every order, who is cooling down or would refuse is passed by, and who would let the request queue for long, or whose
/// context is too small for what the request is estimated at, is asked after the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// As they are listed.
    #[default]
    Listed,
    /// Those on hardware of your own first (see [`Provider::local`](crate::Provider::local)), each group as listed.
    LocalFirst,
    /// The least money for this request first, by its [`Cost`](crate::Cost) and each upstream's
    /// [`price`](crate::Upstream::price). A request without a cost is compared as three tokens in for each one out, the
    /// blend in which [Artificial Analysis](https://artificialanalysis.ai/methodology) compares prices. Hardware of your own
    /// without a price is free; others without one go last.
    Cheapest,
    /// The one where the most is left first: those that would let the request pass at once before those where it would
    /// queue, the less taken of the tightest limit or the shorter the queue the sooner. Needs somebody to
    /// [`consult`](crate::Chain::consult).
    Headroom,
    /// The one whose answers begin soonest first. The measure is a moving average of the time from sending until the head of
    /// an answer, a stream's first content included, with what retries and queues inside add; failures do not count. Who was
    /// never asked is asked first, and what was measured halves every 5 min without an answer: so a slower one is tried again
    /// after a time that grows with how much slower it was.
    Fastest,
    /// Shared out by [`Upstream::weight`](crate::Upstream::weight), over models as over keys: of weights 9 and 1, each ten
    /// requests send one to the second. One of weight 0 is asked only when no other can be. The shares are exact, by
    /// [stride scheduling](https://en.wikipedia.org/wiki/Stride_scheduling) (Waldspurger and Weihl, 1995).
    Weighted,
    /// The one that has answered the largest share of its calls first, in steps of 5 %. What has happened counts half after
    /// 5 min, and one answer more than there were is counted, so that one that failed is tried again.
    Learned,
}

impl Order {
    /// Whom it asks first.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Listed => "asked as they are listed",
            Self::LocalFirst => "those on own hardware first, then as they are listed",
            Self::Cheapest => "the cheapest first",
            Self::Headroom => "the one with the most room left first",
            Self::Fastest => "the fastest first",
            Self::Weighted => "shared out by weight",
            Self::Learned => "the one that answers the largest share of its calls first",
        }
    }

    /// Whether it goes by what has happened.
    pub(super) fn learns(self) -> bool {
        matches!(self, Self::Fastest | Self::Learned)
    }

    /// Whether nobody can go before one of this rank that stands earlier.
    pub(super) fn is_decided_by(self, rank: u64) -> bool {
        matches!(self, Self::Listed | Self::LocalFirst) && rank == 0
    }

    /// The name in snake case.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::LocalFirst => "local_first",
            Self::Cheapest => "cheapest",
            Self::Headroom => "headroom",
            Self::Fastest => "fastest",
            Self::Weighted => "weighted",
            Self::Learned => "learned",
        }
    }
}
