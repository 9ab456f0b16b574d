//! The JSON schema of a table.

use serde_json::{Map, Value as Json, json};

use super::field::{ABOVE_ZERO, Form, Table};

/// The schema of the table that a file is. Tables in it stand among the definitions, once each.
pub(super) fn schema_of<T>(table: &Table<T>) -> Json {
    let mut definitions = Map::new();
    let mut schema = of_table(table, &mut definitions);
    schema["$defs"] = definitions.into();
    schema
}

/// A reference to a table, which is defined if it is not yet.
pub(super) fn refer_to<T>(table: &Table<T>, definitions: &mut Map<String, Json>) -> Json {
    let name = table.0;
    if !definitions.contains_key(name) {
        // The place is taken first, for a table may hold itself.
        definitions.insert(name.to_owned(), Json::Null);
        let schema = of_table(table, definitions);
        definitions.insert(name.to_owned(), schema);
    }
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn of_table<T>(table: &Table<T>, definitions: &mut Map<String, Json>) -> Json {
    let mut properties = Map::new();
    for field in table.fields() {
        let mut schema = any_of(field.forms, definitions);
        schema["description"] = field.about.into();
        properties.insert(field.name.to_owned(), schema);
    }
    let required = table.fields().filter(|field| field.is_required);
    let required: Vec<&str> = required.map(|field| field.name).collect();
    let mut schema =
        json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

fn any_of<T>(forms: &[Form<T>], definitions: &mut Map<String, Json>) -> Json {
    match forms {
        [form] => form.schema(definitions),
        _ => {
            let forms = forms.iter().map(|form| form.schema(definitions));
            json!({ "anyOf": forms.collect::<Vec<_>>() })
        }
    }
}

impl<T> Form<T> {
    fn schema(&self, definitions: &mut Map<String, Json>) -> Json {
        match self {
            Self::Word(word, _) => json!({ "const": word }),
            Self::Flag(_) => json!({ "type": "boolean" }),
            Self::Count(least, most, _) => match *most >= u64::from(u32::MAX) {
                true => json!({ "type": "integer", "minimum": least }),
                false => json!({ "type": "integer", "minimum": least, "maximum": most }),
            },
            Self::Number(least, most, _) => {
                let mut schema = json!({ "type": "number" });
                match *least == ABOVE_ZERO {
                    true => schema["exclusiveMinimum"] = 0.into(),
                    false => schema["minimum"] = (*least).into(),
                }
                if *most < f64::MAX {
                    schema["maximum"] = (*most).into();
                }
                schema
            }
            Self::Time(..) => json!({ "type": "string", "pattern": TIME_PATTERN }),
            Self::Money(_) => {
                json!({ "type": ["number", "string"], "minimum": 0, "pattern": "^[0-9_]+(\\.[0-9_]+)?$" })
            }
            Self::Rate(..) => {
                json!({ "type": "string", "pattern": "^\\s*[0-9_]+(\\.[0-9_]+)?\\s*/.+$" })
            }
            Self::Text(..) => json!({ "type": "string", "pattern": "\\S" }),
            Self::OneOf(_, names, _) => json!({ "enum": names() }),
            Self::Variable(_) => json!({ "type": "string", "pattern": "^[A-Z_][A-Z0-9_]*$" }),
            Self::Table(section) => section.schema(definitions),
            Self::List(forms) => {
                json!({ "type": "array", "items": any_of(forms, definitions), "minItems": 1 })
            }
        }
    }
}

const TIME_PATTERN: &str = "^\\s*([0-9_]+(\\.[0-9_]+)?\\s*[a-zµ]+\\s*)+$";
