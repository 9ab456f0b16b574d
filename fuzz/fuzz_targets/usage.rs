//! Usage: the first line is the content type, the second the sizes of the chunks, over and over; the rest is the body.

#![no_main]

use fuzz::{chunks, heap, split_line};
use libfuzzer_sys::fuzz_target;
use tower_upstream::signal::usage::{Ending, ErrorSeen, Reading, UsageReader};

fuzz_target!(|data: &[u8]| {
    let (content_type, rest) = split_line(data);
    let (sizes, body) = split_line(rest);
    let content_type = str::from_utf8(content_type).ok();
    let whole = read(content_type, &[body]);
    assert_eq!(read(content_type, &chunks(body, sizes)), whole);
    assert_eq!(read(content_type, &chunks(body, &[1])), whole);
    if let Some(usage) = whole.usage {
        usage.total();
    }
});

/// What was seen stays seen, and next to nothing is kept.
fn read(content_type: Option<&str>, chunks: &[&[u8]]) -> Reading {
    let before = heap();
    let mut reader = UsageReader::new(content_type);
    let mut last = reader.reading();
    for chunk in chunks {
        reader.push(chunk);
        assert!(heap() - before <= 256);
        let reading = reader.reading();
        check(last, reading);
        last = reading;
    }
    let reading = reader.finish();
    check(last, reading);
    assert_eq!(heap(), before);
    reading
}

fn check(before: Reading, after: Reading) {
    assert!(!before.content || after.content);
    assert!(before.error.is_none() || before.error == after.error);
    assert!(after.error != Some(ErrorSeen::AfterContent) || after.content);
    assert!(before.ending != Ending::Terminated || after.ending == Ending::Terminated);
    assert!(before.usage.is_none() || after.usage.is_some());
}
