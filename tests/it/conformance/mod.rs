//! Scripted cases on a virtual clock, played against the real layers.
//!
//! Each layer has its cases in a file beside its runner. When the environment variable `CONFORMANCE` names a folder, the
//! file of the same name in it is played as well. All times are milliseconds from the beginning of a case; a setting that
//! a case does not name is off.

mod circuit_breaker;
mod fallback;
mod rate_limit;
mod retry;

use std::{fs, io::ErrorKind, path::Path};

use serde_json::Value;

/// The cases of this file: our own, whose text is given, and those of the folder.
fn cases(file: &str, own: &str) -> Vec<Value> {
    let mut cases = parse(file, own);
    if let Some(folder) = std::env::var_os("CONFORMANCE") {
        let path = Path::new(&folder).join(file);
        match fs::read_to_string(&path) {
            Ok(text) => cases.extend(parse(&path.display().to_string(), &text)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
    cases
}

fn parse(name: &str, text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}
