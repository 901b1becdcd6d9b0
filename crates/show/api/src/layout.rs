//! Where boxes stand on the map. Every node computes it alike from site names and node ids, so
//! everybody sees the same map, and it does not jump: a box finds its place by the hash of its
//! own id, and moves only when its site doubles or a site comes or goes.
//!
//! Knows nothing of canvases; distances are thought in a picture of 1200 × 700.

use andon_model::{NodeKind, NodeView, PictureView, Position};
use std::collections::BTreeMap;
use std::f64::consts::TAU;

/// The picture that distances below are measured in. Its shape is that of most windows.
const WIDTH: f64 = 1200.0;
/// See [`WIDTH`].
const HEIGHT: f64 = 700.0;

/// Half axes of the ellipse on which sites stand.
const SITES_X: f64 = 372.0;
/// See [`SITES_X`].
const SITES_Y: f64 = 180.0;

/// Most sites on the ellipse; more stand in rows.
const SITES_ON_ELLIPSE_MAX: usize = 8;

/// Distance from the picture's edge that nodes keep, for the targets on the rim and for names.
const EDGE: f64 = 64.0;

/// Distance from the edge at which targets and neighbours stand.
const RIM: f64 = 26.0;

/// Places on the rim; doubled as often as needed. Halved, targets of one site stand far apart.
const RIM_PLACES: usize = 32;

/// Share of the distance between two sites that each may fill.
const SITE_SHARE: f64 = 0.38;

/// Gives every box its position, both coordinates in 0..=1. The same view gives the same map,
/// whatever order its nodes come in.
pub fn place(view: &mut PictureView) {
    let centres = site_centres(&view.nodes);
    let spots = node_spots(&view.nodes, &centres);
    for (index, spot) in spots {
        view.nodes[index].position = Some(position(spot));
    }
    place_on_rim(view);
}

/// A point in the picture of [`WIDTH`] × [`HEIGHT`].
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    x: f64,
    y: f64,
}

fn distance(a: Point, b: Point) -> f64 {
    (a.x - b.x).hypot(a.y - b.y)
}

/// Rounded to a ten-thousandth: a tenth of a pixel, and shorter to send.
fn position(point: Point) -> Position {
    let share = |value: f64, whole: f64| ((value / whole).clamp(0.0, 1.0) * 1e4).round() / 1e4;
    Position {
        x: share(point.x, WIDTH) as f32,
        y: share(point.y, HEIGHT) as f32,
    }
}

/// Middle of each site and how far its nodes may stand from it.
struct Centre {
    at: Point,
    reach: f64,
}

/// Sites by name, evenly on an ellipse; many of them in rows.
fn site_centres(nodes: &[NodeView]) -> BTreeMap<String, Centre> {
    let mut names: Vec<String> = nodes.iter().filter_map(site_of).collect();
    names.sort_unstable();
    names.dedup();
    let points: Vec<Point> = (0..names.len())
        .map(|index| site_point(index, names.len()))
        .collect();
    let nearest = (1..points.len())
        .map(|index| distance(points[index - 1], points[index]))
        .chain(
            points
                .first()
                .zip(points.last())
                .map(|(a, b)| distance(*a, *b))
                .filter(|gap| *gap > 0.0),
        )
        .fold(f64::INFINITY, f64::min);
    let centre = |at: Point| {
        let edge = at.x.min(WIDTH - at.x).min(at.y).min(HEIGHT - at.y) - EDGE;
        Centre {
            at,
            reach: edge.min(nearest * SITE_SHARE).max(8.0),
        }
    };
    names
        .into_iter()
        .zip(points.into_iter().map(centre))
        .collect()
}

