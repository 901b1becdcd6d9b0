//! Who reaches whom: a matrix of nodes, or of sites where there are many.

use super::page::{Page, Tone};
use super::words::{NAME_WIDTH_MAX, count, link_shape, link_tone, link_word, name_width, pad};
use andon_model::{LinkState, NodeKind, NodeView, PictureView};
use std::collections::BTreeMap;

/// Up to this many nodes links are drawn node by node, beyond it site by site. More columns
/// than 12 do not fit 80 characters beside the names.
const MATRIX_NODES_MAX: usize = 12;

/// Draws them.
pub(super) fn draw(page: &mut Page, view: &PictureView) {
    let nodes: Vec<&NodeView> = view
        .nodes
        .iter()
        .filter(|node| node.kind == NodeKind::Andon)
        .collect();
    if nodes.len() < 2 {
        return;
    }
    if nodes.len() <= MATRIX_NODES_MAX {
        let names: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
        let places: BTreeMap<&str, usize> = names
            .iter()
            .enumerate()
            .map(|(place, name)| (*name, place))
            .collect();
        page.rule("links: the row's node asks the column's");
        matrix(page, view, &names, &places);
        return;
    }
    let site = |node: &&NodeView| {
        node.site
            .as_ref()
            .map_or("", |site| site.as_str())
            .to_owned()
    };
    let mut sites: Vec<String> = nodes.iter().map(site).collect();
    sites.sort_unstable();
    sites.dedup();
    let fits = (page.width.saturating_sub(NAME_WIDTH_MAX + 8) / 4).max(2);
    let more = sites.len().saturating_sub(fits);
    sites.truncate(fits);
    let names: Vec<&str> = sites.iter().map(String::as_str).collect();
    let places: BTreeMap<&str, usize> = nodes
        .iter()
        .filter_map(|node| Some((node.id.as_str(), sites.binary_search(&site(node)).ok()?)))
        .collect();
    page.rule("links: the row's site asks the column's; how many of them are not up");
    matrix(page, view, &names, &places);
    if more > 0 {
        page.line(
            &[(&format!("   and {} more", count(more, "site")), Tone::Faint)],
            "",
        );
    }
}

/// A cell of the matrix: the worst state of its links, and how many are not up.
#[derive(Clone, Default)]
struct Cell {
    worst: Option<LinkState>,
    links: usize,
    failing: usize,
}

/// `places`: row and column of each node, by its id.
fn matrix(page: &mut Page, view: &PictureView, names: &[&str], places: &BTreeMap<&str, usize>) {
    let mut cells = vec![Cell::default(); names.len() * names.len()];
    for link in &view.links {
        let (Some(from), Some(to)) = (places.get(link.from.as_str()), places.get(link.to.as_str()))
        else {
            continue;
        };
        let cell = &mut cells[from * names.len() + to];
        cell.links += 1;
        cell.failing += usize::from(is_failing(link.state));
        if cell
            .worst
            .is_none_or(|worst| severity(link.state) > severity(worst))
        {
            cell.worst = Some(link.state);
        }
    }
    let width = name_width(names.iter().copied());
    let mut head = format!("    {}", pad("", width));
    for column in 1..=names.len() {
        head += &format!("{column:>4}");
    }
    page.line(&[(&head, Tone::Faint)], "");
    let mut shown: Vec<LinkState> = Vec::new();
    for (row, name) in names.iter().enumerate() {
        let label = format!(" {:>2} {}", row + 1, pad(name, width));
        let mut parts: Vec<(String, Tone)> = vec![(label, Tone::Plain)];
        for column in 0..names.len() {
            let cell = &cells[row * names.len() + column];
            let Some(worst) = cell.worst else {
                parts.push(("    ".to_owned(), Tone::Faint));
                continue;
            };
            shown.push(worst);
            let number = if cell.links > 1 && cell.failing > 0 {
                cell.failing.min(99).to_string()
            } else {
                String::new()
            };
            parts.push((
                format!("{:>4}", format!("{}{number}", link_shape(worst))),
                link_tone(worst),
            ));
        }
        let parts: Vec<(&str, Tone)> = parts
            .iter()
            .map(|(text, tone)| (text.as_str(), *tone))
            .collect();
        page.line(&parts, "");
    }
    shown.sort_unstable();
    shown.dedup();
    let legend: Vec<String> = shown
        .iter()
        .map(|state| format!("{} {}", link_shape(*state), link_word(*state)))
        .collect();
    page.line(&[(&format!("    {}", legend.join("   ")), Tone::Faint)], "");
}

fn is_failing(state: LinkState) -> bool {
    matches!(
        state,
        LinkState::Partial | LinkState::Degraded | LinkState::Down
    )
}

/// Which of a cell's states its shape shows.
fn severity(state: LinkState) -> u8 {
    match state {
        LinkState::Down => 6,
        LinkState::Partial => 5,
        LinkState::Degraded => 4,
        LinkState::Unknown => 3,
        LinkState::Up => 2,
        LinkState::Left => 1,
        LinkState::NotProbed => 0,
    }
}
