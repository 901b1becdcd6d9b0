//! `[notify]`: whom a node tells of incidents, when, and about what it is silent.

pub mod keys;
pub mod table;

use super::document::{Layer, kind};
use super::problem::{Origin, Problem, Source, Spot};
use super::settings::NodeSettings;
use super::value;
use andon_model::{Severity, Timestamp};
use andon_notify::hours::{Hours, Zone};
use andon_notify::mute::{Scope, Window};
use andon_notify::plan::{
    Filter, MailSecurity, Maintenance, Medium, Plan, ROUTES_MAX, Route, Silence,
};
use andon_notify::send::{command, dial, email, opsgenie, pagerduty};
use andon_notify::{ROUTES_LABEL, Secret};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use table::{Checker, Table};
use toml::Spanned;
use toml::de::DeValue;

/// Most silences and maintenance windows of one node each.
const MUTES_MAX: usize = 200;
/// Entries of one list.
const LIST_MAX: usize = 200;
/// Largest file of certificate authorities.
const AUTHORITIES_BYTES_MAX: usize = 1 << 20;
/// What a command needs of our environment to find programs and write its texts.
const ENVIRONMENT: [&str; 5] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ"];

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// The tables of `[notify]` as they stand in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    /// `[[notify.route]]`.
    pub routes: Vec<Table>,
    silences: Vec<Table>,
    maintenance: Vec<Table>,
}

impl Tables {
    /// Takes a key of `[notify]` that is a list of tables; `false` if it is none of them.
    pub fn take(
        &mut self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        source: &Arc<Source>,
        problems: &mut Vec<Problem>,
    ) -> bool {
        let (home, keys, tables) = match name {
            "route" => ("notify.route", keys::ROUTE, &mut self.routes),
            "silence" => ("notify.silence", keys::SILENCE, &mut self.silences),
            "maintenance" => (
                "notify.maintenance",
                keys::MAINTENANCE,
                &mut self.maintenance,
            ),
            _ => return false,
        };
        let mut wrong = |value: &Spanned<DeValue<'_>>| {
            let what = format!(
                "`{home}` is a list of tables, not {}",
                kind(value.get_ref())
            );
            let spot = Spot {
                source: Arc::clone(source),
                start: value.span().start,
                end: value.span().end,
            };
            let help = format!("write [[{home}]], with two brackets, before each");
            problems.push(Problem {
                secret: true,
                ..Problem::new(what, Origin::File(spot), help)
            });
        };
        let Some(items) = value.get_ref().as_array() else {
            wrong(value);
            return true;
        };
        for item in items.iter() {
            match item.get_ref().as_table() {
                Some(table) => {
                    tables.push(Table::read(
                        home,
                        keys,
                        table,
                        item.span(),
                        source,
                        problems,
                    ));
                }
                None => {
                    let what = format!("a [[{home}]] is a table, not {}", kind(item.get_ref()));
                    let spot = Spot {
                        source: Arc::clone(source),
                        start: item.span().start,
                        end: item.span().end,
                    };
                    let help = format!("write [[{home}]] before each");
                    problems.push(Problem::new(what, Origin::File(spot), help));
                }
            }
        }
        true
    }
}

/// Checks the tables, reads their secrets, and builds the plan.
pub fn plan(
    tables: &Tables,
    layer: &Layer,
    env: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> Plan {
    let mut plan = Plan {
        console: console(layer, problems),
        ..Plan::default()
    };
    let mut names = BTreeSet::new();
    for (index, table) in tables.routes.iter().enumerate() {
        let mut checker = Checker {
            table,
            keys: keys::ROUTE,
            env,
            problems,
        };
        if index == ROUTES_MAX {
            let what = format!("there are {} routes", tables.routes.len());
            checker.wrong(what, format!("a node has at most {ROUTES_MAX}"));
            break;
        }
        let Some(route) = route(&mut checker) else {
            continue;
        };
        if names.insert(route.name.clone()) {
            plan.routes.push(route);
        } else {
            let what = format!("two routes are called {}", route.name);
            checker.wrong(what, "give each its own name");
        }
    }
    for table in bounded(&tables.silences, env, problems) {
        let mut checker = Checker {
            table,
            keys: keys::SILENCE,
            env,
            problems,
        };
        plan.silences.extend(silence(&mut checker));
    }
    for table in bounded(&tables.maintenance, env, problems) {
        let mut checker = Checker {
            table,
            keys: keys::MAINTENANCE,
            env,
            problems,
        };
        plan.maintenance.extend(maintenance(&mut checker));
    }
    plan
}

/// Puts the plan into a node's settings: its label says which routes it has, so that the grid
/// knows who else could speak.
pub fn apply(plan: Plan, settings: &mut NodeSettings) {
    let names = plan.routes.iter().map(|route| route.name.as_str());
    if let Some(announcement) = andon_notify::announcement(names) {
        settings.labels.insert(ROUTES_LABEL.into(), announcement);
    }
    settings.notify = plan;
}

fn bounded<'a>(
    tables: &'a [Table],
    env: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> &'a [Table] {
    if let Some(table) = tables.get(MUTES_MAX) {
        let mut checker = Checker {
            table,
            keys: keys::SILENCE,
            env,
            problems,
        };
        checker.wrong(
            format!("there are {} of these", tables.len()),
            format!("at most {MUTES_MAX}"),
        );
    }
    &tables[..tables.len().min(MUTES_MAX)]
}

