//! What must have held, by the counters of both sides.

use std::sync::atomic::Ordering::Relaxed;

use tower_upstream::FailureKind;

use super::{
    servers::{DAILY, SLOTS},
    storm::{MARGIN, Storm},
    witness::{SECRET, Told},
};

impl Storm {
    pub(crate) fn judge(&self, told: &Told) {
        let snapshot = self.stack.stats().snapshot();
        println!("{:?}\n{:?}\n{:?}", self.tally, self.servers, self.memory);
        let tally = &self.tally;
        assert_eq!(tally.ended(), tally.offered, "calls were lost: {tally:?}");
        assert_eq!(tally.mute, 0, "errors that do not say why: {tally:?}");
        let mut answered = 0;
        for (upstream, server) in self.stack.upstreams().iter().zip(self.servers.list()) {
            let (seen, stats) = (server.seen(), &snapshot.upstreams[upstream.id()]);
            println!(
                "{upstream}: {seen:?}, sent {}, cancelled {}, broken {}, failed {:?}",
                stats.requests, stats.cancelled, stats.broken, stats.failed
            );
            let ended = stats.answered + stats.broken + stats.cancelled + stats.failures();
            assert_eq!(
                stats.requests, ended,
                "requests without an end at {upstream}: {stats:?}"
            );
            assert_eq!(seen.doubled, 0, "attempts came twice to {upstream}");
            let failed = |kind| stats.failed.get(&kind).copied().unwrap_or(0);
            let cut =
                stats.cancelled + failed(FailureKind::Transport) + failed(FailureKind::Timeout);
            let sent = stats.requests - cut..=stats.requests;
            assert!(
                sent.contains(&seen.requests),
                "{upstream} got {} of {sent:?}: {stats:?}",
                seen.requests
            );
            answered += stats.answered;
        }
        // Who left in the body may have left at its end.
        let read = tally.answered..=tally.answered + tally.left_in_body;
        assert!(
            read.contains(&answered),
            "{answered} answers were told of {read:?}: {tally:?}"
        );
        self.judge_limits();
        self.judge_memory();
        self.judge_words(told);
    }

    fn judge_limits(&self) {
        let servers = self.servers.list();
        let most = |number: usize| self.uses.of(&servers[number].authority()).1;
        assert!(
            most(1) <= SLOTS && most(4) <= 4 * SLOTS,
            "more at a time than allowed: {:?}",
            self.uses
        );
        let today = servers[3].seen().requests;
        assert!(today <= DAILY, "{today} of {DAILY} in a day");
        let (crossed, lag) = (servers[0].seen().crossed, self.servers.lag().longest());
        if lag < MARGIN / 2 {
            assert_eq!(
                crossed, 0,
                "beyond the server's window, with timers late by {lag:?} at most"
            );
        } else {
            println!(
                "the machine stood still for {lag:?}: the window is not judged ({crossed} beyond it)"
            );
        }
    }

    /// What the second half of the rounds needs at least, the first half has needed already. A long run shows a byte per call.
    fn judge_memory(&self) {
        let memory = &self.memory;
        // The first rounds fill what is kept: histograms, windows, buffers of the audit log.
        let (early, late) = memory[1..].split_at(memory.len() / 2);
        let most = early.iter().max().expect("some rounds");
        let least = late.iter().min().expect("some rounds");
        assert!(*least <= most + SLACK, "memory grows: {memory:?}");
    }

    fn judge_words(&self, told: &Told) {
        println!("{told:?}");
        assert!(told.lines.load(Relaxed) > 0, "nobody has listened");
        assert_eq!(told.panics.load(Relaxed), 0, "something has panicked");
        assert_eq!(told.secrets.load(Relaxed), 0, "a key was told to the log");
        let audit = std::fs::read_to_string(&self.audit_file).expect("the log");
        assert!(
            !audit.is_empty() && !audit.contains(SECRET),
            "a key was told to the audit log"
        );
        let described = format!("{:?} {}", self.stack, self.stack.explain());
        assert!(!described.contains(SECRET), "a key is in {described}");
    }
}

/// Bytes that come and go: the audit log keeps the room of its largest batch, `Stats` that of the rarest time.
const SLACK: usize = 256 << 10;
