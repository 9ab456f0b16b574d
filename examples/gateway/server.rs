//! Connections, and how they end.

use std::{
    future::{Future, pending},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
};
use futures::FutureExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::net::TcpListener;
use tower::{BoxError, ServiceExt};
use tower_upstream::clock::{Clock, TokioClock};

use super::app::Gateway;

/// Serves until it is told to stop, and then until all requests and streams have ended; whether they did in time.
///
/// A server of hyper's own, where axum's has no limit of time for a head to arrive.
pub(crate) async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    told_to_stop: impl Future,
) -> Result<bool, BoxError> {
    let router = gateway.router()?;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(gateway.settings.body_time);
    let connections = GracefulShutdown::new();
    let mut told_to_stop = pin!(told_to_stop);
    let (mut is_stopping, mut late) = (false, 0..LATE);
    loop {
        let accepted = match is_stopping {
            // Who is known to have connected already is served, but a flood of others must not keep it from its end.
            true => late.next().and_then(|_| listener.accept().now_or_never()),
            false => tokio::select! {
                accepted = listener.accept() => Some(accepted),
                _ = &mut told_to_stop => None,
            },
        };
        let Some(accepted) = accepted else {
            if is_stopping {
                break;
            }
            is_stopping = true;
            gateway.stop.send_replace(true);
            continue;
        };
        let Ok((stream, peer)) = accepted else {
            if is_stopping {
                break;
            }
            // Out of file descriptors, for example: some are given back in a moment.
            within(Duration::from_millis(50), pending::<()>()).await;
            continue;
        };
        let router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request.map(Body::new))
        });
        let _ = stream.set_nodelay(true);
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connections.watch(connection));
    }
    drop(listener);
    Ok(within(gateway.settings.drain_time, connections.shutdown())
        .await
        .is_some())
}

/// Ends with SIGTERM or ctrl-c.
pub(crate) async fn told_to_stop() {
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = pending::<()>();
    tokio::select! {
        _ = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// What the call gives; `None` where it takes longer.
pub(crate) async fn within<T>(limit: Duration, call: impl Future<Output = T>) -> Option<T> {
    let over = TokioClock.sleep_until(TokioClock.now() + limit);
    tokio::select! {
        biased;
        result = call => Some(result),
        () = over => None,
    }
}

/// Linux keeps so many, unless told otherwise, that have connected and were not accepted yet.
const LATE: u32 = 4_096;
