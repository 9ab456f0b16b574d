//! Whom to ask: what a file or the environment says, or three simulated providers.

use std::{env, fs, path::Path, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use provider_simulator::{Limits, Simulator};
use serde_json::json;
use tower::BoxError;
use tower_upstream::stack::{StackBuilder, presets};

pub(crate) type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A stack to be built, and the simulators that it asks, which go when they are dropped.
pub(crate) async fn from_env() -> Result<(StackBuilder, Vec<Simulator>), BoxError> {
    let set = |name| env::var(name).ok().filter(|it| !it.trim().is_empty());
    if let Some(path) = set("GATEWAY_CONFIG") {
        let builder = from_file(path.as_ref()).map_err(|error| format!("{path}: {error}"))?;
        return Ok((builder, Vec::new()));
    }
    match set("GATEWAY_PROVIDERS") {
        Some(names) => Ok((of_presets(&names)?, Vec::new())),
        None => simulated().await,
    }
}

fn from_file(path: &Path) -> Result<StackBuilder, BoxError> {
    let (text, key) = (fs::read_to_string(path)?, |name: &str| env::var(name).ok());
    if path.extension().is_none_or(|it| it != "toml") {
        return Ok(StackBuilder::from_json(&text, key)?);
    }
    #[cfg(feature = "toml")]
    return Ok(StackBuilder::from_toml(&text, key)?);
    #[cfg(not(feature = "toml"))]
    Err("TOML needs a build with `--features toml`; JSON needs no feature".into())
}

/// The models of these providers, as far as they are known, in their order; limits and retries as the environment has them.
fn of_presets(names: &str) -> Result<StackBuilder, BoxError> {
    let mut builder = StackBuilder::from_env("", env::vars_os())?;
    for name in names.split(',').map(str::trim) {
        let preset = presets::provider(name).filter(|preset| preset.models().next().is_some());
        let preset = preset.ok_or(format!(
            "no models of {name:?} are known: use GATEWAY_CONFIG"
        ))?;
        let mut provider = preset.provider().ok_or("it needs GATEWAY_CONFIG")?;
        if let Some(variable) = preset.key_variable {
            let key = env::var(variable).map_err(|_| format!("{variable} is not set"))?;
            provider = provider.key(&key)?;
        }
        for model in preset.models() {
            builder = builder.upstream(provider.model(model.name));
        }
    }
    Ok(builder)
}

/// A fast one with a small quota, another that answers more, and one on the own machine.
async fn simulated() -> Result<(StackBuilder, Vec<Simulator>), BoxError> {
    let (ms, limits) = (Duration::from_millis, || Limits::new());
    let groq = Simulator::groq().model("llama-3.1-8b-instant", limits().requests_per_minute(20));
    let openai = Simulator::openai()
        .model("gpt-4o-mini", limits().requests_per_minute(120))
        .model("text-embedding-3-small", limits().requests_per_minute(600));
    let groq = groq.latency(ms(80)).chunk_interval(ms(10)).start().await?;
    let openai = openai
        .latency(ms(200))
        .chunk_interval(ms(20))
        .start()
        .await?;
    let ollama = Simulator::ollama()
        .latency(ms(300))
        .chunk_interval(ms(40))
        .start()
        .await?;
    let config = json!({
        "providers": {
            "groq": { "base_url": groq.url(), "key_env": "SIMULATED_KEY" },
            "openai": { "base_url": openai.url(), "key_env": "SIMULATED_KEY" },
            "ollama": { "base_url": ollama.url() },
        },
        "upstreams": [
            { "provider": "groq", "models": ["llama-3.1-8b-instant"], "price": { "input": "0.05", "output": "0.08" },
              "quota": { "requests": "20/minute", "tokens": "6000/minute" } },
            { "provider": "openai", "models": ["gpt-4o-mini"], "price": { "input": "0.15", "output": "0.60" },
              "quota": { "requests": "120/minute" } },
            { "provider": "ollama", "models": ["llama3.2"], "quota": { "max_concurrent": 4 } },
            { "provider": "openai", "models": ["text-embedding-3-small"], "price": { "input": "0.02", "output": "0" } },
        ],
    });
    let builder = StackBuilder::from_json(&config.to_string(), |_| Some("simulated".into()))?;
    Ok((builder, vec![groq, openai, ollama]))
}

/// TCP for simulators and local models, TLS for the others.
pub(crate) fn client() -> Client {
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(Duration::from_secs(10)));
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let tls = HttpsConnectorBuilder::new().with_webpki_roots();
    let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
    legacy::Client::builder(TokioExecutor::new()).build(connector)
}
