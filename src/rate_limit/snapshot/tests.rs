use proptest::prelude::*;

use super::*;

/// A snapshot with this key in it.
fn with_key(key: &str) -> String {
    format!(
        r#"{{"format":"tower-upstream rate limiter","version":1,"scope":"upstream","saved_at":5,"keys":[{key}]}}"#
    )
}

/// A snapshot with this limit in it.
fn with_limit(limit: &str) -> String {
    with_key(&format!(r#"{{"key":"a","limits":[{limit}]}}"#))
}

#[track_caller]
fn assert_refused(json: &str, wanted: &str) {
    assert_eq!(Snapshot::from_json(json).unwrap_err().to_string(), wanted);
}

#[test]
fn the_example_of_the_docs_is_read_and_written() {
    let docs = include_str!("../snapshot.rs");
    let (_, example) = docs.split_once("```json\n").unwrap();
    let (example, _) = example.split_once("/// ```").unwrap();
    let example = example.replace("///", "");
    let snapshot = Snapshot::from_json(&example).unwrap();
    assert_eq!(snapshot.keys[0].limits[0].taken[0].amount, 312);
    assert_eq!(
        snapshot.saved_at(),
        UNIX_EPOCH + Duration::from_secs(1_768_460_400)
    );
    let value = |json: &str| serde_json::from_str::<Value>(json).unwrap();
    assert_eq!(value(&snapshot.to_json()), value(&example));
}

/// As a machine may believe whose clock has never been set.
#[test]
fn a_snapshot_from_before_1970_says_so() {
    let json = with_key("").replace(r#""saved_at":5"#, r#""saved_at":-5000000000"#);
    let snapshot = Snapshot::from_json(&json).unwrap();
    assert_eq!(snapshot.saved_at(), UNIX_EPOCH - Duration::from_secs(5));
}

#[test]
fn what_is_no_snapshot_or_one_of_the_future_is_told_so_before_anything_else() {
    assert_refused("{}", "not a tower-upstream snapshot: format: is missing");
    assert_refused(
        r#"{"format":"tokens","version":1}"#,
        r#"not a tower-upstream snapshot: format: expected "tower-upstream rate limiter", found "tokens""#,
    );
    let of_version = |version: &str| {
        format!(r#"{{"format":"tower-upstream rate limiter","version":{version},"what":1}}"#)
    };
    assert_refused(
        &of_version("7"),
        "version 7 is newer than this crate reads (1)",
    );
    assert_refused(&of_version("0"), "version: expected 1, found 0");
    assert_refused(
        &of_version("\"1\""),
        r#"version: expected a whole number from 0 to 18446744073709551615, found "1""#,
    );
    assert_refused(&of_version("1"), "scope: is missing");
    assert_refused(
        "{\n\"format\"",
        "damaged, or no JSON: EOF while parsing an object at line 2 column 8",
    );
}

#[test]
fn what_cannot_be_right_is_named_with_its_place() {
    let at = |place: &str, wanted: &str| format!("keys[0].limits[0].{place}: {wanted}");
    let limit = |rest: &str| {
        with_limit(&format!(
            r#"{{"dimension":"requests","amount":9,"per":1000{rest}}}"#
        ))
    };
    let taken = |taken: &str| limit(&format!(r#","taken":[{taken}]"#));
    let fine = r#"{"at":1,"amount":2}"#;
    Snapshot::from_json(&taken(fine)).unwrap();
    for (json, wanted) in [
        (
            taken(&format!(r#"{fine},{fine},{{"at":"noon","amount":1}}"#)),
            at(
                "taken[2].at",
                r#"expected a time in nanoseconds since 1970, found "noon""#,
            ),
        ),
        (taken(r#"{"at":1}"#), at("taken[0].amount", "is missing")),
        (
            taken(r#"{"at":1,"amount":-2}"#),
            at(
                "taken[0].amount",
                "expected a whole number from 0 to 18446744073709551615, found -2",
            ),
        ),
        (
            taken(r#"{"at":1,"from":2,"amount":2}"#),
            at("taken[0].from", "expected a time not after `at`"),
        ),
        (
            taken(r#"{"at":1,"amount":2,"part":3}"#),
            at("taken[0].part", "no such field is known"),
        ),
        (
            limit(&format!(r#","burst":3,"taken":[{fine},{fine}]"#)),
            at(
                "taken",
                "expected one at most, for the limit does not slide",
            ),
        ),
        (
            limit(r#","taken":{}"#),
            at("taken", "expected a list, found an object"),
        ),
        (
            limit(r#","shadow":1"#),
            at("shadow", "expected true or false, found 1"),
        ),
        (
            limit(r#","calendar":{"zone":false}"#),
            at(
                "calendar.zone",
                "expected an offset in minutes or a zone's name, found false",
            ),
        ),
        (
            limit(r#","calendar":{"zone":0},"burst":1"#),
            at("calendar", "there is a burst already"),
        ),
        (
            limit(r#","burst":0"#),
            "keys[0].limits[0]: `burst` cannot be 0: expected at least 1".to_owned(),
        ),
        (
            with_limit(r#"{"dimension":"pages","amount":1,"per":1}"#),
            at(
                "dimension",
                r#"expected what a limit counts, such as "requests", found "pages""#,
            ),
        ),
        (
            with_limit("3"),
            "keys[0].limits[0]: expected an object, found 3".to_owned(),
        ),
        (
            with_key(r#"{"key":"a","quota":{"max_concurrent":0}}"#),
            "keys[0].quota: `max_concurrent` cannot be 0: expected at least 1".to_owned(),
        ),
        (
            with_key(r#"{"key":"a","limits":[],"colour":1}"#),
            "keys[0].colour: no such field is known".to_owned(),
        ),
        (
            with_key(r#"{"key":"a"},{"key":"b"},{"key":"a"}"#),
            r#"keys[2].key: "a" is there twice"#.to_owned(),
        ),
        (
            with_key(r#"{"key":"a","paused_until":1e999}"#),
            "keys[0]: number out of range at line 1 column 31".to_owned(),
        ),
        (
            with_key("").replace("[]", "7"),
            "keys: expected a list".to_owned(),
        ),
        (
            with_key("").replace("}", ",\"more\":1}"),
            "more: no such field is known".to_owned(),
        ),
    ] {
        assert_refused(&json, &wanted);
    }
    let many = vec![r#"{"dimension":"requests","amount":9,"per":1000}"#; 33].join(",");
    assert_refused(
        &with_limit(&many),
        "keys[0].limits: `limit` cannot be 33: expected at most 32 limits",
    );
    let long = format!(r#"{{"key":"a","paused_until":"{}"}}"#, "x".repeat(9_999));
    let error = Snapshot::from_json(&with_key(&long)).unwrap_err();
    assert!(error.to_string().len() < 200, "{error}");
}

#[cfg(not(feature = "time-zones"))]
#[test]
fn a_zone_by_its_name_needs_the_feature() {
    assert_refused(
        &with_limit(
            r#"{"dimension":"requests","amount":1,"per":86400000000000,"calendar":{"zone":"UTC"}}"#,
        ),
        "keys[0].limits[0].calendar.zone: `zone` cannot be UTC: expected an offset in minutes, for the feature `time-zones` is off",
    );
}

#[cfg(feature = "time-zones")]
#[test]
fn a_zone_by_its_name_is_kept() {
    let of_zone = |zone: &str| {
        let limit = r#"{"dimension":"requests","amount":1,"per":86400000000000,"calendar":{"zone":"ZONE"},"taken":[]}"#;
        with_limit(&limit.replace("ZONE", zone))
    };
    let snapshot = Snapshot::from_json(&of_zone("America/Los_Angeles")).unwrap();
    let again = Snapshot::from_json(&snapshot.to_json()).unwrap();
    assert_eq!(again, snapshot);
    assert!(snapshot.to_json().contains("America/Los_Angeles"));
    let error = Snapshot::from_json(&of_zone("Mars/Olympus")).unwrap_err();
    assert!(error.to_string().contains("calendar.zone"), "{error}");
}

fn json() -> impl Strategy<Value = Value> {
    let names = [
        "format", "version", "scope", "saved_at", "keys", "key", "limits", "taken", "at", "amount",
        "per",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(vec![FORMAT, "upstream", "requests", ""]).prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    let name = prop_oneof![
        proptest::sample::select(names.to_vec()).prop_map(str::to_owned),
        ".*"
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        let fields = proptest::collection::vec((name.clone(), inner.clone()), 0..8);
        prop_oneof![
            proptest::collection::vec(inner, 0..8).prop_map(Value::from),
            fields.prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_it_panic(json in json()) {
        let _ = Snapshot::from_json(&json.to_string());
        let _ = Snapshot::from_json(&with_key(&json.to_string()));
        let _ = Snapshot::from_json(&with_limit(&json.to_string()));
    }

    #[test]
    fn no_text_makes_it_panic(text in ".*") {
        let _ = Snapshot::from_json(&text);
    }

    #[test]
    fn any_key_is_read_as_it_was_written(key in any::<String>()) {
        let saved = SavedKey { key: key.into(), quota: None, paused: Some(-1), limits: Vec::new(), typical: None };
        let snapshot = Snapshot { scope: "by".into(), saved_at: i64::MIN, keys: vec![saved] };
        prop_assert_eq!(&Snapshot::from_json(&snapshot.to_json()).unwrap(), &snapshot);
        snapshot.saved_at();
    }
}
