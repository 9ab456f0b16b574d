//! What headers say of one quota.

use std::time::Duration;

use crate::outcome::{Dimension, Window};

/// What the headers say of one quota. Only what they say is filled in.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct QuotaReading<'a> {
    /// What is counted. Where the headers do not name it: requests.
    pub dimension: Dimension,
    /// The headers' own word for it, as `requests`, `req`, `ocr-pages`; empty where they have none.
    pub unit: &'a str,
    /// The period, where the header's name or a renewal period says it. The period of `reset_after` is not it: that
    /// is when the quota will be full again, or the next unit free.
    pub window: Option<Window>,
    /// The most that the period allows.
    pub limit: Option<f64>,
    /// What is left.
    pub remaining: Option<f64>,
    /// What was used.
    pub used: Option<f64>,
    /// When the quota is renewed, from now; zero if that has passed. Rounded up to a millisecond.
    pub reset_after: Option<Duration>,
    /// Whether that is when the quota will be full again, which refills all the time; else the end of a window.
    pub(crate) is_refilling: bool,
}

impl<'a> QuotaReading<'a> {
    pub(super) fn new(dimension: Dimension, unit: &'a str, window: Option<Window>) -> Self {
        Self {
            dimension,
            unit,
            window,
            limit: None,
            remaining: None,
            used: None,
            reset_after: None,
            is_refilling: false,
        }
    }
}

/// The period of so many seconds that has a name.
pub(super) fn window_of_seconds(seconds: f64) -> Option<Window> {
    let window = match seconds {
        1.0 => Window::Second,
        60.0 => Window::Minute,
        3_600.0 => Window::Hour,
        86_400.0 => Window::Day,
        // 28 to 31 days.
        2_419_200.0..=2_678_400.0 => Window::Month,
        _ => return None,
    };
    Some(window)
}

/// Fills a gap.
pub(super) fn set<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}
