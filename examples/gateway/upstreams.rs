//! Whom to ask: what the environment says, or three simulated providers.

use std::{env, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use provider_simulator::Simulator;
use tower::BoxError;
use tower_upstream::stack::StackBuilder;

/// A stack to be built, and the simulators that it asks, which go when they are dropped.
pub(crate) async fn from_env() -> Result<(StackBuilder, Vec<Simulator>), BoxError> {
    let variable = |name: &str| env::var(name).ok();
    match variable("GATEWAY_CONFIG").unwrap_or_default().trim() {
        "" => simulated().await,
        json if json.starts_with('{') => Ok((StackBuilder::from_json(json, variable)?, Vec::new())),
        path => Ok((StackBuilder::from_file(path, variable)?, Vec::new())),
    }
}

async fn simulated() -> Result<(StackBuilder, Vec<Simulator>), BoxError> {
    let (mut simulators, mut config) = (Vec::new(), include_str!("simulated.json").to_owned());
    for (name, simulator, ms) in [
        ("{groq}", Simulator::groq(), 80),
        ("{openai}", Simulator::openai(), 200),
        ("{ollama}", Simulator::ollama(), 300),
    ] {
        let simulator = simulator.latency(Duration::from_millis(ms));
        let simulator = simulator.chunk_interval(Duration::from_millis(ms / 8));
        let simulator = simulator.start().await?;
        config = config.replace(name, &simulator.url());
        simulators.push(simulator);
    }
    let builder = StackBuilder::from_json(&config, |_| Some("simulated".into()))?;
    Ok((builder, simulators))
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
