//! The floors of the house: which file may know which.
//!
//! 1. A file knows its own floor and those below, and no two files know each other in a circle.
//! 2. No layer's folder knows another's, and nothing below the layers knows one.
//! 3. The ground floor decides without a runtime: it knows neither tokio nor tower.
//! 4. One file reads the time.

mod imports;
mod tokens;

use std::{
    collections::BTreeSet,
    fmt::Display,
    fs,
    path::{Path, PathBuf},
};

use imports::{Import, Sources, imports};
use tokens::tokens;

const LAYERS: [&str; 6] = [
    "intake",
    "fallback",
    "retry",
    "circuit_breaker",
    "rate_limit",
    "provider",
];

/// The floor of a file in `src`.
fn floor(file: &str) -> Option<u8> {
    let room = file.rsplit('/').next()?.strip_suffix(".rs")?;
    Some(match (top_folder(file), room) {
        (
            "",
            "binding" | "config_error" | "cost" | "exhausted" | "forecast" | "instant" | "money"
            | "outcome" | "outline" | "period" | "plain_words" | "request" | "share" | "sync"
            | "upstream",
        ) => 0,
        ("outcome" | "request" | "signal" | "upstream", _) => 0,
        ("", "classify" | "client_error" | "clock" | "current" | "error" | "keys") => 1,
        ("body" | "keys" | "observe", _) => 1,
        // What stands around the layers: other crates' clients and servers, and all of it from one place.
        ("adapt" | "stack", _) | ("", "guide" | "lib") => 7,
        (layer, room) if LAYERS.contains(&layer) => match room {
            "config" | "state" | "status" | "words" => 0,
            "backoff" | "budget" | "key" | "order" | "verdict" | "window" => 0,
            // One request's way along a chain.
            "back" | "nobody" | "performance" | "plan" | "preferences" | "walk" | "wheel" => 0,
            // What a limiter's state is made of.
            "bucket" | "calendar" | "calendar_count" | "counts" | "decision" | "elsewhere"
            | "epoch" => 0,
            "granted" | "learned" | "limit" | "line" | "kept" | "mark" | "pace" | "queue"
            | "refunds" | "settled" | "sliding" | "size" | "told" | "typical" | "view"
            | "windows" => 0,
            // What of it is kept over a restart.
            "saved" | "snapshot" | "fields" | "form" | "problem" => 0,
            // What a circuit's state is made of.
            "buckets" | "by_hand" | "check" | "circuit" | "lane" | "phase" | "probes" | "ramp"
            | "ring" | "rules" | "tally" => 0,
            "edit" | "rewrite" => 0,
            // What a layer is set to where the clock is a part of it.
            "cause" | "collect" | "judge" | "settings" => 1,
            "admission" | "circuits" | "course" | "forecast" | "handle" | "ledger" | "passes"
            | "place" | "router" | "shared" | "timeout" | "trouble" => 2,
            "again" | "asked" | "asking" | "entrance" | "limiters" | "meter" | "news"
            | "outlook" | "permit" | "restless" | "storage" | "takings" | "uses" | "waiter"
            | "witness" => 2,
            "future" | "body" | "drain" | "peek" => 3,
            "service" => 4,
            "layer" => 5,
            "mod" => 6,
            _ => return None,
        },
        _ => return None,
    })
}

/// What the ground floor takes from a layer: an upstream carries the quota that it grants, which is a setting and no more.
const SHARED: [(&str, &str); 3] = [
    // What callers put into a request's extensions is copied as what it is.
    ("body/carried.rs", "fallback/preferences.rs"),
    ("upstream.rs", "rate_limit/config.rs"),
    ("upstream/provider.rs", "rate_limit/config.rs"),
];

#[test]
fn every_file_is_on_a_floor() {
    let lost = sources().into_keys().filter(|file| floor(file).is_none());
    expect_none(
        lost.filter(|file| !is_for_tests(file)),
        "Name a layer's file after its room, or give it a floor in tests/it/floors.rs.",
    );
}

#[test]
fn a_file_knows_its_own_floor_and_those_below() {
    let broken = crate_imports().into_iter().filter(climbs).map(|import| {
        let [from, to] = [&import.from, &import.to].map(|file| floor(file).unwrap_or_default());
        format!("{import}, from floor {from} up to floor {to}")
    });
    expect_none(
        broken,
        "Move what both need to a lower floor, or hand it in as an argument.",
    );
}

fn climbs(import: &Import) -> bool {
    let [from, to] = [&import.from, &import.to].map(|file| floor(file));
    from.is_some() && to > from
}

#[test]
fn no_two_files_know_each_other_in_a_circle() {
    let imports = crate_imports();
    expect_none(
        imports
            .iter()
            .filter(|import| is_in_circle(import, &imports)),
        "Together these close a circle. Move what both ends need to a file of its own.",
    );
}

