//! What would be accepted, in words.

use super::field::{ABOVE_ZERO, Form};

/// `a`, `b` and `c`.
pub(super) fn list(names: &[&str], last: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    join(&quoted, last)
}

fn join(parts: &[String], last: &str) -> String {
    // Where a part has a comma of its own, each of them gets its word.
    let comma = match parts.iter().any(|part| part.contains(", ")) {
        true => format!(", {last} "),
        false => ", ".into(),
    };
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., end] if comma == ", " => format!("{} {last} {end}", first.join(", ")),
        _ => parts.join(&comma),
    }
}

pub(super) fn expected<T>(forms: &[Form<T>], table: &str) -> String {
    let mut parts: Vec<String> = forms.iter().map(|form| form.expected(table)).collect();
    parts.dedup();
    join(&parts, "or")
}

impl<T> Form<T> {
    /// What it wants.
    fn expected(&self, table: &str) -> String {
        match self {
            Self::Word(word, _) => format!("\"{word}\""),
            Self::Flag(_) => "true or false".into(),
            Self::Count(least, most, _) if *most >= u64::from(u32::MAX) => {
                format!("a whole number of at least {least}")
            }
            Self::Count(least, most, _) => format!("a whole number from {least} to {most}"),
            Self::Number(least, most, _) => match (*least == ABOVE_ZERO, *most == f64::MAX) {
                (true, true) => "a number above 0".into(),
                (true, false) => format!("a number above 0 and up to {most:?}"),
                (false, true) => format!("a number of at least {least:?}"),
                (false, false) => format!("a number from {least:?} to {most:?}"),
            },
            Self::Time(least, _) => {
                let above = if least.is_zero() { "" } else { " above zero" };
                format!("a time{above} with its unit, such as \"30s\"")
            }
            Self::Money(_) => "an amount of money, such as 0.15".into(),
            Self::Rate(such_as, _) => format!("an amount per period, such as \"{such_as}\""),
            Self::Text(what, _) => (*what).into(),
            Self::OneOf(what, names, _) => match names() {
                names if names.len() > MOST_NAMES => (*what).into(),
                names => {
                    let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
                    join(&names, "or")
                }
            },
            Self::Variable(_) => {
                "the name of an environment variable in capitals, such as \"OPENAI_API_KEY\"".into()
            }
            Self::Table(section) => match &*section.required() {
                [] => table.into(),
                keys => format!("{table} with {}", list(keys, "and")),
            },
            Self::List(_) => "a list".into(),
        }
    }
}

/// More of them are no help in a message.
const MOST_NAMES: usize = 12;