fn site_point(index: usize, sites: usize) -> Point {
    if sites <= SITES_ON_ELLIPSE_MAX {
        // From the left on, so that none is at the top edge; four in the corners.
        let start = match sites {
            1 => {
                return Point {
                    x: WIDTH / 2.0,
                    y: HEIGHT / 2.0,
                };
            }
            4 => 0.625,
            _ => 0.5,
        };
        let angle = TAU * (start + index as f64 / sites as f64);
        return Point {
            x: WIDTH / 2.0 + SITES_X * angle.cos(),
            y: HEIGHT / 2.0 + SITES_Y * angle.sin(),
        };
    }
    let columns = (sites as f64 * WIDTH / HEIGHT).sqrt().ceil().max(1.0);
    let rows = (sites as f64 / columns).ceil().max(1.0);
    let (row, column) = ((index as f64 / columns).floor(), index as f64 % columns);
    let cell =
        |number: f64, count: f64, whole: f64| EDGE + (whole - 2.0 * EDGE) * (number + 0.5) / count;
    Point {
        x: cell(column, columns, WIDTH),
        y: cell(row, rows, HEIGHT),
    }
}

/// The site of a node of the grid; other boxes stand on the rim.
fn site_of(node: &NodeView) -> Option<String> {
    let inside = node.kind == NodeKind::Andon;
    inside.then(|| {
        node.site
            .as_ref()
            .map_or_else(String::new, |site| site.as_str().to_owned())
    })
}

fn node_spots(nodes: &[NodeView], centres: &BTreeMap<String, Centre>) -> Vec<(usize, Point)> {
    let mut by_site: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        if let Some(site) = site_of(node) {
            by_site.entry(site).or_default().push(index);
        }
    }
    let mut spots = Vec::with_capacity(nodes.len());
    for (site, members) in by_site {
        let Some(centre) = centres.get(&site) else {
            continue;
        };
        let places = members.len().next_power_of_two();
        let radius = (50.0 + 34.0 * (places as f64).sqrt()).min(centre.reach);
        let wishes = members
            .iter()
            .map(|index| (hash(&nodes[*index].id), nodes[*index].id.as_str(), *index));
        for (index, slot) in seats(wishes.collect(), places) {
            spots.push((index, on_rings(centre.at, radius, slot, places)));
        }
    }
    spots
}

/// Slot `slot` of `places` around a centre. When the number of places doubles, a slot's angle
/// moves by half a slot at most.
fn on_rings(centre: Point, radius: f64, slot: usize, places: usize) -> Point {
    if places == 1 {
        return centre;
    }
    let rings = match places {
        0..=8 => 1,
        9..=32 => 2,
        33..=64 => 3,
        _ => ((places as f64).sqrt() / 2.6).ceil() as usize,
    };
    // The outermost ring is full size, the others share what lies within.
    let ring = slot % rings;
    let radius = radius * (1.0 - 0.78 * ring as f64 / rings as f64);
    let angle = TAU * slot as f64 / places as f64;
    Point {
        x: centre.x + radius * angle.cos(),
        y: centre.y + radius * angle.sin(),
    }
}

/// Seats each wish (hash, id, index) at the slot of its hash, or the next free one; by hash, so
/// that the order of arrival does not matter. At most `places` wishes.
fn seats(mut wishes: Vec<(u64, &str, usize)>, places: usize) -> Vec<(usize, usize)> {
    wishes.sort_unstable();
    let mut taken = vec![false; places];
    let mut seats = Vec::with_capacity(wishes.len());
    for (hash, _, index) in wishes {
        let wanted = slot_of(hash, places);
        // Leaping instead of stepping: a row of neighbours would move along when one leaves.
        let leaps = (0..LEAPS_MAX).map(|leap| slot_of(mix(hash.wrapping_add(leap)), places));
        let steps = (0..places).map(|step| (wanted + step) % places);
        let free = std::iter::once(wanted)
            .chain(leaps)
            .chain(steps)
            .find(|slot| !taken[*slot]);
        if let Some(slot) = free {
            taken[slot] = true;
            seats.push((index, slot));
        }
    }
    seats
}

/// Leaps before a seat is sought step by step.
const LEAPS_MAX: u64 = 64;

/// The leading bits of the hash, so that twice the places give twice the precision.
fn slot_of(hash: u64, places: usize) -> usize {
    ((u128::from(hash) * places as u128) >> 64) as usize
}

