//! Which file of a crate takes something from which other file, read from the source without a compiler.
//!
//! An import leads to the file that defines the thing, not to a `mod.rs` on the way that only re-exports it. What is
//! compiled for tests alone is left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::tokens::{Token, tokens};

/// The text of each file, by its path below `src`.
pub(super) type Sources = BTreeMap<String, String>;

/// A file takes something from another one.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) from: String,
    pub(super) to: String,
    line: usize,
    path: Path,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.join("::");
        write!(
            f,
            "src/{}:{}: `{path}` leads to src/{}",
            self.from, self.line, self.to
        )
    }
}

/// The first place where each file takes something from each other file.
pub(super) fn imports(sources: &Sources) -> Vec<Import> {
    let tree = Tree::read(sources);
    let mut seen = BTreeSet::new();
    let mut imports = Vec::new();
    for (place, module) in &tree.modules {
        for mention in &module.mentions {
            let target = tree.resolve(place, &mention.path, mention.is_use);
            let Some(to) = target.map(|target| &tree.modules[target].file) else {
                continue;
            };
            if *to != module.file && seen.insert((&module.file, to)) {
                imports.push(Import {
                    from: module.file.clone(),
                    to: to.clone(),
                    line: mention.line,
                    path: mention.path.clone(),
                });
            }
        }
    }
    imports
}

/// Every module by its path from the root, those inside of a file too.
#[derive(Default)]
struct Tree {
    modules: BTreeMap<Path, Module>,
}

type Path = Vec<String>;

#[derive(Default)]
struct Module {
    file: String,
    mentions: Vec<Mention>,
    /// What each `use` brings, and the path that the name stands for.
    names: BTreeMap<String, Path>,
}

struct Mention {
    path: Path,
    line: usize,
    is_use: bool,
}

impl Tree {
    fn read(sources: &Sources) -> Self {
        let mut tree = Self::default();
        let mut to_read = vec![(Path::new(), "lib.rs".to_owned())];
        while let Some((place, file)) = to_read.pop() {
            for declared in tree.read_file(place, &file, &tokens(&sources[&file])) {
                let path = declared.join("/");
                let file = [format!("{path}.rs"), format!("{path}/mod.rs")]
                    .into_iter()
                    .find(|file| sources.contains_key(file))
                    .unwrap_or_else(|| panic!("there is no file for the module {path}"));
                to_read.push((declared, file));
            }
        }
        tree
    }

    /// Enters the modules of a file and gives back those that it declares in files of their own.
    fn read_file(&mut self, place: Path, file: &str, tokens: &[Token<'_>]) -> Vec<Path> {
        let mut declared = Vec::new();
        let mut here = place;
        let mut depth = 0;
        let mut depths_of_inner_modules = Vec::new();
        self.module(&here, file);
        let mut rest = tokens;
        while let [token, after @ ..] = rest {
            rest = after;
            match (token.text, after) {
                ("mod", [name, Token { text: ";", .. }, ..]) => {
                    declared.push(child(&here, name.text));
                }
                ("mod", [name, Token { text: "{", .. }, ..]) => {
                    depths_of_inner_modules.push(depth);
                    here = child(&here, name.text);
                }
                ("{", _) => depth += 1,
                ("}", _) => {
                    depth -= 1;
                    if depths_of_inner_modules.last() == Some(&depth) {
                        depths_of_inner_modules.pop();
                        here.pop();
                    }
                }
                // A bound such as `use<'a>` brings no name.
                ("use", [Token { text: "<", .. }, ..]) => {}
                ("use", _) => rest = read_use(after, &[], self.module(&here, file)),
                _ if token.is_name() => {
                    let (path, after) = read_path(token, after);
                    rest = after;
                    if path.len() > 1 {
                        let (line, is_use) = (token.line, false);
                        let mention = Mention { path, line, is_use };
                        self.module(&here, file).mentions.push(mention);
                    }
                }
                _ => {}
            }
        }
        declared
    }

    fn module(&mut self, place: &Path, file: &str) -> &mut Module {
        let module = self.modules.entry(place.clone()).or_default();
        module.file = file.to_owned();
        module
    }

    /// The module that defines what a path means in this place; none for what another crate defines.
    fn resolve(&self, here: &Path, path: &[String], is_use: bool) -> Option<&Path> {
        let (mut place, module) = self.modules.get_key_value(here)?;
        let (first, after) = path.split_first()?;
        let mut rest = path;
        match first.as_str() {
            "crate" => (place, rest) = (self.modules.keys().next()?, after),
            "self" => rest = after,
            "super" => {}
            name if self.modules.contains_key(&child(place, name)) => {}
            // A `use` does not begin with what another `use` brought: `use http::{self, Request}` would never end.
            name if !is_use && module.names.contains_key(name) => {
                place = self.resolve(place, &module.names[name], true)?;
                rest = after;
            }
            _ => return None,
        }
        for name in rest {
            if name == "super" {
                let parent = place.split_last()?.1;
                (place, _) = self.modules.get_key_value(parent)?;
            } else if let Some((child, _)) = self.modules.get_key_value(&child(place, name)) {
                place = child;
            } else if let Some(path) = self.modules[place].names.get(name) {
                // What comes from another crate counts as defined where it is re-exported.
                place = self.resolve(place, path, true).unwrap_or(place);
            } else {
                break;
            }
        }
        Some(place)
    }
}

/// Reads one branch of a `use` into the module, and gives back what follows it.
fn read_use<'a, 'b>(
    tokens: &'b [Token<'a>],
    trunk: &[String],
    module: &mut Module,
) -> &'b [Token<'a>] {
    let mut path = trunk.to_vec();
    let mut name = None;
    let mut line = 0;
    let mut rest = tokens;
    while let [token, after @ ..] = rest {
        match token.text {
            "{" => {
                rest = after;
                while let [token, after @ ..] = rest {
                    rest = match token.text {
                        "}" => return after,
                        "," => after,
                        _ => read_use(rest, &path, module),
                    };
                }
                return rest;
            }
            "," | "}" | ";" => break,
            "as" => {
                name = after.first().map(|alias| alias.text.to_owned());
                rest = after.get(1..).unwrap_or_default();
                break;
            }
            "::" => {}
            "*" => name = None,
            "self" if !path.is_empty() => name = path.last().cloned(),
            word => {
                path.push(word.to_owned());
                name = Some(word.to_owned());
            }
        }
        line = token.line;
        rest = after;
    }
    if let Some(name) = name {
        module.names.insert(name, path.clone());
    }
    let is_use = true;
    module.mentions.push(Mention { path, line, is_use });
    rest
}

