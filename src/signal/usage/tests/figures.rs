//! That a figure means the same, whoever reports it.

use super::*;

fn usage(body: &str) -> Usage {
    whole("application/json", body).usage.expect("a usage")
}

/// Input, out of the cache, into the cache, not counted.
fn prompt(usage: Usage) -> Tokens {
    [
        usage.input_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.uncounted_tokens,
    ]
}

/// https://docs.claude.com/en/docs/build-with-claude/prompt-caching: the prompt is the sum of the three.
/// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html: the total has them all.
#[test]
fn the_input_is_the_whole_prompt_also_where_the_cache_is_told_beside_it() {
    for (body, expected) in [
        (
            r#"{"type":"message","usage":{"input_tokens":5,"cache_creation_input_tokens":2000,"cache_read_input_tokens":50000,"output_tokens":100}}"#,
            [Some(52_005), Some(50_000), Some(2_000), Some(50_000)],
        ),
        (
            r#"{"type":"message","usage":{"input_tokens":5,"cache_creation_input_tokens":null,"cache_read_input_tokens":null,"output_tokens":100}}"#,
            [Some(5), None, None, None],
        ),
        (
            r#"{"usage":{"inputTokens":10,"outputTokens":4,"cacheReadInputTokens":0,"cacheWriteInputTokens":700,"totalTokens":714}}"#,
            [Some(710), Some(0), Some(700), Some(0)],
        ),
        // OpenAI's, chat completions and responses: a part of the prompt.
        (
            r#"{"usage":{"prompt_tokens":900,"completion_tokens":4,"total_tokens":904,"prompt_tokens_details":{"cached_tokens":800,"cache_write_tokens":50}}}"#,
            [Some(900), Some(800), Some(50), None],
        ),
        (
            r#"{"object":"response","usage":{"input_tokens":900,"output_tokens":4,"input_tokens_details":{"cached_tokens":800}}}"#,
            [Some(900), Some(800), None, None],
        ),
        // A gateway that tells Anthropic's figures once more beside a prompt that has them all.
        (
            r#"{"usage":{"prompt_tokens":900,"completion_tokens":4,"total_tokens":904,"cache_read_input_tokens":800,"cache_creation_input_tokens":50}}"#,
            [Some(900), Some(800), Some(50), None],
        ),
        // One that fills in the names of the other format with nothing.
        (
            r#"{"usage":{"prompt_tokens":0,"input_tokens":9,"cache_read_input_tokens":1}}"#,
            [Some(10), Some(1), None, Some(1)],
        ),
        (
            r#"{"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"input_tokens":0,"output_tokens":0}}"#,
            [Some(9), None, None, None],
        ),
    ] {
        assert_eq!(prompt(usage(body)), expected, "{body}");
    }
}

/// As in Clarifai/clarifai-python#978: prompt 20, completion 424, total 1016, and the rest thoughts.
#[test]
fn the_output_has_the_thoughts_that_only_the_total_tells_of() {
    let gemini = r#"{"usage":{"prompt_tokens":20,"completion_tokens":424,"total_tokens":1016}}"#;
    assert_eq!(json(gemini), [Some(20), Some(996), None, Some(1_016)]);
    // A total that is less than its parts takes nothing from them.
    let odd = r#"{"usage":{"prompt_tokens":20,"completion_tokens":4,"total_tokens":4}}"#;
    assert_eq!(json(odd), [Some(20), Some(4), None, Some(4)]);
}

/// https://docs.claude.com/en/docs/build-with-claude/streaming: the figures of `message_delta` are cumulative; those of
/// `message_start` are told before a word is.
#[test]
fn a_stream_that_has_not_come_to_its_end_has_told_no_usage() {
    let start = r#"{"type":"message_start","message":{"content":[],"usage":{"input_tokens":25,"cache_creation_input_tokens":70,"cache_read_input_tokens":5,"output_tokens":1}}}"#;
    let word =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#;
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":12}}"#;
    for cut in [&[start][..], &[start, word], &[start, word, error]] {
        assert_eq!(named_events(cut).usage, None, "{cut:?}");
    }
    let whole = named_events(&[start, word, delta]);
    let whole = whole.usage.expect("a usage");
    assert_eq!(prompt(whole), [Some(100), Some(5), Some(70), Some(5)]);
    assert_eq!(whole.output_tokens, Some(12));

    // Gemini counts as it goes.
    let chunk = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}],"usageMetadata":{"promptTokenCount":6,"candidatesTokenCount":1,"totalTokenCount":7}}"#;
    assert_eq!(events(&[chunk]).usage, None);
}
