//! What a table may hold. One list of fields reads it, and is what the JSON schema is made of.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::{
    reading::{Reading, Spot},
    tree::Entry,
    value::Rate,
};
use crate::money::Money;

/// A key of a table that is read into a `T`.
pub(super) struct Field<T: 'static> {
    pub(super) name: &'static str,
    /// What it is for, with its unit and default.
    pub(super) about: &'static str,
    /// The forms that its value may have.
    pub(super) forms: &'static [Form<T>],
    pub(super) is_required: bool,
}

/// What a table holds: its name in the schema, and its fields, in one list or several.
pub(super) struct Table<T: 'static>(
    pub(super) &'static str,
    pub(super) &'static [&'static [Field<T>]],
);

/// A form that a value may have, and what is done with it.
pub(super) enum Form<T: 'static> {
    /// This very word.
    Word(&'static str, fn(&mut T)),
    Flag(fn(&mut T, bool)),
    /// A whole number within these bounds.
    Count(u64, u64, fn(&mut T, u64)),
    /// A number within these bounds.
    Number(f64, f64, fn(&mut T, f64)),
    /// A time no shorter than this.
    Time(Duration, fn(&mut T, Duration)),
    Money(fn(&mut T, Money)),
    /// An amount per period, such as this one.
    Rate(&'static str, fn(&mut T, Rate, Spot)),
    /// A text; the words say which.
    Text(&'static str, fn(&mut T, &str, Spot)),
    /// One of many words; the first ones say of which kind they are.
    OneOf(&'static str, Names, fn(&mut T, &'static str)),
    /// The name of a variable of the environment.
    Variable(fn(&mut T, &str, Spot)),
    Table(&'static dyn Section<T>),
    /// One or more of these.
    List(&'static [Form<T>]),
}

/// Words that are known.
pub(super) type Names = fn() -> Vec<&'static str>;

/// A table within a table.
pub(super) trait Section<T>: Sync {
    fn read(&self, target: &mut T, at: usize, entries: &[Entry], reading: &mut Reading<'_>);
    fn schema(&self, definitions: &mut Map<String, Json>) -> Json;
    /// The keys that it cannot do without.
    fn required(&self) -> Vec<&'static str>;
    /// Whether it has such a key.
    fn knows(&self, name: &str) -> bool;
}

/// What a table is read into.
pub(super) trait Draft: Default {
    /// Where the table stands.
    fn stands_at(&mut self, _spot: Spot) {}
}

impl<T> Table<T> {
    pub(super) fn fields(&self) -> impl Iterator<Item = &'static Field<T>> + Clone + use<T> {
        self.1.iter().copied().flatten()
    }
}

impl<T> Field<T> {
    pub(super) const fn new(
        name: &'static str,
        about: &'static str,
        forms: &'static [Form<T>],
    ) -> Self {
        Self {
            name,
            about,
            forms,
            is_required: false,
        }
    }

    /// One without which the table is of no use.
    pub(super) const fn required(
        name: &'static str,
        about: &'static str,
        forms: &'static [Form<T>],
    ) -> Self {
        Self {
            name,
            about,
            forms,
            is_required: true,
        }
    }
}

/// The least number above zero.
pub(super) const ABOVE_ZERO: f64 = f64::MIN_POSITIVE;