/// The path that begins with this name, and what follows it.
fn read_path<'a, 'b>(first: &Token<'a>, tokens: &'b [Token<'a>]) -> (Path, &'b [Token<'a>]) {
    let mut path = vec![first.text.to_owned()];
    let mut rest = tokens;
    while let [Token { text: "::", .. }, name, after @ ..] = rest
        && name.is_name()
    {
        path.push(name.text.to_owned());
        rest = after;
    }
    (path, rest)
}

fn child(place: &[String], name: &str) -> Path {
    [place, &[name.to_owned()]].concat()
}

#[test]
fn an_import_leads_to_the_file_that_defines_the_thing() {
    let sources = [
        ("lib.rs", "mod a; mod b; mod c;"),
        (
            "a/mod.rs",
            "mod deep;\npub use deep::{Deep, Other as Known};",
        ),
        ("a/deep.rs", "pub struct Deep; pub struct Other;"),
        ("b.rs", "use crate::a::{\n    Deep,\n};\nuse http::Uri;"),
        (
            "c.rs",
            "use crate::b;\nfn f() { super::a::Known::new(b::g()) }",
        ),
    ];
    assert_eq!(
        arrows(&sources),
        [
            "a/mod.rs:2 a/deep.rs",
            "b.rs:2 a/deep.rs",
            "c.rs:1 b.rs",
            "c.rs:2 a/deep.rs"
        ]
    );
}

#[test]
fn what_is_named_without_a_use_is_an_import_too() {
    let sources = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "pub(crate) mod part;\nfn f() -> u8 { part::ONE }"),
        ("a/part.rs", "pub const ONE: u8 = super::super::b::TWO / 2;"),
        ("b.rs", "pub const TWO: u8 = 2; pub use http::Uri;"),
    ];
    assert_eq!(arrows(&sources), ["a.rs:2 a/part.rs", "a/part.rs:1 b.rs"]);
}

#[test]
fn what_an_inner_module_takes_counts_for_its_file() {
    let sources = [
        ("lib.rs", "mod a; mod b;"),
        (
            "a.rs",
            "struct Own;\nmod inner {\n    use super::{Own, super::b::*};\n}\nuse self::inner::Thing;",
        ),
        ("b.rs", "pub struct Thing;"),
    ];
    assert_eq!(arrows(&sources), ["a.rs:3 b.rs"]);
}

#[test]
fn comments_texts_tests_and_other_crates_are_no_imports() {
    let a = r##"
        //! [`crate::b::Thing`]
        use http::{self, Request};
        /* crate::b::C /* nested */ crate::b::C */
        const TEXTS: (&str, &str) = ("crate::b::C \" crate::b::C", r#"" crate::b::C "#);
        const QUOTES: [char; 3] = ['"', '\'', '"'];
        fn f<'a>(b: &'a http::Uri) -> impl Fn() -> http::Uri + use<'a> { b::<'a>() }
        #[cfg(test)]
        mod tests { use crate::b::Thing; }
        #[cfg(test)]
        mod more;
        #[cfg(test)]
        use crate::{b::Thing};
    "##;
    let sources = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", a),
        ("b.rs", "pub struct Thing;"),
    ];
    assert_eq!(arrows(&sources), [""; 0]);
}

fn arrows(sources: &[(&str, &str)]) -> Vec<String> {
    let sources = sources
        .iter()
        .map(|&(file, text)| (file.into(), text.into()));
    imports(&sources.collect())
        .iter()
        .map(|import| format!("{}:{} {}", import.from, import.line, import.to))
        .collect()
}
