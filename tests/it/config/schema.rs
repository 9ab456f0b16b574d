//! The JSON schema: the file in the repository is the one of the code, admits the examples, and knows the keys that the reader
//! knows.

mod validator;

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;
use tower_upstream::{Stack, stack::StackBuilder};

use super::{any_key, understood::EVERYTHING};
use validator::check;

fn schema() -> Value {
    serde_json::from_str(&Stack::json_schema()).expect("JSON")
}

fn everything() -> Value {
    serde_json::from_str(EVERYTHING).expect("JSON")
}

#[test]
fn the_schema_in_the_repository_is_the_one_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/configs/schema.json");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, Stack::json_schema()).unwrap();
    }
    let is_same = fs::read_to_string(&path).unwrap() == Stack::json_schema();
    assert!(
        is_same,
        "write it anew: UPDATE=1 cargo test --test it config::schema"
    );
}

#[test]
fn it_admits_the_examples_and_a_file_with_every_key() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/configs");
    let mut admitted = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let file: Value = match path.extension().and_then(|end| end.to_str()) {
            Some("toml") => toml::from_str(&text).unwrap(),
            _ if path.ends_with("schema.json") => continue,
            _ => serde_json::from_str(&text).unwrap(),
        };
        assert_eq!(check(&schema(), &file), Ok(()), "{}", path.display());
        admitted += 1;
    }
    assert!(admitted >= 6);
    assert_eq!(check(&schema(), &everything()), Ok(()));
}

/// Every key of the schema stands in the file that the reader understands in full.
#[test]
fn every_key_that_it_knows_is_known_to_the_reader() {
    let mut known = BTreeSet::new();
    collect_keys(&schema(), &mut known);
    let mut used = BTreeSet::new();
    collect_names(&everything(), &mut used);
    // These have no place beside the others.
    used.extend(["share", "reserve"].map(str::to_owned));
    let unused: Vec<_> = known.difference(&used).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// The names of the keys of all tables, without where they stand.
fn collect_keys(schema: &Value, keys: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            fields
                .values()
                .for_each(|schema| collect_keys(schema, keys));
        }
        Value::Array(schemas) => schemas.iter().for_each(|schema| collect_keys(schema, keys)),
        _ => {}
    }
}

fn collect_names(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            names.extend(fields.keys().cloned());
            fields
                .values()
                .for_each(|value| collect_names(value, names));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_names(value, names)),
        _ => {}
    }
}

/// Each key in turn gets another name, each value another kind: both refuse it, at every place.
#[test]
fn what_one_refuses_the_other_refuses() {
    let mut refused = 0;
    for pointer in pointers(&everything(), String::new()) {
        // Under these, names are free.
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let is_free = ["/providers", "/rate_limit/quotas"].contains(&parent);
        let mut renamed = everything();
        if let Some(Value::Object(fields)) = renamed.pointer_mut(parent)
            && !is_free
        {
            let value = fields.remove(name).unwrap();
            fields.insert("unheard-of".into(), value);
            assert_refused(&renamed, &pointer);
            refused += 1;
        }
        let mut other = everything();
        *other.pointer_mut(&pointer).unwrap() = Value::Null;
        assert_refused(&other, &pointer);
        refused += 1;
    }
    assert!(refused > 150, "{refused}");
}

fn assert_refused(file: &Value, pointer: &str) {
    let by_reader = StackBuilder::from_json(&file.to_string(), any_key).is_err();
    let by_schema = check(&schema(), file).is_err();
    assert!(
        by_reader && by_schema,
        "{pointer}: reader {by_reader}, schema {by_schema}"
    );
}

/// The places of all values.
fn pointers(value: &Value, at: String) -> Vec<String> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            let fields = fields.iter();
            fields
                .map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value))
                .collect()
        }
        Value::Array(values) => {
            let values = values.iter().enumerate();
            values
                .map(|(index, value)| (index.to_string(), value))
                .collect()
        }
        _ => Vec::new(),
    };
    let deeper = inner.into_iter().flat_map(|(step, value)| {
        let at = format!("{at}/{step}");
        let mut all = vec![at.clone()];
        all.extend(pointers(value, at));
        all
    });
    deeper.collect()
}
