mod figures;

use super::*;
use crate::signal::sse::tests::cut;
use proptest::prelude::*;

fn read<'a>(content_type: &str, chunks: impl IntoIterator<Item = &'a [u8]>) -> Reading {
    let mut reader = UsageReader::new(Some(content_type));
    for chunk in chunks {
        reader.push(chunk);
        assert!(reader.retained() <= 128);
    }
    reader.finish()
}

/// The reading of a body, which must not depend on how it is cut.
fn whole(content_type: &str, body: &str) -> Reading {
    let reading = read(content_type, [body.as_bytes()]);
    for size in 1..9 {
        assert_eq!(
            read(content_type, body.as_bytes().chunks(size)),
            reading,
            "{body}"
        );
    }
    reading
}

/// Input, output, cached, total.
type Tokens = [Option<u64>; 4];

fn tokens(reading: Reading) -> Tokens {
    let usage = reading.usage.unwrap_or_default();
    [
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.total_tokens,
    ]
}

fn json(body: &str) -> Tokens {
    tokens(whole("application/json", body))
}

fn events(data: &[&str]) -> Reading {
    let stream: String = data
        .iter()
        .map(|data| format!("data: {data}\n\n"))
        .collect();
    whole("text/event-stream; charset=utf-8", &stream)
}

/// Events that carry their type as their name, too.
fn named_events(data: &[&str]) -> Reading {
    let mut stream = String::new();
    for data in data {
        let value: serde_json::Value = serde_json::from_str(data).unwrap();
        stream += &format!(
            "event: {}\ndata: {data}\n\n",
            value["type"].as_str().unwrap()
        );
    }
    whole("text/event-stream", &stream)
}

const NONE: Tokens = [None; 4];

#[test]
fn documents_of_every_dialect_are_read() {
    for (body, expected) in [
        // chat completions, with details and without
        (
            r#"{"object":"chat.completion","choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],
                "usage":{"prompt_tokens":31,"completion_tokens":7,"total_tokens":38,"prompt_tokens_details":{"cached_tokens":16}}}"#,
            [Some(31), Some(7), Some(16), Some(38)],
        ),
        (
            r#"{"usage":{"prompt_tokens":31,"completion_tokens":7,"total_tokens":38,"prompt_tokens_details":null},"choices":[]}"#,
            [Some(31), Some(7), None, Some(38)],
        ),
        // DeepSeek, Moonshot
        (
            r#"{"usage":{"prompt_tokens":5,"completion_tokens":6,"total_tokens":11,"prompt_cache_hit_tokens":4,"prompt_cache_miss_tokens":1}}"#,
            [Some(5), Some(6), Some(4), Some(11)],
        ),
        (
            r#"{"usage":{"prompt_tokens":5,"completion_tokens":6,"total_tokens":11,"cached_tokens":2}}"#,
            [Some(5), Some(6), Some(2), Some(11)],
        ),
        // responses
        (
            r#"{"object":"response","status":"completed","error":null,"output":[{"type":"message"}],
                "usage":{"input_tokens":90,"input_tokens_details":{"cached_tokens":64},"output_tokens":12,
                "output_tokens_details":{"reasoning_tokens":3},"total_tokens":102},"metadata":{}}"#,
            [Some(90), Some(12), Some(64), Some(102)],
        ),
        // embeddings
        (
            r#"{"object":"list","data":[{"embedding":[0.25,-1.5e-3],"index":0}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#,
            [Some(8), None, None, Some(8)],
        ),
        (r#"{"embeddings":[[0.5]],"usage":{"total_tokens":8}}"#, [None, None, None, Some(8)]),
        // Anthropic: a message, a count
        (
            r#"{"type":"message","content":[{"type":"text","text":"Hi"}],"usage":{"input_tokens":4,"cache_creation_input_tokens":1,
                "cache_read_input_tokens":900,"cache_creation":{"input_tokens":77},"output_tokens":9}}"#,
            [Some(905), Some(9), Some(900), None],
        ),
        (r#"{"input_tokens":55}"#, [Some(55), None, None, None]),
        // Gemini: thoughts are output; nothing but thoughts; a count; a list of chunks without event stream
        (
            r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":20,
                "candidatesTokenCount":3,"totalTokenCount":40,"cachedContentTokenCount":10,"thoughtsTokenCount":17,
                "promptTokensDetails":[{"modality":"TEXT","tokenCount":99}]}}"#,
            [Some(20), Some(20), Some(10), Some(40)],
        ),
        (
            r#"{"usageMetadata":{"promptTokenCount":20,"thoughtsTokenCount":17,"totalTokenCount":37}}"#,
            [Some(20), Some(17), None, Some(37)],
        ),
        (r#"{"totalTokens":12}"#, [None, None, None, Some(12)]),
        (
            "[{\"usageMetadata\":{\"promptTokenCount\":2,\"totalTokenCount\":2}}\n,\r\n{\"usageMetadata\":{\"promptTokenCount\":2,
                \"candidatesTokenCount\":5,\"totalTokenCount\":7}}]",
            [Some(2), Some(5), None, Some(7)],
        ),
        // Cohere, v2, v1, and where nothing but the bill is known
        (
            r#"{"usage":{"billed_units":{"input_tokens":1,"output_tokens":2},"tokens":{"input_tokens":71.0,"output_tokens":2.0},"cached_tokens":64}}"#,
            [Some(71), Some(2), Some(64), None],
        ),
        (
            r#"{"meta":{"tokens":{"input_tokens":71,"output_tokens":2},"billed_units":{"input_tokens":1,"output_tokens":2}}}"#,
            [Some(71), Some(2), None, None],
        ),
        (
            r#"{"embeddings":[[1]],"meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":6}}}"#,
            [Some(6), None, None, None],
        ),
        // Bedrock: converse, Titan, Llama
        (
            r#"{"output":{"message":{"content":[{"text":"Hi"}]}},"usage":{"inputTokens":3,"outputTokens":4,"totalTokens":107,"cacheReadInputTokens":100}}"#,
            [Some(103), Some(4), Some(100), Some(107)],
        ),
        (
            r#"{"inputTextTokenCount":6,"results":[{"tokenCount":2,"outputText":"Hi","completionReason":"FINISH"}]}"#,
            [Some(6), Some(2), None, None],
        ),
        (
            r#"{"generation":"Hi","prompt_token_count":6,"generation_token_count":2,"stop_reason":"stop"}"#,
            [Some(6), Some(2), None, None],
        ),
        // Ollama
        (
            r#"{"message":{"content":"Hi"},"done":true,"prompt_eval_count":26,"eval_count":2,"eval_duration":99}"#,
            [Some(26), Some(2), None, None],
        ),
        // a transcription that is billed by the second
        (r#"{"text":"Hi","usage":{"type":"duration","seconds":3}}"#, NONE),
    ] {
        assert_eq!(json(body), expected, "{body}");
    }
}

