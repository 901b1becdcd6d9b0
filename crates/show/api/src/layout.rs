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

/// Half width of the part of the picture in which sites stand. What is left and right of it
/// belongs to targets and their names.
const AREA_X: f64 = 431.0;
/// Half height of it. What is above and below belongs to the names of sites and nodes.
const AREA_Y: f64 = 283.0;

/// Most sites that stand around an open middle; more stand in rows.
const SITES_AROUND_MAX: usize = 8;

/// Between the nodes of two sites side by side: the padding of both frames, and a gap.
const SITES_APART_X: f64 = 96.0;
/// Between the nodes of two sites one above the other: besides, the names of the upper one's
/// nodes and of the lower site.
const SITES_APART_Y: f64 = 120.0;

/// Distance from the left or right edge at which targets and neighbours stand.
const RIM: f64 = 60.0;

/// Places on either side; doubled as often as needed. Doubled, names touch.
const RIM_PLACES: usize = 8;

/// Places in one column of a side; beyond it columns stand beside each other.
const RIM_COLUMN_PLACES_MAX: usize = 16;

/// Share of the distance between two sites in rows that each may fill.
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

/// Rounded to a ten-thousandth: a tenth of a pixel, and shorter to send.
fn position(point: Point) -> Position {
    let share = |value: f64, whole: f64| ((value / whole).clamp(0.0, 1.0) * 1e4).round() / 1e4;
    Position {
        x: share(point.x, WIDTH) as f32,
        y: share(point.y, HEIGHT) as f32,
    }
}

/// Middle of each site and how far its nodes may stand from it, each way.
struct Centre {
    at: Point,
    reach: Point,
}

/// Sites by name, around an open middle through which their links pass; many of them in rows.
fn site_centres(nodes: &[NodeView]) -> BTreeMap<String, Centre> {
    let mut names: Vec<String> = nodes.iter().filter_map(site_of).collect();
    names.sort_unstable();
    names.dedup();
    let count = names.len();
    let centre = |index: usize| {
        if count <= SITES_AROUND_MAX {
            around(index, count)
        } else {
            in_rows(index, count)
        }
    };
    let centres = (0..count).map(centre);
    names.into_iter().zip(centres).collect()
}

