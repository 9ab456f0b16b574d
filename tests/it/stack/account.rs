//! What the layers tell of their decisions, line by line.

use std::sync::{Arc, Mutex, PoisonError};

use tower_upstream::observe::{Event, Observer};

/// Writes every decision down, in order. Clones share the account.
#[derive(Clone, Default)]
pub(crate) struct Account {
    lines: Arc<Mutex<Vec<String>>>,
}

impl Account {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many lines begin with these words.
    pub(crate) fn count(&self, beginning: &str) -> usize {
        let lines = self.lines();
        lines
            .iter()
            .filter(|line| line.starts_with(beginning))
            .count()
    }
}

impl Observer for Account {
    fn event(&self, event: &Event<'_>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend(line(event));
    }
}

/// Without the waits, which are never twice the same.
fn line(event: &Event<'_>) -> Option<String> {
    Some(match *event {
        Event::Admitted { key, .. } => format!("admitted {key}"),
        Event::Queued { key, .. } => format!("queued {key}"),
        Event::Refused { key, reason, .. } => format!("refused {key}: {reason:?}"),
        Event::Settled { key, used, .. } => {
            format!("settled {key}: {} tokens", used.total_tokens())
        }
        Event::Paused { key, .. } => format!("paused {key}"),
        Event::Retrying {
            upstream, failure, ..
        } => format!("retrying {upstream}: {}", failure.kind),
        Event::GaveUp {
            upstream, reason, ..
        } => format!("gave up {upstream}: {reason}"),
        Event::Opened { key, reason, .. } => format!("opened {key}: {reason}"),
        Event::HalfOpened { key, .. } => format!("half-opened {key}"),
        Event::Closed { key, .. } => format!("closed {key}"),
        Event::CoolingDown { upstream, kind, .. } => format!("cooling {upstream}: {kind}"),
        Event::Switched { from, to, .. } => format!("switched from {from} to {to}"),
        Event::Exhausted { attempts, .. } => format!("exhausted after {attempts}"),
        _ => return None,
    })
}
