//! Each medium against a real server on loopback: what arrives has the form that the service
//! documents, hostile text stays text, and whatever the other side does is told and bounded.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use andon_model::Timestamp;
use andon_notify::plan::{MailSecurity, Medium, Secret};
use andon_notify::{Message, Phase, webhook};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use support::http::{Endpoint, Reply, status};
use support::mail::{Behaviour, MailServer};
use support::{
    again, at, certificate, incident, message, plan, refused, route, send, sender, taken,
};

fn hook(url: &str) -> Medium {
    Medium::Webhook {
        url: Secret::new(url),
        secret: Some(Secret::new("hush")),
        headers: BTreeMap::from([("authorization".into(), Secret::new("Bearer abc"))]),
    }
}

fn slack(url: &str) -> Medium {
    Medium::Slack {
        url: Secret::new(url),
    }
}

#[tokio::test]
async fn a_webhook_is_signed_and_says_it_all() {
    let endpoint = Endpoint::start(status("204 No Content", "")).await;
    let route = route("hook", hook(&format!("{}/in?a=b", endpoint.url)));
    assert_eq!(taken(send(&route, Phase::Opened).await), "HTTP 204");
    let request = endpoint.only();
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/in?a=b")
    );
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), Some("Bearer abc"));
    let signature = request.header("andon-signature").unwrap();
    let minutes = Duration::from_secs(300);
    assert!(webhook::verify(
        "hush",
        signature,
        &request.body,
        at(),
        minutes
    ));
    assert!(!webhook::verify(
        "other",
        signature,
        &request.body,
        at(),
        minutes
    ));
    let document = request.json();
    for (field, value) in [
        ("version", json!(1)),
        ("phase", json!("opened")),
        ("route", json!("hook")),
        ("key", json!("0a1b2c3d")),
        ("severity", json!("critical")),
        ("by", json!("web-1")),
        (
            "link",
            json!("https://andon.example.com/incidents/0a1b2c3d"),
        ),
        ("more", json!(0)),
    ] {
        assert_eq!(document[field], value, "{field}");
    }
    assert_eq!(
        document["incident"]["blast_radius"]["sites"],
        json!(["fra", "nyc"])
    );
    assert_eq!(document["incident"]["verdicts"][0]["kind"], "path_fault");
    assert!(
        document["status_page"]
            .as_str()
            .unwrap()
            .starts_with("Some orders")
    );
    assert!(!document["title"].as_str().unwrap().contains('\u{202e}'));
}