/// Where the sites stand for each number of them, clockwise from the left, in half widths and
/// half heights; and how far apart the nearest columns, and the nearest sites of one column
/// are. No three sites with links through one another stand in a row.
type Places = (&'static [(f64, f64)], f64, f64);
const AROUND: [Places; SITES_AROUND_MAX] = [
    (&[(0.0, 0.0)], f64::INFINITY, f64::INFINITY),
    (&[(-1.0, 0.0), (1.0, 0.0)], 2.0, f64::INFINITY),
    (&[(-1.0, 0.0), (1.0, -1.0), (1.0, 1.0)], 2.0, 2.0),
    (
        &[(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)],
        2.0,
        2.0,
    ),
    (
        &[
            (-1.0, 0.0),
            (0.0, -1.0),
            (1.0, -0.62),
            (1.0, 0.62),
            (0.0, 1.0),
        ],
        1.0,
        1.24,
    ),
    (
        &[
            (-1.0, 0.0),
            (-0.35, -1.0),
            (0.35, -1.0),
            (1.0, 0.0),
            (0.35, 1.0),
            (-0.35, 1.0),
        ],
        0.65,
        2.0,
    ),
    (
        &[
            (-1.0, 0.0),
            (-0.35, -1.0),
            (0.35, -1.0),
            (1.0, -0.62),
            (1.0, 0.62),
            (0.35, 1.0),
            (-0.35, 1.0),
        ],
        0.65,
        1.24,
    ),
    (
        &[
            (-1.0, -0.62),
            (-0.35, -1.0),
            (0.35, -1.0),
            (1.0, -0.62),
            (1.0, 0.62),
            (0.35, 1.0),
            (-0.35, 1.0),
            (-1.0, 0.62),
        ],
        0.65,
        1.24,
    ),
];

fn around(index: usize, sites: usize) -> Centre {
    let (points, apart_x, apart_y) = AROUND[sites - 1];
    // A site's reach and the way from the middle share the half side; what is between two
    // sites is their distance less the reach of both.
    let reach = |half: f64, apart: f64, gap: f64| {
        if apart.is_infinite() {
            half
        } else {
            (apart * half - gap) / (2.0 + apart)
        }
    };
    let reach = Point {
        x: reach(AREA_X, apart_x, SITES_APART_X),
        y: reach(AREA_Y, apart_y, SITES_APART_Y),
    };
    let (x, y) = points[index];
    let at = Point {
        x: WIDTH / 2.0 + x * (AREA_X - reach.x),
        y: HEIGHT / 2.0 + y * (AREA_Y - reach.y),
    };
    Centre { at, reach }
}

fn in_rows(index: usize, sites: usize) -> Centre {
    let columns = (sites as f64 * WIDTH / HEIGHT).sqrt().ceil().max(1.0);
    let rows = (sites as f64 / columns).ceil().max(1.0);
    let (row, column) = ((index as f64 / columns).floor(), index as f64 % columns);
    let (wide, high) = (2.0 * AREA_X / columns, 2.0 * AREA_Y / rows);
    let reach = (wide.min(high) * SITE_SHARE).max(8.0);
    Centre {
        at: Point {
            x: WIDTH / 2.0 - AREA_X + wide * (column + 0.5),
            y: HEIGHT / 2.0 - AREA_Y + high * (row + 0.5),
        },
        reach: Point { x: reach, y: reach },
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
        let radius = 50.0 + 34.0 * (places as f64).sqrt();
        let radius = Point {
            x: radius.min(centre.reach.x),
            y: radius.min(centre.reach.y),
        };
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
fn on_rings(centre: Point, radius: Point, slot: usize, places: usize) -> Point {
    if places == 1 {
        return centre;
    }
    let rings = match places {
        0..=8 => 1,
        9..=32 => 2,
        33..=64 => 4,
        _ => ((places as f64).sqrt() / 2.6).ceil() as usize,
    };
    // The outermost ring is full size, the others share what lies within.
    let ring = slot % rings;
    let share = 1.0 - 0.78 * ring as f64 / rings as f64;
    let angle = TAU * slot as f64 / places as f64;
    Point {
        x: centre.x + radius.x * share * angle.cos(),
        y: centre.y + radius.y * share * angle.sin(),
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

/// Targets and neighbours stand left and right of all sites, beside those who ask them.
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
    let mut pulls: BTreeMap<usize, (f64, f64, f64)> = BTreeMap::new();
    for link in &view.links {
        if let (Some(index), Some(from)) = (
            outside.get(link.to.as_str()),
            inside.get(link.from.as_str()),
        ) {
            let (x, y, askers) = pulls.entry(*index).or_default();
            *x += f64::from(from.x) - 0.5;
            *y += f64::from(from.y);
            *askers += 1.0;
        }
    }
    let mut sides: [Vec<(u64, &str, usize)>; 2] = Default::default();
    for (id, index) in &outside {
        let (x, y, askers) = pulls.get(index).copied().unwrap_or_default();
        // Asked from both sides: on either, and always the same.
        let from_afar = askers == 0.0 || x.abs() < askers * 0.04;
        let (left, high) = if from_afar {
            let hash = hash(id);
            (hash.is_multiple_of(2), hash as f64 / u64::MAX as f64)
        } else {
            (x < 0.0, y / askers)
        };
        let wish = (high.clamp(0.0, 0.999) * u64::MAX as f64) as u64;
        sides[usize::from(!left)].push((wish, *id, *index));
    }
    let mut spots: Vec<(usize, Point)> = Vec::with_capacity(outside.len());
    for (side, wishes) in sides.into_iter().enumerate() {
        let places = RIM_PLACES.max(wishes.len().next_power_of_two());
        let columns = places.div_ceil(RIM_COLUMN_PLACES_MAX);
        for (index, slot) in seats(wishes, places) {
            // Columns of a crowd share what is between the edge and the rim.
            let x = RIM * (1.0 - (slot % columns) as f64 / columns as f64);
            let y = 2.0 * (slot as f64 + 0.5) / places as f64 - 1.0;
            let at = Point {
                x: if side == 0 { x } else { WIDTH - x },
                y: HEIGHT / 2.0 + AREA_Y * y,
            };
            spots.push((index, at));
        }
    }
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

    fn asks(from: &str, to: &str) -> LinkView {
        LinkView {
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

    fn distance(a: Point, b: Point) -> f64 {
        (a.x - b.x).hypot(a.y - b.y)
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
            view.links.push(asks(from, to));
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

    /// What a box covers on the console's canvas of 1200 × 700: left, top, right, bottom.
    type Rect = [f64; 4];

    fn meet(a: Rect, b: Rect) -> bool {
        a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
    }

    /// Frames of sites with their names, and targets with theirs, as the console draws them: it
    /// stretches the map to the canvas and pads by fixed numbers of pixels.
    fn drawn(view: &PictureView) -> Vec<(String, Rect)> {
        let spots: Vec<Point> = view
            .nodes
            .iter()
            .map(|node| node.position.unwrap())
            .map(|at| Point {
                x: at.x.into(),
                y: at.y.into(),
            })
            .collect();
        let crowded = spots.len() > 40;
        let radius = match spots.len() {
            41.. => ((WIDTH * HEIGHT / spots.len() as f64).sqrt() / 9.0).clamp(1.8, 6.0),
            17.. => 10.0,
            _ => 14.0,
        };
        let pad = radius + if crowded { 10.0 } else { 27.0 };
        let under = if crowded { 0.0 } else { 14.0 };
        let (inset_x, top, bottom) = (96.0_f64.max(pad + 8.0), pad + 8.0 + 22.0, pad + 8.0 + under);
        let range = |of: fn(&Point) -> f64| {
            let (low, high) = spots
                .iter()
                .map(of)
                .fold((1.0_f64, 0.0_f64), |(low, high), at| {
                    (low.min(at), high.max(at))
                });
            ((low + high) / 2.0, (high - low).max(0.25))
        };
        let ((middle_x, wide), (middle_y, high)) = (range(|at| at.x), range(|at| at.y));
        let mut sites: BTreeMap<String, Rect> = BTreeMap::new();
        let mut drawn = Vec::new();
        for (node, at) in view.nodes.iter().zip(&spots) {
            let x = inset_x + (0.5 + (at.x - middle_x) / wide) * (WIDTH - 2.0 * inset_x);
            let y = top + (0.5 + (at.y - middle_y) / high) * (HEIGHT - top - bottom);
            if let Some(site) = site_of(node) {
                let frame = sites.entry(site).or_insert([x, y, x, y]);
                *frame = [
                    frame[0].min(x),
                    frame[1].min(y),
                    frame[2].max(x),
                    frame[3].max(y),
                ];
            } else {
                let name = if crowded { 0.0 } else { 60.0 };
                let half = radius.max(name);
                drawn.push((
                    node.id.clone(),
                    [x - half, y - radius, x + half, y + radius + 19.0],
                ));
            }
        }
        let name = 18.0;
        drawn.extend(sites.into_iter().map(|(site, [x0, y0, x1, y1])| {
            (
                site,
                [x0 - pad, y0 - pad - name, x1 + pad, y1 + pad + under],
            )
        }));
        drawn
    }

    #[test]
    fn no_site_lies_on_another_or_on_a_target() {
        for (sites, each, targets) in (1..=8)
            .flat_map(|sites| (1..=6).flat_map(move |each| (0..=6).map(move |t| (sites, each, t))))
        {
            // Each target asked from one site, from all, or by nobody yet.
            for asked_by in [Some(1), Some(sites), None] {
                let mut view = grid(sites, each);
                for target in 0..targets {
                    let id = format!("target{target}");
                    let from = (0..asked_by.unwrap_or(0)).map(|site| (site + target) % sites);
                    view.links
                        .extend(from.map(|site| asks(&format!("site{site}-0"), &id)));
                    view.nodes.push(node(&id, None, NodeKind::Target));
                }
                place(&mut view);
                let boxes = drawn(&view);
                for (index, (name, a)) in boxes.iter().enumerate() {
                    for (other, b) in &boxes[index + 1..] {
                        let case =
                            format!("{sites} sites of {each}, {targets} targets, {asked_by:?}");
                        assert!(!meet(*a, *b), "{case}: {name} {a:.0?} on {other} {b:.0?}");
                    }
                    assert!(a[1] >= 0.0 && a[3] <= HEIGHT, "{name} {a:.0?}");
                }
            }
        }
    }
}
