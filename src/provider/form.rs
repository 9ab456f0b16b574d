//! The model in a form (`multipart/form-data`), as transcriptions and edits of pictures are asked for.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;
use memchr::memmem::{self, Finder};

/// The boundary of a form, where this `content-type` is that of one.
pub(super) fn boundary(content_type: &str) -> Option<Cow<'_, str>> {
    let kind = content_type.split(';').next().unwrap_or_default();
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(content_type, "boundary")?;
    (1..=MAX_BOUNDARY)
        .contains(&boundary.len())
        .then_some(boundary)
}

/// The form with another value for its field `model`, and not a byte else changed; `None` where nothing changes.
///
/// A form without such a field is left alone, and so is a file of that name. Read once, from delimiter to delimiter.
pub(super) fn edit(body: &Bytes, boundary: &str, model: &str) -> Option<Bytes> {
    let mut others = Parts::new(body, boundary).filter_map(|part| {
        let value = value_of_model(body, part)?;
        (body[value.clone()] != *model.as_bytes()).then_some(value)
    });
    let mut next = Some(others.next()?);
    let mut edited = Vec::with_capacity(body.len() + model.len());
    let mut at = 0;
    while let Some(value) = next {
        edited.extend_from_slice(&body[at..value.start]);
        edited.extend_from_slice(model.as_bytes());
        at = value.end;
        next = others.next();
    }
    edited.extend_from_slice(&body[at..]);
    Some(edited.into())
}

/// Where the parts of a form stand, between their delimiters (RFC 2046, 5.1.1).
struct Parts<'a> {
    body: &'a [u8],
    /// A line break, two dashes and the boundary.
    delimiter: Finder<'static>,
    /// Where the next part begins.
    begin: Option<usize>,
}

/// What stands behind the words of a delimiter.
enum Behind {
    /// A part, after so many bytes.
    Part(usize),
    /// Nothing more.
    End,
    /// Something that makes it no delimiter: a longer word.
    Text,
}

impl<'a> Parts<'a> {
    fn new(body: &'a [u8], boundary: &str) -> Self {
        let delimiter = format!("\r\n--{boundary}");
        let mut parts = Self {
            body,
            delimiter: Finder::new(&delimiter).into_owned(),
            begin: None,
        };
        // The first needs no line break before it.
        let first = &delimiter[2..];
        parts.begin = match body.strip_prefix(first.as_bytes()).map(behind) {
            Some(Behind::Part(length)) => Some(first.len() + length),
            Some(Behind::End) => None,
            Some(Behind::Text) | None => parts.delimiter_from(0).and_then(|(_, next)| next),
        };
        parts
    }

    /// Where the next delimiter stands, and where the part behind it begins, if one does.
    fn delimiter_from(&self, mut from: usize) -> Option<(usize, Option<usize>)> {
        loop {
            let start = from + self.delimiter.find(&self.body[from..])?;
            let end = start + self.delimiter.needle().len();
            match behind(&self.body[end..]) {
                Behind::Part(length) => return Some((start, Some(end + length))),
                Behind::End => return Some((start, None)),
                Behind::Text => from = end,
            }
        }
    }
}

impl Iterator for Parts<'_> {
    type Item = Range<usize>;

    /// The next part: its head, an empty line, and its value. What has no end is none.
    fn next(&mut self) -> Option<Self::Item> {
        let begin = self.begin.take()?;
        let (end, next) = self.delimiter_from(begin)?;
        self.begin = next;
        Some(begin..end)
    }
}

fn behind(rest: &[u8]) -> Behind {
    let (rest, is_last) = match rest.strip_prefix(b"--") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    // Gateways may pad the line.
    let padding = rest.iter().take_while(|byte| b" \t".contains(byte)).count();
    let line_ends = rest[padding..].starts_with(b"\r\n");
    match is_last {
        true if line_ends || padding == rest.len() => Behind::End,
        false if line_ends => Behind::Part(padding + 2),
        _ => Behind::Text,
    }
}

/// Where the value of a part stands, if it is the field `model`.
fn value_of_model(body: &[u8], part: Range<usize>) -> Option<Range<usize>> {
    let start = &body[part.start..part.end.min(part.start + MAX_HEAD)];
    let head = memmem::find(start, b"\r\n\r\n")?;
    let value = part.start + head + 4..part.end;
    let head = String::from_utf8_lossy(&start[..head]);
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    })?;
    let is_file = ["filename", "filename*"]
        .iter()
        .any(|name| parameter(disposition, name).is_some());
    let is_model = parameter(disposition, "name").as_deref() == Some("model");
    (is_model && !is_file).then_some(value)
}

/// The value of a parameter of a header field (RFC 9110, 5.6.6).
fn parameter<'a>(field: &'a str, wanted: &str) -> Option<Cow<'a, str>> {
    let mut rest = field.split_once(';')?.1;
    loop {
        let (names, value) = rest.split_once('=')?;
        // A name without a value may stand before it.
        let name = names.rsplit(';').next().unwrap_or_default();
        let (value, after) = value_at_start(value.trim_start());
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

/// The value that a text begins with, quoted or not, and what stands behind it.
fn value_at_start(text: &str) -> (Cow<'_, str>, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim_end().into(), &text[end..]);
    };
    let Some(end) = quoted.find(['"', '\\']) else {
        return (quoted.into(), "");
    };
    if quoted[end..].starts_with('"') {
        return (quoted[..end].into(), &quoted[end + 1..]);
    }
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value.into(), &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value.into(), "")
}