/// Targets and neighbours stand on the rim, in the direction of those who ask them.
fn place_on_rim(view: &mut PictureView) {
    let outside: BTreeMap<&str, usize> = view
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.kind != NodeKind::Andon)
        .map(|(index, node)| (node.id.as_str(), index))
        .collect();
    if outside.is_empty() {
        return;
    }
    let inside: BTreeMap<&str, Position> = view
        .nodes
        .iter()
        .filter_map(|node| Some((node.id.as_str(), node.position?)))
        .collect();
    let mut pulls: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for link in &view.links {
        if let (Some(index), Some(from)) = (
            outside.get(link.to.as_str()),
            inside.get(link.from.as_str()),
        ) {
            let pull = pulls.entry(*index).or_default();
            pull.0 += (f64::from(from.x) - 0.5) * WIDTH;
            pull.1 += (f64::from(from.y) - 0.5) * HEIGHT;
        }
    }
    let places = RIM_PLACES.max((outside.len() * 3 / 2).next_power_of_two());
    let wishes = outside.iter().map(|(id, index)| {
        let (x, y) = pulls.get(index).copied().unwrap_or_default();
        // Asked from all sides: anywhere, and always the same.
        let turn = if x.hypot(y) < 40.0 {
            hash(id) as f64 / u64::MAX as f64
        } else {
            (y.atan2(x) / TAU).rem_euclid(1.0)
        };
        // Half a place on, so that a site's two directions of rounding give one place.
        let turn = ((turn * places as f64).round() / places as f64 + 0.25 / places as f64).fract();
        ((turn * u64::MAX as f64) as u64, *id, *index)
    });
    let spots: Vec<(usize, Point)> = seats(wishes.collect(), places)
        .into_iter()
        .map(|(index, slot)| {
            let angle = TAU * slot as f64 / places as f64;
            let (x, y) = (WIDTH / 2.0 - RIM * 1.6, HEIGHT / 2.0 - RIM);
            (
                index,
                Point {
                    x: WIDTH / 2.0 + x * angle.cos(),
                    y: HEIGHT / 2.0 + y * angle.sin(),
                },
            )
        })
        .collect();
    for (index, spot) in spots {
        view.nodes[index].position = Some(position(spot));
    }
}

