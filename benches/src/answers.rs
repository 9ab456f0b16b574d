//! Answers in the shapes that providers document, with ids and numbers of our own.

use http::{HeaderMap, HeaderName, HeaderValue};

pub struct Refusal {
    pub name: &'static str,
    pub headers: HeaderMap,
    pub body: String,
}

pub fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    pairs.iter().map(pair).collect()
}

/// Refusals of 1 KiB each.
pub fn refusals() -> Vec<Refusal> {
    let groq = |message: &str| {
        format!(
            r#"{{"error":{{"message":"{message}","type":"tokens","code":"rate_limit_exceeded"}}}}"#
        )
    };
    let addresses =
        "Visit https://example.com/docs/rate-limits?plan=free to learn more about it. ".repeat(12);
    let gemini = GEMINI.split_whitespace().collect::<Vec<_>>().join(" ");
    let nested = gemini.replace('"', "\\\"").replace("\\n", "\\\\n");
    vec![
        refusal("groq", &groq_headers(), groq(LIMIT), &format!("{MORE} ")),
        refusal(
            "openai",
            &openai_headers(),
            groq(LIMIT).replace("llama-9", "gpt-9"),
            &format!("{MORE} "),
        ),
        refusal(
            "anthropic",
            &anthropic_headers(),
            ANTHROPIC.to_owned(),
            &format!("{MORE} "),
        ),
        refusal("gemini", &[], gemini, ""),
        refusal(
            "gemini, as JSON in a string",
            &[],
            format!(
                r#"{{"error":{{"message":"{nested}","code":429,"status":"Too Many Requests"}}}}"#
            ),
            "",
        ),
        refusal(
            "prose with 12 addresses",
            &[("retry-after", "7")],
            groq(&format!("{LIMIT} {addresses}")),
            "",
        ),
        refusal(
            "a page",
            &[("content-type", "text/html")],
            PAGE.to_owned(),
            "",
        ),
        refusal(
            "nothing but the status",
            &[("retry-after", "7")],
            String::new(),
            "",
        ),
    ]
}

/// Lengthens the message to a body of 1 KiB with this.
fn refusal(
    name: &'static str,
    pairs: &[(&'static str, &'static str)],
    mut body: String,
    more: &str,
) -> Refusal {
    if let Some(end) = body.find("more.").filter(|_| !more.is_empty()) {
        let room = 1_024_usize.saturating_sub(body.len());
        let more: String = more.chars().cycle().take(room).collect();
        body.insert_str(end + "more.".len(), &more);
    }
    Refusal {
        name,
        headers: headers(pairs),
        body,
    }
}

const LIMIT: &str = "Rate limit reached for model `llama-9` in organization `org_x` service tier `on_demand` on tokens per minute (TPM): \
    Limit 6100, Used 6000, Requested 730. Please try again in 6.3s. Visit https://example.com/limits to learn more.";
const MORE: &str = " Need more tokens? Upgrade your plan today at the settings page, or ask the team that looks after the account \
    to spread the work over the day: large prompts count twice, once when they are sent and once when they are answered.";
const ANTHROPIC: &str = r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed the rate limit for your
    organization (abc) of 52,000 input tokens per minute. For details see https://example.com/rate-limits to learn more."},"request_id":"req_7"}"#;
const GEMINI: &str = r#"{
    "error": {"code": 429, "message": "You exceeded your current quota, please check your plan and billing details.\n* Quota exceeded for
    metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 12, model: gemini-9-flash\nPlease retry in 33.2s.",
    "status": "RESOURCE_EXHAUSTED", "details": [
    {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [
        {"quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
        "quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "quotaDimensions": {"location": "global", "model": "gemini-9-flash"},
        "quotaValue": "12"}]},
    {"@type": "type.googleapis.com/google.rpc.Help", "links": [{"description": "Learn more about the quotas of this API",
        "url": "https://example.com/gemini-api/docs/rate-limits"}]},
    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "33s"}]}}"#;
const PAGE: &str = "<!DOCTYPE html><html><head><title>429 Too Many Requests</title><style>body { font: 16px/1.5 sans-serif; margin: 4em auto; \
    max-width: 40em } h1 { font-size: 1.4em } .ray { color: #888; font-size: .8em }</style><script>window.ray = '8f00aa'; \
    if (navigator.cookieEnabled) { document.cookie = 'seen=1' }</script></head><body><h1>You are being rate limited</h1><p>The owner of \
    this website (api.example.com) has banned you temporarily from accessing it.</p><p>Please wait 30 seconds before you try again. \
    Requests that come sooner start the time anew.</p><h2>What happened?</h2><p>Too many requests came from your address in a short \
    time.</p><ul><li>If you run a script, let it wait between two requests.</li><li>If you share your address with others, ask them.</li>\
    <li>If you own the website, look at its settings.</li></ul><hr><p class=\"ray\">Ray 8f00aa11 at 2026-09-21 14:13:20 UTC</p>\
    <p class=\"ray\">Performance and security by Example</p></body></html>";

