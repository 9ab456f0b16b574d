//! A stack by the path of its file.

use std::{env, fs, path::Path};

use super::{Mistake, Mistakes, to_stack};
use crate::stack::{builder::StackBuilder, handle::Stack};

impl Stack {
    /// The stack that the file at this path describes: TOML where its name ends in `.toml`, which needs the feature `toml`, else
    /// JSON. Keys are read from the variables of the environment that it names. See [From a file](crate::stack#from-a-file).
    ///
    /// # Errors
    ///
    /// That the file cannot be read, or everything that is wrong with it, each with its place.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Mistakes> {
        to_stack(StackBuilder::from_file(path, |name| env::var(name).ok())?)
    }
}

impl StackBuilder {
    /// What the file at this path describes, to be built with a clock, an observer or handles of yours: TOML where its name ends
    /// in `.toml`, which needs the feature `toml`, else JSON. `variables` gives the value of a variable that holds a key.
    ///
    /// ```no_run
    /// use tower_upstream::stack::StackBuilder;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let stack = StackBuilder::from_file("stack.json", |name| std::env::var(name).ok())?.without_stats().build()?;
    /// # let _ = stack;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// That the file cannot be read, or everything that is wrong with it, each with its place.
    pub fn from_file(
        path: impl AsRef<Path>,
        variables: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Mistakes> {
        let path = path.as_ref();
        let wrong = |problem| Mistakes::one(Mistake::of(path.display().to_string(), problem));
        let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        match path.extension().is_some_and(|it| it == "toml") {
            #[cfg(feature = "toml")]
            true => Self::from_toml(&text, variables),
            #[cfg(not(feature = "toml"))]
            true => Err(wrong(NO_TOML.to_owned())),
            false => Self::from_json(&text, variables),
        }
    }
}

#[cfg(not(feature = "toml"))]
const NO_TOML: &str = "TOML needs a build with the feature `toml`; a file in JSON needs no feature";

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(name: &str) -> String {
        format!("{}/examples/configs/{name}", env!("CARGO_MANIFEST_DIR"))
    }

    fn read(path: &str) -> Result<Stack, String> {
        let key = |_: &str| Some("of-nobody".to_owned());
        let builder = StackBuilder::from_file(path, key).map_err(|error| error.to_string())?;
        builder.build().map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_is_read_by_the_end_of_its_name() {
        let json = read(&examples("c-fallback.json")).unwrap();
        assert!(!json.upstreams().is_empty());
        let toml = read(&examples("c-fallback.toml"));
        match cfg!(feature = "toml") {
            true => assert_eq!(toml.unwrap().upstreams(), json.upstreams()),
            false => assert!(toml.unwrap_err().contains("feature `toml`")),
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let path = examples("none.json");
        assert!(read(&path).unwrap_err().starts_with(&path));
        assert!(Stack::from_file(&path).is_err());
    }
}
