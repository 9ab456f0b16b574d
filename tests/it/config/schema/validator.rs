//! As much of JSON Schema as the schema uses; a keyword that is not known here fails the test.

use regex_lite::Regex;
use serde_json::Value;

/// Whether the schema admits the value; else where it does not, and why.
pub(super) fn check(root: &Value, value: &Value) -> Result<(), String> {
    Checked { root }.check(root, value)
}

struct Checked<'a> {
    root: &'a Value,
}

impl Checked<'_> {
    fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let schema = schema.as_object().expect("a schema is an object");
        for (keyword, wanted) in schema {
            let is_met = match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" | "properties" => true,
                "$ref" => {
                    let pointer = text(wanted).trim_start_matches('#');
                    self.check(self.root.pointer(pointer).expect("a definition"), value)?;
                    true
                }
                "type" => types(wanted).any(|name| is_of_type(value, name)),
                "const" => value == wanted,
                "enum" => items(wanted).contains(value),
                "anyOf" => items(wanted)
                    .iter()
                    .any(|schema| self.check(schema, value).is_ok()),
                "minimum" => number(value).is_none_or(|number| number >= bound(wanted)),
                "exclusiveMinimum" => number(value).is_none_or(|number| number > bound(wanted)),
                "maximum" => number(value).is_none_or(|number| number <= bound(wanted)),
                "minItems" => value
                    .as_array()
                    .is_none_or(|items| items.len() as f64 >= bound(wanted)),
                "pattern" => {
                    let pattern = Regex::new(text(wanted)).expect("a pattern");
                    value.as_str().is_none_or(|text| pattern.is_match(text))
                }
                "required" => value.as_object().is_none_or(|fields| {
                    items(wanted)
                        .iter()
                        .all(|name| fields.contains_key(text(name)))
                }),
                "items" => {
                    value
                        .as_array()
                        .into_iter()
                        .flatten()
                        .try_for_each(|item| self.check(wanted, item))?;
                    true
                }
                "propertyNames" => {
                    let names = value.as_object().into_iter().flatten();
                    names
                        .map(|(name, _)| Value::from(name.as_str()))
                        .all(|name| self.check(wanted, &name).is_ok())
                }
                "additionalProperties" => {
                    for (name, value) in value.as_object().into_iter().flatten() {
                        match (
                            schema.get("properties").and_then(|known| known.get(name)),
                            wanted,
                        ) {
                            (Some(schema), _) => self.check(schema, value)?,
                            (None, Value::Bool(false)) => {
                                return Err(format!("{name} is not known"));
                            }
                            (None, schema) => self.check(schema, value)?,
                        }
                    }
                    true
                }
                other => panic!("{other} is no keyword that this test knows"),
            };
            if !is_met {
                return Err(format!("{keyword} {wanted} does not admit {value}"));
            }
        }
        Ok(())
    }
}

fn types(wanted: &Value) -> impl Iterator<Item = &str> {
    let several = wanted.as_array().into_iter().flatten();
    several
        .chain(wanted.is_string().then_some(wanted))
        .filter_map(Value::as_str)
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        other => panic!("{other} is no type"),
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

fn bound(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
