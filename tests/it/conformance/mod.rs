//! Scripted cases, played against the layers: the project's own, and those in the folder that the environment variable
//! `CONFORMANCE` names.

mod fallback;

use std::{env, fs, path::Path};

use serde_json::Value;

/// The project's own cases, and those of the file with this name in the folder, where it has one.
fn cases(own: &str, file: &str) -> Vec<Value> {
    let folder = env::var_os("CONFORMANCE").map(|folder| Path::new(&folder).join(file));
    let others = folder.filter(|path| path.exists()).map(|path| {
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    });
    let texts = [Some(own.to_owned()), others].into_iter().flatten();
    texts
        .flat_map(|text| {
            serde_json::from_str::<Vec<Value>>(&text)
                .unwrap_or_else(|error| panic!("{file} is not a list of cases: {error}"))
        })
        .collect()
}
