//! What the retry layer costs a call that is not retried, beside its peers in the same process.
//!
//! The request is made once and sent again and again. `light` is a GET without header fields, `real` a POST with five of them
//! and a body of 1 KiB. The peers are [tower](https://docs.rs/tower)'s own layer, with a policy as its docs show it and with its
//! budget besides, and
//! [tower-resilience](https://docs.rs/tower-resilience-retry). `calls` counts allocations too.

use std::{
    convert::Infallible,
    future,
    hint::black_box,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Request;
use tower::retry::{
    Policy,
    budget::{Budget, TpsBudget},
};
use tower_layer::Layer;
use tower_resilience_retry::RetryLayer as ResilienceLayer;
use tower_service::Service;
use tower_upstream::{RetryLayer, RetryPolicy, body::Once};

use crate::{
    exchange::{Answer, Body, Inner, light, real, sends},
    harness::Bench,
    instructions::{self, ANY, Part, Rows},
    rounds::Rounds,
};

/// Runs one part, or all.
pub fn run(part: &str, bench: &Bench) -> Result<(), String> {
    match part {
        "" | "calls" => calls(bench),
        "instructions" => instructions::run(bench, &Part::calls_of("retry"), ROWS)?,
        part => return Err(format!("retry has no part {part}")),
    }
    Ok(())
}

fn calls(bench: &Bench) {
    for (title, names, make) in [
        ("a light request", &LIGHT, light as fn() -> Request<Body>),
        ("a real request", &REAL, real),
    ] {
        let [
            bare,
            copied,
            ours,
            poor,
            every,
            last,
            once,
            tower,
            budgeted,
            resilience,
        ] = *names;
        let mut rounds = Rounds::new(bench, title);
        rounds.base(bare, || sends(Inner, make()));
        rounds.row(copied, bare, None, || sends(Copying, make()));
        rounds.row(ours, bare, None, || {
            sends(RetryLayer::default().layer(Inner), make())
        });
        rounds.against(budgeted, 1.0);
        rounds.row(poor, bare, None, || {
            let policy = RetryPolicy::default().without_budget();
            sends(layer(policy).layer(Inner), make())
        });
        rounds.against(tower, 1.0);
        rounds.row(every, bare, None, || {
            let policy = RetryPolicy::default()
                .retry_non_idempotent(true)
                .without_budget()
                .total_deadline(Duration::from_secs(60));
            sends(layer(policy).layer(Inner), make())
        });
        rounds.row(last, bare, None, || {
            let policy = RetryPolicy::default().max_attempts(1);
            sends(layer(policy).layer(Inner), make())
        });
        rounds.row(once, bare, None, || {
            sends(RetryLayer::default().layer(Inner), make().map(Once::new))
        });
        rounds.row(tower, bare, None, || {
            let policy = Attempts(2, None);
            sends(tower::retry::Retry::new(policy, Inner), make())
        });
        rounds.row(budgeted, bare, None, || {
            let policy = Attempts(2, Some(Arc::default()));
            sends(tower::retry::Retry::new(policy, Inner), make())
        });
        rounds.row(resilience, bare, None, || {
            let layer = ResilienceLayer::<Request<Body>, Answer, Infallible>::builder();
            sends(layer.max_attempts(3).build().layer(Inner), make())
        });
        rounds.print();
    }
}

fn layer(policy: RetryPolicy) -> RetryLayer {
    RetryLayer::new(policy).expect("a policy")
}

/// Copies the request and does no more: what every layer has to pay that may send it again.
struct Copying;

impl Service<Request<Body>> for Copying {
    type Response = Answer;
    type Error = Infallible;
    type Future = future::Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        drop(black_box(request.clone()));
        Inner.call(request)
    }
}

/// tower's policy: so many more attempts after a server error, as far as a budget allows.
#[derive(Clone)]
struct Attempts(usize, Option<Arc<TpsBudget>>);

impl Policy<Request<Body>, Answer, Infallible> for Attempts {
    type Future = future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Answer, Infallible>,
    ) -> Option<Self::Future> {
        let has_failed = result
            .as_ref()
            .is_ok_and(|answer| answer.status().is_server_error());
        let is_paid = match &self.1 {
            Some(budget) if has_failed => budget.withdraw(),
            Some(budget) => {
                budget.deposit();
                false
            }
            None => true,
        };
        self.0 = self.0.checked_sub(usize::from(has_failed))?;
        (has_failed && is_paid).then(|| future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        Some(request.clone())
    }
}

const LIGHT: [&str; 10] = [
    "bare, light",
    "light, copied and no more",
    "light, ours by default",
    "light, ours without a budget",
    "light, ours with a deadline",
    "light, ours with one attempt",
    "light, ours with Once",
    "light, tower's own",
    "light, tower's with its budget",
    "light, tower-resilience",
];

const REAL: [&str; 10] = [
    "bare, real",
    "real, copied and no more",
    "real, ours by default",
    "real, ours without a budget",
    "real, ours with a deadline",
    "real, ours with one attempt",
    "real, ours with Once",
    "real, tower's own",
    "real, tower's with its budget",
    "real, tower-resilience",
];

/// A row, the instructions and allocations that it added when it was last made faster, and no goal.
type Bound = (&'static str, f64, f64, Option<[f64; 2]>);

const ROWS: &Rows<Bound> = &[
    (LIGHT[0], &rows(LIGHT, USUAL_LIGHT, 0.0)),
    (REAL[0], &rows(REAL, USUAL_REAL, 2.0)),
];

/// Of all but the first, which the others are compared with.
const USUAL_LIGHT: [f64; 9] = [ANY, 877.0, 866.0, 1_013.0, 442.0, 476.0, ANY, ANY, ANY];
const USUAL_REAL: [f64; 9] = [ANY, 1_730.0, 1_719.0, 1_866.0, 442.0, 476.0, ANY, ANY, ANY];

/// With what the copy of the request allocates.
const fn rows(names: [&'static str; 10], usual: [f64; 9], allocations: f64) -> [Bound; 9] {
    let mut rows: [Bound; 9] = [("", ANY, allocations, None); 9];
    let mut index = 0;
    while index < rows.len() {
        (rows[index].0, rows[index].1) = (names[index + 1], usual[index]);
        index += 1;
    }
    rows
}
