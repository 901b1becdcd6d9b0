//! The flags of a node, made from the table of settings.

use crate::config::Inputs;
use crate::config::document::Layer;
use crate::config::layers::split;
use crate::config::problem::Origin;
use crate::config::setting::{SETTINGS, Setting, Shape};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use std::path::PathBuf;

/// `--config`, and one flag for each setting that has one.
#[derive(Debug, Clone, Default)]
pub struct SettingFlags {
    layer: Layer,
    config: Option<PathBuf>,
}

impl SettingFlags {
    /// All that is asked when a command is run in this process.
    pub fn inputs(self) -> Inputs {
        Inputs {
            flags: self.layer,
            invite: Layer::new(),
            remembered: Layer::new(),
            env: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            config: self.config,
            host: super::host::read(),
        }
    }
}

fn arg(setting: &'static Setting, flag: &'static str) -> Arg {
    let action = if setting.shape == Shape::One {
        ArgAction::Set
    } else {
        ArgAction::Append
    };
    let note = format!("[env: {}] [default: {}]", setting.env, setting.default);
    Arg::new(setting.key)
        .long(flag)
        .value_name(setting.value_name)
        .action(action)
        .help(setting.help)
        .long_help(format!("{}. {}\n{note}", setting.help, setting.more))
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        let flags = SETTINGS
            .iter()
            .filter_map(|setting| Some(arg(setting, setting.flag?)));
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Configuration file")
            .long_help("Configuration file\n[env: ANDON_CONFIG] [default: ./andon.toml, then /etc/andon/andon.toml]");
        command.args(flags).arg(config)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut layer = Layer::new();
        for setting in SETTINGS {
            let Some(flag) = setting.flag else { continue };
            if let Some(texts) = matches.get_many::<String>(setting.key) {
                let origin = Origin::Flag(flag);
                layer.insert(
                    setting.key,
                    texts
                        .flat_map(|text| split(setting, text, &origin))
                        .collect(),
                );
            }
        }
        Ok(Self {
            layer,
            config: matches.get_one::<PathBuf>("config").cloned(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// `--config` and `--data-dir`, for commands that work on a node's files.
#[derive(Debug, Clone, Args)]
pub struct PlaceFlags {
    /// Configuration file of the node
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory of the node
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

impl PlaceFlags {
    /// All that is asked.
    pub fn inputs(&self) -> Inputs {
        let mut layer = Layer::new();
        if let (Some(dir), Some(setting)) =
            (&self.data_dir, crate::config::setting::by_key("data_dir"))
        {
            layer.insert(setting.key, split(setting, dir, &Origin::Flag("data-dir")));
        }
        SettingFlags {
            layer,
            config: self.config.clone(),
        }
        .inputs()
    }

    /// The data directory that a node with this configuration has.
    pub fn data_dir(&self) -> Result<PathBuf, super::Failure> {
        Ok(crate::config::layers::load_without_keys(&self.inputs())?
            .0
            .data_dir)
    }
}
