//! Strategies by name: the one place that says which order each stands for.

use crate::fallback::Order;

/// The names, and the order of each.
const STRATEGIES: [(&str, Order); 7] = [
    ("quality-first", Order::Listed),
    ("local-first", Order::LocalFirst),
    ("cost-optimized", Order::Cheapest),
    ("fastest", Order::Fastest),
    ("headroom", Order::Headroom),
    ("weighted", Order::Weighted),
    ("learned", Order::Learned),
];

pub(super) fn names() -> Vec<&'static str> {
    STRATEGIES.iter().map(|(name, _)| *name).collect()
}

pub(super) fn named(name: &str) -> Option<Order> {
    let strategy = STRATEGIES.iter().find(|(known, _)| *known == name);
    strategy.map(|(_, order)| *order)
}
