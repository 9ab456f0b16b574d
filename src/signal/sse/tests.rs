use super::*;
use proptest::prelude::*;

type Seen = Vec<(String, Vec<u8>, bool)>;

fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let mut seen = Seen::new();
    let mut reader = EventReader::new();
    let mut take =
        |event: Event<'_>| seen.push((event.name.to_owned(), event.data.to_vec(), event.truncated));
    for chunk in chunks {
        reader.push(chunk, &mut take);
        assert!(reader.retained() <= 2 * (EventReader::MAX_DATA + EventReader::MAX_NAME));
    }
    reader.finish(&mut take);
    seen
}

fn texts(stream: &str) -> Vec<(String, String)> {
    read([stream.as_bytes()])
        .into_iter()
        .map(|(name, data, _)| (name, String::from_utf8(data).unwrap()))
        .collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, data)| ((*name).to_owned(), (*data).to_owned()))
        .collect()
}

#[test]
fn lines_end_in_cr_lf_or_both() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = ["event: a", "data: 1", "data: 2", "", "data: 3", "", ""].join(end);
        assert_eq!(
            texts(&stream),
            pairs(&[("a", "1\n2"), ("message", "3")]),
            "{end:?}"
        );
    }
}

#[test]
fn fields_are_read_as_the_standard_says() {
    for (stream, expected) in [
        (": comment\n\n:\n\ndata:x\n\n", &[("message", "x")][..]),
        ("data:  two spaces\n\n", &[("message", " two spaces")]),
        (
            "data\n\ndata\ndata\n\n",
            &[("message", ""), ("message", "\n")],
        ),
        ("data:\n\n", &[("message", "")]),
        ("event: only a name\n\ndata: y\n\n", &[("message", "y")]),
        ("event: first\nevent: last\ndata: z\n\n", &[("last", "z")]),
        ("event: gone\nevent\ndata: z\n\n", &[("message", "z")]),
        (
            "id: 1\nretry: 10\ndatum: no\n data: no\nDATA: no\ndata: yes\n\n",
            &[("message", "yes")],
        ),
        ("\u{feff}data: marked\n\n", &[("message", "marked")]),
        ("\u{feff}\u{feff}data: marked twice\n\n", &[]),
        ("data: a:b: c\n\n", &[("message", "a:b: c")]),
        ("\n\n\r\n\r\r", &[]),
    ] {
        assert_eq!(texts(stream), pairs(expected), "{stream:?}");
    }
}

#[test]
fn an_event_without_its_blank_line_comes_at_the_end() {
    assert_eq!(
        texts("data: a\n\ndata: b"),
        pairs(&[("message", "a"), ("message", "b")])
    );
}

#[test]
fn an_event_in_one_chunk_is_lent_from_it() {
    let chunk = b"event: e\ndata: hello\n\n";
    EventReader::new().push(chunk, |event| {
        assert!(chunk.as_ptr_range().contains(&event.data.as_ptr()));
    });
}

#[test]
fn an_event_over_the_limit_is_cut_off_and_the_next_one_is_read() {
    let long = "x".repeat(EventReader::MAX_DATA + 1);
    let stream = format!(
        "data: {long}\n\ndata: {}\ndata: more\n\ndata: short\n\n",
        &long[1..]
    );
    for size in [stream.len(), 1000, 1] {
        let seen = read(stream.as_bytes().chunks(size));
        let lengths: Vec<_> = seen
            .iter()
            .map(|(_, data, cut)| (data.len(), *cut))
            .collect();
        let most = EventReader::MAX_DATA;
        assert_eq!(lengths, [(most, true), (most, true), (5, false)], "{size}");
    }
}

#[test]
fn an_endless_line_is_not_kept() {
    let mut reader = EventReader::new();
    for start in ["event: ", "\ndata: ", "\n: ", "\nunknown"] {
        reader.push(start.as_bytes(), |_| {});
        for _ in 0..1000 {
            reader.push(&[b'x'; 1000], |_| {});
        }
        assert!(reader.retained() <= 2 * (EventReader::MAX_DATA + EventReader::MAX_NAME));
    }
}

/// Streams made of the pieces that matter, so that they meet.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"data:"[..],
        b"data",
        b"event:",
        b" ",
        b":",
        b"\r",
        b"\n",
        b"\n\n",
        b"\xEF\xBB\xBF",
        b"\xEF",
        b"gr\xC3\xBCn",
        b"\0",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Cuts at these shares of what is left.
pub(crate) fn cut<'a>(mut bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for cut in cuts {
        let (chunk, rest) = bytes.split_at(cut % (bytes.len() + 1));
        chunks.push(chunk);
        bytes = rest;
    }
    chunks.push(bytes);
    chunks
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_events(stream in stream(), cuts in prop::collection::vec(0..12_usize, 0..20)) {
        let whole = read([&stream[..]]);
        prop_assert_eq!(&read(cut(&stream, &cuts)), &whole);
        prop_assert_eq!(read(stream.chunks(1)), whole);
    }

    #[test]
    fn any_bytes_can_come(bytes: Vec<u8>) {
        prop_assert_eq!(read(bytes.chunks(3)), read([&bytes[..]]));
    }
}
