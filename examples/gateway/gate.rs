//! Who may come in, as whom, and the id of each request.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq;
use tower_upstream::{adapt::peer::peer_key, stack::Caller};

use super::app::{Gateway, told};

/// Tenants are those to whom a key was given: nobody else can take part in their limits. Without keys everybody is believed,
/// and so is `x-tenant`, which suits a proxy that sets it; who sends none is his address.
pub(crate) async fn tenant(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Result<Response, Response> {
    let (keys, headers) = (&gateway.settings.keys, request.headers());
    let field = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let name = if !keys.is_empty() {
        // All are looked at: how many there are before the one does not show.
        let held = keys.iter().rfold(None, |held, (name, key)| {
            is_bearer(headers, key).then_some(name).or(held)
        });
        let message = "The API key is missing or not one of this gateway's.";
        held.cloned()
            .ok_or_else(|| unauthorized("invalid_api_key", message))?
    } else if field("sec-fetch-site") == Some("cross-site") {
        // A browser says who sent it: no page of somebody else is to spend from here.
        let message = "Pages of other sites may not ask here.";
        return Err(told(StatusCode::FORBIDDEN, "cross_site", message));
    } else {
        let given = field("x-tenant").filter(|name| (1..=64).contains(&name.len()));
        given.map_or_else(|| peer_key(peer.ip()), Arc::from)
    };
    request.extensions_mut().insert(Caller(name));
    Ok(next.run(request).await)
}

pub(crate) async fn admin(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
    next: Next,
) -> Response {
    match is_bearer(request.headers(), &gateway.settings.admin_token) {
        true => next.run(request).await,
        false => unauthorized(
            "invalid_admin_token",
            "The admin token is missing or wrong.",
        ),
    }
}

fn unauthorized(code: &str, message: &str) -> Response {
    let told = told(StatusCode::UNAUTHORIZED, code, message);
    ([(WWW_AUTHENTICATE, "Bearer")], told).into_response()
}

/// In a time that tells nothing of the secret but its length.
fn is_bearer(headers: &HeaderMap, secret: &str) -> bool {
    let given = headers
        .get(AUTHORIZATION)
        .map_or(&b""[..], |value| value.as_bytes());
    let (scheme, given) = given.split_at(given.len().min("Bearer ".len()));
    scheme.eq_ignore_ascii_case(b"Bearer ") && given.ct_eq(secret.as_bytes()).into()
}

/// Gives each request an id where it has none, and each answer that of its request.
pub(crate) async fn identified(mut request: Request, next: Next) -> Response {
    let is_sane = |id: &&HeaderValue| {
        (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let given = request.headers().get(REQUEST_ID).filter(is_sane).cloned();
    let made = || HeaderValue::try_from(format!("req_{:032x}", fastrand::u128(..)));
    let id = given
        .or_else(|| made().ok())
        .unwrap_or(HeaderValue::from_static("req"));
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = next.run(request).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
