use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    task::Wake,
};

use futures::{FutureExt, SinkExt, channel::mpsc, stream};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use proptest::prelude::*;

use super::*;

/// What a source does at each poll.
#[derive(Clone, Debug)]
enum Act {
    Data(Bytes),
    Wait,
    Trailers,
    Break,
}

/// A body that follows a script. It wakes nobody.
struct Script(VecDeque<Act>);

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(match self.0.pop_front() {
            None => None,
            Some(Act::Wait) => return Poll::Pending,
            Some(Act::Data(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Act::Trailers) => Some(Ok(Frame::trailers(trailers()))),
            Some(Act::Break) => Some(Err(io::Error::other("cut"))),
        })
    }
}

fn trailers() -> HeaderMap {
    let value = HeaderValue::from_static("good");
    HeaderMap::from_iter([(http::HeaderName::from_static("x-sum"), value)])
}

fn data(text: &'static str) -> Act {
    Act::Data(Bytes::from_static(text.as_bytes()))
}

fn body(cap: usize, acts: impl IntoIterator<Item = Act>) -> ReplayBody<Script> {
    ReplayBody::new(Script(acts.into_iter().collect()), cap)
}

/// The next frame as text: data, the value of the trailer, or an error.
fn next(body: &mut ReplayBody<Script>) -> Poll<Option<String>> {
    let frame = body.frame().now_or_never();
    frame.map_or(Poll::Pending, |frame| {
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => match frame.into_data() {
                Ok(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                Err(frame) => format!("{:?}", frame.into_trailers().unwrap()["x-sum"]),
            },
            Err(error) => error.to_string(),
        }))
    })
}

/// All that comes until the end or the first wait.
fn rest(body: &mut ReplayBody<Script>) -> String {
    let mut text = String::new();
    while let Poll::Ready(Some(frame)) = next(body) {
        text += &frame;
    }
    text
}

const GONE: &str = "the request body cannot be sent again";

#[test]
fn the_first_attempt_streams_and_a_later_one_gets_the_same_with_its_trailers() {
    let mut first = body(100, [data("one "), Act::Wait, data("two "), Act::Trailers]);
    let mut again = first.replay().unwrap();
    assert_eq!(next(&mut first), Poll::Ready(Some("one ".into())));
    assert_eq!(next(&mut first), Poll::Pending);
    assert_eq!(rest(&mut first), "two \"good\"");
    assert!(first.is_end_stream());
    drop(first);
    assert!(again.claim());
    let mut third = again.replay().unwrap();
    assert_eq!(rest(&mut again), "one two \"good\"");
    assert_eq!(rest(&mut third), "one two \"good\"");
    assert!(third.is_end_stream());
    assert_eq!(next(&mut third), Poll::Ready(None));
}

/// PITFALLS 26. linkerd2#15649: a retry that began before any of the body was read sent its first piece twice.
#[test]
fn a_body_that_the_first_attempt_never_read_is_sent_once_by_the_second() {
    let first = body(100, [Act::Wait, data("first "), data("second")]);
    let mut again = first.replay().unwrap();
    drop(first);
    assert!(again.claim());
    let mut third = again.replay().unwrap();
    assert_eq!(next(&mut again), Poll::Pending);
    assert_eq!(rest(&mut again), "first second");
    assert_eq!(rest(&mut third), "first second");
}

/// PITFALLS 26, an early response: the second attempt goes on where the first had come to.
#[test]
fn an_attempt_that_was_answered_early_is_gone_on_with() {
    let mut first = body(100, [data("sent "), Act::Wait, data("unsent")]);
    let mut again = first.replay().unwrap();
    assert_eq!(rest(&mut first), "sent ");
    assert!(again.claim());
    assert_eq!(rest(&mut again), "sent unsent");
    // Its connection reads it still.
    assert_eq!(rest(&mut first), "unsent");
}

/// PITFALLS 26. In linkerd2-proxy the second of two that live panics.
#[test]
fn two_attempts_that_live_at_once_get_the_same() {
    let mut first = body(100, [data("a"), data("b"), Act::Wait, data("c"), data("d")]);
    let mut second = first.replay().unwrap();
    assert_eq!(next(&mut first), Poll::Ready(Some("a".into())));
    assert_eq!(next(&mut second), Poll::Ready(Some("a".into())));
    assert_eq!(next(&mut second), Poll::Ready(Some("b".into())));
    assert_eq!(next(&mut second), Poll::Pending);
    assert_eq!(rest(&mut first), "bc".to_owned() + "d");
    assert_eq!(rest(&mut second), "cd");
}

