//! A provider over raw TCP that keeps no promise, and counts what it got.

use std::{
    collections::{HashSet, VecDeque},
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tower_upstream::clock::{Clock, TokioClock};

use super::{
    callers::{sleep, within},
    faults::{Fault, Step},
};

/// How a server is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// What it does instead of answering well.
    pub(crate) faults: &'static [Fault],
    /// How many of a hundred requests meet one of these.
    pub(crate) share: u32,
    /// Whether it is away now and then.
    pub(crate) restarts: bool,
    /// How many requests it allows in any such time, by its own clock; more are a 429.
    pub(crate) window: Option<(usize, Duration)>,
}

/// What a server got.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Requests that arrived whole.
    pub(crate) requests: u64,
    /// Those of them that had arrived already: the same attempt of the same call.
    pub(crate) doubled: u64,
    /// Those beyond its window.
    pub(crate) crossed: u64,
    /// Connections that are open.
    pub(crate) connections: u64,
}

/// A server that listens, with breaks, on one port of the loopback interface.
#[derive(Clone)]
pub(crate) struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    manners: Manners,
    state: Mutex<State>,
}

struct State {
    random: fastrand::Rng,
    seen: Seen,
    /// Whether it answers well whatever its manners.
    is_calm: bool,
    attempts: HashSet<(u64, u32)>,
    arrived: VecDeque<Instant>,
}

impl Server {
    /// A port, and who is to [listen](Self::run) on it.
    pub(crate) async fn bind(manners: Manners, seed: u64) -> io::Result<(Self, TcpListener)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let state = State {
            random: fastrand::Rng::with_seed(seed),
            seen: Seen::default(),
            is_calm: false,
            attempts: HashSet::new(),
            arrived: VecDeque::new(),
        };
        let shared = Shared {
            address: listener.local_addr()?,
            manners,
            state: Mutex::new(state),
        };
        let shared = Arc::new(shared);
        Ok((Self { shared }, listener))
    }

    pub(crate) fn authority(&self) -> String {
        self.shared.address.to_string()
    }

    pub(crate) fn seen(&self) -> Seen {
        self.state().seen
    }

    /// From now on it answers well.
    pub(crate) fn calm(&self) {
        self.state().is_calm = true;
    }

    /// Forgets which attempts it has seen: those of a round do not come again in the next.
    pub(crate) fn next_round(&self) {
        self.state().attempts = HashSet::new();
    }

    /// Serves, and now and then is away for a while: its connections are cut, and new ones refused.
    pub(crate) async fn run(self, mut listener: TcpListener) {
        loop {
            let mut connections = JoinSet::new();
            loop {
                let stays = self.draw(|random| Duration::from_millis(random.u64(200..800)));
                within(stays, self.accept(&listener, &mut connections)).await;
                if self.shared.manners.restarts && !self.state().is_calm {
                    break;
                }
            }
            drop(listener);
            connections.shutdown().await;
            let away = self.draw(|random| Duration::from_millis(random.u64(1..40)));
            sleep(away).await;
            listener = loop {
                match TcpListener::bind(self.shared.address).await {
                    Ok(listener) => break listener,
                    Err(_) => sleep(Duration::from_millis(1)).await,
                }
            };
        }
    }

    async fn accept(&self, listener: &TcpListener, connections: &mut JoinSet<()>) {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                let open = Open::new(self.clone());
                connections.spawn(async move {
                    // A connection that breaks is what this is about.
                    let _ = open.server.converse(stream).await;
                });
            }
            while connections.try_join_next().is_some() {}
        }
    }

    async fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut read = Vec::new();
        while let Some(request) = read_request(&mut stream, &mut read).await? {
            for step in self.answer(&request) {
                match step {
                    Step::Write(bytes) => stream.write_all(&bytes).await?,
                    Step::Wait(time) => sleep(time).await,
                    Step::Stall => {
                        // Until the client goes away; what it says meanwhile is lost.
                        while stream.read(&mut [0; 1024]).await? > 0 {}
                        return Ok(());
                    }
                    Step::Close => return Ok(()),
                }
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> Vec<Step> {
        let manners = self.shared.manners;
        let mut state = self.state();
        let State { seen, attempts, .. } = &mut *state;
        seen.requests += 1;
        seen.doubled += u64::from(!attempts.insert((request.call, request.attempt)));
        if !state.has_room(manners.window) {
            state.seen.crossed += 1;
            return Fault::TooMany.steps(request, &mut state.random);
        }
        let is_ill = !state.is_calm && state.random.u32(0..100) < manners.share;
        let fault = match is_ill {
            true => manners.faults[state.random.usize(0..manners.faults.len())],
            false => Fault::None,
        };
        fault.steps(request, &mut state.random)
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.state().random)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("nobody panics with it")
    }
}

impl State {
    /// Whether another request fits into its window now; it is counted in any case.
    fn has_room(&mut self, window: Option<(usize, Duration)>) -> bool {
        let Some((most, length)) = window else {
            return true;
        };
        let now = TokioClock.now();
        while self.arrived.front().is_some_and(|at| now - *at >= length) {
            self.arrived.pop_front();
        }
        self.arrived.push_back(now);
        self.arrived.len() <= most
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.shared.address, self.seen())
    }
}

/// A connection, for as long as it is open.
struct Open {
    server: Server,
}

impl Open {
    fn new(server: Server) -> Self {
        server.state().seen.connections += 1;
        Self { server }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.server.state().seen.connections -= 1;
    }
}

/// What of a request matters here.
pub(crate) struct Request {
    call: u64,
    attempt: u32,
    pub(crate) is_stream: bool,
    /// The key that it came with.
    pub(crate) key: String,
}

/// The next request with its whole body; `None` when the client is done.
async fn read_request(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
            let field = |name: &str| {
                let line = head.lines().find_map(|line| line.strip_prefix(name));
                line.map_or("", |value| value.trim_start_matches(':').trim())
            };
            let length: usize = field("content-length").parse().unwrap_or(0);
            let whole = end + 4 + length;
            if read.len() >= whole {
                let body = String::from_utf8_lossy(&read[end + 4..whole]);
                let request = Request {
                    call: field("x-call").parse().expect("each call has a number"),
                    attempt: field("x-attempt-count")
                        .parse()
                        .expect("each attempt has one"),
                    is_stream: body.contains(r#""stream":true"#),
                    key: field("authorization").to_owned(),
                };
                read.drain(..whole);
                return Ok(Some(request));
            }
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}
