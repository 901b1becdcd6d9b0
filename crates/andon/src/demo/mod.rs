//! Five nodes on this machine, and plugs that are pulled.
#[derive(Debug, clap::Args)]
pub struct DemoArgs { #[arg(long)] no_script: bool, #[arg(long)] no_browser: bool, #[arg(long, default_value_t = 8777)] port: u16 }
pub fn run(_: DemoArgs) -> Result<std::process::ExitCode, crate::cli::Failure> { Err(crate::cli::Failure::new("the demo is not built in yet")) }
