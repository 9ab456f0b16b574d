//! A stack by the path of its file.

use std::{env, ffi::OsStr, fs, path::Path};

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
        let path = path.as_ref();
        let builder = StackBuilder::from_file(path, |name| env::var(name).ok())?;
        to_stack(builder).map_err(|mistakes| mistakes.of_file(path.display().to_string()))
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
        let wrong = |problem: String| Mistakes::one(Mistake::of("", problem));
        let read = || {
            let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
            match path.extension().and_then(OsStr::to_str) {
                #[cfg(feature = "toml")]
                Some("toml") => Self::from_toml(&text, variables),
                #[cfg(not(feature = "toml"))]
                Some("toml") => Err(wrong(NO_TOML.to_owned())),
                Some("yaml" | "yml") => Err(wrong(NO_YAML.to_owned())),
                _ => Self::from_json(&text, variables),
            }
        };
        read().map_err(|mistakes| mistakes.of_file(path.display().to_string()))
    }
}

const NO_YAML: &str = "expected a file in TOML or JSON, found the name of one in YAML";

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

    #[test]
    fn a_mistake_names_the_file_and_yaml_is_said_to_be_none_of_ours() {
        let folder = std::env::temp_dir();
        let file = |end: &str| {
            let name = format!("tower-upstream-path-{}.{end}", std::process::id());
            folder.join(name).display().to_string()
        };
        let (json, yaml) = (file("json"), file("yaml"));
        fs::write(&json, r#"{"retry": {"max_atempts": 5}}"#).unwrap();
        fs::write(&yaml, "retry:\n").unwrap();
        let (of_json, of_yaml) = (read(&json).unwrap_err(), read(&yaml).unwrap_err());
        for name in [&json, &yaml] {
            fs::remove_file(name).unwrap();
        }
        assert!(
            of_json.starts_with(&format!("{json}: line 1, column 12: ")),
            "{of_json}"
        );
        assert!(
            of_yaml.starts_with(&format!("{yaml}: expected a file in TOML or JSON")),
            "{of_yaml}"
        );
    }
}
