//! The storm itself: the stack, round after round of calls, and then calm.

use std::{path::PathBuf, time::Duration};

use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt};
use tower_upstream::{
    CircuitBreakerPolicy, Jitter, Limit, Preferences, Quota, RateLimiter, RetryPolicy, Stack,
    observe::AuditLog, retry::ATTEMPT_COUNT,
};

use super::{
    MEMORY,
    callers::{self, End, Tally, boxed, call, sleep, within},
    servers::{DAILY, SLOTS, Servers, WINDOWED},
    witness::{Counting, Uses},
};

/// The stack, its servers, and what is known of them so far.
pub(crate) struct Storm {
    pub(super) stack: Stack,
    audit: AuditLog,
    pub(super) audit_file: PathBuf,
    pub(super) servers: Servers,
    pub(super) uses: Uses,
    random: fastrand::Rng,
    calls: u64,
    pub(super) tally: Tally,
    /// Bytes in use after each round, when nothing is under way.
    pub(super) memory: Vec<usize>,
}

impl Storm {
    pub(crate) async fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let servers = Servers::start(&mut random);
        tokio::spawn(servers.lag().clone().measure());
        let name = format!("tower-upstream-chaos-{}.jsonl", std::process::id());
        let audit_file = std::env::temp_dir().join(name);
        let audit = AuditLog::options(&audit_file).max_bytes(1 << 20).keep(1);
        let audit = audit.open().expect("a file");
        let limiter = RateLimiter::default().max_wait(Duration::from_millis(300));
        // The quota of each is what its server allows.
        let windowed = Limit::requests(WINDOWED.0 as u64).per(WINDOWED.1);
        let quotas = [
            Quota::new().limit(windowed).margin(MARGIN),
            Quota::new().max_concurrent(SLOTS),
            Quota::new().limit(Limit::requests(10_000).per_minute()),
            Quota::new().limit(Limit::requests(DAILY).per_day()),
            Quota::new().max_concurrent(4 * SLOTS),
        ];
        let mut stack = Stack::builder().limiter(limiter.observe(audit.clone()));
        for (upstream, quota) in servers.upstreams().into_iter().zip(quotas) {
            stack = stack.upstream(upstream.quota(quota).expect("a quota"));
        }
        let ms = Duration::from_millis;
        let retry = RetryPolicy::llm()
            .max_attempts(3)
            .backoff(ms(1), ms(10))
            .jitter(Jitter::Full)
            .max_hint_wait(ms(50))
            .attempt_timeout(ms(150))
            .total_deadline(Duration::from_secs(5))
            .attempt_header(ATTEMPT_COUNT)
            .seed(random.u64(..))
            .without_budget();
        let breaker = CircuitBreakerPolicy::default()
            .open_for(ms(5))
            .open_growth(2.0, ms(50))
            .seed(random.u64(..));
        let stack = stack
            .retry(retry)
            .circuit_breaker(breaker)
            .fallback(move |chain| chain.cooldown(ms(10)).max_wait(ms(100)))
            .observe(audit.clone())
            .build();
        Self {
            stack: stack.expect("a stack"),
            audit,
            audit_file,
            servers,
            uses: Uses::default(),
            random,
            calls: 0,
            tally: Tally::default(),
            memory: Vec::new(),
        }
    }

    pub(crate) fn rounds(&self) -> usize {
        self.memory.len()
    }

    /// Some hundred calls, until all have ended and everything has been given back.
    pub(crate) async fn round(&mut self) {
        let client = self.client();
        let mut calls = JoinSet::new();
        for _ in 0..CALLS {
            if calls.len() == AT_ONCE {
                self.end(calls.join_next().await);
            }
            self.look();
            let call = call(client.clone(), self.calls, self.random.fork());
            self.calls += 1;
            calls.spawn(call);
        }
        while let Some(ended) = calls.join_next().await {
            self.end(Some(ended));
        }
        drop(client);
        drop(calls);
        self.assert_all_is_given_back().await;
        self.forgive();
        self.audit.flush().expect("it is written");
        self.memory.push(MEMORY.current_usage());
    }

    /// Handles are asked while everything is under way.
    fn look(&mut self) {
        let upstreams = self.stack.upstreams();
        let upstream = &upstreams[self.random.usize(0..upstreams.len())];
        let status = self.stack.limiter().status(upstream.id());
        assert!(
            status.in_flight as usize + status.queued <= AT_ONCE,
            "{status:?}"
        );
        self.stack.breaker().metrics(upstream.id());
        self.stack.cooldowns().list();
        self.stack.router().map(|router| router.upstreams());
    }

    fn end(&mut self, ended: Option<Result<End, tokio::task::JoinError>>) {
        let ended = ended.expect("one is under way");
        self.tally.add(ended.expect("no call panics"));
    }

    /// A client without connections, under the stack.
    fn client(&self) -> callers::Client {
        let client = Client::builder(TokioExecutor::new()).build_http();
        boxed(
            self.stack
                .layer()
                .layer(Counting::new(client, self.uses.clone())),
        )
    }

    async fn assert_all_is_given_back(&self) {
        // At once on our side.
        for upstream in self.stack.upstreams() {
            let status = self.stack.limiter().status(upstream.id());
            let held = (status.in_flight, status.queued);
            assert_eq!(held, (0, 0), "permits leaked of {upstream}: {status:?}");
        }
        for server in self.servers.list() {
            assert_eq!(
                self.uses.of(&server.authority()).0,
                0,
                "a request to {server:?} goes on"
            );
        }
        // A little later on the other: its connections go with the client, and so do the client's tasks.
        let metrics = tokio::runtime::Handle::current().metrics();
        let goes_on = || {
            let servers = self.servers.list().iter();
            let open: u64 = servers.map(|server| server.seen().connections).sum();
            (metrics.num_alive_tasks() - OURS, open)
        };
        let ended = async {
            while goes_on() != (0, 0) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let is_over = within(HANGS, ended).await.is_some();
        assert!(is_over, "tasks and connections go on: {:?}", goes_on());
    }

    /// What lies have done would keep the liar out for ever.
    fn forgive(&self) {
        let liar = self.stack.upstreams()[LIAR].id();
        self.stack.limiter().reset(liar);
        for upstream in self.stack.upstreams() {
            self.stack.limiter().resume(upstream.id());
        }
        self.stack.cooldowns().clear_all();
        self.servers
            .list()
            .iter()
            .for_each(|server| server.next_round());
    }

    /// The servers answer well from now on: each is used again, by whatever its circuit and its limits had come to.
    pub(crate) async fn calm_down(&mut self) {
        self.servers.list().iter().for_each(|server| server.calm());
        let client = self.client();
        for upstream in self.stack.upstreams().to_vec() {
            self.stack.limiter().reset(upstream.id());
            let answered = async {
                loop {
                    self.stack.cooldowns().clear_all();
                    let mut request = callers::request(self.calls, &mut self.random);
                    self.calls += 1;
                    request
                        .extensions_mut()
                        .insert(Preferences::new().only([upstream.id()]));
                    if client
                        .clone()
                        .oneshot(request)
                        .await
                        .is_ok_and(|it| it.status() == 200)
                    {
                        return;
                    }
                    sleep(Duration::from_millis(1)).await;
                }
            };
            let is_answered = within(HANGS, answered).await.is_some();
            assert!(
                is_answered,
                "{upstream} does not come back: {:?}",
                self.stack
            );
        }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        for file in [
            self.audit_file.clone(),
            self.audit_file.with_extension("jsonl.1"),
        ] {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Calls of a round, and how many of them are under way together.
const CALLS: usize = 300;
const AT_ONCE: usize = 48;
/// The upstream that tells what cannot be.
const LIAR: usize = 2;
/// The tasks that go on: the one that measures the lag.
const OURS: usize = 1;
/// Nobody waits for longer, however slow the machine.
const HANGS: Duration = Duration::from_secs(60);
/// How much longer than another a request may be on its way, without crossing the server's window.
pub(super) const MARGIN: Duration = Duration::from_secs(1);