#[test]
fn only_the_providers_own_figures_count() {
    for body in [
        r#"{"choices":[{"message":{"tool_calls":[{"function":{"arguments":{"usage":{"prompt_tokens":1}}}}]}}]}"#,
        r#"{"choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1}"}}]}"#,
        r#"{"content":[{"type":"tool_use","input":{"usage":{"input_tokens":1}}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"args":{"usageMetadata":{"promptTokenCount":1}}}}]}}]}"#,
        r#"{"metadata":{"input_tokens":1,"error":"none of ours"}}"#,
        r#"{"usage":{"cost":{"total_tokens":1},"iterations":[{"input_tokens":1}],"context_details":{"input_tokens":1}}}"#,
        r#"{"usage":null}"#,
        r#"{"usage":{"prompt_tokens":null,"completion_tokens":"3","total_tokens":-4,"input_tokens":1e300,"output_tokens":[5]}}"#,
        r#"[[{"usage":{"prompt_tokens":1}}]]"#,
        "",
        "null",
        "]}]}",
    ] {
        assert_eq!(json(body), NONE, "{body}");
        assert_eq!(whole("application/json", body).error, None, "{body}");
    }
}

#[test]
fn a_document_after_a_broken_event_is_read() {
    let reading = events(&[
        "{\"choices\":[{\"delta\":{\"content\":\"",
        r#"{"usage":{"prompt_tokens":4}}"#,
        "[DONE]",
    ]);
    assert_eq!(tokens(reading)[0], Some(4));
}

