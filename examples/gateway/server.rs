//! Connections, and how they end.

use std::{pin::pin, sync::Arc, time::Duration};

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

/// Serves until it is told to stop, then until all requests and streams have ended, and saves the state; whether all ended in
/// time.
///
/// A server of hyper's own, where axum's has no limit of time for a head to arrive.
pub(crate) async fn serve(
    listener: TcpListener,
    gateway: &Arc<Gateway>,
    told_to_stop: impl Future,
) -> Result<bool, BoxError> {
    let router = gateway.router()?;
    let mut http = http1::Builder::new();
    let http = http
        .timer(TokioTimer::new())
        .header_read_timeout(gateway.settings.body_time);
    let connections = GracefulShutdown::new();
    let serve = |(stream, peer): (tokio::net::TcpStream, std::net::SocketAddr)| {
        let router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request.map(Body::new))
        });
        let _ = stream.set_nodelay(true);
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connections.watch(connection));
    };
    let mut told_to_stop = pin!(told_to_stop);
    loop {
        tokio::select! {
            _ = &mut told_to_stop => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => serve(accepted),
                // Out of file descriptors, for example: some are given back in a moment.
                Err(_) => TokioClock.sleep_until(TokioClock.now() + Duration::from_millis(50)).await,
            },
        }
    }
    gateway.stop.send_replace(true);
    // Who is known to have connected already is served; Linux keeps so many, and a flood of others must not keep it from its end.
    for _ in 0..4_096 {
        match listener.accept().now_or_never() {
            Some(Ok(accepted)) => serve(accepted),
            _ => break,
        }
    }
    drop(listener);
    let drained = within(gateway.settings.drain_time, connections.shutdown()).await;
    if let Some(path) = &gateway.settings.state {
        gateway.stack.save(path)?;
    }
    Ok(drained.is_some())
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

/// Ends with SIGTERM or ctrl-c.
pub(crate) async fn told_to_stop() {
    #[cfg(unix)]
    if let Ok(mut terminated) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}
