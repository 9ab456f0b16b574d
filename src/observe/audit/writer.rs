//! The thread that writes, and its files.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    mem,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender},
    },
    time::SystemTime,
};

use super::lost::Lost;
use crate::observe::{fields::Field, line::Line};

/// What goes through the queue.
pub(super) enum Message {
    Line { at: SystemTime, line: String },
    Flush(SyncSender<io::Result<()>>),
}

/// What a line of the batch says.
#[derive(Clone, Copy)]
enum Kind {
    Event,
    /// That so many are missing.
    Lost(u64),
}

/// Writes lines into files of a bounded size.
pub(super) struct Writer {
    path: PathBuf,
    max_bytes: u64,
    keep: usize,
    lost: Arc<Lost>,
    /// None where it could not be opened; it is tried again with the next lines.
    file: Option<File>,
    /// How long the file is.
    length: u64,
    /// Whether the file ends in the middle of a line.
    is_torn: bool,
    /// Whole lines, to be written in one go.
    batch: String,
    /// Where each of them ends.
    ends: Vec<(usize, Kind)>,
    /// The time of the last line.
    latest: SystemTime,
}

impl Writer {
    pub(super) fn open(
        path: PathBuf,
        max_bytes: u64,
        keep: usize,
        lost: Arc<Lost>,
    ) -> io::Result<Self> {
        let mut writer = Self {
            path,
            max_bytes,
            keep,
            lost,
            file: None,
            length: 0,
            is_torn: false,
            batch: String::new(),
            ends: Vec::new(),
            latest: SystemTime::UNIX_EPOCH,
        };
        writer.open_file()?;
        Ok(writer)
    }

    /// Writes until the log is gone.
    pub(super) fn run(&mut self, queue: &Receiver<Message>) {
        while let Ok(message) = queue.recv() {
            self.take(message);
            // What has come meanwhile goes with it.
            while let Ok(message) = queue.try_recv() {
                self.take(message);
                if self.batch.len() >= BATCH {
                    // What could not be written has been counted.
                    let _ = self.write();
                }
            }
            let _ = self.write();
        }
        self.tell_losses();
        let _ = self.write();
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Line { at, line } => {
                self.latest = at;
                self.tell_losses();
                self.add(&line, Kind::Event);
            }
            Message::Flush(done) => {
                self.tell_losses();
                // Whoever asked may have gone.
                let _ = done.send(self.write());
            }
        }
    }

    /// Says how many lines are missing here.
    fn tell_losses(&mut self) {
        let lost = self.lost.take_untold();
        if lost > 0 {
            let mut line = Line::begin(self.latest, "lost");
            line.add("count", &Field::Count(lost));
            self.add(&line.end(), Kind::Lost(lost));
        }
    }

    fn add(&mut self, line: &str, kind: Kind) {
        let length = self.length + self.batch.len() as u64;
        if length > 0 && length + line.len() as u64 > self.max_bytes {
            // What could not be written has been counted.
            let _ = self.write();
            self.rotate();
        }
        self.batch.push_str(line);
        self.ends.push((self.batch.len(), kind));
    }

    /// Writes the batch. Lines of it that could not be written are counted as lost.
    fn write(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = mem::take(&mut self.batch);
        let mut rest = batch.as_bytes();
        let result = self.open_file().and_then(|()| self.write_bytes(&mut rest));
        let written = batch.len() - rest.len();
        for (_, kind) in self.ends.drain(..).filter(|(end, _)| *end > written) {
            match kind {
                Kind::Event => self.lost.count(1),
                Kind::Lost(lines) => self.lost.give_back(lines),
            }
        }
        if result.is_err() {
            self.file = None;
        }
        // The room that it took is kept for the next.
        self.batch = batch;
        self.batch.clear();
        result
    }

    /// Writes as much as can be written, and leaves the rest.
    fn write_bytes(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        if self.is_torn {
            file.write_all(b"\n")?;
            self.length += 1;
            self.is_torn = false;
        }
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.length += written as u64;
                    self.is_torn = rest[written - 1] != b'\n';
                    *rest = &rest[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Opens the file, unless it is open.
    fn open_file(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            let mut file = options
                .create(true)
                .append(true)
                .read(true)
                .open(&self.path)?;
            self.length = file.metadata()?.len();
            self.is_torn = self.length > 0 && last_byte(&mut file)? != b'\n';
            self.file = Some(file);
        }
        Ok(())
    }

    /// Moves every file up by one, and begins a new one. Where that fails, the file that there is grows on.
    fn rotate(&mut self) {
        // Some systems do not rename what is open.
        self.file = None;
        let full = self.named("full");
        // First of all, so that no older file is moved, and the oldest lost, if this one cannot be.
        if fs::rename(&self.path, &full).is_err() {
            return;
        }
        for number in (1..self.keep).rev() {
            // There may be none of that number yet.
            let _ = fs::rename(self.named(number), self.named(number + 1));
        }
        let _ = match self.keep {
            0 => fs::remove_file(full),
            _ => fs::rename(full, self.named(1)),
        };
        self.length = 0;
    }

    fn named(&self, suffix: impl fmt::Display) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{suffix}"));
        name.into()
    }
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last[0])
}

/// As much as is worth a write of its own, in bytes.
const BATCH: usize = 256 << 10;
