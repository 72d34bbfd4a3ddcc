//! `omni-controller`: see the library for what it does.

use clap::Parser;
use omni_controller::config::{Cli, Verb};
use omni_controller::{recovery, run, setup};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    rustls::crypto::ring::default_provider().install_default().ok();
    match work(Cli::parse()) {
        Ok(text) => {
            // A reader that closed its end has what it wanted.
            std::io::stdout().write_all(text.as_bytes()).ok();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("omni-controller: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work(cli: Cli) -> anyhow::Result<String> {
    let common = match &cli.command {
        Verb::Init(args) => &args.common,
        Verb::Join(args) => &args.common,
        Verb::Run(args) => &args.common,
        Verb::Restore(args) => &args.common,
    };
    if common.show_config {
        return setup::show(&common.settings.clone().with_file(&common.data_dir)?);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match cli.command {
        Verb::Init(args) => setup::init(args),
        Verb::Join(args) => runtime.block_on(setup::join(args)),
        Verb::Run(args) => runtime.block_on(run::run(args)).map(|()| String::new()),
        Verb::Restore(args) => recovery::restore(args),
    }
}
