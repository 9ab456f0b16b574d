//! What a key that has made one request keeps.

use std::time::Instant;

use http::Request;
use tower_service::Service;

use crate::{
    allocations,
    exchange::send,
    harness::Bench,
    process,
    requests::{Tenant, extensions, forget, request},
    table::{Table, verdict},
};

/// Each row of a layer in a process of its own: what one gives back, another would take without growing.
///
/// # Errors
///
/// When such a process fails.
pub fn run(
    bench: &Bench,
    layer: &str,
    names: &[&str],
    rows: fn(&Bench, usize),
) -> Result<(), String> {
    if let Some(keys) = bench.runs {
        rows(bench, keys as usize);
        return Ok(());
    }
    let title = "1,000,000 keys, one request each";
    let table = Table::begin(bench.form, (title, 36), COLUMNS);
    for name in names.iter().filter(|name| bench.wants(name)) {
        let (line, _) = process::output(&[layer, "memory", name, KEYS])?;
        let cells: Vec<_> = line
            .trim_end_matches('\n')
            .split('\t')
            .map(str::to_owned)
            .collect();
        let [cells @ .., remark] = &cells[..] else {
            return Err(format!("{name} says: {line}"));
        };
        table.row(name, cells, remark);
    }
    Ok(())
}

/// Prints the cells of a row, with tabs between them: bytes are those beyond the key's own text.
pub fn row<S>(goal: Option<f64>, mut service: S, keys: usize)
where
    S: Service<Request<()>>,
{
    // What the first call makes for all keys.
    send(&mut service, request(extensions(Tenant("first".into()))));
    let (live, resident, start) = (allocations::live(), process::resident(), Instant::now());
    for number in 0..keys {
        send(&mut service, request(extensions(Tenant::new(number))));
    }
    let nanos = start.elapsed().as_nanos() as f64 / keys as f64;
    forget();
    let text = Tenant::new(0).0.len() as f64;
    let live = (allocations::live() - live) as f64 / keys as f64 - text;
    let resident = process::resident().saturating_sub(resident) as f64 / keys as f64 - text;
    println!(
        "{live:.1}\t{resident:.1}\t{nanos:.0}\t{}\t{}",
        goal.map_or(String::new(), |goal| format!("≤ {goal}")),
        verdict(goal.is_none_or(|goal| live <= goal)),
    );
    drop(service);
}

const COLUMNS: &[(&str, usize)] = &[
    ("bytes/key", 10),
    ("resident", 12),
    ("ns/key", 10),
    ("goal", 8),
];
const KEYS: &str = "1000000";
