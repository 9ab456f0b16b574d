//! The five servers of the storm, on a thread of their own.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use tower_upstream::{
    Provider, Upstream,
    clock::{Clock, TokioClock},
};

use super::{
    callers::sleep,
    faults::Fault,
    server::{Manners, Server},
    witness::SECRET,
};

/// In the order of the chain. They serve as long as the process lives.
pub(crate) struct Servers {
    list: Vec<Server>,
    lag: Lag,
}

impl Servers {
    pub(crate) fn start(random: &mut fastrand::Rng) -> Self {
        let seeds: Vec<u64> = MANNERS.iter().map(|_| random.u64(..)).collect();
        let lag = Lag::default();
        let (started, servers) = std::sync::mpsc::channel();
        let measure = lag.clone().measure();
        thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().expect("a runtime");
            runtime.block_on(async {
                for (manners, seed) in MANNERS.into_iter().zip(seeds) {
                    let (server, listener) = Server::bind(manners, seed).await.expect("a port");
                    tokio::spawn(server.clone().run(listener));
                    started.send(server).expect("they are awaited");
                }
                drop(started);
                measure.await;
            });
        });
        Self {
            list: servers.into_iter().collect(),
            lag,
        }
    }

    pub(crate) fn list(&self) -> &[Server] {
        &self.list
    }

    /// An upstream for each, with a key that nobody else may see.
    pub(crate) fn upstreams(&self) -> Vec<Upstream> {
        let servers = self.list.iter().enumerate();
        let upstreams = servers.map(|(number, server)| {
            let url = format!("http://{}/v1", server.authority());
            let provider = Provider::new(NAMES[number], &url).expect("a URL");
            let provider = provider.key(&format!("sk-{SECRET}-{number}"));
            provider.expect("a key").model("model")
        });
        upstreams.collect()
    }

    /// The longest that a thread of theirs or of the callers has slept for longer than it should.
    pub(crate) fn lag(&self) -> &Lag {
        &self.lag
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = NAMES
            .iter()
            .zip(&self.list)
            .map(|(name, it)| (name, it.seen()));
        f.debug_map().entries(seen).finish()
    }
}

/// How late timers come, in milliseconds: a machine that stands still sends late what was admitted in time.
#[derive(Clone, Default)]
pub(crate) struct Lag(Arc<AtomicU64>);

impl Lag {
    pub(crate) async fn measure(self) {
        let step = Duration::from_millis(5);
        loop {
            let began = TokioClock.now();
            sleep(step).await;
            let late = (TokioClock.now() - began).saturating_sub(step);
            let late = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
            self.0.fetch_max(late, Relaxed);
        }
    }

    pub(crate) fn longest(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed))
    }
}

/// Requests that the first server allows in this time.
pub(crate) const WINDOWED: (usize, Duration) = (40, Duration::from_secs(1));
/// Requests that the second allows at a time.
pub(crate) const SLOTS: u32 = 6;
/// Requests that the fourth allows in a day, which is longer than any run.
pub(crate) const DAILY: u64 = 60;

const NAMES: [&str; 5] = ["windowed", "wild", "liar", "daily", "steady"];
const MANNERS: [Manners; 5] = [
    Manners {
        faults: Fault::ORDINARY,
        share: 30,
        restarts: true,
        window: Some(WINDOWED),
    },
    Manners {
        faults: Fault::WILD,
        share: 60,
        restarts: true,
        window: None,
    },
    Manners {
        faults: Fault::LIES,
        share: 50,
        restarts: false,
        window: None,
    },
    Manners {
        faults: Fault::ORDINARY,
        share: 30,
        restarts: true,
        window: None,
    },
    Manners {
        faults: Fault::DELAYS,
        share: 30,
        restarts: false,
        window: None,
    },
];
