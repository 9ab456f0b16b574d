//! The upstreams: those in the environment, or simulators of three providers.

use std::{env, time::Duration};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use provider_simulator::{Counts, Limits, Reply, Simulator, SimulatorBuilder};
use tower::BoxError;
use tower_upstream::{Limit, Provider, Quota, Upstream};

pub(crate) struct Fleet {
    /// In the order in which they are asked.
    pub(crate) upstreams: Vec<Upstream>,
    /// By the name of the provider.
    simulators: Vec<(&'static str, Simulator)>,
}

impl Fleet {
    pub(crate) async fn from_env() -> Result<Self, BoxError> {
        let upstreams = real_upstreams()?;
        if upstreams.is_empty() {
            println!(
                "No keys in the environment: asking simulators of Groq, OpenAI and Anthropic on loopback.\n"
            );
            return Self::simulated().await;
        }
        Ok(Self {
            upstreams,
            simulators: Vec::new(),
        })
    }

    async fn simulated() -> Result<Self, BoxError> {
        let key = "a-key-for-tests";
        let groq = Simulator::groq()
            // A day's tokens that are nearly used up: one answer, and then the 429 that tells to wait for long.
            .model("openai/gpt-oss-120b", Limits::new().tokens_per_day(60))
            .model("openai/gpt-oss-20b", Limits::new().requests_per_minute(4));
        let openai = Simulator::openai().model(
            "gpt-4o-mini",
            Limits::new().requests_per_minute(20).window(WINDOW),
        );
        let anthropic = Simulator::anthropic().model(
            "claude-3-5-haiku-latest",
            Limits::new().tokens_per_minute(2_000),
        );
        let start = |simulator: SimulatorBuilder| {
            simulator
                .key(key)
                .latency(Duration::from_millis(40))
                .grace(GRACE)
                .start()
        };
        let (groq, openai, anthropic) = (
            start(groq).await?,
            start(openai).await?,
            start(anthropic).await?,
        );
        openai.script([
            Reply::Answer,
            Reply::Status(500),
            Reply::Answer,
            Reply::Overloaded,
        ]);

        // Groq's quotas are not known here: what it answers is all there is. OpenAI's and Anthropic's are kept to.
        let first = Provider::groq().base_url(&groq.url())?.key(key)?;
        let second = Provider::openai().base_url(&openai.url())?.key(key)?;
        let third = Provider::anthropic().base_url(&anthropic.url())?.key(key)?;
        let upstreams = vec![
            first.model("openai/gpt-oss-120b"),
            first.model("openai/gpt-oss-20b"),
            second.model("gpt-4o-mini").quota(
                Quota::new()
                    .limit(Limit::requests(20).per(WINDOW))
                    .max_concurrent(2),
            )?,
            third
                .model("claude-3-5-haiku-latest")
                .quota(Quota::new().limit(Limit::tokens(2_000).per_minute()))?,
        ];
        Ok(Self {
            upstreams,
            simulators: vec![("groq", groq), ("openai", openai), ("anthropic", anthropic)],
        })
    }

    /// What the simulators counted for this upstream; `None` where it is a real one.
    pub(crate) fn counts(&self, upstream: &Upstream) -> Option<Counts> {
        let (_, simulator) = self
            .simulators
            .iter()
            .find(|(name, _)| *name == upstream.provider().name())?;
        Some(simulator.counts_of(upstream.model()?))
    }

    /// How many requests came while their simulator had told to wait.
    pub(crate) fn too_early(&self) -> u64 {
        self.simulators
            .iter()
            .map(|(_, simulator)| simulator.counts().too_early)
            .sum()
    }
}

/// The simulated minute of OpenAI, short so that the example shows it more than once.
const WINDOW: Duration = Duration::from_secs(3);

/// What was on its way already when the simulator said to wait is not held against the client.
const GRACE: Duration = Duration::from_millis(80);

fn real_upstreams() -> Result<Vec<Upstream>, BoxError> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
    let mut upstreams = Vec::new();
    if let Some(key) = variable("GROQ_API_KEY") {
        let groq = Provider::groq().key(&key)?;
        upstreams.extend([
            groq.model("openai/gpt-oss-120b"),
            groq.model("openai/gpt-oss-20b"),
        ]);
    }
    if let Some(key) = variable("OPENAI_API_KEY") {
        upstreams.push(Provider::openai().key(&key)?.model("gpt-4o-mini"));
    }
    if let Some(key) = variable("ANTHROPIC_API_KEY") {
        upstreams.push(
            Provider::anthropic()
                .key(&key)?
                .model("claude-3-5-haiku-latest"),
        );
    }
    if let Some(host) = variable("OLLAMA_HOST") {
        let url = if host.contains("://") {
            host
        } else {
            format!("http://{host}")
        };
        let url = format!("{}/v1", url.trim_end_matches('/'));
        upstreams.push(Provider::ollama().base_url(&url)?.model("llama3.2"));
    }
    Ok(upstreams)
}

/// TCP for the simulators, TLS for the providers.
pub(crate) fn connector() -> HttpsConnector<HttpConnector> {
    HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .build()
}
