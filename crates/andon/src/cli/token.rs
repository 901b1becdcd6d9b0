//! `andon token`: who may look at this node from elsewhere. Works on the node's files, also
//! while it runs; a secret is shown once and kept as a hash.

use super::flags::PlaceFlags;
use super::{Failure, screen};
use crate::config::value;
use andon_api::audit::AUDIT_FILE;
use andon_api::{AuditEntry, AuditLog, Role, TokenError, TokenFile};
use andon_model::Timestamp;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Debug, clap::Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it, once
    Create {
        /// What its bearer may do: viewer, operator or admin
        #[arg(long, value_name = "ROLE")]
        role: String,
        /// When it ends: 30d, 12h; without, never
        #[arg(long, value_name = "TIME", value_parser = value::duration)]
        expires: Option<Duration>,
        /// What it is for; default: the role and a number
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        place: PlaceFlags,
    },
    /// List tokens: name, role, when they end
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceFlags,
    },
    /// End a token at once
    Revoke {
        /// Its name
        name: String,
        #[command(flatten)]
        place: PlaceFlags,
    },
}

pub fn run(command: TokenCommand) -> Result<ExitCode, Failure> {
    match command {
        TokenCommand::Create {
            role,
            expires,
            name,
            place,
        } => {
            let role: Role = role.parse().map_err(|_| {
                Failure::usage(format!(
                    "{role:?} is no role; there are ingest, viewer, operator and admin"
                ))
            })?;
            create(&file(&place)?, role, expires, name)
        }
        TokenCommand::List { json, place } => list(&file(&place)?, json),
        TokenCommand::Revoke { name, place } => {
            let file = file(&place)?;
            let tokens = file.list().map_err(|error| told(&file, &error))?;
            if tokens.iter().any(|token| token.name == name) {
                record(&file, "token.revoke", &name, String::new())?;
            }
            if file.revoke(&name).map_err(|error| told(&file, &error))? {
                return screen::print(&format!("{name} is revoked\n"));
            }
            let path = file.path().display();
            Err(Failure::new(format!(
                "{path} holds no token named {name:?}\n  `andon token list` shows what there is"
            )))
        }
    }
}

fn file(place: &PlaceFlags) -> Result<TokenFile, Failure> {
    let dir = place.data_dir()?;
    if !dir.is_dir() {
        let dir = dir.display();
        return Err(Failure::new(format!(
            "there is no data directory {dir}\n  name that of the node with --data-dir DIR; a node makes it at its first start"
        )));
    }
    Ok(TokenFile::at(&dir))
}

fn told(file: &TokenFile, error: &TokenError) -> Failure {
    let help = match error {
        TokenError::Exists(_) => "choose another with --name, or revoke it first",
        TokenError::File { .. } => "run it as the user that the node runs as",
        _ => "",
    };
    let text = format!(
        "{error}\n  {}",
        if help.is_empty() {
            file.path().display().to_string()
        } else {
            help.into()
        }
    );
    Failure::new(text)
}

fn create(
    file: &TokenFile,
    role: Role,
    expires: Option<Duration>,
    name: Option<String>,
) -> Result<ExitCode, Failure> {
    let now = now();
    let name = match name {
        Some(name) => name,
        None => free_name(file, role)?,
    };
    let taken = file.list().map_err(|error| told(file, &error))?;
    if taken.iter().any(|token| token.name == name) {
        return Err(told(file, &TokenError::Exists(name)));
    }
    andon_model::id::check_name(&name).map_err(|error| told(file, &error.into()))?;
    let detail = match expires {
        Some(life) => format!("{role}, ends after {} s", life.as_secs()),
        None => format!("{role}, does not end"),
    };
    record(file, "token.create", &name, detail)?;
    let made = file
        .create(&name, role, expires, now)
        .map_err(|error| told(file, &error))?;
    let ends = made
        .info
        .expires
        .map_or("never ends".to_owned(), |end| format!("ends {end}"));
    screen::remark(&format!(
        "token {name} ({role}, {ends}); it is shown this once:"
    ));
    screen::print(&format!("{}\n", *made.secret))
}

/// Writes to the node's audit log what is about to be done; without that it is not done.
pub(super) fn record(
    file: &TokenFile,
    action: &str,
    subject: &str,
    mut detail: String,
) -> Result<(), Failure> {
    let path = file.path().with_file_name(AUDIT_FILE);
    let user = nix::unistd::getuid();
    let name = nix::unistd::User::from_uid(user).ok().flatten();
    let name = name.map_or_else(|| user.to_string(), |user| user.name);
    if let Ok(behind) = std::env::var("SUDO_USER") {
        let comma = if detail.is_empty() { "" } else { ", " };
        let _ = write!(detail, "{comma}asked by {behind} through sudo");
    }
    let entry = AuditEntry {
        ts: now(),
        actor: format!("cli:{name}"),
        action: action.to_owned(),
        subject: subject.to_owned(),
        detail,
    };
    let written = AuditLog::open_or_set_aside(&path, now()).and_then(|(log, broken)| {
        if let Some(error) = broken {
            screen::remark(&format!(
                "the audit log does not hold; it was set aside and another begun: {error}"
            ));
        }
        log.append(entry)
    });
    written.map(drop).map_err(|error| {
        Failure::new(format!(
            "nothing was changed, since it cannot be recorded: {error}\n  run it as the user that the node runs as, and make room if the disk is full"
        ))
    })
}

fn free_name(file: &TokenFile, role: Role) -> Result<String, Failure> {
    let taken = file.list().map_err(|error| told(file, &error))?;
    let free = (1..)
        .map(|number| format!("{role}-{number}"))
        .find(|name| taken.iter().all(|token| token.name != *name));
    Ok(free.unwrap_or_else(|| role.to_string()))
}

fn list(file: &TokenFile, json: bool) -> Result<ExitCode, Failure> {
    let tokens = file.list().map_err(|error| told(file, &error))?;
    if json {
        let text = serde_json::to_string_pretty(&tokens)
            .map_err(|error| Failure::new(error.to_string()))?;
        return screen::print(&format!("{text}\n"));
    }
    if tokens.is_empty() {
        screen::remark("no tokens; make one with: andon token create --role viewer --expires 30d");
    }
    let width = tokens
        .iter()
        .map(|token| token.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for token in &tokens {
        let ends = match token.expires {
            None => "never ends".to_owned(),
            Some(end) if token.expired(now()) => format!("ended {end}"),
            Some(end) => format!("ends {end}"),
        };
        let _ = writeln!(
            text,
            "{:width$}  {:8}  {ends}",
            token.name,
            token.role.to_string()
        );
    }
    screen::print(&text)
}

/// Wall clock; 1970 where it stands before that.
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
