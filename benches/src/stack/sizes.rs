//! How large services and futures are. A box that a future is in counts as a pointer here, and as bytes in `calls`.

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::{ours, peers};
use crate::{
    exchange::{Body, Inner},
    harness::Bench,
    table::{Table, verdict},
};

/// # Errors
///
/// When a service or a future is larger than it was, by more than the margin.
pub fn run(bench: &Bench) -> Result<(), String> {
    use ours::{breaker, fallback, limit, retry, stack};
    let table = Table::begin(bench.form, ("bytes", 40), COLUMNS);
    let mut missed = Vec::new();
    let mut row = |name: &'static str, [service, future]: [usize; 2], usual: [usize; 2]| {
        if !bench.wants(name) {
            return;
        }
        let most = usual.map(|usual| usual * 23 / 20); // 15 % more
        let is_met = usual == ANY || (service <= most[0] && future <= most[1]);
        let mut cells = [service, most[0], future, most[1]].map(|bytes| bytes.to_string());
        if usual == ANY {
            cells[1].clear();
            cells[3].clear();
        }
        table.row(name, &cells, verdict(is_met));
        if !is_met {
            missed.push(name);
        }
    };
    row("bare service", sizes(&Inner), ANY);
    row("limit alone", sizes(&limit().layer(Inner)), [8, 232]);
    row("breaker alone", sizes(&breaker().layer(Inner)), [24, 208]);
    row("retry alone", sizes(&retry().layer(Inner)), [24, 528]);
    row("fallback alone", sizes(&fallback().layer(Inner)), [24, 656]);
    let three = (retry(), breaker(), limit()).layer(Inner);
    row("three, no fallback", sizes(&three), [56, 704]);
    row("four layers", sizes(&ours::four(Inner)), [80, 1_264]);
    row(
        "six layers",
        sizes(&stack(|stack| stack).layer(Inner)),
        [104, 1_344],
    );
    row("tower-resilience's four", sizes(&peers::four(Inner)), ANY);
    match missed.is_empty() {
        true => Ok(()),
        false => Err(format!("larger than they were: {}", missed.join(", "))),
    }
}

fn sizes<S: Service<Request<Body>>>(_: &S) -> [usize; 2] {
    [size_of::<S>(), size_of::<S::Future>()]
}

const ANY: [usize; 2] = [0, 0];
const COLUMNS: &[(&str, usize)] = &[("service", 9), ("most", 7), ("future", 9), ("most", 7)];
