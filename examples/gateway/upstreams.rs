//! Whom to ask: what a file or the environment says, or three simulated providers.

use std::{env, fs, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use provider_simulator::{Limits, Simulator};
use serde_json::{Value, json};
use tower::BoxError;
use tower_upstream::stack::StackBuilder;

/// A stack to be built, and the simulators that it asks, which go when they are dropped.
pub(crate) async fn from_env() -> Result<(StackBuilder, Vec<Simulator>), BoxError> {
    let set = |name: &str| env::var(name).ok().filter(|it| !it.trim().is_empty());
    if let Some(path) = set("GATEWAY_CONFIG") {
        let builder = from_file(&path).map_err(|error| format!("{path}: {error}"))?;
        return Ok((builder, Vec::new()));
    }
    if let Some(names) = set("GATEWAY_PROVIDERS") {
        let upstreams = names
            .split(',')
            .map(|name| json!({ "provider": name.trim() }));
        let config = json!({ "upstreams": upstreams.collect::<Value>() }).to_string();
        let builder = StackBuilder::from_json(&config, set);
        let builder = builder.map_err(|error| format!("GATEWAY_PROVIDERS: {error}"))?;
        return Ok((builder, Vec::new()));
    }
    let ms = Duration::from_millis;
    let simulators = vec![
        Simulator::groq()
            .model("openai/gpt-oss-20b", Limits::new().requests_per_minute(20))
            .latency(ms(80))
            .chunk_interval(ms(10))
            .start()
            .await?,
        Simulator::openai()
            .model("gpt-4o-mini", Limits::new().requests_per_minute(120))
            .model(
                "text-embedding-3-small",
                Limits::new().requests_per_minute(600),
            )
            .latency(ms(200))
            .chunk_interval(ms(20))
            .start()
            .await?,
        Simulator::ollama()
            .latency(ms(300))
            .chunk_interval(ms(40))
            .start()
            .await?,
    ];
    let names = ["{groq}", "{openai}", "{ollama}"].iter().zip(&simulators);
    let config = names.fold(
        include_str!("simulated.json").to_owned(),
        |config, (name, it)| config.replace(name, &it.url()),
    );
    let builder = StackBuilder::from_json(&config, |_| Some("simulated".into()))?;
    Ok((builder, simulators))
}

fn from_file(path: &str) -> Result<StackBuilder, BoxError> {
    let (text, key) = (fs::read_to_string(path)?, |name: &str| env::var(name).ok());
    if !path.ends_with(".toml") {
        return Ok(StackBuilder::from_json(&text, key)?);
    }
    #[cfg(feature = "toml")]
    return Ok(StackBuilder::from_toml(&text, key)?);
    #[cfg(not(feature = "toml"))]
    Err("TOML needs a build with `--features toml`; JSON needs no feature".into())
}

/// TCP for simulators and local models, TLS for the others.
pub(crate) fn client() -> legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>> {
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(Duration::from_secs(10)));
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let tls = HttpsConnectorBuilder::new().with_webpki_roots();
    let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
    legacy::Client::builder(TokioExecutor::new()).build(connector)
}
