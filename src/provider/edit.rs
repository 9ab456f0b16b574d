//! Changes in a JSON body that leave every other byte as it was.

use bytes::{BufMut, Bytes, BytesMut};

use crate::signal::json::{Escaped, Scanner, Token};

/// The body with another value for its `model`, and with a stream's usage asked for; `None` where nothing changes.
///
/// Only the outermost object counts. What it lacks is put at its beginning; what is no object stays as it is.
pub(super) fn edit(body: &Bytes, model: Option<&str>, include_usage: bool) -> Option<Bytes> {
    let text = std::str::from_utf8(body).ok()?;
    let brace = text
        .find(|c: char| !c.is_whitespace())
        .filter(|at| text[*at..].starts_with('{'))?;
    let found = Found::in_object(text);
    let mut edits = Vec::new();
    let mut missing = String::new();
    if let Some(model) = model {
        let name = serde_json::Value::from(model).to_string();
        if found.models.is_empty() {
            missing.push_str(&format!("\"model\":{name},"));
        }
        // Of a key that stands there twice, some parsers take the first and some the last.
        edits.extend(
            found
                .models
                .into_iter()
                .map(|(start, end)| (start, end, name.clone())),
        );
    }
    if include_usage && found.streams && !found.has_stream_options {
        missing.push_str("\"stream_options\":{\"include_usage\":true},");
    }
    if !missing.is_empty() {
        if text[brace + 1..].trim_start().starts_with('}') {
            missing.pop();
        }
        edits.insert(0, (brace + 1, brace + 1, missing));
    }
    (!edits.is_empty()).then(|| splice(text, &edits))
}

/// What the outermost object has.
#[derive(Default)]
struct Found {
    /// Where the values of its `model` stand, whatever they are.
    models: Vec<(usize, usize)>,
    streams: bool,
    has_stream_options: bool,
}

impl Found {
    fn in_object(text: &str) -> Self {
        let mut found = Self::default();
        let mut depth = 0_u32;
        let mut model_begins = None;
        let mut scanner = Scanner::new(text);
        while let Some(token) = scanner.next() {
            let end = scanner.position();
            match token {
                Token::Enter(key) => {
                    if depth == 1 && is(key, "model") {
                        model_begins = Some(end - 1);
                    }
                    found.has_stream_options |= depth == 1 && is(key, "stream_options");
                    found.streams &= depth != 1 || !is(key, "stream");
                    depth += 1;
                }
                Token::Leave => {
                    depth = depth.saturating_sub(1);
                    if depth == 1 {
                        found
                            .models
                            .extend(model_begins.take().map(|start| (start, end)));
                    }
                }
                // The string is a slice of the text, and a quote stands before it.
                Token::Text(key, value) if depth == 1 && is(key, "model") => {
                    let start = value.0.as_ptr() as usize - text.as_ptr() as usize - 1;
                    found.models.push((start, end));
                }
                Token::Word(key, word) if depth == 1 && is(key, "model") => {
                    found.models.push((end - word.len(), end));
                }
                Token::Word(key, word) if depth == 1 && is(key, "stream") => {
                    found.streams = word == "true";
                }
                Token::Text(key, _) if depth == 1 && is(key, "stream") => found.streams = false,
                _ => {}
            }
        }
        found
    }
}

/// Whether a key, which may be written with escapes, has this name.
fn is(key: &str, name: &str) -> bool {
    key == name || (key.contains('\\') && Escaped(key).unescape() == name)
}

