//! What a server may do instead of answering well, as bytes on the socket.

use std::time::Duration;

use super::server::Request;

/// What a server does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    None,
    /// Beyond its window: 429, and when to come back.
    TooMany,
    Slow,
    /// Nothing, ever.
    Stall,
    /// A head and a part of the body, and then nothing.
    StallInBody,
    /// The connection ends before the answer.
    Hangup,
    CutInHead,
    CutInBody,
    /// Shorter than it says, or longer.
    WrongLength,
    WrongChunk,
    Garbage,
    /// A good head whose body is noise.
    GarbageInBody,
    /// A head that does not end.
    EndlessHead,
    Error,
    /// An error that repeats the key it was sent.
    Echo,
    Redirect,
    /// Quota headers of several kinds that contradict each other, with a good answer.
    Contradictions,
    /// 429 or 503 with a time to come back that is absurd.
    AbsurdWait,
    /// 429 that asks for a moment.
    ShortWait,
    /// A stream whose first or later event is an error.
    ErrorEvent,
}

/// A part of what it does.
pub(crate) enum Step {
    Write(Vec<u8>),
    Wait(Duration),
    Stall,
    Close,
}

impl Fault {
    pub(crate) const ORDINARY: &[Self] = &[
        Self::Slow,
        Self::Stall,
        Self::Hangup,
        Self::CutInHead,
        Self::CutInBody,
        Self::Error,
        Self::ErrorEvent,
    ];
    pub(crate) const WILD: &[Self] = &[
        Self::Slow,
        Self::Stall,
        Self::StallInBody,
        Self::Hangup,
        Self::CutInHead,
        Self::CutInBody,
        Self::WrongLength,
        Self::WrongChunk,
        Self::Garbage,
        Self::GarbageInBody,
        Self::EndlessHead,
        Self::Error,
        Self::Echo,
        Self::Redirect,
        Self::ShortWait,
        Self::ErrorEvent,
    ];
    pub(crate) const LIES: &[Self] = &[
        Self::Contradictions,
        Self::AbsurdWait,
        Self::WrongLength,
        Self::Echo,
    ];
    pub(crate) const DELAYS: &[Self] = &[Self::Slow];

    pub(crate) fn steps(self, request: &Request, random: &mut fastrand::Rng) -> Vec<Step> {
        let good = good(request);
        match self {
            Self::None => vec![write(good)],
            Self::TooMany => json(429, "retry-after-ms: 100\r\n", REFUSED).into_steps(),
            Self::Slow => {
                let (head, body) = good.split_at(random.usize(0..good.len()));
                let time = Duration::from_millis(random.u64(1..60));
                vec![write(head), Step::Wait(time), write(body)]
            }
            Self::Stall => vec![Step::Stall],
            Self::StallInBody => vec![write(&good[..good.len() - 20]), Step::Stall],
            Self::Hangup => vec![Step::Close],
            Self::CutInHead => vec![write(&good[..random.usize(1..40)]), Step::Close],
            Self::CutInBody => {
                let cut = random.usize(good.len() / 2..good.len() - 8);
                vec![write(&good[..cut]), Step::Close]
            }
            Self::WrongLength => {
                let length = random.usize(0..2 * ANSWER.len());
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                vec![write(head), write(ANSWER), Step::Close]
            }
            Self::WrongChunk => {
                let size = ["-1", "zz", "ffffffffffffffff", "7fffffffffffffff"];
                let size = size[random.usize(0..size.len())];
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                            transfer-encoding: chunked\r\n\r\n";
                vec![
                    write(format!("{head}{size}\r\ndata: {{}}\n\n\r\n")),
                    Step::Close,
                ]
            }
            Self::Garbage => {
                let noise: Vec<u8> = (0..random.usize(1..4_000)).map(|_| random.u8(..)).collect();
                let lines = [
                    "",
                    "HTTP/9.9 ??\r\n",
                    "HTTP/1.1 999 \r\n",
                    "HTTP/1.1 101 Go\r\n\r\n",
                ];
                let line = lines[random.usize(0..lines.len())];
                vec![write(line), write(noise), Step::Close]
            }
            Self::GarbageInBody => {
                let noise: Vec<u8> = (0..4_096).map(|_| random.u8(..)).collect();
                let kind = ["application/json", "text/event-stream", "image/png; \u{7f}"];
                let kind = kind[random.usize(0..kind.len())];
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: 4096\r\n\r\n"
                );
                vec![write(head), write(noise)]
            }
            Self::EndlessHead => {
                let field = format!("x-long: {}\r\n", "a".repeat(1_000));
                vec![
                    write("HTTP/1.1 200 OK\r\n"),
                    write(field.repeat(500)),
                    Step::Close,
                ]
            }
            Self::Error => {
                let status = [400, 401, 403, 404, 408, 409, 413, 429, 500, 502, 503, 529];
                json(status[random.usize(0..status.len())], "", FAILED).into_steps()
            }
            Self::Echo => {
                let body = format!(r#"{{"error":{{"message":"bad key {}"}}}}"#, request.key);
                let field = format!("x-key: {}\r\nretry-after: 0\r\n", request.key);
                json([401, 500, 503][random.usize(0..3)], &field, &body).into_steps()
            }
            Self::Redirect => json(307, "location: http://127.0.0.1:1/\r\n", "{}").into_steps(),
            Self::Contradictions => {
                let lies = LIES[random.usize(0..LIES.len())];
                json(200, lies, ANSWER).into_steps()
            }
            Self::AbsurdWait => {
                let wait = WAITS[random.usize(0..WAITS.len())];
                json([429, 503][random.usize(0..2)], wait, REFUSED).into_steps()
            }
            Self::ShortWait => json(429, "retry-after-ms: 5\r\n", REFUSED).into_steps(),
            Self::ErrorEvent => {
                let error = r#"data: {"error":{"type":"server_error","message":"overloaded"}}"#;
                let events = match random.bool() {
                    true => vec![error],
                    false => vec![EVENT, EVENT, error],
                };
                vec![write(chunked(&events))]
            }
        }
    }
}

