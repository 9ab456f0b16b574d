//! Good files with something changed: whatever becomes of them, reading ends without a panic, and every mistake has its place.

use proptest::{collection::vec, prelude::*};

use super::{any_key, read, understood::EVERYTHING};

const FILES: [&str; 7] = [
    EVERYTHING,
    include_str!("../../../examples/configs/c-fallback.json"),
    include_str!("../../../examples/configs/a-multi-provider.toml"),
    include_str!("../../../examples/configs/b-local-fallback.toml"),
    include_str!("../../../examples/configs/c-fallback.toml"),
    include_str!("../../../examples/configs/d-openai.toml"),
    include_str!("../../../examples/configs/e-azure-agents.toml"),
];

/// What is put in place of a part of a file.
const PIECES: [&str; 30] = [
    "",
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    "=",
    ",",
    ":",
    "\n",
    "\\",
    "\u{0}",
    "é",
    "0",
    "-1",
    "1e999",
    "99999999999999999999",
    "null",
    "nan",
    "inf",
    "\"off\"",
    "\"1s\"",
    "\"60/minute\"",
    "\"0/0s\"",
    "[]",
    "{}",
    "[[]]",
    "true",
    "1979-05-27",
];

#[derive(Clone, Debug)]
struct Change {
    at: prop::sample::Index,
    length: usize,
    piece: &'static str,
}

fn change() -> impl Strategy<Value = Change> {
    let parts = (
        any::<prop::sample::Index>(),
        0..12_usize,
        prop::sample::select(&PIECES[..]),
    );
    parts.prop_map(|(at, length, piece)| Change { at, length, piece })
}

fn changed(file: &str, changes: &[Change]) -> String {
    let mut chars: Vec<char> = file.chars().collect();
    for Change { at, length, piece } in changes {
        let at = at.index(chars.len() + 1);
        let end = (at + length).min(chars.len());
        chars.splice(at..end, piece.chars());
    }
    chars.into_iter().collect()
}

proptest! {
    #[test]
    fn a_changed_file_is_understood_or_refused_with_a_place(
        file in prop::sample::select(&FILES[..]),
        changes in vec(change(), 1..4),
    ) {
        let text = changed(file, &changes);
        let (lines, longest) = (text.lines().count() + 1, text.chars().count() + 1);
        match read(&text, any_key) {
            None => {}
            Some(Ok(builder)) => {
                let _ = builder.build();
            }
            Some(Err(mistakes)) => {
                for mistake in mistakes.iter() {
                    prop_assert!(mistake.line().is_some_and(|line| (1..=lines).contains(&line)));
                    prop_assert!(mistake.column().is_some_and(|column| (1..=longest + 1).contains(&column)));
                    prop_assert!(!mistake.to_string().contains("the-value-of"));
                    prop_assert!(mistake.to_string().len() < 2_000, "{}", mistake);
                }
            }
        }
    }
}