/// Whether the file that is imported needs the one that imports it, perhaps over others.
fn is_in_circle(import: &Import, imports: &[Import]) -> bool {
    let mut needed = BTreeSet::from([&import.to]);
    let mut to_visit = vec![&import.to];
    while let Some(file) = to_visit.pop() {
        let next = imports.iter().filter(|import| import.from == *file);
        to_visit.extend(
            next.map(|import| &import.to)
                .filter(|&to| needed.insert(to)),
        );
    }
    needed.contains(&import.from)
}

#[test]
fn no_layer_knows_another_and_nothing_below_knows_a_layer() {
    expect_none(
        crate_imports().into_iter().filter(enters_a_layer),
        "Let it travel in the extensions of the request or response, or move what both need out of the layer.",
    );
}

fn enters_a_layer(import: &Import) -> bool {
    let folder = top_folder(&import.to);
    LAYERS.contains(&folder)
        && folder != top_folder(&import.from)
        && floor(&import.from) != Some(7)
        && !SHARED.contains(&(&import.from, &import.to))
}

#[test]
fn the_ground_floor_knows_neither_tokio_nor_tower() {
    let ground = sources()
        .into_iter()
        .filter(|(file, _)| floor(file) == Some(0));
    let broken = ground.flat_map(|(file, text)| {
        let tokens = tokens(&text);
        let runtime = tokens.iter().filter(|token| RUNTIME.contains(&token.text));
        runtime
            .map(|token| format!("src/{file}:{}: {}", token.line, token.text))
            .collect::<Vec<_>>()
    });
    expect_none(
        broken,
        "Decide from what is handed in, and let the handle or the future wait.",
    );
}

const RUNTIME: [&str; 4] = ["tokio", "tower", "tower_layer", "tower_service"];

#[test]
fn only_the_clock_reads_the_time() {
    let others = sources().into_iter().filter(|(file, _)| file != "clock.rs");
    let broken = others.flat_map(|(file, text)| {
        lines_with(
            &text,
            &["Instant::now()", "SystemTime::now()"],
            &format!("src/{file}"),
        )
    });
    expect_none(
        broken,
        "Ask the Clock; a state machine is told `now`, and its tests begin at `TokioClock.now()`.",
    );
}

#[test]
fn nothing_reads_what_lies_beside_the_checkout() {
    let beside = ["..", "shared"].join("/");
    let folders = ["src", "examples", "tests", "benches"];
    let files = folders
        .iter()
        .flat_map(|folder| files_in(&root().join(folder)));
    let broken = files.flat_map(|path| lines_with(&read(&path), &[&beside], &below(root(), &path)));
    expect_none(
        broken,
        "A clone stands alone: write a fixture of your own. Only .ci/run looks beside the checkout.",
    );
}

/// It is to be read in one go. What it needs that every gateway needs belongs into the crate.
#[test]
fn the_example_gateway_stays_small() {
    let files = files_in(&root().join("examples/gateway")).into_iter();
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    let lines: usize = files
        .map(|path| read(&path).lines().filter(is_code).count())
        .sum();
    assert!(lines <= 375, "{lines} lines of code");
}

fn lines_with(text: &str, words: &[&str], file: &str) -> Vec<String> {
    let lines = (1..).zip(text.lines());
    lines
        .filter(|(_, line)| words.iter().any(|word| line.contains(word)))
        .map(|(number, line)| format!("{file}:{number}: {}", line.trim()))
        .collect()
}

fn expect_none(broken: impl Iterator<Item: Display>, what_to_do: &str) {
    let broken: Vec<_> = broken.map(|broken| format!("\n  {broken}")).collect();
    assert!(broken.is_empty(), "{}\n{what_to_do}", broken.concat());
}

fn crate_imports() -> Vec<Import> {
    imports(&sources())
}

/// The text of every Rust file in `src`, those of tests too.
fn sources() -> Sources {
    let src = root().join("src");
    let files = files_in(&src).into_iter();
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| (below(&src, &path), read(&path)))
        .collect()
}

fn is_for_tests(file: &str) -> bool {
    file == "testing.rs" || file.ends_with("/tests.rs") || file.contains("/tests/")
}

fn top_folder(file: &str) -> &str {
    file.split_once('/').map_or("", |(folder, _)| folder)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The path from a folder to a file in it, with `/` everywhere.
fn below(folder: &Path, path: &Path) -> String {
    let path = path.strip_prefix(folder).unwrap_or(path);
    path.to_string_lossy().replace('\\', "/")
}

fn read(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// All files below a folder; none where there is no such folder.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.map(|entry| match entry.path() {
        path if path.is_dir() => files_in(&path),
        path => vec![path],
    });
    files.flatten().collect()
}
