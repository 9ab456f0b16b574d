//! Connections, and how they end.

use std::{iter, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use axum::{Extension, extract::ConnectInfo, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    select,
};
use tower::Layer;
use tower_upstream::clock::{Clock, Sleep, TokioClock};

use super::app::Gateway;

/// Serves until the gateway is told to stop, then until all requests and streams have ended, and saves the state; whether all
/// ended in time.
///
/// A server of hyper's own, where axum's has no limit of time for a head to arrive.
pub(crate) async fn serve(mut listener: TcpListener, gateway: &Arc<Gateway>) -> Result<bool> {
    let (router, connections) = (gateway.router()?, GracefulShutdown::new());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    http.header_read_timeout(gateway.settings.body_time);
    let serve = |(stream, peer): (TcpStream, SocketAddr)| {
        let _ = stream.set_nodelay(true);
        let service = Extension(ConnectInfo(peer)).layer(router.clone());
        let service = TowerToHyperService::new(service);
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connections.watch(connection));
    };
    loop {
        select! {
            () = gateway.stop.cancelled() => break,
            accepted = Listener::accept(&mut listener) => serve(accepted),
        }
    }
    // Whoever has connected by now is served. The system is asked, for the runtime may not have heard of all; and only for so many,
    // for a flood of others must not keep it from its end.
    let listener = listener.into_std()?;
    for (stream, peer) in iter::from_fn(|| listener.accept().ok()).take(4_096) {
        stream.set_nonblocking(true)?;
        serve((TcpStream::from_std(stream)?, peer));
    }
    drop(listener);
    // Of whom nothing has been read yet, hyper hangs up on when it is told to end: this is the time to read it.
    pause(FIRST_READ).await;
    let is_drained = select! {
        () = connections.shutdown() => true,
        () = pause(gateway.settings.drain_time) => false,
    };
    if let Some(path) = &gateway.settings.state {
        gateway.stack.save(path)?;
    }
    Ok(is_drained)
}

fn pause(time: Duration) -> Sleep {
    TokioClock.sleep_until(TokioClock.now() + time)
}

const FIRST_READ: Duration = Duration::from_millis(100);
