//! Builds a planned network out of namespaces and cables, and takes it down again.

use super::command::{check_tools, inside, ip_batch, run};
use super::netns::Netns;
use super::nodes::Nodes;
use super::privilege::Privilege;
use super::relay::Relay;
use super::{LabError, sweep};
use crate::layout::{Layout, MTU, rules};
use crate::scenario::{Family, Place, Scenario};
use nix::fcntl::Flock;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which lab this is, and what it runs.
#[derive(Debug, Clone)]
pub struct Means {
    /// Tells this lab from others on the machine; no `-` in it.
    pub tag: String,
    /// The program whose `node` command is run.
    pub program: PathBuf,
    /// How the lab came to its rights.
    pub privilege: Privilege,
}

/// The network and the nodes of one scenario on this machine. Gone when it is dropped.
pub struct World {
    tag: String,
    folder: PathBuf,
    netns: BTreeMap<Place, Netns>,
    relays: BTreeMap<usize, Relay>,
    /// The node processes.
    pub nodes: Nodes,
    torn_down: bool,
    /// Tells others that somebody is at work here.
    _lock: Flock<File>,
}

impl World {
    /// Builds the network. No node runs yet.
    pub fn build(scenario: &Scenario, layout: &Layout, means: &Means) -> Result<Self, LabError> {
        check_tools()?;
        let (tag, nodes) = (means.tag.as_str(), scenario.nodes.len());
        let folder = folder(tag);
        make_folder(&folder)?;
        let lock = sweep::lock(&folder).map_err(LabError::io("lock the lab's folder"))?;
        let places = scenario.places();
        let netns = places.map(|place| (place, Netns::of(tag, scenario.name_of(place))));
        // From here on a failure takes down what is there.
        let mut world = Self {
            tag: tag.to_owned(),
            nodes: Nodes::new(&folder, &means.program, means.privilege, nodes),
            folder,
            netns: netns.collect(),
            relays: BTreeMap::new(),
            torn_down: false,
            _lock: lock,
        };
        world.namespaces(scenario, layout)?;
        world.cables(scenario, layout)?;
        world.addresses(scenario, layout)?;
        for (at, router) in scenario.routers.iter().enumerate() {
            if !router.icmp {
                world.nft(Place::Router(at), &rules::mute_for_good())?;
            }
        }
        world.nodes.prepare(scenario)?;
        Ok(world)
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The namespace of a node or router.
    pub fn netns(&self, place: Place) -> &Netns {
        &self.netns[&place]
    }

    /// Loads packet-filter rules in a namespace.
    pub fn nft(&self, place: Place, rules: &str) -> Result<(), LabError> {
        let mut nft = inside(&self.netns(place).path(), "nft");
        nft.args(["-f", "-"]);
        run(nft, rules).map(drop)
    }

    /// What a table of rules holds, with its counters.
    pub fn nft_list(&self, place: Place, table: &str) -> Result<String, LabError> {
        let mut list = inside(&self.netns(place).path(), "nft");
        list.args(["list", "table", "inet", table]);
        run(list, "")
    }

    /// Removes a table of rules.
    pub fn nft_remove(&self, place: Place, table: &str) -> Result<(), LabError> {
        let mut delete = inside(&self.netns(place).path(), "nft");
        delete.args(["delete", "table", "inet", table]);
        run(delete, "").map(drop)
    }

    /// Sets the largest packet of both ends of a wire; `None` is what the scenario says.
    pub fn mtu(&self, scenario: &Scenario, wire: usize, size: Option<u32>) -> Result<(), LabError> {
        let size = size.or(scenario.wires[wire].mtu).unwrap_or(MTU);
        for end in scenario.wires[wire].ends {
            let line = format!("link set dev w{wire} mtu {size}");
            ip_batch(Some(self.netns(end).name()), &[line])?;
        }
        Ok(())
    }

    /// Adds to the delay of a wire; from one end only, or both.
    pub fn delay(&self, scenario: &Scenario, wire: usize, more: Duration, from: Option<Place>) {
        let Some(relay) = self.relays.get(&wire) else {
            return;
        };
        let own = &scenario.wires[wire];
        for (at, end) in own.ends.iter().enumerate() {
            let hit = from.is_none_or(|from| from == *end);
            relay.delay(at, own.delay + if hit { more } else { Duration::ZERO });
        }
    }

    fn namespaces(&self, scenario: &Scenario, layout: &Layout) -> Result<(), LabError> {
        let mut names: Vec<&Netns> = self.netns.values().collect();
        let middle = self.middle();
        if !layout.relayed.is_empty() {
            names.push(&middle);
        }
        let lines: Vec<String> = names
            .iter()
            .map(|netns| format!("netns add {}", netns.name()))
            .collect();
        ip_batch(None, &lines)?;
        for (place, netns) in &self.netns {
            netns.set(&parameters(scenario, *place))?;
        }
        Ok(())
    }

    /// Where the two halves of relayed wires end.
    fn middle(&self) -> Netns {
        Netns::of(&self.tag, "-relays")
    }

    fn cables(&mut self, scenario: &Scenario, layout: &Layout) -> Result<(), LabError> {
        let middle = self.middle();
        let mut lines = Vec::new();
        let mut halves = vec!["link set dev lo up".to_owned()];
        for (at, wire) in scenario.wires.iter().enumerate() {
            let [one, other] = wire.ends.map(|end| self.netns(end).name());
            let mtu = wire.mtu.unwrap_or(MTU);
            if !layout.relayed.contains(&at) {
                lines.push(format!(
                    "link add w{at} mtu {mtu} netns {one} type veth peer name w{at} mtu {mtu} netns {other}"
                ));
                continue;
            }
            // Packets that the kernel glued together would not pass a relay.
            for (half, end) in [("a", one), ("b", other)] {
                lines.push(format!(
                    "link add w{at} mtu {mtu} gso_max_segs 1 netns {end} type veth peer name w{at}{half} mtu 9000 netns {}",
                    middle.name()
                ));
                halves.push(format!("link set dev w{at}{half} up"));
            }
        }
        ip_batch(None, &lines)?;
        if layout.relayed.is_empty() {
            return Ok(());
        }
        ip_batch(Some(middle.name()), &halves)?;
        for at in &layout.relayed {
            let devices = [format!("w{at}a"), format!("w{at}b")];
            let relay = Relay::start(&middle, devices, scenario.wires[*at].delay)?;
            self.relays.insert(*at, relay);
        }
        Ok(())
    }

    fn addresses(&self, scenario: &Scenario, layout: &Layout) -> Result<(), LabError> {
        let nodad = match scenario.family {
            Family::V4 => "",
            Family::V6 => " nodad",
        };
        for (place, netns) in &self.netns {
            let mut lines = vec!["link set dev lo up".to_owned()];
            for port in layout.ports(*place) {
                let (device, address, prefix) = (&port.device, port.address, port.prefix);
                lines.push(format!("link set dev {device} up"));
                lines.push(format!("addr add {address}/{prefix}{nodad} dev {device}"));
            }
            for route in layout.routes.get(place).into_iter().flatten() {
                let to = route.to.map_or("default".to_owned(), |(network, prefix)| {
                    format!("{network}/{prefix}")
                });
                let via: Vec<String> = route
                    .via
                    .iter()
                    .map(|(via, device)| format!("nexthop via {via} dev {device}"))
                    .collect();
                lines.push(format!("route add {to} {}", via.join(" ")));
            }
            ip_batch(Some(netns.name()), &lines)?;
        }
        Ok(())
    }

    /// Ends the nodes and removes everything.
    pub fn tear_down(&mut self) {
        if std::mem::replace(&mut self.torn_down, true) {
            return;
        }
        self.nodes.end();
        self.relays.clear();
        sweep::remove(&self.tag);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.tear_down();
    }
}

/// Where the files of a lab are.
pub fn folder(tag: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{}{tag}", super::netns::PREFIX))
}

/// Nodes that run as another user pass through it to folders of their own.
fn make_folder(folder: &Path) -> Result<(), LabError> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let what = || format!("make the folder {}", folder.display());
    // An old one is of a lab whose process id this one has by chance.
    let _ = std::fs::remove_dir_all(folder);
    std::fs::DirBuilder::new()
        .mode(0o711)
        .create(folder)
        .map_err(LabError::io(what()))?;
    let open = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(folder, open).map_err(LabError::io(what()))
}

