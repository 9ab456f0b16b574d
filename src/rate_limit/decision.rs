//! What a state decides.

use super::{epoch::Nanos, mark::Admissions};
use crate::request::{Cost, Priority};

/// A request that asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) cost: Cost,
    pub(super) priority: Priority,
    pub(super) at: Nanos,
}

/// How a request that asks stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    Pass,
    /// It would wait until then, as far as can be known.
    Wait {
        until: Nanos,
    },
    /// It costs more than this limit, by its index, ever allows; `None` for the limit of a single request.
    TooLarge {
        limit: Option<usize>,
    },
}

/// How a request that waits stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Pass,
    /// Wake at this time, or, where there is none, when something ends or this one becomes the first.
    Wait {
        until: Option<Nanos>,
    },
    /// Its quota has changed, and it never fits any more; see [`Look::TooLarge`].
    TooLarge {
        limit: Option<usize>,
    },
}

/// What an admitted request has taken.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) struct Admitted {
    pub(super) at: Nanos,
    /// All that was admitted until then, this one included.
    pub(super) admitted: Admissions,
}