/// Bodies that would take long if anything in their reading went by the square of the length.
pub fn hostile() -> Vec<(&'static str, String)> {
    let message = |text: &str| {
        format!(
            r#"{{"error":{{"message":"{}"}}}}"#,
            text.repeat(65_000 / text.len())
        )
    };
    let many = |item: &str| {
        let items: Vec<_> = (0..65_000 / (item.len() + 4))
            .map(|index| item.replace('#', &index.to_string()))
            .collect();
        format!(r#"{{"error":[{}]}}"#, items.join(","))
    };
    vec![
        ("keys", message("sk-")),
        ("figures", message("1 ")),
        ("sums", message("1+")),
        ("names of models", message("model:")),
        ("half of a rule", message("not found ")),
        ("periods", message("per / ")),
        ("messages", many(r#""no #""#)),
        ("codes", many(r#"{"code":"a#"}"#)),
        ("scripts", "<script>".repeat(8_000)),
        ("brackets", "{\"error\":[".repeat(6_000)),
    ]
}

pub fn plain_headers() -> HeaderMap {
    headers(&[
        ("content-type", "application/json"),
        ("date", "Mon, 21 Sep 2026 14:13:20 GMT"),
        ("server", "istio-envoy"),
        ("content-length", "1204"),
        ("x-request-id", "req_0123456789"),
        ("cache-control", "no-store"),
        ("vary", "origin"),
        ("strict-transport-security", "max-age=31536000"),
    ])
}

fn groq_headers() -> [(&'static str, &'static str); 7] {
    [
        ("retry-after", "7"),
        ("x-ratelimit-limit-requests", "14000"),
        ("x-ratelimit-limit-tokens", "6100"),
        ("x-ratelimit-remaining-requests", "13999"),
        ("x-ratelimit-remaining-tokens", "11"),
        ("x-ratelimit-reset-requests", "6.17s"),
        ("x-ratelimit-reset-tokens", "2.4s"),
    ]
}

fn openai_headers() -> [(&'static str, &'static str); 6] {
    [
        ("x-ratelimit-limit-requests", "700"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "1m2.5s"),
        ("x-ratelimit-limit-tokens", "40000"),
        ("x-ratelimit-remaining-tokens", "1200"),
        ("x-ratelimit-reset-tokens", "58ms"),
    ]
}

fn anthropic_headers() -> [(&'static str, &'static str); 9] {
    [
        ("anthropic-ratelimit-requests-limit", "60"),
        ("anthropic-ratelimit-requests-remaining", "59"),
        ("anthropic-ratelimit-requests-reset", "2026-09-21T14:13:21Z"),
        ("anthropic-ratelimit-input-tokens-limit", "31000"),
        ("anthropic-ratelimit-input-tokens-remaining", "0"),
        (
            "anthropic-ratelimit-input-tokens-reset",
            "2026-09-21T14:14:00Z",
        ),
        ("anthropic-ratelimit-output-tokens-limit", "8000"),
        ("anthropic-ratelimit-output-tokens-remaining", "8000"),
        (
            "anthropic-ratelimit-output-tokens-reset",
            "2026-09-21T14:13:20Z",
        ),
    ]
}

/// Quota headers among others.
pub fn quota_headers() -> [(&'static str, HeaderMap); 3] {
    let among_others = |pairs: &[(&'static str, &'static str)]| {
        let mut all = plain_headers();
        all.extend(headers(pairs));
        all
    };
    [
        ("quotas of Groq", among_others(&groq_headers())),
        ("quotas of OpenAI", among_others(&openai_headers())),
        ("quotas of Anthropic", among_others(&anthropic_headers())),
    ]
}

/// Streams of 1 MiB, each with the number of its events.
pub fn streams() -> Vec<(&'static str, Vec<u8>, usize)> {
    let stream = |name, event: &str, last: &str| {
        let count = (1 << 20) / event.len();
        let mut stream = event.repeat(count);
        stream.push_str(last);
        (name, stream.into_bytes(), count)
    };
    vec![
        stream(
            "chat completions",
            "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"gpt-9\",\"system_fingerprint\":\"fp_1\",\
             \"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4000,\"total_tokens\":4009}}\n\ndata: [DONE]\n\n",
        ),
        stream(
            "messages",
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" word\"}}\n\n",
            "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":14}}\n\n",
        ),
        stream(
            "generate content",
            "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"A sentence of about the length that comes at a time.\"}],\"role\": \"model\"},\
             \"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 6,\"candidatesTokenCount\": 12,\"totalTokenCount\": 18},\"modelVersion\": \"gemini-9\"}\r\n\r\n",
            "",
        ),
    ]
}