fn parameters(scenario: &Scenario, place: Place) -> Vec<(String, String)> {
    let mut parameters: Vec<(&str, String)> = vec![
        // A flow is addresses and ports, so that flows spread over equal paths.
        ("net/ipv4/fib_multipath_hash_policy", "1".into()),
        ("net/ipv6/fib_multipath_hash_policy", "1".into()),
        // Ways there and back differ.
        ("net/ipv4/conf/all/rp_filter", "0".into()),
        ("net/ipv4/conf/default/rp_filter", "0".into()),
        ("net/ipv6/conf/all/accept_dad", "0".into()),
        ("net/ipv6/conf/default/accept_dad", "0".into()),
    ];
    if let Place::Router(router) = place {
        let count = scenario.routers.len();
        if scenario.routers[router].shows_inbound {
            parameters.push(("net/ipv4/icmp_errors_use_inbound_ifaddr", "1".into()));
        }
        parameters.push(("net/ipv4/ip_forward", "1".into()));
        parameters.push(("net/ipv6/conf/all/forwarding", "1".into()));
        // Routers of one make that hash alike would send all that one of them sent left to
        // the left again. Another seed in every run, since no run shall stand for all.
        let seed = std::process::id() as usize * (count + 1) + router + 1;
        parameters.push(("net/ipv4/fib_multipath_hash_seed", seed.to_string()));
    }
    let parameters = parameters.into_iter();
    parameters
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
