//! What would the crate make of this answer?
//!
//! Reads JSON lines on standard input and writes, for each, in order, one JSON line on standard output:
//!
//! - `{"status", "headers", "body", "now"?, "provider"?}` → `{"kind", "retry_same", "fall_back", "wait_ms",
//!   "limit_scope", "window", "limit", "used", "requested", "remaining", "model"}`;
//! - with `--headers`, `{"headers", "now"?}` → `[{"dimension", "window", "limit", "remaining", "reset_after_ms"}]`;
//! - with `--usage`, `{"content_type"?, "body"}` → `{"input_tokens", "output_tokens", "cached_tokens", "total_tokens"}`, the input
//!   as the provider reports it: with Anthropic and Bedrock without what came out of a cache or went into one.
//!
//! `headers` is an object of names with a string or a list of strings each, `now` a date such as `2026-01-05T09:00:00Z`. A
//! `provider` that the crate has no dialect for is recognised from the answer, as is one that is not told. A line that is not
//! valid is answered with `{"error": …}`, and the rest goes on.
//!
//! ```sh
//! echo '{"status": 429, "headers": {"retry-after": "7"}, "body": ""}' | cargo run --release --example classify
//! ```

use std::{
    io::{self, BufRead, Write},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tower_upstream::{
    outcome::{Dimension, LimitHit, Outcome},
    signal::{self, Answer, Dialect, QuotaReading, hint, usage::UsageReader},
};

/// Turns a line into its answer.
type Read = fn(&Value) -> Result<Value, String>;

fn main() -> ExitCode {
    let read: Read = match std::env::args().nth(1).as_deref() {
        None => read_answer,
        Some("--headers") => read_quotas,
        Some("--usage") => read_usage,
        Some(flag) => {
            eprintln!("unknown flag {flag}; known are --headers and --usage");
            return ExitCode::FAILURE;
        }
    };
    match read_lines(read) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn read_lines(read: Read) -> io::Result<()> {
    let mut output = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().split(b'\n') {
        let line = line?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let answer = serde_json::from_slice(&line)
            .map_err(|error| error.to_string())
            .and_then(|line| read(&line))
            .unwrap_or_else(|error| json!({ "error": error }));
        writeln!(output, "{answer}")?;
    }
    output.flush()
}

fn read_answer(line: &Value) -> Result<Value, String> {
    let status = field(line, "status", "a number", Value::as_u64)?.ok_or("no status")?;
    let status = u16::try_from(status).map_err(|_| "not a status")?;
    let status = StatusCode::from_u16(status).map_err(|error| error.to_string())?;
    let headers = headers_of(line)?;
    let body = field(line, "body", "a string", Value::as_str)?.unwrap_or_default();
    let provider = field(line, "provider", "a string", Value::as_str)?;
    let dialect = provider.and_then(Dialect::from_name);
    let answer = Answer::new(status, &headers, body.as_bytes(), now_of(line)?);
    Ok(match signal::outcome_of(&answer, dialect) {
        Outcome::Failure(failure) => {
            let limit = failure.limit.as_deref().cloned().unwrap_or_default();
            let LimitHit {
                used,
                requested,
                remaining,
                ..
            } = limit;
            json!({
                "kind": failure.kind.as_str(),
                "retry_same": failure.retry_same,
                "fall_back": failure.fall_back,
                "wait_ms": failure.retry_after.map(millis),
                "limit_scope": limit.dimension.map(Dimension::as_str),
                "window": limit.window.map(|window| window.as_str()),
                "limit": limit.limit,
                "used": used,
                "requested": requested,
                "remaining": remaining,
                "model": limit.model,
            })
        }
        _ => json!({
            "kind": "ok", "retry_same": false, "fall_back": false, "wait_ms": null, "limit_scope": null, "window": null,
            "limit": null, "used": null, "requested": null, "remaining": null, "model": null,
        }),
    })
}

fn read_quotas(line: &Value) -> Result<Value, String> {
    let headers = headers_of(line)?;
    let readings = signal::quotas(&headers, now_of(line)?);
    Ok(readings.iter().map(quota).collect())
}

fn quota(reading: &QuotaReading<'_>) -> Value {
    let dimension = match reading.dimension {
        Dimension::Other => reading.unit.replace('-', "_"),
        dimension => dimension.to_string(),
    };
    json!({
        "dimension": dimension,
        "window": reading.window.map(|window| window.as_str()),
        "limit": reading.limit,
        "remaining": reading.remaining,
        "reset_after_ms": reading.reset_after.map(millis),
    })
}

fn read_usage(line: &Value) -> Result<Value, String> {
    let body = field(line, "body", "a string", Value::as_str)?.ok_or("no body")?;
    let content_type = field(line, "content_type", "a string", Value::as_str)?;
    let mut reader = UsageReader::new(content_type);
    reader.push(body.as_bytes());
    let usage = reader.finish().usage.unwrap_or_default();
    // Whoever tells what is not held against limits tells the cache beside the input.
    let beside = usage.uncounted_tokens.and(usage.cached_tokens).unwrap_or(0)
        + usage
            .uncounted_tokens
            .and(usage.cache_write_tokens)
            .unwrap_or(0);
    Ok(json!({
        "input_tokens": usage.input_tokens.map(|input| input - beside),
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "total_tokens": usage.total_tokens,
    }))
}

/// A field of the line; absent is as good as null, and anything else than what is wanted is an error.
fn field<'a, T>(
    line: &'a Value,
    name: &str,
    wanted: &str,
    read: impl Fn(&'a Value) -> Option<T>,
) -> Result<Option<T>, String> {
    match &line[name] {
        Value::Null => Ok(None),
        value => read(value)
            .map(Some)
            .ok_or(format!("{name}: expected {wanted}, got {value}")),
    }
}

/// The headers: an object of names with a value or a list of values each.
fn headers_of(line: &Value) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let fields = field(line, "headers", "an object", Value::as_object)?;
    for (name, values) in fields.into_iter().flatten() {
        let name: HeaderName = name.parse().map_err(|_| format!("not a header: {name}"))?;
        for value in values.as_array().unwrap_or(&vec![values.clone()]) {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let value = HeaderValue::from_str(&text)
                .map_err(|_| format!("not a value of {name}: {text}"))?;
            headers.append(name.clone(), value);
        }
    }
    Ok(headers)
}

/// What absolute times are relative to: as told, else the clock's.
#[expect(
    clippy::disallowed_methods,
    reason = "a tool at the prompt, outside of the layers"
)]
fn now_of(line: &Value) -> Result<SystemTime, String> {
    match field(line, "now", "a date as a string", Value::as_str)? {
        None => Ok(SystemTime::now()),
        Some(text) => {
            hint::parse_date(text, SystemTime::UNIX_EPOCH).ok_or(format!("not a date: {text}"))
        }
    }
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}
