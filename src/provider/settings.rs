//! What the layer is set to.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::{Clock, TokioClock},
    observe::Events,
    signal::FailureRule,
};

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Events,
    pub(super) peek_bytes: usize,
    pub(super) peek_time: Duration,
    pub(super) include_usage: bool,
    pub(super) rules: Vec<FailureRule>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock: Arc::new(TokioClock),
            events: Events::default(),
            peek_bytes: 64 << 10,
            peek_time: Duration::from_secs(10),
            include_usage: false,
            rules: Vec::new(),
        }
    }
}