fn console(layer: &Layer, problems: &mut Vec<Problem>) -> Option<String> {
    let given = layer.get("notify.console")?.last()?;
    match web_address(&given.text) {
        Ok(()) => Some(given.text.clone()),
        Err(expected) => {
            let shown = andon_model::id::to_plain_text(&given.text, 80);
            let what = format!("`notify.console` cannot be {shown:?}");
            let help = format!("expected: {expected}");
            problems.push(Problem::new(what, given.origin.clone(), help));
            None
        }
    }
}

fn web_address(text: &str) -> Result<(), String> {
    let fit = text.len() <= 2_048 && text.bytes().all(|byte| byte.is_ascii_graphic());
    match text.parse::<hyper::Uri>() {
        Ok(uri)
            if fit
                && matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty()) =>
        {
            Ok(())
        }
        _ => Err("a URL such as https://andon.example.com".into()),
    }
}

fn severity(text: &str) -> Result<Severity, String> {
    match text {
        "minor" => Ok(Severity::Minor),
        "major" => Ok(Severity::Major),
        "critical" => Ok(Severity::Critical),
        _ => Err("minor, major or critical".into()),
    }
}

fn name(text: &str) -> Result<String, String> {
    andon_model::id::check_name(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

fn words(text: &str) -> Result<String, String> {
    match text.is_empty() {
        true => Err("a text that is not empty".into()),
        false => value::plain(text, 200),
    }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text)
        .map_err(|_| "a moment with its zone, such as 2026-11-21T06:00:00Z or …+02:00".into())
}

fn route(checker: &mut Checker<'_>) -> Option<Route> {
    let before = checker.problems.len();
    let route_name = match checker.need("name") {
        true => checker.one("name", name),
        false => None,
    };
    let kind = match checker.need("kind") {
        true => checker.one("kind", |text| {
            let known = keys::KINDS.iter().find(|kind| **kind == text);
            known
                .copied()
                .ok_or_else(|| format!("one of {}", keys::KINDS.join(", ")))
        }),
        false => None,
    }?;
    only_for(checker, kind);
    let medium = medium(checker, kind);
    let zone = zone(checker);
    let filter = Filter {
        severity: checker.one("severity", severity).unwrap_or(Severity::Minor),
        sites: checker.list("sites", name),
        nodes: checker.list("nodes", name),
        services: checker.list("services", words),
        causes: checker.list("causes", words),
    };
    let hours = hours(checker, "hours", zone);
    let span = |least, most| move |text: &str| value::duration_in(text, least, most);
    let wait = checker.one("wait", span(Duration::ZERO, HOUR));
    let remind = checker.one("remind", span(MINUTE, WEEK));
    let give_up = checker.one("give_up", span(MINUTE, WEEK));
    let per_hour = checker.one("per_hour", |text| value::number_in(text, 1, 1_000));
    let resolved = checker.one("resolved", value::switch);
    let authorities = authorities(checker);
    for key in ["sites", "nodes", "services", "causes", "to"] {
        if checker.list(key, |text| Ok(text.to_owned())).len() > LIST_MAX {
            checker.wrong(
                format!("`{key}` has too many entries"),
                format!("at most {LIST_MAX}"),
            );
        }
    }
    let origin = checker.table.spot().to_string();
    let route = Route {
        name: route_name?,
        medium: medium?,
        filter,
        hours: hours?,
        wait: wait.unwrap_or(SECOND * 2),
        remind,
        give_up: give_up.unwrap_or(HOUR * 4),
        per_hour: per_hour.unwrap_or(30),
        resolved: resolved.unwrap_or(true),
        authorities,
        origin,
    };
    (checker.problems.len() == before).then_some(route)
}

/// Complains about keys that this kind of route does not know.
fn only_for(checker: &mut Checker<'_>, kind: &str) {
    for (given, spot) in checker.table.given() {
        let known = keys::ROUTE.iter().find(|key| key.name == given);
        let Some(key) = known.filter(|key| !key.kinds.is_empty() && !key.kinds.contains(&kind))
        else {
            continue;
        };
        let what = format!("a route of kind {kind} knows no `{given}`");
        let help = format!("it belongs to {}", key.kinds.join(", "));
        checker.problems.push(Problem {
            secret: true,
            ..Problem::new(what, Origin::File(spot.clone()), help)
        });
    }
}

fn medium(checker: &mut Checker<'_>, kind: &str) -> Option<Medium> {
    match kind {
        "webhook" => {
            let headers = checker.secrets("headers");
            for name in headers.keys() {
                if hyper::header::HeaderName::from_bytes(name.as_bytes()).is_err() {
                    let shown = andon_model::id::to_plain_text(name, 80);
                    checker.wrong(
                        format!("{shown:?} is no name of a header"),
                        "for example: authorization",
                    );
                }
            }
            Some(Medium::Webhook {
                url: url(checker, None)?,
                secret: checker.secret("secret"),
                headers,
            })
        }
        "slack" => Some(Medium::Slack {
            url: url(checker, None)?,
        }),
        "teams" => Some(Medium::Teams {
            url: url(checker, None)?,
        }),
        "pagerduty" => {
            let url = url(checker, Some(pagerduty::URL));
            let key = checker.need("key").then(|| checker.secret("key")).flatten();
            Some(Medium::PagerDuty {
                url: url?,
                key: key?,
            })
        }
        "opsgenie" => {
            let url = url(checker, Some(opsgenie::URL));
            let key = checker.need("key").then(|| checker.secret("key")).flatten();
            Some(Medium::Opsgenie {
                url: url?,
                key: key?,
            })
        }
        "email" => mail(checker),
        _ => program(checker),
    }
}

/// The address, checked for form without ever being shown.
fn url(checker: &mut Checker<'_>, default: Option<&str>) -> Option<Secret> {
    if let Some(default) = default.filter(|_| !checker.table.has("url")) {
        return Some(Secret::new(default));
    }
    if !checker.need("url") {
        return None;
    }
    let url = checker.secret("url")?;
    match web_address(url.reveal()) {
        Ok(()) => Some(url),
        Err(_) => {
            checker.wrong(
                "`url` of this [[notify.route]] is no address",
                "expected: a URL such as https://hooks.example.com/andon",
            );
            None
        }
    }
}

fn mail(checker: &mut Checker<'_>) -> Option<Medium> {
    let security = checker.one("tls", |text| match text {
        "starttls" => Ok(MailSecurity::StartTls),
        "tls" => Ok(MailSecurity::Tls),
        "none" => Ok(MailSecurity::Plain),
        _ => Err("starttls, tls, or none for a mail server on this machine".into()),
    });
    let security = security.unwrap_or(MailSecurity::StartTls);
    let needed = ["server", "from", "to"].map(|key| checker.need(key));
    let server = checker.one("server", |text| server(text, security));
    let from = checker.one("from", mail_address);
    let to = checker.list("to", mail_address);
    let login = match (checker.one("user", words), checker.secret("password")) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        _ => {
            checker.wrong(
                "`user` and `password` belong together",
                "give both, or none",
            );
            None
        }
    };
    let (host, port) = server?;
    if to.is_empty() && checker.table.has("to") {
        checker.wrong(
            "`to` names nobody",
            r#"for example: to = ["ops@example.com"]"#,
        );
    }
    needed
        .iter()
        .all(|needed| *needed)
        .then_some(Medium::Email {
            host,
            port,
            security,
            login,
            from: from?,
            to,
        })
}

