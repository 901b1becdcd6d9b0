//! Who told of ways at all, and may be believed: path reports of living nodes on their own
//! links, by index, each beside the link's report.

use crate::direction::is_conclusive;
use crate::roster::Roster;
use crate::standing::Standing;
use crate::targets::Target;
use andon_model::path::{PATH_ROUTES_MAX, PathReport, Route};
use andon_model::{LinkReport, Peer, Transport};

/// One link whose ways are known.
#[derive(Clone, Copy)]
pub struct LinkPaths<'a> {
    /// Index of the observing member.
    pub observer: u32,
    /// Index of the far member; targets come after all members.
    pub far: u32,
    pub link: &'a LinkReport,
    pub path: &'a PathReport,
}

impl<'a> LinkPaths<'a> {
    /// Its routes, as many as are looked at.
    pub fn routes(&self) -> &'a [Route] {
        &self.path.routes[..self.path.routes.len().min(PATH_ROUTES_MAX)]
    }
}

/// All links whose ways count, by observer, then far end.
pub struct Reports<'a> {
    pub all: Vec<LinkPaths<'a>>,
    /// Where each member's part of `all` begins, and one more.
    begin: Vec<usize>,
    /// How many far ends there are: members and targets.
    pub fars: usize,
}

impl<'a> Reports<'a> {
    pub fn of(roster: &Roster<'a>, standing: &Standing<'_>, targets: &[Target<'a>]) -> Self {
        let members = roster.members.len();
        let mut all = Vec::new();
        let mut begin = Vec::with_capacity(members + 1);
        for (observer, member) in roster.members.iter().enumerate() {
            begin.push(all.len());
            if member.left || !standing.alive[observer] {
                continue;
            }
            let first = all.len();
            for path in &member.slice.paths {
                let (far, link) = match &path.to {
                    Peer::Node(key) => {
                        let Some(far) = roster.index_of_key(key) else {
                            continue;
                        };
                        let lives = standing.alive[far] && !roster.members[far].left;
                        let Some(link) = member.report_on(far).filter(|_| lives) else {
                            continue;
                        };
                        // Frames over TCP are no flows; that UDP does not pass is no news then.
                        if link.transport == Transport::Tcp {
                            continue;
                        }
                        (far, link)
                    }
                    Peer::Target(id) => {
                        let Some(far) = targets.iter().position(|target| target.spec.id == *id)
                        else {
                            continue;
                        };
                        let Some(link) = member.slice.links.get(&path.to) else {
                            continue;
                        };
                        (members + far, link)
                    }
                };
                if is_conclusive(link.state) && far != observer {
                    all.push(LinkPaths {
                        observer: observer as u32,
                        far: far as u32,
                        link,
                        path,
                    });
                }
            }
            all[first..].sort_by_key(|report| report.far);
            // Of several reports on one link the first counts: nobody speaks twice.
            let mut kept = first;
            for at in first..all.len() {
                if at == first || all[at].far != all[kept - 1].far {
                    all[kept] = all[at];
                    kept += 1;
                }
            }
            all.truncate(kept);
        }
        begin.push(all.len());
        Self {
            all,
            begin,
            fars: members + targets.len(),
        }
    }

    /// The report of `observer` on its link to `far`.
    pub fn find(&self, observer: u32, far: u32) -> Option<&LinkPaths<'a>> {
        let begin = *self.begin.get(observer as usize)?;
        let end = *self.begin.get(observer as usize + 1)?;
        let own = &self.all[begin..end];
        let at = own.binary_search_by_key(&far, |report| report.far).ok()?;
        Some(&own[at])
    }
}
