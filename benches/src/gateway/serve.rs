//! The example's gateway, with its stack or with the bare client in its place.

use std::sync::Arc;

use axum::response::IntoResponse;
use bytes::Bytes;
use http_body_util::Full;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, util::BoxCloneSyncService};
use tower_upstream::{FrontLayer, stack::StackBuilder};

use super::example::{
    app::{Gateway, Upstreams},
    server,
    settings::Settings,
    upstreams::client,
};

pub(super) async fn serve(is_bare: bool, upstream: &str) -> Result<(), String> {
    let gateway = gateway(is_bare, upstream).map_err(|error| error.to_string())?;
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    println!("{address}");
    let served = server::serve(listener, &gateway).await;
    served.map(drop).map_err(|error| error.to_string())
}

fn gateway(is_bare: bool, upstream: &str) -> anyhow::Result<Arc<Gateway>> {
    let settings = Settings::read(|name| match name {
        "GATEWAY_TENANT_REQUESTS_PER_MINUTE" => Some("1000000000".to_owned()),
        "GATEWAY_ADMIN_TOKEN" => Some("of-nobody".to_owned()),
        _ => None,
    })?;
    let config = serde_json::json!({
        "providers": { "own": { "base_url": format!("{upstream}/v1"), "local": true } },
        "upstreams": [{ "provider": "own", "models": ["m"], "quota": { "requests": "1000000000/minute", "tokens": "1000000000000/minute" } }],
    });
    let builder = StackBuilder::from_json(&config.to_string(), |_| None)?;
    let mut gateway = Gateway::new(settings, builder)?;
    if let Some(gateway) = Arc::get_mut(&mut gateway).filter(|_| is_bare) {
        gateway.upstreams = bare(
            FrontLayer::new(gateway.stack.upstreams()),
            upstream.to_owned(),
        );
    }
    Ok(gateway)
}

/// The client alone, where the gateway has its stack around it.
fn bare(front: FrontLayer, upstream: String) -> Upstreams {
    let address = move |mut request: http::Request<Full<Bytes>>| {
        let uri = format!("{upstream}{}", request.uri().path());
        // What is no address goes to the path alone, and fails.
        *request.uri_mut() = uri.parse().unwrap_or_default();
        request
    };
    let service = ServiceBuilder::new()
        .map_response(IntoResponse::into_response)
        .layer(front)
        .map_request(address)
        .service(client());
    BoxCloneSyncService::new(service)
}
