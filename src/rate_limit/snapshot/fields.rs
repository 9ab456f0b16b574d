//! The fields of a JSON object, read one by one: what is missing, of the wrong kind or left over is an error.

use serde_json::{Map, Value};

use super::problem::Wrong;
use crate::rate_limit::epoch::WallNanos;

/// The fields of an object that have not been read yet.
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads an object with `read`, which must read every field that there is.
    pub(crate) fn read<T>(
        value: Value,
        read: impl FnOnce(&mut Self) -> Result<T, Wrong>,
    ) -> Result<T, Wrong> {
        let Value::Object(map) = value else {
            return Err(expected("an object", &value));
        };
        let mut fields = Self(map);
        let result = read(&mut fields)?;
        match fields.0.keys().next() {
            Some(name) => Err(Wrong::new("no such field is known").within(name)),
            None => Ok(result),
        }
    }

    pub(crate) fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Result<T, Wrong>,
    ) -> Result<T, Wrong> {
        let value = self.optional(name, read)?;
        value.ok_or_else(|| Wrong::new("is missing").within(name))
    }

    pub(crate) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Result<T, Wrong>,
    ) -> Result<Option<T>, Wrong> {
        let read = self.0.remove(name).map(read).transpose();
        read.map_err(|wrong| wrong.within(name))
    }

    /// A list; none where there is no such field.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        read: impl Fn(Value) -> Result<T, Wrong>,
    ) -> Result<Vec<T>, Wrong> {
        let Some(value) = self.0.remove(name) else {
            return Ok(Vec::new());
        };
        let Value::Array(values) = value else {
            return Err(expected("a list", &value).within(name));
        };
        let values = values.into_iter().enumerate();
        let read = values.map(|(index, value)| {
            read(value).map_err(|wrong| wrong.within(format_args!("{name}[{index}]")))
        });
        read.collect()
    }

    /// A flag; `false` where there is no such field.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Wrong> {
        let flag = |value: Value| {
            value
                .as_bool()
                .ok_or_else(|| expected("true or false", &value))
        };
        Ok(self.optional(name, flag)?.unwrap_or_default())
    }
}

pub(crate) fn count(value: Value) -> Result<u64, Wrong> {
    let count = value.as_u64();
    count.ok_or_else(|| expected("a whole number from 0 to 18446744073709551615", &value))
}

pub(crate) fn time(value: Value) -> Result<WallNanos, Wrong> {
    let time = value.as_i64();
    time.ok_or_else(|| expected("a time in nanoseconds since 1970", &value))
}

pub(crate) fn text(value: Value) -> Result<String, Wrong> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(expected("text", &value)),
    }
}

pub(crate) fn expected(wanted: &str, found: &Value) -> Wrong {
    let found = match found {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        // A whole file may stand where a number should.
        found => found.to_string().chars().take(60).collect(),
    };
    Wrong::new(format!("expected {wanted}, found {found}"))
}