#[test]
fn chat_completions_end_in_done() {
    let start = r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#;
    let word = r#"{"choices":[{"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}"#;
    let stop = r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":null}"#;
    let usage =
        r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}"#;

    assert!(!events(&[start]).content);
    assert!(events(&[start, word]).content);
    assert_eq!(events(&[start, word]).ending, Ending::Unterminated);
    assert_eq!(events(&[start, word, stop]).ending, Ending::Finished);
    let all = events(&[start, word, stop, usage, "[DONE]"]);
    assert_eq!(all.ending, Ending::Terminated);
    assert_eq!(tokens(all), [Some(9), Some(1), None, Some(10)]);
    assert_eq!(events(&[start, word, stop, "[DONE]"]).usage, None);

    let groq = r#"{"choices":[],"x_groq":{"id":"req_1","usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}}"#;
    let moonshot = r#"{"choices":[{"delta":{},"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}]}"#;
    for usage in [groq, moonshot] {
        assert_eq!(
            tokens(events(&[word, stop, usage])),
            [Some(9), Some(1), None, Some(10)]
        );
    }
}

#[test]
fn anthropic_counts_the_input_at_the_start_and_the_output_at_the_end() {
    let start = r#"{"type":"message_start","message":{"content":[],"stop_reason":null,"usage":{"input_tokens":25,"cache_read_input_tokens":8,"output_tokens":1}}}"#;
    let block =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let ping = r#"{"type": "ping"}"#;
    let word =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#;
    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":12}}"#;
    let corrected = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":30,"cache_read_input_tokens":0,"output_tokens":12}}"#;
    let stop = r#"{"type":"message_stop"}"#;

    assert!(!named_events(&[start, block, ping]).content);
    let all = named_events(&[start, block, ping, word, delta, stop]);
    assert_eq!(tokens(all), [Some(33), Some(12), Some(8), None]);
    assert_eq!(
        (all.ending, all.content, all.error),
        (Ending::Terminated, true, None)
    );
    assert_eq!(named_events(&[start, word, delta]).ending, Ending::Finished);
    assert_eq!(
        tokens(named_events(&[start, word, corrected, stop])),
        [Some(30), Some(12), Some(0), None]
    );
}

#[test]
fn responses_repeat_the_request_before_they_answer() {
    let created = r#"{"type":"response.created","response":{"status":"in_progress","error":null,"output":[],"reasoning":{"effort":"low"},"text":{"format":{"type":"text"}},"usage":null}}"#;
    let delta = r#"{"type":"response.output_text.delta","delta":"Hi"}"#;
    let completed = r#"{"type":"response.completed","response":{"status":"completed","output":[{"type":"message"}],"usage":{"input_tokens":5,"output_tokens":1,"total_tokens":6}}}"#;
    let failed = r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded"}}}"#;

    assert!(!named_events(&[created]).content);
    let all = named_events(&[created, delta, completed]);
    assert_eq!(tokens(all), [Some(5), Some(1), None, Some(6)]);
    assert_eq!((all.ending, all.error), (Ending::Terminated, None));
    assert_eq!(
        named_events(&[created, failed]).error,
        Some(ErrorSeen::BeforeContent)
    );
    assert_eq!(
        named_events(&[created, delta, failed]).error,
        Some(ErrorSeen::AfterContent)
    );
}

#[test]
fn usage_is_found_at_the_end_of_an_event_of_any_length() {
    let text = "words, \\\"words\\\"; ".repeat(100_000);
    let event = format!(
        r#"data: {{"type":"response.completed","response":{{"output":[{{"text":"{text}"}}],"usage":{{"total_tokens":6}}}}}}"#
    );
    let reading = read("text/event-stream", event.as_bytes().chunks(1500));
    assert_eq!(tokens(reading)[3], Some(6));
}

