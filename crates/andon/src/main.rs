//! Andon: throw one binary onto any instance, and every node shows the same live picture of
//! every link. This crate is the rim: command line, configuration, the wiring of one node,
//! and the demo. It decides nothing about the grid; the cores do.
//!
//! Read in this order: [`cli`] (the commands), [`config`] (what a node is told), [`node`] (how
//! its parts are wired), [`demo`] (five nodes and pulled plugs), [`logging`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cli;
mod config;
mod demo;
mod logging;
mod memory;
mod node;

fn main() -> std::process::ExitCode {
    memory::give_back_what_is_free();
    cli::main()
}