fn mail_address(text: &str) -> Result<String, String> {
    match email::is_address(text) {
        true => Ok(text.to_owned()),
        false => Err("a mail address such as ops@example.com or Ops <ops@example.com>".into()),
    }
}

fn server(text: &str, security: MailSecurity) -> Result<(String, u16), String> {
    let default = match security {
        MailSecurity::StartTls => 587,
        MailSecurity::Tls => 465,
        MailSecurity::Plain => 25,
    };
    value::host_port(text).map_err(|_| "HOST:PORT, such as mail.example.com:587".to_owned())?;
    let (host, port) = match text.parse::<std::net::IpAddr>() {
        Ok(_) => (text, default),
        Err(_) => match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| "a port".to_owned())?),
            None => (text, default),
        },
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let here = host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    if security == MailSecurity::Plain && !here {
        return Err(
            "a mail server on this machine, since tls is none; others need starttls or tls".into(),
        );
    }
    Ok((host.to_owned(), port))
}

fn program(checker: &mut Checker<'_>) -> Option<Medium> {
    if !checker.need("command") {
        return None;
    }
    let argv = checker.list("command", |text| match text.contains('\0') {
        true => Err("a text without NUL".into()),
        false => Ok(text.to_owned()),
    });
    if argv.first().is_none_or(String::is_empty) {
        checker.wrong(
            "`command` names no program",
            r#"for example: command = ["/usr/local/bin/page"]"#,
        );
        return None;
    }
    let timeout = checker.one("timeout", |text| {
        value::duration_in(text, SECOND, command::TIMEOUT_MAX)
    });
    let inherited = ENVIRONMENT
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), checker.env.get(*name)?.clone())));
    Some(Medium::Command {
        argv,
        timeout: timeout.unwrap_or(SECOND * 30),
        environment: inherited.collect(),
    })
}