/// RT-45.
#[test]
fn exactly_the_cap_can_be_sent_again_and_one_byte_more_cannot() {
    for (length, kept) in [(8, true), (9, false)] {
        let bytes = Bytes::from(vec![b'x'; length]);
        let known = ReplayBody::new(Full::new(bytes.clone()), 8);
        let copy = known.replay();
        assert_eq!(copy.is_some(), kept, "of known length");
        let sent = known.collect().now_or_never().unwrap().unwrap().to_bytes();
        assert_eq!(sent, bytes);
        let sent = copy.map(|copy| copy.collect().now_or_never().unwrap().unwrap().to_bytes());
        assert_eq!(sent, kept.then_some(bytes));

        let pieces = vec![data("x"); length];
        let mut unknown = body(8, pieces);
        let mut copy = unknown.replay().unwrap();
        for sent in 0..length {
            assert_eq!(unknown.kept(), sent);
            assert_eq!(next(&mut unknown), Poll::Ready(Some("x".into())));
        }
        assert_eq!(unknown.kept(), if kept { 8 } else { 0 }, "it is freed");
        assert_eq!(next(&mut unknown), Poll::Ready(None));
        assert_eq!(copy.claim(), kept);
        assert_eq!(copy.replay().is_some(), kept);
        assert_eq!(rest(&mut copy), if kept { "xxxxxxxx" } else { GONE });
    }
}

#[test]
fn nothing_is_kept_while_there_is_no_copy() {
    let mut only = body(100, [data("a"), data("b")]);
    assert_eq!(next(&mut only), Poll::Ready(Some("a".into())));
    assert_eq!(only.kept(), 0);
    assert!(only.replay().is_none(), "its start is gone");
    assert_eq!(rest(&mut only), "b");
    // The last attempt frees what the first had kept, as soon as it goes on alone.
    let mut first = body(100, [data("a"), Act::Wait, data("b"), data("c")]);
    let mut last = first.replay().unwrap();
    assert_eq!(rest(&mut first), "a");
    drop(first);
    assert!(last.claim());
    assert_eq!(next(&mut last), Poll::Ready(Some("a".into())));
    assert_eq!(last.kept(), 1);
    assert_eq!(next(&mut last), Poll::Ready(Some("b".into())));
    assert_eq!(last.kept(), 0);
    assert_eq!(rest(&mut last), "c");
}

/// The 503 came early and was dropped for another attempt; then the connection of the first, which still sends, must not push
/// what the second will need out of the cap.
#[test]
fn an_attempt_that_is_over_does_not_pass_the_cap_once_another_follows() {
    let mut first = body(4, [data("1234"), Act::Wait, data("56"), data("7")]);
    let mut again = first.replay().unwrap();
    assert_eq!(rest(&mut first), "1234");
    assert!(again.claim());
    assert_eq!(rest(&mut first), GONE);
    assert!(first.is_end_stream());
    assert_eq!(again.size_hint().lower(), 6);
    assert_eq!(rest(&mut again), "1234567");
}

#[test]
fn an_attempt_whose_place_was_taken_ends_with_an_error() {
    let mut first = body(4, [data("1234"), Act::Wait, Act::Wait, data("56")]);
    let mut again = first.replay().unwrap();
    assert_eq!(rest(&mut first), "1234");
    assert!(again.claim());
    assert_eq!(rest(&mut again), "1234");
    assert_eq!(rest(&mut again), "56");
    assert_eq!(rest(&mut first), GONE);
}

#[test]
fn a_body_that_breaks_is_not_sent_again() {
    let mut first = body(100, [data("a"), Act::Break]);
    let mut again = first.replay().unwrap();
    assert_eq!(rest(&mut first), "acut");
    assert!(first.is_end_stream());
    assert!(!again.claim() && again.replay().is_none());
    assert_eq!(rest(&mut again), format!("a{GONE}"));
}

