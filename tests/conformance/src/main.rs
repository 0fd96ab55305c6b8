//! `conformance [--core] [--seed N] [--queries N] [--show N] [--zones DIR]`: runs the comparison, prints what differs.

use std::process::ExitCode;

use conformance::run::{Options, run};

fn main() -> ExitCode {
    let mut unexplained = 0;
    let outcome = options().and_then(|options| {
        run(&options, |report| {
            print!("{report}");
            unexplained += report.unexplained();
        })
    });
    match outcome {
        Ok(()) if unexplained == 0 => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("conformance: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    use lexopt::prelude::*;
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        let Long(name) = argument else { return Err(argument.unexpected().to_string()) };
        let name = name.to_string();
        if name == "core" {
            options.core = true;
            continue;
        }
        let value = parser.value().map_err(|error| error.to_string())?.to_string_lossy().into_owned();
        match name.as_str() {
            "seed" => options.seed = value.parse().map_err(|_| "--seed needs a number")?,
            "queries" => options.queries = value.parse().map_err(|_| "--queries needs a number")?,
            "show" => options.show = value.parse().map_err(|_| "--show needs a number")?,
            "zones" => options.write_zones = Some(value.into()),
            _ => return Err(format!("--{name} is not known")),
        }
    }
    Ok(options)
}
