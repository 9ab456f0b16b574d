//! What is easily got wrong of single providers.

use super::*;

// PITFALLS 18: Groq's headers name no period; those of requests count the day, those of tokens the minute
// (https://console.groq.com/docs/rate-limits).
#[tokio::test(start_paused = true)]
async fn groqs_headers_of_requests_count_the_day_and_those_of_tokens_the_minute() {
    let quota = Quota::new()
        .limit(Limit::requests(30).per_minute())
        .limit(Limit::requests(14_400).per_day())
        .limit(Limit::tokens(6_000).per_minute())
        .limit(Limit::tokens(500_000).per_day());
    let limiter = limiter(quota);
    let service = service(&limiter, || {
        with_headers(&[
            ("x-ratelimit-limit-requests", "14400"),
            ("x-ratelimit-remaining-requests", "14370"),
            ("x-ratelimit-reset-requests", "2m59.56s"),
            ("x-ratelimit-limit-tokens", "6000"),
            ("x-ratelimit-remaining-tokens", "1000"),
            ("x-ratelimit-reset-tokens", "7.66s"),
        ])
    });
    service.oneshot(costing(100, 0)).await.unwrap();
    assert_eq!(used(&limiter, ""), [1, 30, 5_000, 100]);
    TokioClock.sleep_until(TokioClock.now() + ms(7_660)).await;
    assert_eq!(used(&limiter, ""), [1, 30, 100, 100]);
    TokioClock.sleep_until(TokioClock.now() + ms(180_000)).await;
    assert_eq!(used(&limiter, ""), [0, 1, 0, 100]);
}

// PITFALLS 18: Gemini's day begins at midnight Pacific time (https://ai.google.dev/gemini-api/docs/rate-limits).
#[tokio::test]
async fn geminis_day_ends_at_midnight_pacific_time() {
    // 07:00 UTC on 15 January 2026, an hour before midnight at UTC-8.
    let evening = std::time::UNIX_EPOCH + ms(1_768_460_400_000);
    let clock = ManualClock::starting_at(evening);
    let daily = Limit::requests(2)
        .per_day()
        .calendar(Zone::utc_offset(-8 * 60));
    let limiter = limiter(Quota::new().limit(daily)).clock(clock.clone());
    let service = service(&limiter.max_wait(ms(0)), || answer(200));
    for wait in [3_600_000, 86_400_000] {
        for _ in 0..2 {
            service.clone().oneshot(request()).await.unwrap();
        }
        let error = service.clone().oneshot(request()).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(ms(wait)));
        clock.advance(ms(3_600_000));
    }
}

// PITFALLS 18: Anthropic counts no cache reads against its limits of input tokens, and reports them beside the input;
// OpenAI counts them, and reports them as a part of it (https://docs.claude.com/en/api/rate-limits).
#[tokio::test(start_paused = true)]
async fn what_came_out_of_a_cache_is_charged_where_the_provider_charges_it() {
    let anthropic = r#"{"type": "message", "usage":
        {"input_tokens": 20, "cache_read_input_tokens": 5000, "output_tokens": 10}}"#;
    let openai = r#"{"object": "chat.completion", "usage": {"prompt_tokens": 5020,
        "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 5000}}}"#;
    for (body, charged) in [(anthropic, 20), (openai, 5_020)] {
        let limiter = limiter(Quota::new().limit(Limit::input_tokens(10_000).per_minute()));
        let service = service(&limiter, move || {
            let mut reader = UsageReader::new(Some("application/json"));
            reader.push(body.as_bytes());
            let mut answer = answer(200);
            let usage = reader.finish().usage.expect("it tells its usage");
            answer.extensions_mut().insert(told(usage));
            answer
        });
        drop(service.oneshot(costing(5_020, 100)).await.unwrap());
        assert_eq!(used(&limiter, ""), [charged], "{body}");
    }
}
