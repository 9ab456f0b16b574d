//! Whom to ask: what the environment says, or three simulated providers.

use std::{env, io, mem::ManuallyDrop, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use provider_simulator::Simulator;
use tower_upstream::stack::StackBuilder;

pub(crate) async fn from_env() -> Result<StackBuilder> {
    let variable = |name: &str| env::var(name).ok();
    let builder = match variable("GATEWAY_CONFIG").unwrap_or_default().trim() {
        "" => StackBuilder::from_json(&simulated().await?, |_| Some("simulated".into())),
        json if json.starts_with('{') => StackBuilder::from_json(json, variable),
        path => StackBuilder::from_file(path, variable),
    };
    Ok(builder?)
}

/// The configuration for three simulators, which run as long as the process does.
async fn simulated() -> io::Result<String> {
    let mut config = include_str!("simulated.json").to_owned();
    for (name, simulator, ms) in [
        ("{groq}", Simulator::groq(), 80),
        ("{openai}", Simulator::openai(), 200),
        ("{ollama}", Simulator::ollama(), 300),
    ] {
        let latency = Duration::from_millis(ms);
        let simulator = simulator.latency(latency).chunk_interval(latency / 8);
        let simulator = ManuallyDrop::new(simulator.start().await?);
        config = config.replace(name, &simulator.url());
    }
    Ok(config)
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
