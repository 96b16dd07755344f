//! The program: reads the command line and the settings, and hands them to [`run`].

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use kubernetes::fetch::PlainUrl;
use sandbox_provisioner::{
    cli::{Cli, Command},
    health, run,
    settings::{
        environment::{self, Environment},
        load,
        problem::Problems,
        show,
    },
    stdout,
};

/// The exit status for invalid settings, the same as clap's for an invalid command line.
const BAD_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let status = runtime.block_on(run_command(cli.command, &Environment::of_process()));
    // Without waiting for blocking calls: a name server or a file system that does not answer must not keep the process.
    runtime.shutdown_background();
    status.unwrap_or_else(|problems| {
        eprintln!("{problems}");
        ExitCode::from(BAD_SETTINGS)
    })
}

async fn run_command(command: Command, environment: &Environment) -> Result<ExitCode, Problems> {
    Ok(match command {
        Command::Serve { settings: args, check } => {
            let loaded = load::for_serving(args.config.as_deref(), environment, &args.flags.0)?;
            if check {
                let shown = stdout::deliver(&show::to_toml(&loaded));
                if shown { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            } else {
                let reload = || load::for_serving(args.config.as_deref(), environment, &args.flags.0);
                run::serve(loaded, reload).await
            }
        }
        Command::Render { request, profile, cluster, network_policies: _, settings: args } => {
            let loaded = load::for_looking(args.config.as_deref(), environment, &args.flags.0)?;
            match request {
                Some(request) => run::render(&loaded.settings, &request, profile, cluster.as_ref()),
                None => run::render_network_policies(&loaded.settings, cluster.as_ref()),
            }
        }
        Command::Cluster(args) => {
            let log = load::log_only(environment, &args.log.0)?;
            run::cluster(&log, args).await
        }
        Command::Client(command) => {
            let environment = client::Environment::from_lookup(environment::of_client);
            client::run_process(command, Cli::command(), &environment).await.into()
        }
        Command::Doctor(args) => run::doctor(args, environment).await?,
        Command::Health { url, settings: args } => {
            let url = if let Some(url) = url {
                match url.parse::<PlainUrl>() {
                    Ok(url) => url,
                    Err(error) => {
                        eprintln!("error: --url: {error}");
                        return Ok(ExitCode::from(BAD_SETTINGS));
                    }
                }
            } else {
                let loaded = load::for_looking(args.config.as_deref(), environment, &args.flags.0)?;
                health::of_listener(loaded.settings.http.listen)
            };
            health::check(&url).await.map_or_else(
                |unhealthy| {
                    eprintln!("error: {unhealthy}");
                    ExitCode::FAILURE
                },
                |()| ExitCode::SUCCESS,
            )
        }
    })
}
