//! A lab that is left standing to play with: a process in the background holds it, forwards
//! its consoles to this machine's loopback, and is told by a socket what to do.

mod console;
mod control;

pub use control::ask;

use crate::layout::{Layout, rules};
use crate::narrate::{Narrator, Who};
use crate::run::Lab;
use crate::scenario::{Place, Scenario};
use crate::world::privilege::{self, Privilege};
use crate::world::sweep::{Swept, remove_all};
use crate::world::{LabError, Means, World};
use console::Consoles;
use control::{Control, Order};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// How the holder tells whoever started it that all stands.
pub const READY: &str = "the lab stands";
/// Between two looks at the socket.
const TICK: Duration = Duration::from_millis(50);
/// How long the holder may take to remove everything.
const DOWN_MAX: Duration = Duration::from_secs(15);

/// The tag of this user's standing lab; there is one at a time.
pub fn tag() -> String {
    let uid = nix::unistd::Uid::current();
    match uid.is_root() {
        true => "up".into(),
        false => format!("up{uid}"),
    }
}

/// The socket by which the holder is told.
fn socket(tag: &str) -> PathBuf {
    crate::world::build_folder(tag).join("control.sock")
}

/// Holds a lab until it is told to end. Runs in the background process.
pub fn hold(scenario: &Scenario, program: PathBuf, first_port: u16) -> Result<(), LabError> {
    let tag = tag();
    // Before the network is a private one: these are ports of the machine.
    let consoles = Consoles::listen(scenario, first_port)?;
    let privilege = privilege::take()?;
    // No terminal's end is this process's end.
    let _ = nix::unistd::setsid();
    let stop = crate::run::signals::catch()?;
    let layout = Layout::plan(scenario);
    let means = Means {
        tag: tag.clone(),
        program,
        privilege,
    };
    let mut lab = Lab::up(scenario, &layout, &means)?;
    let control = Control::open(&socket(&tag))?;
    let well_after = lab.wait_until_well(&stop)?;
    let ports = consoles.serve(|node| lab.world.netns(Place::Node(node)).clone())?;
    let narrator = Narrator::new(crate::narrate::Stage::Out);
    narrator.line(
        well_after.as_secs_f64(),
        Who::Lab,
        "all nodes say that all is well",
    );
    narrator.print(&guide(scenario, &layout, &lab.world, privilege, &ports));
    narrator.print(&format!("\n{READY}\n"));
    serve(scenario, &layout, &mut lab, &control, &stop)
}

fn serve(
    scenario: &Scenario,
    layout: &Layout,
    lab: &mut Lab<'_>,
    control: &Control,
    stop: &AtomicBool,
) -> Result<(), LabError> {
    loop {
        match lab.listen(TICK, stop) {
            Ok(_) => {}
            Err(LabError::Stopped) => return Ok(()),
            // A node that somebody killed by hand is part of the play.
            Err(LabError::NodeEnded { .. }) => {}
            Err(error) => return Err(error),
        }
        while let Some(request) = control.next() {
            match request.order(scenario) {
                Ok(Order::Down) => {
                    request.answer("ok\n");
                    return Ok(());
                }
                Ok(Order::List) => request.answer(&list(scenario, layout, lab)),
                Ok(Order::Switch { fault, on }) => {
                    let (board, world) = (&mut lab.switchboard, &mut lab.world);
                    let done = match on {
                        true => board.on(world, scenario, layout, fault),
                        false => board.off(world, scenario, layout, fault),
                    };
                    let what = rules::describe(scenario, &scenario.faults[fault]);
                    let word = if on { "on" } else { "off" };
                    request.answer(&match done {
                        Ok(()) => format!("ok\n{} {word}: {what}\n", scenario.faults[fault].name),
                        Err(error) => format!("{error}\n"),
                    });
                }
                Err(why) => request.answer(&format!("{why}\n")),
            }
        }
    }
}

fn list(scenario: &Scenario, layout: &Layout, lab: &Lab<'_>) -> String {
    let mut text = String::from("ok\n");
    for (at, fault) in scenario.faults.iter().enumerate() {
        let state = if lab.switchboard.is_on(at) {
            "on "
        } else {
            "off"
        };
        let what = rules::describe(scenario, fault);
        let dropped = lab.switchboard.dropped(&lab.world, scenario, layout, at);
        let _ = write!(text, "{state}  {}: {what}", fault.name);
        if dropped > 0 {
            let _ = write!(text, "; {dropped} packets dropped");
        }
        text.push('\n');
    }
    text
}

fn guide(
    scenario: &Scenario,
    layout: &Layout,
    world: &World,
    privilege: Privilege,
    ports: &[u16],
) -> String {
    let mut text = String::from("\nConsoles, from this machine:\n");
    let nodes = scenario.nodes.iter().zip(ports).enumerate();
    for (at, (node, port)) in nodes.clone() {
        let address = layout.address(at).map(|address| address.to_string());
        let _ = writeln!(
            text,
            "  http://127.0.0.1:{port}/   {} in {}, {}",
            node.id,
            node.site,
            address.unwrap_or_default()
        );
    }
    let first = world.netns(Place::Node(0)).name();
    let _ = match privilege {
        Privilege::Root => writeln!(
            text,
            "Inside, for example:\n  ip netns exec {first} curl -s 127.0.0.1:8777"
        ),
        Privilege::UserNamespace => writeln!(
            text,
            "Inside, for example:\n  nsenter -t {} -U -m --preserve-credentials ip netns exec {first} curl -s 127.0.0.1:8777",
            std::process::id()
        ),
    };
    if !scenario.routers.is_empty() {
        text += "Routers:\n";
        for (at, router) in scenario.routers.iter().enumerate() {
            let place = Place::Router(at);
            let addresses: Vec<String> = layout
                .ports(place)
                .iter()
                .map(|port| format!("{} ({})", port.address, scenario.name_of(port.neighbour)))
                .collect();
            let _ = writeln!(text, "  {}: {}", router.name, addresses.join(", "));
        }
    }
    if !scenario.faults.is_empty() {
        text += "Faults:\n";
        for fault in &scenario.faults {
            let what = rules::describe(scenario, fault);
            let _ = writeln!(text, "  andon lab fault {} on      {what}", fault.name);
        }
    }
    text += "Logs and data: ";
    let _ = writeln!(text, "{}", world.folder().display());
    text += "Remove it all: andon lab down\n";
    text
}

/// Whether this user's lab stands.
pub fn stands() -> bool {
    ask("list").is_ok()
}

/// Ends the standing lab, and removes what labs have left that nobody runs.
pub fn down() -> Swept {
    let tag = tag();
    if ask("down").is_ok() {
        let folder = crate::world::build_folder(&tag);
        let deadline = Instant::now() + DOWN_MAX;
        while folder.exists() && Instant::now() < deadline {
            std::thread::sleep(TICK);
        }
    }
    remove_all(&tag)
}
