//! Reading a JSON document field by field: each error names the field by its path.

use std::{fmt, time::Duration};

use serde_json::{Map, Value};

/// What is wrong with a scenario, and where: `upstreams[0].limits[1].per_seconds: expected a number above 0, got "x"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScenarioError(String);

/// A value, and the path that leads to it.
#[derive(Clone, Debug)]
pub(crate) struct Field<'a> {
    path: String,
    value: &'a Value,
}

/// An object whose fields are taken out one by one, until none may be left.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    path: String,
    fields: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl ScenarioError {
    pub(crate) fn new(path: &str, what: impl fmt::Display) -> Self {
        Self(match path {
            "" => what.to_string(),
            path => format!("{path}: {what}"),
        })
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScenarioError {}

impl<'a> Field<'a> {
    /// The whole document.
    pub(crate) fn document(value: &'a Value) -> Self {
        Self {
            path: String::new(),
            value,
        }
    }

    pub(crate) fn object(&self) -> Result<Object<'a>, ScenarioError> {
        match self.value {
            Value::Object(fields) => Ok(Object {
                path: self.path.clone(),
                fields,
                known: Vec::new(),
            }),
            _ => Err(self.expected("an object")),
        }
    }

    pub(crate) fn is_object(&self) -> bool {
        self.value.is_object()
    }

    pub(crate) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    /// The elements of a list, each read by `read`.
    pub(crate) fn list<T>(
        &self,
        read: impl Fn(Field<'a>) -> Result<T, ScenarioError>,
    ) -> Result<Vec<T>, ScenarioError> {
        let Value::Array(elements) = self.value else {
            return Err(self.expected("a list"));
        };
        let elements = elements.iter().enumerate().map(|(index, value)| Field {
            path: format!("{}[{index}]", self.path),
            value,
        });
        elements.map(read).collect()
    }

    pub(crate) fn text(&self) -> Result<&'a str, ScenarioError> {
        self.value
            .as_str()
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.expected("a text"))
    }

    pub(crate) fn flag(&self) -> Result<bool, ScenarioError> {
        let flag = self.value.as_bool();
        flag.ok_or_else(|| self.expected("true or false"))
    }

    /// One of these words, and what it stands for.
    pub(crate) fn one_of<T: Clone>(&self, words: &[(&str, T)]) -> Result<T, ScenarioError> {
        let found = words
            .iter()
            .find(|(word, _)| self.value.as_str() == Some(word));
        found.map(|(_, meaning)| meaning.clone()).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.expected(&words.join(" or "))
        })
    }

    /// A whole number of at least `least`.
    pub(crate) fn whole(&self, least: u64) -> Result<u64, ScenarioError> {
        let whole = self.value.as_u64().filter(|number| *number >= least);
        whole.ok_or_else(|| self.expected(&format!("a whole number of at least {least}")))
    }

    pub(crate) fn above_zero(&self) -> Result<f64, ScenarioError> {
        self.number(|number| number > 0.0, "a number above 0")
    }

    pub(crate) fn at_least_zero(&self) -> Result<f64, ScenarioError> {
        self.number(|number| number >= 0.0, "a number of at least 0")
    }

    pub(crate) fn share(&self) -> Result<f64, ScenarioError> {
        self.number(
            |number| (0.0..=1.0).contains(&number),
            "a number from 0 to 1",
        )
    }

    /// A number that `holds`, which `wanted` says in words.
    pub(crate) fn number(
        &self,
        holds: impl Fn(f64) -> bool,
        wanted: &str,
    ) -> Result<f64, ScenarioError> {
        let number = self.value.as_f64().filter(|number| holds(*number));
        number.ok_or_else(|| self.expected(wanted))
    }

    /// A duration in seconds, above zero and up to [`LONGEST`].
    pub(crate) fn seconds(&self) -> Result<Duration, ScenarioError> {
        let seconds = self.number(
            |seconds| seconds > 0.0 && seconds <= LONGEST,
            "a number above 0",
        )?;
        Ok(Duration::from_secs_f64(seconds))
    }

    /// A duration in milliseconds, up to [`LONGEST`] seconds.
    pub(crate) fn millis(&self) -> Result<Duration, ScenarioError> {
        let is_short = |millis: f64| (0.0..=LONGEST * 1_000.0).contains(&millis);
        let millis = self.number(is_short, "a number of at least 0")?;
        Ok(Duration::from_secs_f64(millis / 1_000.0))
    }

    /// The error of a value that is not what was wanted.
    pub(crate) fn expected(&self, wanted: &str) -> ScenarioError {
        ScenarioError::new(
            &self.path,
            format!("expected {wanted}, got {}", shortened(self.value)),
        )
    }
}

impl<'a> Object<'a> {
    /// A field that may be missing.
    pub(crate) fn find(&mut self, name: &'static str) -> Option<Field<'a>> {
        self.known.push(name);
        let value = self.fields.get(name)?;
        Some(Field {
            path: self.path_of(name),
            value,
        })
    }

    pub(crate) fn need(&mut self, name: &'static str) -> Result<Field<'a>, ScenarioError> {
        self.find(name)
            .ok_or_else(|| ScenarioError::new(&self.path_of(name), "missing"))
    }

    /// What a field that may be missing says, else `default`.
    pub(crate) fn find_or<T>(
        &mut self,
        name: &'static str,
        default: T,
        read: impl FnOnce(Field<'a>) -> Result<T, ScenarioError>,
    ) -> Result<T, ScenarioError> {
        self.find(name).map_or(Ok(default), read)
    }

    /// To be called when all fields were read: what was not asked for is a mistake.
    pub(crate) fn end(self) -> Result<(), ScenarioError> {
        let unknown = self
            .fields
            .keys()
            .find(|name| !self.known.contains(&name.as_str()));
        let Some(unknown) = unknown else {
            return Ok(());
        };
        let known = self.known.join(", ");
        Err(ScenarioError::new(
            &self.path_of(unknown),
            format!("unknown field; known are {known}"),
        ))
    }

    fn path_of(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

// A year: all arithmetic on times stays far from the ends of its range.
const LONGEST: f64 = 366.0 * 86_400.0;
