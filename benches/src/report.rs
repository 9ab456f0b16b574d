//! Runs all parts, each in a process of its own, and writes what they say into `BENCHMARKS.md`.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use crate::{harness::Bench, process};

/// A part, and what is to be said of it.
struct Section {
    title: &'static str,
    words: &'static [&'static str],
    /// What is measured, what is left out, and why a peer is ahead.
    notes: &'static str,
    /// Also by the quick setting.
    is_short: bool,
}

/// # Errors
///
/// When a part cannot be run, or the file not be written.
pub fn run(bench: &Bench) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let lock = fs::read_to_string(root.join("Cargo.lock")).map_err(|error| error.to_string())?;
    let mut tables = String::new();
    let mut behind = String::new();
    let wanted = |section: &&Section| {
        (section.is_short || !bench.is_quick) && bench.wants(&section.words.join(" "))
    };
    for section in SECTIONS.iter().filter(wanted) {
        let words = section.words.join(" ");
        eprintln!("{words}");
        let mut arguments = vec!["--markdown"];
        arguments.extend(bench.is_quick.then_some("--quick"));
        arguments.extend(section.words);
        let (said, is_well) = process::output(&arguments)?;
        if said.is_empty() {
            return Err(format!("bench {words} says nothing"));
        }
        let Section { title, notes, .. } = section;
        let said = said.trim();
        let _ = write!(
            tables,
            "\n## {title}\n\n{notes}\n\n`bench {words}`{}\n\n{said}\n",
            if is_well { "" } else { ": beyond a bound" }
        );
        for table in said.split("\n\n") {
            let mut rows = table.lines();
            let title = rows.next().map(cells).unwrap_or_default();
            let place = format!("`{words}`, {}", title.first().unwrap_or(&""));
            behind.extend(rows.filter_map(|row| is_behind(&place, row)));
        }
    }
    if behind.is_empty() {
        behind.push_str("Nowhere, in this run.\n");
    }
    let (quick, setting) = match bench.is_quick {
        true => (" --quick", "the quick one, a quarter of the rounds"),
        false => ("", "the long one"),
    };
    let report = format!(
        "# Benchmarks\n\n{INTRODUCTION}\n\n```sh\ncargo run --release -p bench --{quick} report\n```\n\n\
         - setting: {setting}\n{}{}\n## Where a goal is missed, or a peer is ahead\n\n{behind}{tables}",
        machine(),
        versions(&lock),
    );
    // A part of a report is nobody's record.
    if !bench.word.is_empty() {
        print!("{report}");
        return Ok(());
    }
    fs::write(root.join("BENCHMARKS.md"), report).map_err(|error| error.to_string())
}

/// A line of a list, where a row misses its goal or takes more than the peer that it is held against.
fn is_behind(place: &str, row: &str) -> Option<String> {
    let cells = cells(row);
    let (name, remark) = (cells.first()?, cells.last()?);
    let (before, peer) = remark.split_once(" × ").unwrap_or((remark, ""));
    let ratio = before
        .rsplit(' ')
        .next()
        .and_then(|ratio| ratio.parse().ok());
    let is_ahead = ratio.is_some_and(|ratio: f64| ratio > 1.0) && !peer.is_empty();
    (is_ahead || remark.starts_with("MISSED")).then(|| format!("- {place}: {name}: {remark}\n"))
}

/// Those of a row of Markdown.
fn cells(row: &str) -> Vec<&str> {
    let row = row.trim_start_matches("| ").trim_end_matches('|');
    row.split('|').map(str::trim).collect()
}

/// The machine, and how busy it was.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or_else(
            || "not known".to_owned(),
            |(_, value)| value.trim().to_owned(),
        )
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg");
    let load: Vec<_> = load.split(' ').take(3).collect();
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    format!(
        "- processor: {} × {}\n- memory: {}\n- kernel: {}\n- compiler: {}\n- load of the machine when the run had ended, over 1, 5 and 15 minutes: {}\n",
        processors,
        field(&read("/proc/cpuinfo"), "model name"),
        field(&read("/proc/meminfo"), "MemTotal"),
        read("/proc/sys/kernel/osrelease").trim(),
        rustc.unwrap_or_else(|_| "not known".to_owned()),
        load.join(", "),
    )
}

/// The peers, as they are locked.
fn versions(lock: &str) -> String {
    let version = |name: &&str| {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", rest.split('"').next()?))
    };
    let versions: Vec<_> = PEERS.iter().filter_map(version).collect();
    format!("- beside: {}\n", versions.join(", "))
}

const PEERS: [&str; 14] = [
    "failsafe",
    "governor",
    "hyper",
    "hyper-util",
    "recloser",
    "reqwest",
    "reqwest-middleware",
    "reqwest-retry",
    "tower",
    "tower-resilience-circuitbreaker",
    "tower-resilience-fallback",
    "tower-resilience-ratelimiter",
    "tower-resilience-retry",
    "tower_governor",
];

const INTRODUCTION: &str = "What the layers cost, beside their peers in the same run. Each part is a process of its own, in which the rows \
run in turn: what slows the machine down for a while slows down all of them. Values are medians; `8 of 10` is what eight of ten \
rounds lie between. `added` is what a row takes beyond the bare service of the same round, and `0.70 × peer` the median of the \
ratios of what both add. Counts of instructions, allocations and bytes repeat; times depend on the machine and on who else uses \
it, so of those the ratios count. Our own allocator counts in all rows, which takes some nanoseconds an allocation. Written by:";