#[test]
fn size_and_end_are_told_for_each_reader() {
    let full = ReplayBody::new(Full::new(Bytes::from_static(b"12345")), 100);
    let mut again = full.replay().unwrap();
    assert_eq!(full.size_hint().exact(), Some(5));
    full.collect().now_or_never().unwrap().unwrap();
    assert_eq!(again.size_hint().exact(), Some(5));
    assert!(!again.is_end_stream());
    again.frame().now_or_never().unwrap().unwrap().unwrap();
    assert_eq!(again.size_hint().exact(), Some(0));
    assert!(again.is_end_stream());

    let empty = ReplayBody::new(Empty::<Bytes>::new(), 100);
    assert!(empty.is_end_stream() && empty.replay().unwrap().is_end_stream());
    assert_eq!(empty.size_hint().exact(), Some(0));

    let mut first = body(100, [data("a"), Act::Trailers]);
    let again = first.replay().unwrap();
    rest(&mut first);
    assert!(!again.is_end_stream(), "its trailers are still to come");
    assert_eq!(again.size_hint().exact(), Some(1));
}

type Frames = mpsc::Sender<Result<Frame<Bytes>, Infallible>>;

fn channel() -> (Frames, mpsc::Receiver<Result<Frame<Bytes>, Infallible>>) {
    mpsc::channel(1)
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_reader_is_woken_though_another_was_the_last_to_ask_and_is_gone() {
    let (mut sender, source) = channel();
    let mut first = ReplayBody::new(StreamBody::new(source), 100);
    let mut second = first.replay().unwrap();
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(flag.clone());
    let mut context = Context::from_waker(&waker);
    assert!(Pin::new(&mut first).poll_frame(&mut context).is_pending());
    assert!(second.frame().now_or_never().is_none());
    drop(second);
    let data = Frame::data(Bytes::from_static(b"late"));
    sender.try_send(Ok(data)).unwrap();
    assert!(flag.0.load(SeqCst));
    assert!(Pin::new(&mut first).poll_frame(&mut context).is_ready());
}

#[test]
fn a_reader_that_gets_its_frame_does_not_wake_itself() {
    let mut body = ReplayBody::new(Full::new(Bytes::from_static(b"all")), 100);
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(flag.clone());
    let mut context = Context::from_waker(&waker);
    assert!(Pin::new(&mut body).poll_frame(&mut context).is_ready());
    assert!(!flag.0.load(SeqCst));
}

#[test]
fn a_source_that_panics_is_broken_for_the_others_too() {
    struct Bomb;
    impl Body for Bomb {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            panic!("boom")
        }
    }
    let mut first = ReplayBody::new(Bomb, 100);
    let mut again = first.replay().unwrap();
    let polled = std::panic::AssertUnwindSafe(|| drop(first.frame().now_or_never()));
    std::panic::catch_unwind(polled).unwrap_err();
    assert!(!again.claim());
    let error = again.frame().now_or_never().unwrap().unwrap().unwrap_err();
    assert_eq!(error.to_string(), GONE);
}

