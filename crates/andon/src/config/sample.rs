//! `andon config sample`: a documented `andon.toml`, written from the table of settings.

use super::notify::keys::{self, Key};
use super::setting::{SETTINGS, Setting, Shape, TABLES};
use super::target::KEYS;
use std::fmt::Write;

const WIDTH: usize = 92;

/// The sample file. Every setting stands in it as a comment that becomes valid by removing
/// the leading `#`.
pub fn text() -> String {
    let mut text = String::new();
    comment(
        &mut text,
        "Andon's configuration, read from --config FILE, ./andon.toml or /etc/andon/andon.toml. \
         Flags go before the environment, the environment before this file. Every line may be \
         left out. `andon config check` says what is in force and where it comes from. \
         Relative paths are meant from this file's folder.",
    );
    for setting in SETTINGS
        .iter()
        .filter(|s| s.in_file && !s.key.contains('.') && s.shape != Shape::Map)
    {
        describe(&mut text, setting);
        let _ = writeln!(text, "#{} = {}", setting.key, setting.sample);
    }
    for setting in SETTINGS
        .iter()
        .filter(|setting| setting.shape == Shape::Map && !setting.key.contains('.'))
    {
        describe(&mut text, setting);
        let _ = writeln!(text, "#[{}]\n#{}", setting.key, setting.sample);
    }
    for (table, help) in TABLES {
        text.push('\n');
        comment(&mut text, help);
        let _ = writeln!(text, "#[{table}]");
        let prefix = format!("{table}.");
        for setting in SETTINGS
            .iter()
            .filter(|s| s.in_file && s.shape != Shape::Map)
        {
            if let Some(key) = setting.key.strip_prefix(&prefix) {
                describe(&mut text, setting);
                let _ = writeln!(text, "#{key} = {}", setting.sample);
            }
        }
        for setting in SETTINGS
            .iter()
            .filter(|s| s.shape == Shape::Map && s.key.starts_with(&prefix))
        {
            describe(&mut text, setting);
            let _ = writeln!(text, "#[{}]\n#{}", setting.key, setting.sample);
        }
        if *table == "ingest" {
            text.push_str(super::ingest::SAMPLE);
        }
    }
    notify(&mut text);
    text.push('\n');
    comment(
        &mut text,
        "Something probed that is no node. As many [[target]] as needed; all nodes see them.",
    );
    text.push_str("#[[target]]\n");
    for key in KEYS.iter().filter(|key| {
        key.probes.is_empty() || (key.probes.contains(&"http") && key.name != "expiry_days")
    }) {
        let line = format!("#{} = {}", key.name, key.sample);
        let _ = writeln!(text, "{line:<52} # {}", key.help);
    }
    text.push('\n');
    comment(&mut text, "Keys of the other probes:");
    for key in KEYS
        .iter()
        .filter(|key| key.name == "expiry_days" || key.probes == ["dns"])
    {
        comment(
            &mut text,
            &format!("  {} = {}  {}", key.name, key.sample, key.help),
        );
    }
    text
}

/// One of each table of `[notify]`, and the keys of the other kinds of route.
fn notify(text: &mut String) {
    let mut table = |name: &str, help: &str, keys: &mut dyn Iterator<Item = &Key>| {
        text.push('\n');
        comment(text, help);
        let _ = writeln!(text, "#[[notify.{name}]]");
        for key in keys {
            let line = format!("#{} = {}", key.name, key.sample);
            let _ = writeln!(text, "{line:<52} # {}", key.help);
        }
    };
    let of_a_webhook = |key: &&Key| key.kinds.is_empty() || key.kinds.contains(&"webhook");
    // Named by a file that may not be there.
    let in_force = |key: &&Key| key.name != "ca_file";
    table(
        "route",
        "A way to people. As many [[notify.route]] as needed. Secrets (url, secret, headers, key, \
         password) may stand in a file of their own, as { file = \"/etc/andon/hook.url\" }, or in \
         the environment, as { env = \"HOOK_URL\" }.",
        &mut keys::ROUTE.iter().filter(of_a_webhook).filter(in_force),
    );
    table(
        "silence",
        "Tell nobody of these until then. All that is given has to hold.",
        &mut keys::SILENCE.iter(),
    );
    table(
        "maintenance",
        "Somebody works there: incidents are recorded, nobody is told while it lasts.",
        &mut keys::MAINTENANCE
            .iter()
            .filter(|key| !matches!(key.name, "weekly" | "timezone")),
    );
    text.push('\n');
    comment(
        text,
        "Keys of the other kinds of route, and of maintenance every week:",
    );
    let others = keys::ROUTE
        .iter()
        .filter(|key| !of_a_webhook(key) || !in_force(key));
    let weekly = keys::MAINTENANCE
        .iter()
        .filter(|key| matches!(key.name, "weekly" | "timezone"));
    for key in others.chain(weekly) {
        comment(
            text,
            &format!("  {} = {}  {}", key.name, key.sample, key.help),
        );
    }
}

fn describe(text: &mut String, setting: &Setting) {
    text.push('\n');
    comment(text, &format!("{}. {}", setting.help, setting.more));
    let flag = setting
        .flag
        .map(|flag| format!("--{flag}, "))
        .unwrap_or_default();
    comment(
        text,
        &format!("{flag}{}. Default: {}.", setting.env, setting.default),
    );
}

fn comment(text: &mut String, sentence: &str) {
    let mut line = String::from("#");
    for word in sentence.split_whitespace() {
        if line.len() + word.len() + 1 > WIDTH {
            let _ = writeln!(text, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}
