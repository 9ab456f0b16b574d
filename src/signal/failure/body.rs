//! The shapes of a body: JSON, event streams, HTML, plain text.

use std::{borrow::Cow, time::SystemTime};

use super::{
    evidence::{Evidence, start_of_json, truncate},
    place::Place,
};

/// Gathers what a body says.
///
/// `is_success` tells whether the status was: then only what is marked as an error is read, never the answer's words.
pub(super) fn read(body: &[u8], is_success: bool, server_time: SystemTime) -> Evidence {
    let mut evidence = Evidence::default();
    // Checking is several times faster than mending, and nearly every body is UTF-8.
    let body = match str::from_utf8(body) {
        Ok(body) => Cow::Borrowed(body),
        Err(_) => String::from_utf8_lossy(body),
    };
    let body = body.trim_start_matches('\u{FEFF}').trim();
    let root = if is_success {
        Place::Answer
    } else {
        Place::Error
    };
    if body.starts_with(['{', '[']) {
        evidence.read_json(body, root, server_time);
    } else if is_event_stream(body) {
        read_events(&mut evidence, body, root, server_time);
    } else if !is_success {
        read_text(&mut evidence, body, server_time);
    }
    evidence
}

fn is_event_stream(body: &str) -> bool {
    ["data:", "event:", "id:", "retry:", ":"]
        .iter()
        .any(|field| body.starts_with(field))
}

/// Every event of a stream, up to the first that is an error.
fn read_events(evidence: &mut Evidence, body: &str, root: Place, server_time: SystemTime) {
    let mut named_error = false;
    for line in body.lines() {
        if let Some(name) = line.strip_prefix("event:") {
            named_error = name.trim() == "error";
        } else if let Some(data) = line.strip_prefix("data:") {
            let place = if named_error { Place::Error } else { root };
            let data = data.trim();
            match data.starts_with('{') {
                true => evidence.read_json(data, place, server_time),
                false if named_error => evidence.add_message(data),
                false => {}
            }
            evidence.is_error |= named_error;
        }
        if evidence.is_error {
            return;
        }
    }
}

/// A page or a sentence, which may quote JSON.
fn read_text(evidence: &mut Evidence, body: &str, server_time: SystemTime) {
    if body.starts_with('<') {
        evidence.add_message(&text_of_html(body));
        return;
    }
    let json = start_of_json(body).unwrap_or(body.len());
    evidence.add_message(&body[..json]);
    evidence.read_json(&body[json..], Place::Error, server_time);
    if !body.contains(char::is_whitespace) {
        evidence.add_code(truncate(body, MAX_CODE));
    }
}

/// The text of a page, without its tags, scripts and styles.
fn text_of_html(page: &str) -> String {
    let mut rest = truncate(page, MAX_PAGE);
    let mut text = String::with_capacity(rest.len() / 2);
    while let Some(at) = rest.find('<') {
        push_words(&mut text, &rest[..at]);
        rest = &rest[at..];
        for (begins, ends) in [("<script", "</script"), ("<style", "</style")] {
            if rest.starts_with(begins) {
                rest = rest.find(ends).map_or("", |end| &rest[end..]);
            }
        }
        rest = rest.find('>').map_or("", |end| &rest[end + 1..]);
    }
    push_words(&mut text, rest);
    text
}

fn push_words(text: &mut String, piece: &str) {
    for word in piece.split_ascii_whitespace() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
}

const MAX_CODE: usize = 64;
/// A page's message stands near its top; below it are pictures and scripts.
const MAX_PAGE: usize = 16_384;