/// A source that drops another reader of its own body while it is polled.
#[test]
fn no_lock_is_held_while_the_source_is_asked() {
    type Other = Arc<Mutex<Option<Box<dyn Send>>>>;
    let other = Other::default();
    let held = other.clone();
    let source = stream::poll_fn(move |_| {
        drop(held.lock().unwrap().take());
        Poll::Ready(Some(Ok::<_, Infallible>(Frame::data(Bytes::from("x")))))
    });
    let mut first = ReplayBody::new(StreamBody::new(source), 100);
    *other.lock().unwrap() = Some(Box::new(first.replay().unwrap()));
    assert!(first.frame().now_or_never().is_some());
    assert!(other.lock().unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_on_several_threads_get_the_same() {
    for round in 0..50_usize {
        let (mut sender, source) = channel();
        let first = ReplayBody::new(StreamBody::new(source), 1 << 20);
        let readers = [first.replay(), first.replay(), Some(first)];
        let readers = readers.map(|reader| tokio::spawn(reader.unwrap().collect()));
        for piece in 0..100_usize {
            let bytes = Bytes::from(vec![piece as u8; (piece * 37 + round) % 2_000]);
            sender.send(Ok(Frame::data(bytes))).await.unwrap();
        }
        sender.send(Ok(Frame::trailers(trailers()))).await.unwrap();
        drop(sender);
        let expected: usize = (0..100).map(|piece| (piece * 37 + round) % 2_000).sum();
        for reader in readers {
            let collected = reader.await.unwrap().unwrap();
            assert_eq!(collected.trailers(), Some(&trailers()));
            assert_eq!(collected.to_bytes().len(), expected);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Poll(usize),
    Copy(usize),
    Claim(usize),
    Drop(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_usize).prop_map(Step::Poll),
        2 => (0..4_usize).prop_map(Step::Copy),
        1 => (0..4_usize).prop_map(Step::Claim),
        1 => (0..4_usize).prop_map(Step::Drop),
    ]
}

fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let small = prop::collection::vec(any::<u8>(), 0..20);
    let large = prop::collection::vec(any::<u8>(), 1_000..1_100);
    prop::collection::vec(prop_oneof![8 => small, 1 => large], 0..20)
}

struct Reader {
    body: ReplayBody<Script>,
    read: Vec<u8>,
    trailers: Option<HeaderMap>,
    ended: Option<Result<(), String>>,
}

impl Reader {
    fn of(body: ReplayBody<Script>) -> Self {
        Self {
            body,
            read: Vec::new(),
            trailers: None,
            ended: None,
        }
    }

    fn poll(&mut self) {
        match self.body.frame().now_or_never() {
            None => {}
            Some(None) => _ = self.ended.get_or_insert(Ok(())),
            Some(Some(Err(error))) => self.ended = Some(Err(error.to_string())),
            Some(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) => self.read.extend_from_slice(&bytes),
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            },
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_copied_dropped_and_read_when_each_gets_the_whole_or_an_error(
        pieces in pieces(),
        waits in prop::collection::vec(0..24_usize, 0..8),
        has_trailers: bool,
        cap in prop_oneof![Just(usize::MAX), 0..400_usize, 900..3_000_usize],
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let whole = pieces.concat();
        let mut acts: Vec<_> = pieces.into_iter().map(|piece| Act::Data(piece.into())).collect();
        acts.extend(has_trailers.then_some(Act::Trailers));
        for at in waits {
            acts.insert(at.min(acts.len()), Act::Wait);
        }
        let mut readers = vec![Some(Reader::of(body(cap, acts)))];
        let mut chosen = None;
        for step in steps {
            let (Step::Poll(at) | Step::Copy(at) | Step::Claim(at) | Step::Drop(at)) = step;
            let Some(slot) = readers.get_mut(at) else { continue };
            let Some(reader) = slot else { continue };
            match step {
                Step::Poll(_) => {
                    reader.poll();
                    if !matches!(reader.ended, Some(Err(_))) {
                        chosen = chosen.max(Some((reader.body.turn, at)));
                    }
                }
                Step::Claim(_) => if reader.body.claim() {
                    chosen = Some((reader.body.turn, at));
                }
                Step::Copy(_) => {
                    let copy = reader.body.replay().map(Reader::of);
                    prop_assert!(copy.is_some() || cap < usize::MAX || reader.body.kept() == 0);
                    if copy.is_some() && readers.len() < 4 {
                        readers.push(copy);
                    }
                }
                Step::Drop(_) => *slot = None,
            }
            if let Some(reader) = readers.iter().flatten().next() {
                prop_assert!(reader.body.kept() <= cap);
            }
        }
        let mut order: Vec<_> = (0..readers.len()).collect();
        // Who was chosen last may come to the end last.
        order.sort_by_key(|at| chosen.is_some_and(|(_, chosen)| chosen == *at));
        for at in order {
            let Some(reader) = &mut readers[at] else { continue };
            if chosen.is_some_and(|(turn, _)| turn < reader.body.turn) {
                continue;
            }
            for _ in 0..200 {
                if reader.ended.is_none() {
                    reader.poll();
                }
            }
            prop_assert!(whole.starts_with(&reader.read));
            match &reader.ended {
                Some(Ok(())) => {
                    prop_assert_eq!(&reader.read, &whole);
                    prop_assert_eq!(reader.trailers.is_some(), has_trailers);
                    prop_assert!(reader.body.is_end_stream());
                }
                Some(Err(error)) => {
                    prop_assert_eq!(error, GONE);
                    prop_assert!(chosen.is_none_or(|(_, chosen)| chosen != at), "the attempt that was chosen was given up");
                    prop_assert!(whole.len() > cap || reader.read.is_empty());
                }
                None => prop_assert!(false, "it hangs"),
            }
        }
    }
}
