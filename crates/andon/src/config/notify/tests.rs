//! Cases of `[notify]`, one line each.

use super::super::layers::{Loaded, load, load_without_keys};
use super::super::{report, tests::inputs};
use andon_notify::{Medium, ROUTES_LABEL};
use std::time::Duration;

const HOOK: &str = "[[notify.route]]\nname='hook'\nkind='webhook'\nurl='https://h/x'\n";

fn told(toml: &str, env: &[(&str, &str)]) -> Result<Loaded, String> {
    let mut asked = inputs(toml);
    let key = andon_grid::GridKey::generate([1; 32]).to_string();
    asked.env.insert("ANDON_KEY".into(), key);
    for (name, text) in env {
        asked.env.insert((*name).into(), (*text).into());
    }
    let loaded = load(&asked).map_err(|problems| problems.to_string());
    if let Some(path) = &asked.config {
        // Commands that need no secrets do not stumble over them.
        assert!(load_without_keys(&asked).is_ok() || loaded.is_err());
        let _ = std::fs::remove_dir_all(path.parent().unwrap());
    }
    loaded
}

#[track_caller]
fn route(lines: &str) -> andon_notify::Route {
    let loaded = told(
        &format!("[[notify.route]]\n{lines}"),
        &[("TOKEN", " s3cret\n")],
    );
    loaded
        .unwrap_or_else(|error| panic!("{error}"))
        .settings
        .notify
        .routes
        .remove(0)
}

#[track_caller]
fn wrong(toml: &str, expected: &str) {
    let text = told(toml, &[])
        .map(|loaded| loaded.settings.notify)
        .expect_err(toml);
    assert!(text.contains(expected), "expected {expected:?} in:\n{text}");
    assert!(!text.contains("s3cret"), "a secret is shown:\n{text}");
}

#[test]
fn each_kind_of_route_is_read() {
    let hook = route(
        "name='a'\nkind='webhook'\nurl='https://h/x'\nsecret={env='TOKEN'}\nheaders={authorization={env='TOKEN'}, x='y'}",
    );
    let Medium::Webhook {
        secret, headers, ..
    } = hook.medium
    else {
        panic!()
    };
    assert_eq!(secret.unwrap().reveal(), "s3cret");
    assert_eq!(headers["authorization"].reveal(), "s3cret");
    assert_eq!(
        (hook.wait, hook.remind, hook.per_hour, hook.resolved),
        (Duration::from_secs(2), None, 30, true)
    );
    let pager =
        route("name='a'\nkind='pagerduty'\nkey='k'\nremind='30m'\nwait='0s'\nresolved=false");
    let Medium::PagerDuty { url, .. } = pager.medium else {
        panic!()
    };
    assert_eq!(url.reveal(), "https://events.pagerduty.com/v2/enqueue");
    assert_eq!(
        (pager.remind, pager.resolved),
        (Some(Duration::from_secs(1_800)), false)
    );
    let ops = route("name='a'\nkind='opsgenie'\nkey='k'\nurl='https://api.eu.opsgenie.com'");
    assert_eq!(ops.medium.name(), "opsgenie");
    for (server, tls, expected) in [
        ("mail.example.com", "", ("mail.example.com", 587)),
        (
            "mail.example.com:2525",
            "tls='tls'",
            ("mail.example.com", 2525),
        ),
        ("mail.example.com", "tls='tls'", ("mail.example.com", 465)),
        ("[::1]:25", "tls='none'", ("::1", 25)),
        ("127.0.0.1", "tls='none'", ("127.0.0.1", 25)),
        ("::1", "tls='none'", ("::1", 25)),
    ] {
        let mail = route(&format!(
            "name='a'\nkind='email'\nserver='{server}'\n{tls}\nfrom='A <a@x.org>'\nto='b@x.org'"
        ));
        let Medium::Email { host, port, .. } = mail.medium else {
            panic!()
        };
        assert_eq!((host.as_str(), port), expected);
    }
    let program = route("name='a'\nkind='command'\ncommand=['/bin/page','--now']\ntimeout='5s'");
    let Medium::Command {
        argv,
        timeout,
        environment,
    } = program.medium
    else {
        panic!()
    };
    assert_eq!((argv.len(), timeout), (2, Duration::from_secs(5)));
    assert!(environment.contains_key("HOME") && !environment.contains_key("ANDON_KEY"));
    for kind in ["slack", "teams"] {
        assert_eq!(
            route(&format!("name='a'\nkind='{kind}'\nurl='http://x/y'"))
                .medium
                .name(),
            kind
        );
    }
}