fn zone(checker: &mut Checker<'_>) -> Zone {
    checker
        .one("timezone", Zone::parse)
        .unwrap_or_else(Zone::utc)
}

fn hours(checker: &mut Checker<'_>, key: &'static str, zone: Zone) -> Option<Hours> {
    let texts = checker.list(key, |text| {
        Hours::parse(&[text], zone.clone())
            .map(|_| text.to_owned())
            .map_err(|(_, expected)| expected)
    });
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    match Hours::parse(&texts, zone) {
        Ok(hours) => Some(hours),
        Err((_, expected)) => {
            checker.wrong(format!("`{key}` has too many entries"), expected);
            None
        }
    }
}

fn authorities(checker: &mut Checker<'_>) -> Vec<Vec<u8>> {
    let base = checker.table.spot().source.path.clone();
    let base = base.parent().unwrap_or(Path::new(""));
    let read = checker.one("ca_file", |text| {
        let path = base.join(text);
        let pem = super::layers::read_text(&path, AUTHORITIES_BYTES_MAX)
            .map_err(|reason| format!("a PEM file that can be read; {reason}"))?;
        dial::authorities_of(pem.as_bytes()).map_err(|error| format!("a PEM file; {error}"))?;
        Ok(pem.into_bytes())
    });
    read.into_iter().collect()
}

fn scope(checker: &mut Checker<'_>) -> Scope {
    Scope {
        sites: checker.list("sites", name),
        nodes: checker.list("nodes", name),
        causes: checker.list("causes", words),
        severity: checker.one("severity", severity),
    }
}

fn silence(checker: &mut Checker<'_>) -> Option<Silence> {
    let before = checker.problems.len();
    let needed = ["until", "reason"].map(|key| checker.need(key));
    let silence = Silence {
        scope: scope(checker),
        until: checker.one("until", moment)?,
        reason: checker.one("reason", words)?,
    };
    (needed.iter().all(|needed| *needed) && checker.problems.len() == before).then_some(silence)
}

fn maintenance(checker: &mut Checker<'_>) -> Option<Maintenance> {
    let before = checker.problems.len();
    checker.need("reason");
    let (from, until) = (checker.one("from", moment), checker.one("until", moment));
    let zone = zone(checker);
    let weekly = hours(checker, "weekly", zone)?;
    let window = match (from, until, checker.table.has("weekly")) {
        (Some(from), Some(until), false) if from < until => Window::Once { from, until },
        (Some(_), Some(_), false) => {
            checker.wrong(
                "this maintenance ends before it begins",
                "`until` is later than `from`",
            );
            return None;
        }
        (None, None, true) if !weekly.texts().is_empty() => Window::Weekly(weekly),
        _ => {
            checker.wrong(
                "this maintenance does not say when",
                "give `from` and `until`, or `weekly`",
            );
            return None;
        }
    };
    let maintenance = Maintenance {
        scope: scope(checker),
        window,
        reason: checker.one("reason", words)?,
    };
    (checker.problems.len() == before).then_some(maintenance)
}

#[cfg(test)]
mod tests;
