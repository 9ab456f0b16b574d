//! Who may come in, and as whom.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Query, Request, State},
    http::{HeaderMap, StatusCode, Uri, header::AUTHORIZATION},
    middleware::Next,
    response::Response,
};
use subtle::ConstantTimeEq;
use tower_upstream::{adapt::peer::peer_key, stack::Caller};

use super::{app::Gateway, errors::ApiError};

/// Tenants are those to whom a key was given: nobody else can take part in their limits. Without keys everybody is believed,
/// and so is `x-tenant`, which suits a proxy that sets it; who sends none is his address.
pub(crate) async fn tenant(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let keys = &gateway.settings.keys;
    let headers = request.headers();
    let name = if keys.is_empty() {
        // A browser says who sent it: no page of somebody else is to spend from here.
        if headers
            .get("sec-fetch-site")
            .is_some_and(|it| it == "cross-site")
        {
            let message = "Pages of other sites may not ask here.";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "cross_site", message));
        }
        let given = headers.get("x-tenant").and_then(|name| name.to_str().ok());
        let given = given.filter(|name| (1..=64).contains(&name.len()));
        given.map_or_else(|| peer_key(peer.ip()), Arc::from)
    } else {
        // All are looked at: how many there are before the one does not show.
        let held = keys.iter().rfold(None, |held, pair| {
            is_bearer(headers, &pair.1).then_some(pair).or(held)
        });
        let (name, _) = held.ok_or_else(|| {
            let message = "The API key is missing or not one of this gateway's.";
            ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
        })?;
        name.clone()
    };
    request.extensions_mut().insert(Caller(name));
    Ok(next.run(request).await)
}

pub(crate) async fn admin(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if !is_bearer(request.headers(), &gateway.settings.admin_token) {
        let message = "The admin token is missing or wrong.";
        return Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "invalid_admin_token",
            message,
        ));
    }
    Ok(next.run(request).await)
}

/// The parameter `key` of a query; empty where there is none.
pub(crate) fn key_of(uri: &Uri) -> String {
    let query = Query::<HashMap<String, String>>::try_from_uri(uri);
    query
        .ok()
        .and_then(|Query(mut query)| query.remove("key"))
        .unwrap_or_default()
}

/// In a time that tells nothing of the secret but its length.
fn is_bearer(headers: &HeaderMap, secret: &str) -> bool {
    let given = headers
        .get(AUTHORIZATION)
        .map_or(&b""[..], |value| value.as_bytes());
    let (scheme, given) = given.split_at(given.len().min("Bearer ".len()));
    scheme.eq_ignore_ascii_case(b"Bearer ") && given.ct_eq(secret.as_bytes()).into()
}