impl Step {
    fn into_steps(self) -> Vec<Self> {
        vec![self]
    }
}

fn write(bytes: impl AsRef<[u8]>) -> Step {
    Step::Write(bytes.as_ref().to_vec())
}

fn json(status: u16, fields: &str, body: &str) -> Step {
    let length = body.len();
    write(format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\n{fields}content-length: {length}\r\n\r\n{body}"
    ))
}

fn good(request: &Request) -> Vec<u8> {
    if request.is_stream {
        return chunked(&[EVENT, EVENT, EVENT, LAST_EVENT, "data: [DONE]"]);
    }
    let Step::Write(bytes) = json(200, "", ANSWER) else {
        unreachable!("it is written")
    };
    bytes
}

fn chunked(events: &[&str]) -> Vec<u8> {
    let mut answer =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_owned();
    for event in events {
        let length = event.len() + 2;
        answer.push_str(&format!("{length:x}\r\n{event}\n\n\r\n"));
    }
    answer.push_str("0\r\n\r\n");
    answer.into_bytes()
}

const ANSWER: &str = r#"{"object":"chat.completion","choices":[{"message":{"role":"assistant","content":"Yes."},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}"#;
const EVENT: &str = r#"data: {"choices":[{"delta":{"content":"Yes "}}]}"#;
const LAST_EVENT: &str = r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}"#;
const REFUSED: &str = r#"{"error":{"code":"rate_limit_exceeded","message":"Rate limit reached"}}"#;
const FAILED: &str = r#"{"error":{"type":"some_error","message":"It went wrong."}}"#;

const LIES: &[&str] = &[
    "x-ratelimit-limit-requests: 10\r\nx-ratelimit-remaining-requests: 99999999999999999999\r\nx-ratelimit-reset-requests: -5s\r\n",
    "x-ratelimit-limit-tokens: 0\r\nx-ratelimit-remaining-tokens: 18446744073709551615\r\nx-ratelimit-reset-tokens: 1e400s\r\n",
    "x-ratelimit-limit-requests: 1\r\nx-ratelimit-limit-requests: 1000000\r\nx-ratelimit-remaining-requests: -1\r\n",
    "anthropic-ratelimit-requests-limit: 5\r\nanthropic-ratelimit-requests-remaining: 7\r\nanthropic-ratelimit-requests-reset: 9999-12-31T23:59:59Z\r\n",
    "ratelimit: \"a\";r=99;t=18446744073709551616\r\nratelimit-policy: \"a\";q=0;w=0\r\nx-ratelimit-remaining-requests: 3\r\n",
    "date: Thu, 01 Jan 1970 00:00:00 GMT\r\nx-ratelimit-limit-requests: 4\r\nx-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 584942417355y\r\n",
];

const WAITS: &[&str] = &[
    "retry-after: 99999999999999999999\r\n",
    "retry-after: -1\r\n",
    "retry-after: 1e308\r\nretry-after-ms: nan\r\n",
    "retry-after: Fri, 31 Dec 9999 23:59:59 GMT\r\n",
    "retry-after: 18446744073709551615\r\nretry-after-ms: 0\r\n",
    "retry-after: 0\r\nx-should-retry: false\r\n",
    "retry-after-ms: 0.0000001\r\n",
];