#[test]
fn other_streams_have_words_of_their_own_for_the_end() {
    let gemini = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}],"usageMetadata":{"promptTokenCount":6,"totalTokenCount":6}}"#;
    let gemini_last = r#"{"candidates":[{"content":{"parts":[{"text":"!"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2,"totalTokenCount":7}}"#;
    assert_eq!(events(&[gemini]).ending, Ending::Unterminated);
    let all = events(&[gemini, gemini_last]);
    assert_eq!(tokens(all), [Some(5), Some(2), None, Some(7)]);
    assert_eq!((all.ending, all.content), (Ending::Terminated, true));
    assert_eq!(
        events(&[r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#]).ending,
        Ending::Terminated
    );

    let cohere = [
        r#"{"type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":""}}}"#,
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hi"}}}}"#,
        r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":60,"output_tokens":1}}}}"#,
    ];
    assert!(!named_events(&cohere[..1]).content);
    assert_eq!(named_events(&cohere[..2]).ending, Ending::Unterminated);
    let all = named_events(&cohere);
    assert_eq!(
        (tokens(all), all.ending),
        ([Some(60), Some(1), None, None], Ending::Terminated)
    );

    let watsonx = [
        r#"{"results":[{"generated_text":"","generated_token_count":0,"input_token_count":7,"stop_reason":"not_finished"}]}"#,
        r#"{"results":[{"generated_text":"Hi","generated_token_count":1,"input_token_count":0,"stop_reason":"eos_token"}]}"#,
    ];
    assert_eq!(events(&watsonx[..1]).ending, Ending::Unterminated);
    let all = events(&watsonx);
    assert_eq!(
        (tokens(all), all.ending),
        ([Some(7), Some(1), None, None], Ending::Terminated)
    );

    let lines = "{\"message\":{\"content\":\"Hi\"},\"done\":false}\n{\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":3,\"eval_count\":1}\n";
    let all = whole("application/x-ndjson", lines);
    assert_eq!(
        (tokens(all), all.ending),
        ([Some(3), Some(1), None, None], Ending::Terminated)
    );
    let cut_off = whole("application/x-ndjson", &lines[..50]);
    assert_eq!(
        (cut_off.ending, cut_off.content),
        (Ending::Unterminated, true)
    );
}

/// A user's test: speech in events ended with an error, each time.
/// https://platform.openai.com/docs/api-reference/audio/speech-audio-done-event and its neighbours,
/// https://docs.mistral.ai/api/#tag/beta.conversations, https://ai.google.dev/api/interactions-api,
/// https://platform.openai.com/docs/api-reference/assistants-streaming/events.
#[test]
fn streams_that_are_no_chats_have_words_of_their_own_for_the_end() {
    for (content, last) in [
        (
            r#"{"type":"speech.audio.delta","audio":"AAAA"}"#,
            r#"{"type":"speech.audio.done","usage":{"input_tokens":3,"output_tokens":9,"total_tokens":12}}"#,
        ),
        (
            r#"{"type":"transcript.text.delta","delta":"Hi"}"#,
            r#"{"type":"transcript.text.done","text":"Hi","usage":{"type":"tokens","input_tokens":3,"output_tokens":9,"total_tokens":12}}"#,
        ),
        (
            r#"{"type":"image_generation.partial_image","b64_json":"AAAA","partial_image_index":0}"#,
            r#"{"type":"image_generation.completed","b64_json":"AAAA","usage":{"input_tokens":3,"output_tokens":9,"total_tokens":12}}"#,
        ),
        (
            r#"{"type":"image_edit.partial_image","b64_json":"AAAA","partial_image_index":0}"#,
            r#"{"type":"image_edit.completed","b64_json":"AAAA","usage":{"input_tokens":3,"output_tokens":9,"total_tokens":12}}"#,
        ),
        (
            r#"{"type":"transcription.text.delta","text":"Hi"}"#,
            r#"{"type":"transcription.done","text":"Hi","usage":{"prompt_tokens":3,"completion_tokens":9,"total_tokens":12}}"#,
        ),
        (
            r#"{"type":"message.output.delta","content":"Hi"}"#,
            r#"{"type":"conversation.response.done","usage":{"prompt_tokens":3,"completion_tokens":9,"total_tokens":12}}"#,
        ),
        (
            r#"{"event_type":"content.delta","index":0,"delta":{"type":"text","text":"Hi"}}"#,
            r#"{"event_type":"interaction.complete","interaction":{"usage":{"total_input_tokens":3,"total_output_tokens":9,"total_tokens":12}}}"#,
        ),
        (
            r#"{"event_type":"step.delta","index":0,"delta":{"type":"text","text":"Hi"}}"#,
            r#"{"event_type":"interaction.completed","interaction":{"usage":{"total_input_tokens":3,"total_output_tokens":9,"total_tokens":12}}}"#,
        ),
        (
            r#"{"type":"response.output_text.delta","delta":"Hi"}"#,
            r#"{"type":"response.done","response":{"usage":{"input_tokens":3,"output_tokens":9,"total_tokens":12}}}"#,
        ),
    ] {
        let begun = events(&[content]);
        assert_eq!(
            (begun.content, begun.ending),
            (true, Ending::Unterminated),
            "{content}"
        );
        let all = events(&[content, last]);
        assert_eq!(
            (all.ending, all.error),
            (Ending::Terminated, None),
            "{last}"
        );
        assert_eq!(tokens(all), [Some(3), Some(9), None, Some(12)], "{last}");
    }
    let run = "event: thread.message.delta\ndata: {\"object\":\"thread.message.delta\",\"delta\":{\"content\":[]}}\n\nevent: done\ndata: {}\n\n";
    assert_eq!(whole("text/event-stream", run).ending, Ending::Terminated);
    let failed =
        events(&[r#"{"type":"conversation.response.error","message":"Sorry","code":500}"#]);
    assert_eq!(failed.error, Some(ErrorSeen::BeforeContent));
}

#[test]
fn errors_in_a_stream_are_seen_in_every_wording() {
    let word = r#"{"choices":[{"delta":{"content":"Hi"}}]}"#;
    for error in [
        r#"{"error":{"message":"Slow down","code":429}}"#,
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
        r#"{"type":"error","code":"server_error","message":"Sorry"}"#,
        r#"{"object":"error","message":"out of memory"}"#,
        r#"{"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#,
        r#"{"base_resp":{"status_code":1002,"status_msg":"rate limited"}}"#,
        r#"{"error":"model runner has stopped"}"#,
        r#"{"type":"message-end","delta":{"finish_reason":"ERROR"}}"#,
    ] {
        assert_eq!(
            events(&[error]).error,
            Some(ErrorSeen::BeforeContent),
            "{error}"
        );
        assert_eq!(
            events(&[word, error]).error,
            Some(ErrorSeen::AfterContent),
            "{error}"
        );
    }
    let named = whole("text/event-stream", "event: error\ndata: upstream gone\n\n");
    assert_eq!(named.error, Some(ErrorSeen::BeforeContent));
    let line = whole("application/x-ndjson", "{\"error\":\"out of memory\"}\n");
    assert_eq!(line.error, Some(ErrorSeen::BeforeContent));
}

#[test]
fn no_error_is_no_error() {
    for fine in [
        r#"{"error":null,"choices":[{"delta":{"content":"error"}}]}"#,
        r#"{"error":"","usage":null}"#,
        r#"{"error":{},"errors":[]}"#,
        r#"{"base_resp":{"status_code":0,"status_msg":"success"}}"#,
        r#"{"choices":[{"delta":{"content":"data: {\"error\":{\"code\":429}}"}}]}"#,
    ] {
        assert_eq!(events(&[fine]).error, None, "{fine}");
    }
}

#[test]
fn the_first_byte_tells_json_and_a_stream_that_was_asked_for_or_is_declared() {
    let document = r#" {"usage":{"prompt_tokens":4}}"#;
    let stream = "\n: hello\n\ndata: {\"usage\":{\"prompt_tokens\":4}}\n\ndata: [DONE]\n\n";
    for content_type in [
        "application/json",
        "text/event-stream",
        "application/octet-stream",
        "text/plain",
        "",
    ] {
        let reading = whole(content_type, document);
        assert_eq!(
            (tokens(reading)[0], reading.ending),
            (Some(4), Ending::NotAStream)
        );
        let mut asked = UsageReader::new(Some(content_type)).asked_for_stream();
        asked.push(stream.as_bytes());
        let expected = (Some(4), Ending::Terminated);
        let reading = asked.finish();
        assert_eq!((tokens(reading)[0], reading.ending), expected);
        let reading = whole(content_type, stream);
        let expected = match content_type {
            "text/event-stream" => expected,
            _ => (None, Ending::NotAStream),
        };
        assert_eq!((tokens(reading)[0], reading.ending), expected);
    }
    assert_eq!(whole("audio/mpeg", document).usage, None);
    assert_eq!(
        whole("text/html", "<html>data: {}").ending,
        Ending::NotAStream
    );
    assert_eq!(whole("text/event-stream", "").ending, Ending::Unterminated);
}

#[test]
fn depth_costs_nothing() {
    for (open, close) in [
        ("[", "]"),
        ("{\"a\":", "}"),
        ("{\"usage\":", "}"),
        ("{\"tokens\":", "}"),
    ] {
        let body = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        assert_eq!(read("application/json", [body.as_bytes()]).usage, None);
    }
}

/// Bodies made of the words that matter, whole or not.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "data: ",
        "event: error",
        "event: response.output_text.delta",
        "\n",
        "\r\n",
        "\n\n",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        " ",
        "\"usage\":{",
        "\"prompt_tokens\":12",
        "\"completion_tokens\":3.0",
        "\"usageMetadata\":{",
        "\"thoughtsTokenCount\":4",
        "\"choices\":[{",
        "\"delta\":{\"content\":\"",
        "\"content\":[",
        "\"error\":",
        "{}",
        "null",
        "true",
        "0",
        "\"type\":\"error\"",
        "\"type\":\"message_stop\"",
        "\"type\":\"response.code_interpreter_call_code.delta\"",
        "\"finish_reason\":\"",
        "stop",
        "[DONE]",
        "\"done\":",
        "grün",
        "\u{feff}",
        "\"metadata\":{",
        "\"tokens\":{",
        "\"meta\":{",
        "a very long string of more than sixty-four bytes, to be sure of that",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

fn content_type() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "text/event-stream",
        "application/json",
        "application/x-ndjson",
        "",
        "image/png",
    ])
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_reading(
        content_type in content_type(),
        body in body(),
        cuts in prop::collection::vec(0..40_usize, 0..20),
    ) {
        let whole = read(content_type, [&body[..]]);
        prop_assert_eq!(read(content_type, cut(&body, &cuts)), whole);
        prop_assert_eq!(read(content_type, body.chunks(1)), whole);
    }

    #[test]
    fn what_was_seen_stays_seen(content_type in content_type(), body in body()) {
        let mut reader = UsageReader::new(Some(content_type));
        let mut before = reader.reading();
        for byte in body {
            reader.push(&[byte]);
            let after = reader.reading();
            prop_assert!(after.content || !before.content);
            prop_assert!(before.error.is_none() || after.error == before.error);
            prop_assert!(after.usage.is_some() || before.usage.is_none());
            prop_assert!(before.ending != Ending::Terminated || after.ending == Ending::Terminated);
            before = after;
        }
    }

    #[test]
    fn any_bytes_can_come(content_type in content_type(), bytes: Vec<u8>) {
        prop_assert_eq!(read(content_type, bytes.chunks(3)), read(content_type, [&bytes[..]]));
    }
}