#[test]
fn a_node_announces_its_routes() {
    let two = format!("{HOOK}{}", HOOK.replace("'hook'", "'mail'"));
    let settings = told(&two, &[]).unwrap().settings;
    assert_eq!(settings.labels[ROUTES_LABEL], "hook mail");
    assert!(
        !told("", &[])
            .unwrap()
            .settings
            .labels
            .contains_key(ROUTES_LABEL)
    );
}

#[test]
fn mutes_are_read_with_moments_quoted_or_not() {
    let toml = "[notify]\nconsole='https://andon.example.com'\n\
        [[notify.silence]]\nsites=['fra']\nuntil=2026-11-21T06:00:00Z\nreason='known'\n\
        [[notify.maintenance]]\nnodes='web-1'\nfrom='2026-11-22T01:00:00+01:00'\nuntil='2026-11-22T05:00:00Z'\nreason='r'\n\
        [[notify.maintenance]]\nweekly=['sun 02:00-04:00']\ntimezone='+01:00'\nreason='r'\n";
    let plan = told(toml, &[]).unwrap().settings.notify;
    assert_eq!(
        plan.silences[0].until.to_string(),
        "2026-11-21T06:00:00.000Z"
    );
    assert_eq!(plan.maintenance.len(), 2);
    assert_eq!(plan.console.as_deref(), Some("https://andon.example.com"));
}

