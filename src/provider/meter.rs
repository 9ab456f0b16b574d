//! [`Meter`]: reads what an answer uses as it passes, and whether it is what it began as.

use super::asked::Asked;
use crate::{
    outcome::{Outcome, UsageCell},
    signal::{
        Dialect,
        usage::{Ending, ErrorSeen, Reading, UsageReader},
    },
};

/// Reads what an answer uses and tells it at the end.
pub(super) struct Meter {
    reader: UsageReader,
    cell: UsageCell,
    dialect: Option<Dialect>,
    is_of_model: bool,
    /// Whether what is wrong with it was told before its body: then nobody is misled by that.
    is_judged: bool,
}

impl Meter {
    pub(super) fn new(content_type: Option<&str>, asked: &Asked) -> Self {
        let reader = UsageReader::new(content_type);
        Self {
            reader: match asked.is_stream {
                true => reader.asked_for_stream(),
                false => reader,
            },
            cell: UsageCell::default(),
            dialect: asked.dialect,
            is_of_model: asked.is_of_model(),
            is_judged: false,
        }
    }

    /// Where the usage will stand.
    pub(super) fn cell(&self) -> &UsageCell {
        &self.cell
    }

    pub(super) fn push(&mut self, data: &[u8]) -> Reading {
        self.reader.push(data);
        self.reading()
    }

    /// What the body has shown so far.
    pub(super) fn reading(&self) -> Reading {
        self.heed_dialect(self.reader.reading())
    }

    /// Whether anything but space has come.
    pub(super) fn has_begun(&self) -> bool {
        self.reader.has_begun()
    }

    /// What the answer means has been told, by what the body has shown so far.
    pub(super) fn heed_outcome(&mut self, outcome: &Outcome) {
        self.is_judged = !outcome.is_success() || self.reading().error.is_some();
    }

    /// Tells the usage. Returns what the body has shown.
    pub(super) fn finish(&mut self) -> Reading {
        let reading = self.reader.end();
        let reading = self.heed_dialect(reading);
        if let Some(usage) = reading.usage {
            self.cell.set(usage);
        }
        reading
    }

    /// Whether an error has taken the place of the answer, or of the rest of it.
    ///
    /// What no model was asked for may speak of errors and be none.
    pub(super) fn is_broken_off(&self, reading: &Reading) -> bool {
        let is_own = match (reading.ending, reading.error) {
            (_, None) => false,
            (Ending::NotAStream, _) => self.is_of_model,
            (_, Some(ErrorSeen::AfterContent)) => true,
            (_, Some(ErrorSeen::BeforeContent)) => self.dialect.is_some(),
        };
        is_own && !self.is_judged
    }

    /// Whether a stream has ended without its terminator, where that is known.
    pub(super) fn is_cut_short(&self, reading: &Reading) -> bool {
        let is_unterminated = reading.error.is_none() && reading.ending == Ending::Unterminated;
        is_unterminated && self.dialect.is_some()
    }

    fn heed_dialect(&self, mut reading: Reading) -> Reading {
        // Its limits leave out what came out of a cache (https://console.groq.com/docs/prompt-caching), which no figure says.
        if self.dialect == Some(Dialect::Groq)
            && let Some(usage) = &mut reading.usage
        {
            usage.uncounted_tokens = usage.cached_tokens;
        }
        reading
    }
}

/// Many readers stop at a stream's last event and drop the body: what it has told in full by then is told on.
impl Drop for Meter {
    fn drop(&mut self) {
        let Reading { usage, ending, .. } = self.reading();
        if let (Some(usage), Ending::Terminated) = (usage, ending) {
            self.cell.set(usage);
        }
    }
}
