//! Reads a table by its fields.

use super::{
    expected::{expected, list},
    field::{Field, Form, Table},
    nearest::nearest,
    reading::Reading,
    tree::{Entry, Node, Value},
    value::{self, Decimal, Hint},
};

/// Reads a table: every entry by its field.
pub(super) fn read_table<T>(
    target: &mut T,
    table: &Table<T>,
    at: usize,
    entries: &[Entry],
    reading: &mut Reading<'_>,
) {
    let fields = || table.fields();
    for entry in entries {
        let field = fields().find(|field| field.name == entry.name);
        reading.within_key(&entry.name, |reading| {
            reading.key_stands_at(entry.at);
            match field {
                Some(field) => read_value(target, field.forms, &entry.node, reading),
                None => reading.wrong(entry.at, unknown(&entry.name, fields())),
            }
        });
    }
    for field in fields().filter(|field| field.is_required) {
        if !entries.iter().any(|entry| entry.name == field.name) {
            let expected = expected(field.forms, reading.table());
            reading.within_key(field.name, |reading| {
                reading.wrong(at, format!("is missing; expected {expected}"));
            });
        }
    }
}

fn read_value<T>(target: &mut T, forms: &[Form<T>], node: &Node, reading: &mut Reading<'_>) {
    let mut hint = None;
    for form in forms {
        match form.read(target, node, reading) {
            Ok(()) => return,
            Err(other) => hint = hint.or(other),
        }
    }
    let expected = expected(forms, reading.table());
    let hint = hint.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
    let found = match forms {
        // A key where the name of a variable belongs: nothing of it is repeated, whatever it looks like.
        [Form::Variable(_)] if matches!(node.value, Value::Text(_)) => {
            "something else that is not repeated here".into()
        }
        _ => reading.show(node),
    };
    reading.wrong(node.at, format!("expected {expected}, found {found}{hint}"));
}

fn unknown<'a, T: 'static>(
    name: &str,
    fields: impl Iterator<Item = &'a Field<T>> + Clone,
) -> String {
    let known: Vec<&str> = fields.clone().map(|field| field.name).collect();
    if let Some(near) = nearest(name, known.iter().copied()) {
        return format!("no such key is known; did you mean `{near}`?");
    }
    if SECRETS.contains(&name.to_ascii_lowercase().as_str()) {
        return SECRET_IN_FILE.into();
    }
    // It may have been meant for a table that stands here.
    let mut tables = fields.filter(|field| field.forms.iter().any(|form| form.knows(name)));
    match tables.next() {
        Some(table) => format!(
            "no such key is known; did you mean `{}.{name}`?",
            table.name
        ),
        None => {
            let verb = if known.len() == 1 { "is" } else { "are" };
            format!("no such key is known; there {verb} {}", list(&known, "and"))
        }
    }
}

impl<T> Form<T> {
    /// Whether this is a table with such a key.
    fn knows(&self, name: &str) -> bool {
        matches!(self, Self::Table(section) if section.knows(name))
    }

    /// Reads a value that has this form; else what may have been meant, where that is near.
    fn read(&self, target: &mut T, node: &Node, reading: &mut Reading<'_>) -> Result<(), Hint> {
        match (self, &node.value) {
            (Self::Word(word, set), Value::Text(text)) => match text == word {
                true => set(target),
                false => return Err(nearest(text, [*word])),
            },
            (Self::Flag(set), Value::Flag(flag)) => set(target, *flag),
            (Self::Count(least, most, set), Value::Number(digits)) => {
                let count = digits.parse().map_err(|_| None)?;
                match (*least..=*most).contains(&count) {
                    true => set(target, count),
                    false => return Err(None),
                }
            }
            (Self::Number(least, most, set), Value::Number(digits)) => {
                let number: f64 = digits.parse().map_err(|_| None)?;
                match (*least..=*most).contains(&number) {
                    true => set(target, number),
                    false => return Err(None),
                }
            }
            (Self::Time(least, set), Value::Text(text)) => match value::time(text)? {
                time if time >= *least => set(target, time),
                _ => return Err(None),
            },
            (Self::Money(set), Value::Number(text) | Value::Text(text)) => {
                let money = Decimal::parse(text).and_then(Decimal::money);
                set(target, money.ok_or(None)?);
            }
            (Self::Rate(_, set), Value::Text(text)) => {
                set(target, value::rate(text)?, reading.spot(node.at));
            }
            (Self::Text(_, set), Value::Text(text)) if !text.trim().is_empty() => {
                set(target, text, reading.spot(node.at));
            }
            (Self::OneOf(_, names, set), Value::Text(text)) => {
                let names = names();
                match names.iter().find(|name| *name == text) {
                    Some(name) => set(target, name),
                    None => return Err(nearest(text, names)),
                }
            }
            (Self::Variable(set), Value::Text(text)) if is_variable(text) => {
                set(target, text, reading.spot(node.at));
            }
            (Self::Table(section), Value::Table(entries)) => {
                section.read(target, node.at, entries, reading);
            }
            (Self::List(_), Value::List(nodes)) if nodes.is_empty() => {
                reading.wrong(node.at, "expected at least one item, found an empty list");
            }
            (Self::List(forms), Value::List(nodes)) => {
                for (index, node) in nodes.iter().enumerate() {
                    reading.within_item(index, |reading| read_value(target, forms, node, reading));
                }
            }
            _ => return Err(None),
        }
        Ok(())
    }
}

/// Capitals, so that a key does not pass for the name of a variable.
fn is_variable(text: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit();
    let begins = |byte: &u8| !byte.is_ascii_digit();
    text.len() <= 128 && text.as_bytes().first().is_some_and(begins) && text.bytes().all(is_of_name)
}

const SECRET_IN_FILE: &str = "a secret does not belong in a file: give `key_env` of the provider the name of the variable that \
     holds it, such as \"OPENAI_API_KEY\"";

/// What people call keys of which the value must not be in a file.
const SECRETS: [&str; 10] = [
    "key",
    "api_key",
    "apikey",
    "api-key",
    "token",
    "secret",
    "password",
    "authorization",
    "bearer",
    "credentials",
];
