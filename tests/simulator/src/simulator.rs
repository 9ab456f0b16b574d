use std::{io, net::SocketAddr, sync::Arc};

use tokio::sync::Mutex;

use crate::{
    Counts, Received, Reply, SimulatorBuilder, desk::Desk, dialect::Dialect, server::Server,
};

/// A running provider.
///
/// Dropping it stops the server and cuts its connections. See the [crate docs](crate) for what it
/// answers.
#[derive(Debug)]
pub struct Simulator {
    desk: Arc<Desk>,
    address: SocketAddr,
    server: Mutex<Option<Server>>,
}

impl Simulator {
    /// Groq: requests per day and tokens per minute in the `x-ratelimit-*` headers, 413 for a
    /// request that is larger than a whole limit.
    pub fn groq() -> SimulatorBuilder {
        SimulatorBuilder::new(Dialect::Groq)
    }

    /// OpenAI: waits in milliseconds in `retry-after-ms`, 429 also for a request that is larger
    /// than a whole limit.
    pub fn openai() -> SimulatorBuilder {
        SimulatorBuilder::new(Dialect::OpenAi)
    }

    /// Anthropic: `anthropic-ratelimit-*` headers with RFC 3339 resets, 529 when overloaded.
    ///
    /// Errors and headers have the native shape on both of its endpoints.
    pub fn anthropic() -> SimulatorBuilder {
        SimulatorBuilder::new(Dialect::Anthropic)
    }

    /// Ollama on the own machine: no quota headers, 503 when its queue is full.
    pub fn ollama() -> SimulatorBuilder {
        SimulatorBuilder::new(Dialect::Ollama)
    }

    /// The address it listens on, or listened on before it [went down](Self::go_down).
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL up to and with `/v1`, to which `/chat/completions` is appended.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.desk.dialect().base_path())
    }

    /// Appends replies for the next completion requests, in their order of arrival and whatever
    /// their model. Requests beyond the script are answered normally.
    pub fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.desk.script(replies);
    }

    /// What it received so far, over all models and paths.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.desk.counts()
    }

    /// What it received so far for one model; all zero for a model that nobody asked for.
    #[must_use]
    pub fn counts_of(&self, model: &str) -> Counts {
        self.desk.counts_of(model)
    }

    /// Every request so far, in the order in which their bodies were complete.
    #[must_use]
    pub fn log(&self) -> Vec<Received> {
        self.desk.log()
    }

    /// Stops listening and cuts all connections. On return, connecting is refused.
    ///
    /// Requests over HTTP/2 may leave [`Counts::in_flight`] a moment later.
    pub async fn go_down(&self) {
        if let Some(server) = self.server.lock().await.take() {
            server.stop().await;
        }
    }

    /// Listens again on the [same port](Self::address), with quotas, counts and script as they
    /// were left. Does nothing if it is not down.
    ///
    /// # Errors
    ///
    /// The port may have been taken by another process in the meantime.
    pub async fn come_back(&self) -> io::Result<()> {
        let mut server = self.server.lock().await;
        if server.is_none() {
            *server = Some(Server::start(self.address, Arc::clone(&self.desk)).await?);
        }
        Ok(())
    }

    pub(crate) async fn start(desk: Desk) -> io::Result<Self> {
        let desk = Arc::new(desk);
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(any_port, Arc::clone(&desk)).await?;
        Ok(Self {
            desk,
            address: server.address(),
            server: Mutex::new(Some(server)),
        })
    }
}
