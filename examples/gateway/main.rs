//! A gateway in front of several providers: one URL in OpenAI's format, a stack of all six layers behind it.
//!
//! ```sh
//! cargo run --example gateway                                  # three simulated providers, nothing to set up
//! curl -s localhost:8080/v1/chat/completions -H 'content-type: application/json' \
//!   -d '{"model":"auto","messages":[{"role":"user","content":"Why?"}]}'
//! ```
//!
//! | route | |
//! |---|---|
//! | `POST /v1/chat/completions`, `POST /v1/embeddings` | passed on as they are, but for what the provider layer rewrites; streams as they come |
//! | `GET /v1/models` | the models' names; `auto` is whoever can answer, a model's name is that model at any provider, `groq/llama` that one upstream, in whose line it waits |
//! | `GET /` and `GET /events` | the live page, and the server-sent events that it shows |
//! | `GET /metrics`, `GET /healthz` | for Prometheus; 200 |
//! | `GET /admin/state`, `POST /admin/{force-open,reset,clear-cooldown}?key=ID` | with `Authorization: Bearer` and the admin token |
//!
//! | variable | |
//! |---|---|
//! | `GATEWAY_ADDRESS` | where it listens; `127.0.0.1:8080` |
//! | `GATEWAY_CONFIG` | the path of a stack in JSON, or in TOML in a build with `--features toml`; see `examples/configs`. Or the JSON itself: `{"upstreams": [{"provider": "groq"}]}` are all models of Groq that [`presets`](tower_upstream::stack::presets) knows, with the key in its usual variable. Without it: simulators |
//! | `GATEWAY_KEYS` | `anna:KEY,ben:KEY`: who may ask, and is which tenant. Without it: everybody, and each address is a tenant |
//! | `GATEWAY_TENANT_REQUESTS_PER_MINUTE` | of each tenant; 600 |
//! | `GATEWAY_ADMIN_TOKEN` | without it, a random one is made and told on stderr |
//! | `GATEWAY_STATE` | a file that keeps what is taken of the quotas over a restart |
//! | `GATEWAY_MAX_BODY_BYTES` | 4194304; more is a 413 |
//! | `GATEWAY_BODY_SECONDS`, `GATEWAY_ANSWER_SECONDS`, `GATEWAY_DRAIN_SECONDS` | for a body to arrive (30), for an answer to begin (300; half of it for one upstream, then the next is asked), for requests to end when it stops (30) |
//!
//! It speaks HTTP/1.1 without TLS: put it behind what ends TLS. `/`, `/events`, `/metrics` and `/healthz` are open to whoever
//! reaches the port, and name upstreams and tenants. Of what upstreams say of their failures, only words about the request
//! itself go on to callers, but for an error in the middle of a stream. Beyond its model, a request is not looked at: what else
//! is wrong with it, the upstream says. A stream may take as long as it takes, once it has begun. The simulators keep all that
//! they are asked: in front of them, memory grows.

pub(crate) mod app;
mod operator;
pub(crate) mod server;
pub(crate) mod settings;
pub(crate) mod upstreams;

use anyhow::{Context, Result};
use tokio::net::TcpListener;

#[tokio::main]
pub(crate) async fn main() -> Result<()> {
    let settings = settings::Settings::read(|name| std::env::var(name).ok())?;
    let address = settings.address;
    let gateway = app::Gateway::new(settings, upstreams::from_env().await?)?;
    let stop = gateway.stop.clone();
    ctrlc::set_handler(move || stop.cancel())?;
    let listener = TcpListener::bind(address).await.with_context(|| address)?;
    eprintln!("{}", gateway.stack.explain());
    eprintln!("listening on http://{}", listener.local_addr()?);
    let is_drained = server::serve(listener, &gateway).await?;
    let requests = if is_drained { "ended" } else { "cut off" };
    eprintln!("stopped, with requests {requests}");
    Ok(())
}
