//! [`AuditLog`]: every decision as a line of JSON in a file.

mod lost;
mod writer;

use std::{
    fmt, io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, SyncSender},
    },
    thread::{self, JoinHandle},
};

use self::{
    lost::Lost,
    writer::{Message, Writer},
};
use super::{events::Event, fields::Visit, line::Line, observer::Observer};
use crate::clock::{Clock, TokioClock};

/// An observer that writes every decision into a file, each as a line of JSON.
///
/// Clones share the file; it is complete when the last is dropped, with the layers that hold them, or after
/// [`flush`](Self::flush).
///
/// 1. Lines go through a bounded queue to a thread that writes them: a slow disk does not hold up a call. The thread takes
///    what has come meanwhile in one write.
/// 2. When the queue is full, or the file cannot be written, lines are lost. They are counted, the count is told by
///    [`lost`](Self::lost), and as soon as a line can be written again, one goes before it that tells how many are missing
///    there.
/// 3. A file that would grow beyond its bound becomes `NAME.1`, what was that `NAME.2`, and so on; beyond the number of
///    files that are kept they are deleted. A line is never cut in two.
/// 4. What is in the file is never changed. A last line that an earlier process could not end stays as it is, and the next
///    begins on a line of its own.
/// 5. What upstreams and clients said is not written, nor is any credential. Keys of limiters and breakers are: see
///    [`Scope::by`](crate::Scope::by).
///
/// # Format, version 1
///
/// Every line is an object with `v`, the version of the format, `at`, the time of day in UTC (RFC 3339, microseconds), and
/// `event`, followed by the event's fields as the [table](super#events) has them. What is not known has no field. Times are
/// in seconds, exact to the nanosecond; money is in units of its currency. Readers should pass over events and fields that
/// they do not know: new ones may come within a version.
///
/// ```json
/// {"v":1,"at":"2026-09-21T14:13:20.000000Z","event":"queued","key":"groq/m","limit":"12000 tokens per 60s","wait_s":3.2}
/// {"v":1,"at":"2026-09-21T14:13:20.513000Z","event":"lost","count":17}
/// ```
///
/// One event is the log's own: `lost`, with `count`, the number of lines that are missing before it.
///
/// ```no_run
/// use tower_upstream::{RateLimiter, observe::AuditLog};
///
/// # fn main() -> std::io::Result<()> {
/// let audit = AuditLog::options("audit.jsonl").max_bytes(16 << 20).keep(3).open()?;
/// let limiter = RateLimiter::default().observe(audit.clone());
/// # let _ = limiter;
/// audit.flush()?;
/// assert_eq!(audit.lost(), 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct AuditLog {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    lost: Arc<Lost>,
    /// Gone when the log is.
    queue: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
}

/// How an [`AuditLog`] is written; see [`AuditLog::options`].
#[derive(Clone, Debug)]
pub struct AuditOptions {
    path: PathBuf,
    max_bytes: u64,
    keep: usize,
    queue: usize,
    clock: Arc<dyn Clock>,
}

impl AuditLog {
    /// How the file at this path is written, to be changed before it is [opened](AuditOptions::open).
    pub fn options(path: impl Into<PathBuf>) -> AuditOptions {
        AuditOptions {
            path: path.into(),
            max_bytes: 64 << 20,
            keep: 4,
            queue: 8_192,
            clock: Arc::new(TokioClock),
        }
    }

    /// Waits until all that was told before is written. It blocks the thread.
    ///
    /// The file is written, not synced: a crash of the machine can still lose it.
    ///
    /// # Errors
    ///
    /// When some of it could not be written; it is counted as [lost](Self::lost).
    pub fn flush(&self) -> io::Result<()> {
        let (done, flushed) = mpsc::sync_channel(1);
        if let Some(queue) = &self.shared.queue {
            // What cannot be sent is dropped, and with it the way to say that it is done.
            let _ = queue.send(Message::Flush(done));
        }
        let ended = |_| io::Error::other("the thread that writes has ended");
        flushed.recv().map_err(ended)?
    }

    /// How many lines were lost since the log was opened.
    pub fn lost(&self) -> u64 {
        self.shared.lost.all()
    }
}

impl Observer for AuditLog {
    fn event(&self, event: &Event<'_>) {
        let at = self.shared.clock.wall();
        let mut line = Line::begin(at, event.name());
        let visit: &mut Visit<'_> = &mut |name, field| line.add(name, &field);
        event.visit(visit);
        let line = line.end();
        let queue = self.shared.queue.as_ref();
        let is_sent = queue.is_some_and(|queue| queue.try_send(Message::Line { at, line }).is_ok());
        if !is_sent {
            self.shared.lost.count(1);
        }
    }
}

/// Writes what is still in the queue. Blocks the thread for as long as that takes.
impl Drop for Shared {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has nothing more to write.
            let _ = thread.join();
        }
    }
}

impl AuditOptions {
    /// Sets the size beyond which a file does not grow, in bytes, at least 4 KiB; only a longer line gets a larger file, for
    /// itself. Default: 64 MiB.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes.max(LEAST_BYTES);
        self
    }

    /// Sets how many full files are kept beside the one that is written. Default: 4.
    #[must_use]
    pub fn keep(mut self, files: usize) -> Self {
        self.keep = files;
        self
    }

    /// Sets how many lines may wait to be written, at least 1. Default: 8,192.
    #[must_use]
    pub fn queue(mut self, lines: usize) -> Self {
        self.queue = lines.max(1);
        self
    }

    /// Sets the clock, for the time of day. Default: [`TokioClock`].
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Opens the file, makes it where there is none, and starts its thread.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened for writing, or the thread cannot be started.
    pub fn open(self) -> io::Result<AuditLog> {
        let lost = Arc::new(Lost::default());
        let (queue, lines) = mpsc::sync_channel(self.queue);
        let name = self.path.display().to_string();
        let mut writer = Writer::open(self.path, self.max_bytes, self.keep, lost.clone())
            .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
        let thread = thread::Builder::new().name("audit-log".to_owned());
        let thread = thread.spawn(move || writer.run(&lines))?;
        let shared = Shared {
            clock: self.clock,
            lost,
            queue: Some(queue),
            thread: Some(thread),
        };
        Ok(AuditLog {
            shared: Arc::new(shared),
        })
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog")
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}

/// Files of a few lines each are of no use to anybody.
const LEAST_BYTES: u64 = 4 << 10;

#[cfg(test)]
#[path = "audit/tests.rs"]
mod tests;