#[test]
fn mistakes_say_where_and_what_to_do_and_show_no_secret() {
    let hook = |lines: &str| format!("{HOOK}{lines}");
    wrong(
        "[[notify.route]]\nkind='webhook'\nurl='https://h'",
        "has no `name`",
    );
    wrong("[[notify.route]]\nname='a'", "has no `kind`");
    wrong(
        "[[notify.route]]\nname='a'\nkind='telegram'",
        "one of webhook, slack",
    );
    wrong("[[notify.route]]\nname='a'\nkind='slack'", "has no `url`");
    wrong(
        "[[notify.route]]\nname='<b>'\nkind='slack'\nurl='https://h'",
        "a name uses letters",
    );
    wrong(
        "[[notify.route]]\nname='a'\nkind='slack'\nurl='s3cret'",
        "is no address",
    );
    wrong(
        "[[notify.route]]\nname='a'\nkind='slack'\nurl=7",
        "for example: url = ",
    );
    wrong(
        "[[notify.route]]\nname='a'\nkind='pagerduty'\nkey={file='/nonexistent/s'}",
        "`key` names the file /nonexistent/s",
    );
    wrong(
        "[[notify.route]]\nname='a'\nkind='pagerduty'\nkey={env='NOPE'}",
        "NOPE, which is not set",
    );
    wrong(
        "[[notify.route]]\nname='a'\nkind='pagerduty'\nkey={fiel='x'}",
        "`key` is not written as a table",
    );
    wrong(
        "[[notify.route]]\nname='a'\nkind='pagerduty'\nkey=''",
        "`key` is empty",
    );
    wrong(
        "[[notify.route]]\nname='a'\nkind='pagerduty'\nkey='s3cret' x",
        "this is not TOML",
    );
    wrong(
        "[[notify.route]]\nname='a'\nkind='slack'\nurl='https://h'\ntoken='s3cret'",
        "unknown key `token`",
    );
    wrong(&hook("severty='major'"), "did you mean `severity`?");
    wrong(&hook("severity='high'"), "minor, major or critical");
    wrong(&hook("password='s3cret'"), "knows no `password`");
    wrong(&hook("hours=['mon 9-17']"), "days and times such as");
    wrong(&hook("timezone='Mars/Phobos'"), "UTC, an offset such as");
    wrong(&hook("wait='2 hours'"), "a time with its unit");
    wrong(&hook("wait='2h'"), "a time from 0ms to 1h");
    wrong(&hook("per_hour=0"), "from 1 to 1000");
    wrong(
        &hook("ca_file='/nonexistent/ca.pem'"),
        "a PEM file that can be read",
    );
    wrong(&hook("headers={'a b'='x'}"), "is no name of a header");
    wrong(&hook(HOOK), "two routes are called hook");
    let mail =
        |lines: &str| format!("[[notify.route]]\nname='m'\nkind='email'\nfrom='a@x.org'\n{lines}");
    wrong(
        &mail("server='mail.x.org'\nto='b@x.org'\ntls='none'"),
        "a mail server on this machine",
    );
    wrong(
        &mail("server='mail.x.org'\nto='nobody'"),
        "a mail address such as",
    );
    wrong(
        &mail("server='mail.x.org'\nto='b@x.org'\nuser='u'"),
        "belong together",
    );
    wrong(&mail("server='mail.x.org'\nto=[]"), "names nobody");
    wrong(
        "[[notify.route]]\nname='c'\nkind='command'\ncommand=[]",
        "names no program",
    );
    wrong(
        "[[notify.silence]]\nsites=['fra']\nreason='x'",
        "has no `until`",
    );
    wrong(
        "[[notify.silence]]\nuntil='tomorrow'\nreason='x'",
        "a moment with its zone",
    );
    wrong(
        "[[notify.silence]]\nuntil=2026-11-21T06:00:00\nreason='x'",
        "a moment with its zone",
    );
    wrong("[[notify.maintenance]]\nreason='x'", "does not say when");
    wrong(
        "[[notify.maintenance]]\nreason='x'\nfrom='2026-11-22T01:00:00Z'\nuntil='2026-11-21T01:00:00Z'",
        "ends before it begins",
    );
    wrong("[notify]\nroute='hook'", "write [[notify.route]]");
    wrong("[notify]\nroutes=1", "did you mean `route`?");
    wrong("[notify]\nconsole='andon'", "a URL such as");
    let many: String = (0..33)
        .map(|n| HOOK.replace("'hook'", &format!("'r{n}'")))
        .collect();
    wrong(&many, "at most 32");
}

#[test]
fn config_check_shows_routes_and_no_secrets() {
    let loaded = told(
        "[[notify.route]]\nname='oncall'\nkind='pagerduty'\nkey='s3cret'\nseverity='critical'\n\
         [[notify.route]]\nname='chat'\nkind='slack'\nurl='https://hooks.example.com/s3cret'\n",
        &[],
    );
    let loaded = loaded.unwrap();
    let (text, json) = (report::text(&loaded), report::json(&loaded).to_string());
    assert!(
        text.contains("route oncall  pagerduty  from critical on"),
        "{text}"
    );
    assert!(json.contains(r#""name":"chat""#), "{json}");
    for shown in [text, json, format!("{:?}", loaded.settings)] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[test]
fn every_example_of_the_guide_is_read() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/notify.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let mut examples = 0;
    for block in guide.split("```toml\n").skip(1) {
        let mut text = block.split("```").next().unwrap().to_owned();
        // The files are not here, nor does every system know named zones.
        while let Some(from) = text.find("{ file") {
            let until = from + text[from..].find('}').unwrap();
            text.replace_range(from..=until, "\"https://example.com/\"");
        }
        if andon_notify::hours::Zone::parse("Europe/Berlin").is_err() {
            text = text
                .replace("Europe/Berlin", "UTC")
                .replace("America/New_York", "UTC");
        }
        let env = [("HOOK_AUTH", "a"), ("ANDON_MAIL_PASSWORD", "b")];
        let plan = told(&text, &env)
            .unwrap_or_else(|error| panic!("{text}\n{error}"))
            .settings
            .notify;
        examples += plan.routes.len() + plan.silences.len() + plan.maintenance.len();
    }
    assert_eq!(examples, 10);
}