#[test]
fn an_answer_that_reached_its_maximum_says_so_in_every_dialect() {
    let whole_bodies = [
        r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"length"}]}"#,
        r#"{"choices":[{"text":"Hi","finish_reason":"length"}]}"#,
        r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"},{"message":{"content":"Hi"},"finish_reason":"model_length"}]}"#,
        r#"{"type":"message","content":[{"type":"text","text":"Hi"}],"stop_reason":"max_tokens"}"#,
        r#"{"object":"response","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"MAX_TOKENS"}]}"#,
        r#"{"message":{"content":[{"type":"text","text":"Hi"}]},"finish_reason":"MAX_TOKENS"}"#,
        r#"{"model":"m","message":{"content":"Hi"},"done":true,"done_reason":"length"}"#,
        r#"{"results":[{"tokenCount":2,"outputText":"Hi","completionReason":"LENGTH"}]}"#,
        r#"{"results":[{"generated_text":"Hi","stop_reason":"max_tokens"}]}"#,
        r#"{"output":{"message":{"content":[{"text":"Hi"}]}},"stopReason":"max_tokens"}"#,
    ];
    for body in whole_bodies {
        assert!(whole("application/json", body).truncated, "{body}");
    }
    let streams: [&[&str]; 3] = [
        &[
            r#"{"choices":[{"delta":{"content":"Hi"}}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#,
            "[DONE]",
        ],
        &[
            r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":2}}"#,
            r#"{"type":"message_stop"}"#,
        ],
        &[
            r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}}"#,
        ],
    ];
    for stream in streams {
        assert!(events(stream).truncated, "{stream:?}");
    }
}

#[test]
fn an_answer_that_ended_by_itself_was_not_cut_short_and_neither_was_one_that_speaks_of_it() {
    for body in [
        r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"message":{"content":"length","finish_reason":"stop"},"finish_reason":"tool_calls"}]}"#,
        r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":null}],"metadata":{"finish_reason":"length"}}"#,
        r#"{"object":"response","status":"incomplete","incomplete_details":{"reason":"content_filter"},"output":[]}"#,
        r#"{"object":"response","status":"completed","incomplete_details":null,"output":[]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"MAX_TOKENS"}]},"finishReason":"STOP"}]}"#,
        r#"{"model":"m","message":{"content":"Hi"},"done":true,"done_reason":"stop"}"#,
    ] {
        assert!(!whole("application/json", body).truncated, "{body}");
    }
}
