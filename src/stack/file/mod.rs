//! A stack from a file: TOML or JSON, read into one tree, and the tree by one table of fields.

mod assemble;
mod expected;
mod field;
mod json;
mod mistake;
pub(super) mod nearest;
mod path;
mod providers;
mod read;
mod reading;
mod schema;
mod section;
mod sections;
pub(super) mod show;
#[cfg(feature = "toml")]
mod toml;
mod tree;
mod value;

pub use mistake::{Mistake, Mistakes};

use std::env;

use assemble::assemble;
use read::read_table;
use reading::Reading;
use schema::schema_of;
use sections::{STACK, StackDraft};
use tree::{Node, Value};

use super::{builder::StackBuilder, handle::Stack};

impl Stack {
    /// The stack that a TOML file describes; keys are read from the variables of the environment that it names. See
    /// [From a file](super#from-a-file). Needs the feature `toml`.
    ///
    /// ```
    /// use tower_upstream::Stack;
    ///
    /// # fn main() -> Result<(), tower_upstream::stack::Mistakes> {
    /// let stack = Stack::from_toml(
    ///     r#"
    ///     [[upstreams]]
    ///     provider = "ollama"
    ///     models = ["llama3.2"]
    ///     quota.max_concurrent = 2
    ///     "#,
    /// )?;
    /// println!("{}", stack.explain());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the file, each with its place.
    #[cfg(feature = "toml")]
    pub fn from_toml(text: &str) -> Result<Self, Mistakes> {
        let builder = StackBuilder::from_toml(text, |name| env::var(name).ok())?;
        to_stack(builder)
    }

    /// The stack that a JSON file describes; keys are read from the variables of the environment that it names. See
    /// [From a file](super#from-a-file).
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the file, each with its place.
    pub fn from_json(text: &str) -> Result<Self, Mistakes> {
        let builder = StackBuilder::from_json(text, |name| env::var(name).ok())?;
        to_stack(builder)
    }

    /// The JSON schema of the format, for editors: the same for both formats.
    pub fn json_schema() -> String {
        let mut schema = schema_of(&STACK);
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        schema["title"] = "A tower-upstream stack".into();
        format!("{schema:#}\n")
    }
}

impl StackBuilder {
    /// What a TOML file describes, to be built with a clock, an observer or handles of yours. `variables` gives the value of a
    /// variable that holds a key. Needs the feature `toml`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the file, each with its place.
    #[cfg(feature = "toml")]
    pub fn from_toml(
        text: &str,
        variables: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Mistakes> {
        of_tree(text, toml::parse(text), "a table", &variables)
    }

    /// What a JSON file describes, to be built with a clock, an observer or handles of yours. `variables` gives the value of a
    /// variable that holds a key.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the file, each with its place.
    pub fn from_json(
        text: &str,
        variables: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Mistakes> {
        of_tree(text, json::parse(text), "an object", &variables)
    }
}

fn of_tree(
    text: &str,
    root: Result<Node, Vec<Mistake>>,
    table: &'static str,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<StackBuilder, Mistakes> {
    let mut reading = Reading::new(text, table);
    let mut draft = StackDraft::default();
    match root {
        Err(mistakes) => return mistakes_or(mistakes, Stack::builder()),
        Ok(Node {
            value: Value::Table(entries),
            at,
        }) => {
            read_table(&mut draft, &STACK, at, &entries, &mut reading);
        }
        Ok(node) => {
            let found = reading.show(&node);
            reading.wrong(node.at, format!("expected {table}, found {found}"));
        }
    }
    let builder = assemble(draft, variables, &mut reading);
    mistakes_or(reading.into_mistakes(), builder)
}

fn mistakes_or(mistakes: Vec<Mistake>, builder: StackBuilder) -> Result<StackBuilder, Mistakes> {
    Mistakes::new(mistakes).map_or(Ok(builder), Err)
}

/// What is wrong by itself has been found by now; what remains has to do with the whole.
pub(super) fn to_stack(builder: StackBuilder) -> Result<Stack, Mistakes> {
    builder.build().map_err(|error| {
        let (expected, found) = (error.expected(), error.value());
        let problem = format!("expected {expected}, found {found}");
        Mistakes::one(Mistake::of(error.setting(), problem))
    })
}