/// The text with these ranges replaced; they are in order and do not overlap.
fn splice(text: &str, edits: &[(usize, usize, String)]) -> Bytes {
    let added = edits.iter().map(|(.., with)| with.len()).sum::<usize>();
    let mut spliced = BytesMut::with_capacity(text.len() + added);
    let mut at = 0;
    for (start, end, with) in edits {
        spliced.put_slice(&text.as_bytes()[at..*start]);
        spliced.put_slice(with.as_bytes());
        at = *end;
    }
    spliced.put_slice(&text.as_bytes()[at..]);
    spliced.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(body: &str, model: Option<&str>, include_usage: bool) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let edited = edit(&body, model, include_usage).unwrap_or(body);
        String::from_utf8(edited.to_vec()).unwrap()
    }

    #[test]
    fn the_model_changes_and_nothing_else_does() {
        for (body, expected) in [
            (
                r#"{ "n" : 1.0, "model" : "gpt-4", "messages":[{"model":"x"}], "é":"\u00e9" }"#,
                r#"{ "n" : 1.0, "model" : "llama \"3\"", "messages":[{"model":"x"}], "é":"\u00e9" }"#,
            ),
            (
                r#"{"messages":[]}"#,
                r#"{"model":"llama \"3\"","messages":[]}"#,
            ),
            (r#" { } "#, r#" {"model":"llama \"3\"" } "#),
            (
                r#"{"model":null,"a":1}"#,
                r#"{"model":"llama \"3\"","a":1}"#,
            ),
            (
                r#"{"model":{"a":[1]},"model":"b"}"#,
                r#"{"model":"llama \"3\"","model":"llama \"3\""}"#,
            ),
            (
                r#"{"mod\u0065l":"dear"}"#,
                r#"{"mod\u0065l":"llama \"3\""}"#,
            ),
            ("[1]", "[1]"),
            ("", ""),
            ("no json", "no json"),
        ] {
            assert_eq!(edited(body, Some("llama \"3\""), false), expected);
        }
    }

    #[test]
    fn the_usage_of_a_stream_is_asked_for_unless_the_caller_has_options_of_his_own() {
        for (body, expected) in [
            (
                r#"{"stream":true,"model":"x"}"#,
                r#"{"stream_options":{"include_usage":true},"stream":true,"model":"m"}"#,
            ),
            (
                r#"{"stream":true}"#,
                r#"{"model":"m","stream_options":{"include_usage":true},"stream":true}"#,
            ),
            (
                r#"{"stream":false,"model":"x"}"#,
                r#"{"stream":false,"model":"m"}"#,
            ),
            (
                r#"{"messages":[{"stream":true}],"model":"x"}"#,
                r#"{"messages":[{"stream":true}],"model":"m"}"#,
            ),
            // Found by fuzzing: of a key that stands there twice the last counts, whatever its value.
            (
                r#"{"stream":true,"stream":{"a":1},"model":"x"}"#,
                r#"{"stream":true,"stream":{"a":1},"model":"m"}"#,
            ),
            (
                r#"{"stream":true,"stream":"yes","model":"x"}"#,
                r#"{"stream":true,"stream":"yes","model":"m"}"#,
            ),
            (
                r#"{"stream":true,"model":"x","stream_options":{"include_usage":false}}"#,
                r#"{"stream":true,"model":"m","stream_options":{"include_usage":false}}"#,
            ),
        ] {
            assert_eq!(edited(body, Some("m"), true), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_edited_without_a_panic(body in ".{0,200}", cut in 0_usize..200) {
            let json = format!(r#"{{"a":{body:?},"model":"x","stream":true,"b":[{body}]}}"#);
            edit(&Bytes::from(json.clone()), Some("m"), true);
            edit(&Bytes::copy_from_slice(&json.as_bytes()[..cut.min(json.len())]), Some("m"), true);
        }

        #[test]
        fn an_object_stays_one_with_the_model_that_was_asked_for(
            content in ".{0,50}",
            model in ".{1,30}",
            stream: bool,
        ) {
            let before = serde_json::json!({ "messages": [content], "model": "x", "stream": stream });
            let after = edited(&before.to_string(), Some(&model), true);
            let mut after: serde_json::Value = serde_json::from_str(&after).unwrap();
            proptest::prop_assert_eq!(&after["model"], &serde_json::Value::from(model));
            proptest::prop_assert_eq!(after["stream_options"].is_object(), stream);
            after["model"] = "x".into();
            after.as_object_mut().unwrap().remove("stream_options");
            proptest::prop_assert_eq!(after, before);
        }
    }
}
