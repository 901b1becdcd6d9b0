//! One trouble is one incident on every node, and what people say of it is heard everywhere.

use super::people::token;
use crate::support::fleet::{Fleet, Node, refs};
use crate::support::sight::all_well;
use crate::support::{hold, http, wait_for};
use andon_model::{Incident, IncidentState, TimelineKind};
use std::collections::BTreeSet;

fn incidents(node: &Node) -> Result<Vec<Incident>, String> {
    let answer = http::get(node.address, "/api/v1/incidents")?;
    serde_json::from_str(&answer.body).map_err(|error| format!("{error}: {}", answer.body))
}

fn only(node: &Node) -> Result<Incident, String> {
    let mut all = incidents(node)?;
    hold(all.len() == 1, || format!("{} shows {all:#?}", node.id))?;
    Ok(all.remove(0))
}

#[test]
fn a_killed_node_is_one_incident_everywhere_until_it_comes_back() {
    let fleet = Fleet::new("incident");
    let mut nodes = fleet.start(&["web-1", "web-2", "db-1", "db-2"]);
    wait_for("four nodes that agree", || all_well(&refs(&nodes)));
    assert!(nodes.iter().all(|node| incidents(node).unwrap().is_empty()));

    let lost = nodes.remove(3).kill();
    let id = wait_for("one incident of one name on every survivor", || {
        let all: Vec<Incident> = nodes.iter().map(only).collect::<Result<_, _>>()?;
        let ids: BTreeSet<&String> = all.iter().map(|incident| &incident.id).collect();
        hold(ids.len() == 1, || format!("{ids:?}"))?;
        hold(all.iter().all(|i| i.state == IncidentState::Open), || {
            "not open".into()
        })?;
        Ok(all[0].id.clone())
    });

    let token = token(&nodes[0], "operator");
    let end = &id[id.len() - 4..];
    for words in [
        &["ack", end][..],
        &["own", end, "--to", "grace"],
        &["note", end, "somebody", "pulled", "<b>the plug</b>"],
    ] {
        let mut args = vec!["incident"];
        args.extend(words);
        let url = format!("http://{}", nodes[0].address);
        args.extend(["--node", &url, "--token", &token]);
        let said = nodes[0].run(&args);
        assert!(said.status.success(), "{said:?}");
    }
    wait_for("what was said, on another node", || {
        let told = only(&nodes[2])?;
        hold(told.acknowledged_by.is_some(), || "not acknowledged".into())?;
        hold(told.owner.as_deref() == Some("grace"), || {
            format!("{:?}", told.owner)
        })?;
        let note = told
            .timeline
            .iter()
            .find(|line| line.kind == TimelineKind::Note);
        let note = note.ok_or("no note")?;
        hold(note.text.contains("pulled <b>the plug</b>"), || {
            note.text.clone()
        })
    });
    // A viewer may look, and no more.
    let path = format!("/api/v1/incidents/{id}/ack");
    let refused = http::request(
        nodes[1].address,
        "POST",
        &path,
        &[("content-type", "application/json")],
        "{}",
    )
    .unwrap();
    assert!([401, 403].contains(&refused.status), "{}", refused.status);

    // A survivor that restarts goes on with the same incident.
    let again = nodes.remove(1).kill().start();
    nodes.push(again);
    wait_for("the same incident after a restart", || {
        let all = incidents(nodes.last().unwrap())?;
        hold(all.iter().any(|incident| incident.id == id), || {
            format!("{all:#?}")
        })
    });

    nodes.push(lost.start());
    wait_for("it to be mitigated", || {
        nodes[..2].iter().try_for_each(|node| {
            let told = incidents(node)?
                .into_iter()
                .find(|incident| incident.id == id);
            let state = told.ok_or("it is gone")?.state;
            hold(state == IncidentState::Mitigated, || format!("{state:?}"))
        })
    });
}
