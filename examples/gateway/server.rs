//! Connections, and how they end.

use std::{io, iter, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Extension, extract::ConnectInfo, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tower::{BoxError, Layer};
use tower_upstream::clock::{Clock, TokioClock};

use super::app::Gateway;

/// Serves until it is told to stop, then until all requests and streams have ended, and saves the state; whether all ended in
/// time.
///
/// A server of hyper's own, where axum's has no limit of time for a head to arrive.
pub(crate) async fn serve(
    mut listener: TcpListener,
    gateway: &Arc<Gateway>,
    told_to_stop: impl Future,
) -> Result<bool, BoxError> {
    let router = gateway.router()?;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    http.header_read_timeout(gateway.settings.body_time);
    let connections = GracefulShutdown::new();
    let serve = |(stream, peer): (TcpStream, SocketAddr)| {
        let _ = stream.set_nodelay(true);
        let service = Extension(ConnectInfo(peer)).layer(router.clone());
        let stream = TokioIo::new(stream);
        let connection = http.serve_connection(stream, TowerToHyperService::new(service));
        tokio::spawn(connections.watch(connection));
    };
    let mut told_to_stop = pin!(told_to_stop);
    loop {
        tokio::select! {
            _ = &mut told_to_stop => break,
            accepted = Listener::accept(&mut listener) => serve(accepted),
        }
    }
    gateway.stop.send_replace(true);
    // Whoever has connected by now is served. The system is asked, for the runtime may not have heard of all; and only for so many,
    // for a flood of others must not keep it from its end.
    let listener = listener.into_std()?;
    for (stream, peer) in iter::from_fn(|| listener.accept().ok()).take(4_096) {
        stream.set_nonblocking(true)?;
        serve((TcpStream::from_std(stream)?, peer));
    }
    drop(listener);
    // Of whom nothing has been read yet, hyper hangs up on when it is told to end: this is the time to read it.
    TokioClock.sleep_until(TokioClock.now() + FIRST_READ).await;
    let drained = within(gateway.settings.drain_time, connections.shutdown()).await;
    if let Some(path) = &gateway.settings.state {
        gateway.stack.save(path)?;
    }
    Ok(drained.is_some())
}

/// What the call gives; `None` where it takes longer.
pub(crate) async fn within<T>(limit: Duration, call: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        result = call => Some(result),
        () = TokioClock.sleep_until(TokioClock.now() + limit) => None,
    }
}

/// Ends with SIGTERM or ctrl-c.
pub(crate) async fn told_to_stop() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = terminated.recv() => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted,
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

const FIRST_READ: Duration = Duration::from_millis(100);
