//! The one entry: a picture in, the document with its verdicts out.

use crate::path::PathFaults;
use crate::roster::Roster;
use crate::standing::Standing;
use crate::{links, neighbours, nodes, targets, verdicts};
use andon_model::{NodeKey, Picture, PictureView, Timestamp};

/// Judges `picture` as node `me` sees it at `now`.
///
/// Only reports of nodes that `me` reaches, itself or through others, count; two nodes that
/// reach each other and hold the same picture get the same nodes, links and verdicts. `now`
/// only dates the document. Never panics, whatever the slices claim: links to unknown keys or
/// to oneself are ignored, and figures outside their range become "not measured".
///
/// Positions are `None`: where a box stands on the map is not a judgement.
pub fn judge(picture: &Picture, me: NodeKey, now: Timestamp) -> PictureView {
    let mut roster = Roster::of(picture, me);
    let standing = Standing::of(&roster);
    let targets = targets::gather(&mut roster, &standing);
    let neighbours = neighbours::gather(&mut roster, &standing);

    let mut nodes = nodes::views(&roster, &standing);
    nodes.extend(targets.iter().map(targets::Target::view));
    nodes.extend(neighbours.iter().map(neighbours::Bug::view));
    nodes.sort_by(|a, b| {
        (a.site.is_none(), &a.site, &a.id).cmp(&(b.site.is_none(), &b.site, &b.id))
    });

    let mut links = links::views(&roster, &standing);
    targets::link_views(&targets, &roster, &standing, &mut links);
    neighbours::link_views(&neighbours, &roster, &standing, &mut links);
    links.sort_by(|a, b| (&a.from, &a.to).cmp(&(&b.from, &b.to)));

    let paths = PathFaults::of(&roster, &standing, &targets, picture.digest.0);
    PictureView {
        digest: picture.digest,
        generated_at: now,
        me: roster
            .me
            .map_or_else(|| me.to_string(), |index| roster.members[index].id.clone()),
        nodes,
        links,
        verdicts: verdicts::all(&roster, &standing, &targets, &neighbours, &paths),
    }
}
