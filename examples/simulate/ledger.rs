//! What became of each request.

use std::time::Duration;

use tower_upstream::{Priority, error::RefusalReason};

use crate::steps::Stretch;

/// What became of each request, by its number: the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    records: Vec<Record>,
    /// The numbers of those that were sent, in order.
    sent: Vec<usize>,
}

/// What became of one request.
#[derive(Debug)]
pub(crate) struct Record {
    /// The index of the upstream.
    pub(crate) to: usize,
    pub(crate) priority: Priority,
    pub(crate) asked: Duration,
    /// When it was sent, refused or given up.
    left: Option<Duration>,
    has_waited: bool,
    /// How often it was woken while it waited.
    wakeups: u64,
    is_sent: bool,
    pub(crate) ending: Option<Ending>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Answered,
    TooManyRequests,
    Refused(RefusalReason),
    Cancelled,
}

impl Record {
    /// How long it waited; `None` if it was not sent.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let left = self.left.filter(|_| self.is_sent)?;
        Some(left - self.asked)
    }

    fn is_waiting(&self) -> bool {
        self.has_waited && self.left.is_none()
    }
}

impl Ledger {
    /// A request comes; returns its number.
    pub(crate) fn asked(&mut self, to: usize, priority: Priority, now: Duration) -> usize {
        self.records.push(Record {
            to,
            priority,
            asked: now,
            left: None,
            has_waited: false,
            wakeups: 0,
            is_sent: false,
            ending: None,
        });
        self.records.len() - 1
    }

    /// The request is looked at by the executor: if it waits, it was woken.
    pub(crate) fn polled(&mut self, number: usize) {
        let record = &mut self.records[number];
        record.wakeups += u64::from(record.is_waiting());
    }

    /// The request has nothing to do for now: if it was not sent, it waits.
    pub(crate) fn stalled(&mut self, number: usize) {
        let record = &mut self.records[number];
        record.has_waited |= record.left.is_none();
    }

    pub(crate) fn sent(&mut self, number: usize, now: Duration) {
        let record = &mut self.records[number];
        (record.left, record.is_sent) = (Some(now), true);
        self.sent.push(number);
    }

    pub(crate) fn ended(&mut self, number: usize, ending: Ending, now: Duration) {
        let record = &mut self.records[number];
        record.left.get_or_insert(now);
        record.ending = Some(ending);
    }

    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    pub(crate) fn admitted(&self) -> usize {
        self.sent.len()
    }

    /// How often a request was woken until it was admitted, on average over those that waited.
    pub(crate) fn wakeups_per_admission(&self) -> f64 {
        let admitted = self.sent.iter().map(|number| &self.records[*number]);
        let waited = admitted.filter(|record| record.has_waited);
        let (wakeups, count) = waited.fold((0, 0_u32), |(wakeups, count), record| {
            (wakeups + record.wakeups, count + 1)
        });
        wakeups as f64 / f64::from(count.max(1))
    }

    /// How often requests that waited were woken in all.
    pub(crate) fn wakeups(&self) -> u64 {
        self.records.iter().map(|record| record.wakeups).sum()
    }

    /// How many requests were sent after one to the same upstream, of the same priority, that had come later.
    pub(crate) fn order_inversions(&self) -> usize {
        let mut latest = std::collections::HashMap::new();
        let mut is_late = |number: usize| {
            let record = &self.records[number];
            let latest = latest.entry((record.to, record.priority)).or_insert(number);
            *latest = number.max(*latest);
            number < *latest
        };
        self.sent.iter().filter(|number| is_late(**number)).count()
    }

    /// The stretches in which somebody waited for this upstream, up to the end of the simulation.
    pub(crate) fn demand(&self, to: usize, end: Duration) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        let waited = self
            .records
            .iter()
            .filter(|record| record.to == to && record.has_waited);
        for record in waited {
            let left = record.left.unwrap_or(end);
            match stretches.last_mut() {
                Some(last) if record.asked <= last.end => last.end = last.end.max(left),
                _ => stretches.push(record.asked..left),
            }
        }
        stretches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_is_sent_after_somebody_who_came_later_is_an_inversion_within_a_priority() {
        let mut ledger = Ledger::default();
        for priority in [Priority::Low, Priority::Low, Priority::High, Priority::Low] {
            ledger.asked(0, priority, seconds(0));
        }
        for number in [2, 1, 0, 3] {
            ledger.sent(number, seconds(1));
        }
        assert_eq!(ledger.order_inversions(), 1);
    }

    #[test]
    fn the_waits_of_requests_make_up_stretches_of_demand() {
        let mut ledger = Ledger::default();
        for (asked, left) in [(0, 3), (1, 2), (3, 5), (7, 9)] {
            let number = ledger.asked(0, Priority::Normal, seconds(asked));
            ledger.stalled(number);
            ledger.sent(number, seconds(left));
        }
        let other = ledger.asked(1, Priority::Normal, seconds(4));
        ledger.sent(other, seconds(4));
        let last = ledger.asked(0, Priority::Normal, seconds(20));
        ledger.stalled(last);
        let stretches = [
            seconds(0)..seconds(5),
            seconds(7)..seconds(9),
            seconds(20)..seconds(30),
        ];
        assert_eq!(ledger.demand(0, seconds(30)), stretches);
        assert_eq!(ledger.demand(1, seconds(30)), []);
    }

    #[test]
    fn only_who_waits_is_woken() {
        let mut ledger = Ledger::default();
        let number = ledger.asked(0, Priority::Normal, seconds(0));
        ledger.polled(number);
        ledger.stalled(number);
        ledger.polled(number);
        ledger.sent(number, seconds(1));
        ledger.stalled(number);
        ledger.polled(number);
        assert_eq!(ledger.wakeups_per_admission(), 1.0);
    }
}