/// RFC 2046, 5.1.1.
const MAX_BOUNDARY: usize = 70;
/// The name of a field stands in the first line, or in one of the next few.
const MAX_HEAD: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = "whisper-large-v3";

    fn edited(boundary: &str, form: &str) -> Option<String> {
        let body = Bytes::copy_from_slice(form.as_bytes());
        edit(&body, boundary, MODEL).map(|form| String::from_utf8(form.to_vec()).unwrap())
    }

    /// A form of these parts, each a head and a value.
    fn form(boundary: &str, parts: &[(&str, &str)]) -> String {
        let mut form = String::new();
        for (head, value) in parts {
            form += &format!("--{boundary}\r\n{head}\r\n\r\n{value}\r\n");
        }
        form + &format!("--{boundary}--\r\n")
    }

    const FIELD: &str = r#"Content-Disposition: form-data; name="model""#;
    const FILE: &str = "Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav";

    #[test]
    fn the_boundary_is_that_of_a_form_and_of_nothing_else() {
        for (content_type, expected) in [
            ("multipart/form-data; boundary=B", Some("B")),
            (
                "Multipart/Form-Data;charset=utf-8; Boundary=\"a b;c\"; x=y",
                Some("a b;c"),
            ),
            (r#"multipart/form-data; boundary="a\"b""#, Some("a\"b")),
            ("multipart/form-data; x; boundary=B ; y", Some("B")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/mixed; boundary=B", None),
            ("application/json", None),
        ] {
            assert_eq!(
                boundary(content_type).as_deref(),
                expected,
                "{content_type}"
            );
        }
        let long = |length| format!("multipart/form-data; boundary={}", "x".repeat(length));
        assert!(boundary(&long(70)).is_some() && boundary(&long(71)).is_none());
    }

    #[test]
    fn the_model_changes_and_nothing_else_does() {
        let sound = "RI\r\nFF --B --B-- \r\n--Bx\r\n--B--x\r\n\0é model=x";
        for heads in [
            FIELD,
            "content-disposition:form-data;name=model",
            "Content-Type: text/plain\r\nCONTENT-DISPOSITION: form-data; x=\"a;b=\\\"c\"; NAME=\"model\"",
        ] {
            for value in ["auto", "", "a\r\nb", "-"] {
                let of = |model| form("B", &[(FILE, sound), (heads, model), (FILE, "x")]);
                assert_eq!(edited("B", &of(value)), Some(of(MODEL)), "{heads} {value}");
                assert_eq!(edited("B", &of(MODEL)), None, "it is there already");
            }
        }
    }

    #[test]
    fn what_stands_before_and_behind_a_form_and_beside_its_delimiters_stays() {
        let of = |model: &str| {
            format!(
                "preamble\r\n--B \t\r\n{FIELD}\r\n\r\n{model}\r\n--B-- \r\nepilogue\r\n--B\r\n{FIELD}\r\n\r\nx\r\n--B--"
            )
        };
        assert_eq!(edited("B", &of("auto")), Some(of(MODEL)));
        let twice = |model| form("--B", &[(FIELD, model), (FIELD, model)]);
        assert_eq!(edited("--B", &twice("auto")), Some(twice(MODEL)));
    }

    #[test]
    fn a_form_without_a_model_or_without_an_end_is_left_alone() {
        let file = format!("{FIELD}; filename=\"model.bin\"");
        let named =
            "Content-Disposition: form-data; filename=\"x; name=\\\"model\\\"\"; name=\"file\"";
        for left in [
            form("B", &[(FILE, "RIFF"), (&file, "auto"), (named, "auto")]),
            form("B", &[("Content-Type: text/plain", "auto"), ("", "auto")]),
            form("B", &[(&"x".repeat(5_000), FIELD)]),
            form("C", &[(FIELD, "auto")]),
            form("Bc", &[(FIELD, "auto")]),
            format!("--B\r\n{FIELD}\r\n\r\nauto"),
            format!("--B\r\n{FIELD}\r\n--B--"),
            format!("--B--\r\n--B\r\n{FIELD}\r\n\r\nauto\r\n--B--"),
            "--B".to_owned(),
            String::new(),
        ] {
            assert_eq!(edited("B", &left), None, "{left}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_edited_without_a_panic(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec!["--B", "--", "\r\n", FIELD, " ", "x", "model"]), 0..30,
            ),
        ) {
            let body = pieces.concat();
            if let Some(once) = edited("B", &body) {
                proptest::prop_assert_eq!(edited("B", &once), None);
            }
        }

        #[test]
        fn a_parameter_is_read_without_a_panic(field in ".{0,60}", text in "[a-z;=\"\\\\ é]{0,40}") {
            parameter(&field, "name");
            parameter(&text, "a");
        }
    }
}
