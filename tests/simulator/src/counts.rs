use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

/// What a simulator received and how that ended.
///
/// `received` is the sum of `answered`, `rate_limited`, `refused`, `failed`, `abandoned` and of
/// the requests that are not decided yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that arrived with their whole body.
    pub received: u64,
    /// Successes, counted when the head is sent.
    pub answered: u64,
    /// Every 429, by a quota or scripted.
    pub rate_limited: u64,
    /// Every 4xx other than 429.
    pub refused: u64,
    /// Every 5xx, and what was scripted to stall, to be cut or to fail in its
    /// stream.
    pub failed: u64,
    /// Those whose client went away, or whose connection was cut by
    /// [`go_down`](crate::Simulator::go_down), in the [`latency`](crate::SimulatorBuilder::latency).
    pub abandoned: u64,
    /// Requests for a model that arrived before a time to come back that this simulator had told
    /// for that model. Where an answer tells several times, the shortest counts; of several
    /// answers, each counts.
    pub too_early: u64,
    /// Prompt tokens of the answers.
    pub input_tokens: u64,
    /// Completion tokens of the answers.
    pub output_tokens: u64,
    /// Requests of which the last byte of the answer is not yet taken.
    pub in_flight: u64,
    /// The most that `in_flight` has been.
    pub peak_in_flight: u64,
}

/// A request that a simulator received.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Received {
    /// When its head had arrived.
    pub at: Instant,
    /// The path that it asked for.
    pub path: String,
    /// The query behind it; empty where there is none.
    pub query: String,
    /// The model that it asked for; `None` if it named none that could be read.
    pub model: Option<String>,
    /// The status of the answer; `None` until it is decided, and for who got no answer.
    pub status: Option<u16>,
    /// Whether it is one of [`Counts::too_early`].
    pub too_early: bool,
    /// The `authorization` header.
    pub authorization: Option<String>,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}
