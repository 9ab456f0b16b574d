//! TOML as a tree with places.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    mistake::Mistake,
    tree::{Entry, Node, Value},
};

/// The root of a file, or everything that is wrong with its grammar.
pub(super) fn parse(text: &str) -> Result<Node, Vec<Mistake>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let value = table(root.get_ref());
        return Ok(Node { at: 0, value });
    }
    let mistakes = errors.iter().map(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Mistake::at(text, at, error.message())
    });
    Err(mistakes.collect())
}

fn table(table: &DeTable<'_>) -> Value {
    let entries = table.iter().map(|(name, value)| Entry {
        at: name.span().start,
        name: name.get_ref().to_string(),
        node: node(value),
    });
    let mut entries: Vec<Entry> = entries.collect();
    entries.sort_by_key(|entry| entry.at);
    Value::Table(entries)
}

fn node(value: &Spanned<DeValue<'_>>) -> Node {
    Node {
        at: value.span().start,
        value: match value.get_ref() {
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Float(number) => Value::Number(number.as_str().to_owned()),
            DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix())
            {
                Ok(number) => Value::Number(number.to_string()),
                Err(_) => Value::Other("a number beyond all bounds"),
            },
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(values) => Value::List(values.iter().map(node).collect()),
            DeValue::Table(entries) => table(entries),
        },
    }
}
