//! Changes in a JSON body that leave every other byte as it was.

use std::ops::Range;

use bytes::Bytes;

use crate::outline::{Outline, StreamOptions};

/// The body with another value for its `model`, which is given as a JSON string, and with a stream's usage asked for; `None` where
/// nothing changes.
///
/// Only the outermost object counts. What it lacks is put at its beginning.
pub(super) fn edit(
    body: &Bytes,
    outline: &Outline,
    model: Option<&str>,
    include_usage: bool,
) -> Option<Bytes> {
    let mut missing = String::new();
    if let Some(model) = model.filter(|_| outline.models().next().is_none()) {
        missing.extend(["\"model\":", model, ","]);
    }
    let asks = include_usage && outline.streams;
    if asks && matches!(outline.stream_options, StreamOptions::Absent) {
        missing.push_str("\"stream_options\":{\"include_usage\":true},");
    }
    let options = change_of_options(body, outline).filter(|_| asks);
    if !missing.is_empty() && outline.is_empty() {
        missing.pop();
    }
    let model = model.unwrap_or_default().as_bytes();
    let others = outline
        .models()
        .filter(|at| !model.is_empty() && body[at.start..at.end] != *model);
    let place = options.as_ref().map_or(usize::MAX, |(at, _)| at.start);
    let model_at = |at: &Range<usize>| (at.clone(), model);
    let changes = (others.clone().filter(|at| at.start < place).map(model_at))
        .chain(options)
        .chain(others.filter(|at| at.start > place).map(model_at));
    if missing.is_empty() && changes.clone().next().is_none() {
        return None;
    }
    let length = changes.clone().fold(body.len(), |length, (at, text)| {
        length - at.len() + text.len()
    });
    // With nothing to spare, so that it becomes `Bytes` as it is.
    let mut edited = Vec::with_capacity(length + missing.len());
    let mut at = outline.inside;
    edited.extend_from_slice(&body[..at]);
    edited.extend_from_slice(missing.as_bytes());
    for (place, text) in changes {
        edited.extend_from_slice(&body[at..place.start]);
        edited.extend_from_slice(text);
        at = place.end;
    }
    edited.extend_from_slice(&body[at..]);
    Some(edited.into())
}

/// What is put where so that options that say nothing of the usage ask for it.
fn change_of_options(body: &Bytes, outline: &Outline) -> Option<(Range<usize>, &'static [u8])> {
    match &outline.stream_options {
        StreamOptions::Absent | StreamOptions::Told => None,
        StreamOptions::Null(at) => Some((at.clone(), br#"{"include_usage":true}"#)),
        StreamOptions::Silent(at) => {
            let is_empty = body[*at..].trim_ascii_start().starts_with(b"}");
            let text: &[u8] = match is_empty {
                true => br#""include_usage":true"#,
                false => br#""include_usage":true,"#,
            };
            Some((*at..*at, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(body: &str, model: Option<&str>, include_usage: bool) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let model = model.map(|model| serde_json::Value::from(model).to_string());
        let outline = Outline::of(&body);
        let edited = outline
            .and_then(|outline| edit(&body, &outline, model.as_deref(), include_usage))
            .unwrap_or(body);
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
    fn a_body_that_has_the_model_already_is_not_copied() {
        let body = Bytes::from_static(br#"{"model":"m","stream":true}"#);
        let outline = Outline::of(&body).unwrap();
        assert_eq!(edit(&body, &outline, Some("\"m\""), false), None);
        assert!(edit(&body, &outline, Some("\"m\""), true).is_some());
    }

    #[test]
    fn the_usage_of_a_stream_is_asked_for_unless_the_caller_says_what_he_wants() {
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
            // A new user's test: a second `stream_options` stood before one of `null`, and options that say nothing of it were none.
            (
                r#"{"model":"x","stream":true,"stream_options":null}"#,
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
            ),
            (
                r#"{"stream":true,"stream_options":{ },"model":"x"}"#,
                r#"{"stream":true,"stream_options":{"include_usage":true },"model":"m"}"#,
            ),
            (
                r#"{"stream_options":{"include_obfuscation":false},"stream":true}"#,
                r#"{"model":"m","stream_options":{"include_usage":true,"include_obfuscation":false},"stream":true}"#,
            ),
            (
                r#"{"model":"m","stream":true,"stream_options":{"a":{"include_usage":true}}}"#,
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true,"a":{"include_usage":true}}}"#,
            ),
            (
                r#"{"model":"m","stream":true,"stream_options":[]}"#,
                r#"{"model":"m","stream":true,"stream_options":[]}"#,
            ),
            (
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":null}}"#,
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":null}}"#,
            ),
        ] {
            assert_eq!(edited(body, Some("m"), true), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_edited_without_a_panic(body in ".{0,200}", cut in 0_usize..200) {
            let json = format!(r#"{{"a":{body:?},"model":"x","stream":true,"b":[{body}]}}"#);
            edited(&json, Some("m"), true);
            let cut = String::from_utf8_lossy(&json.as_bytes()[..cut.min(json.len())]);
            edited(&cut, Some("m"), true);
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
