//! The audit log of a run, from which everything that is reported can be reckoned again.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use futures::future::join_all;
use http_body_util::BodyExt;
use provider_simulator::{Counts, Limits, Reply, Simulator};
use serde_json::Value;
use tower_upstream::{
    CircuitBreakerPolicy, Deadline, Limit, Money, Price, Provider, Quota,
    clock::TokioClock,
    observe::{AuditLog, KeyStats, Latency, Stats, UpstreamStats},
};

use super::harness::{Setup, Stack, at, chat, leave_when, ms, post, streamed, until};

const GROQ: &str = "groq/one";
const OPENAI: &str = "openai/two";

/// What is reported of one upstream or key, by name.
type Figures = BTreeMap<String, i128>;

#[tokio::test]
async fn an_audit_log_tells_all_that_the_figures_and_the_upstreams_do_to_the_unit() {
    let path = std::env::temp_dir().join(format!("audit-{:016x}.jsonl", fastrand::u64(..)));
    let path = Removed(path);
    let (log, stats) = (AuditLog::options(&path.0).open(), Stats::new());
    let log = log.expect("a file");
    let groq = Simulator::groq()
        .model("one", Limits::new().tokens_per_minute(9_000))
        .latency(ms(20))
        .chunk_interval(ms(15))
        .completion_tokens(4);
    let groq = groq.start().await.unwrap();
    let openai = Simulator::openai()
        .completion_tokens(4)
        .start()
        .await
        .unwrap();
    let price = Price::default()
        .input(Money::from_cents(59))
        .output(Money::from_cents(79));
    let chain = [
        at(Provider::groq(), &groq).model("one").price(price),
        at(Provider::openai(), &openai).model("two"),
    ];
    let quota = Quota::new()
        .limit(Limit::requests(900).per_minute())
        .limit(Limit::tokens(10_000).per_minute())
        .max_concurrent(2);
    let stack = Setup::of(chain)
        .quota(quota)
        .breaker(CircuitBreakerPolicy::never().consecutive_failures(3))
        .retry(|policy| policy.attempt_timeout(ms(1_500)))
        .observe(log.clone())
        .observe(stats.clone())
        .build();
    run(&stack, &groq).await;
    until(|| groq.counts().in_flight + openai.counts().in_flight == 0).await;

    log.flush().unwrap();
    assert_eq!(log.lost(), 0);
    let text = fs::read_to_string(&path.0).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    let snapshot = stats.snapshot();
    // The third is the account of the first, which is left alone when it has no credit.
    assert_eq!(snapshot.upstreams.len(), 3, "{snapshot:?}");
    for (id, row) in &snapshot.upstreams {
        assert_eq!(reckoned_upstream(&lines, id), of_upstream(row), "{id}");
    }
    assert_eq!(snapshot.keys.len(), 2, "{snapshot:?}");
    for (key, row) in &snapshot.keys {
        assert_eq!(reckoned_key(&lines, key), of_key(row), "{key}");
    }
    let exhausted = lines.iter().filter(|line| line["event"] == "exhausted");
    assert_eq!(exhausted.count() as u64, snapshot.exhausted);
    for (id, simulator) in [(GROQ, &groq), (OPENAI, &openai)] {
        agrees_with(&lines, id, simulator.counts());
    }
    // All that the run was to show has been seen.
    let (one, key) = (&snapshot.upstreams[GROQ], &snapshot.keys[GROQ]);
    for (what, count) in [
        ("broken", one.broken),
        ("cancelled", one.cancelled),
        ("kinds of failures", one.failed.len() as u64 / 5),
        ("truncated", one.truncated),
        ("money", one.money.nanos()),
        ("retries", one.retries),
        ("cooldowns", one.cooldowns),
        ("switches", one.switched_away),
        ("exhausted", snapshot.exhausted),
        ("queued", key.queued),
        ("left", key.left),
        (
            "refused",
            key.refused_too_large.min(key.refused_wait_too_long),
        ),
        ("waited", key.waited.as_nanos() as u64),
        ("pauses", key.paused),
        ("learned", key.learned),
        ("circuits", key.circuit_opened),
    ] {
        assert!(count > 0, "nothing was seen of this: {what}");
    }
    for secret in ["key-of", "Simulated failure", "all all"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

/// Every way that a request can go.
async fn run(stack: &Stack, groq: &Simulator) {
    let ask = async |body: &Value| _ = stack.ask(post(body)).await;
    for _ in 0..3 {
        ask(&chat(8)).await;
        ask(&streamed(chat(8))).await;
    }
    let mut short = chat(8);
    short["max_tokens"] = 4.into();
    ask(&short).await;
    // Tried again: an overload, a rate, an error as the first event. Silence is answered by the next upstream.
    for reply in [
        Reply::Overloaded,
        Reply::Status(429),
        Reply::ErrorEvent,
        Reply::Stall,
    ] {
        groq.script([reply]);
        ask(&streamed(chat(8))).await;
    }
    stack.cooldowns.clear_all();
    stack.breaker.reset(GROQ);
    // Back to the caller as they are.
    for status in [400, 401] {
        groq.script([Reply::Status(status)]);
        ask(&chat(8)).await;
    }
    // The next upstream answers: after three attempts, which open the circuit; without credit; while that lasts.
    groq.script([Reply::Status(500); 3]);
    ask(&chat(8)).await;
    stack.cooldowns.clear_all();
    ask(&chat(8)).await;
    stack.breaker.reset(GROQ);
    stack.cooldowns.clear_all();
    groq.script([Reply::Quota]);
    ask(&chat(8)).await;
    ask(&streamed(chat(8))).await;
    stack.cooldowns.clear_all();
    // Broken off.
    for body in [chat(8), streamed(chat(8))] {
        groq.script([Reply::CutBody]);
        let response = stack.send(post(&body)).await.expect("a head");
        let body = response.into_body().collect().await;
        body.expect_err("a body that breaks off");
    }
    // The caller goes away: before the head, in the body, in the queue.
    until(|| groq.counts().in_flight == 0).await;
    leave_when(stack.send(post(&chat(8))), || groq.counts().in_flight == 1).await;
    let mut response = stack.send(post(&streamed(chat(8)))).await.expect("a head");
    let first = response.frame().await.expect("a frame");
    first.expect("no error");
    let second = stack.send(post(&streamed(chat(8)))).await.expect("a head");
    let is_queued = || stack.counters(GROQ).queued == 1;
    leave_when(stack.send(post(&chat(8))), is_queued).await;
    drop((response, second));
    // More than may be under way.
    let plain = chat(8);
    join_all((0..6).map(|_| ask(&plain))).await;
    // Refused here: larger than any limit, and a wait longer than the caller's.
    ask(&chat(20_000)).await;
    for key in [GROQ, OPENAI] {
        stack.limiter.pause(key, Duration::from_secs(60));
    }
    let mut hurried = post(&chat(8));
    let deadline = Deadline::after(ms(200), &TokioClock);
    hurried.extensions_mut().insert(deadline);
    let answer = stack.ask(hurried).await;
    answer.expect_err("a refusal");
}

/// The figures of an upstream, by the log.
fn reckoned_upstream(lines: &[Value], id: &str) -> Figures {
    let mut figures = Figures::new();
    let mut add = |name: &str, more: i128| *figures.entry(name.to_owned()).or_default() += more;
    let mut times: BTreeMap<&str, Vec<i128>> = BTreeMap::new();
    for line in lines {
        let event = line["event"].as_str().expect("text");
        if event == "switched" {
            add("switched_away", (line["from"] == id).into());
            add("switched_to", (line["to"] == id).into());
        }
        if line["upstream"] != id {
            continue;
        }
        match event {
            "retrying" => {
                add("retries", 1);
                times
                    .entry("retry")
                    .or_default()
                    .push(nanos(&line["wait_s"]));
            }
            "gave_up" => add("gave_up", 1),
            "cooling_down" => add("cooldowns", 1),
            "ended" => {
                let end = line["end"].as_str().expect("text");
                add("requests", 1);
                if end == "failed" {
                    add(
                        &format!("failed {}", line["failure"].as_str().expect("text")),
                        1,
                    );
                    continue;
                }
                add(end, 1);
                add(
                    "truncated",
                    line["is_truncated"].as_bool().expect("yes or no").into(),
                );
                for count in ["input_tokens", "cached_tokens", "output_tokens"] {
                    add(count, line[count].as_u64().unwrap_or(0).into());
                }
                add("money", nanos(&line["money"]));
                let tells = ["input_tokens", "output_tokens", "total_tokens"];
                let is_silent = tells.iter().all(|count| line[count].is_null());
                add("usage_unknown", (is_silent && end != "cancelled").into());
                for (name, field) in [("head", "head_s"), ("content", "content_s")] {
                    if !line[field].is_null() {
                        times.entry(name).or_default().push(nanos(&line[field]));
                    }
                }
                if end == "answered" {
                    times
                        .entry("took")
                        .or_default()
                        .push(nanos(&line["took_s"]));
                }
            }
            _ => {}
        }
    }
    for (name, times) in times {
        let (count, total) = (times.len() as i128, times.iter().sum::<i128>());
        add(
            &format!("{name} longest"),
            times.into_iter().max().unwrap_or(0),
        );
        match name {
            "retry" => add("retry total", total),
            name => {
                add(&format!("{name} count"), count);
                add(&format!("{name} mean"), total / count);
            }
        }
    }
    figures.retain(|_, figure| *figure != 0);
    figures
}

/// The figures of an upstream, as they are reported.
fn of_upstream(row: &UpstreamStats) -> Figures {
    let mut figures: Figures = [
        ("requests", row.requests),
        ("answered", row.answered),
        ("broken", row.broken),
        ("cancelled", row.cancelled),
        ("truncated", row.truncated),
        ("input_tokens", row.input_tokens),
        ("cached_tokens", row.cached_tokens),
        ("output_tokens", row.output_tokens),
        ("money", row.money.nanos()),
        ("usage_unknown", row.usage_unknown),
        ("retries", row.retries),
        ("gave_up", row.gave_up),
        ("cooldowns", row.cooldowns),
        ("switched_away", row.switched_away),
        ("switched_to", row.switched_to),
        ("retry total", row.retry_waited.as_nanos() as u64),
        ("retry longest", row.retry_longest.as_nanos() as u64),
    ]
    .map(|(name, figure)| (name.to_owned(), figure.into()))
    .into();
    for (kind, count) in &row.failed {
        figures.insert(format!("failed {}", kind.as_str()), (*count).into());
    }
    for (name, times) in [
        ("head", row.head),
        ("content", row.content),
        ("took", row.took),
    ] {
        let Latency {
            count,
            mean,
            longest,
            ..
        } = times;
        figures.insert(format!("{name} count"), count.into());
        figures.insert(format!("{name} mean"), mean.as_nanos() as i128);
        figures.insert(format!("{name} longest"), longest.as_nanos() as i128);
    }
    figures.retain(|_, figure| *figure != 0);
    figures
}

/// The figures of a key, by the log.
fn reckoned_key(lines: &[Value], key: &str) -> Figures {
    let mut figures = Figures::new();
    let mut longest = 0;
    let mut peaks: BTreeMap<String, i128> = BTreeMap::new();
    let mut add = |name: &str, more: i128| *figures.entry(name.to_owned()).or_default() += more;
    for line in lines.iter().filter(|line| line["key"] == key) {
        match line["event"].as_str().expect("text") {
            "admitted" => {
                let waited = nanos(&line["waited_s"]);
                add("admitted", 1);
                add("waited", waited);
                add("long waits", (waited > 2_000_000_000).into());
                longest = longest.max(waited);
                for limit in line["limits"].as_array().expect("a list") {
                    let share = share(limit["used"].as_u64(), limit["capacity"].as_u64());
                    let name = limit["limit"].as_str().expect("text").to_owned();
                    let peak = peaks.entry(name).or_default();
                    *peak = share.max(*peak);
                }
            }
            "queued" => {
                add("queued", 1);
                add(&format!("held back by {}", line["limit"]), 1);
            }
            "refused" => add(&format!("refused {}", line["reason"]), 1),
            "opened" => add("opened", 1),
            name @ ("left" | "shadowed" | "paused" | "learned") => add(name, 1),
            _ => {}
        }
    }
    add("longest", longest);
    peaks
        .into_iter()
        .for_each(|(name, peak)| add(&format!("peak of {name}"), peak));
    figures.retain(|_, figure| *figure != 0);
    figures
}

/// The figures of a key, as they are reported.
fn of_key(row: &KeyStats) -> Figures {
    let mut figures: Figures = [
        ("admitted", row.admitted),
        ("queued", row.queued),
        ("left", row.left),
        ("refused \"wait_too_long\"", row.refused_wait_too_long),
        ("refused \"queue_full\"", row.refused_queue_full),
        ("refused \"too_large\"", row.refused_too_large),
        ("waited", row.waited.as_nanos() as u64),
        ("longest", row.waited_longest.as_nanos() as u64),
        ("long waits", row.long_waits),
        ("shadowed", row.shadowed),
        ("paused", row.paused),
        ("learned", row.learned),
        ("opened", row.circuit_opened),
    ]
    .map(|(name, figure)| (name.to_owned(), figure.into()))
    .into();
    for (limit, count) in &row.held_back_by {
        figures.insert(format!("held back by \"{limit}\""), (*count).into());
    }
    for peak in &row.peaks {
        let limit = peak.limit;
        let share = share(Some(limit.used), Some(limit.capacity));
        figures.insert(format!("peak of {limit}"), share);
    }
    figures.retain(|_, figure| *figure != 0);
    figures
}

/// What the log has of an upstream is what that has received and answered.
fn agrees_with(lines: &[Value], id: &str, counts: Counts) {
    let ended = lines.iter().filter(|line| line["event"] == "ended");
    let ended: Vec<_> = ended.filter(|line| line["upstream"] == id).collect();
    let count = |is: &dyn Fn(&Value) -> bool| ended.iter().filter(|line| is(line)).count() as u64;
    let status = |line: &Value| line["status"].as_u64();
    let left = count(&|line| line["end"] == "cancelled" && status(line) == Some(200));
    let answered = count(&|line| line["end"] == "answered");
    let rate_limited = count(&|line| status(line) == Some(429));
    let refused = count(&|line| matches!(status(line), Some(400..=428 | 430..=499)));
    // Also those of which it began an answer that was none, and the one that it never answered.
    let failed = count(&|line| {
        let is_early = line["end"] == "failed" && status(line) == Some(200);
        let is_late = line["failure"] == "timeout";
        is_early || is_late || line["end"] == "broken" || matches!(status(line), Some(500..))
    });
    let abandoned = count(&|line| line["end"] == "cancelled" && status(line).is_none());
    let expected = Counts {
        received: ended.len() as u64,
        answered: answered + left,
        rate_limited,
        refused,
        failed,
        abandoned,
        // Who leaves in the middle of a stream is never told what it used.
        input_tokens: sum(&ended, "input_tokens") + 8 * left,
        output_tokens: sum(&ended, "output_tokens") + 4 * left,
        in_flight: 0,
        ..counts
    };
    assert_eq!(expected, counts, "{id}");
}

fn sum(lines: &[&Value], field: &str) -> u64 {
    lines.iter().filter_map(|line| line[field].as_u64()).sum()
}

/// Billionths, of a number with at most nine decimals.
fn nanos(number: &Value) -> i128 {
    (number.as_f64().unwrap_or(0.0) * 1e9).round() as i128
}

/// Billionths of the whole.
fn share(used: Option<u64>, capacity: Option<u64>) -> i128 {
    i128::from(used.expect("a figure")) * 1_000_000_000 / i128::from(capacity.expect("a figure"))
}

/// A file that is gone when the test is over.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
