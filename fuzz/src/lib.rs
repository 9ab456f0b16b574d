//! What the fuzz targets share: inputs that a person can read and write, and a count of the memory in use.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The first line, and what follows it.
pub fn split_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}

/// The headers, a line each, and what follows the blank line behind them.
///
/// A line that names no header gets one of those that matter, by its first byte.
pub fn split_headers(data: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    let mut rest = data;
    while !rest.is_empty() {
        let line;
        (line, rest) = split_line(rest);
        let Some((first, after)) = line.split_first() else {
            break;
        };
        let colon = line.windows(2).position(|pair| pair == b": ");
        let named = colon.and_then(|colon| {
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            Some((name, &line[colon + 2..]))
        });
        let (name, value) = named.unwrap_or_else(|| {
            let name = NAMES[usize::from(*first) % NAMES.len()];
            (HeaderName::from_static(name), after)
        });
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    (headers, rest)
}

/// A time of arrival: the usual, the first, and one that lies beyond all dates.
pub fn some_time(data: &[u8]) -> SystemTime {
    let seconds = [1_790_000_000, 0, 300_000_000_000][data.len() % 3];
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Cuts a body into chunks of these sizes, over and over; sizes from 128 on count in KiB.
pub fn chunks<'a>(mut body: &'a [u8], sizes: &[u8]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    // Two thousand cuts are enough, and a size of zero gets nowhere.
    for size in sizes.iter().cycle().take(2_000) {
        let size = match usize::from(*size) {
            size @ 0..128 => size,
            size => (size - 127) * 1_024,
        };
        let (chunk, rest) = body.split_at(size.min(body.len()));
        chunks.push(chunk);
        body = rest;
        if body.is_empty() {
            break;
        }
    }
    chunks.push(body);
    chunks
}

/// Headers that say something about limits and failures, or nearly do.
const NAMES: [&str; 45] = [
    "anthropic-ratelimit-input-tokens-reset",
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-unified-5h-reset",
    "apim-request-id",
    "content-type",
    "date",
    "llm_provider-x-ratelimit-limit-requests",
    "llm_provider-x-ratelimit-reset-tokens",
    "ratelimit",
    "ratelimit-limit",
    "ratelimit-policy",
    "ratelimit-remaining",
    "ratelimit-reset",
    "ratelimitbysize-limit",
    "ratelimitbysize-reset",
    "retry-after",
    "retry-after-ms",
    "x-amzn-errortype",
    "x-endpoint-monthly-call-limit",
    "x-groq-region",
    "x-ms-retry-after-ms",
    "x-rate-limit-limit",
    "x-ratelimit-limit",
    "x-ratelimit-limit-req-10-second",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-requests-per-day",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-limit-tokens-minute",
    "x-ratelimit-policy",
    "x-ratelimit-remaining",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-remaining-tokens-minute",
    "x-ratelimit-renewalperiod-requests",
    "x-ratelimit-renewalperiod-tokens",
    "x-ratelimit-reset",
    "x-ratelimit-reset-after",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-used",
    "x-ratelimitbysize-remaining-month",
    "x-should-retry",
    "x-tokenlimit-remaining",
    "x-trial-endpoint-call-limit",
];

/// How many bytes this thread has on the heap.
pub fn heap() -> isize {
    HEAP.get()
}

thread_local! {
    static HEAP: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all of it is the system's allocator; the count does not touch memory that it hands out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        subtract(layout.size());
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        subtract(layout.size());
        add(size);
        unsafe { System.realloc(place, layout, size) }
    }
}

fn add(size: usize) {
    HEAP.set(HEAP.get() + size as isize);
}

fn subtract(size: usize) {
    HEAP.set(HEAP.get() - size as isize);
}
