//! Which phase a question is in, and how long each took: so that a timeout can say where.

use crate::answer::Phases;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A phase of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Resolving the name.
    Name,
    /// Connecting.
    Connect,
    /// TLS handshake.
    Tls,
    /// Waiting for the answer's first byte.
    FirstByte,
    /// Reading the rest.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Name => "resolving the name",
            Phase::Connect => "connecting",
            Phase::Tls => "TLS handshake",
            Phase::FirstByte => "waiting for the answer",
            Phase::Body => "reading the answer",
        })
    }
}

struct Inner {
    phase: Phase,
    since: Instant,
    phases: Phases,
    named: bool,
}

/// The stopwatch of one question.
pub struct Progress {
    started: Instant,
    deadline: Instant,
    inner: Mutex<Inner>,
}

impl Progress {
    /// Starts in the first phase.
    pub fn start(timeout: Duration) -> Self {
        let started = Instant::now();
        let inner = Mutex::new(Inner {
            phase: Phase::Name,
            since: started,
            phases: Phases::default(),
            named: true,
        });
        Self {
            started,
            deadline: started + timeout,
            inner,
        }
    }

    /// Ends the running phase and begins the next.
    pub fn enter(&self, next: Phase) {
        let mut inner = self.lock();
        let now = Instant::now();
        let took = Some(micros(now - inner.since));
        let (phase, named) = (inner.phase, inner.named);
        let phases = &mut inner.phases;
        match phase {
            Phase::Name => phases.name_us = took.filter(|_| named),
            Phase::Connect => phases.connect_us = took,
            Phase::Tls => phases.tls_us = took,
            Phase::FirstByte => phases.first_byte_us = took,
            Phase::Body => phases.body_us = took,
        }
        (inner.phase, inner.since) = (next, now);
    }

    /// There was no name to resolve: that phase did not take place.
    pub fn no_name(&self) {
        self.lock().named = false;
    }

    /// The running phase.
    pub fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Until the timeout.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Ends the running phase and all of it.
    pub fn finish(&self) -> Phases {
        let running = self.phase();
        self.enter(running);
        Phases {
            total_us: Some(micros(self.elapsed())),
            ..self.lock().phases
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}