#[tokio::test]
async fn slack_gets_its_blocks_and_no_mention_or_link_from_outside() {
    let endpoint = Endpoint::start(status("200 OK", "ok")).await;
    let said = taken(send(&route("chat", slack(&endpoint.url)), Phase::Opened).await);
    assert_eq!(said, "HTTP 200: ok");
    let document = endpoint.only().json();
    assert!(
        document["text"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    let blocks = document["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50);
    for block in blocks {
        let texts: Vec<&Value> = match block["type"].as_str().unwrap() {
            "section" => vec![&block["text"]],
            "context" => block["elements"].as_array().unwrap().iter().collect(),
            other => panic!("{other}"),
        };
        for text in texts {
            assert_eq!(text["type"], "mrkdwn");
            assert_eq!(text["verbatim"], true);
            let length = text["text"].as_str().unwrap().chars().count();
            assert!((1..=3_000).contains(&length));
        }
    }
    let whole = document.to_string();
    assert!(
        whole.contains("&lt;!channel&gt; &lt;http://evil|x&gt; &amp;"),
        "{whole}"
    );
    assert_eq!(whole.matches('<').count(), 1, "our own link alone: {whole}");
    assert!(whole.contains("<https://andon.example.com/incidents/0a1b2c3d|Open in Andon>"));
}

#[tokio::test]
async fn teams_gets_an_adaptive_card_without_markdown_from_outside() {
    let endpoint = Endpoint::start(status("202 Accepted", "")).await;
    let medium = Medium::Teams {
        url: Secret::new(&endpoint.url),
    };
    taken(send(&route("teams", medium), Phase::Opened).await);
    let document = endpoint.only().json();
    assert_eq!(document["type"], "message");
    let attachment = &document["attachments"][0];
    assert_eq!(
        attachment["contentType"],
        "application/vnd.microsoft.card.adaptive"
    );
    let card = &attachment["content"];
    assert_eq!(
        (&card["type"], &card["version"]),
        (&json!("AdaptiveCard"), &json!("1.4"))
    );
    let mut words = String::new();
    for element in card["body"].as_array().unwrap() {
        // A text block would read Markdown; a run does not.
        assert_eq!(element["type"], "RichTextBlock");
        for run in element["inlines"].as_array().unwrap() {
            assert_eq!(run["type"], "TextRun");
            words += run["text"].as_str().unwrap();
        }
    }
    assert!(words.contains("**b** [l](http://evil)"), "{words}");
    assert_eq!(card["actions"][0]["type"], "Action.OpenUrl");
    assert!(document.to_string().len() < 28_000, "Teams takes 28 KB");
}

#[tokio::test]
async fn pagerduty_gets_one_alert_triggered_acknowledged_and_resolved() {
    let endpoint = Endpoint::start(status("202 Accepted", r#"{"status":"success"}"#)).await;
    let medium = Medium::PagerDuty {
        url: Secret::new(format!("{}/v2/enqueue", endpoint.url)),
        key: Secret::new("R0UT1NGK3Y"),
    };
    let route = route("oncall", medium);
    for phase in [Phase::Opened, Phase::Acknowledged] {
        taken(send(&route, phase).await);
    }
    let mut end = message(Phase::Resolved);
    end.close_also(["0a1b2c3d".to_owned(), "other".to_owned()]);
    taken(sender().send(&route, &end, at()).await);
    taken(send(&route, Phase::Test).await);
    let events: Vec<Value> = endpoint
        .requests()
        .iter()
        .map(|request| request.json())
        .collect();
    let told: Vec<(&str, &str)> = events
        .iter()
        .map(|event| {
            (
                event["event_action"].as_str().unwrap(),
                event["dedup_key"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("trigger", "0a1b2c3d"),
            ("acknowledge", "0a1b2c3d"),
            ("resolve", "0a1b2c3d"),
            ("resolve", "other"),
            ("trigger", "0a1b2c3d"),
            ("resolve", "0a1b2c3d"),
        ]
    );
    assert!(
        events
            .iter()
            .all(|event| event["routing_key"] == "R0UT1NGK3Y")
    );
    // Required of a trigger: summary (at most 1,024), source, severity of four.
    let payload = &events[0]["payload"];
    let summary = payload["summary"].as_str().unwrap();
    assert!(!summary.is_empty() && summary.chars().count() <= 1_024);
    assert_eq!(payload["source"], "web-1");
    assert_eq!(payload["severity"], "critical");
    assert_eq!(events[4]["payload"]["severity"], "info");
    Timestamp::parse(payload["timestamp"].as_str().unwrap()).unwrap();
    assert_eq!(
        events[0]["links"][0]["href"],
        "https://andon.example.com/incidents/0a1b2c3d"
    );
    assert!(
        endpoint
            .requests()
            .iter()
            .all(|request| request.body.len() < 512 * 1024)
    );
}

#[tokio::test]
async fn opsgenie_gets_one_alert_created_raised_and_closed() {
    let endpoint = Endpoint::start(status(
        "202 Accepted",
        r#"{"result":"Request will be processed"}"#,
    ))
    .await;
    let medium = Medium::Opsgenie {
        url: Secret::new(&endpoint.url),
        key: Secret::new("0p5"),
    };
    let route = route("ops", medium);
    for phase in [
        Phase::Opened,
        Phase::Grew,
        Phase::Acknowledged,
        Phase::Resolved,
    ] {
        taken(send(&route, phase).await);
    }
    let requests = endpoint.requests();
    let paths: Vec<(&str, &str)> = requests
        .iter()
        .map(|request| (request.method.as_str(), request.path.as_str()))
        .collect();
    let on = |what| format!("/v2/alerts/0a1b2c3d/{what}?identifierType=alias");
    assert_eq!(
        paths,
        [
            ("POST", "/v2/alerts"),
            ("PUT", on("priority").as_str()),
            ("POST", on("notes").as_str()),
            ("POST", on("acknowledge").as_str()),
            ("POST", on("close").as_str()),
        ]
    );
    for request in &requests {
        assert_eq!(request.header("authorization"), Some("GenieKey 0p5"));
    }
    let alert = requests[0].json();
    assert!(alert["message"].as_str().unwrap().chars().count() <= 130);
    assert!(alert["description"].as_str().unwrap().chars().count() <= 15_000);
    assert_eq!(alert["alias"], "0a1b2c3d");
    assert_eq!(alert["priority"], "P1");
    assert!(
        alert["details"]
            .as_object()
            .unwrap()
            .values()
            .all(Value::is_string)
    );
}

#[tokio::test]
async fn many_incidents_are_one_message_that_says_how_many() {
    let incidents: Vec<_> = (0..47).map(|n| incident(&format!("i{n:02}"))).collect();
    let all: Vec<_> = incidents.iter().collect();
    let many = Message::together(Phase::Opened, &all, 0, &plan(), "web-1", at()).unwrap();
    let endpoint = Endpoint::start(status("200 OK", "ok")).await;
    let route = route("chat", slack(&endpoint.url));
    taken(sender().send(&route, &many, at()).await);
    let whole = endpoint.only().json().to_string();
    assert!(whole.contains("47 incidents: "), "{whole}");
    assert!(whole.contains("and 37 more"), "{whole}");
}

/// What an endpoint that behaves so comes to.
async fn misbehaves(reply: Reply) -> andon_notify::Answer {
    let endpoint = Endpoint::start(reply).await;
    let started = Instant::now();
    let answer = send(&route("chat", slack(&endpoint.url)), Phase::Opened).await;
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    answer
}

#[tokio::test]
async fn what_a_sick_endpoint_does_is_told_and_bounded() {
    let (why, after) = again(misbehaves(status("500 Oops", "stack\n\ttrace")).await);
    assert_eq!((why.as_str(), after), ("HTTP 500: stack trace", None));
    let reply =
        Reply::Bytes(b"HTTP/1.1 429 Slow\r\nretry-after: 90\r\ncontent-length: 0\r\n\r\n".to_vec());
    assert_eq!(
        again(misbehaves(reply).await),
        ("HTTP 429".into(), Some(Duration::from_secs(90)))
    );
    let reply = Reply::Bytes(
        b"HTTP/1.1 503 No\r\nretry-after: 99999999\r\ncontent-length: 0\r\n\r\n".to_vec(),
    );
    assert_eq!(
        again(misbehaves(reply).await).1,
        Some(Duration::from_secs(3_600))
    );
    let why = refused(misbehaves(status("403 Forbidden", "invalid_token \u{1b}[31m")).await);
    assert_eq!(why, "HTTP 403: invalid_token [31m");
    let why = refused(misbehaves(status("400 Bad", &"x".repeat(9_000))).await);
    assert_eq!(why.len(), "HTTP 400: ".len() + 200);
    let elsewhere = b"HTTP/1.1 302 Found\r\nlocation: https://login.example.com/x?token=secret\r\ncontent-length: 0\r\n\r\n";
    let why = refused(misbehaves(Reply::Bytes(elsewhere.to_vec())).await);
    assert_eq!(
        why,
        "HTTP 302: it redirects to login.example.com; redirects are not followed"
    );
    let (why, _) = again(misbehaves(Reply::Hang).await);
    assert_eq!(why, "no answer within 3s");
    let (why, _) = again(misbehaves(Reply::Close).await);
    assert!(
        why.ends_with("closed the connection before it answered"),
        "{why}"
    );
    let (why, _) = again(misbehaves(Reply::Bytes(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec())).await);
    assert!(why.ends_with("does not answer in HTTP"), "{why}");
    again(misbehaves(Reply::Endless(b"x-more: header\r\n".to_vec())).await);
    let mut endless = b"HTTP/1.1 500 No\r\n\r\n".to_vec();
    endless.resize(8_192, b'x');
    let (why, _) = again(misbehaves(Reply::Endless(endless)).await);
    assert!(why.len() < 250, "{why}");
    // An answer that goes on for ever after a good status is a good answer.
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(8_192, b'x');
    taken(misbehaves(Reply::Endless(endless)).await);
}

#[tokio::test]
async fn nobody_there_is_worth_another_attempt() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let nobody = slack(&format!("http://127.0.0.1:{port}/services/T0/B0/secret"));
    let (why, _) = again(send(&route("chat", nobody), Phase::Opened).await);
    assert!(
        why.starts_with(&format!("cannot connect to 127.0.0.1:{port}")),
        "{why}"
    );
    assert!(!why.contains("secret"));
    let nowhere = slack("http://does-not-exist.invalid/");
    again(send(&route("chat", nowhere), Phase::Opened).await);
}

#[tokio::test]
async fn a_certificate_has_to_be_trusted_by_the_machine_or_the_route() {
    let (config, pem) = certificate();
    let endpoint = Endpoint::start_with(status("200 OK", ""), Some(config)).await;
    let mut route = route("chat", slack(&endpoint.url));
    let (why, _) = again(send(&route, Phase::Opened).await);
    assert!(why.contains("certificate"), "{why}");
    assert!(endpoint.requests().is_empty());
    route.authorities = vec![pem];
    taken(send(&route, Phase::Opened).await);
    endpoint.only();
    // TLS towards a server that speaks none.
    let plain = Endpoint::start(status("200 OK", "")).await;
    route.medium = slack(&plain.url.replace("http://", "https://"));
    again(send(&route, Phase::Opened).await);
}

fn email(port: u16, security: MailSecurity) -> Medium {
    Medium::Email {
        host: "127.0.0.1".into(),
        port,
        security,
        login: None,
        from: "Andon <andon@example.com>".into(),
        to: vec!["ops@example.com".into(), "Anna <anna@example.com>".into()],
    }
}

#[tokio::test]
async fn mails_about_an_incident_are_one_thread() {
    let server = MailServer::start(Behaviour::default()).await;
    let route = route("mail", email(server.port, MailSecurity::Plain));
    assert_eq!(
        taken(send(&route, Phase::Opened).await),
        "250 queued as 4711"
    );
    taken(send(&route, Phase::Resolved).await);
    let mails = server.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].to, ["<ops@example.com>", "<anna@example.com>"]);
    assert!(mails[0].from.starts_with("<andon@example.com>"));
    let root = mails[0].header("Message-ID").unwrap();
    assert_eq!(root, "<0a1b2c3d.andon@example.com>");
    assert_eq!(mails[1].header("In-Reply-To").as_ref(), Some(&root));
    assert_eq!(mails[1].header("References").as_ref(), Some(&root));
    assert_ne!(mails[1].header("Message-ID"), mails[0].header("Message-ID"));
    assert_eq!(mails[0].header("Subject"), mails[1].header("Subject"));
    assert_eq!(
        mails[0].header("Auto-Submitted").as_deref(),
        Some("auto-generated")
    );
    assert!(
        mails[0]
            .header("Content-Type")
            .unwrap()
            .starts_with("text/plain")
    );
    assert!(
        mails[0]
            .data
            .contains("https://andon.example.com/incidents/0a1b2c3d")
    );
}

#[tokio::test]
async fn a_title_cannot_write_headers_of_its_own() {
    let server = MailServer::start(Behaviour::default()).await;
    let mut evil = incident("x\r\nBcc: all@example.com");
    evil.title = "a\r\nBcc: all@example.com\r\n\r\n.\r\nMAIL FROM:<x@y>".into();
    let evil = Message::about(Phase::Opened, &evil, &plan(), "web-1", at());
    let route = route("mail", email(server.port, MailSecurity::Plain));
    taken(sender().send(&route, &evil, at()).await);
    let mail = server.only();
    assert_eq!(mail.header("Bcc"), None);
    assert_eq!(mail.to.len(), 2);
}

#[tokio::test]
async fn mail_goes_over_tls_and_logs_in_only_there() {
    let (config, pem) = certificate();
    for (security, behaviour) in [
        (
            MailSecurity::StartTls,
            Behaviour {
                starttls: Some(config.clone()),
                ..Behaviour::default()
            },
        ),
        (
            MailSecurity::Tls,
            Behaviour {
                tls: Some(config.clone()),
                ..Behaviour::default()
            },
        ),
    ] {
        let server = MailServer::start(behaviour).await;
        let mut medium = email(server.port, security);
        if let Medium::Email { login, .. } = &mut medium {
            *login = Some(("andon".into(), Secret::new("pw")));
        }
        let mut route = route("mail", medium);
        let (why, _) = again(send(&route, Phase::Opened).await);
        assert!(why.contains("certificate"), "{why}");
        assert!(server.mails().is_empty());
        route.authorities = vec![pem.clone()];
        taken(send(&route, Phase::Opened).await);
        let mail = server.only();
        assert!(mail.secure);
        // base64 of \0andon\0pw
        assert_eq!(mail.login.as_deref(), Some("AGFuZG9uAHB3"));
    }
    // A server, or somebody between, that offers no TLS gets no mail.
    let server = MailServer::start(Behaviour::default()).await;
    let route = route("mail", email(server.port, MailSecurity::StartTls));
    let (why, _) = again(send(&route, Phase::Opened).await);
    assert_eq!(why, "the mail server does not offer STARTTLS");
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn what_a_mail_server_refuses_is_told_and_one_bad_recipient_does_not_stop_the_rest() {
    let refuse = |answer: &str| Behaviour {
        refuse: Some(("anna@".into(), answer.into())),
        ..Behaviour::default()
    };
    let server = MailServer::start(refuse("550 5.1.1 no such user")).await;
    let mail = |port| route("mail", email(port, MailSecurity::Plain));
    let said = taken(send(&mail(server.port), Phase::Opened).await);
    assert!(said.starts_with("1 of 2 recipients"), "{said}");
    assert!(said.contains("no such user"), "{said}");
    assert_eq!(server.only().to, ["<ops@example.com>"]);
    let server = MailServer::start(refuse("451 greylisted")).await;
    let (why, _) = again(send(&mail(server.port), Phase::Opened).await);
    assert!(why.contains("greylisted"), "{why}");
    let verdict = |text: &str| Behaviour {
        verdict: Some(text.into()),
        ..Behaviour::default()
    };
    let server = MailServer::start(verdict("554 5.7.1 looks like spam")).await;
    let why = refused(send(&mail(server.port), Phase::Opened).await);
    assert!(why.contains("looks like spam"), "{why}");
    for (greeting, endless) in [
        (b"HTTP/1.1 400 Bad Request\r\n".to_vec(), false),
        (vec![b'x'; 65_536], true),
        (b"220-more\r\n".to_vec(), true),
        (Vec::new(), false),
    ] {
        let server = MailServer::start(Behaviour {
            greeting: Some(greeting),
            endless,
            ..Behaviour::default()
        })
        .await;
        let started = Instant::now();
        let (why, _) = again(send(&mail(server.port), Phase::Opened).await);
        assert!(
            why.len() < 900 && started.elapsed() < Duration::from_secs(8),
            "{why}"
        );
    }
}

fn shell(script: &str, timeout: Duration) -> Medium {
    Medium::Command {
        argv: vec!["/bin/sh".into(), "-c".into(), script.into(), "sh".into()],
        timeout,
        environment: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
    }
}

#[tokio::test]
async fn a_command_gets_the_message_and_nothing_of_our_environment() {
    let folder = std::env::temp_dir().join(format!("andon-notify-command-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (input, environment) = (folder.join("in"), folder.join("env"));
    let script = format!(
        "cat > {}; env > {}; echo told them",
        input.display(),
        environment.display()
    );
    let route = route("script", shell(&script, Duration::from_secs(5)));
    assert_eq!(
        taken(send(&route, Phase::Opened).await),
        "exit code 0: told them"
    );
    let document: Value = serde_json::from_slice(&std::fs::read(&input).unwrap()).unwrap();
    assert_eq!(document["incident"]["id"], "0a1b2c3d");
    let environment = std::fs::read_to_string(&environment).unwrap();
    for line in [
        "ANDON_PHASE=opened",
        "ANDON_ROUTE=script",
        "ANDON_INCIDENT=0a1b2c3d",
        "ANDON_SEVERITY=critical",
        "ANDON_LINK=https://andon.example.com/incidents/0a1b2c3d",
    ] {
        assert!(
            environment.lines().any(|found| found == line),
            "{line} in {environment}"
        );
    }
    assert!(!environment.contains("CARGO"), "{environment}");
    let _ = std::fs::remove_dir_all(&folder);
}

#[tokio::test]
async fn a_command_that_fails_or_hangs_is_told_and_leaves_nobody_behind() {
    let seconds = Duration::from_secs;
    let (why, _) = again(
        send(
            &route("s", shell("echo no route >&2; exit 3", seconds(5))),
            Phase::Opened,
        )
        .await,
    );
    assert_eq!(why, "exit code 3: no route");
    // It neither reads its input nor is quiet.
    taken(
        send(
            &route(
                "s",
                shell("exec 0<&-; head -c 3000000 /dev/zero", seconds(5)),
            ),
            Phase::Opened,
        )
        .await,
    );
    let mark = format!("86{}", std::process::id());
    let hang = shell(
        &format!("sleep {mark} & sleep {mark}"),
        Duration::from_millis(300),
    );
    let (why, _) = again(send(&route("s", hang), Phase::Opened).await);
    assert_eq!(why, "/bin/sh did not end within 0 s and was killed");
    for _ in 0..200 {
        if !running(&mark) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!running(&mark), "a child of the command lives on");
    let missing = Medium::Command {
        argv: vec!["/does/not/exist".into()],
        timeout: seconds(1),
        environment: BTreeMap::new(),
    };
    let (why, _) = again(send(&route("s", missing), Phase::Opened).await);
    assert!(why.starts_with("cannot start /does/not/exist"), "{why}");
}

fn running(mark: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let wanted = format!("sleep\0{mark}\0").into_bytes();
    lines.any(|line| line == wanted)
}

#[tokio::test]
async fn a_link_that_does_not_exist_is_left_out_everywhere() {
    let endpoint = Endpoint::start(status("200 OK", "")).await;
    let bare = Message::about(
        Phase::Opened,
        &incident("a"),
        &Default::default(),
        "web-1",
        at(),
    );
    let teams = Medium::Teams {
        url: Secret::new(&endpoint.url),
    };
    for medium in [slack(&endpoint.url), teams, hook(&endpoint.url)] {
        taken(sender().send(&route("r", medium), &bare, at()).await);
    }
    for request in endpoint.requests() {
        let document = request.json();
        assert!(
            !document.to_string().contains("Open in Andon"),
            "{document}"
        );
    }
}
