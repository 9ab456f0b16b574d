//! Event streams: the first line are the sizes of the chunks, over and over; the rest is the stream.
//!
//! A byte `FE` stands for 40 KiB of text, so that the limits are within reach.

#![no_main]

use fuzz::{chunks, heap, split_line};
use libfuzzer_sys::fuzz_target;
use tower_upstream::signal::sse::{Event, EventReader};

type Seen = Vec<(String, Vec<u8>, bool)>;

fuzz_target!(|data: &[u8]| {
    let (sizes, stream) = split_line(data);
    let stream = with_long_texts(stream);
    let whole = read(&[&stream]);
    assert_eq!(read(&chunks(&stream, sizes)), whole);
    if stream.len() < 10_000 {
        assert_eq!(read(&chunks(&stream, &[1])), whole);
    }
    for (name, data, _) in whole {
        assert!(!name.is_empty() && name.len() <= 256);
        assert!(data.len() <= EventReader::MAX_DATA);
    }
});

fn read(chunks: &[&[u8]]) -> Seen {
    let mut seen = Seen::new();
    let mut reader = EventReader::new();
    for chunk in chunks {
        let mut events = Seen::new();
        let before = heap();
        let mut kept = 0;
        reader.push(chunk, |event| {
            let at = heap();
            events.push(owned(event));
            kept += heap() - at;
        });
        let growth = heap() - before - kept;
        assert!(
            growth <= 2 * (EventReader::MAX_DATA as isize + 256),
            "{growth}"
        );
        seen.append(&mut events);
    }
    reader.finish(|event| seen.push(owned(event)));
    seen
}

fn owned(event: Event<'_>) -> (String, Vec<u8>, bool) {
    (event.name.to_owned(), event.data.to_vec(), event.truncated)
}

/// At most four of them.
fn with_long_texts(stream: &[u8]) -> Vec<u8> {
    let mut left = 4;
    let mut long = Vec::with_capacity(stream.len());
    for byte in stream {
        if *byte == 0xFE && left > 0 {
            left -= 1;
            long.resize(long.len() + 40 * 1_024, b'x');
        } else {
            long.push(*byte);
        }
    }
    long
}
