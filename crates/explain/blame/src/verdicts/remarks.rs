//! Remarks on the picture itself: ids that clash, clocks that differ, hosts too busy to be
//! believed.

use super::{confidence, evidence, verdict};
use crate::roster::Roster;
use crate::standing::Standing;
use crate::words::{count, list, milliseconds, span};
use andon_model::{Timestamp, Verdict, VerdictKind};

/// Clock error from which it is worth a remark: the bound from which links publish it.
const CLOCK_OFFSET_US_MIN: u64 = 100_000;

pub fn all(roster: &Roster<'_>, standing: &Standing<'_>) -> Vec<Verdict> {
    let mut remarks: Vec<Verdict> = roster
        .conflicts
        .iter()
        .filter_map(|group| id_conflict(roster, standing, group))
        .collect();
    for index in standing
        .living()
        .filter(|index| !roster.members[*index].left)
    {
        remarks.extend(clock_skew(roster, standing, index));
    }
    remarks.extend(hosts_busy(roster, standing));
    remarks
}

/// Two living nodes claim one id. (A dead claimant is most often the same host before it was
/// set up anew; its own verdict says so.)
fn id_conflict(roster: &Roster<'_>, standing: &Standing<'_>, group: &[usize]) -> Option<Verdict> {
    let living: Vec<usize> = group
        .iter()
        .copied()
        .filter(|index| standing.alive[*index] && !roster.members[*index].left)
        .collect();
    let [_, _, ..] = living[..] else { return None };
    let id = roster.members[living[0]].slice.identity.id.as_str();
    let place = |index: &usize| {
        let member = &roster.members[*index];
        let address = member.slice.identity.addresses.first();
        let address = address.map_or_else(|| "address unknown".to_owned(), ToString::to_string);
        format!(
            "{} at {address} (site {})",
            member.id, member.slice.identity.site
        )
    };
    let places: Vec<String> = living.iter().map(place).collect();
    let sentence = format!(
        "{} carry the id {id}: {}. Give each its own --id; until then the one that started later is shown with a mark.",
        count(living.len(), "node"),
        list(places.iter().map(String::as_str)),
    );
    let claims = living.iter().map(|index| {
        let member = &roster.members[*index];
        evidence(
            &member.id,
            format!("claims the id {id} with key {}", member.key),
            true,
            Some(member.slice.identity.started_at),
        )
    });
    let since = living
        .iter()
        .map(|index| roster.members[*index].slice.identity.started_at)
        .max()?;
    Some(verdict(
        VerdictKind::IdConflict,
        id,
        sentence,
        0.99,
        claims.collect(),
        since,
    ))
}

fn clock_skew(roster: &Roster<'_>, standing: &Standing<'_>, index: usize) -> Option<Verdict> {
    let offset = standing.clock_offset_us[index]
        .filter(|offset| offset.unsigned_abs() >= CLOCK_OFFSET_US_MIN)?;
    let observers = &standing.seen[index].reached_by;
    let id = &roster.members[index].id;
    // Two nodes that know only each other: one remark, and neither is called wrong.
    let rival = match observers[..] {
        [only] if standing.seen[only].reached_by == [index] => Some(only),
        _ => None,
    };
    if rival.is_some_and(|rival| rival < index && standing.clock_offset_us[rival].is_some()) {
        return None;
    }
    let distance = span(offset.unsigned_abs());
    let side = if offset > 0 { "ahead of" } else { "behind" };
    let reports: Vec<(usize, Option<i64>, Timestamp)> = observers
        .iter()
        .filter_map(|observer| {
            let report = roster.members[*observer].report_on(index)?;
            Some((*observer, report.clock_offset_us, report.since))
        })
        .collect();
    let agree = reports
        .iter()
        .filter(|(_, measured, _)| measured.is_some())
        .count();
    let sentence = match rival {
        Some(rival) => format!(
            "The clocks of {id} and {} differ by {distance}; {id} is {side} the other. Which of them is wrong cannot be told from here.",
            roster.members[rival].id
        ),
        None => format!(
            "The clock of {id} is {distance} {side} the others: {agree} of {} that measure it agree. Times that it reports are off by as much.",
            count(reports.len(), "node"),
        ),
    };
    let evidence = reports.iter().map(|(observer, measured, since)| {
        let observer = &roster.members[*observer].id;
        match measured {
            Some(us) => {
                let side = if *us > 0 { "ahead of" } else { "behind" };
                evidence(
                    observer,
                    format!(
                        "measures {id}'s clock {} {side} its own",
                        span(us.unsigned_abs())
                    ),
                    true,
                    Some(*since),
                )
            }
            None => evidence(observer, format!("finds {id}'s clock right"), false, None),
        }
    });
    let since = reports.iter().map(|(_, _, since)| *since).min()?;
    Some(verdict(
        VerdictKind::ClockSkew,
        id,
        sentence,
        confidence(agree, reports.len()),
        evidence.collect(),
        since,
    ))
}

/// All busy hosts in one remark: it asks for nothing, and a row of them hides what does.
fn hosts_busy(roster: &Roster<'_>, standing: &Standing<'_>) -> Option<Verdict> {
    let mut busy: Vec<usize> = standing
        .living()
        .filter(|index| !roster.members[*index].left && roster.members[*index].slice.host.busy)
        .collect();
    let since = busy
        .iter()
        .map(|index| {
            let started_at = roster.members[*index].slice.identity.started_at;
            standing.since[*index].unwrap_or(started_at)
        })
        .min()?;
    let late = |index: usize| roster.members[index].slice.host.scheduling_delay_us_p99;
    // The latest first: evidence is bounded, and the worst is what one looks for.
    busy.sort_by_key(|index| (std::cmp::Reverse(late(*index)), *index));
    let worst = milliseconds(late(*busy.first()?));
    let names = || busy.iter().map(|index| roster.members[*index].id.as_str());
    let (subject, sentence) = match busy[..] {
        [only] => {
            let id = &roster.members[only].id;
            let sentence = format!(
                "The host of {id} is too busy for exact figures: its prober wakes up to {worst} late. Latency that it measures, or that \
                 others measure to it, is not held against the network."
            );
            (id.clone(), sentence)
        }
        _ => {
            let hosts = count(busy.len(), "host");
            let sentence = format!(
                "{hosts} are too busy for exact figures: {}. Their probers wake up to {worst} late. Latency that they measure, or \
                 that others measure to them, is not held against the network.",
                list(names())
            );
            (hosts, sentence)
        }
    };
    let said = busy.iter().map(|index| {
        let words = format!(
            "wakes {} late (99th percentile)",
            milliseconds(late(*index))
        );
        evidence(&roster.members[*index].id, words, true, None)
    });
    let mut verdict = verdict(
        VerdictKind::HostBusy,
        &subject,
        sentence,
        0.9,
        said.collect(),
        since,
    );
    // Who is busy comes and goes; the remark stays the same one.
    verdict.id = "host_busy:hosts".to_owned();
    Some(verdict)
}
