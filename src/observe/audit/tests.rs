use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use serde_json::Value;

use super::*;
use crate::{
    clock::ManualClock,
    observe::examples::{examples, with_events},
};

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("tower-upstream-{test}-{:016x}", fastrand::u64(..));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn log(&self) -> PathBuf {
        self.0.join("audit.jsonl")
    }

    /// The names of the files, in order.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap());
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn paused(log: &AuditLog, number: u64) {
    let wait = Duration::from_secs(number);
    log.event(&Event::Paused { key: "k", wait });
}

fn waits(path: &Path) -> Vec<u64> {
    let lines = lines(path);
    lines
        .iter()
        .filter_map(|line| line["wait_s"].as_u64())
        .collect()
}

/// Without the thread: whatever waits in the queue is written when the test says so.
fn writer(folder: &Folder, lost: &Arc<Lost>) -> Writer {
    Writer::open(folder.log(), 4_096, 2, lost.clone()).unwrap()
}

#[test]
fn every_kind_of_line_is_json_and_says_all_that_its_event_does() {
    let folder = Folder::new("audit-kinds");
    let clock = ManualClock::starting_at(UNIX_EPOCH + Duration::from_micros(1_790_000_000_000_001));
    let options = AuditLog::options(folder.log()).clock(clock);
    let log = options.open().unwrap();
    with_events(|event| log.event(event));
    drop(log);
    let lines = lines(&folder.log());
    let examples = examples();
    assert_eq!(lines.len(), examples.len());
    for (line, (name, fields)) in lines.iter().zip(&examples) {
        let mut line = line.as_object().unwrap().clone();
        assert_eq!(line.remove("v"), Some(1.into()));
        assert_eq!(
            line.remove("at"),
            Some("2026-09-21T14:13:20.000001Z".into())
        );
        assert_eq!(line.remove("event"), Some((*name).into()));
        let expected: Value = serde_json::from_str(fields).unwrap();
        assert_eq!(Value::from(line), expected, "{name}");
    }
}

#[test]
fn a_full_file_makes_room_for_the_next_and_only_so_many_are_kept() {
    let folder = Folder::new("audit-rotation");
    let options = AuditLog::options(folder.log()).max_bytes(0).keep(2);
    let log = options.open().unwrap();
    (0..200).for_each(|number| paused(&log, number));
    log.flush().unwrap();
    let names = ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"];
    assert_eq!(folder.files(), names);
    let mut kept = Vec::new();
    for name in names.iter().rev() {
        let path = folder.0.join(name);
        assert!(fs::metadata(&path).unwrap().len() <= 4_096);
        kept.extend(waits(&path));
    }
    let first = kept[0];
    assert!(first > 0, "the oldest are gone");
    assert_eq!(kept, (first..200).collect::<Vec<_>>(), "no line between is");
    assert_eq!(log.lost(), 0);
}

#[test]
fn a_log_of_one_file_is_begun_anew_when_it_is_full() {
    let folder = Folder::new("audit-one");
    let options = AuditLog::options(folder.log()).max_bytes(0).keep(0);
    let log = options.open().unwrap();
    (0..100).for_each(|number| paused(&log, number));
    drop(log);
    assert_eq!(folder.files(), ["audit.jsonl"]);
    assert_eq!(waits(&folder.log()).last(), Some(&99));
}

#[test]
fn a_log_goes_on_where_it_ended_and_a_torn_line_stays_alone() {
    let folder = Folder::new("audit-torn");
    fs::write(
        folder.log(),
        "{\"v\":1,\"event\":\"paused\",\"wait_s\":7}\n{\"v\":1,\"ev",
    )
    .unwrap();
    let log = AuditLog::options(folder.log()).open().unwrap();
    paused(&log, 8);
    drop(log);
    let text = fs::read_to_string(folder.log()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1], "{\"v\":1,\"ev");
    assert!(lines[2].ends_with("\"wait_s\":8}"));
}

#[test]
fn what_does_not_fit_into_the_queue_is_counted_and_the_count_is_written_where_it_is_missing() {
    let folder = Folder::new("audit-full");
    let lost = Arc::new(Lost::default());
    let (queue, messages) = mpsc::sync_channel(2);
    let log = AuditLog {
        shared: Arc::new(Shared {
            clock: Arc::new(ManualClock::new()),
            lost: lost.clone(),
            queue: Some(queue),
            thread: None,
        }),
    };
    (0..5).for_each(|number| paused(&log, number));
    assert_eq!(log.lost(), 3);
    drop(log);
    writer(&folder, &lost).run(&messages);
    let lines = lines(&folder.log());
    let told: Vec<_> = lines
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["lost", "paused", "paused"]);
    assert_eq!(lines[0]["count"], 3);
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_full_disk_does_not_take_is_counted_and_told_once_it_takes_something_again() {
    let folder = Folder::new("audit-disk");
    let lost = Arc::new(Lost::default());
    let line = |number: u64| Message::Line {
        at: UNIX_EPOCH,
        line: format!("{{\"wait_s\":{number}}}\n"),
    };
    let run = |mut writer: Writer, numbers: &[u64]| {
        let (queue, messages) = mpsc::sync_channel(8);
        let send = |number: &u64| queue.send(line(*number)).unwrap();
        numbers.iter().for_each(send);
        drop(queue);
        writer.run(&messages);
    };
    let full = || Writer::open("/dev/full".into(), 4_096, 2, lost.clone()).unwrap();
    run(writer(&folder, &lost), &[1]);
    run(full(), &[2, 3]);
    assert_eq!(lost.all(), 2);
    run(full(), &[4]);
    let all = lost.all();
    assert_eq!(all, 3, "what tells of losses is no loss itself");
    run(writer(&folder, &lost), &[5]);
    let lines = lines(&folder.log());
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["count"], 3);
    assert_eq!(waits(&folder.log()), [1, 5]);
}

#[test]
fn a_log_that_cannot_be_written_is_not_opened() {
    let folder = Folder::new("audit-gone");
    let log = AuditLog::options(folder.0.join("none").join("audit.jsonl"));
    assert!(log.open().is_err(), "there is no such folder");
}

#[test]
fn the_log_is_whole_when_the_last_who_holds_it_is_gone() {
    let folder = Folder::new("audit-drop");
    let log = AuditLog::options(folder.log()).open().unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let log = log.clone();
            thread::spawn(move || (0..250).for_each(|number| paused(&log, number)))
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    drop(log);
    assert_eq!(waits(&folder.log()).len(), 1_000);
}
