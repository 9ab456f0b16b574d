use std::{io, net::SocketAddr, sync::Arc};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

use crate::desk::Desk;

/// A listener and its connections, which end when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Tokio sets `SO_REUSEADDR`, so that an address that was just left can be taken again.
    pub(crate) async fn start(address: SocketAddr, desk: Arc<Desk>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let accepting = tokio::spawn(accept(listener, desk, stopped));
        Ok(Self {
            address,
            stop,
            accepting,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns when nothing listens and no connection is left.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        // It only fails if the runtime is going down, and then it has stopped as well.
        let _ = self.accepting.await;
    }
}

/// Runs until the other side of `stopped` is dropped.
async fn accept(listener: TcpListener, desk: Arc<Desk>, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => {
                // A connection that failed before it was accepted is its client's matter.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, Arc::clone(&desk)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, desk: Arc<Desk>) {
    // Small events of a stream must not wait for each other.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| Arc::clone(&desk).serve(request));
    // What ends a connection, such as a client that hangs up, shows in the counts.
    let _ = Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
