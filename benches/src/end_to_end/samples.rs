//! Samples of each client in turn.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tower_upstream::error::BoxError;

use crate::{
    harness::Bench,
    process,
    rounds::Spread,
    table::{Table, verdict},
};

pub struct Row {
    name: &'static str,
    /// The row whose added processor time this one's is held against.
    peer: Option<&'static str>,
    has_goals: bool,
    exchange: Exchange,
}

type Exchange = Arc<dyn Fn() -> Answered + Send + Sync>;

/// The body of an answer. All rows have this box.
pub type Answered = Pin<Box<dyn Future<Output = Result<Bytes, BoxError>> + Send>>;

impl Row {
    pub fn new(
        name: &'static str,
        exchange: impl Fn() -> Answered + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            peer: None,
            has_goals: false,
            exchange: Arc::new(exchange),
        }
    }

    pub fn against(mut self, peer: &'static str) -> Self {
        self.peer = Some(peer);
        self
    }

    /// Holds it to the goals of the crate.
    pub fn goals(mut self) -> Self {
        self.has_goals = true;
        self
    }
}

/// How a client fared in one round.
struct Sample {
    /// Requests a second.
    speed: f64,
    /// Microseconds until the answer was read: the median, and the slowest but one of a hundred.
    latency: [f64; 2],
    /// Microseconds of processor time a request.
    processor: f64,
}

/// Runs all rows in turn; the first is the bare client.
pub fn compare(
    bench: &Bench,
    title: &str,
    connections: usize,
    rows: Vec<Row>,
) -> Result<(), String> {
    // Pools keep their connections on the runtime on which they were made.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let sample = |row: &Row| runtime.block_on(sample(&row.exchange, connections));
    for row in &rows {
        sample(row)?;
    }
    let mut samples: Vec<Vec<Sample>> = rows.iter().map(|_| Vec::new()).collect();
    for _ in 0..bench.rounds(ROUNDS) {
        for (row, samples) in rows.iter().zip(&mut samples) {
            samples.push(sample(row)?);
        }
    }
    let table = Table::begin(bench.form, (title, 38), COLUMNS);
    for (at, row) in rows
        .iter()
        .enumerate()
        .filter(|(_, row)| bench.wants(row.name))
    {
        let (own, bare) = (&samples[at], &samples[0]);
        let median = |of: fn(&Sample) -> f64| Spread::of(own.iter().map(of)).median;
        let pairs = || own.iter().zip(bare);
        let ratio = Spread::of(pairs().map(|(own, bare)| own.speed / bare.speed));
        let added = Spread::of(pairs().map(|(own, bare)| own.processor - bare.processor));
        let peer = rows.iter().position(|other| Some(other.name) == row.peer);
        let theirs = peer.map(|peer| {
            let pairs = samples[peer].iter().zip(bare);
            Spread::of(pairs.map(|(peer, bare)| peer.processor - bare.processor)).median
        });
        let beside = theirs.map(|theirs| added.median / theirs);
        let mut missed = Vec::new();
        if row.has_goals && connections > 1 {
            missed.extend((ratio.median < 0.93).then_some("below 0.93 of bare"));
            missed.extend(
                beside
                    .is_some_and(|beside| beside > 0.35)
                    .then_some("adds more than 0.35 of its peer"),
            );
        }
        let of_bare = |value: String| if at == 0 { String::new() } else { value };
        let cells = [
            format!("{:.0}", median(|sample| sample.speed)),
            of_bare(format!("{:.3}", ratio.median)),
            of_bare(format!("{:.3} – {:.3}", ratio.low, ratio.high)),
            format!("{:.0}", median(|sample| sample.latency[0])),
            format!("{:.0}", median(|sample| sample.latency[1])),
            format!("{:.2}", median(|sample| sample.processor)),
            of_bare(format!("{:.2}", added.median)),
            of_bare(format!("{:.2} – {:.2}", added.low, added.high)),
        ];
        let beside = beside.map(|ratio| format!("{ratio:.2} × {}", row.peer.unwrap_or_default()));
        let remark = [
            verdict(missed.is_empty()).to_owned(),
            missed.join(", "),
            beside.unwrap_or_default(),
        ];
        table.row(row.name, &cells, remark.join(" ").trim());
    }
    Ok(())
}

/// So many callers, each with one request at a time.
async fn sample(exchange: &Exchange, callers: usize) -> Result<Sample, String> {
    let (processor, start) = (process::processor_time(), Instant::now());
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let exchange = exchange.clone();
            tokio::spawn(async move {
                let mut latencies = Vec::with_capacity(4_096);
                while start.elapsed() < SAMPLE {
                    let begun = Instant::now();
                    let body = exchange().await.map_err(|error| error.to_string())?;
                    latencies.push(begun.elapsed().as_secs_f64() * 1e6);
                    if body.len() != 1_024 {
                        return Err(format!("an answer of {} bytes", body.len()));
                    }
                }
                Ok(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for caller in callers {
        latencies.extend(caller.await.map_err(|error| error.to_string())??);
    }
    let (took, processor) = (start.elapsed(), process::processor_time() - processor);
    latencies.sort_by(f64::total_cmp);
    let at = |percent| latencies[(latencies.len() - 1) * percent / 100];
    let requests = latencies.len() as f64;
    Ok(Sample {
        speed: requests / took.as_secs_f64(),
        latency: [at(50), at(99)],
        processor: processor.as_secs_f64() * 1e6 / requests,
    })
}

const COLUMNS: &[(&str, usize)] = &[
    ("requests/s", 11),
    ("of bare", 9),
    ("8 of 10", 16),
    ("p50 µs", 8),
    ("p99 µs", 8),
    ("CPU µs", 8),
    ("added", 8),
    ("8 of 10", 16),
];
const ROUNDS: usize = 121;
/// Short, so that the rows of a round meet the same machine.
const SAMPLE: Duration = Duration::from_millis(50);
