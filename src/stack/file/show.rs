//! What was found, as a message may repeat it.

use super::tree::{Node, Value};

/// A value in a few words. What looks like a key is not repeated.
pub(crate) fn text(text: &str) -> String {
    if is_like_a_key(text) {
        return HIDDEN.into();
    }
    let short: String = text.chars().take(MOST_CHARS).collect();
    match short.len() < text.len() {
        true => format!("{:?}", short + "…"),
        false => format!("{short:?}"),
    }
}

/// The same without quotes and uncut, for what a setting said of itself.
pub(super) fn plain(text: &str) -> &str {
    if is_like_a_key(text) { HIDDEN } else { text }
}

/// A name, as it stands in a path.
pub(super) fn name(name: &str) -> String {
    if is_like_a_key(name) {
        return "***".into();
    }
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    match !name.is_empty() && name.chars().count() <= MOST_CHARS && name.chars().all(is_plain) {
        true => name.to_owned(),
        false => text(name),
    }
}

pub(super) fn node(node: &Node, table: &str) -> String {
    match &node.value {
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.chars().take(MOST_CHARS).collect(),
        Value::Text(found) => text(found),
        Value::List(_) => "a list".into(),
        Value::Table(_) => table.into(),
        Value::Other(what) => (*what).into(),
    }
}

/// Better one harmless word too many that is not repeated than one key that is.
pub(super) fn is_like_a_key(text: &str) -> bool {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    text.split(|c: char| !is_of_word(c)).any(|word| {
        let lower = word.to_ascii_lowercase();
        let begins = KEY_STARTS.iter().any(|start| lower.starts_with(start));
        let count = |is: fn(&char) -> bool| word.chars().filter(is).count();
        let letters = count(char::is_ascii_uppercase).min(count(char::is_ascii_lowercase));
        let is_hex = word.chars().all(|c| c.is_ascii_hexdigit());
        let is_random = count(char::is_ascii_digit) >= 3
            && (letters >= 3 || is_hex && count(char::is_ascii_alphabetic) >= 3);
        begins && word.len() >= 8 || is_random && word.len() >= 20
    })
}

/// How the keys of providers begin, in lower case.
const KEY_STARTS: [&str; 19] = [
    "sk-",
    "sk_",
    "pk-",
    "gsk_",
    "xai-",
    "nvapi-",
    "hf_",
    "pplx-",
    "aiza",
    "akia",
    "absk",
    "ghp_",
    "github_pat_",
    "r8_",
    "fw_",
    "csk-",
    "ak-",
    "eyj",
    "tgp_",
];

const HIDDEN: &str = "something that looks like a key and is not repeated here";

const MOST_CHARS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_key_is_not_repeated() {
        for key in [
            "sk-proj-0123456789",
            "gsk_abcdefgh",
            "Bearer eyJhbGciOiJIUzI1NiJ9",
            "AIzaSyA-1234567",
            "0123456789abcdef0123456789abcdef",
            "aZ3aZ3aZ3aZ3aZ3aZ3aZ3",
            "https://example.com/?key=sk-12345678",
        ] {
            let shown = text(key);
            assert!(
                !shown.contains(key) && shown.contains("not repeated"),
                "{shown}"
            );
        }
        for harmless in [
            "60/minuet",
            "claude-3-5-sonnet-20241022",
            "llama-3.3-70b-versatile",
            "sk-",
        ] {
            assert_eq!(text(harmless), format!("{harmless:?}"));
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        let shown = text(&"ab ".repeat(100));
        assert_eq!(shown.chars().count(), MOST_CHARS + 3);
        assert_eq!(name("a.b"), "\"a.b\"");
        assert_eq!(name("a_b-c"), "a_b-c");
    }
}