/// FNV-1a with a final mix, so that ids that differ in the last digit stand apart. Part of the
/// map: another function is another map.
fn hash(text: &str) -> u64 {
    mix(text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}

fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use andon_model::{Heard, LinkState, LinkView, NodeState, PictureDigest, SiteId, Timestamp};

    fn node(id: &str, site: Option<&str>, kind: NodeKind) -> NodeView {
        NodeView {
            id: id.to_owned(),
            key: None,
            site: site.map(|site| SiteId::new(site).unwrap()),
            kind,
            state: NodeState::Up,
            since: None,
            addresses: Vec::new(),
            labels: BTreeMap::new(),
            version: None,
            started_at: None,
            reach: None,
            host: None,
            clock_offset_us: None,
            fingerprint: None,
            position: None,
        }
    }

    /// `sites` sites of `each` nodes.
    fn grid(sites: usize, each: usize) -> PictureView {
        let nodes = (0..sites).flat_map(|site| {
            let site_name = format!("site{site}");
            (0..each).map(move |number| {
                node(
                    &format!("{site_name}-{number}"),
                    Some(&site_name),
                    NodeKind::Andon,
                )
            })
        });
        PictureView {
            digest: PictureDigest(0),
            generated_at: Timestamp(0),
            me: String::new(),
            nodes: nodes.collect(),
            links: Vec::new(),
            verdicts: Vec::new(),
        }
    }

    fn placed(mut view: PictureView) -> BTreeMap<String, Point> {
        place(&mut view);
        let point = |at: Position| Point {
            x: f64::from(at.x) * WIDTH,
            y: f64::from(at.y) * HEIGHT,
        };
        view.nodes
            .iter()
            .map(|node| (node.id.clone(), point(node.position.unwrap())))
            .collect()
    }

    fn nearest_pair(points: &BTreeMap<String, Point>) -> f64 {
        let points: Vec<Point> = points.values().copied().collect();
        let pairs = points
            .iter()
            .enumerate()
            .flat_map(|(index, a)| points[index + 1..].iter().map(|b| distance(*a, *b)));
        pairs.fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn boxes_stand_apart() {
        let check = |sites: usize, each: usize, apart: f64| {
            let found = nearest_pair(&placed(grid(sites, each)));
            assert!(found >= apart, "{sites} sites of {each}: {found:.0} px");
        };
        for (sites, each) in [
            (1, 2),
            (1, 5),
            (2, 2),
            (2, 5),
            (3, 2),
            (3, 5),
            (5, 1),
            (5, 4),
            (8, 2),
        ] {
            check(sites, each, 50.0);
        }
        for (sites, each) in [(1, 30), (2, 15), (3, 10), (5, 6), (8, 4)] {
            check(sites, each, 30.0);
        }
        for (sites, each) in [(1, 60), (2, 60), (3, 60), (5, 30), (10, 16)] {
            check(sites, each, 11.0);
        }
    }

    #[test]
    fn everything_lies_within_the_picture_and_has_a_place_of_its_own() {
        for (sites, each) in [(1, 1), (1, 1_000), (10, 100), (40, 3), (300, 1)] {
            let mut view = grid(sites, each);
            place(&mut view);
            let mut seen: Vec<(u32, u32)> = Vec::new();
            for node in &view.nodes {
                let at = node.position.unwrap();
                assert!((0.0..=1.0).contains(&at.x) && (0.0..=1.0).contains(&at.y));
                seen.push((at.x.to_bits(), at.y.to_bits()));
            }
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), view.nodes.len(), "{sites} sites of {each}");
        }
        assert_eq!(placed(grid(1, 1))["site0-0"], Point { x: 600.0, y: 350.0 });
    }

    #[test]
    fn one_node_more_or_less_moves_hardly_anybody() {
        let before = placed(grid(3, 7));
        let mut moved = 0;
        for gone in 0..21 {
            let mut less = grid(3, 7);
            let site = less.nodes.remove(gone).site;
            for node in &less.nodes {
                let stays = placed(less.clone())[&node.id] == before[&node.id];
                assert!(stays || node.site == site, "{} is elsewhere", node.id);
                moved += usize::from(!stays);
            }
        }
        assert!(moved <= 21, "{moved} of {} moved", 21 * 20);
    }

    #[test]
    fn the_order_of_nodes_does_not_matter() {
        let mut turned = grid(3, 6);
        turned.nodes.reverse();
        assert_eq!(placed(turned), placed(grid(3, 6)));
    }

    #[test]
    fn targets_stand_on_the_rim_near_those_who_ask() {
        let mut view = grid(2, 3);
        for (id, kind) in [
            ("shop", NodeKind::Target),
            ("dns", NodeKind::Target),
            ("LAN", NodeKind::GridBug),
        ] {
            view.nodes.push(node(id, None, kind));
        }
        for (from, to) in [
            ("site0-0", "shop"),
            ("site0-1", "shop"),
            ("site1-0", "dns"),
            ("site1-2", "dns"),
        ] {
            view.links.push(LinkView {
                from: from.into(),
                to: to.into(),
                state: LinkState::Up,
                reason: None,
                round_trip: None,
                transport: None,
                flows: andon_model::FlowCount::default(),
                loss: andon_model::LossPair::default(),
                rtt_us: andon_model::RttUs::default(),
                rtt_baseline_us: None,
                heard: Heard::NotExpected,
                since: None,
                via: false,
                detail: None,
            });
        }
        let points = placed(view);
        assert!(
            points["shop"].x < 100.0 && points["dns"].x > 1_100.0,
            "{points:?}"
        );
        assert!(nearest_pair(&points) > 40.0);
        let nodes = placed(grid(2, 3));
        assert!(
            nodes.iter().all(|(id, at)| points[id] == *at),
            "a target moves no node"
        );
    }
}