const SECTIONS: &[Section] = &[
    Section {
        title: "The layers together: instructions and allocations",
        words: &["stack", "instructions"],
        notes: "Counted by valgrind, for a light request (GET, no fields, no body) and a real one (POST, five fields, 1 KiB). The service \
            inside answers at once, all is well, and no subscriber of `tracing` listens. `four layers` is fallback over a chain of two \
            upstreams, retry, breaker and a limit for each upstream. tower-resilience's four have a value to fall back on, one circuit and \
            one limit for all, no retry budget, and look at no response; that is less work, and the row nearest to it is `three, no fallback` \
            beside its three. What fallback puts into the request's extensions is on the heap, and so are a chain's ledger and its copy of \
            the request. `two extensions and no layer` is one value put into the extensions of the request and one into those of its \
            answer, which were empty: as a chain says where a request goes and who answered, it cannot take less, and the goals of the \
            four layers, 1,100 instructions and 160 ns without an allocation, cannot be met. `six layers` also estimates tokens, writes URL, key and model, and reads what the answer means.",
        is_short: true,
    },
    Section {
        title: "The layers together: time",
        words: &["stack", "calls"],
        notes: "Nanoseconds, allocations and bytes a call, of the same rows. `Stats` is an observer of all layers.",
        is_short: true,
    },
    Section {
        title: "The layers together: refusals",
        words: &["stack", "refused"],
        notes: "A refusal of ours says who refused, which limit, and when to come back; with a chain, both upstreams refuse, and the error \
            tells of both attempts, which is why it takes longer. tower-resilience's fallback answers with its value.",
        is_short: true,
    },
    Section {
        title: "The layers together: two threads",
        words: &["stack", "threads"],
        notes: "Calls of both threads together. The bare service shares nothing, so no row can have more; `less bare` is the ratio without it.",
        is_short: true,
    },
    Section {
        title: "The layers together: 64 tasks",
        words: &["stack", "tasks"],
        notes: "On a runtime of two threads. The service inside answers at the second poll, so that 64 calls are under way at once.",
        is_short: true,
    },
    Section {
        title: "The layers together: sizes",
        words: &["stack", "sizes"],
        notes: "Of services and futures. tower-resilience's futures are boxed: a pointer here, an allocation above.",
        is_short: true,
    },
    Section {
        title: "Over sockets",
        words: &["end_to_end"],
        notes: "Real requests over the loopback; the answer of 1 KiB is read to its end. The server is a process of its own, and client and \
            server have one thread each, so `CPU` is the client's alone: user and system time of its process. Without TLS, which would make \
            all layers look cheaper. tower-resilience's four stand over our adapter of reqwest, for requests of reqwest cannot be copied; its \
            fallback is to a service, for answers that stream cannot be copied either. On two processors, both are busy with 64 connections. \
            `our retry in the chain` takes more than reqwest-retry because it is a layer of tower there: the chain lends its rest for one \
            request, so the services are made for each, and request and answer become those of `http` and reqwest's again, with the \
            URL read once more.",
        is_short: true,
    },
    Section {
        title: "Those who wait",
        words: &["rate_limit", "waiting"],
        notes: "All callers come at once; the ideal lets one through at each tick. `late` is what the last came later than that, `inversions` \
            are pairs of callers of whom the later went first, `wakes` is how often a caller was polled again. tower's limiter has no burst, \
            so it stands behind a buffer with a burst of one.",
        is_short: true,
    },
    Section {
        title: "Memory of a limiter's keys",
        words: &["rate_limit", "memory"],
        notes: "Bytes of a key beyond its own text, asked for and resident. tower_governor keeps its keys in governor.",
        is_short: true,
    },
    Section {
        title: "Memory of a breaker's keys",
        words: &["circuit_breaker", "memory"],
        notes: "No peer has a circuit for each key.",
        is_short: true,
    },
    Section {
        title: "Rate limit",
        words: &["rate_limit", "calls"],
        notes: "governor alone neither queues nor settles, nor does it know that a call has ended, and it reads a clock of its own, below \
            `Instant::now()`; it is asked as a layer would ask it. tower's \
            RateLimit cannot be shared. A request made and dropped is what a refused call takes in any case.",
        is_short: true,
    },
    Section {
        title: "Rate limit: instructions",
        words: &["rate_limit", "instructions"],
        notes: "Counted by valgrind. Those of governor swing, for its clock tunes itself for as long as it takes.",
        is_short: false,
    },
    Section {
        title: "Rate limit: two threads",
        words: &["rate_limit", "threads"],
        notes: "All rows are held against tower-resilience; governor, where a limit is one atomic and nothing else, is ahead of all. Our \
            limiter keeps a queue and what is under way as well.",
        is_short: true,
    },
    Section {
        title: "Rate limit: a queue of many",
        words: &["rate_limit", "queue"],
        notes: "Ours alone, on a clock that stands still: it should not grow with the queue.",
        is_short: false,
    },
    Section {
        title: "Circuit breaker",
        words: &["circuit_breaker", "calls"],
        notes: "failsafe and recloser are asked as a layer would ask them; they judge a call by a count, and neither holds a guard until the \
            answer has ended.",
        is_short: true,
    },
    Section {
        title: "Circuit breaker: instructions",
        words: &["circuit_breaker", "instructions"],
        notes: "Counted by valgrind.",
        is_short: false,
    },
    Section {
        title: "Circuit breaker: two threads",
        words: &["circuit_breaker", "threads"],
        notes: "While all is well, calls of ours pass in lanes of their own for each thread.",
        is_short: true,
    },
    Section {
        title: "Retry",
        words: &["retry"],
        notes: "Of a call that is not retried.",
        is_short: true,
    },
    Section {
        title: "Being seen",
        words: &["observe"],
        notes: "Ours alone: a call through the provider layer, its answer read to the end.",
        is_short: true,
    },
    Section {
        title: "Reading answers",
        words: &["signal"],
        notes: "Ours alone, for no peer reads them.",
        is_short: false,
    },
];
