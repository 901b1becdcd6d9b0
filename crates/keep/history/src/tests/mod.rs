//! The history's promises: what is replayed is what was shown, and nothing that happens to a
//! disk, a clock or a process takes more than it must.

mod disk;
mod reading;
mod replayed;
mod upgrade;
mod world;
